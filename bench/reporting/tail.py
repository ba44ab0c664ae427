"""Tell what a stream took: one sentence on top, tables for a terminal, and one JSON object for programs."""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from statistics import median
from typing import Any

from msgspec.structs import asdict
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.analysis.tail import PERCENTILES, Quantile, Ratio, Tail, Tails, shown
from bench.machine import libraries, units, wording
from bench.machine.wording import full_stop
from bench.records.stream import CONTROL

WIDTH = 80  # of the tables
MACHINE = "*"  # marks what the control explains


def label(q: float) -> str:
    """Return a percentile's name: p99.9."""
    return f"p{100 * q:g}"


def of_group(tails: Tails) -> str:
    """Return " of groups of 4 calls" where calls were timed in groups, else nothing."""
    return f" of groups of {tails.decision.group} calls" if tails.decision.group > 1 else ""


def best(tails: Tails) -> list[Ratio]:
    """Return the ratios of the fastest forms, by percentile in ascending order; else those as written."""
    return next(
        (found for kind in ("best", "as_written") if (found := [r for r in tails.ratios if r.kind == kind])),
        [],
    )


def headline(tails: Tails) -> str:
    """Return the answer in one sentence, which names no library where the control explains the difference."""
    ratios, by_arm = best(tails), {tail.arm: tail for tail in tails.arms}
    told = [min(tails.arms, key=lambda tail: tail.times[0.5].ns)]
    if ratios:
        told = sorted(
            (by_arm[arm] for arm in (ratios[0].entry, ratios[0].baseline)),
            key=lambda tail: tail.times[0.5].ns,
        )
    by_machine = [ratio.q for ratio in ratios if ratio.machine]
    named = [(_place(q), found) for q, found in told[0].times.items() if q not in by_machine]
    takes = wording.listing([f"{units.duration(found.ns)} at {place}" for place, found in named])
    if ratios:
        swapped = told[0].arm == ratios[0].entry
        others = [_times(ratio, swapped) for ratio in ratios if not ratio.machine]
        takes += f", {_name(told[1])} {wording.listing(others)}"
    clauses = [_in_time(told, tails), f"{_name(told[0])} takes {takes}{of_group(tails)}"]
    if by_machine:
        where = wording.listing([_place(q) for q in by_machine])
        clauses.append(f"at {where} the machine explains the difference, as the control shows")
    return wording.capital(full_stop("; ".join(clauses)))


def _name(tail: Tail) -> str:
    """Return the label of an arm's library."""
    return libraries.library(tail.arm.library).label if tail.arm else CONTROL


def _place(q: float) -> str:
    return "the median" if q == 0.5 else label(q)


def _times(ratio: Ratio, swapped: bool) -> str:
    """Return what a verdict allows to say of the slower side: "3.1 times [3.0, 3.2] as long at p99"."""
    value, low, high = ratio.ratio or 1.0, ratio.low, ratio.high
    if swapped:
        value, low, high = 1 / value, high and 1 / high, low and 1 / low
    times = f"{units.ratio(value)} times {units.interval(low, high)}".rstrip()
    verdict = {"EQUIVALENT": " (the same)", "UNRESOLVED": " (not resolved)", "NONE": " (no verdict)"}
    return f"{times} as long at {_place(ratio.q)}{verdict.get(ratio.verdict, '')}"


def _in_time(told: list[Tail], tails: Tails) -> str:
    """Return whether the arms meet their deadlines; back to back there are none."""
    rate = tails.stream.declaration.rate
    if rate is None:
        return "back to back"
    late = [tail for tail in told if tail.missed and not tail.missed_by_machine]
    where = f"at {rate / 1000:g} kHz" if rate >= 1000 else f"at {rate:g} Hz"
    if late:
        misses = [f"{_name(tail)} misses {units.percent(tail.missed or 0.0)}" for tail in late]
        return f"{where} {wording.listing(misses)} of the deadlines"
    subject = "both are" if len(told) > 1 else f"{_name(told[0])} is"
    if not any(tail.missed for tail in told):
        return f"{where} {subject} in time"
    control = f"the control misses {units.percent(tails.control.missed or 0.0)} as well"
    return f"{where} {subject} in time but for what the machine delays ({control})"


@dataclass(frozen=True, slots=True)
class Streamed:
    """Hold a stream's answer: the summary, its sentence, and everything as plain objects."""

    tails: Tails
    folder: Path

    @property
    def sentence(self) -> str:
        """Return the answer in one sentence."""
        return headline(self.tails)

    @property
    def disagrees(self) -> bool:
        """Return whether a result was proved wrong."""
        return any(failure.status == "disagrees" for failure in self.tails.stream.failures)

    def as_dict(self) -> dict[str, Any]:
        """Return all results, ready for JSON: times in nanoseconds, all numbers finite."""
        tails, declaration, end = self.tails, self.tails.stream.declaration, self.tails.stream.end
        return {
            "sentence": self.sentence,
            "status": end.status if end else "interrupted",
            "rate": declaration.rate,
            "pace": declaration.pace,
            "collector": declaration.collector,
            "blocks": len(tails.control.bursts),
            **{name: getattr(tails.decision, name) for name in ("calls", "group", "idle_ns")},
            "rows": [_row(tail) for tail in (*tails.arms, tails.control)],
            "ratios": [_ratio_row(ratio) for ratio in tails.ratios],
            "failures": [asdict(failure) | {"checks": []} for failure in tails.stream.failures],
            "case": dataclasses.asdict(declaration.case),
            "folder": str(self.folder),
        }

    def to_json(self) -> str:
        """Return ``as_dict`` as JSON text."""
        return json.dumps(self.as_dict(), indent=2, allow_nan=False)

    def __str__(self) -> str:
        console = Console(file=StringIO(), width=WIDTH, highlight=False)
        show(self, console)
        text: str = console.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO
        return text

    __repr__ = __str__


def show(streamed: Streamed, console: Console) -> None:
    """Print the sentence, the tables, and what stands beside them."""
    tails = streamed.tails
    console.print(f"{streamed.sentence}\n", markup=False, soft_wrap=not console.is_terminal)
    console.print(_table(tails, response=False))
    if tails.control.response:
        console.print(_table(tails, response=True))
    if tails.ratios:
        console.print(_ratio_table(tails))
    for line in notes(tails):
        console.print(line, markup=False, soft_wrap=not console.is_terminal)


def _table(tails: Tails, *, response: bool) -> Table:
    """Return a table of percentiles, a row for each arm and the control; of responses also what is late."""
    title = "From when a call was due to its end" if response else f"Time of a call{of_group(tails)}"
    qs = list(tails.control.times)
    columns = ["", *map(label, qs), "longest", *(["late"] if response else [])]
    table = Table(*columns, title=title, box=box.SIMPLE_HEAD, padding=(0, 1))
    for tail in (*tails.arms, tails.control):
        found = tail.response if response else tail.times
        cells = [units.duration(found[q].ns) + MACHINE * found[q].machine for q in qs]
        cells.append(units.duration(tail.longest_ns(response=response)))
        if response:
            cells.append(units.percent(tail.missed or 0.0) + MACHINE * tail.missed_by_machine)
        table.add_row(escape(tail.title), *cells)
    return table


def _ratio_table(tails: Tails) -> Table:
    """Return a table of ratios with their verdicts."""
    table = Table("", "at", "ratio", "verdict", title="Ratios", box=box.SIMPLE_HEAD, padding=(0, 1))
    for ratio in tails.ratios:
        names = f"{ratio.entry.title} / {ratio.baseline.title}"
        verdict = "the machine" if ratio.machine else verdict_of(ratio)
        table.add_row(
            escape(names), label(ratio.q), units.with_interval(ratio.ratio, ratio.low, ratio.high), verdict
        )
    return table


def verdict_of(ratio: Ratio) -> str:
    """Return the verdict as shown to readers."""
    return "no verdict" if ratio.verdict == "NONE" else ratio.verdict


def notes(tails: Tails) -> Iterator[str]:
    """Yield what must be known beside the tables: the clock, the control, hidden percentiles, causes."""
    stream, decision, sides = tails.stream, tails.decision, (*tails.arms, tails.control)
    costs = [cost for tail in sides for burst in tail.bursts for cost in burst.clock_cost_ns]
    steps = [burst.clock_step_ns for tail in sides for burst in tail.bursts]
    yield (
        f"Reading the clock costs {units.duration(median(costs))}, its smallest step is "
        f"{units.duration(min(steps))}. The control computes nothing for {units.duration(decision.idle_ns)} "
        f"a call; {MACHINE} marks what it explains."
    )
    if hidden := [label(q) for q in PERCENTILES if q not in shown(decision.calls)]:
        calls = wording.count(decision.calls, "call")
        yield f"{wording.listing(hidden)} would need more than {calls} a block (--calls)."
    for tail in tails.arms:
        yield f"{tail.title}: {causes(tail)}."
    for ratio in tails.ratios:
        if ratio.reason:
            sides_text = f"{ratio.entry.title} / {ratio.baseline.title}"
            yield f"{sides_text} at {label(ratio.q)}: {full_stop(ratio.reason)}"
    for failure in stream.failures:
        yield f"{failure.entry} failed in block {failure.block}: {full_stop(failure.reason)}"
    if stream.end and stream.end.status == "interrupted":
        blocks = wording.count(len(tails.control.bursts), "block")
        yield f"It was cut off after {blocks}: {stream.end.reason}."


def causes(tail: Tail) -> str:
    """Return the known causes of slow calls in words."""
    bursts = tail.bursts
    collections = sum(sum(burst.collections) for burst in bursts)
    collecting_ns = sum(burst.collecting_ns for burst in bursts)
    collected = sum(slow.collected for burst in bursts for slow in burst.slowest)
    slowest = sum(len(burst.slowest) for burst in bursts)
    parts = [
        f"{wording.count(collections, 'garbage collection')} ({units.duration(collecting_ns)})",
        f"within {collected} of the {slowest} slowest calls",
        f"put aside {wording.count(sum(burst.preempted for burst in bursts), 'time')}",
        f"{wording.count(sum(sum(burst.faults) for burst in bursts), 'page fault')}",
        f"first call {units.duration(max(burst.first_call_ns for burst in bursts))}",
    ]
    return ", ".join(parts)


def _quantiles(found: Mapping[float, Quantile]) -> dict[str, Any]:
    return {label(q): dataclasses.asdict(quantile) for q, quantile in found.items()}


def _row(tail: Tail) -> dict[str, Any]:
    """Return what an arm, or the control, took, ready for JSON."""
    bursts, arm = tail.bursts, tail.arm
    return {
        "arm": arm.id if arm else CONTROL,
        "library": arm.library if arm else None,
        "times": _quantiles(tail.times),
        "response": _quantiles(tail.response),
        "longest_ns": tail.longest_ns(),
        "missed": tail.missed,
        "missed_by_machine": tail.missed_by_machine,
        "first_call_ns": [burst.first_call_ns for burst in bursts],
        "clock_cost_ns": [max(burst.clock_cost_ns) for burst in bursts],
        "clock_step_ns": [burst.clock_step_ns for burst in bursts],
        "collections": [sum(burst.collections) for burst in bursts],
        "collecting_ns": [burst.collecting_ns for burst in bursts],
        "preempted": [burst.preempted for burst in bursts],
        "page_faults": [sum(burst.faults) for burst in bursts],
    }


def _ratio_row(ratio: Ratio) -> dict[str, Any]:
    names = ("kind", "ratio", "low", "high", "verdict", "reason", "machine")
    sides = {"at": label(ratio.q), "entry": ratio.entry.id, "baseline": ratio.baseline.id}
    return sides | {name: getattr(ratio, name) for name in names}
