"""Variants of installed packages: found by their metadata, run only where named; a broken one is a line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import played
import pytest
from declared import CPU_ONLY, declare, small_plan
from packages import ROOT, build, find_in, install
from played import of_kind
from test_contributing import TEMPLATE, blocks

from bench.api import listing, run, verify
from bench.api.listing import plugged_in
from bench.api.options import VerifyOptions
from bench.cli.main import main
from bench.machine.errors import UserError
from bench.records.record import Burst
from bench.workload import catalog
from bench.workload.catalog import LENGTHS, VARIANTS, WITH_STREAM, find
from bench.workload.plugins import Plugin, installed

MODULE = """
import pathlib
pathlib.Path(__file__).with_suffix(".imported").touch()

class Good:
    name, library, summary, bind = "numpy-good", "numpy", "a good one", print
class Other:
    name, library, bind = "numpy-other", "numpy", print
class Taken:
    name, library, bind = "numpy-batched", "numpy", print
class Wrong:
    name, library, bind, tasks = "numpy-wrong", "numpy", print, ["cook"]
bare = object()
"""
# entry point -> why it cannot be used
BROKEN = {
    "numpy-absent = no_such_module:it": "cannot load the variant 'no_such_module:it': ModuleNotFoundError: "
    "No module named 'no_such_module'",
    "numpy-bare = theirs:bare": "'theirs:bare' is no variant: it lacks name, library, bind",
    "numpy-batched = theirs:Taken": "'theirs:Taken': the name 'numpy-batched' is taken; choose another",
    "numpy-late = theirs:Lte": "cannot load the variant 'theirs:Lte': AttributeError: module 'theirs' has no "
    "attribute 'Lte'",
    "numpy-misnamed = theirs:Good": "its variant is called 'numpy-good': give variant and entry point one "
    "name",
    "numpy-module = theirs": "write its entry point as NAME = \"module:object\", not 'theirs'",
    "numpy:colon = theirs:Good": "write its entry point as NAME = \"module:object\", not 'theirs:Good'",
    "numpy-raises = raising:it": "cannot load the variant 'raising:it': ZeroDivisionError: division by zero "
    "(raising.py, line 1, in <module>)",
    "numpy-wrong = theirs:Wrong": f"'theirs:Wrong': tasks must be of {', '.join(WITH_STREAM)}, not 'cook'",
}


def offer(folder: Path, package: str, entries: list[str], *, version: str = "1.0") -> None:
    """Write a package's metadata, as they are once it is installed."""
    metadata = folder / f"{package.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    (metadata / "entry_points.txt").write_text("\n".join(["[rnnbench.variants]", *entries, ""]))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where packages are installed, with their modules and no metadata yet."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "theirs.py").write_text(MODULE)
    (folder / "raising.py").write_text("1 / 0\n")
    find_in(folder, monkeypatch)
    monkeypatch.setenv("COLUMNS", "200")
    return folder


def test_it_is_listed_with_its_package_and_never_imported_here(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    offer(site, "good-package", ["numpy-good = theirs:Good"], version="2.5")
    assert main(["variants"]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "numpy-good" in line)
    assert [cell.strip() for cell in line.strip("│").split("│")] == [
        "numpy-good", "a good one", "cpu", "rnn alone, no biases", "good-package 2.5"
    ]  # fmt: skip
    assert "theirs" not in sys.modules


def test_metadata_alone_say_the_names_and_the_versions(site: Path) -> None:
    offer(site, "good-package", ["numpy-good = theirs:Good [extra]"], version="2.5")
    assert installed() == (Plugin("numpy-good", "theirs:Good", "good-package", "2.5"),)
    with pytest.raises(
        UserError, match=r"no variant 'numpy-goof' \(did you mean 'numpy-good'\?\); there are: "
    ):
        find("numpy-goof")
    plan = small_plan("numpy-inplace")
    assert catalog.plugin_versions(["numpy-batched", "theirs:Good", "numpy-good"]) == {"good-package": "2.5"}
    assert "good-package" not in run.environment(plan, [], host_name=False).machine["packages"]
    assert not (site / "theirs.imported").exists()


def test_what_is_not_named_is_neither_run_nor_imported(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(site, "good-package", ["numpy-good = theirs:Good"])
    asked: list[str] = []
    monkeypatch.setattr(verify, "verify", lambda specs, *_, **__: asked.extend(specs) or [])
    monkeypatch.setattr(verify, "find_devices", lambda: CPU_ONLY)
    verify.prove(VerifyOptions(device=("cpu",)), "cpu")
    for preset in ("primer", "grid", "full", "cells"):
        asked += [arm.spec for arm in declare(preset=preset).arms]
    assert set(asked) == {variant.name for variant in (*VARIANTS, *LENGTHS)}
    assert not (site / "theirs.imported").exists()


def test_a_broken_one_is_a_line_and_where_it_is_named_an_error(
    site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    offer(site, "bad-package", [*BROKEN, "numpy-good = theirs:Good"])
    assert main(["variants"]) == 0
    printed = capsys.readouterr().out.splitlines()
    names = {entry.partition(" = ")[0]: why for entry, why in BROKEN.items()}
    lines = {name: f"the plug-in {name!r} of bad-package 1.0: {why}" for name, why in names.items()}
    assert [line for line in printed if line.startswith("the plug-in")] == [
        lines[name] for name in sorted(lines)
    ]
    assert any("numpy-good" in line for line in printed)  # nothing is lost
    for name in names.keys() - {"numpy-batched", "numpy:colon"}:  # which name other variants
        with pytest.raises(UserError) as refused:
            find(name)
        assert str(refused.value) == lines[name]
    assert find("numpy-batched") in VARIANTS
    assert main(["variants", "--variant", "numpy-wrong"]) == 2
    assert capsys.readouterr().err.strip() == f"rnnbench: {lines['numpy-wrong']}"


def test_of_two_with_one_name_neither_is_used(site: Path) -> None:
    for package in ("one", "two"):
        offer(site, package, ["numpy-other = theirs:Other"])
    message = (
        "the plug-in 'numpy-other' of one 1.0: two 1.0 has one of this name, too: rename one, or uninstall it"
    )
    with pytest.raises(UserError, match=message):
        find("numpy-other")


def test_two_entry_points_of_one_name_in_a_package_are_one_line(site: Path) -> None:
    offer(site, "one", ["numpy-other = theirs:Other", "numpy-other = theirs:Good"])
    assert plugged_in() == (
        {}, ["the plug-in 'numpy-other' of one 1.0: two entry points have this name: rename one"]
    )  # fmt: skip


def test_a_listing_does_not_wait_long_for_a_plug_in_and_names_a_package_without_a_name(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(site, "nameless", ["numpy-other = theirs:Other"])
    (site / "nameless-1.0.dist-info" / "METADATA").unlink()
    monkeypatch.setattr(listing, "LISTING_SECONDS", 0.0)
    plugged, (refusal,) = plugged_in()
    assert refusal.startswith(
        "the plug-in 'numpy-other' of (a package without a name) (no version): cannot load"
    )
    assert (plugged, "importing it took more than 0 s" in refusal) == ({}, True)


def test_metadata_that_cannot_be_read_cost_only_their_own_variants(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    offer(site, "good-package", ["numpy-good = theirs:Good"])
    offer(site, "torn-package", ["no entry point"])
    offer(site, "looped-package", [])
    looped = site / "looped_package-1.0.dist-info" / "entry_points.txt"
    looped.unlink()
    looped.symlink_to(looped)  # of which nothing is known
    for package, content in (
        ("binary", b"[rnnbench.variants]\n\xff = a:b\n"),
        ("open", b"[rnnbench.variants\n"),
    ):
        offer(site, f"{package}-package", [])
        (site / f"{package}_package-1.0.dist-info" / "entry_points.txt").write_bytes(content)
    assert main(["variants"]) == 0
    printed = capsys.readouterr().out
    assert "numpy-good" in printed
    for name in ("torn-package", "binary-package", "open-package"):
        assert f"the plug-in '{name}' of {name} 1.0: write its entry point as NAME" in printed
    assert "looped" not in printed


def test_a_package_that_is_found_twice_is_one(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(site, "good-package", ["numpy-good = theirs:Good"], version="2.0")
    offer(tmp_path / "newer", "good-package", ["numpy-good = theirs:Good"], version="3.0")
    monkeypatch.syspath_prepend(tmp_path / "newer")
    assert [plugin.version for plugin in installed()] == ["3.0"]


def write_template(project: Path) -> Path:
    """Write CONTRIBUTING's package as it stands there."""
    project.mkdir()
    (pyproject,) = blocks("toml")
    (described,) = (block for block in blocks("python") if block.startswith("class Mine"))
    (project / "pyproject.toml").write_text(pyproject)
    (project / "rnnbench_mine.py").write_text(f"{TEMPLATE}\n\n{described}")
    return project


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_template(tmp_path_factory.mktemp("template") / "rnnbench-mine")


@pytest.mark.parametrize(
    "command",
    [("ruff", "check"), ("ruff", "format", "--check"), ("mypy", "rnnbench_mine.py")],
    ids=" ".join,
)
def test_ruff_and_mypy_find_nothing_in_the_package_of_contributing(
    template: Path, command: tuple[str, ...]
) -> None:
    pytest.importorskip(command[0])
    # mypy does not follow the hook of an editable installation; tests/acceptance/test_install.py has a wheel
    ended = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=template,
        env=os.environ | {"MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.usefixtures("few_cases")
def test_the_package_of_contributing_is_proved_and_timed(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(build(template), tmp_path / "site")
    find_in(tmp_path / "site", monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(verify, "find_devices", lambda: CPU_ONLY)
    assert main(["verify", "--variant", "numpy-mine"]) == 0
    assert "numpy-mine claims to be right and agrees" in capsys.readouterr().out
    plan = small_plan("numpy-mine")
    end, records = played.run(plan)
    assert end.status == "complete"
    assert [arm.spec for arm in plan.arms if not arm.twin][-1] == "numpy-mine"
    assert {burst.entry for burst in of_kind(records, Burst)} == {
        entry.id for entry in plan.groups[0].entries
    }
    assert run.environment(plan, [], host_name=False).machine["packages"]["rnnbench-mine"] == "1.0"

    assert main(["train", "--variant=numpy-mine", "--epochs=2", "--hidden=4", "--batch=8", "--out=here"]) == 0
    header = json.loads((tmp_path / "here" / "training.jsonl").read_text().splitlines()[0])
    assert header["record"]["machine"]["packages"]["rnnbench-mine"] == "1.0"
