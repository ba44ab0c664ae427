"""Tell what a stream took: one sentence on top, tables, and what stands beside them."""

from collections.abc import Iterator, Sequence
from functools import partial
from statistics import median

from bench.analysis.tail import MIN_BEYOND, PERCENTILES, Ratio, Tail, Tails, shown
from bench.machine import libraries, units, wording
from bench.machine.wording import full_stop
from bench.records.stream import CONTROL, MIN_CLOCK_COSTS, Stream
from bench.reporting.peers import not_compared
from bench.reporting.section import Cell, Fields, TextTable, text_table
from bench.reporting.stream_tables import (
    MACHINE,
    both,
    label,
    library_name,
    quantile_cell,
    ratio_cell,
    share_cell,
    variant_cell,
    verdict_cell,
)
from bench.reporting.tables import HEADLINES

PERHAPS_MACHINE = " (perhaps the machine's)"  # where the control explains the tail, but not the difference
UNDECIDED = {"EQUIVALENT": " (the same)", "UNRESOLVED": " (not resolved)", "NONE": " (no verdict)"}


def of_group(tails: Tails) -> str:
    """Return " of groups of 4 calls" where calls were timed in groups, else nothing."""
    return f" of groups of {tails.decision.group} calls" if tails.decision.group > 1 else ""


def mean_of_group(tails: Tails) -> str:
    """Return what a time is, where calls were timed in groups: ", mean of each 4"."""
    return f", mean of each {tails.decision.group}" if tails.decision.group > 1 else ""


def frequency(rate: float) -> str:
    """Return samples a second as a frequency: 1 kHz."""
    return f"{rate / 1000:g} kHz" if rate >= 1000 else f"{rate:g} Hz"


def best(tails: Tails) -> list[Ratio]:
    """Return the ratios of one pair by percentile, ascending: the fastest forms, else those as written.

    Of several libraries PyTorch is told; the others stand in the tables.
    """
    for kind in ("best", "as_written"):
        if of_kind := [ratio for ratio in tails.ratios if ratio.kind == kind]:
            entries = sorted(
                (ratio.entry for ratio in of_kind), key=lambda arm: arm.library != libraries.TORCH.name
            )
            return [ratio for ratio in of_kind if ratio.entry == entries[0]]
    return []


def headline(tails: Tails) -> str:
    """Return the answer in one sentence, and in another one what a peer changes about it."""
    return f"{_of_libraries(tails)} {_of_peers(tails)}".rstrip()


def _of_peers(tails: Tails) -> str:
    """Return at which percentiles the fastest peer is proved to be ahead of both; empty without peers."""
    by_q: dict[float, list[Ratio]] = {}
    for ratio in tails.ratios:
        if ratio.kind == "peer":
            by_q.setdefault(ratio.q, []).append(ratio)
    if not by_q:
        return not_compared([tail.arm.variant for tail in tails.arms if tail.arm and tail.arm.peer])
    first = next(iter(by_q.values()))  # of one peer, with NumPy and with PyTorch
    name, sides = first[0].entry.variant, both([ratio.baseline for ratio in first])
    ahead = [
        f"{units.ratio(min(1 / (ratio.ratio or 1) for ratio in ratios))} times at {_place(q)}"
        for q, ratios in by_q.items()
        if len(ratios) > 1 and all(ratio.verdict == "FASTER" for ratio in ratios)
    ]
    if ahead:
        return f"Neither: {name} is faster than {sides}, {wording.listing(ahead)}."
    behind = all(any(ratio.verdict == "SLOWER" for ratio in ratios) for ratios in by_q.values())
    return f"{name} is not {'proved to be ' * (not behind)}ahead of {sides} at any percentile."


def _of_libraries(tails: Tails) -> str:
    """Return the answer in one sentence, which names no library where the control explains the difference."""
    ratios, by_arm = best(tails), {tail.arm: tail for tail in tails.arms}
    sides = [by_arm[arm] for arm in (ratios[0].entry, ratios[0].baseline)] if ratios else [*tails.arms]
    # the faster first, but a peer after NumPy and PyTorch
    sides = sorted(sides, key=lambda tail: (bool(tail.arm and tail.arm.peer), tail.times[0.5].ns))
    sides = sides[: 2 if ratios else 1]
    by_machine = [ratio.q for ratio in ratios if ratio.machine]
    if not ratios:
        by_machine = [q for q, quantile in sides[0].times.items() if quantile.machine]
    named = [(q, quantile) for q, quantile in sides[0].times.items() if q not in by_machine]
    takes = wording.listing(
        [f"{units.duration(at.ns)} at {_place(q)}{PERHAPS_MACHINE * at.machine}" for q, at in named]
    )
    if ratios:
        swapped = sides[0].arm == ratios[0].entry
        others = [_times(ratio, swapped) for ratio in ratios if not ratio.machine]
        takes += f", {_name(sides[1])} {wording.listing(others)}"
    clauses = [_in_time(sides, tails), f"{_name(sides[0])} takes {takes}{of_group(tails)}"]
    tails_too = [q for q in by_machine if all(tail.times[q].machine for tail in sides)]
    for noun, qs in (("tail", tails_too), ("difference", [q for q in by_machine if q not in tails_too])):
        if qs:
            where = wording.listing([*map(_place, qs)])
            clauses.append(f"at {where} the {noun} may be the machine's, as the control shows")
    return wording.capital(full_stop("; ".join(clauses)))


def _name(tail: Tail) -> str:
    return library_name(tail.arm) if tail.arm else CONTROL


def _place(q: float) -> str:
    return "the median" if q == 0.5 else label(q)


def _times(ratio: Ratio, swapped: bool) -> str:
    """Return what a verdict allows to say of the slower side: "3.1 times [3.0, 3.2] as long at p99"."""
    value, low, high = ratio.ratio or 1.0, ratio.low, ratio.high
    if swapped:
        value, low, high = 1 / value, high and 1 / high, low and 1 / low
    times = f"{units.ratio(value)} times {units.interval(low, high)}".rstrip()
    return f"{times} as long at {_place(ratio.q)}{UNDECIDED.get(ratio.verdict, '')}"


def _in_time(sides: list[Tail], tails: Tails) -> str:
    """Return whether the arms meet their deadlines; back to back there are none."""
    rate = tails.stream.declaration.rate
    if rate is None:
        return "back to back"
    late = [tail for tail in sides if tail.missed and not tail.missed_by_machine]
    where = f"at {frequency(rate)}"
    if late:
        misses = [f"{_name(tail)} misses {units.percent(tail.missed or 0.0)}" for tail in late]
        return f"{where} {wording.listing(misses)} of the deadlines"
    subject = "both are" if len(sides) > 1 else f"{_name(sides[0])} is"
    if not any(tail.missed for tail in sides):
        return f"{where} {subject} in time"
    most = units.percent(max(tail.missed or 0.0 for tail in sides))
    control = f"at most {most}, the control {units.percent(tails.control.missed or 0.0)}"
    return f"{where} {subject} in time but for delays that may be the machine's ({control})"


def tables(tails: Tails) -> Iterator[TextTable]:
    """Yield the times of calls, at a rate also those from when they were due, and the ratios."""
    yield _percentiles(tails, response=False)
    if tails.control.response:
        yield _percentiles(tails, response=True)
    fields: Fields[Ratio] = {
        "Compared": lambda ratio: Cell(_sides(ratio), HEADLINES[ratio.kind]),
        "At": lambda ratio: label(ratio.q),
        "Ratio": ratio_cell,
        "Verdict": partial(verdict_cell, quick=not tails.stream.declaration.verdicts),
    }
    if tails.ratios:
        yield text_table("Ratios of the times of a call", fields, tails.ratios)


def _percentiles(tails: Tails, *, response: bool) -> TextTable:
    """Return the percentiles of all arms and of the control; of responses also what is late."""

    def quantile(q: float, tail: Tail) -> Cell:
        return quantile_cell((tail.response if response else tail.times)[q])

    fields: Fields[Tail] = {
        "Variant": lambda tail: variant_cell(tail.arm),
        **{label(q): partial(quantile, q) for q in shown(tails.decision.calls)},
        "Longest": lambda tail: Cell.of(tail.longest_ns(response=response), units.duration),
    }
    late: Fields[Tail] = {"Late": lambda tail: share_cell(tail.missed, tail.missed_by_machine)}
    title = "From when a sample was due to the end of its call" if response else "Time of a call"
    title += mean_of_group(tails) * (not response)
    return text_table(title, {**fields, **(late if response else {})}, (*tails.arms, tails.control))


def _sides(ratio: Ratio) -> str:
    return f"{ratio.entry.title} ÷ {ratio.baseline.title}"


def notes(tails: Tails) -> Iterator[str]:
    """Yield what must be known beside the tables: the clock, the control, hidden percentiles, causes."""
    yield from measured(tails)
    yield from (f"{tail.title}: {causes(tail)}." for tail in tails.arms)
    yield from dict.fromkeys(f"{_sides(r)}: {full_stop(r.reason)}" for r in tails.ratios if r.reason)
    yield from troubles(tails.stream)


def measured(tails: Tails) -> Iterator[str]:
    """Yield what the clock costs, what the control does, and which percentiles need more calls."""
    decision, bursts = tails.decision, tails.control.bursts
    cost_ns = median(cost for burst in bursts for cost in burst.clock_cost_ns)
    step_ns = min(burst.clock_step_ns for burst in bursts)
    yield (
        f"Reading the clock costs {units.duration(cost_ns)}, its smallest step is {units.duration(step_ns)}. "
        f"The control computes nothing for {_span(tails.idle_ns)} a call; {MACHINE} marks what it explains."
    )
    cost_limit_ns = MIN_CLOCK_COSTS * cost_ns / decision.group
    if short := [tail.title for tail in tails.arms if tail.times[0.5].ns < cost_limit_ns]:
        yield (
            f"Each time has a reading of the clock in it, above a {MIN_CLOCK_COSTS}th of the median of "
            f"{wording.listing(short)}."
        )
    if hidden := [q for q in PERCENTILES if q not in shown(decision.calls)]:
        needs = [f"{label(q)} needs {units.whole(round(MIN_BEYOND / (1 - q)))} calls" for q in hidden]
        yield f"In a block {wording.listing(needs)} (--calls); there were {units.whole(decision.calls)}."


def _span(spans_ns: Sequence[float]) -> str:
    """Return the median of times; where they look different, with the least and the greatest."""
    text, *limits = (units.duration(at(spans_ns)) for at in (median, min, max))
    return text if limits == [text, text] else f"{text} ({limits[0]} to {limits[1]} by block)"


def troubles(stream: Stream) -> Iterator[str]:
    """Yield what is missing or failed, and whether the stream was cut off."""
    yield from (full_stop(wording.capital(reason)) for reason in stream.declaration.missing)
    for failure in stream.failures:
        yield f"{failure.entry} failed in block {failure.block}: {full_stop(failure.reason)}"
    end = stream.end
    if end is None or end.status == "interrupted":
        blocks = wording.count(stream.blocks, "block")
        yield full_stop(f"It was cut off after {blocks}{f': {end.reason}' if end else ''}")


def causes(tail: Tail) -> str:
    """Return the known causes of slow calls in words."""
    known = {name: int(value) for name, value in tail.causes.items()}
    collections = (
        f"{wording.count(known['collections'], 'garbage collection')} of "
        f"{units.duration(known['collecting_ns'])} in all, within {known['collected']} of the "
        f"{known['slowest']} slowest calls"
    )
    if not known["collections"]:
        collections = "no garbage collection"
    return (
        f"{collections}; put aside {wording.count(known['preempted'], 'time')}, "
        f"{wording.count(known['page_faults'], 'page fault')}; first call "
        f"{units.duration(known['first_call_ns'])}"
    )
