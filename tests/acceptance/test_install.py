"""T23: used without a clone. Built, installed into empty environments, and run from another folder.

Every Python from 3.11 to 3.14 that is at hand is tried; of PyTorch comes what pip finds, on Linux perhaps
with CUDA: five gigabytes and three minutes each. pip needs its package index.
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
from test_contributing import TEMPLATE
from test_plugins import write_template

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
WRONG = """
import bench

page: int = bench.report("run")
bench.rnu()
"""


def said(*command: str | Path, cwd: Path, fails: bool = False) -> str:
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
    said(sys.executable, "-m", "venv", tools, cwd=folder)
    required = tomllib.loads((project / "pyproject.toml").read_text())["build-system"]["requires"]
    said(tools / "bin" / "pip", "install", "--quiet", *required, cwd=folder)
    code = f"import setuptools.build_meta as backend; backend.build_sdist({str(folder)!r})"
    said(tools / "bin" / "python", "-c", code, cwd=project)
    (sdist,) = folder.glob("*.tar.gz")
    for source, out in ((sdist, "from_sdist"), (project, "from_project")):
        said(tools / "bin" / "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", out, source, cwd=folder)
    wheels = [*folder.glob("from_*/*.whl")]
    assert len({tuple(sorted(zipfile.ZipFile(wheel).namelist())) for wheel in wheels}) == 1 < len(wheels)
    return wheels[0]


@pytest.mark.parametrize("version", PYTHONS)
def test_it_is_installed_and_runs_from_another_folder(
    version: str, wheel: Path, empty: Path, validity: Recorder
) -> None:
    python, elsewhere = interpreter(version), empty / "elsewhere"
    elsewhere.mkdir()
    said(python, "-m", "venv", empty / "env", cwd=empty)
    programs = empty / "env" / "bin"
    constraints = ROOT / "constraints.txt"
    said(programs / "pip", "install", "--quiet", wheel, "--constraint", constraints, cwd=elsewhere)
    printed = [said(programs / "rnnbench", *command, cwd=elsewhere) for command in COMMANDS]
    write_template(elsewhere / "rnnbench-mine")
    said(programs / "pip", "install", "--quiet", "./rnnbench-mine", cwd=elsewhere)
    proved = said(programs / "rnnbench", "verify", "--variant", "numpy-mine", cwd=elsewhere)
    where = said(programs / "python", "-c", "import bench; print(bench.__file__)", cwd=elsewhere)
    exact = said(programs / "python", "--version", cwd=elsewhere).strip()
    kept = (
        Path(where.strip()).is_relative_to(empty)
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


def test_mypy_strict_accepts_a_users_variant_and_a_script_against_what_is_installed(
    wheel: Path, empty: Path, validity: Recorder
) -> None:
    pytest.importorskip("mypy")
    env = empty / "env"
    said(sys.executable, "-m", "venv", "--without-pip", env, cwd=empty)
    (packages,) = env.glob("lib/python*/site-packages")
    zipfile.ZipFile(wheel).extractall(packages)
    (packages / "others.pth").write_text("\n".join(path for path in sys.path if path.endswith("-packages")))
    for name, text in (("mine", TEMPLATE), ("script", SCRIPT), ("wrong", WRONG)):
        (empty / f"{name}.py").write_text(text)
    mypy = (sys.executable, "-m", "mypy", "--strict", "--python-executable", env / "bin" / "python")
    accepted = said(*mypy, "mine.py", "script.py", cwd=empty)
    found = said(*mypy, "wrong.py", cwd=empty, fails=True)
    (packages / "bench" / "py.typed").unlink()
    untyped = said(*mypy, "script.py", cwd=empty, fails=True)
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
