"""When a run may stop before its last block: once its headlines are known well enough. Never on their sign.

A rule that looks at whether a result is significant finds one that is not there in 16 to 18 runs of 100
(and not in 5); one that looks only at how wide the intervals are stays near 5.
"""

import math
from collections.abc import Sequence
from statistics import median

from bench.answer.statistics import signed_rank_interval
from bench.results.record import Burst, Pair

PRECISION = 0.01  # half-width of a headline's log ratio
EARLIEST = 10  # blocks before the rule is asked at all


def precise(pairs: Sequence[Pair], bursts: Sequence[Burst], half_width: float) -> bool:
    """Whether the 95 % interval of every pair's log ratio is at most that much to either side."""
    medians = {
        (burst.entry, burst.block): median(burst.elapsed_ns) / burst.n_calls
        for burst in bursts
        if burst.block >= 1
    }
    blocks = {block for _, block in medians}
    for pair in pairs:
        logs = [
            math.log(medians[pair.entry, block] / medians[pair.baseline, block])
            for block in blocks
            if (pair.entry, block) in medians and (pair.baseline, block) in medians
        ]
        interval = signed_rank_interval(logs) if logs else None
        if interval is None or not interval.high - interval.low <= 2 * half_width:
            return False
    return bool(pairs)
