"""action.yml: its form, and its steps as they run, in a GitHub that is a few variables and files."""

import html
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from test_github import write_runs

from bench.cli.main import build_parser
from bench.cli.main import main as rnnbench
from bench.machine.errors import UserError

ROOT = Path(__file__).parents[1]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS = ACTION["runs"]["steps"]
BY_NAME = {step["name"]: step for step in STEPS}
HEAD, BASE = "a" * 40, "b" * 40
FROM_ACTION = {variable for step in STEPS for variable in step.get("env", ())}
COMMENT = {
    "inputs.token": "secret",
    "steps.baseline.outputs.name": "rnnbench-default",
    "steps.baseline.outputs.folder": "folder",
    "github.event.pull_request.number": "7",
}
HOSTILE = "$(touch pwned);`touch pwned`\";touch pwned;'\n::error::"


def expressions(tree: Any) -> list[str]:
    """All that GitHub would fill in, of ``${{ ... }}`` and of every ``if``."""
    if isinstance(tree, dict):
        return [*expressions(list(tree.values())), *([tree["if"]] if "if" in tree else [])]
    if isinstance(tree, list):
        return [found for branch in tree for found in expressions(branch)]
    return re.findall(r"\$\{\{(.*?)\}\}", tree) if isinstance(tree, str) else []


# its form


def test_every_input_is_declared_and_used_and_every_output_of_a_step_is_set():
    used = " ".join(expressions([ACTION["runs"], ACTION["outputs"]]))
    assert set(re.findall(r"inputs\.([\w-]+)", used)) == set(ACTION["inputs"])
    calls = re.findall(
        r" set_outputs\(\s*([a-z].*?)\)\n", (ROOT / "action" / "steps.py").read_text(), re.DOTALL
    )
    set_names = {name for call in calls for name in re.findall(r"(\w+)=", call)}
    assert {name for _, name in re.findall(r"steps\.(\w+)\.outputs\.(\w+)", used)} == set_names
    assert {step for step, _ in re.findall(r"steps\.(\w+)\.outputs\.(\w+)", used)} == {"baseline", "gate"}
    for declared in ACTION["inputs"].values():
        assert declared["description"]
        assert declared.get("required") or isinstance(declared["default"], str)


def test_every_script_has_a_shell_stops_at_errors_and_holds_nothing_of_an_input():
    for step in STEPS:
        assert ("run" in step) != ("uses" in step)
        if "run" in step:
            assert step["shell"] == "bash"
            assert step["run"].startswith("set -euo pipefail\n")
            assert expressions(step["run"]) == []
        else:
            assert re.fullmatch(r"actions/[a-z/-]+@v\d+", step["uses"])
    # no name that a stranger chooses, as of a branch, is in any of it
    assert not re.search(r"head_ref|ref_name|title|\.body|pull_request\.head", " ".join(expressions(ACTION)))
    # the token is in the step that comments alone
    assert [step["name"] for step in STEPS if "token" in " ".join(expressions(step))] == ["Comment"]


def test_the_workflow_of_the_page_uses_inputs_that_exist_and_arguments_that_rnnbench_knows():
    page = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (job,) = yaml.safe_load(text)["jobs"].values()
    (step,) = (step for step in job["steps"] if "rnnbench" in step["uses"])
    assert set(step["with"]) <= set(ACTION["inputs"])
    assert all(declared in step["with"] for declared, how in ACTION["inputs"].items() if how.get("required"))
    options = build_parser().parse_args(["run", *step["with"]["run"].split()])
    assert (options.variant, options.blocks) == (["mypackage:fast"], 15)
    for name in ACTION["inputs"] | ACTION["outputs"]:
        assert f"`{name}" in page


# its steps


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def steps(monkeypatch) -> ModuleType:
    """The module of the steps; what it adds to the path is gone after the test."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    spec = importlib.util.spec_from_file_location("steps", ROOT / "action" / "steps.py")
    assert spec is not None and spec.loader is not None  # noqa: PT018
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def workspace(tmp_path, monkeypatch) -> Path:
    """A pull request's step: its variables, its files, and where it stands."""
    here = tmp_path / "workspace"
    here.mkdir()
    monkeypatch.chdir(here)
    for name, value in variables(tmp_path).items():
        monkeypatch.setenv(name, value)
    return here


def variables(folder: Path) -> dict[str, str]:
    return {
        "GITHUB_ACTION_PATH": str(ROOT),
        "EVENT_BASE": "",
        "GITHUB_STEP_SUMMARY": str(folder / "summary"),
        "GITHUB_OUTPUT": str(folder / "output"),
        "GITHUB_SHA": HEAD,
        "GITHUB_REF": "refs/pull/7/merge",
        "GITHUB_HEAD_REF": HOSTILE,
        "GITHUB_SERVER_URL": "https://git.example",
        "GITHUB_REPOSITORY": "somebody/project",
        "GITHUB_RUN_ID": "99",
        "DEFAULT_BRANCH": "main",
        "INPUT_RUN": "--variant mine:fast --blocks 15",
        "INPUT_SETUP": "",
        "INPUT_BASE": BASE,
        "INPUT_BASELINE_KEY": "default",
        "INPUT_FAIL_SLOWER": "5%",
        "FOLDER": "folder",
        "BASE": BASE,
        "MAKES_BASELINE": "false",
        "NUMBER": "7",
    }


def outputs() -> dict[str, str]:
    lines = Path(os.environ["GITHUB_OUTPUT"]).read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines)


def summary() -> str:
    return Path(os.environ["GITHUB_STEP_SUMMARY"]).read_text(encoding="utf-8")


def play(steps: ModuleType, monkeypatch: pytest.MonkeyPatch, runs: Path, **measured: str | int) -> list[str]:
    """Play ``rnnbench run`` with a saved run, or an exit code, for ``base`` and ``head``; the commands."""
    started: list[str] = []
    really = steps.run

    def run(*command: str, folder: Path | None = None) -> int:
        started.append(" ".join(command[:2]))
        if command[:2] == ("rnnbench", "compare"):
            if "compare" in measured:
                return int(measured["compare"])
            with monkeypatch.context() as there:
                there.chdir(folder)
                return rnnbench(command[1:])
        if command[:2] != ("rnnbench", "run"):
            return int(really(*command, folder=folder))
        *words, _, out = command[2:]
        assert words == ["--variant", "mine:fast", "--blocks", "15"]
        assert folder is not None
        side = "base" if folder.name == "tree" else "head"
        assert (folder / "mine.py").read_text(encoding="utf-8") == side
        if isinstance(code := measured[side], int):
            return code
        shutil.copytree(runs / code, folder / out)
        return 0

    monkeypatch.setattr(steps, "run", run)
    return started


def place_baseline(runs: Path, workspace: Path, name: str) -> None:
    (workspace / "mine.py").write_text("head", encoding="utf-8")
    shutil.copytree(runs / name, workspace / ".rnnbench" / "folder" / "baseline" / BASE[:12])


@pytest.mark.parametrize(
    ("baseline", "head", "code", "says"),
    [
        ("old", "same", 0, "No regression over 5 % is proved."),
        ("old", "slower", 1, "REGRESSION proved, over 5 % slower"),
        ("broken", "same", 2, "No answer: "),
        ("old", "old", 3, "are the same run"),
        # no code of another command is that of a proved slowdown
        ("old", 1, 3, "this commit could not be measured: exit code 1"),
        ("old", 70, 3, "this commit could not be measured: exit code 70"),
        ("old", -9, 3, "this commit could not be measured: exit code -9"),
    ],
)
def test_a_restored_baseline_is_compared_and_not_measured(
    steps, workspace, runs, monkeypatch, baseline, head, code, says
):
    place_baseline(runs, workspace, baseline)
    started = play(steps, monkeypatch, runs, head=head)
    assert steps.gate() == code
    assert started == ["rnnbench run", *(["rnnbench compare"] * isinstance(head, str))]
    assert says in html.unescape(summary()).replace("\\", "")
    assert outputs() == {"exit_code": str(code)}
    kept = workspace / ".rnnbench" / "folder" / "summary.md"
    assert kept.exists() == (workspace / ".rnnbench" / "folder").exists()
    assert kept.read_text(encoding="utf-8") == summary()


@pytest.mark.parametrize("code", [70, 143, -9])
def test_a_comparison_that_broke_off_is_no_answer(steps, workspace, runs, monkeypatch, code):
    place_baseline(runs, workspace, "old")
    play(steps, monkeypatch, runs, head="same", compare=code)
    assert steps.gate() == 3
    assert outputs() == {"exit_code": "3"}


def test_without_a_baseline_the_run_is_kept_and_the_gate_is_never_green(
    steps, workspace, runs, monkeypatch, capsys
):
    """Here is no repository at all, then no base commit."""
    (workspace / "mine.py").write_text("head", encoding="utf-8")
    play(steps, monkeypatch, runs, head="same")
    assert steps.gate() == 3
    assert (workspace / ".rnnbench" / "folder" / "head" / HEAD[:12] / "journal.jsonl").is_file()
    assert summary().startswith("**No answer: there is no baseline: its commit bbbb")
    (error,) = re.findall("^::error .*", capsys.readouterr().out, re.MULTILINE)
    assert "there is no baseline" in error
    monkeypatch.setenv("BASE", "")
    assert steps.gate() == 3
    assert "this is no pull request" in summary()


def test_the_default_branch_makes_the_baseline_and_passes_without_a_comparison(
    steps, workspace, runs, monkeypatch, capsys
):
    monkeypatch.setenv("MAKES_BASELINE", "true")
    monkeypatch.setenv("BASE", "")
    (workspace / "mine.py").write_text("head", encoding="utf-8")
    started = play(steps, monkeypatch, runs, head="same")
    assert steps.gate() == 0
    assert started == ["rnnbench run"]
    assert (workspace / ".rnnbench" / "folder" / "baseline" / HEAD[:12] / "journal.jsonl").is_file()
    assert "::notice title=rnnbench::saved as a baseline" in capsys.readouterr().out


# a base that is measured in the same job


@pytest.fixture
def repository(workspace, monkeypatch) -> Path:
    """Two commits of mine.py, the base's and the head's."""
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, "nobody")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    git("init", "--quiet")
    for side in ("base", "head"):
        (workspace / "mine.py").write_text(side, encoding="utf-8")
        git("add", "mine.py")
        git("commit", "--quiet", "--message", side)
    monkeypatch.setenv("BASE", git("rev-parse", "HEAD^"))
    return workspace


def git(*words: str) -> str:
    return subprocess.run(["git", *words], check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("shallow", [False, True])
def test_a_base_without_a_baseline_is_measured_first_from_its_own_checkout(
    steps, repository, runs, monkeypatch, tmp_path, shallow
):
    if shallow:  # as actions/checkout leaves it
        git("clone", "--quiet", "--depth=1", repository.as_uri(), str(tmp_path / "shallow"))
        monkeypatch.chdir(tmp_path / "shallow")
    play(steps, monkeypatch, runs, base="old", head="slower")
    assert steps.gate() == 1
    assert summary().startswith("**REGRESSION proved, over 5 % slower: ")
    assert not Path(".rnnbench/folder/tree").exists()
    assert len(git("worktree", "list").splitlines()) == 1


def test_a_base_that_would_be_measured_as_the_head_is_no_baseline(
    steps, repository, runs, monkeypatch, tmp_path
):
    """The package is installed from elsewhere, or there is none: its time would be equal."""
    play(steps, monkeypatch, runs, base="old", head="same")
    (tmp_path / "installed").mkdir()
    (tmp_path / "installed" / "mine.py").write_text("", encoding="utf-8")
    sys.path.insert(0, str(tmp_path / "installed"))
    importlib.invalidate_caches()
    assert steps.gate() == 3
    assert "mine:fast is not from the base's own checkout" in summary()
    sys.path.pop(0)
    for words, name in (
        ("--variant numpy-inplace --variant absent:fast", "absent:fast"),
        ("--variant of-a-plug-in", "of-a-plug-in"),
        ("--variant mine:fast --cell absent:cell", "absent:cell"),
        ("--variant mine:fast --cell gru", ""),
        ("--variant=mine:fast", ""),
    ):
        monkeypatch.setenv("INPUT_RUN", words)
        assert steps.from_elsewhere(repository, steps.own_names()) == name
    # a setup installs each commit: then it is the user who knows
    monkeypatch.setenv("INPUT_RUN", "--variant mine:fast --blocks 15")
    monkeypatch.setenv("INPUT_SETUP", f"cat mine.py >> {tmp_path}/setups")
    assert steps.gate() == 0
    assert (tmp_path / "setups").read_text(encoding="utf-8") == "basehead"


def test_a_base_that_cannot_be_measured_is_no_baseline(steps, repository, runs, monkeypatch):
    play(steps, monkeypatch, runs, base=2, head="same")
    assert steps.gate() == 3
    assert "could not be measured: exit code 2" in summary()
    assert not (repository / ".rnnbench" / "folder" / "tree").exists()
    monkeypatch.setenv("INPUT_SETUP", "false; true")
    assert steps.gate() == 3
    assert "this commit could not be measured: exit code 1" in summary()


@pytest.mark.parametrize(
    ("variable", "text", "why"),
    [
        ("INPUT_RUN", "--preset grid", "nothing of this repository is among what the input run measures"),
        ("INPUT_RUN", "--variant numpy-inplace --cell gru", "nothing of this repository"),
        (
            "INPUT_RUN",
            "--variant mine:fast --help",
            "rnnbench run --variant mine:fast --help; the log says why",
        ),
        ("INPUT_RUN", "--varaint mine:fast", "rnnbench run --varaint mine:fast; the log says why"),
        ("INPUT_RUN", "--variant 'mine:fast", "the input run cannot be read: No closing quotation"),
        ("INPUT_FAIL_SLOWER", "5", "rnnbench compare --fail-slower=5; the log says why"),
        ("INPUT_FAIL_SLOWER", "-5%", "rnnbench compare --fail-slower=-5%; the log says why"),
    ],
)
@pytest.mark.parametrize("makes_baseline", ["true", "false"])
def test_what_compares_nothing_of_the_repository_is_refused_before_anything_is_measured(
    steps, workspace, runs, monkeypatch, variable, text, why, makes_baseline
):
    """With a setup and a baseline as well: rnnbench, compared with itself, is always as fast."""
    place_baseline(runs, workspace, "old")
    started = play(steps, monkeypatch, runs, head="same")
    monkeypatch.setenv("INPUT_SETUP", "true")
    monkeypatch.setenv("MAKES_BASELINE", makes_baseline)
    monkeypatch.setenv(variable, text)
    assert steps.gate() == 2
    assert started == []
    assert f"{why}" in html.unescape(summary()).replace("\\", "")
    assert outputs() == {"exit_code": "2"}


# names


def test_the_baseline_is_named_by_machine_work_and_commit(steps, workspace, monkeypatch):
    def placed(**other: str) -> dict[str, str]:
        Path(os.environ["GITHUB_OUTPUT"]).unlink(missing_ok=True)
        with monkeypatch.context() as changed:
            for name, value in other.items():
                changed.setenv(name, value)
            assert steps.name_baseline() == 0
            return outputs()

    usual = placed()
    assert re.fullmatch(r"rnnbench-default-[0-9a-f]{12}", usual["folder"])
    assert usual["key"] == f"{usual['folder']}-{BASE}"
    assert (usual["base"], usual["makes_baseline"]) == (BASE, "false")
    main = placed(GITHUB_REF="refs/heads/main", INPUT_BASE="", GITHUB_SHA=BASE)
    assert (main["key"], main["makes_baseline"]) == (usual["key"], "true")
    assert placed(GITHUB_REF="refs/heads/main")["makes_baseline"] == "false"  # a base was named
    of_a_target = placed(GITHUB_REF="refs/heads/main", INPUT_BASE="", EVENT_BASE=BASE)
    assert (of_a_target["base"], of_a_target["makes_baseline"]) == (BASE, "false")
    assert placed(INPUT_RUN="--variant mine:other")["folder"] != usual["folder"]
    assert placed(INPUT_SETUP="pip install .")["folder"] != usual["folder"]
    hostile = placed(INPUT_BASELINE_KEY=f"{HOSTILE}\nbase=x,../..", INPUT_BASE="")
    assert set(hostile) == set(usual)
    assert re.fullmatch(r"rnnbench-[\w.-]{1,80}-[0-9a-f]{12}", hostile["folder"])
    assert (hostile["base"], hostile["makes_baseline"]) == ("", "false")
    assert placed(GITHUB_ACTION_PATH=f"/actions/rnnbench/{HEAD}")["folder"] != usual["folder"]
    for name, other in (
        ("host_hash", "other"),
        ("python", {"python": "CPython 3.99"}),
        ("packages", {"packages": {"numpy": "9.0"}}),
    ):
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(steps.host, name, lambda *given, other=other: other)
            assert placed()["folder"] != usual["folder"]


@pytest.mark.parametrize("shallow", [False, True])
def test_the_base_is_what_github_merged_with_although_the_event_names_an_older_one(
    steps, repository, monkeypatch, tmp_path, shallow
):
    old, tip = git("rev-parse", "HEAD^"), git("rev-parse", "HEAD")
    (repository / "theirs.py").touch()
    git("add", "theirs.py")
    git("commit", "--quiet", "--message", f"x\n\nparent {BASE}")
    merge = git("commit-tree", "HEAD^{tree}", "-p", tip, "-p", "HEAD", "-m", f"parent {BASE}")
    git("branch", "merged", merge)
    if shallow:
        git("clone", "--quiet", "--depth=1", "-b", "merged", repository.as_uri(), str(tmp_path / "shallow"))
        monkeypatch.chdir(tmp_path / "shallow")
    monkeypatch.setenv("EVENT_BASE", old)
    for sha, ref, named, base in (
        (merge, "refs/pull/7/merge", "", tip),
        (merge, "refs/pull/7/merge", BASE, BASE),
        (merge, "refs/heads/other", "", old),
        (
            git("rev-parse", "HEAD") if not shallow else HEAD,
            "refs/pull/7/merge",
            "",
            old,
        ),  # no merge, or not here
    ):
        monkeypatch.setenv("GITHUB_SHA", sha)
        monkeypatch.setenv("GITHUB_REF", ref)
        monkeypatch.setenv("INPUT_BASE", named)
        assert steps.name_baseline() == 0
        assert outputs()["base"] == base


GH = """#!/bin/bash
printf '%s\\n' "$@" >> calls
[ "$2" = user ] && { [ -f login ] || { echo '{"message": "Forbidden"}'; exit 1; }; cat login; exit; }
[ -f refuse ] && { echo 'HTTP 403' >&2; exit 1; }
case "$*" in *--paginate*) jq -r "${@: -1}" comments;; esac
"""
COMMENTS = """[
  {"id": 40, "user": {"login": "stranger"}, "body": "<!-- rnnbench-default -->"},
  {"id": 41, "user": {"login": "github-actions[bot]"}, "body": "other"},
  {"id": 42, "user": {"login": "github-actions[bot]"}, "body": "<!-- rnnbench-default -->\\nold"},
  {"id": 43, "user": {"login": "owner-of-a-token"}, "body": "<!-- rnnbench-default -->"}
]"""


@pytest.mark.skipif(not shutil.which("jq"), reason="gh has a jq of its own")
@pytest.mark.parametrize(
    ("comments", "login", "renewed"),
    [("[]", "", ""), (COMMENTS, "", "42"), (COMMENTS, "owner-of-a-token", "43"), (COMMENTS, "nobody", "")],
)
def test_the_comment_ends_at_the_fold_and_is_renewed_and_is_no_gate(
    workspace, take, tools, comments, login, renewed, capfd
):
    """Never renewed is what a stranger wrote, who could change it afterwards."""
    assert take("Comment", **COMMENT) == 0
    assert "there is nothing to comment" in capfd.readouterr().out
    (tools / "gh").write_text(GH, encoding="utf-8")
    (tools / "gh").chmod(0o755)
    (workspace / "comments").write_text(comments, encoding="utf-8")
    if login:
        (workspace / "login").write_text(login, encoding="utf-8")
    folder = workspace / ".rnnbench" / "folder"
    folder.mkdir(parents=True)
    (folder / "summary.md").write_text("**Slower** $(touch pwned)\n\n<details>\nrest", encoding="utf-8")
    assert take("Comment", **COMMENT) == 0
    _, first, second = (workspace / "calls").read_text(encoding="utf-8").split("api\n")[1:]
    assert first.splitlines()[1] == "repos/somebody/project/issues/7/comments"
    target = f"issues/comments/{renewed}" if renewed else "issues/7/comments"
    assert f"--method\n{'PATCH' if renewed else 'POST'}\nrepos/somebody/project/{target}\n--raw" in second
    page = "https://git.example/somebody/project/actions/runs/99"
    body = f"**Slower** $(touch pwned)\n\n[The whole summary]({page})\n"
    assert second.endswith(f"body=<!-- rnnbench-default -->\n{body}")
    (workspace / "refuse").touch()
    assert take("Comment", **COMMENT) == 0
    assert "::warning title=rnnbench::no comment" in capfd.readouterr().out
    assert not (workspace / "pwned").exists()


# the whole, as the runner starts it


@pytest.fixture
def tools(tmp_path) -> Path:
    """The programs that a step finds: python3, whose pip only tells what it was asked."""
    folder = tmp_path / "tools"
    folder.mkdir()
    body = f'[ "$2" = pip ] && printf "%s\\n" "$@" > {tmp_path}/pip && exit; exec {sys.executable} "$@"'
    (folder / "python3").write_text(f"#!/bin/bash\n{body}\n", encoding="utf-8")
    (folder / "python3").chmod(0o755)
    return folder


def run_step(
    name: str, environment: Mapping[str, str], filled: Mapping[str, str], *, folder: Path | None = None
) -> int:
    """Run a step's script as the runner does, its expressions filled in; its exit code."""
    kept = {variable: text for variable, text in environment.items() if variable not in FROM_ACTION}
    given = {
        variable: re.sub(r"\$\{\{ (.*?) \}\}", lambda found: filled[found[1]], text)
        for variable, text in BY_NAME[name]["env"].items()
    }
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", BY_NAME[name]["run"]]
    return subprocess.run(command, env=kept | given, cwd=folder).returncode


@pytest.fixture
def take(workspace, tools) -> Callable[..., int]:
    def take(name: str, **filled: str) -> int:
        return run_step(name, os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"}, filled)

    return take


def test_the_steps_as_the_runner_starts_them(tmp_path, workspace, runs, take, tools):
    """Install, name, measure, compare, with the inputs of a hostile pull request."""
    place_baseline(runs, workspace, "old")
    code = "from bench.cli.main import main; import sys; sys.exit(main(sys.argv[1:]))"
    (tools / "rnnbench").write_text(
        f"""#!/bin/bash
[ "$1" = compare ] && exec {sys.executable} -P -c '{code}' "$@"
printf '%s\\n' "$@" > {tmp_path}/run
mkdir -p "${{@: -1}}" && cp {runs}/slower/journal.jsonl "${{@: -1}}"
""",
        encoding="utf-8",
    )
    (tools / "rnnbench").chmod(0o755)
    filled = {
        "inputs.run": "--variant 'mine:fast $(touch pwned)' # a comment",
        "inputs.setup": "",
        "inputs.baseline-key": HOSTILE,
        "inputs.fail-slower": "5%",
        "inputs.base": BASE,
        "github.event.pull_request.base.sha || github.event.merge_group.base_sha": "",
        "github.event.repository.default_branch": "main",
        "inputs.extra-index-url || env.PIP_EXTRA_INDEX_URL": "",
    }
    assert take("Install rnnbench", **filled) == 0
    words = (tmp_path / "pip").read_text(encoding="utf-8").splitlines()
    assert words[-3:] == ["--constraint", str(ROOT / "constraints.txt"), str(ROOT)]
    assert take("Name the baseline", **filled) == 0
    (workspace / ".rnnbench" / "folder").rename(workspace / ".rnnbench" / outputs()["folder"])
    filled |= {f"steps.baseline.outputs.{name}": value for name, value in outputs().items()}
    assert take("Measure and compare", **filled) == 1
    ran = (tmp_path / "run").read_text(encoding="utf-8").splitlines()
    assert ran[:4] == ["run", "--variant", "mine:fast $(touch pwned)", "--out"]
    assert f"New: head/{HEAD[:12]}" in summary()
    assert outputs()["exit_code"] == "1"
    assert not list(tmp_path.rglob("pwned"))


def test_a_bad_input_is_one_line(workspace, steps, take, capfd, monkeypatch):
    monkeypatch.setenv("INPUT_BASE", "main")
    with pytest.raises(UserError, match="full hash"):
        steps.name_baseline()
    filled = dict.fromkeys(expressions(BY_NAME["Name the baseline"]["env"]), "")
    filled = {name.strip(): "'" for name in filled}
    assert take("Name the baseline", **filled) == 2
    out, err = capfd.readouterr()
    assert (out.count("\n"), err) == (1, "")
    assert out.startswith("::error title=rnnbench::")
    # a traceback would end with 1, as a proved slowdown does
    filled = dict.fromkeys(map(str.strip, expressions(BY_NAME["Measure and compare"]["env"])), "")
    monkeypatch.setenv("GITHUB_OUTPUT", str(workspace / "none" / "output"))
    assert take("Measure and compare", **filled) == 3
    assert "::error title=rnnbench::" in capfd.readouterr().out.splitlines()[-1]
