"""A run may stop early once its headlines are known precisely, and for no other reason."""

import math
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from declared import declare
from journals import example_plan, example_records
from msgspec.structs import replace
from test_verdict import BASE, RIVAL, THIRD, around

from bench.analysis.summary import summarise
from bench.measure.budget import MIN_BLOCKS_BEFORE_STOP, precise, trimmed
from bench.measure.plan import PRECISION
from bench.measure.runner import Runner
from bench.records.record import AnyRecord, Burst, Decision, Group, Pair, Worker
from bench.records.run import make_run

PAIR, OTHER = Pair("best", RIVAL, BASE), Pair("best", THIRD, BASE)
COMPILED = "torch-compile@cpu x1"
NAMES = {name: name for name in (BASE, RIVAL, THIRD)}


def bursts(ratios: dict[str, list[float]]) -> list[Burst]:
    """Counted bursts: the baseline's takes 10 ms, an entry's its ratio times as long."""
    template = next(record for record in example_records() if isinstance(record, Burst))
    made = []
    for entry, values in ratios.items():
        for block, ratio in enumerate(values, start=1):
            elapsed = [int(1e7 * ratio)] * len(template.rounds)
            made.append(replace(template, entry=entry, block=block, elapsed_ns=elapsed, n_calls=10))
    return made


@pytest.mark.parametrize(
    ("pairs", "ratios", "stops"),
    [
        # whatever narrow intervals say, and however clear the result of wide ones is
        *(([PAIR], {RIVAL: around(effect, 0.005, 12)}, True) for effect in (1.0, 1.5)),
        *(([PAIR], {RIVAL: around(effect, 0.05, 12)}, False) for effect in (1.0, 1.5, 4.0)),
        ([PAIR], {RIVAL: around(2.0, 0.002, 12), THIRD: around(2.0, 0.05, 12)}, True),
        ([PAIR, OTHER], {RIVAL: around(2.0, 0.002, 12), THIRD: around(2.0, 0.05, 12)}, False),  # one is wide
        ([], {}, False),
        ([PAIR], {}, False),
        ([PAIR], {RIVAL: [1.0] * 3}, False),  # no interval yet
    ],
)
def test_intervals_that_are_narrow_stop_a_run(
    pairs: list[Pair], ratios: dict[str, list[float]], stops: bool
) -> None:
    assert precise(pairs, bursts({BASE: [1.0] * 12, **ratios}), NAMES, PRECISION) is stops


def test_block_0_does_not_count() -> None:
    counted = bursts({BASE: [1.0] * 12, RIVAL: around(2.0, 0.001, 12)})
    before = [replace(burst, block=0, elapsed_ns=[10**9] * len(burst.rounds)) for burst in counted]
    assert precise([PAIR], before + counted, NAMES, PRECISION)


def test_ratios_are_paired_by_round_and_a_block_without_a_shared_one_does_not_count() -> None:
    """Every round is twice as slow as the one before, and the entry takes part in some of them."""
    both = bursts({BASE: [1.0] * 12, RIVAL: around(2.0, 0.002, 12)})
    drifting, apart = [], []
    for burst in both:
        rounds = burst.rounds[burst.block % 3 :] if burst.entry == RIVAL else burst.rounds
        elapsed = [burst.elapsed_ns[0] * 2**number for number in rounds]
        drifting.append(replace(burst, rounds=rounds, elapsed_ns=elapsed))
        elsewhere = [number + 100 for number in burst.rounds]
        apart.append(replace(burst, rounds=elsewhere) if burst.entry == RIVAL else burst)
    assert precise([PAIR], drifting, NAMES, PRECISION)
    assert not precise([PAIR], apart, NAMES, PRECISION)


def test_what_is_measured_under_another_name_is_found_there() -> None:
    narrow = bursts({BASE: [1.0] * 12, RIVAL: around(2.0, 0.002, 12)})
    again = Pair("again", "elsewhere", BASE)
    assert precise([again], narrow, {"elsewhere": RIVAL, BASE: BASE}, PRECISION)
    assert not precise([again], narrow, {"elsewhere": "elsewhere", BASE: BASE}, PRECISION)


def compiled_in(block: int, seconds: float) -> Worker:
    """The compiled arm's worker of a block, which compiled so long."""
    return Worker(1, {}, int(1e9 * seconds), 1, block=block, name=COMPILED, arms=[COMPILED], pid=1)


class Compiling:
    """Stands in for the blocks of a run: every worker of the compiled arm takes so long to compile."""

    next_s = 0.0

    def __init__(self, runner: Runner, seconds: float) -> None:
        self.measured: list[set[str]] = []  # the arms of every block
        self._runner, self._seconds = runner, seconds

    def run(self, block: int, blocks: int, active: Callable[[int], list[Group]], rounds: int) -> None:
        self.measured.append({entry.arm for group in active(block) for entry in group.entries})
        if COMPILED in self.measured[-1]:
            self._runner._ledger.note(compiled_in(block, self._seconds))


@pytest.mark.parametrize(
    ("seconds", "budget_s", "left_out"), [(23.0, 1e-9, True), (2.8, 1e-9, False), (23.0, 1e9, False)]
)
def test_what_compiles_again_in_every_block_is_left_out_where_the_time_does_not_allow_it(
    seconds: float, budget_s: float, left_out: bool
) -> None:
    plan = replace(example_plan(), budget_s=budget_s)
    written: list[AnyRecord] = []
    runner = Runner(plan, written.append, mock.Mock())
    runner._ledger.note(compiled_in(0, 36.0))
    blocks: Any = Compiling(runner, seconds)
    decision = Decision([], 200.0, 3, 15, [], ["numpy-inplace@cpu x2"])
    runner._count(blocks, plan.groups, decision)

    assert [COMPILED in arms for arms in blocks.measured] == [True, not left_out, not left_out]
    assert all("torch-layer@cpu x1" in arms for arms in blocks.measured)
    assert written == ([replace(decision, dropped_groups=["compiled"])] if left_out else [])


def test_nothing_waits_for_a_pair_that_the_budget_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    plan, asked = example_plan(), list[str]()
    monkeypatch.setattr(
        "bench.measure.runner.precise", lambda pairs, *_: asked.extend(pair.entry for pair in pairs)
    )
    runner = Runner(plan, mock.Mock(), mock.Mock())
    decision = Decision([], 200.0, 12, 15, ["train_step sequence"], ["torch-layer@cpu x2"])
    kept = trimmed(plan.groups, decision)
    blocks: Any = Compiling(runner, 1.0)
    runner._count(blocks, kept, decision)
    assert asked
    assert set(asked) <= {entry.id for group in kept for entry in group.entries}


@pytest.mark.parametrize("spec", ["mine:fast", "name-of-a-plug-in", "torch-inplace"])
def test_a_variant_that_is_not_of_the_catalogue_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, spec: str
) -> None:
    plan, waited = example_plan(), set[str]()
    arms = [replace(arm, spec=spec) if arm.variant == "torch-inplace" else arm for arm in plan.arms]
    monkeypatch.setattr(
        "bench.measure.runner.precise", lambda pairs, *_: waited.update(pair.entry for pair in pairs)
    )
    runner = Runner(replace(plan, arms=arms), mock.Mock(), mock.Mock())
    blocks: Any = Compiling(runner, 1.0)
    runner._count(blocks, plan.groups, Decision([], 200.0, 12, 15, [], []))
    assert any("torch-inplace" in entry for entry in waited) == (spec != "torch-inplace")


def test_what_was_left_out_after_block_1_keeps_its_values_and_has_no_verdict() -> None:
    records = []
    for record in example_records():
        late = isinstance(record, Burst) and record.entry.startswith("compiled | ") and record.block > 1
        records += [] if late else [record]
        if isinstance(record, Decision):
            later = replace(record, dropped_groups=["compiled"])
    at = next(place for place, one in enumerate(records) if isinstance(one, Burst) and one.block == 2)
    run = make_run([*records[:at], later, *records[at:]])
    assert run.decision == later
    made = summarise(run).headline("compiled")
    assert made is not None
    assert (made.verdict, made.blocks) == ("NONE", 1)
    assert made.reason == "1 of the 6 blocks that a verdict needs"


def test_the_plan_declares_the_precision_and_a_quick_one_none() -> None:
    assert declare("numpy-inplace").precision == PRECISION
    assert declare(quick=True).precision is None
    assert MIN_BLOCKS_BEFORE_STOP >= 10
    assert math.isclose(PRECISION, 0.01)
