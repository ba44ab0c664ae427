"""The sentence that says what to use: the fastest form of each library against the other, as far as sure."""

import math
from collections.abc import Mapping
from dataclasses import replace

from msgspec import structs

from bench.analysis.outcome import Outcome
from bench.analysis.statistics import MIN_BLOCKS, blocks_needed
from bench.analysis.summary import Summary, summarise
from bench.analysis.verdict import Comparison
from bench.machine import units, wording
from bench.machine.wording import full_stop
from bench.measure.budget import fastest_anywhere
from bench.records.record import Arm
from bench.records.run import Run
from bench.reporting import words

ROUND_S = 5  # a time that would do is said in multiples of this


def compare_best(run: Run, found: Mapping[str, Outcome]) -> tuple[Run, Summary, Comparison | None]:
    """The run with the chosen pair among its headlines, its summary, and the pair as it was judged."""
    pair = fastest_anywhere(run.plan, run.bursts)
    if pair is None or run.decision is None:
        return run, summarise(run, found), None
    sides = (pair.entry, pair.baseline)
    if not any((one.entry, one.baseline) == sides for one in (*run.plan.pairs, *run.decision.pairs)):
        decision = structs.replace(run.decision, pairs=[*run.decision.pairs, pair])
        run = replace(run, decision=decision)
    summary = summarise(run, found)
    return run, summary, next(made for made in summary.headlines if (made.entry, made.baseline) == sides)


def sentence(run: Run, summary: Summary, made: Comparison | None, budget_s: float) -> str:
    """What to use, in the words that the verdict allows, with the interval."""
    if made is None or made.ratio is None:
        return full_stop(f"No advice: {_why_nothing(run, summary, made, budget_s)}")
    lead = words.lead(run, made)
    assert lead is not None
    winner, loser = _name(lead.winner), _name(lead.loser)
    where, times = work(run), _times(summary, made)
    quotient = f"PyTorch over NumPy is {units.with_interval(made.ratio, made.low, made.high)}"
    if made.verdict in words.DECIDED:
        small = f", {made.reason}" if made.reason else ""
        return f"Use {winner}: {lead.times_faster} than {loser} for {where} ({times}{small})."
    if made.verdict == "EQUIVALENT":
        return f"Use either: for {where} both take the same time {made.reason}; {quotient} ({times})."
    if made.verdict == "UNRESOLVED":
        why = too_few(run, made, budget_s) or made.reason
        return f"Either may be faster for {where}: {quotient} ({times}); {why.rstrip('.')}."
    if made.verdict == "INVALID":
        return f"No advice for {where}: the result is not valid, since {made.reason}; {quotient} ({times})."
    why = too_few(run, made, budget_s) or made.reason
    so_far = f"{winner} measured {lead.times_faster} than {loser} for {where} ({times})"
    return f"No verdict: {why}; so far {so_far}."


def work(run: Run) -> str:
    """The task and its sizes: "the forward pass at H 64, B 1, T 100, I 1, O 8 (float32)"."""
    case = run.plan.groups[0].entries[0].case
    s = case.shape
    return f"the {words.TASKS[case.task]} at H {s.H}, B {s.B}, T {s.T}, I {s.I}, O {s.O} ({case.dtype})"


def too_few(run: Run, made: Comparison | None, budget_s: float) -> str:
    """Where the time held fewer blocks than a verdict needs: so, and about what time would hold them."""
    blocks, needed = (made.blocks, blocks_needed(max(1, made.family))) if made else (0, MIN_BLOCKS)
    if blocks >= needed or run.end is None:
        return ""
    before_s = budget_s - (run.plan.budget_s or budget_s)
    a_block_s = run.end.seconds / (blocks + 1)  # block 0 takes longer than the others: rather too much
    enough_s = ROUND_S * math.ceil((before_s + (needed + 1) * a_block_s) / ROUND_S)
    return (
        f"the budget of {budget_s:g} s held {blocks} of the {needed} blocks that it needs, for which "
        f"a budget of {enough_s} s should do"
    )


def _why_nothing(run: Run, summary: Summary, made: Comparison | None, budget_s: float) -> str:
    """Why there is no comparison at all."""
    reasons = [f"{_title(run, trouble.entry)}: {trouble.reason}" for trouble in summary.troubles]
    reasons += [item.reason for item in summary.missing if item.library == "torch"]
    if unsteady := [_title(run, burst.entry) for burst in run.bursts if burst.settled is False]:
        whose = wording.listing(list(dict.fromkeys(unsteady)))
        reasons.append(
            f"the calls of {whose} came to no steady time; wait until nothing else runs (--wait-quiet 5min)"
        )
    if not reasons and (short := too_few(run, made, budget_s)):
        reasons = [short]
    return wording.listing(list(dict.fromkeys(reasons)), 3) or (made.reason if made else summary.ending)


def _times(summary: Summary, made: Comparison) -> str:
    """Both variants, their times and where they were taken."""
    rows = {row.entry: row for table in summary.tables for row in table.rows}
    one, other = rows[made.baseline], rows[made.entry]
    each = [f"{row.arm.variant} {units.duration(row.median_ns)}" for row in (one, other)]
    where = words.places(one.arm, other.arm)
    return f"{', '.join(each)} a call: medians, the ratio is taken within each block; {where}"


def _title(run: Run, entry: str) -> str:
    return run.arms[run.entries[entry].arm].title


def _name(arm: Arm) -> str:
    """A library, and its device where that is an accelerator."""
    return words.library(arm) + ("" if arm.device == "cpu" else f" on {arm.device}")
