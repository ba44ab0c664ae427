"""Plans written by hand, run by the real runner: real workers, real time."""

import inspect
import os
import textwrap
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import pytest
from acceptance.tools.headline_run import Silent

import bench
from bench.analysis.verdict import Comparison, Judgement, judge_run
from bench.machine import gates
from bench.measure.plan import ROUNDS
from bench.measure.runner import Runner
from bench.records.record import SCHEMA, AnyRecord, Arm, Entry, Group, Plan
from bench.records.run import Run, make_run
from bench.workload.case import Case, sine_case
from bench.workload.own import load_variant

CASE = sine_case("forward", "positional", batch=4, hidden=4)  # what the kernels answer; they take no notice
STEP = sine_case("train_step", "positional")  # the tutorial's
HEADLINE = ("numpy-batched", "numpy-inplace", "torch-layer", "torch-inplace")
AGAIN = " again"  # what the name of a second arm of the baseline's code ends with
TESTS = Path(__file__).parents[1]  # where workers find acceptance.kernels


def own(*names: str) -> list[str]:
    """The specs of kernels."""
    return [f"acceptance.kernels:{name}" for name in names]


def make_plan(
    specs: Sequence[str],
    *,
    blocks: int,
    seed: int,
    case: Case = CASE,
    rounds: int = ROUNDS,
    twin: bool = True,
    again: bool = False,
    isolate: bool = False,
) -> Plan:
    """One group of one-thread arms: the first spec is the baseline, its A/A control follows, then the others.

    ``again``: the last arm is the baseline's code once more, as an entry that gets a word.
    """
    arms: list[Arm] = []

    def add(spec: str, suffix: str = "", *, twin: bool = False) -> None:
        found = load_variant(spec)
        name = f"{found.name}{suffix}@cpu x1" + (" twin" if twin else "")
        arms.append(Arm(name, spec, found.name, found.library, "cpu", 1, twin))

    for number, spec in enumerate(specs):
        add(spec)
        if twin and number == 0:
            add(spec, twin=True)
    if again:
        add(specs[0], AGAIN)
    name = f"{case.task} acceptance"
    ids = [f"{name} | {arm.id}" for arm in arms]
    entries = [
        Entry(entry_id, name, arm.id, case, None if number == 0 else ids[0])
        for number, (entry_id, arm) in enumerate(zip(ids, arms, strict=True))
    ]
    return Plan(
        schema=SCHEMA,
        run="acceptance",
        version=bench.__version__,
        started_utc="",
        command=[],
        preset="custom",
        seed=seed,
        blocks=blocks,
        rounds=rounds,
        verdicts=True,
        margin=0.02,
        budget_s=None,
        arms=arms,
        groups=[Group(name, entries)],
        pairs=[],
        missing=[],
        gates=gates.LIMITS,
        isolate=isolate,
    )


def measure(plan: Plan, folder: Path, *, keep: Collection[str] = ()) -> Run:
    """Run the plan with workers that stand in ``folder``; what would have gone to a journal, sorted."""
    records: list[AnyRecord] = [plan]
    paths = [str(TESTS), os.environ.get("PYTHONPATH", "")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
        patch.chdir(folder)
        Runner(plan, records.append, Silent(), keep=keep).run()
    return make_run(records)


def compared(plan: Plan, folder: Path) -> tuple[Run, Judgement]:
    """Run the plan and judge it; every burst must have come."""
    run = measure(plan, folder)
    assert run.state == "complete", [failure.reason for failure in run.failures]
    return run, judge_run(run)


def row(judgement: Judgement, name: str) -> Comparison:
    """The comparison of a kernel or variant with the baseline."""
    (found,) = (row for row in judgement.rows.values() if row.arm.id == f"{name}@cpu x1")
    return found


def again(judgement: Judgement) -> Comparison:
    """The comparison of the baseline's code with itself that got a word."""
    (found,) = (row for row in judgement.rows.values() if AGAIN in row.arm.id)
    return found


def differs(comparison: Comparison) -> bool:
    """Whether its word is that one of the two is faster."""
    return comparison.verdict in ("FASTER", "SLOWER")


def least(runs: int) -> int:
    """Nine in ten; one run may miss."""
    return min(runs - 1, runs * 9 // 10)


def covers_1(row: Comparison) -> bool:
    """Whether the interval contains a ratio of 1."""
    assert row.low is not None
    assert row.high is not None
    return row.low <= 1 <= row.high


def values_by_entry(run: Run) -> dict[str, list[float]]:
    """All counted values of each entry in nanoseconds a call, as a harness without processes sees them."""
    values: dict[str, list[float]] = {entry: [] for entry in run.entries}
    for burst in run.bursts:
        if burst.block > 0:
            values[burst.entry] += [elapsed / burst.n_calls for elapsed in burst.elapsed_ns]
    return values


def mutated(function: Callable[..., Any], old: str, new: str) -> Callable[..., Any]:
    """The harness's own function with one piece of its source exchanged, at home in the same module."""
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(old) == 1, f"{old!r} stands {source.count(old)} times in {function.__qualname__}"
    made: dict[str, Any] = {}
    exec(source.replace(old, new), function.__globals__, made)
    changed: Callable[..., Any] = made[function.__name__]
    return changed
