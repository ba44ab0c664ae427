"""T1: the same code against itself, in complete runs: how often the answer is that it differs.

Every run has a baseline, its twin and an entry that is a copy of the same code, calibrated for itself.
"""

from pathlib import Path

import numpy as np
from acceptance.plans import compared, covers_1, make_plan, own, row, values_by_entry
from acceptance.validity import Recorder
from scipy import stats

from bench.answer.statistics import ALPHA

RUNS, BLOCKS = 100, 10
ALLOWED = 11  # of 100: twelve or more would come once in a hundred suites at a true rate of 5 %


def rate(found: int, runs: int) -> str:
    """A count with its Clopper-Pearson interval of 95 %."""
    low, high = stats.binomtest(found, runs).proportion_ci(method="exact")
    return f"{found} of {runs} [{100 * low:.1f} %, {100 * high:.1f} %]"


def pooled_p(values: dict[str, list[float]]) -> float:
    """What a harness says that takes every value for a sample of its own: Welch's t over all of them."""
    baseline, _, copy = (np.log(times) for times in values.values())
    return float(stats.ttest_ind(copy, baseline, equal_var=False).pvalue)


def one_process_p(values: dict[str, list[float]]) -> float:
    """The same from one process each: the values of the first block."""
    return pooled_p({entry: times[:5] for entry, times in values.items()})


def test_the_same_code_is_found_to_differ_in_at_most_11_of_100_runs(
    validity: Recorder, tmp_path: Path
) -> None:
    verdicts = excluded = twins = pooled = single = 0
    ratios = []
    for number in range(RUNS):
        plan = make_plan(own("same", "copy"), blocks=BLOCKS, seed=number)
        run, judgement = compared(plan, tmp_path)
        copy = row(judgement, "copy")
        verdicts += copy.verdict in ("FASTER", "SLOWER")
        excluded += not covers_1(copy)
        twins += bool(judgement.control.failure)
        pooled += pooled_p(values_by_entry(run)) <= ALPHA
        single += one_process_p(values_by_entry(run)) <= ALPHA
        ratios += copy.log_ratios

    caught = max(pooled, single) > ALLOWED  # which of the two errs more depends on the machine's noise

    def record(key: str, claim: str, found: int) -> None:
        mutant = "mutant" in key
        claim = f"{claim} in {RUNS} complete runs of {BLOCKS} blocks, the same code against itself"
        promised = f"at most {ALLOWED} of {RUNS}"
        if mutant:
            promised = f"more than {ALLOWED} of {RUNS}, of this mutant or the other"
        kept = caught if mutant else found <= ALLOWED
        validity.record(key, claim=claim, promised=promised, measured=rate(found, RUNS), kept=kept)

    record("T1", "the word FASTER or SLOWER", verdicts)
    record("T1-interval", "an interval without 1", excluded)
    record("T1-twin", "verdicts withheld because of the twin", twins)
    record("T1-mutant-pooled", "caught: a mutant that takes every value for a sample (Welch's t)", pooled)
    record("T1-mutant-one", "caught: a mutant that judges by one process each (Welch's t)", single)
    measured = f"{100 * np.std(ratios):.2f} %; half of them within {100 * np.median(np.abs(ratios)):.2f} %"
    claim = "standard deviation of one block's log ratio, same code"
    validity.record("T1-sd", claim=claim, promised="stated", measured=measured, kept=True)

    assert max(verdicts, excluded, twins) <= ALLOWED
    assert caught
