"""What ``rnnbench advise`` found: two sentences for people, and one JSON object for programs."""

import json
import math
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from msgspec import structs

from bench.analysis.breakeven import break_evens
from bench.analysis.outcome import Outcome, outcomes
from bench.analysis.statistics import MIN_BLOCKS, blocks_needed
from bench.analysis.summary import Row, Summary, summarise
from bench.analysis.time_split import limits
from bench.analysis.verdict import Comparison, proposal
from bench.machine import units, wording
from bench.machine.wording import full_stop, printable
from bench.measure.budget import fastest_anywhere
from bench.records.run import Run
from bench.reporting import reasons, words
from bench.workload.case import Case

EITHER = ("EQUIVALENT", "UNRESOLVED")
ANSWERED = (*words.DECIDED, *EITHER)
MACHINE = ("processor", "usable_cpus", "memory_bytes", "system", "architecture", "packages")
ROUND_S = 5  # a time that would do is said in multiples of this


@dataclass(frozen=True, slots=True)
class Advice:
    """One measured size. ``ratio`` is the time of one library's fastest form over that of the other's."""

    sentences: tuple[str, ...]  # the verdict; why, where that is known; how to resolve it; what is wrong
    verdict: str  # the word: FASTER where PyTorch is, SLOWER where NumPy is
    use: str  # numpy, torch, either; empty where nothing can be said
    ratio: float | None
    low: float | None  # 95 % interval; None: too few blocks
    high: float | None
    blocks: int
    disagrees: bool  # whether a result was proved wrong
    case: Case
    times: tuple[Row, ...]  # of the arms that were measured
    command: tuple[str, ...]
    journal: Path
    run: Run

    @property
    def answered(self) -> bool:
        """Whether there is a verdict."""
        return self.verdict in ANSWERED

    @property
    def stopped_by(self) -> str | None:
        """The user or a signal, where one of them ended the run."""
        return self.run.end.stopped_by if self.run.end else None

    def as_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON: times in nanoseconds a call, all numbers finite."""
        return {
            "verdict": self.verdict,
            "use": self.use,
            "ratio": self.ratio,
            "interval": _limits(self.low, self.high),
            "blocks": self.blocks,
            "sentences": list(self.sentences),
            "case": asdict(self.case),
            "times": {
                row.arm.id: {
                    "ns": row.median_ns,
                    "interval": _limits(row.low_ns, row.high_ns),
                    "library": row.arm.library,
                    "device": row.arm.device,
                }
                for row in self.times
            },
            "machine": {name: self.run.environment.machine.get(name) for name in MACHINE},
            "command": shlex.join(self.command),
            "journal": str(self.journal),
            "ended": self.run.end.reason if self.run.end else "",
        }

    def to_json(self) -> str:
        """Return ``as_dict`` as text."""
        return json.dumps(self.as_dict(), indent=2, allow_nan=False)

    def __str__(self) -> str:
        lines = (*self.sentences, "", f"Again: {shlex.join(self.command)}", f"Journal: {self.journal}")
        return printable("\n".join(lines))

    __repr__ = __str__


def make_advice(run: Run, journal: Path, budget_s: float) -> Advice:
    """Work out what a run says; ``budget_s`` is what the person gave, ``journal`` the run's folder."""
    found = outcomes(run)
    run, summary, made = compare_best(run, found)
    group = run.plan.groups[0]
    rows = next(table.rows for table in summary.tables if table.name == group.name)
    blocks = None if made is None else proposal(run, (made,))
    told = (
        _verdict(run, summary, made, budget_s),
        _reason(run, found, summary, made),
        "" if blocks is None else words.look_again(str(journal), blocks),
        _wrong(run, summary),
    )
    return Advice(
        sentences=tuple(filter(None, told)),
        verdict="MISSING" if made is None else made.verdict,
        use=_use(made),
        ratio=made.ratio if made else None,
        low=made.low if made else None,
        high=made.high if made else None,
        blocks=made.blocks if made else 0,
        disagrees=summary.disagrees,
        case=group.entries[0].case,
        times=tuple(row for row in rows if row.median_ns is not None and not row.arm.twin),
        command=tuple(run.plan.command),
        journal=journal,
        run=run,
    )


def compare_best(run: Run, found: Mapping[str, Outcome]) -> tuple[Run, Summary, Comparison | None]:
    """Return the run with the chosen pair among its headlines, its summary, and the pair as it was judged."""
    pair = fastest_anywhere(run.plan, run.bursts)
    if pair is None or run.decision is None:
        return run, summarise(run, found), None
    sides = (pair.entry, pair.baseline)
    if not any((one.entry, one.baseline) == sides for one in run.pairs):
        decision = structs.replace(run.decision, pairs=[*run.decision.pairs, pair])
        run = replace(run, decision=decision)
    summary = summarise(run, found)
    return run, summary, next(made for made in summary.headlines if (made.entry, made.baseline) == sides)


def _use(made: Comparison | None) -> str:
    """Return the library to use, where there is a verdict."""
    if made is None or made.verdict not in ANSWERED:
        return ""
    if made.verdict in EITHER:
        return "either"
    lead = words.lead(made)
    return lead.winner.library if lead else ""


def _verdict(run: Run, summary: Summary, made: Comparison | None, budget_s: float) -> str:
    """Return what to use, in the words that the verdict allows, with the interval."""
    if made is None or made.ratio is None:
        why = _why_nothing(run, summary, made, budget_s)
        return full_stop(words.SENTENCES["MISSING"].advice.format(why=why.rstrip(".")))
    case = run.plan.groups[0].entries[0].case
    s = case.shape
    rows = {row.entry.id: row for table in summary.tables for row in table.rows}
    sides = rows[made.baseline], rows[made.entry]
    each = ", ".join(f"{row.arm.variant} {units.duration(row.median_ns)}" for row in sides)
    place = words.places(sides[0].arm, sides[1].arm)
    return words.sentences(made).advice.format(
        **words.parts(made),
        work=f"the {words.TASKS[case.task]} at H {s.H}, B {s.B}, T {s.T}, I {s.I}, O {s.O} ({case.dtype})",
        times=f"{each} a call: medians, the ratio is taken within each block; {place}",
        why=(_too_few(run, made, budget_s) or made.reason).rstrip("."),
    )


def _too_few(run: Run, made: Comparison | None, budget_s: float) -> str:
    """Return that the time held fewer blocks than a verdict needs, and about what time would hold them."""
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
    """Return why there is no comparison at all."""
    reasons = [f"{_title(run, trouble.entry)}: {trouble.reason}" for trouble in summary.troubles]
    reasons += [item.reason for item in run.plan.missing if item.library]
    if unsteady := [_title(run, burst.entry) for burst in run.bursts if burst.settled is False]:
        whose = wording.listing(list(dict.fromkeys(unsteady)))
        reasons.append(
            f"the calls of {whose} came to no steady time; wait until nothing else runs (--wait-quiet 5min)"
        )
    reasons = reasons or list(filter(None, [_too_few(run, made, budget_s)]))
    return wording.listing(list(dict.fromkeys(reasons)), 3) or (made.reason if made else summary.ending)


def _reason(run: Run, found: Mapping[str, Outcome], summary: Summary, made: Comparison | None) -> str:
    """Return why the verdict is what it is; where that is not known, what follows from starting.

    Empty where nothing was compared. Of what is not decided, nothing is the cause.
    """
    if made is None or made.ratio is None:
        return ""
    if made.verdict in ("INVALID", "NONE"):
        return full_stop(made.mend) if made.mend else ""
    if words.is_decided(made):
        known = {limit.entry.id: limit for limit in getattr(limits(run, found), "entries", ())}
        slower, faster = (made.entry, made.baseline) if made.ratio > 1 else (made.baseline, made.entry)
        if slower in known and faster in known and (why := reasons.extra(known[slower], known[faster])):
            return why
    for one in break_evens(summary):
        if (one.rival.entry.id, one.baseline.entry.id) == (made.entry, made.baseline):
            return reasons.sentence(one)
    return ""


def _wrong(run: Run, summary: Summary) -> str:
    """Return which results were proved wrong; empty where none were."""
    wrong = [
        f"{_title(run, one.entry)}: {one.reason}" for one in summary.troubles if one.status == "disagrees"
    ]
    return full_stop(f"Wrong results, without times: {wording.listing(wrong)}") if wrong else ""


def _title(run: Run, entry: str) -> str:
    return run.arms[run.entries[entry].arm].title


def _limits(low: float | None, high: float | None) -> list[float] | None:
    return None if low is None or high is None else [low, high]
