"""The journal gives back what was written, and says clearly what is wrong with one that was damaged."""

from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest
from journals import example_records

from bench.machine.errors import UserError
from bench.records.journal import FILE_NAME, Journal, load_run, read_journal
from bench.records.record import SCHEMA, Burst, Check, Decision, End, Failure, Worker
from bench.records.saved import load_saved
from bench.records.sealed import FIRST, record_of, sealed_line


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / FILE_NAME


def write(path: Path, records: list) -> None:
    with Journal(path) as journal:
        for record in records:
            journal.write(record)


def seal_all(path: Path, records: Iterable[bytes]) -> None:
    """Write a file of these records, well sealed, as somebody might on purpose."""
    seal, lines = FIRST, []
    for record in records:
        line, seal = sealed_line(seal, record)
        lines.append(line)
    path.write_bytes(b"".join(lines))


def seal_anew(path: Path, old: bytes, new: bytes) -> None:
    """Edit what the records say and seal the lines again."""
    data = b"\n".join(record_of(line) for line in path.read_bytes().splitlines(keepends=True))
    assert old in data
    seal_all(path, data.replace(old, new, 1).split(b"\n"))


def test_every_record_comes_back_as_it_was(path: Path) -> None:
    records = example_records(broken=True, with_gpu=True)
    write(path, records)
    assert read_journal(path) == (records, [])
    assert path.read_bytes().count(b"\n") == len(records)


def test_each_record_is_on_disk_before_the_next(path: Path) -> None:
    records = example_records(quick=True)
    with Journal(path) as journal:
        for number, record in enumerate(records[:5], start=1):
            journal.write(record)
            assert len(read_journal(path)[0]) == number


def test_an_existing_journal_is_never_overwritten(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(UserError, match="exists already; choose another --out"):
        Journal(path)
    assert path.read_text() == "precious"


def test_a_folder_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot write"):
        Journal(tmp_path / "nowhere" / FILE_NAME)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_not_finite_is_refused_wherever_it_stands(path: Path, number: float) -> None:
    records = example_records(quick=True)
    burst = next(record for record in records if isinstance(record, Burst))
    worker = next(record for record in records if isinstance(record, Worker))
    bad_burst = msgspec.structs.replace(burst, checks=[Check("loss", number, 1e-6, False)])
    bad_worker = msgspec.structs.replace(worker, facts={"pools": [{"load": number}]})
    with Journal(path) as journal:
        with pytest.raises(ValueError, match=r"a Burst cannot be written: .* not JSON compliant"):
            journal.write(bad_burst)
        with pytest.raises(ValueError, match="a Worker cannot be written"):
            journal.write(bad_worker)
        journal.write(burst)  # and one without it is not
    assert path.read_bytes().count(b"\n") == 1
    assert b"null" in msgspec.json.encode(number)  # what would have been written


def test_load_run_sorts_the_records_and_takes_folder_or_file(path: Path) -> None:
    records = example_records(broken=True)
    write(path, records)
    run = load_run(path.parent)
    assert run == load_run(path)
    assert run.plan is not None
    for kind, found in ((Burst, run.bursts), (Worker, run.workers), (Failure, run.failures)):
        assert list(found) == [record for record in records if isinstance(record, kind)]
    assert isinstance(run.decision, Decision)
    assert (run.state, run.warnings) == ("interrupted", ())
    assert len(run.entries) == sum(len(group.entries) for group in run.plan.groups)


def test_a_journal_without_an_end_is_a_run_that_was_cut_off(path: Path) -> None:
    records = [record for record in example_records(quick=True) if not isinstance(record, End)]
    write(path, records)
    run = load_run(path)
    assert (run.end, run.state) == (None, "interrupted")
    assert run.warnings == ("the journal has no end: the run was cut off",)
    assert len(run.bursts) == sum(isinstance(record, Burst) for record in records)


def test_a_plan_alone_is_a_run(path: Path) -> None:
    write(path, example_records(quick=True)[:1])
    run = load_run(path)
    assert (run.bursts, run.decision, run.environment.machine) == ((), None, {})


def test_cut_anywhere_a_journal_is_readable_or_refused_as_no_journal(path: Path) -> None:
    write(path, example_records(quick=True)[:6])
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for length in (*range(0, first, 997), *range(first, len(whole), 211)):
        path.write_bytes(whole[:length])
        if length < first:
            with pytest.raises(UserError, match="first line is not a plan"):
                read_journal(path)
        else:
            assert len(read_journal(path)[0]) == whole[:length].count(b"\n")


def test_an_unknown_field_is_no_record_of_ours(path: Path) -> None:
    write(path, example_records(quick=True))
    seal_anew(path, b'"block":1,', b'"block":1,"mood":"good",')
    with pytest.raises(UserError, match="mood"):
        read_journal(path)


@pytest.mark.parametrize("schema", [SCHEMA - 1, SCHEMA + 1])
def test_another_schema_is_refused_in_one_line_whatever_its_records_are(path: Path, schema: int) -> None:
    write(path, example_records(quick=True))
    seal_anew(path, b'"schema":%d' % SCHEMA, b'"schema":%d,"novelty":[1]' % schema)
    seal_anew(path, b'"version":"0.1.0"', b'"version":"9.9"')
    said = rf"has schema {schema}, of rnnbench 9\.9; this one reads {SCHEMA}: measure anew, or install"
    with pytest.raises(UserError, match=said):
        load_saved(path)
    with pytest.raises(UserError, match=said):
        Journal.reopen(path)


@pytest.mark.parametrize("schema", [b"0", b"-1", b"true", b"3.0", b'"3"', b"null"])
def test_a_schema_that_never_was_is_no_journal(path: Path, schema: bytes) -> None:
    write(path, example_records(quick=True))
    seal_anew(path, b'"schema":%d' % SCHEMA, b'"schema":' + schema)
    with pytest.raises(UserError, match="no journal of rnnbench"):
        read_journal(path)


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"hello\n", b"[]\n", b'{"kind":"burst"}\n', b'{"kind":"plan"}\n']
)
def test_a_file_that_is_no_journal_is_a_clear_error(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(UserError, match="no journal of rnnbench: its first line is not a plan"):
        load_run(path)


def test_a_missing_file_or_folder_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*: No such file"):
        load_run(tmp_path / "gone")
    with pytest.raises(UserError, match=r"cannot read .*journal\.jsonl"):
        load_run(tmp_path)


def test_a_journal_that_contradicts_its_plan_is_refused(path: Path) -> None:
    records = example_records(quick=True)
    at = next(number for number, record in enumerate(records) if isinstance(record, Burst))
    burst, replace = records[at], msgspec.structs.replace
    damages = {
        "no entry 'ghost'": [*records[:at], replace(burst, entry="ghost"), *records[at + 1 :]],
        "two bursts": [*records[: at + 1], burst, *records[at + 1 :]],
        "rounds are not told": [*records[:at], replace(burst, elapsed_ns=[5]), *records[at + 1 :]],
        "more than one plan": [*records, records[0]],
        "no arm": [replace(records[0], arms=[]), *records[1:]],
    }
    for number, (message, damaged) in enumerate(damages.items()):
        copy = path.with_name(f"{number}.jsonl")
        write(copy, damaged)
        with pytest.raises(UserError, match=message):
            load_run(copy)
    write(path, records)
    assert load_run(path).state == "complete"


@pytest.mark.parametrize(
    ("block", "blocks", "said"),
    [(12, 10, "block 12 is after the last"), (1, 1001, "<= 1000 - at `\\$.blocks`"), (10**9, 3, "<= 1000")],
)
def test_blocks_that_no_run_has_are_refused(path: Path, block: int, blocks: int, said: str) -> None:
    records = example_records(quick=True)
    last = max(place for place, record in enumerate(records) if isinstance(record, Burst))
    write(path, records)
    lines = [msgspec.json.encode(record) for record in records]
    lines[0] = lines[0].replace(b'"blocks":3', b'"blocks":%d' % blocks, 1)
    lines[last] = lines[last].replace(b'"block":3', b'"block":%d' % block, 1)
    seal_all(path, lines)
    with pytest.raises(UserError, match=said):
        load_run(path)
