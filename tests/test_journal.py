"""The journal gives back what was written, and says clearly what is wrong with one that was damaged."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from journals import example_records
from msgspec.structs import replace
from small_journal import seal, unsealed, write

from bench.machine.errors import UserError
from bench.records.journal import FILE_NAME, Journal, load_run, read_journal
from bench.records.record import SCHEMA, AnyRecord, Burst, Check, Decision, End, Failure, Worker
from bench.records.saved import load_saved

QUICK = example_records(quick=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / FILE_NAME


def test_every_record_comes_back_as_it_was_sorted_by_kind_from_folder_or_file(path: Path) -> None:
    records = example_records(broken=True, with_gpu=True)
    write(path, records)
    assert read_journal(path) == (records, [])
    assert path.read_bytes().count(b"\n") == len(records)
    run = load_run(path.parent)
    assert run == load_run(path)
    for kind, sorted_out in ((Burst, run.bursts), (Worker, run.workers), (Failure, run.failures)):
        assert list(sorted_out) == [record for record in records if isinstance(record, kind)]
    assert isinstance(run.decision, Decision)
    assert (run.state, run.warnings) == ("interrupted", ())
    assert len(run.entries) == sum(len(group.entries) for group in run.plan.groups)


def test_each_record_is_on_disk_before_the_next(path: Path) -> None:
    with Journal(path) as journal:
        for number, record in enumerate(QUICK[:5], start=1):
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
    with pytest.raises(UserError, match=r"cannot read .*: No such file"):
        load_run(tmp_path / "gone")
    with pytest.raises(UserError, match=r"cannot read .*journal\.jsonl"):
        load_run(tmp_path)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_not_finite_is_refused_wherever_it_stands(path: Path, number: float) -> None:
    burst = next(record for record in QUICK if isinstance(record, Burst))
    worker = next(record for record in QUICK if isinstance(record, Worker))
    with Journal(path) as journal:
        with pytest.raises(ValueError, match=r"a Burst cannot be written: .* not JSON compliant"):
            journal.write(replace(burst, checks=[Check("loss", number, 1e-6, False)]))
        with pytest.raises(ValueError, match="a Worker cannot be written"):
            journal.write(replace(worker, facts={"pools": [{"load": number}]}))
        journal.write(burst)  # and one without it is not
    assert path.read_bytes().count(b"\n") == 1
    assert b"null" in msgspec.json.encode(number)  # what would have been written


def test_a_journal_without_an_end_is_a_run_that_was_cut_off(path: Path) -> None:
    records = [record for record in QUICK if not isinstance(record, End)]
    write(path, records)
    run = load_run(path)
    assert (run.end, run.state) == (None, "interrupted")
    assert run.warnings == ("the journal has no end: the run was cut off",)
    assert len(run.bursts) == sum(isinstance(record, Burst) for record in records)
    seal(path, records[:1])
    run = load_run(path)  # of a plan alone
    assert (run.bursts, run.decision, run.environment.machine) == ((), None, {})


def test_cut_anywhere_a_journal_is_readable_or_refused_as_no_journal(path: Path) -> None:
    write(path, QUICK[:6])
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
    seal(path, [msgspec.json.encode(r).replace(b'"block":1,', b'"block":1,"mood":"good",') for r in QUICK])
    with pytest.raises(UserError, match="mood"):
        read_journal(path)


@pytest.mark.parametrize("schema", [SCHEMA - 1, SCHEMA + 1])
def test_another_schema_is_refused_in_one_line_whatever_its_records_are(path: Path, schema: int) -> None:
    seal(path, [{"kind": "plan", "schema": schema, "novelty": [1], "version": "9.9"}, *QUICK[1:]])
    message = rf"has schema {schema}, of rnnbench 9\.9; this one reads {SCHEMA}: measure anew, or install"
    for read in (load_saved, Journal.reopen):
        with pytest.raises(UserError, match=message):
            read(path)


@pytest.mark.parametrize("schema", [0, -1, True, 3.5, "3", None])
def test_a_schema_that_never_was_is_no_journal(path: Path, schema: Any) -> None:
    write(path, QUICK)
    plan, *rest = unsealed(path)
    seal(path, [plan | {"schema": schema}, *rest])
    with pytest.raises(UserError, match="no journal of rnnbench"):
        read_journal(path)


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"hello\n", b"[]\n", b'{"kind":"burst"}\n', b'{"kind":"plan"}\n']
)
def test_a_file_that_is_no_journal_is_a_clear_error(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(UserError, match="no journal of rnnbench: its first line is not a plan"):
        load_run(path)


def test_a_journal_that_contradicts_its_plan_is_refused(path: Path) -> None:
    at = next(number for number, record in enumerate(QUICK) if isinstance(record, Burst))
    burst = QUICK[at]
    damages: dict[str, list[AnyRecord]] = {
        "no entry 'ghost'": [*QUICK[:at], replace(burst, entry="ghost"), *QUICK[at + 1 :]],
        "two bursts": [*QUICK[: at + 1], burst, *QUICK[at + 1 :]],
        "rounds are not told": [*QUICK[:at], replace(burst, elapsed_ns=[5]), *QUICK[at + 1 :]],
        "more than one plan": [*QUICK, QUICK[0]],
        "no arm": [replace(QUICK[0], arms=[]), *QUICK[1:]],
    }
    for message, records in damages.items():
        seal(path, records)
        with pytest.raises(UserError, match=message):
            load_run(path)
    seal(path, QUICK)
    assert load_run(path).state == "complete"


@pytest.mark.parametrize(
    ("block", "blocks", "message"),
    [(12, 10, "block 12 is after the last"), (1, 1001, r"<= 1000 - at `\$.blocks`"), (10**9, 3, "<= 1000")],
)
def test_blocks_that_no_run_has_are_refused(path: Path, block: int, blocks: int, message: str) -> None:
    last = max(place for place, record in enumerate(QUICK) if isinstance(record, Burst))
    changed = [replace(QUICK[0], blocks=blocks), *QUICK[1:]]
    changed[last] = replace(QUICK[last], block=block)
    seal(path, changed)
    with pytest.raises(UserError, match=message):
        load_run(path)
