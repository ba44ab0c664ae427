"""T23: used without a clone. Built, installed into empty environments, and run from another folder.

Every Python from 3.11 to 3.14 that is at hand is tried; of PyTorch comes what pip finds, on Linux perhaps
with CUDA: five gigabytes and three minutes each. pip needs its package index. The oldest also gates a project
by the steps of action.yml, which measure three times.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from acceptance.validity import Recorder
from packages import ROOT, copy_project
from test_action import ACTION, expressions, run_step, variables
from test_contributing import TEMPLATE
from test_plugins import write_template

from bench.machine import wording

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
COMMANDS = (
    ("verify", "--variant", "numpy-batched"),
    ("run", "--quick", "--out", "run"),
    ("report", "run", "--out", "report"),
)
# what a user writes: a variant, as CONTRIBUTING shows it, and a script as of a notebook
SCRIPT = """
from pathlib import Path

import bench
from bench.workload import data
from bench.workload.case import sine_case
from impl_numpy import rnn
from impl_torch import modules

result = bench.run(quick=True, variants=["numpy-inplace", "torch-layer"], hidden=[32, 256])
page: Path = bench.report(result, out="page")
batch = data.make(sine_case("train_step", "positional", dtype="float64"))
loss, params = rnn.sgd_step(batch.params, batch.x, batch.y, lr=0.1)
print(f"{loss:.3f}", page, bench.verify(variants="numpy-batched"), modules.__name__)
"""
# what a repository has that gates its variant
PASS = '            last["y_hat"] = predict(current, x, activation=activation)\n'
TOY = f"""{TEMPLATE}

from types import SimpleNamespace

fast = SimpleNamespace(name="numpy-fast", library="numpy", bind=bind)
"""
WRONG = """
import bench

page: int = bench.report("run")
bench.rnu()
"""


def output_of(*command: str | Path, cwd: Path, fails: bool = False) -> str:
    """What a command prints that ends well, or with ``fails`` badly; it is not told of the project."""
    environment = {name: os.environ[name] for name in os.environ if not name.startswith("PYTHON")}
    ended = subprocess.run(
        [*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, timeout=1800
    )
    assert (ended.returncode != 0) is fails, f"{command}: {ended.stdout}{ended.stderr}"
    return ended.stdout + ended.stderr


def interpreter(version: str) -> Path:
    """A Python of this version, on the path or kept by pyenv; the test is skipped where none is."""
    found = [path] if (path := shutil.which(f"python{version}")) else []
    if pyenv := shutil.which("pyenv"):
        root = Path(subprocess.run([pyenv, "root"], capture_output=True, text=True).stdout.strip())
        found += map(str, root.glob(f"versions/{version}.*/bin/python"))
    for path in found:  # pyenv puts programs on the path that do not start
        if subprocess.run([path, "--version"], capture_output=True).returncode == 0:
            return Path(path)
    pytest.skip(f"no Python {version} is at hand")


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Path]:
    """A folder that is removed at once, since environments are large."""
    with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the sdist, and that from a copy of the project, by what pyproject names."""
    folder = tmp_path_factory.mktemp("built")
    project = copy_project(folder / "rnnbench")
    tools = folder / "tools"
    output_of(sys.executable, "-m", "venv", tools, cwd=folder)
    required = tomllib.loads((project / "pyproject.toml").read_text())["build-system"]["requires"]
    output_of(tools / "bin" / "pip", "install", "--quiet", *required, cwd=folder)
    code = f"import setuptools.build_meta as backend; backend.build_sdist({str(folder)!r})"
    output_of(tools / "bin" / "python", "-c", code, cwd=project)
    (sdist,) = folder.glob("*.tar.gz")
    for source, out in ((sdist, "from_sdist"), (project, "from_project")):
        output_of(
            tools / "bin" / "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", out, source, cwd=folder
        )
    wheels = [*folder.glob("from_*/*.whl")]
    assert len({tuple(sorted(zipfile.ZipFile(wheel).namelist())) for wheel in wheels}) == 1 < len(wheels)
    return wheels[0]


@pytest.fixture(scope="module")
def installed(
    request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """A Python's version, and the programs of an environment that holds the wheel and what it needs."""
    with tempfile.TemporaryDirectory(dir=tmp_path_factory.mktemp("environments")) as name:
        folder = Path(name)
        output_of(interpreter(request.param), "-m", "venv", "env", cwd=folder)
        programs, constraints = folder / "env" / "bin", ROOT / "constraints.txt"
        output_of(programs / "pip", "install", "--quiet", wheel, "--constraint", constraints, cwd=folder)
        yield request.param, programs


@pytest.mark.parametrize("installed", PYTHONS, indirect=True)
def test_it_is_installed_and_runs_from_another_folder(
    installed: tuple[str, Path], empty: Path, validity: Recorder
) -> None:
    (version, programs), elsewhere = installed, empty / "elsewhere"
    elsewhere.mkdir()
    printed = [output_of(programs / "rnnbench", *command, cwd=elsewhere) for command in COMMANDS]
    write_template(elsewhere / "rnnbench-mine")
    output_of(programs / "pip", "install", "--quiet", "./rnnbench-mine", cwd=elsewhere)
    proved = output_of(programs / "rnnbench", "verify", "--variant", "numpy-mine", cwd=elsewhere)
    where = output_of(programs / "python", "-c", "import bench; print(bench.__file__)", cwd=elsewhere)
    exact = output_of(programs / "python", "--version", cwd=elsewhere).strip()
    kept = (
        Path(where.strip()).is_relative_to(programs.parent)
        and "numpy-batched claims to be right and agrees" in printed[0]
        and "numpy-mine claims to be right and agrees" in proved
        and all((elsewhere / name / "report.html").exists() for name in ("run", "report"))
    )
    validity.record(
        f"T23-install-{version}",
        claim=f"the wheel in an empty environment of Python {version}, with constraints.txt, from another "
        "folder; then CONTRIBUTING's package beside it",
        promised="verify, run, report, and verify of the package: exit code 0, and a page each",
        measured=f"{exact}: {'so' if kept else 'not so'}",
        kept=kept,
    )
    assert kept, [*printed, proved]


@pytest.mark.parametrize("installed", PYTHONS[:1], indirect=True)
def test_the_action_gates_a_project_by_its_speed(
    installed: tuple[str, Path], empty: Path, validity: Recorder
) -> None:
    """Two pull requests: one changes a comment, and one computes every forward pass twice."""
    codes = gated(installed[1], empty, "--blocks 10 --task forward --batch 4 --hidden 4")
    kept = codes == {"as fast": 0, "slower": 1}
    validity.record(
        "T23-gate",
        claim="the steps of action.yml in a repository with a variant and two pull requests: the base is "
        "measured for the first, restored for the second",
        promised="as fast: exit code 0; a forward pass that is computed twice: 1",
        measured=wording.listing([f"{name}: {code}" for name, code in codes.items()]),
        kept=kept,
    )
    assert kept, codes


def gated(programs: Path, folder: Path, options: str) -> dict[str, int]:
    """Take the steps of action.yml on the pull requests of a new repository; the exit codes."""
    project = copy_project(folder / "rnnbench")
    shutil.copytree(ROOT / "action", project / "action")
    repository = folder / "toy"
    repository.mkdir()

    def git(*words: str) -> str:
        author = ("-c", "user.name=nobody", "-c", "user.email=nobody")
        return output_of("git", *author, *words, cwd=repository).strip()

    def commit(text: str) -> str:
        (repository / "toy.py").write_text(text)
        git("add", "toy.py")
        git("commit", "--quiet", "--message", "toy")
        return git("rev-parse", "HEAD")

    environment = {name: os.environ[name] for name in os.environ if not name.startswith("PYTHON")}
    environment |= variables(folder) | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "GITHUB_ACTION_PATH": str(project),
    }
    filled = {f"inputs.{name}": how.get("default", "") for name, how in ACTION["inputs"].items()}
    filled |= {name.strip(): filled.get(name.strip(), "") for name in expressions(ACTION)}
    filled["inputs.run"] = f"--variant toy:fast {options}"
    assert run_step("Install rnnbench", environment, filled, folder=repository) == 0
    git("init", "--quiet")
    base, codes = commit(TOY), {}
    for name, text in (("as fast", f"{TOY}# the same\n"), ("slower", TOY.replace(PASS, PASS + PASS))):
        git("checkout", "--quiet", "--detach", base)
        merge = git("commit-tree", f"{commit(text)}^{{tree}}", "-p", base, "-p", "HEAD", "-m", "merge")
        git("checkout", "--quiet", "--detach", merge)
        environment["GITHUB_SHA"] = merge
        assert run_step("Name the baseline", environment, filled, folder=repository) == 0
        for line in (folder / "output").read_text().splitlines():
            output, _, value = line.partition("=")
            filled[f"steps.baseline.outputs.{output}"] = value
        codes[name] = run_step("Measure and compare", environment, filled, folder=repository)
    return codes


def test_mypy_strict_accepts_a_users_variant_and_a_script_against_what_is_installed(
    wheel: Path, empty: Path, validity: Recorder
) -> None:
    pytest.importorskip("mypy")
    env = empty / "env"
    output_of(sys.executable, "-m", "venv", "--without-pip", env, cwd=empty)
    (packages,) = env.glob("lib/python*/site-packages")
    zipfile.ZipFile(wheel).extractall(packages)
    (packages / "others.pth").write_text("\n".join(path for path in sys.path if path.endswith("-packages")))
    for name, text in (("mine", TEMPLATE), ("script", SCRIPT), ("wrong", WRONG)):
        (empty / f"{name}.py").write_text(text)
    mypy = (sys.executable, "-m", "mypy", "--strict", "--python-executable", env / "bin" / "python")
    accepted = output_of(*mypy, "mine.py", "script.py", cwd=empty)
    found = output_of(*mypy, "wrong.py", cwd=empty, fails=True)
    (packages / "bench" / "py.typed").unlink()
    untyped = output_of(*mypy, "script.py", cwd=empty, fails=True)
    refused = (
        "Found 2 errors" in found and "[assignment]" in found and "[attr-defined]" in found,
        "py.typed" in untyped,
    )
    kept = "no issues found in 2 source files" in accepted and all(refused)
    validity.record(
        "T23-types",
        claim="mypy --strict on a variant of a user's and a script against the installed wheel",
        promised="accepts both; finds 2 mistakes in a wrong script; refuses the wheel without py.typed",
        measured="so" if kept else f"not so: {accepted} {found} {untyped}",
        kept=kept,
    )
    assert kept
