"""What is written to need not be a file: a pipe or a device gets the content and stays what it is."""

import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from small_journal import small_records, write

from bench.cli.main import main
from bench.machine import files

if not hasattr(os, "mkfifo"):
    pytest.skip("there are no pipes with a name", allow_module_level=True)

TRAIN = ("train", "--variant", "numpy-inplace", "--epochs", "2", "--hidden", "4")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with a run."""
    monkeypatch.chdir(tmp_path)
    Path("run").mkdir()
    write(Path("run/journal.jsonl"), small_records())
    return tmp_path


@contextmanager
def reading(pipe: Path) -> Iterator[list[bytes]]:
    """What somebody reads from a pipe meanwhile."""
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()), daemon=True)
    reader.start()
    yield found
    reader.join(20)


def export(out: Path, to: str = "csv") -> int:
    return main(["export", "run", "--to", to, "--out", str(out)])


def null_device(path: Path) -> Path:
    """A device of our own that takes everything."""
    try:
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
        path.write_bytes(b"")
    except OSError:
        pytest.skip("no device can be made, or used, here")
    return path


@pytest.mark.parametrize("to", ["csv", "pyperf", "pytest-benchmark"])
def test_an_export_goes_through_a_pipe(folder: Path, to: str) -> None:
    os.mkfifo("pipe")
    with reading(Path("pipe")) as found:
        assert export(Path("pipe"), to) == 0
    assert export(Path("file"), to) == 0
    assert found == [Path("file").read_bytes()]
    assert Path("pipe").is_fifo()
    assert sorted(path.name for path in folder.iterdir()) == ["file", "pipe", "run"]


def test_a_link_to_a_pipe_stays_a_link(folder: Path) -> None:
    os.mkfifo("pipe")
    Path("link").symlink_to("pipe")
    with reading(Path("pipe")) as found:
        assert export(Path("link")) == 0
    assert found[0].startswith(b"run,block,")
    assert Path("link").is_symlink()


def test_a_pipe_that_nobody_reads_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(files, "PATIENCE_S", 0.0)
    os.mkfifo("pipe")
    assert export(Path("pipe")) == 2
    assert (
        capsys.readouterr().err == "rnnbench: cannot write pipe: nobody reads from it; choose another --out\n"
    )
    assert Path("pipe").is_fifo()


def test_a_device_stays_a_device(folder: Path) -> None:
    device = null_device(folder / "device")
    (folder / "link").symlink_to("device")
    for path in (device, folder / "link"):
        assert export(path) == 0
        assert device.is_char_device()
    assert (folder / "link").is_symlink()


def make_disk(path: Path) -> None:
    try:
        os.mknod(path, 0o600 | stat.S_IFBLK, os.makedev(7, 255))
    except OSError:
        pytest.skip("no device can be made here")


def make_socket(path: Path) -> None:
    socket.socket(socket.AF_UNIX).bind(path.name)


def make_link_to_folder(path: Path) -> None:
    path.symlink_to("run")


@pytest.mark.parametrize(
    "make",
    [Path.mkdir, make_disk, make_socket, make_link_to_folder],
    ids=["folder", "disk", "socket", "link"],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_is_no_place_for_a_file_is_refused_and_stays(
    folder: Path, capsys: pytest.CaptureFixture[str], make: Callable[[Path], None]
) -> None:
    make(folder / "odd")
    before = (folder / "odd").lstat()
    assert export(folder / "odd") == 2
    assert "and no file; choose another --out" in capsys.readouterr().err
    after = (folder / "odd").lstat()
    assert (after.st_mode, after.st_ino) == (before.st_mode, before.st_ino)


def test_parameters_go_through_a_pipe(folder: Path) -> None:
    os.mkfifo("pipe")
    with reading(Path("pipe")) as found:
        assert main([*TRAIN, "--out", "t", "--save", "pipe"]) == 0
    Path("got.npz").write_bytes(found[0])
    with np.load("got.npz") as got, np.load("t/params/numpy-inplace.npz") as kept:
        assert all(np.array_equal(got[name], kept[name]) for name in "UWV")
    assert Path("pipe").is_fifo()


def test_what_cannot_be_saved_after_a_training_is_in_its_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(files, "PATIENCE_S", 0.0)
    os.mkfifo("pipe")
    assert main([*TRAIN, "--out", "t", "--save", "pipe"]) == 2
    assert "the parameters are in t/params all the same" in capsys.readouterr().err
    assert Path("t/params/numpy-inplace.npz").is_file()


@pytest.mark.parametrize("save", ["/", ".", "..", "run", "no/where.npz", "run/journal.jsonl/x", "a" * 300])
@pytest.mark.parametrize("more", [(), ("--variant", "numpy-batched")], ids=["one", "two"])
def test_a_place_where_nothing_can_be_saved_is_refused_before_the_training(
    folder: Path, capsys: pytest.CaptureFixture[str], save: str, more: tuple[str, ...]
) -> None:
    assert main([*TRAIN, *more, "--out", "t", "--save", save]) == 2
    err = capsys.readouterr().err
    assert err.startswith("rnnbench: cannot write ")
    assert err.count("\n") == 1
    assert not Path("t").exists()


@pytest.mark.parametrize(
    "verb", [("report", "pipe"), ("report", "run/pipe/training.jsonl"), (*TRAIN, "--load", "pipe")]
)
def test_what_is_read_must_be_a_file(
    folder: Path, capsys: pytest.CaptureFixture[str], verb: tuple[str, ...]
) -> None:
    os.mkfifo("pipe")
    Path("run/pipe").mkdir()
    os.mkfifo("run/pipe/training.jsonl")
    assert main(list(verb)) == 2
    assert "it is no regular file" in capsys.readouterr().err


def test_a_training_needs_a_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo("pipe")
    assert main([*TRAIN, "--out", "pipe"]) == 2
    assert capsys.readouterr().err == "rnnbench: cannot write to pipe: File exists; choose another --out\n"
