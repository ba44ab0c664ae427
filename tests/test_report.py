"""The report shows what the journal says: tables, the environment, what failed."""

import dataclasses

import pytest
from journals import example_plan, example_records
from msgspec.structs import replace
from reports import TWIN, USUAL, around, run_with

from bench.machine import units
from bench.records.record import AnyRecord, Burst, Decision, End, Environment, Failure
from bench.records.run import Run, make_run
from bench.reporting.build import headline
from bench.reporting.view import view


def verdicts(run: Run) -> set[str]:
    """All verdicts in the tables but those of the controls."""
    every = (line for table in view(run).tables for line in table.lines)
    return {line.verdict for line in every if "A/A control" not in line.marks}


@pytest.fixture(scope="module")
def default() -> Run:
    return make_run(example_records())


def test_a_failed_control_takes_every_verdict_away() -> None:
    run = run_with({TWIN: around(1.2)})
    text = headline(run)
    assert text.startswith(
        "No verdict: the A/A control failed: numpy-batched is the same code measured twice"
    )
    assert "1.2" in text.partition("\n")[0]
    assert "measure again (--wait-quiet 10min).\n" in text
    assert "PyTorch against NumPy has no valid result: the time of PyTorch over that of NumPy is 3.6" in text
    assert "faster" not in text.splitlines()[1]
    shown = view(run)
    assert shown.banners[0].startswith(
        "No verdict: the A/A control failed: numpy-batched is the same code measured twice"
    )
    assert verdicts(run) == {"", "INVALID"}
    assert "INVALID" not in verdicts(run_with({TWIN: around(1)}))


def test_a_run_without_values_says_why() -> None:
    plan, environment = example_records()[:2]
    reason = "the worker ended with signal 9"
    failures = [Failure(0, e.id, "crashed", reason) for g in example_plan().groups for e in g.entries]
    run = make_run([plan, environment, *failures, End("partial", "all failed", 1.0, "")])
    assert f"nothing was measured: {reason}." in headline(run)
    shown = view(run)
    assert "ladder" not in [section.id for section in shown.sections]
    assert [table.plot for table in shown.tables] == [None] * 6
    assert len(shown.troubles) == len(failures)


def test_a_plan_without_environment_still_gives_a_report() -> None:
    run = make_run([example_plan()])
    assert "an unknown processor" in headline(run)
    assert view(run).machine_facts == ()


def test_what_the_budget_dropped_is_said() -> None:
    dropped = ["train_step single_step"]
    records = [
        replace(r, dropped_groups=dropped) if isinstance(r, Decision) else r
        for r in example_records()
        if not (isinstance(r, Burst) and r.block >= 1 and dropped[0] in r.entry)
    ]
    shown = view(make_run(records))
    assert any("left out: train_step single_step" in warning for warning in shown.warnings)
    table = next(table for table in shown.tables if "single_step" in table.title)
    assert table.plot is None
    assert {line.verdict for line in table.lines} == {"dropped"}


def test_the_audit_finds_wrong_threads_and_other_inputs(default: Run) -> None:
    clean = " ".join(view(default).audit)
    assert "as asked for in all 62 workers" in clean
    assert "the same bytes" in clean
    records: list[AnyRecord] = []
    for number, record in enumerate(example_records()):
        if number == 2:
            record = replace(record, facts={"threads": 7})  # type: ignore[arg-type]
        if isinstance(record, Burst) and record.block == 3 and record.entry == USUAL:
            record = replace(record, digest="00")
        records.append(record)
    dirty = " ".join(view(make_run(records)).audit)
    assert "not as asked for in numpy@cpu x1" in dirty
    assert "NOT the same bytes" in dirty


def test_the_environment_says_what_was_set_dropped_and_kept(default: Run) -> None:
    shown = view(default)
    assert [item.values for item in shown.variables] == [
        ("OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1"),
        ("OPENBLAS_CORETYPE=Haswell",),
        (),
    ]
    assert [(library.name, library.kernel) for library in shown.libraries] == [
        ("NumPy", "SkylakeX"),
        ("PyTorch", "not told by the library"),
    ]
    empty = view(make_run([example_plan(), Environment({}, {}, {}, {}, [])]))
    assert empty.libraries == ()


@pytest.mark.parametrize(
    ("ns", "said"),
    [
        (99.6e3, "99.6 µs"),
        (999.96e3, "1.00 ms"),
        (0.5, "0.500 ns"),
        (27.04e6, "27.0 ms"),
        (2.5e11, "250 s"),
        (None, "–"),
    ],
)
def test_times_get_the_unit_that_fits(ns: float | None, said: str) -> None:
    assert units.duration(ns) == said


def test_ratios_near_one_keep_the_digits_that_tell_them_apart() -> None:
    assert [units.ratio(x) for x in (0.9964, 1.0041, 3.649, 224.6, 0.00444)] == [
        "0.996",
        "1.004",
        "3.65",
        "225",
        "0.00444",
    ]
    assert units.number(12345.6) == "12\u202f346"
    assert units.number(float("nan")) == "–"
    assert (units.percent(0.0123), units.percent(1.05)) == ("1.2 %", "105 %")


def test_compiling_has_rows_of_its_own() -> None:
    from bench.reporting.notes import starts

    run = make_run(example_records())
    names = [name for name, *_ in starts(run) if "compiling" in name]
    assert names == ["torch-compile@cpu x1: compiling from nothing, block 0 (wall time)"]
    compiled = tuple(
        replace(worker, compile_ns=9_000_000_000 if worker.block == 0 else 1_400_000_000)
        for worker in run.workers
        if "torch-rnn@cpu x1" in worker.arms
    )
    rows = {name: time for name, time, _ in starts(dataclasses.replace(run, workers=compiled))}
    assert rows["torch-rnn@cpu x1: compiling from nothing, block 0 (wall time)"] == "9.00 s"
    assert rows["torch-rnn@cpu x1: loading what was compiled (wall time)"] == "1.40 s"


def test_only_what_others_are_compared_with_is_called_the_baseline(default: Run) -> None:
    (compiled,) = (table for table in view(default).tables if "compiled" in table.title)
    assert {line.variant: (line.marks, line.verdict != "") for line in compiled.lines} == {
        "numpy-batched": (("baseline",), False),
        "torch-autograd": ((), False),
        "torch-compile": ((), True),
    }


def test_the_ladder_and_the_empty_calls_are_no_tables_of_the_page(default: Run) -> None:
    shown = view(default)
    assert len(shown.tables) == len(default.plan.groups) - 2
    (claim,) = (line for line in shown.headlines if line.what == "the tutorial's claim")
    assert claim.where.startswith("different work; ")
    assert claim.entry_time != "–"
