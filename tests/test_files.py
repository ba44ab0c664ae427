"""A file is the old or the new one, whatever fails: write, sync, replace, or the program itself."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.machine.files import atomic_file, atomic_text, sync_folder, write_atomic

OLD, NEW = b"old\n" * 1000, b"new and longer\n" * 1000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "report.html"
    path.write_bytes(OLD)
    return path


def alone(path: Path) -> bool:
    return [entry.name for entry in path.parent.iterdir()] == [path.name]


def failing(number: int) -> Callable[..., None]:
    def fail(*args: object, **named: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_a_new_file_and_an_old_one_hold_the_new_content_each_through_a_name_of_its_own(path, monkeypatch):
    names = set()
    replace = os.replace

    def noted(source: Path, target: Path) -> None:
        names.add(source)
        replace(source, target)

    monkeypatch.setattr(os, "replace", noted)
    for target in (path, path.with_name("other")) * 10:
        write_atomic(target, NEW)
        assert target.read_bytes() == NEW
    assert len(list(path.parent.iterdir())) == 2
    assert len(names) == 20


def test_content_is_on_the_disk_before_it_gets_the_name_and_the_name_after(path, monkeypatch):
    steps: list[str] = []
    sync, replace = os.fsync, os.replace

    def noted_sync(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        steps.append("folder" if is_folder else f"file of {os.fstat(descriptor).st_size}")
        sync(descriptor)

    def noted_replace(source: Path, target: Path) -> None:
        steps.append("replace")
        assert Path(source).parent == path.parent
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(os, "replace", noted_replace)
    write_atomic(path, NEW)
    assert steps == [f"file of {len(NEW)}", "replace", "folder"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS])
@pytest.mark.parametrize("step", ["io.open", "os.fsync", "os.replace", "os.chmod"])
def test_where_a_step_before_the_new_name_fails_the_old_file_stays(path, monkeypatch, step, number):
    monkeypatch.setattr(step, failing(number))
    with pytest.raises(OSError, match=os.strerror(number)) as caught:
        write_atomic(path, NEW)
    monkeypatch.undo()
    assert (caught.value.errno, caught.value.filename) == (number, str(path))
    assert path.read_bytes() == OLD
    assert alone(path)


@pytest.mark.parametrize("after", [0, 1, 5000])
def test_where_the_disk_fills_up_the_old_file_stays(path, after):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (after, hard))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            write_atomic(path, NEW)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.filename == str(path)
    assert path.read_bytes() == OLD
    assert alone(path)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
def test_what_is_raised_while_it_is_written_goes_on_and_leaves_nothing(path, error):
    for writer, content in ((atomic_file, NEW), (atomic_text, NEW.decode())):
        with pytest.raises(error), writer(path) as file:  # noqa: PT012  (it is about both statements)
            file.write(content)
            raise error
        assert path.read_bytes() == OLD
        assert alone(path)


def test_an_error_about_another_file_keeps_its_name(path):
    with pytest.raises(FileNotFoundError) as caught, atomic_file(path):
        Path("nowhere").read_bytes()
    assert caught.value.filename == "nowhere"


@pytest.mark.parametrize(("name", "said"), [("no/report.html", "no such folder"), (".", "it is a folder")])
def test_a_place_for_no_file_is_named_by_the_file_that_was_wanted(path, name, said):
    with pytest.raises(OSError, match=said) as caught:
        write_atomic(path.parent / name, NEW)
    assert caught.value.filename == str(path.parent / name)
    assert alone(path)


def test_a_link_is_replaced_and_its_target_left_alone(path):
    link = path.with_name("link")
    link.symlink_to(path)
    write_atomic(link, NEW)
    assert not link.is_symlink()
    assert (link.read_bytes(), path.read_bytes()) == (NEW, OLD)


def test_a_new_file_is_as_readable_as_any_and_an_old_one_as_it_was(path):
    plain = path.with_name("plain")
    plain.touch()
    write_atomic(path.with_name("new"), NEW)
    assert path.with_name("new").stat().st_mode == plain.stat().st_mode
    path.chmod(0o600)
    write_atomic(path, NEW)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_text_is_utf_8_with_the_line_ends_that_were_written(path):
    with atomic_text(path) as file:
        file.writelines(["µs\n", "two\r\n"])
    assert path.read_bytes() == "µs\ntwo\r\n".encode()


def test_a_folder_that_cannot_be_opened_or_synced_by_its_file_system_is_done_without(path, monkeypatch):
    sync, number = os.fsync, errno.EINVAL

    def fail_for_folders(descriptor: int) -> None:
        (failing(number) if stat.S_ISDIR(os.fstat(descriptor).st_mode) else sync)(descriptor)

    monkeypatch.setattr(os, "fsync", fail_for_folders)
    write_atomic(path, NEW)
    number = errno.EIO
    with pytest.raises(OSError, match="Input/output"):
        write_atomic(path, b"newest")
    assert path.read_bytes() == b"newest"  # is there whole
    assert alone(path)
    monkeypatch.setattr(os, "open", failing(errno.EACCES))
    sync_folder(path.parent)
