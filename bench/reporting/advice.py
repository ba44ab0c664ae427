"""Give the advice of ``rnnbench advise``: two sentences for people, and one JSON object for programs."""

import json
import math
import shlex
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from msgspec import structs

from bench.analysis.breakeven import break_evens
from bench.analysis.statistics import MIN_BLOCKS, blocks_needed
from bench.analysis.summary import Row, Summary, summarise
from bench.analysis.time_split import limits
from bench.analysis.verdict import Comparison, proposal
from bench.machine import units, wording
from bench.machine.wording import full_stop, printable
from bench.measure.budget import Forms
from bench.records.run import Run
from bench.reporting import peers, reasons, words
from bench.workload.case import Case

EITHER_VERDICTS = ("EQUIVALENT", "UNRESOLVED")  # verdicts after which either library may be used
ANSWER_VERDICTS = (*words.DECIDED, *EITHER_VERDICTS)
MACHINE_FACTS = ("processor", "usable_cpus", "memory_bytes", "system", "architecture", "packages")
BUDGET_STEP_S = 5  # a proposed budget is a multiple of this


@dataclass(frozen=True, slots=True)
class Advice:
    """Hold the advice for one size; ``ratio`` is PyTorch's time over NumPy's, each in its fastest form."""

    sentences: tuple[str, ...]  # the verdict; its cause, if known; how to resolve it; wrong results
    verdict: str  # FASTER if PyTorch is faster, SLOWER if NumPy is
    use: str  # numpy, torch or either; empty without advice
    ratio: float | None
    low: float | None  # 95 % interval; None with too few blocks
    high: float | None
    blocks: int
    disagrees: bool  # whether a result was proved wrong
    case: Case
    times: tuple[Row, ...]  # of the measured arms
    command: tuple[str, ...]
    journal: Path
    run: Run

    @property
    def answered(self) -> bool:
        """Return whether the verdict answers which library to use."""
        return self.verdict in ANSWER_VERDICTS

    @property
    def stopped_by(self) -> str | None:
        """Return "user" or "signal" if one of these ended the run; otherwise None."""
        return self.run.end.stopped_by if self.run.end else None

    def as_dict(self) -> dict[str, Any]:
        """Return all results, ready for JSON: times in nanoseconds per call, all numbers finite."""
        times = {
            row.arm.id: {
                "ns": row.median_ns,
                "interval": _limits(row.low_ns, row.high_ns),
                "library": row.arm.library,
                "device": row.arm.device,
            }
            for row in self.times
        }
        return {
            **{name: getattr(self, name) for name in ("verdict", "use", "ratio", "blocks")},
            "interval": _limits(self.low, self.high),
            "sentences": list(self.sentences),
            "case": asdict(self.case),
            "times": times,
            "machine": {name: self.run.environment.machine.get(name) for name in MACHINE_FACTS},
            "command": shlex.join(self.command),
            "journal": str(self.journal),
            "ended": self.run.end.reason if self.run.end else "",
        }

    def to_json(self) -> str:
        """Return ``as_dict`` as JSON text."""
        return json.dumps(self.as_dict(), indent=2, allow_nan=False)

    def __str__(self) -> str:
        again, page = f"Again: {shlex.join(self.command)}", f"A page: rnnbench report {self.journal}"
        return printable("\n".join((*self.sentences, "", again, page)))

    __repr__ = __str__


def make_advice(run: Run, journal: Path, budget_s: float) -> Advice:
    """Build the advice from a run; ``budget_s`` is the user's time budget, ``journal`` the run's folder."""
    summary, pair = compare_best(run)
    run = summary.run
    group = run.plan.groups[0]
    rows = next(table.rows for table in summary.tables if table.name == group.name)
    blocks = proposal(run, (pair,)) if pair else None
    wrong = [
        f"{_title(run, trouble.entry)}: {trouble.reason}"
        for trouble in summary.troubles
        if trouble.status == "disagrees"
    ]
    sentences = (
        _verdict(summary, pair, budget_s),
        _reason(summary, pair) if pair else "",
        peers.answer([summary], lambda peer, _: peer.pairs[0].entry),
        "" if blocks is None else words.look_again(str(journal), blocks),
        full_stop(f"Wrong results, without times: {wording.listing(wrong)}") if wrong else "",
    )
    return Advice(
        sentences=tuple(filter(None, sentences)),
        verdict=pair.verdict if pair else "MISSING",
        use=_use(pair) if pair else "",
        ratio=pair.ratio if pair else None,
        low=pair.low if pair else None,
        high=pair.high if pair else None,
        blocks=pair.blocks if pair else 0,
        disagrees=summary.disagrees,
        case=group.entries[0].case,
        times=tuple(row for row in rows if row.median_ns is not None and not row.arm.twin),
        command=tuple(run.plan.command),
        journal=journal,
        run=run,
    )


def compare_best(run: Run) -> tuple[Summary, Comparison | None]:
    """Return the run's summary with the pair of fastest forms among its headlines, and the judged pair."""
    pairs = Forms(run.plan, run.bursts).anywhere()
    if not pairs or run.decision is None:
        return summarise(run), None
    (pair,) = pairs
    sides = (pair.entry, pair.baseline)
    if not any((declared.entry, declared.baseline) == sides for declared in run.pairs):
        decision = structs.replace(run.decision, pairs=[*run.decision.pairs, pair])
        run = replace(run, decision=decision)
    summary = summarise(run)
    return summary, next(judged for judged in summary.headlines if (judged.entry, judged.baseline) == sides)


def _use(pair: Comparison) -> str:
    """Return the library to use, or "either"; empty without a verdict."""
    lead = words.lead(pair)
    if lead and words.is_decided(pair):
        return lead.winner.library
    return "either" if pair.verdict in EITHER_VERDICTS else ""


def _verdict(summary: Summary, pair: Comparison | None, budget_s: float) -> str:
    """Return which library to use, in the words that the verdict allows, with the interval."""
    run = summary.run
    if pair is None or pair.ratio is None:
        why = _why_nothing(summary, pair, budget_s)
        return full_stop(words.SENTENCES["MISSING"].advice.format(why=why.rstrip(".")))
    case = run.plan.groups[0].entries[0].case
    size = ", ".join(f"{name} {getattr(case.shape, name)}" for name in "HBTIO")
    times = {entry: row.median_ns for entry, row in summary.rows.items()}
    sides = (pair.baseline_arm, pair.baseline), (pair.arm, pair.entry)
    times_text = ", ".join(f"{arm.variant} {units.duration(times[entry])}" for arm, entry in sides)
    place = words.places(pair.baseline_arm, pair.arm)
    return words.sentences(pair).advice.format(
        **words.parts(pair),
        work=f"the {words.TASKS[case.task]}{words.of_cell(case)} at {size} ({case.dtype})",
        times=f"{times_text} a call: medians, the ratio is taken within each block; {place}",
        why=(_too_few(run, pair, budget_s) or pair.reason).rstrip("."),
    )


def _too_few(run: Run, pair: Comparison | None, budget_s: float) -> str:
    """Return that the budget held too few blocks for a verdict, with a sufficient budget; else empty."""
    blocks, needed = (pair.blocks, blocks_needed(max(1, pair.family))) if pair else (0, MIN_BLOCKS)
    if blocks >= needed or run.end is None:
        return ""
    before_blocks_s = budget_s - (run.plan.budget_s or budget_s)
    # block 0 takes longer than the others, so this time is rather too long
    block_s = run.end.seconds / (blocks + 1)
    total_s = before_blocks_s + (needed + 1) * block_s
    enough_s = BUDGET_STEP_S * math.ceil(total_s / BUDGET_STEP_S)
    return (
        f"the budget of {budget_s:g} s held {blocks} of the {needed} blocks that it needs, for which "
        f"a budget of {enough_s} s should do"
    )


def _why_nothing(summary: Summary, pair: Comparison | None, budget_s: float) -> str:
    """Return why no comparison was possible."""
    run = summary.run
    why = [f"{_title(run, trouble.entry)}: {trouble.reason}" for trouble in summary.troubles]
    why += [missing.reason for missing in run.plan.missing if missing.library]
    if unsteady := [_title(run, burst.entry) for burst in run.bursts if burst.settled is False]:
        titles = wording.listing(list(dict.fromkeys(unsteady)))
        why.append(
            f"the calls of {titles} came to no steady time; wait until nothing else runs (--wait-quiet 5min)"
        )
    why = why or [_too_few(run, pair, budget_s) or (pair.reason if pair else summary.ending)]
    return wording.listing(list(dict.fromkeys(why)), 3)


def _reason(summary: Summary, pair: Comparison) -> str:
    """Return a decided verdict's cause; without a known cause, a sentence on the break-even point, if any.

    Empty without a ratio. INVALID and NONE have no cause: return what to do next.
    """
    if pair.ratio is None:
        return ""
    if pair.verdict in ("INVALID", "NONE"):
        return full_stop(pair.mend) if pair.mend else ""
    if words.is_decided(pair):
        split = limits(summary)
        splits = {limit.entry.id: limit for limit in split.entries} if split else {}
        slower, faster = (pair.entry, pair.baseline) if pair.ratio > 1 else (pair.baseline, pair.entry)
        if slower in splits and faster in splits and (why := reasons.extra(splits[slower], splits[faster])):
            return why
    for break_even in break_evens(summary):
        if (break_even.rival.entry.id, break_even.baseline.entry.id) == (pair.entry, pair.baseline):
            return reasons.sentence(break_even)
    return ""


def _title(run: Run, entry: str) -> str:
    return run.arms[run.entries[entry].arm].title


def _limits(low: float | None, high: float | None) -> list[float] | None:
    return None if low is None or high is None else [low, high]
