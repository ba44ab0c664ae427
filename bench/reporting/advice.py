"""What ``rnnbench advise`` found: two sentences for people, and one JSON object for programs."""

import json
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.analysis.outcome import outcomes
from bench.analysis.summary import Row, Summary
from bench.analysis.verdict import Comparison, proposal
from bench.machine import wording
from bench.machine.wording import full_stop, printable
from bench.records.run import Run
from bench.reporting import verdict, words
from bench.reporting.reason import reason
from bench.workload.case import Case

EITHER = ("EQUIVALENT", "UNRESOLVED")
ANSWERED = (*words.DECIDED, *EITHER)
MACHINE = ("processor", "usable_cpus", "memory_bytes", "system", "architecture", "packages")


@dataclass(frozen=True, slots=True)
class Advice:
    """One measured size. ``ratio`` is the time of PyTorch's fastest form over that of NumPy's."""

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
        """Everything, ready for JSON: times in nanoseconds a call, all numbers finite."""
        return {
            "verdict": self.verdict,
            "use": self.use,
            "ratio": self.ratio,
            "interval": None if self.low is None or self.high is None else [self.low, self.high],
            "blocks": self.blocks,
            "sentences": list(self.sentences),
            "case": asdict(self.case),
            "times": {row.arm.id: _times(row) for row in self.times},
            "machine": {name: self.run.environment.machine.get(name) for name in MACHINE},
            "command": shlex.join(self.command),
            "journal": str(self.journal),
            "ended": self.run.end.reason if self.run.end else "",
        }

    def to_json(self) -> str:
        """``as_dict`` as text."""
        return json.dumps(self.as_dict(), indent=2, allow_nan=False)

    def __str__(self) -> str:
        lines = (*self.sentences, "", f"Again: {shlex.join(self.command)}", f"Journal: {self.journal}")
        return printable("\n".join(lines))

    __repr__ = __str__


def make_advice(run: Run, journal: Path, budget_s: float) -> Advice:
    """Work out what a run says; ``budget_s`` is what the person gave, ``journal`` the run's folder."""
    found = outcomes(run)
    run, summary, made = verdict.compare_best(run, found)
    said = (
        verdict.sentence(run, summary, made, budget_s),
        reason(run, found, summary, made),
        _look_again(run, made, journal),
        _wrong(summary),
    )
    return Advice(
        sentences=tuple(filter(None, said)),
        verdict="MISSING" if made is None else made.verdict,
        use=_use(run, made),
        ratio=made.ratio if made else None,
        low=made.low if made else None,
        high=made.high if made else None,
        blocks=made.blocks if made else 0,
        disagrees=summary.disagrees,
        case=run.plan.groups[0].entries[0].case,
        times=_measured(run, summary),
        command=tuple(run.plan.command),
        journal=journal,
        run=run,
    )


def _use(run: Run, made: Comparison | None) -> str:
    """The library to use, where there is a verdict."""
    if made is None or made.verdict not in ANSWERED:
        return ""
    if made.verdict in EITHER:
        return "either"
    lead = words.lead(run, made)
    return lead.winner.library if lead else ""


def _measured(run: Run, summary: Summary) -> tuple[Row, ...]:
    """The rows of the one table, without the twins."""
    rows = (row for table in summary.tables if table.name == run.plan.groups[0].name for row in table.rows)
    return tuple(row for row in rows if row.median_ns is not None and not row.arm.twin)


def _times(row: Row) -> dict[str, Any]:
    limits = None if row.low_ns is None or row.high_ns is None else [row.low_ns, row.high_ns]
    return {"ns": row.median_ns, "interval": limits, "library": row.arm.library, "device": row.arm.device}


def _look_again(run: Run, made: Comparison | None, journal: Path) -> str:
    """What to type where it is not resolved which is faster; empty where that would not help."""
    blocks = proposal(run, (made,)) if made is not None else None
    return "" if blocks is None else words.look_again(str(journal), blocks)


def _wrong(summary: Summary) -> str:
    """Which results were proved wrong; empty where none were."""
    titles = {row.entry: row.arm.title for table in summary.tables for row in table.rows}
    wrong = [f"{titles[one.entry]}: {one.reason}" for one in summary.troubles if one.status == "disagrees"]
    return full_stop(f"Wrong results, without times: {wording.listing(wrong)}") if wrong else ""
