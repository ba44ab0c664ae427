"""The headline arms, one run: ``BEGUN SEED``; prints the half-width of the as-written ratio after each block.

``BEGUN`` is ``time.perf_counter()`` of whoever started this. A run stops as every run does: from block 10 on,
once its headlines are known to 1 %.
"""

import json
import sys
import time

from msgspec.structs import replace

from bench.analysis.outcome import outcomes
from bench.analysis.statistics import rank_interval
from bench.analysis.verdict import compare
from bench.machine.devices import find_cpu
from bench.machine.host import usable_cpus, utc_now
from bench.measure.plan import make_plan
from bench.measure.runner import Runner
from bench.records.record import AnyRecord, Burst, Decision, Entry
from bench.records.run import make_run
from bench.workload.options import RunOptions

VARIANTS = ("numpy-inplace", "torch-layer", "torch-inplace")  # beside the baseline
BLOCKS = 40  # at most


class Silent:
    """A progress display that shows nothing."""

    def starting(self, block: int, blocks: int) -> None:
        """Say nothing."""

    def measuring(self, block: int, entry: Entry) -> None:
        """Say nothing."""

    def decided(self, decision: Decision) -> None:
        """Say nothing."""


def main(begun: float, seed: int) -> None:
    """Run, and print ``[[seconds, half-width], ...]``."""
    asked = RunOptions(variant=VARIANTS, threads=(1,), blocks=BLOCKS, seed=seed)
    plan = make_plan(asked, find_cpu(), usable_cpus(), run="headline", started_utc=utc_now(), command=[])
    plan = replace(plan, groups=plan.groups[:1], probes=[])  # without the limits
    records: list[AnyRecord] = [plan]
    ends: dict[int, float] = {}  # of each block

    def write(record: AnyRecord) -> None:
        records.append(record)
        if isinstance(record, Burst):
            ends[record.block] = time.perf_counter() - begun

    Runner(plan, write, Silent()).run()
    run = make_run(records)
    (pair,) = (pair for pair in plan.pairs if pair.kind == "as_written")
    logs = compare(run, outcomes(run), pair.entry, pair.baseline).log_ratios
    intervals = [rank_interval(logs[:count]) for count in range(1, len(logs) + 1)]
    print(json.dumps([[ends[n], (one.high - one.low) / 2] for n, one in enumerate(intervals, start=1)]))


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
