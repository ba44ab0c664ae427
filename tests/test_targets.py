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


def export(out: str, to: str = "csv") -> int:
    return main(["export", "run", "--to", to, "--out", out])


def make_device(path: Path, kind: int, device: int) -> None:
    try:
        os.mknod(path, 0o600 | kind, device)
        path.is_block_device() or path.write_bytes(b"")
    except OSError:
        pytest.skip("no device can be made, or used, here")


@pytest.mark.parametrize("to", ["csv", "pyperf", "pytest-benchmark"])
def test_an_export_goes_through_a_pipe_and_a_link_to_one(folder, to):
    os.mkfifo("pipe")
    Path("link").symlink_to("pipe")
    assert export("file", to) == 0
    for name in ("pipe", "link"):
        with reading(Path("pipe")) as found:
            assert export(name, to) == 0
        assert found == [Path("file").read_bytes()]
    assert Path("pipe").is_fifo()
    assert Path("link").is_symlink()
    assert sorted(path.name for path in folder.iterdir()) == ["file", "link", "pipe", "run"]


def test_a_pipe_that_nobody_reads_is_refused_and_parameters_are_in_their_folder_all_the_same(
    folder, monkeypatch, capsys
):
    monkeypatch.setattr(files, "PATIENCE_S", 0.0)
    os.mkfifo("pipe")
    assert export("pipe") == 2
    said = capsys.readouterr().err
    assert said == "rnnbench: cannot write pipe: nobody reads from it; choose another --out\n"
    assert main([*TRAIN, "--out", "t", "--save", "pipe"]) == 2
    assert "the parameters are in t/params all the same" in capsys.readouterr().err
    assert Path("t/params/numpy-inplace.npz").is_file()
    assert Path("pipe").is_fifo()


def test_a_device_stays_a_device(folder):
    make_device(Path("device"), stat.S_IFCHR, os.makedev(1, 3))  # which takes everything
    Path("link").symlink_to("device")
    for name in ("device", "link"):
        assert export(name) == 0
        assert Path("device").is_char_device()
    assert Path("link").is_symlink()


ODD: dict[str, Callable[[Path], object]] = {
    "folder": Path.mkdir,
    "disk": lambda path: make_device(path, stat.S_IFBLK, os.makedev(7, 255)),
    "socket": lambda path: socket.socket(socket.AF_UNIX).bind(path.name),
    "link": lambda path: path.symlink_to("run"),
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_is_no_place_for_a_file_is_refused_and_stays(folder, capsys, kind):
    odd = folder / "odd"
    ODD[kind](odd)
    before = odd.lstat()
    assert export("odd") == 2
    assert "and no file; choose another --out" in capsys.readouterr().err
    assert (odd.lstat().st_mode, odd.lstat().st_ino) == (before.st_mode, before.st_ino)


def test_parameters_go_through_a_pipe(folder):
    os.mkfifo("pipe")
    with reading(Path("pipe")) as found:
        assert main([*TRAIN, "--out", "t", "--save", "pipe"]) == 0
    Path("got.npz").write_bytes(found[0])
    with np.load("got.npz") as got, np.load("t/params/numpy-inplace.npz") as kept:
        assert all(np.array_equal(got[name], kept[name]) for name in "UWV")
    assert Path("pipe").is_fifo()


@pytest.mark.parametrize("save", ["/", ".", "..", "run", "no/where.npz", "run/journal.jsonl/x", "a" * 300])
@pytest.mark.parametrize("more", [(), ("--variant", "numpy-batched")], ids=["one", "two"])
def test_a_place_where_nothing_can_be_saved_is_refused_before_the_training(folder, capsys, save, more):
    assert main([*TRAIN, *more, "--out", "t", "--save", save]) == 2
    err = capsys.readouterr().err
    assert err.startswith("rnnbench: cannot write ")
    assert err.count("\n") == 1
    assert not Path("t").exists()


@pytest.mark.parametrize(
    ("verb", "said"),
    [
        (("report", "pipe"), "it is no regular file"),
        (("report", "run/pipe/training.jsonl"), "it is no regular file"),
        ((*TRAIN, "--load", "pipe"), "it is no regular file"),
        ((*TRAIN, "--out", "pipe"), "cannot write to pipe: File exists; choose another --out\n"),
    ],
)
def test_what_is_read_must_be_a_file_and_a_training_needs_a_folder(folder, capsys, verb, said):
    os.mkfifo("pipe")
    Path("run/pipe").mkdir()
    os.mkfifo("run/pipe/training.jsonl")
    assert main(list(verb)) == 2
    assert said in capsys.readouterr().err
