"""Packages: built as pip builds them, and put where Python finds them, without pip or a network."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("bench", "impl_numpy", "impl_torch", "rnnbench_pytest")
FILES = (
    "*.cff", "*.in", "*.md", "*.py", "*.toml", "*.txt", "*.yml", ".pre-commit-config.yaml", "LICENSE",
    "Makefile",
)  # fmt: skip


def copy_project(folder: Path) -> Path:
    """Copy this project without what tools left in it; a build writes into its folder."""
    for name in (*PACKAGES, "docs", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (path for pattern in FILES for path in ROOT.glob(pattern)):
        shutil.copy(path, folder)
    return folder


def build(project: Path, *, what: str = "wheel") -> Path:
    """Return the wheel or the sdist of a project, which its build backend writes to ``dist`` beside it."""
    out = project.parent / "dist"
    code = f"import setuptools.build_meta as backend; print(backend.build_{what}({str(out)!r}))"
    built = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return out / built.stdout.splitlines()[-1]


def install(wheel: Path, folder: Path) -> None:
    """Unpack a wheel of plain files, which is all that its installation is."""
    zipfile.ZipFile(wheel).extractall(folder)


def find_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this process and its children find what is installed in a folder."""
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
