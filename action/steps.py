"""Take a step of action.yml: ``steps.py place`` or ``steps.py gate``; its inputs are in the environment.

``place`` names the baseline. ``gate`` measures this commit and compares it with its base: with the run that
the default branch saved, or, where there is none of this machine, with one that is measured here, first.
"""

import importlib.util
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from bench.cli.main import build_parser
from bench.machine import host
from bench.machine.errors import UserError
from bench.records.journal import FILE_NAME
from bench.reporting import github
from bench.workload.catalog import VARIANTS
from bench.workload.cell import CELLS


def place() -> int:
    """Name the folder of the results, the baseline's key in the cache, and the commit to compare with.

    Another machine, other arguments or another setup have another key: such runs do not compare.
    """
    on_default = os.environ["GITHUB_REF"] == f"refs/heads/{os.environ['DEFAULT_BRANCH']}"
    makes_baseline = on_default and not os.environ["INPUT_BASE"]
    base = re.fullmatch("[0-9a-f]{40}(?:[0-9a-f]{24})?|", os.environ["INPUT_BASE"])
    if base is None:
        raise UserError("the input base must be the full hash of a commit")
    name = re.sub("[^A-Za-z0-9._]+", "-", f"rnnbench-{os.environ['INPUT_BASELINE_KEY']}")[:80]
    machine = (host.host_hash(), host.processor_name(), os.cpu_count(), platform.machine())
    folder = f"{name}-{host.digest(repr((machine, words(), os.environ['INPUT_SETUP'])))}"
    tell("name", name)
    tell("folder", folder)
    tell("key", f"{folder}-{os.environ['GITHUB_SHA'] if makes_baseline else base[0]}")
    tell("base", base[0])
    tell("makes-baseline", "true" if makes_baseline else "false")
    return 0


def gate() -> int:
    """Measure this commit, compare it with its base, and return the exit code of the comparison."""
    results, summary = Path(".rnnbench", os.environ["FOLDER"]).absolute(), github.summary_file()
    commit, base = os.environ["GITHUB_SHA"], os.environ["BASE"]
    makes_baseline = os.environ["MAKES_BASELINE"] == "true"
    old, new = f"baseline/{base[:12]}", f"{'baseline' if makes_baseline else 'head'}/{commit[:12]}"
    no_baseline = ""
    if not makes_baseline and not (base and (results / old / FILE_NAME).is_file()):
        no_baseline = measure_base(results / "tree", results / old, base)
    if code := measure(Path.cwd(), results / new):
        why = f"this commit could not be measured: exit code {code}; the log says why"
        github.publish(summary, None, UserError(why))
    elif makes_baseline:
        print(github.command("notice", "rnnbench", "saved as a baseline of later runs; nothing was compared"))
    elif no_baseline:
        code = 3
        github.publish(summary, None, UserError(f"there is no baseline: {no_baseline}"))
    else:
        options = ("--fail-slower", os.environ["INPUT_FAIL_SLOWER"], "--summary", "github")
        code = run("rnnbench", "compare", old, new, *options, folder=results)
    tell("exit-code", str(code))
    if summary.is_file() and results.is_dir():
        shutil.copyfile(summary, results / "summary.md")  # the next step has another file for its own
    return code


def measure_base(tree: Path, folder: Path, base: str) -> str:
    """Measure the commit ``base`` into ``folder``, checked out at ``tree``; return why not, or ""."""
    if not base:
        return "this is no pull request, and the input base names no commit"
    found = not run("git", "cat-file", "-e", f"{base}^{{commit}}")
    shutil.rmtree(tree, ignore_errors=True)  # of a step that was killed
    if not found and run("git", "fetch", "--quiet", "--depth=1", "origin", base):
        return f"its commit {base} cannot be fetched"
    if run("git", "worktree", "add", "--quiet", "--force", "--detach", str(tree), base):
        return f"its commit {base} cannot be checked out"
    try:
        if not os.environ["INPUT_SETUP"] and (why := from_elsewhere(tree)):
            return f"{why}; the input setup has to install a checkout, as with `pip install .`"
        code = measure(tree, folder)
        return f"its commit {base} could not be measured: exit code {code}; the log says why" if code else ""
    finally:
        run("git", "worktree", "remove", "--force", str(tree))


def from_elsewhere(tree: Path) -> str:
    """Return which variant or cell would not be that of the checkout in ``tree``; else an empty text.

    It would be compared with itself, and the gate would always be green. What is installed comes before what
    lies in a checkout, and a plug-in is installed.
    """
    options = build_parser().parse_args(["run", *words()])
    named = {*(options.variant or ()), *([options.cell] if options.cell else [])}
    own = sorted(named - {variant.name for variant in VARIANTS} - set(CELLS))
    for name in own:
        module = re.split("[:.]", name)[0]
        in_tree = (tree / module).is_dir() or (tree / f"{module}.py").is_file()
        if not in_tree or (module and importlib.util.find_spec(module)):
            return f"{name} is not from the base's own checkout"
    return "" if own else "nothing of this repository is among what is measured"


def measure(tree: Path, folder: Path) -> int:
    """Set up the checkout in ``tree`` and measure it into ``folder``; return the exit code."""
    setup = os.environ["INPUT_SETUP"]
    if setup and (code := run("bash", "-euo", "pipefail", "-c", setup, folder=tree)):
        return code
    shutil.rmtree(folder, ignore_errors=True)  # of an earlier try on this commit
    return run("rnnbench", "run", *words(), "--out", os.path.relpath(folder, tree), folder=tree)


def run(*command: str, folder: Path | None = None) -> int:
    """Run a command, its output in the log; return its exit code."""
    print(f"$ {shlex.join(command)}", flush=True)
    return subprocess.run(command, cwd=folder).returncode


def words() -> list[str]:
    """Return the arguments for ``rnnbench run``; a shell's quotes count, and nothing else of a shell.

    Raises:
        UserError: a quote is not closed.
    """
    try:
        return shlex.split(os.environ["INPUT_RUN"], comments=True)
    except ValueError as error:
        raise UserError(f"the input run cannot be read: {error}") from error


def tell(name: str, value: str) -> None:
    """Set an output of this step; no value has a line break."""
    with Path(os.environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as outputs:
        outputs.write(f"{name}={value}\n")


if __name__ == "__main__":
    try:
        sys.exit({"place": place, "gate": gate}[sys.argv[1]]())
    except UserError as error:
        print(github.command("error", "rnnbench", str(error)))
        sys.exit(error.exit_code)
