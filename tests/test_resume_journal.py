"""Who may write a journal, what a write that fails leaves behind, and how a run goes on in the same file."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from small_journal import on, small_records, write

from bench.machine.errors import UserError
from bench.records.journal import FILE_NAME, Journal, load_run, read_journal
from bench.records.record import AnyRecord, Burst, Conditions, Decision, End, Failure, Resumed, Worker
from bench.records.run import make_run

RECORDS = small_records(blocks=3)
END = RECORDS[-1]
NAMES = (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS)
HOLDER = """
import sys
from pathlib import Path
from bench.records.journal import Journal
journal = Journal(Path(sys.argv[1])) if sys.argv[2] == "new" else Journal.reopen(Path(sys.argv[1]))
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / FILE_NAME


def of_block(number: int) -> list[AnyRecord]:
    return [r for r in RECORDS if isinstance(r, Worker | Burst) and r.block == number]


# ---- one writer at a time


@pytest.fixture
def hold(path: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Start another process that has the journal open, "new" or "old"."""
    held = []

    def start(how: str) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(path), how],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1],
        )  # fmt: skip
        held.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == "locked\n"
        return child

    yield start
    for child in held:
        child.kill()
        child.communicate()


@pytest.mark.parametrize("how", ["new", "old"])
def test_a_second_run_in_the_same_folder_is_refused_until_the_first_is_gone(
    path: Path, hold: Callable[[str], subprocess.Popen[str]], how: str
) -> None:
    if how == "old":
        write(path, RECORDS)
    child = hold(how)
    for attempt in (Journal, Journal.reopen):
        with pytest.raises(UserError, match=r"is being written by another run; wait for its end or choose"):
            attempt(path)
    child.kill()  # no chance to tidy up: a lock in a file would be stale now
    child.communicate()
    with pytest.raises(UserError, match="exists already"):
        Journal(path)
    if how == "old":
        Journal.reopen(path)[0].close()


def test_a_journal_is_free_once_it_is_closed_and_can_be_read_meanwhile(path: Path) -> None:
    write(path, RECORDS)
    for _ in range(2):
        journal, records, warnings = Journal.reopen(path)
        assert (records, warnings) == read_journal(path) == (RECORDS, [])
        with pytest.raises(UserError, match="is being written"):
            Journal.reopen(path)
        journal.close()
        with pytest.raises(ValueError, match="is closed"):
            journal.write(END)


def test_a_file_system_without_locks_is_done_without(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    write(path, RECORDS)
    assert read_journal(path) == (RECORDS, [])


def test_a_new_journal_is_in_its_folder_on_the_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr("bench.records.sealed.sync_folder", synced.append)
    Journal(path).close()
    assert synced == [path.parent]


# ---- a disk that is full or broken


@pytest.mark.parametrize("number", NAMES)
@pytest.mark.parametrize("after", [0, 1, 100])
def test_a_write_that_fails_leaves_the_lines_before_it(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int, after: int
) -> None:
    real, room = os.write, [after]

    def short(descriptor: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(number, os.strerror(number))
        written = real(descriptor, data[: room[0]])
        room[0] -= written
        return written

    journal = Journal(path)
    for record in RECORDS[:4]:
        journal.write(record)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", short)
        with pytest.raises(OSError, match=os.strerror(number)) as caught:
            journal.write(RECORDS[4])
    assert (caught.value.errno, caught.value.filename) == (number, str(path))
    assert read_journal(path) == (RECORDS[:4], [])
    journal.write(END)  # there is room again
    journal.close()
    assert read_journal(path) == ([*RECORDS[:4], END], [])


@pytest.mark.parametrize(
    ("broken", "raised"),
    [
        (("fsync",), OSError(errno.EIO, "Input/output error")),  # the disk says that it lost the line
        (("fsync", "ftruncate", "write"), OSError(errno.EIO, "Input/output error")),  # cut off later
        (("fsync",), KeyboardInterrupt()),
    ],
    ids=["lost", "torn", "ctrl-c"],
)
def test_what_goes_wrong_in_the_middle_of_a_write_does_not_break_the_chain(
    path: Path, monkeypatch: pytest.MonkeyPatch, broken: tuple[str, ...], raised: BaseException
) -> None:
    real = os.write

    def fail(descriptor: int, size: int = 0) -> None:
        raise raised

    with Journal(path) as journal:
        journal.write(RECORDS[0])
        with monkeypatch.context() as patch:
            for name in broken:
                patch.setattr(os, name, fail)
            if "write" in broken:
                patch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:50]))
            with pytest.raises(type(raised)):
                journal.write(RECORDS[1])
        journal.write(RECORDS[1])
    assert read_journal(path) == (RECORDS[:2], [])


def test_a_limit_on_the_size_of_files_is_an_error_and_no_signal(path: Path) -> None:
    resource = pytest.importorskip("resource")
    write(path, RECORDS[:4])
    whole = path.stat().st_size
    journal, *_ = Journal.reopen(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (whole + 10, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            journal.write(RECORDS[4])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        journal.close()
    assert path.stat().st_size == whole
    assert read_journal(path) == (RECORDS[:4], [])


# ---- to go on


def test_a_reopened_journal_continues_the_chain_and_a_torn_tail_is_cut_off(path: Path) -> None:
    write(path, RECORDS)
    whole = path.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    for length in range(last, len(whole)):
        path.write_bytes(whole[:length])
        journal, records, warnings = Journal.reopen(path)
        assert (records, len(warnings)) == (RECORDS[:-1], length > last)
        assert path.stat().st_size == last
        with journal:
            journal.write(END)
        assert path.read_bytes() == whole


def test_what_is_damaged_or_not_there_is_not_gone_on_with_and_not_touched(path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot go on with .*: No such file"):
        Journal.reopen(path)
    write(path, RECORDS)
    damaged = path.read_bytes().replace(b'"block":1', b'"block":2', 1) + b"torn"
    for content, said in ((damaged, "the file is damaged"), (b"precious", "no journal"), (b"", "no journal")):
        path.write_bytes(content)
        for _ in range(2):  # and is not left locked
            with pytest.raises(UserError, match=said):
                Journal.reopen(path)
        assert path.read_bytes() == content


# ---- what a resumption makes void


def test_a_block_that_was_begun_anew_counts_once() -> None:
    cut = [r for r in RECORDS[:-1] if not (isinstance(r, Burst) and r.block == 3)]
    again = [replace(r, pid=1) if isinstance(r, Worker) else r for r in of_block(3)]
    failure = Failure(3, RECORDS[4].entry if isinstance(RECORDS[4], Burst) else "", "crashed", "signal 9")
    other = on({"load_1min": 0.1})
    run = make_run([*cut, failure, Resumed(3, "2026-01-02T04:00:00+00:00"), other, *again, END])
    plain = make_run(RECORDS)
    assert run.bursts == plain.bursts
    assert run.failures == ()
    assert [worker.pid for worker in run.workers if worker.block == 3] == [1, 1]
    assert len(run.workers) == len(plain.workers)
    assert (run.void, plain.void) == (3, 0)
    assert (run.environment, run.environments) == (plain.environment, (plain.environment, other))
    assert (run.decision, run.end) == (plain.decision, END)


def test_an_end_before_a_resumption_is_void_and_one_after_it_counts() -> None:
    stopped = End("interrupted", "stopped by the user", 1.0, "2026-01-02T03:10:00+00:00")
    resumed = Resumed(4, "2026-01-02T04:00:00+00:00")
    run = make_run([*RECORDS[:-1], stopped, resumed])
    assert (run.end, run.state) == (None, "interrupted")
    assert run.warnings == ("the journal has no end: the run was cut off",)
    run = make_run([*RECORDS[:-1], stopped, resumed, END])
    assert (run.end, run.state, run.void, run.warnings) == (END, "complete", 0, ())


def test_beginning_anew_at_block_0_makes_its_decision_and_conditions_void_too() -> None:
    plan, environment, *rest = RECORDS
    conditions = Conditions(plan.groups[0].entries[0].case, 100, 1, 100, 2)
    decision = next(r for r in rest if isinstance(r, Decision))
    other = replace(decision, predicted_s=1.0)
    start = [plan, environment, conditions, *of_block(0), other]
    again = [replace(conditions, hidden_subnormal=5), *of_block(0), decision, END]
    run = make_run([*start, Resumed(0, ""), environment, *again])
    assert (run.conditions, run.decision, run.void) == ((again[0],), decision, 4)
    run = make_run([*start, Resumed(1, ""), environment, END])
    assert (run.conditions, run.decision, run.void) == ((conditions,), other, 0)


def test_several_resumptions_add_up() -> None:
    plan, environment, *_ = RECORDS
    records = [
        plan, environment, *of_block(0), *of_block(1), *of_block(2),
        Resumed(2, ""), *of_block(2), *of_block(3),
        Resumed(1, ""), *of_block(1), Resumed(3, ""), *of_block(2), *of_block(3), END,
    ]  # fmt: skip
    run = make_run(records)
    assert [burst.block for burst in run.bursts] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert run.void == 4 * 4  # blocks 1, 2, 2 and 3
    assert not [worker for worker in run.workers if worker.block > 3]


def test_a_resumed_journal_is_free_of_contradictions_only_because_of_what_is_void(path: Path) -> None:
    write(path, [*RECORDS[:-1], Resumed(3, ""), *of_block(3), END])
    assert load_run(path).void == 4
    path.unlink()
    write(path, [*RECORDS[:-1], *of_block(3), END])
    with pytest.raises(UserError, match="two bursts"):
        load_run(path)
    path.unlink()
    write(path, [*RECORDS[:-1], Resumed(3, ""), *of_block(2), END])
    with pytest.raises(UserError, match="two bursts"):
        load_run(path)


def test_thousands_of_resumptions_are_sorted_out_in_one_go() -> None:
    records = [*RECORDS[:2], *(r for _ in range(3000) for r in (Resumed(1, ""), *of_block(1))), END]
    run = make_run(records)
    assert (len(run.bursts), run.void) == (2, 2999 * 4)
