"""What became of each entry: the median of every counted block, or why there is none.

Block 0 (proof, calibration, choice of the best forms) is never counted. One failed proof takes an entry out
of the whole run; a crash or a timeout takes out its block only, unless nothing is left.
"""

from dataclasses import dataclass, field
from statistics import median

import numpy as np

from bench.results.journal import Run
from bench.results.record import Burst, Check, Failure

SPOILED = ("disagrees", "invalid")  # statuses after which no time of the entry may be shown


@dataclass(frozen=True, slots=True)
class Outcome:
    """One entry's counted medians in nanoseconds a call, by block; empty where it has none."""

    entry: str
    status: str  # a record's Status, or "dropped", or "not reached"
    reason: str  # empty where the status is ok
    medians: dict[int, float] = field(default_factory=dict)
    values: int = 0
    outliers: int = 0  # values beyond 1.5 interquartile ranges of their burst's quartiles
    checks: tuple[Check, ...] = ()
    digests: frozenset[str] = frozenset()
    lost_blocks: int = 0  # counted blocks in which it failed

    @property
    def invalid(self) -> bool:
        """Whether it was measured but must not be believed."""
        return self.status in SPOILED


def outcomes(run: Run) -> dict[str, Outcome]:
    """The outcome of every entry of the plan, in the plan's order."""
    bursts: dict[str, list[Burst]] = {entry: [] for entry in run.entries}
    failures: dict[str, list[Failure]] = {entry: [] for entry in run.entries}
    for burst in run.bursts:
        bursts[burst.entry].append(burst)
    for failure in run.failures:
        failures[failure.entry].append(failure)
    return {entry: _outcome(entry, bursts[entry], failures[entry], run) for entry in run.entries}


def _outcome(entry: str, bursts: list[Burst], failures: list[Failure], run: Run) -> Outcome:
    spoiled = [burst for burst in bursts if burst.status in SPOILED]
    refused = [failure for failure in failures if failure.status in SPOILED]
    lists = [burst.checks for burst in bursts] + [failure.checks for failure in failures]
    checks = tuple(check for made in lists for check in made)
    digests = frozenset(burst.digest for burst in bursts)
    if refused:
        return Outcome(entry, refused[0].status, refused[0].reason, checks=checks, digests=digests)
    if spoiled:
        reason = f"a burst in block {spoiled[0].block} is marked so"
        return Outcome(entry, spoiled[0].status, reason, checks=checks, digests=digests)

    good = [burst for burst in bursts if burst.block >= 1 and burst.status in ("ok", "known_wrong")]
    if not good:
        status, reason = _why_none(entry, failures, run)
        return Outcome(entry, status, reason, checks=checks, digests=digests)
    times = {burst.block: [elapsed / burst.n_calls for elapsed in burst.elapsed_ns] for burst in good}
    lost = {failure.block: failure for failure in failures if failure.block >= 1}
    reason = ""
    if lost:
        first = next(iter(lost.values()))
        reason = f"{first.status} in {len(lost)} of {len(lost) + len(times)} blocks: {first.reason}"
    return Outcome(
        entry=entry,
        status="known_wrong" if any(burst.status == "known_wrong" for burst in good) else "ok",
        reason=reason,
        medians={block: median(values) for block, values in sorted(times.items())},
        values=sum(map(len, times.values())),
        outliers=sum(count_outliers(values) for values in times.values()),
        checks=checks,
        digests=digests,
        lost_blocks=len(lost),
    )


def _why_none(entry: str, failures: list[Failure], run: Run) -> tuple[str, str]:
    """Status and reason of an entry without counted values."""
    if failures:
        return failures[-1].status, failures[-1].reason
    planned = run.entries[entry]
    if run.decision and planned.group in run.decision.dropped_groups:
        return "dropped", "its table was left out to keep within the time budget"
    if run.decision and planned.arm in run.decision.dropped_arms:
        return "dropped", "its arm was left out to keep within the time budget"
    return "not reached", "the run ended before it was measured"


def count_outliers(values: list[float]) -> int:
    """Values further than 1.5 interquartile ranges outside the quartiles: counted, never taken out."""
    if len(values) < 4:
        return 0  # quartiles of three values are the values
    low, high = np.quantile(values, (0.25, 0.75))
    reach = 1.5 * (high - low)
    return sum(value < low - reach or value > high + reach for value in values)
