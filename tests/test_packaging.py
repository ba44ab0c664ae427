"""The wheel and the sdist: what is in them. tests/acceptance/test_install.py installs them."""

import re
import tarfile
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path, PurePath

import pytest
from packages import PACKAGES, ROOT, build, copy_project

import bench
from bench.reporting.article import DOCUMENTS_NOTE

SHARED = "share/doc/rnnbench"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

pytest.importorskip("setuptools", "77")  # which torch brings along


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_project(tmp_path_factory.mktemp("project") / "rnnbench")


@pytest.fixture(scope="module")
def sources(project: Path) -> set[str]:
    """Every file of the project before anything is built."""
    return {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def wheel(project: Path, sources: set[str]) -> zipfile.ZipFile:
    return zipfile.ZipFile(build(project))


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    return Parser().parsestr(metadata_text(wheel))


def metadata_text(wheel: zipfile.ZipFile) -> str:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return wheel.read(name).decode()


def test_the_wheel_holds_every_file_of_the_packages_and_no_other_name(
    wheel: zipfile.ZipFile, sources: set[str]
) -> None:
    apart = (".dist-info", ".data")
    files = {name for name in wheel.namelist() if not PurePath(name).parts[0].endswith(apart)}
    assert files == {
        name for name in sources if name.startswith(tuple(f"{package}/" for package in PACKAGES))
    }
    assert {name.partition("/")[0] for name in files} == {*PACKAGES}
    assert {f"{package}/py.typed" for package in PACKAGES} <= files


def test_the_wheel_has_the_pages_and_the_constraints_for_the_environment(
    wheel: zipfile.ZipFile, sources: set[str]
) -> None:
    shipped = {name for name in wheel.namelist() if PurePath(name).parts[0].endswith(".data")}
    (folder,) = {f"{name.partition('.data/')[0]}.data/data/{SHARED}/" for name in shipped}
    pages = {name.removeprefix("docs/") for name in sources if re.match(r"docs/([^/]+\.md|teaching/)", name)}
    assert {name.removeprefix(folder) for name in shipped} == {*pages, "constraints.txt", "notebook.ipynb"}
    assert f"`{SHARED}` of the environment" in metadata_text(wheel)
    assert f"{SHARED} of its environment" in DOCUMENTS_NOTE


def test_no_link_of_the_metadata_is_relative(wheel: zipfile.ZipFile) -> None:
    body = metadata_text(wheel).partition("\n\n")[2]
    assert "rnnbench run --quick" in body
    assert not re.findall(r"\]\((?!https:)", body)


def test_the_sdist_holds_the_project(project: Path, sources: set[str]) -> None:
    with tarfile.open(build(project, what="sdist")) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert sources <= names  # so the README's links to files lead somewhere
    assert not [name for name in names if name.endswith(".pyc")]


def test_the_metadata_say_the_licence_the_pythons_and_nothing_that_does_not_exist(metadata: Message) -> None:
    assert metadata["License-Expression"] == "MIT"
    assert metadata.get_all("License-File") == ["LICENSE"]
    assert metadata["Requires-Python"] == ">=3.11"
    classifiers = metadata.get_all("Classifier", [])
    assert "Typing :: Typed" in classifiers
    assert not [
        text for text in classifiers if text.startswith("License ::")
    ]  # an SPDX expression excludes it
    assert metadata.get_all("Project-URL") is None  # the project is on no site


def test_the_version_and_the_licence_are_the_same_wherever_they_stand() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    cited = dict(re.findall(r"^([\w-]+): (\S.*)$", citation, re.MULTILINE))
    assert cited["version"] == bench.__version__ == PROJECT["version"]
    assert cited["license"] == PROJECT["license"]
    assert cited["title"] == PROJECT["name"]
    wheel = f"rnnbench-{bench.__version__}-py3-none-any.whl"
    assert wheel in (ROOT / "README.md").read_text(encoding="utf-8")


def test_a_commit_is_checked_by_what_make_check_runs_and_nothing_is_fetched() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    checks = re.search(r"^check:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert checks is not None
    programs = re.findall(r"\$\(BIN\)/((?:ruff \w+)|mypy)", checks[1])
    assert [" ".join(entry.split()[:2]) for entry in re.findall("entry: (.*)", hooks)] == programs
    assert re.findall("repo: (.*)", hooks) == ["local"]
    assert set(re.findall("language: (.*)", hooks)) == {"system"}
