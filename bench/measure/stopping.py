"""When a run may stop before its last block: once its headlines are known well enough. Never on their sign.

A rule that looks at whether a result is significant finds one that is not there in 16 to 18 runs of 100
(and not in 5); one that looks only at how wide the intervals are stays near 5.
"""

from collections.abc import Mapping, Sequence

from bench.analysis.statistics import paired_log_ratio, rank_interval
from bench.records.record import Burst, Pair
from bench.records.run import per_call_ns

PRECISION = 0.01  # half-width of a headline's log ratio
EARLIEST = 10  # blocks before the rule is asked at all


def precise(
    pairs: Sequence[Pair], bursts: Sequence[Burst], measured_as: Mapping[str, str], half_width: float
) -> bool:
    """Whether the 95 % interval of every pair's log ratio is at most that much to either side."""
    times = {(burst.entry, burst.block): per_call_ns(burst) for burst in bursts if burst.block >= 1}
    blocks = {block for _, block in times}
    for pair in pairs:
        one, other = measured_as[pair.entry], measured_as[pair.baseline]
        logs = [
            paired_log_ratio(times[one, block], times[other, block])
            for block in blocks
            if times.get((one, block), {}).keys() & times.get((other, block), {}).keys()
        ]
        interval = rank_interval(logs) if logs else None
        if interval is None or not interval.high - interval.low <= 2 * half_width:
            return False
    return bool(pairs)
