"""What became of each entry: the median of every counted block, or why there is none; and what disturbed it.

Block 0 (proof, calibration, choice of the best forms) is never counted. One failed proof takes an entry out
of the whole run; a crash or a timeout takes out its block only, unless nothing is left.

The gates of ``bench.machine.gates`` flag single measurements; here they become causes that a person knows.
They withhold no verdict: both sides of a round stand milliseconds apart, so that what slows the machine slows
both, and widens the interval. They are told where nothing could be decided.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from statistics import median, quantiles
from typing import Literal

import numpy as np

from bench.analysis.statistics import MIN_BLOCKS
from bench.records.record import Burst, Check, Failure, measured_as
from bench.records.run import SPOILED, Run, is_counted, per_call_ns

NO_STEADY_STATE = "no_steady_state"  # the status of an entry whose calls never came to a steady time
WITHIN_BUDGET = "to keep within the time budget"  # why something was left out
MODE_GAP = 5  # median absolute deviations between two blocks' medians: more part two modes
MIN_MODE_GAP = 0.01
Proof = Literal["passed", "known wrong", "failed", "not proved"]


@dataclass(frozen=True)
class Outcome:
    """One entry's counted times in nanoseconds a call, by block and round; empty where it has none."""

    entry: str
    status: str  # a record's Status, or "dropped", "not reached" or "no_steady_state"
    reason: str  # empty where the status is ok
    times: dict[int, dict[int, float]] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()  # each once
    digests: frozenset[str] = frozenset()
    flags: dict[str, int] = field(default_factory=dict)  # gate -> blocks whose counted values it flagged
    disturbed: int = 0  # counted blocks that any gate flagged

    @cached_property
    def medians(self) -> dict[int, float]:
        """Return the median of each block's rounds."""
        return {block: median(rounds.values()) for block, rounds in self.times.items()}

    @property
    def values(self) -> int:
        """Count the values that count."""
        return sum(map(len, self.times.values()))

    @cached_property
    def outliers(self) -> int:
        """Count the values beyond 1.5 interquartile ranges of their block's quartiles."""
        return sum(count_outliers(list(rounds.values())) for rounds in self.times.values())

    @cached_property
    def modes(self) -> tuple[int, float] | None:
        """Find the blocks in the slower of two modes, and how much slower that is: 0.1 for 10 %."""
        return find_modes(list(self.medians.values()))

    @property
    def left_out(self) -> bool:
        """Tell whether it was dropped for the time budget alone, which says nothing against it."""
        return self.status == "dropped"

    @property
    def invalid(self) -> bool:
        """Tell whether it was measured but must not be believed."""
        return self.status in SPOILED

    @property
    def proof(self) -> Proof:
        """Say whether all checks passed, but for those that a published gradient is known to fail."""
        if not self.checks:
            return "not proved"
        if not all(check.passed or check.known_wrong for check in self.checks):
            return "failed"
        return "known wrong" if any(check.known_wrong for check in self.checks) else "passed"

    def worst(self, *, known_wrong: bool = False) -> Check | None:
        """Return the check nearest to its tolerance, or furthest beyond it; the first of equals.

        ``known_wrong`` looks among those that are known to fail, which stand apart otherwise.
        """
        checks = (check for check in self.checks if check.known_wrong == known_wrong)
        return max(checks, key=strain, default=None)


def strain(check: Check) -> float:
    """Return a check's error in tolerances; one that is a question has tolerance 0."""
    if check.tolerance > 0:
        return check.error / check.tolerance
    return 0.0 if check.passed else math.inf


def outcomes(run: Run) -> dict[str, Outcome]:
    """Return the outcome of every entry of the plan, in the plan's order."""
    bursts: dict[str, list[Burst]] = defaultdict(list)
    failures: dict[str, list[Failure]] = defaultdict(list)
    for burst in run.bursts:
        bursts[burst.entry].append(burst)
    for failure in run.failures:
        failures[failure.entry].append(failure)
    first = measured_as(run.plan.groups)
    return {entry: _outcome(run, entry, bursts[name], failures[name]) for entry, name in first.items()}


def _outcome(run: Run, entry: str, bursts: list[Burst], failures: list[Failure]) -> Outcome:
    counted = sorted(filter(is_counted, bursts), key=attrgetter("block"))
    status, reason = _status(run, entry, bursts, failures, counted)
    if status in SPOILED:
        counted = []
    # the list of checks is mostly one, shared by all blocks
    lists = [burst.checks for burst in bursts] + [failure.checks for failure in failures]
    checks = {id(of_block): of_block for of_block in lists}.values()
    return Outcome(
        entry=entry,
        status=status,
        reason=reason,
        times={burst.block: per_call_ns(burst) for burst in counted},
        checks=tuple(dict.fromkeys(check for of_block in checks for check in of_block)),
        digests=frozenset(burst.digest for burst in bursts),
        flags=dict(Counter(flag for burst in counted for flag in burst.flags)),
        disturbed=sum(bool(burst.flags) for burst in counted),
    )


def _status(
    run: Run, entry: str, bursts: list[Burst], failures: list[Failure], counted: list[Burst]
) -> tuple[str, str]:
    """Return what became of an entry, and why."""
    for failure in failures:
        if failure.status in SPOILED:
            return failure.status, failure.reason
    for burst in bursts:
        if burst.status in SPOILED:
            return burst.status, f"its values of block {burst.block} are marked so"
    if not counted and failures:
        return failures[-1].status, failures[-1].reason
    if not counted:
        planned = run.entries[entry]
        if run.decision and planned.group in run.decision.dropped_groups:
            return "dropped", f"its table was left out {WITHIN_BUDGET}"
        if run.decision and planned.arm in run.decision.dropped_arms:
            return "dropped", f"its arm was left out {WITHIN_BUDGET}"
        return "not reached", "the run ended before it was measured"
    if any(burst.settled is False for burst in bursts):
        return NO_STEADY_STATE, "calls came to no steady time"
    lost = {failure.block: failure for failure in failures if failure.block >= 1}
    status = "known_wrong" if any(burst.status == "known_wrong" for burst in counted) else "ok"
    if not lost:
        return status, ""
    first, blocks = next(iter(lost.values())), len(lost) + len(counted)
    return status, f"{first.status} in {len(lost)} of {blocks} blocks: {first.reason}"


def find_modes(medians: Sequence[float]) -> tuple[int, float] | None:
    """Return how many processes are in the slower of two modes, and by how much; None without two modes.

    They do where the largest gap between neighbours exceeds five median absolute deviations of the logs, each
    taken from the median of its own side, and one per cent. One process alone is an outlier and no mode.
    """
    logs = np.sort(np.log(medians))
    if len(logs) < MIN_BLOCKS:
        return None
    gaps = np.diff(logs)[1:-1]
    at = int(np.argmax(gaps)) + 1
    fast, slow = np.median(logs[: at + 1]), np.median(logs[at + 1 :])
    deviations = np.abs(logs - np.where(np.arange(len(logs)) <= at, fast, slow))
    if not gaps[at - 1] > max(MODE_GAP * float(np.median(deviations)), MIN_MODE_GAP):
        return None
    return len(logs) - at - 1, float(np.expm1(slow - fast))


def count_outliers(values: list[float]) -> int:
    """Count values further than 1.5 interquartile ranges outside the quartiles; none is taken out."""
    if len(values) < 4:
        return 0  # quartiles of three values are the values
    low, _, high = quantiles(values, n=4, method="inclusive")
    reach = 1.5 * (high - low)
    return sum(value < low - reach or value > high + reach for value in values)


MANY = 0.2  # share of the blocks
UNSTEADY = "Wait until nothing else runs and measure again (--wait-quiet 10min)"
WAIT = "Wait until they are done and measure again (--wait-quiet 10min), a run also with more --blocks"
# what a gate's flag means, and what to do
CAUSES = {
    "steal": (
        "the hypervisor gave the processors to other virtual machines",
        "Measure again at another hour, or on a machine whose processors are not shared",
    ),
    "throttled": (
        "the container had used up its quota of processor time",
        "Raise the quota, or end what else runs in the container, and measure again",
    ),
}
OTHERS = ("other programs used the processors", WAIT)  # what all other gates mean


def disturbance(outcome: Outcome) -> tuple[str, str]:
    """Return what disturbed many of an entry's blocks, and what to do; both empty where nothing did."""
    blocks = len(outcome.medians)
    if outcome.disturbed <= MANY * blocks:
        return "", ""
    most = max(outcome.flags, key=lambda gate: outcome.flags[gate], default="")
    cause, mend = CAUSES.get(most, OTHERS)
    return f"{cause} in {outcome.disturbed} of {blocks} blocks", mend
