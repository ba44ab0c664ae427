"""T3 and T4: slowdowns put in on purpose are found, and as often as the printed detectable effect says.

T3's runs have five arms: the baseline, its A/A control, and kernels that do 2, 5 and 10 % more of the same
work. T4 asks of the RNN's own noise.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from acceptance.plans import HEADLINE, STEP, again, compared, make_plan, own, row
from acceptance.validity import Recorder
from scipy import stats

from bench.analysis.statistics import ALPHA, detectable_effect, rank_interval, rank_p
from bench.analysis.verdict import Comparison
from bench.measure.plan import ROUNDS

RUNS, BLOCKS = 10, 20
TRUE = {"plus2": 1.02, "plus5": 1.05, "plus10": 1.10}
TO_FIND = {"plus2": 8, "plus5": 10, "plus10": 10}  # of 10
TO_COVER = 8  # of 10 intervals, at the least
POWER_TO_SHOW = 0.70  # where four runs in five are promised
SPLITS = 20  # of every series


def found(comparison: Comparison) -> bool:
    """Whether the slowdown is established, in the right direction."""
    assert comparison.p_holm is not None
    assert comparison.ratio is not None
    return comparison.p_holm <= ALPHA and comparison.ratio > 1


def covered(comparison: Comparison, truth: float) -> bool:
    assert comparison.low is not None
    assert comparison.high is not None
    return comparison.low <= truth <= comparison.high


def too_narrow_covers(log_ratios: Sequence[float], truth: float) -> bool:
    """Whether the truth is in the interval of a harness that divides by the blocks, not by their root."""
    blocks = len(log_ratios)
    half = stats.t.ppf(0.975, blocks - 1) * np.std(log_ratios, ddof=1) / blocks
    return bool(abs(np.mean(log_ratios) - math.log(truth)) <= half)


def power_at_the_detectable_effect(noise: list[np.ndarray], values: int = 1) -> float:
    """How often the effect that one half of a series calls detectable is found in the other half.

    ``values`` > 1 is the mutant: it believes that every block holds so many samples.
    """
    random = np.random.default_rng(0)
    hits = []
    for series in noise:
        for _ in range(SPLITS):
            shuffled = random.permutation(series)
            half = len(shuffled) // 2
            interval = rank_interval(shuffled[:half])
            effect = detectable_effect(interval, (half,), comparisons=1) / math.sqrt(values)
            hits += [rank_p(shuffled[half:] + sign * effect) <= ALPHA for sign in (-1, 1)]
    return float(np.mean(hits))


def test_injected_slowdowns_are_found_with_the_right_sign(validity: Recorder, tmp_path: Path) -> None:
    rows: dict[str, list[Comparison]] = {kernel: [] for kernel in TRUE}
    withheld = narrow = 0
    for number in range(RUNS):
        plan = make_plan(own("same", *TRUE), blocks=BLOCKS, seed=number)
        _, judgement = compared(plan, tmp_path)
        withheld += bool(judgement.control.failure)
        for kernel, truth in TRUE.items():
            rows[kernel].append(row(judgement, kernel))
            narrow += too_narrow_covers(rows[kernel][-1].log_ratios, truth)

    good = []
    for kernel, truth in TRUE.items():
        hits = sum(map(found, rows[kernel]))
        wrong = sum(one.p_holm <= ALPHA and one.ratio < 1 for one in rows[kernel])
        inside = sum(covered(one, truth) for one in rows[kernel])
        kept = [hits >= TO_FIND[kernel], wrong == 0, inside >= TO_COVER]
        words = sum(one.verdict == "SLOWER" for one in rows[kernel])
        estimates = [one.ratio for one in rows[kernel]]
        validity.record(
            f"T3-{kernel.removeprefix('plus')}",
            claim=f"{100 * (truth - 1):.0f} % more work is found in {BLOCKS} blocks ({RUNS} runs)",
            promised=f"at least {TO_FIND[kernel]} found, no wrong sign, the truth in {TO_COVER} intervals",
            measured=f"{hits} found ({words} called SLOWER), {wrong} wrong signs, the truth in {inside}; "
            f"ratios {min(estimates):.3f} to {max(estimates):.3f}, median {np.median(estimates):.4f}",
            kept=all(kept),
        )
        good += kept
    validity.record(
        "T3-mutant",
        claim="caught: a mutant whose intervals divide by the number of blocks, not by its root",
        promised=f"the truth in fewer than {3 * TO_COVER} of {3 * RUNS} intervals",
        measured=f"{narrow} of {3 * RUNS}; {withheld} runs withheld their verdicts because of the control",
        kept=narrow < 3 * TO_COVER,
    )
    assert all(good)
    assert narrow < 3 * TO_COVER


def test_what_is_called_detectable_on_the_rnn_is_found(validity: Recorder, tmp_path: Path) -> None:
    noise: list[np.ndarray] = []  # log ratios by block, of the same code
    seen = []
    for seed, variant in enumerate(HEADLINE):
        plan = make_plan([variant], blocks=BLOCKS, seed=seed, case=STEP, again=True)
        _, judgement = compared(plan, tmp_path)
        (control,) = judgement.twins
        noise += [np.array(control.log_ratios), np.array(again(judgement).log_ratios)]
        effect = detectable_effect(rank_interval(control.log_ratios), (BLOCKS,), comparisons=1)
        seen.append(f"{variant} {100 * np.std(control.log_ratios, ddof=1):.2f} %, {100 * effect:.1f} %")
    validity.record(
        "T3-rnn",
        claim="the training step against its A/A control: standard deviation of a block's log ratio; what "
        f"four runs in five of {BLOCKS} blocks could see",
        promised="stated",
        measured="; ".join(seen),
        kept=True,
    )
    power, mutant = (power_at_the_detectable_effect(noise, values) for values in (1, ROUNDS))
    validity.record(
        "T4",
        claim=f"an effect as large as the one called detectable is found, {BLOCKS // 2} blocks of the "
        "catalogue's training steps, each against its own code",
        promised=f"at least {100 * POWER_TO_SHOW:.0f} % of the time",
        measured=f"{100 * power:.0f} % of {2 * SPLITS * len(noise)} (other halves of the same series)",
        kept=power >= POWER_TO_SHOW,
    )
    validity.record(
        "T4-mutant",
        claim=f"caught: a mutant that takes the {ROUNDS} rounds of a block for so many samples",
        promised=f"under {100 * POWER_TO_SHOW:.0f} %",
        measured=f"{100 * mutant:.0f} %",
        kept=mutant < POWER_TO_SHOW,
    )

    assert power >= POWER_TO_SHOW
    assert mutant < POWER_TO_SHOW
