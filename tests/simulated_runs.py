"""What the real analysis says about simulated series: the judge's words, and the rule for stopping early."""

import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import bursts
import numpy as np
from msgspec import structs
from simulated import Array
from small_journal import small_plan

from bench.analysis.outcome import Outcome
from bench.analysis.statistics import rank_interval, rank_p
from bench.analysis.verdict import Comparison, Judgement, judge_run
from bench.measure.budget import MIN_BLOCKS_BEFORE_STOP, precise
from bench.measure.plan import PRECISION
from bench.records import record
from bench.records.run import Run, make_run
from bench.workload.case import sine_case

GROUP, BASELINE, TWIN = "simulated", "baseline", "baseline twin"
SECOND_NS = 1e9
Stops = Callable[[Array], bool]  # log ratios of the blocks so far


@dataclass(frozen=True, slots=True)
class Alarms:
    """How often something was found among arms that are all the same: shares of 1."""

    intervals: float  # of all comparisons: the interval, for itself alone, excludes 1
    tables: float  # of all tables: some row is called FASTER or SLOWER
    refused: float  # of all tables: the twin differed, and no verdict was given


def alarms(runs: Array, *, twin: bool = True) -> Alarms:
    """Judge every run of values (count, blocks, arms, VALUES)."""
    judgements = [judged(values, twin=twin) for values in runs]
    tables = [comparisons(judgement) for judgement in judgements]
    return Alarms(
        intervals=float(np.mean([[excludes_1(row) for row in table] for table in tables])),
        tables=float(np.mean([any(is_found(row) for row in table) for table in tables])),
        refused=float(np.mean([bool(judgement.control.failure) for judgement in judgements])),
    )


def judged(values: Array, *, twin: bool = True) -> Judgement:
    """The judgement of one run of values (blocks, arms, VALUES)."""
    blocks, arms, _ = values.shape
    run = make_run([plan(blocks, arms, twin=twin)])
    times = [[dict(enumerate(burst)) for burst in block] for block in np.exp(values).tolist()]
    known = {
        entry: Outcome(entry, "ok", "", {block + 1: times[block][place] for block in range(blocks)})
        for place, entry in enumerate(run.entries)
    }
    return judge_run(run, known)


def recorded(values: Array) -> Run:
    """The same run as records, one burst an arm and block, as a journal would hold them."""
    blocks, arms, _ = values.shape
    declared = plan(blocks, arms)
    places = itertools.product(range(blocks), enumerate(declared.groups[0].entries))
    measured = [burst(block + 1, entry.id, values[block, place]) for block, (place, entry) in places]
    return make_run([declared, *measured])


def plan(blocks: int, arms: int, *, twin: bool = True) -> record.Plan:
    """A plan with one table: a baseline, its twin (or, without, one more arm) and further arms."""
    names = [BASELINE, TWIN, *(f"arm {number}" for number in range(2, arms))]
    case = sine_case("train_step", "positional")
    rivals = [record.Entry(name, GROUP, name, case, BASELINE) for name in names[1:]]
    return structs.replace(
        small_plan(blocks),
        verdicts=True,
        arms=[record.Arm(name, name, name, "numpy", "cpu", 1, twin=twin and name == TWIN) for name in names],
        groups=[record.Group(GROUP, [record.Entry(BASELINE, GROUP, BASELINE, case, None), *rivals])],
    )


def burst(block: int, entry: str, logs: Iterable[float]) -> record.Burst:
    """Values in nanoseconds, one call each."""
    return bursts.burst(block, entry, [round(SECOND_NS * math.exp(log)) for log in logs])


def comparisons(judgement: Judgement) -> list[Comparison]:
    """The table's rows without the twin."""
    return [row for row in judgement.rows.values() if not row.twin]


def is_found(row: Comparison) -> bool:
    """Whether the judge says that there is a difference."""
    return row.verdict in ("FASTER", "SLOWER")


def excludes_1(row: Comparison) -> bool:
    """Whether the interval of the comparison, for itself alone, says that there is a difference."""
    return not row.low <= 1 <= row.high


def place_of(entry: str) -> int:
    """Where an arm of the table stands among the arms."""
    return int(entry.removeprefix("arm "))


def pooled(values: Array) -> Array:
    """A fault: every value of the second arm over the first's of its place, as if they were independent."""
    return (values[:, 2] - values[:, 0]).reshape(-1)


def precise_enough(logs: Array) -> bool:
    """The runner's own rule, asked with the bursts of a pair whose log ratios these are."""
    pair = record.Pair("best", "entry", BASELINE)
    bursts = [burst(block, pair.entry, [log]) for block, log in enumerate(logs, start=1)]
    bursts += [burst(block, pair.baseline, [0.0]) for block in range(1, len(logs) + 1)]
    return precise([pair], bursts, {name: name for name in (pair.entry, BASELINE)}, PRECISION)


def significant(logs: Array) -> bool:
    """A fault: a rule that looks at the result."""
    return rank_p(logs) <= 0.05


def stopped_at(logs: Array, stops: Stops) -> int:
    """Blocks that a run takes which may stop from ``MIN_BLOCKS_BEFORE_STOP`` on and has len(logs) at most."""
    return next((n for n in range(MIN_BLOCKS_BEFORE_STOP, len(logs)) if stops(logs[:n])), len(logs))


def misses(logs: Array, truth: float = 0.0) -> bool:
    """Whether the 95 % interval of log ratios does not hold the truth."""
    return not rank_interval(logs).contains(truth)
