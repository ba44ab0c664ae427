"""Determine the outcome of each entry: its block medians or why there are none, and what disturbed them.

Block 0 (proof, calibration, choice of the best variants) is never counted. A failed proof excludes an entry
from the whole run. A crash or a timeout excludes only its block; if no block is left, it is the outcome.

The gates of ``bench.machine.gates`` flag single measurements. Here their flags are translated into causes.
They block no verdict: the entries of a round are timed milliseconds apart, so a slowdown hits both and
widens the interval. Causes are reported where no verdict was reached.
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
from bench.records.run import WRONG_STATUSES, Run, is_counted, per_call_ns

NO_STEADY_STATE = "no_steady_state"  # status of an entry whose calls never reached a steady time
WITHIN_BUDGET = "to keep within the time budget"  # reason why a table or an arm was left out
MODE_GAP_MADS = 5  # two modes need a larger gap, in median absolute deviations of the log medians
MIN_MODE_GAP = 0.01  # two modes also need a larger gap of log medians than this, about 1 %
Proof = Literal["passed", "known wrong", "failed", "not proved"]


@dataclass(frozen=True)
class Outcome:
    """Hold one entry's counted times in nanoseconds per call, by block and round; empty without times."""

    entry: str
    status: str  # a record's Status, or "dropped", "not reached", "not measured" or "no_steady_state"
    reason: str  # with status ok: empty, or why blocks are missing
    times: dict[int, dict[int, float]] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()  # each check once
    digests: frozenset[str] = frozenset()
    flags: dict[str, int] = field(default_factory=dict)  # gate -> number of counted blocks with its flag
    disturbed: int = 0  # number of counted blocks that at least one gate flagged

    @cached_property
    def medians(self) -> dict[int, float]:
        """Return the median of each block's rounds."""
        return {block: median(rounds.values()) for block, rounds in self.times.items()}

    @property
    def values(self) -> int:
        """Count the times in all counted blocks."""
        return sum(map(len, self.times.values()))

    @cached_property
    def outliers(self) -> int:
        """Count the times more than 1.5 interquartile ranges outside the quartiles of their block."""
        return sum(count_outliers(list(rounds.values())) for rounds in self.times.values())

    @cached_property
    def modes(self) -> tuple[int, float] | None:
        """Return how many blocks are in the slower of two modes, and how much slower it is (0.1: 10 %)."""
        return find_modes(list(self.medians.values()))

    @property
    def left_out(self) -> bool:
        """Return whether the entry was left out only to save time: no fault of the entry was found."""
        return self.status == "dropped"

    @property
    def invalid(self) -> bool:
        """Return whether the entry was measured but its times must not be trusted."""
        return self.status in WRONG_STATUSES

    @property
    def proof(self) -> Proof:
        """Classify the checks: not proved (none), failed, known wrong (with expected failures) or passed."""
        if not self.checks:
            return "not proved"
        if not all(check.passed or check.known_wrong for check in self.checks):
            return "failed"
        return "known wrong" if any(check.known_wrong for check in self.checks) else "passed"

    def worst(self, *, known_wrong: bool = False) -> Check | None:
        """Return the check with the largest error ratio (the first of equal ones).

        ``known_wrong``: search only the checks that are known to fail; otherwise, only the other checks.
        """
        checks = (check for check in self.checks if check.known_wrong == known_wrong)
        return max(checks, key=error_ratio, default=None)


def error_ratio(check: Check) -> float:
    """Return a check's error divided by its tolerance; 0 or infinity for a yes/no check (tolerance 0)."""
    if check.tolerance > 0:
        return check.error / check.tolerance
    return 0.0 if check.passed else math.inf


def outcomes(run: Run) -> dict[str, Outcome]:
    """Return the outcome of every entry of the plan, in the plan's order."""
    if run.machines:
        return {entry: known for machine in run.machines for entry, known in outcomes(machine).items()}
    bursts: dict[str, list[Burst]] = defaultdict(list)
    failures: dict[str, list[Failure]] = defaultdict(list)
    for burst in run.bursts:
        bursts[burst.entry].append(burst)
    for failure in run.failures:
        failures[failure.entry].append(failure)
    measured_names = measured_as(run.plan.groups)
    return {
        entry: _outcome(run, entry, bursts[name], failures[name]) for entry, name in measured_names.items()
    }


def _outcome(run: Run, entry: str, bursts: list[Burst], failures: list[Failure]) -> Outcome:
    counted = sorted(filter(is_counted, bursts), key=attrgetter("block"))
    status, reason = _status(run, entry, bursts, failures, counted)
    if status in WRONG_STATUSES:
        counted = []
    # blocks mostly share one list of checks: keep each list once
    check_lists = [burst.checks for burst in bursts] + [failure.checks for failure in failures]
    distinct_lists = {id(check_list): check_list for check_list in check_lists}.values()
    return Outcome(
        entry=entry,
        status=status,
        reason=reason,
        times={burst.block: per_call_ns(burst) for burst in counted},
        checks=tuple(dict.fromkeys(check for check_list in distinct_lists for check in check_list)),
        digests=frozenset(burst.digest for burst in bursts),
        flags=dict(Counter(flag for burst in counted for flag in burst.flags)),
        disturbed=sum(bool(burst.flags) for burst in counted),
    )


def _status(
    run: Run, entry: str, bursts: list[Burst], failures: list[Failure], counted: list[Burst]
) -> tuple[str, str]:
    """Return the status of an entry, and the reason."""
    for failure in failures:
        if failure.status in WRONG_STATUSES:
            return failure.status, failure.reason
    for burst in bursts:
        if burst.status in WRONG_STATUSES:
            return burst.status, f"its values of block {burst.block} are marked so"
    if not counted and failures:
        return failures[-1].status, failures[-1].reason
    if not counted:
        planned = run.entries[entry]
        if run.decision and planned.group in run.decision.dropped_groups:
            return "dropped", f"its table was left out {WITHIN_BUDGET}"
        if run.decision and planned.arm in run.decision.dropped_arms:
            return "dropped", f"its arm was left out {WITHIN_BUDGET}"
        reasons = (missing.reason for missing in run.plan.missing if missing.what == planned.group)
        if reason := next(reasons, ""):  # of a sweep's case
            return "not measured", reason
        return "not reached", "the run ended before it was measured"
    if any(burst.settled is False for burst in bursts):
        return NO_STEADY_STATE, "calls came to no steady time"
    failed_blocks = {failure.block: failure for failure in failures if failure.block >= 1}
    status = "known_wrong" if any(burst.status == "known_wrong" for burst in counted) else "ok"
    if not failed_blocks:
        return status, ""
    failure, n_blocks = next(iter(failed_blocks.values())), len(failed_blocks) + len(counted)
    return status, f"{failure.status} in {len(failed_blocks)} of {n_blocks} blocks: {failure.reason}"


def find_modes(medians: Sequence[float]) -> tuple[int, float] | None:
    """Return how many blocks are in the slower of two modes, and its excess (0.1: 10 %); None for one mode.

    Two modes exist where the largest gap between neighbouring log medians exceeds 1 % and five median
    absolute deviations (each side around its own median). A single block is an outlier, not a mode.
    """
    logs = np.sort(np.log(medians))
    if len(logs) < MIN_BLOCKS:
        return None
    gaps = np.diff(logs)[1:-1]  # without the outermost gaps, each beside a single block
    last_fast = int(np.argmax(gaps)) + 1
    fast_median, slow_median = np.median(logs[: last_fast + 1]), np.median(logs[last_fast + 1 :])
    deviations = np.abs(logs - np.where(np.arange(len(logs)) <= last_fast, fast_median, slow_median))
    if not gaps[last_fast - 1] > max(MODE_GAP_MADS * float(np.median(deviations)), MIN_MODE_GAP):
        return None
    return len(logs) - last_fast - 1, float(np.expm1(slow_median - fast_median))


def count_outliers(values: list[float]) -> int:
    """Count values more than 1.5 interquartile ranges outside the quartiles; no value is removed."""
    if len(values) < 4:
        return 0  # up to three values cannot have outliers
    lower_quartile, _, upper_quartile = quantiles(values, n=4, method="inclusive")
    max_distance = 1.5 * (upper_quartile - lower_quartile)
    return sum(
        value < lower_quartile - max_distance or value > upper_quartile + max_distance for value in values
    )


MAX_DISTURBED_SHARE = 0.2  # of the blocks; a larger share is reported
UNSTEADY_ADVICE = "Wait until nothing else runs and measure again (--wait-quiet 10min)"
WAIT_ADVICE = "Wait until they are done and measure again (--wait-quiet 10min), a run also with more --blocks"
# gate -> the cause of its flags, and the advice
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
DEFAULT_CAUSE = ("other programs used the processors", WAIT_ADVICE)  # of the flags of all other gates


def disturbance(outcome: Outcome) -> tuple[str, str]:
    """Return what disturbed more than a fifth of an entry's blocks, and the advice; else two empty texts."""
    n_blocks = len(outcome.medians)
    if outcome.disturbed <= MAX_DISTURBED_SHARE * n_blocks:
        return "", ""
    main_gate = max(outcome.flags, key=lambda gate: outcome.flags[gate], default="")
    cause, advice = CAUSES.get(main_gate, DEFAULT_CAUSE)
    return f"{cause} in {outcome.disturbed} of {n_blocks} blocks", advice
