"""Take a step of action.yml: ``steps.py name-baseline`` or ``steps.py gate``; inputs are in the environment.

``name-baseline`` names the baseline. ``gate`` measures this commit and compares it with its base: with the
run that the default branch saved, or, where there is none of this machine, with one measured here, first.
"""

import importlib.util
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

from bench.cli.main import build_parser
from bench.machine import host
from bench.machine.errors import Unfinished, UserError, error_text
from bench.records.journal import FILE_NAME
from bench.reporting import github
from bench.workload.catalog import VARIANTS
from bench.workload.cell import CELLS


def name_baseline() -> int:
    """Name the folder of the results, the baseline's key in the cache, and the commit to compare with.

    Another machine, other versions, other arguments or another setup have another key: such runs do not
    compare.
    """
    if not re.fullmatch("[0-9a-f]{40}(?:[0-9a-f]{24})?|", os.environ["INPUT_BASE"]):
        raise UserError("the input base must be the full hash of a commit")
    base = os.environ["INPUT_BASE"] or merged_into() or os.environ["EVENT_BASE"]
    on_default = os.environ["GITHUB_REF"] == f"refs/heads/{os.environ['DEFAULT_BRANCH']}"
    name = re.sub("[^A-Za-z0-9._]+", "-", f"rnnbench-{os.environ['INPUT_BASELINE_KEY']}")[:80]
    machine = (host.host_hash(), host.processor_name(), os.cpu_count(), platform.machine())
    versions = (host.python(), host.packages({}).get("packages"), Path(os.environ["GITHUB_ACTION_PATH"]).name)
    folder = f"{name}-{host.digest(repr((machine, versions, arguments(), os.environ['INPUT_SETUP'])))}"
    set_outputs(name=name, folder=folder, key=f"{folder}-{base or os.environ['GITHUB_SHA']}")
    set_outputs(base=base, makes_baseline=str(on_default and not base).lower())
    return 0


def merged_into() -> str:
    """Return the commit that GitHub merged a pull request with, for this job; empty if this is no such job.

    The base in the event may be older: then other people's commits would count as the pull request's. A
    shallow checkout has the merge itself, with the names of its parents.
    """
    if not re.fullmatch("refs/pull/[0-9]+/merge", os.environ["GITHUB_REF"]):
        return ""
    command = ("git", "cat-file", "commit", os.environ["GITHUB_SHA"])
    merge = subprocess.run(command, capture_output=True, text=True, errors="replace").stdout
    parents = re.findall("^parent ([0-9a-f]+)$", merge.partition("\n\n")[0], re.MULTILINE)
    return parents[0] if len(parents) > 1 else ""


def gate() -> int:
    """Measure this commit, compare it with its base, and return the exit code of the comparison."""
    results, summary = Path(".rnnbench", os.environ["FOLDER"]).absolute(), github.summary_file()
    code = Unfinished.exit_code
    try:
        code = measure_and_compare(results)
    except (UserError, OSError) as error:
        code = getattr(error, "exit_code", code)
        github.publish(summary, None, error)
    finally:
        set_outputs(exit_code=str(code))
        if summary.is_file() and results.is_dir():
            shutil.copyfile(summary, results / "summary.md")  # the next step has another file for its own
    return code


def measure_and_compare(results: Path) -> int:
    """Measure into ``results`` what is missing there; return the exit code of the comparison.

    Raises:
        Unfinished: this commit or its base could not be measured.
        UserError: an input is wrong, or nothing of this repository is to be measured.
    """
    limit = f"--fail-slower={os.environ['INPUT_FAIL_SLOWER']}"
    parse("compare", limit)  # told before half an hour of measuring
    names, base, no_baseline = own_names(), os.environ["BASE"], None
    makes_baseline = os.environ["MAKES_BASELINE"] == "true"
    old = f"baseline/{base[:12]}"
    new = f"{'baseline' if makes_baseline else 'head'}/{os.environ['GITHUB_SHA'][:12]}"
    if not makes_baseline and not (base and (results / old / FILE_NAME).is_file()):
        try:
            measure_base(results / "tree", results / old, base, names)
        except Unfinished as error:  # this commit is measured all the same, and its run kept
            no_baseline = Unfinished(f"there is no baseline: {error}")
    measure(Path.cwd(), results / new, "this commit")
    if no_baseline:
        raise no_baseline
    if makes_baseline:
        print(github.command("notice", "rnnbench", "saved as a baseline of later runs; nothing was compared"))
        return 0
    code = run("rnnbench", "compare", old, new, limit, "--summary", "github", folder=results)
    return code if 0 <= code <= Unfinished.exit_code else Unfinished.exit_code


def own_names() -> list[str]:
    """Return which variants and cell of the repository, or of its plug-ins, are to be measured.

    Raises:
        UserError: there are none: rnnbench would be compared with itself, and the gate would be green.
    """
    options = parse("run", *arguments())
    named = {*(options.variant or ()), *filter(None, [options.cell])}
    names = sorted(named - {variant.name for variant in VARIANTS} - set(CELLS))
    if not names:
        raise UserError("nothing of this repository is among what the input run measures; add its --variant")
    return names


def parse(*words: str) -> Namespace:
    """Return the options in a command of rnnbench.

    Raises:
        UserError: they are wrong, or ask for help.
    """
    try:
        return build_parser().parse_args(words)
    except SystemExit:
        raise UserError(f"this cannot be run: rnnbench {shlex.join(words)}; the log says why") from None


def measure_base(tree: Path, folder: Path, base: str, names: list[str]) -> None:
    """Measure the commit ``base`` into ``folder``, checked out at ``tree``.

    Raises:
        Unfinished: it could not be checked out or measured, or its variants would be those of this commit:
            what is installed comes before what lies in a checkout, and a plug-in is installed.
    """
    if not base:
        raise Unfinished("this is no pull request, and the input base names no commit")
    shutil.rmtree(tree, ignore_errors=True)  # of a step that was killed
    is_here = not run("git", "cat-file", "-e", f"{base}^{{commit}}")
    if not is_here and run("git", "fetch", "--quiet", "--depth=1", "origin", base):
        raise Unfinished(f"its commit {base} cannot be fetched")
    if run("git", "worktree", "add", "--quiet", "--force", "--detach", str(tree), base):
        raise Unfinished(f"its commit {base} cannot be checked out")
    try:
        if not os.environ["INPUT_SETUP"] and (name := from_elsewhere(tree, names)):
            raise Unfinished(
                f"{name} is not from the base's own checkout; the input setup has to install a checkout, as "
                "with `pip install .`"
            )
        measure(tree, folder, f"its commit {base}")
    finally:
        run("git", "worktree", "remove", "--force", str(tree))


def from_elsewhere(tree: Path, names: list[str]) -> str:
    """Return the first name whose module does not come from the checkout in ``tree``, else an empty text."""
    for name in names:
        module = re.split("[:.]", name)[0]
        in_tree = (tree / module).is_dir() or (tree / f"{module}.py").is_file()
        if not in_tree or (module and importlib.util.find_spec(module)):
            return name
    return ""


def measure(tree: Path, folder: Path, commit: str) -> None:
    """Set up the checkout in ``tree`` and measure it into ``folder``; ``commit`` is what it is called.

    Raises:
        Unfinished: a command failed.
    """
    shutil.rmtree(folder, ignore_errors=True)  # of an earlier try on this commit
    command = ("rnnbench", "run", *arguments(), "--out", os.path.relpath(folder, tree))
    setup = ("bash", "-euo", "pipefail", "-c", os.environ["INPUT_SETUP"])
    if code := (os.environ["INPUT_SETUP"] and run(*setup, folder=tree)) or run(*command, folder=tree):
        raise Unfinished(f"{commit} could not be measured: exit code {code}; the log says why")


def run(*command: str, folder: Path | None = None) -> int:
    """Run a command, its output in the log; return its exit code."""
    print(f"$ {shlex.join(command)}", flush=True)
    return subprocess.run(command, cwd=folder).returncode


def arguments() -> list[str]:
    """Return the arguments for ``rnnbench run``; a shell's quotes count, and nothing else of a shell.

    Raises:
        UserError: a quote is not closed.
    """
    try:
        return shlex.split(os.environ["INPUT_RUN"], comments=True)
    except ValueError as error:
        raise UserError(f"the input run cannot be read: {error}") from error


def set_outputs(**values: str) -> None:
    """Set outputs of this step; no value has a line break."""
    with Path(os.environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as outputs:
        outputs.writelines(f"{name}={value}\n" for name, value in values.items())


if __name__ == "__main__":
    try:
        sys.exit({"name-baseline": name_baseline, "gate": gate}[sys.argv[1]]())
    except Exception as error:  # a traceback would end with 1, which stands for a proved slowdown
        print(github.command("error", "rnnbench", error_text(error)))
        sys.exit(getattr(error, "exit_code", Unfinished.exit_code))
