"""T10, T11: neighbours in a round, and a machine that drifts, make no difference; T20: nor do neighbours in a
process. Kernels of known cost put these in; mutants of the harness fall for them.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from acceptance.kernels import LAST_FILE, SHAPES, START_FILE
from acceptance.plans import compared, covers_1, differs, make_plan, own, row
from acceptance.validity import Recorder

from bench.analysis.outcome import outcomes
from bench.analysis.statistics import rank_interval
from bench.analysis.verdict import Comparison
from bench.measure import block
from bench.measure.schedule import worker_name
from bench.records.run import Run

ORDER_RUNS, ORDER_BLOCKS = 4, 10
DRIFT_RUNS, DRIFT_BLOCKS = 2, 12  # of each shape
BESIDE_BLOCKS = 10


def spoiled_run(folder: Path, seed: int, *, twin: bool = True) -> Comparison:
    """The same code against itself, where whoever comes after a third kernel is 5 % slower."""
    (folder / LAST_FILE).unlink(missing_ok=True)
    names = own("tracked_same", "tracked_copy", "spoiler")
    _, judgement = compared(make_plan(names, blocks=ORDER_BLOCKS, seed=seed, twin=twin), folder)
    return row(judgement, "tracked_copy")


def listed(comparisons: Sequence[Comparison]) -> str:
    return ", ".join(f"{one.verdict} {one.ratio:.3f}" for one in comparisons)


def test_who_came_before_makes_no_difference_in_random_order(
    validity: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shuffled = [spoiled_run(tmp_path, seed) for seed in range(ORDER_RUNS)]
    monkeypatch.setattr(block, "round_order", lambda session, *_, **__: list(session.entries))
    fixed = [spoiled_run(tmp_path, seed) for seed in range(ORDER_RUNS)]
    alone = [spoiled_run(tmp_path, seed, twin=False) for seed in range(ORDER_RUNS)]

    covered, allowed = sum(map(covers_1, shuffled)), ORDER_RUNS - 1
    caught = min(sum(not covers_1(one) for one in fixed), sum(one.verdict == "INVALID" for one in fixed))
    misled = sum(map(differs, alone))
    validity.record(
        "T10",
        claim=f"the same code against itself, whoever follows a third kernel 5 % slower, {ORDER_RUNS} runs",
        promised=f"at least {allowed} intervals with 1",
        measured=f"{covered}; {listed(shuffled)}",
        kept=covered >= allowed,
    )
    validity.record(
        "T10-mutant-order",
        claim="caught: a mutant that keeps the same order in every round",
        promised=f"at least {allowed} intervals without 1, and verdicts withheld because of the A/A control",
        measured=f"{caught}; {listed(fixed)}",
        kept=caught >= allowed,
    )
    validity.record(
        "T10-mutant-control",
        claim="caught: a mutant with that order and without an A/A control",
        promised=f"FASTER or SLOWER of the same code in at least {allowed} of {ORDER_RUNS} runs",
        measured=listed(alone),
        kept=misled >= allowed,
    )
    assert covered >= allowed
    assert caught >= allowed
    assert misled >= allowed


def one_after_the_other(run: Run) -> tuple[float, ...]:
    """Log ratios of a design that measures the baseline in the first half, and the other in the second."""
    baseline, _, copy = outcomes(run).values()
    half = run.plan.blocks // 2
    later = {number - half: time for number, time in copy.medians.items() if number > half}
    first = {number: time for number, time in baseline.medians.items() if number <= half}
    return tuple(log(later[number] / first[number]) for number in sorted(later.keys() & first.keys()))


def of_medians(run: Run) -> list[float]:
    """Log ratios of a design that divides an entry's median in a block by the baseline's."""
    baseline, _, copy = outcomes(run).values()
    return [log(copy.medians[number] / baseline.medians[number]) for number in sorted(baseline.medians)]


def test_drift_of_the_machine_makes_no_difference(validity: Recorder, tmp_path: Path) -> None:
    covered = total = 0
    measured: list[str] = []
    sequential: list[float] = []
    paired: list[float] = []
    unpaired: list[float] = []
    for shape in SHAPES:
        ratios = []
        for seed in range(DRIFT_RUNS):
            (tmp_path / START_FILE).write_text(str(time.monotonic()))
            names = own(shape, f"{shape}_copy")
            run, judgement = compared(make_plan(names, blocks=DRIFT_BLOCKS, seed=seed), tmp_path)
            copy = row(judgement, f"{shape}_copy")
            covered += covers_1(copy)
            total += 1
            ratios.append(copy.ratio)
            if shape == "steep":
                sequential += one_after_the_other(run)
            if shape == "turns":
                paired += copy.log_ratios
                unpaired += of_medians(run)
        measured.append(f"{shape} {', '.join(f'{ratio:.3f}' for ratio in ratios)}")
    allowed = total - 2
    interval = rank_interval(sequential)
    wider = float(np.std(unpaired) / np.std(paired))
    validity.record(
        "T11",
        claim="the same code against itself while the machine drifts by 3 % (steep: 9 % in the run; turns: "
        f"9 % every 0.1 s), {total} runs",
        promised=f"at least {allowed} intervals with 1",
        measured=f"{covered}; ratios: {'; '.join(measured)}",
        kept=covered >= allowed,
    )
    validity.record(
        "T11-mutant-sequential",
        claim="caught: a mutant that measures all of one arm, then all of the other, on the steep ramp",
        promised="an interval of its ratio without 1",
        measured=f"{exp(interval.estimate):.3f} [{exp(interval.low):.3f}, {exp(interval.high):.3f}]",
        kept=interval.low > 0,
    )
    validity.record(
        "T11-mutant-medians",
        claim="caught: a mutant that takes a block's ratio of medians in place of its rounds', on turns",
        promised="scatters at least twice as much between blocks",
        measured=f"{100 * np.std(unpaired):.2f} % against {100 * np.std(paired):.2f} %",
        kept=wider >= 2,
    )
    assert covered >= allowed
    assert interval.low > 0
    assert wider >= 2


@contextmanager
def shared_workers() -> Iterator[None]:
    """Let kernels share a worker, as variants of the catalogue do."""

    def shared(self: block._Block, entry: Any) -> str:
        return worker_name(self._arms[entry.arm], alone=False)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(block._Block, "_worker_of", shared)
        yield


def near_1(pair: Comparison) -> bool:
    """Whether the interval lies within 1 % of 1; whether it contains 1 is chance in one run of twenty."""
    assert pair.low is not None
    assert pair.high is not None
    return 0.99 <= pair.low <= pair.high <= 1.01


def test_the_control_holds_what_the_baselines_worker_holds(validity: Recorder, tmp_path: Path) -> None:
    plan = make_plan(own("beside", "loud"), blocks=BESIDE_BLOCKS, seed=0)
    with shared_workers(), pytest.MonkeyPatch.context() as patch:
        _, whole = compared(plan, tmp_path)
        patch.setattr(block._Block, "_beside_control", lambda *_: [])
        _, without = compared(plan, tmp_path)
    (control,), (mutant) = whole.twins, without.twins[0]
    noticed = bool(without.control.bias or without.control.failure)
    validity.record(
        "T20-neighbours",
        claim="an A/A control, where a neighbour in its process makes the baseline 5 % slower",
        promised="within 1 % of 1; without the neighbours (the mutant) not, and every verdict pays for it",
        measured=f"{control.ratio:.3f} [{control.low:.3f}, {control.high:.3f}]; the mutant "
        f"{mutant.ratio:.3f} [{mutant.low:.3f}, {mutant.high:.3f}]",
        kept=near_1(control) and not near_1(mutant) and noticed,
    )
    assert near_1(control)
    assert not near_1(mutant)
    assert noticed
