"""T12: slow first calls are no part of a value, and calls that never come to a steady time are called so."""

from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import pytest
from acceptance.kernels import COLD_CALLS
from acceptance.plans import compared, make_plan, own, row
from acceptance.validity import Recorder

from bench.measure import block
from bench.measure.messages import JobMaker
from bench.records.record import Burst
from bench.records.run import Run

BLOCKS = 6
SLOW = {"slow1": 1, "slow5": 5, "slow50": 50}  # so many first calls take three times as long
ALIKE = 1.05  # a burst's first value over the median of the others


def counted(run: Run, kernel: str) -> list[Burst]:
    return [burst for burst in run.bursts if burst.block > 0 and burst.entry.endswith(f"| {kernel}@cpu x1")]


def first_over_others(bursts: list[Burst]) -> float:
    """Of the bursts' values, the median burst's."""
    return median(burst.elapsed_ns[0] / median(burst.elapsed_ns[1:]) for burst in bursts)


def test_slow_first_calls_are_no_part_of_a_value(
    validity: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(own("same", *SLOW), blocks=BLOCKS, seed=0)
    run, judgement = compared(plan, tmp_path)
    enough = all(burst.warmup_calls >= SLOW[name] for name in SLOW for burst in counted(run, name))
    firsts = [first_over_others(counted(run, name)) for name in SLOW]
    ratios = ", ".join(f"{row(judgement, name).ratio:.3f}" for name in SLOW)
    calls = ", ".join(str(min(burst.warmup_calls for burst in counted(run, name))) for name in SLOW)
    kept = enough and max(firsts) <= ALIKE
    validity.record(
        "T12",
        claim="kernels whose first 1, 5, 50 calls take three times as long",
        promised=f"warm-ups at least that long; a burst's first value at most {ALIKE} of the others",
        measured=f"warm-ups of {calls} calls; first values {', '.join(f'{first:.3f}' for first in firsts)} "
        f"of the others; ratios to the same kernel without: {ratios}",
        kept=kept,
    )

    make_job = JobMaker.prove

    def without_warm_up(*args: Any) -> Any:
        return msgspec.structs.replace(make_job(*args), warmup_calls=0)

    monkeypatch.setattr(JobMaker, "prove", without_warm_up)
    run, _ = compared(make_plan(own("same", "slow50"), blocks=BLOCKS, seed=0), tmp_path)
    wrong = first_over_others(counted(run, "slow50"))
    validity.record(
        "T12-mutant",
        claim="caught: a mutant that warms up for 5 ms, whatever block 0 found, on 50 slow calls",
        promised=f"a first value over {ALIKE} of the others",
        measured=f"{wrong:.2f}",
        kept=wrong > ALIKE,
    )
    assert kept
    assert wrong > ALIKE


def test_what_cools_down_between_its_values_is_warmed_again(
    validity: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(own("same", "cooling"), blocks=BLOCKS, seed=0)
    _, judgement = compared(plan, tmp_path)
    warm = row(judgement, "cooling").ratio
    monkeypatch.setattr(block, "rewarm_calls", lambda *_: 0)
    _, judgement = compared(plan, tmp_path)
    cold = row(judgement, "cooling").ratio
    validity.record(
        "T12-rewarm",
        claim=f"a kernel whose first {COLD_CALLS} calls take three times as long whenever others have run",
        promised="its ratio to the kernel without is within 3 % of 1; without re-warming (the mutant) not",
        measured=f"{warm:.3f}; the mutant {cold:.3f}",
        kept=abs(warm - 1) <= 0.03 < cold - 1,
    )
    assert abs(warm - 1) <= 0.03
    assert cold - 1 > 0.03


def test_a_kernel_that_never_settles_is_called_so(validity: Recorder, tmp_path: Path) -> None:
    run, judgement = compared(make_plan(own("same", "unsettled"), blocks=BLOCKS, seed=0), tmp_path)
    settled = {burst.entry.partition(" | ")[2]: burst.settled for burst in run.bursts if not burst.block}
    odd = settled.pop("unsettled@cpu x1")
    steady = set(settled.values()) - {None}  # whoever of baseline and twin comes first is asked for both
    comparison = row(judgement, "unsettled")
    kept = odd is False and steady == {True}
    validity.record(
        "T12-unsettled",
        claim="a kernel that takes one or two times its time by turns of 3 ms",
        promised="no steady state found, and none for it alone",
        measured=f"settled: {odd}, the steady ones: {steady}; {comparison.verdict}, {comparison.reason}",
        kept=kept,
    )
    assert kept
    assert comparison.verdict == "NONE"
