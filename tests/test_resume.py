"""A run that was cut off goes on where it stopped: whole blocks stay, the others follow, nothing twice."""

import pytest
from declared import small_plan
from msgspec.structs import replace
from played import Silent, Stage, set_stage

from bench.measure.runner import Runner
from bench.records.journal import Journal, load_run, read_journal
from bench.records.record import AnyRecord, Burst, Decision, Extended, Resumed, Worker
from bench.records.run import make_run

BLOCKS = 2


def plan():
    return small_plan("numpy-inplace", blocks=BLOCKS)


def go_on(records: list[AnyRecord], more: int | None = None, *, first: bool = False) -> list[AnyRecord]:
    """The journal of a run that goes on, or begins, until so many more records: then without its end."""
    run, journal = make_run(records), list(records)
    decision = [run.decision] if run.decision else []
    earlier = [run.plan, *run.workers, *run.bursts, *run.rates, *run.failures, *run.extensions, *decision]

    def write(record: AnyRecord) -> None:
        journal.append(record)
        if len(journal) - len(records) == more:
            raise KeyboardInterrupt

    Runner(run.plan, write, Silent(), earlier=() if first else earlier).run()
    return journal if more is None else journal[: len(records) + more]


def cut_off(after: int) -> list[AnyRecord]:
    """The records of a run that is interrupted once it has written so many."""
    return go_on([plan()], after - 1, first=True) if after > 1 else [plan()]


def schedule(records: list[AnyRecord]) -> list[tuple[int, str, list[int], list[int]]]:
    """What was measured, in order."""
    return [(burst.block, burst.entry, burst.rounds, burst.places) for burst in make_run(records).bursts]


@pytest.fixture(autouse=True)
def stage(monkeypatch) -> Stage:
    return set_stage(monkeypatch, Stage())


@pytest.fixture
def uninterrupted(stage):
    return go_on([plan()], first=True)


# a plan, conditions, then for each block two workers and three bursts; in the first one best rates before
# the bursts, a decision after them
@pytest.mark.parametrize(
    ("after", "first"),
    [(1, 0), (7, 0), (9, 1), (13, 1), (14, 2), (19, 3)],
)
def test_the_schedule_is_that_of_an_uninterrupted_run(uninterrupted, stage, after, first) -> None:
    records = go_on(cut_off(after))
    run = make_run(records)

    assert schedule(records) == schedule(uninterrupted)
    (resumed,) = [record for record in records if isinstance(record, Resumed)]
    assert resumed.block == first
    assert run.end is not None
    assert run.end.status == "complete"
    assert len([record for record in records if isinstance(record, Decision)]) == 1
    assert stage.left == []


def test_whole_blocks_are_not_measured_again(uninterrupted) -> None:
    records = cut_off(17)  # in block 2
    before = [record for record in records if isinstance(record, Burst) and record.block < 2]
    run = make_run(go_on(records))
    assert list(run.bursts[: len(before)]) == before
    assert len({worker.pid for worker in run.workers}) == 2 * (BLOCKS + 1)
    assert run.void == sum(isinstance(record, Burst | Worker) and record.block == 2 for record in records)


def test_an_extension_measures_the_blocks_that_are_missing_and_does_not_stop_early(
    uninterrupted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.measure.runner.MIN_BLOCKS_BEFORE_STOP", 1)
    monkeypatch.setattr("bench.measure.runner.precise", lambda *_: True)
    declared = replace(uninterrupted[0], precision=1.0)
    records = go_on([declared, *uninterrupted[1:], Extended(BLOCKS, BLOCKS + 2, 0.01, "")])
    run = make_run(records)
    assert schedule(records)[: len(schedule(uninterrupted))] == schedule(uninterrupted)
    assert [one.block for one in records if isinstance(one, Resumed)] == [BLOCKS + 1]
    assert {burst.block for burst in run.bursts} == set(range(BLOCKS + 3))
    assert (run.state, run.void) == ("complete", 0)


def test_what_block_0_found_stays(uninterrupted) -> None:
    run = make_run(go_on(cut_off(17)))
    for entry in run.entries:
        found = {
            (burst.n_calls, burst.rewarm_calls, burst.settled) for burst in run.bursts if burst.entry == entry
        }
        assert len(found) == 1


def test_a_run_can_be_cut_off_and_go_on_again_and_again(uninterrupted) -> None:
    records = cut_off(5)
    for more in (2, 3, 9, 4):
        records = go_on(records, more)
    assert schedule(go_on(records)) == schedule(uninterrupted)


def test_a_journal_on_disk_goes_on(tmp_path, uninterrupted) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        for record in cut_off(17):
            journal.write(record)
    with path.open("ab") as file:
        file.write(b'{"seal": "torn')
    journal, records, warnings = Journal.reopen(path)
    assert "torn" in warnings[0]
    with journal:
        for record in go_on(records)[len(records) :]:
            journal.write(record)

    assert schedule(read_journal(path)[0]) == schedule(uninterrupted)
    assert load_run(path).state == "complete"
