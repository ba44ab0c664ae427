"""Tell how many streams are served, and what steps take meanwhile: a sentence, and the tables of a page."""

from collections.abc import Iterator
from functools import partial

from bench.analysis.concurrency import Concurrency, Point, Ratio, Served
from bench.machine import units, wording
from bench.machine.wording import full_stop
from bench.records.record import Arm
from bench.records.stream import LATE
from bench.reporting.peers import BOTH, not_compared
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
from bench.reporting.tail import UNDECIDED, frequency, troubles

NOTE = (
    "The control computes nothing: it is fed, paced and timed as the arms are, and its step is as long as "
    f"the first ones of the slowest arm, with one stream. {MACHINE} marks what it explains."
)
ON_RATIOS = (
    "A ratio of streams served is the median over blocks; the numbers served are the least of all blocks, so "
    "that their quotient may be another."
)


def headline(summary: Concurrency) -> str:
    """Return the answer in one sentence, and in another one what a peer changes about it."""
    answer = full_stop(wording.capital(_served(summary) if summary.served else _throughput(summary)))
    return f"{answer} {_of_peers(summary)}".rstrip()


def _size(summary: Concurrency) -> tuple[int, int]:
    """Return the most streams, and the workers that served them."""
    return max((point.streams, point.workers) for point in summary.points)


def _of_peers(summary: Concurrency) -> str:
    """Return whether a peer is proved to be ahead of both; empty without peers."""
    peers = dict.fromkeys(point.arm for point in summary.points if point.arm and point.arm.peer)
    workers = summary.stream.declaration.workers
    place = ("served", None, workers) if summary.served else ("step", *_size(summary))
    ratios = [ratio for ratio in summary.ratios if (ratio.what, ratio.streams, ratio.workers) == place]
    pairs = {peer: [ratio for ratio in ratios if ratio.entry == peer] for peer in peers}
    compared = {
        peer: of_peer
        for peer, of_peer in pairs.items()
        if {ratio.baseline.library for ratio in of_peer} >= {*BOTH}
    }
    if not compared:
        return not_compared([peer.variant for peer in peers])
    sides = both(list(dict.fromkeys(ratio.baseline for ratio in ratios if ratio.entry.peer)))
    ahead = [
        (min(1 / (ratio.ratio or 1.0) for ratio in of_peer), peer.variant)
        for peer, of_peer in compared.items()
        if all(ratio.verdict == "FASTER" for ratio in of_peer)
    ]
    if not ahead:
        return f"No peer is proved to be ahead of {sides}."
    factor, variant = max(ahead)
    if summary.served:
        return f"Neither: {variant} serves {units.ratio(factor)} times as many streams as {sides}."
    return f"Neither: {variant} is {units.ratio(factor)} times faster than {sides}."


def on_workers(summary: Concurrency, n: int | None = None) -> str:
    """Return "on 2 processes"."""
    declared = summary.stream.declaration
    noun = {"processes": "process", "threads": "thread"}[declared.share]
    n = n or declared.workers
    return f"on {n} {noun if n == 1 else declared.share}"


def _names(summary: Concurrency) -> dict[Arm, str]:
    """Return what the arms are called: by their library where it has one arm, else by their variant."""
    arms = summary.stream.declaration.arms
    used = [arm.library for arm in arms]
    return {arm: library_name(arm) if used.count(arm.library) == 1 else arm.title for arm in arms}


def _main_arms(summary: Concurrency) -> list[Arm]:
    """Return the arms that the first sentence is on: without peers, unless nothing else has times."""
    arms = list(dict.fromkeys(point.arm for point in summary.points if point.arm))
    return [arm for arm in arms if not arm.peer] or arms


def number_served(served: Served) -> str:
    """Return the number in every block; where the search ended before its limit, "at least"."""
    return f"{'at least ' * served.capped}{units.whole(served.least)}"


def _served(summary: Concurrency) -> str:
    names, control = _names(summary), summary.served[-1]
    arms = [served for served in summary.served[:-1] if served.arm in _main_arms(summary)]
    counts = [
        f"{number_served(served)} by {names[served.arm]}{_scatter(served)}" for served in arms if served.arm
    ]
    machine = [names[served.arm] for served in arms if served.arm and served.machine]
    limit = f"; the machine itself may set the limit of {wording.listing(machine)}" if machine else ""
    return (
        f"streams that this machine serves at {frequency(summary.stream.declaration.rate or 0)} "
        f"{on_workers(summary)}: {wording.listing(counts)}, with at most {units.percent(LATE)} of the steps "
        "late; a control as long as the slowest step, which computes nothing: "
        f"{number_served(control)}{limit}"
    )


def _scatter(served: Served) -> str:
    """Return how many were served in the best block, where these are half as many again."""
    most = max(served.by_block.values())
    return f" (up to {units.whole(most)} in other blocks)" if most > 1.5 * served.least else ""


def _throughput(summary: Concurrency) -> str:
    """Return the steps a second of the most streams, and how many times as many they are as on one worker."""
    names, size, main = _names(summary), _size(summary), {*_main_arms(summary), None}
    at_size = (point for point in summary.points if (point.streams, point.workers) == size)
    points = {point.arm: point for point in at_size if point.arm in main}
    alone = {point.arm: point for point in summary.points if (point.streams, point.workers) == (size[0], 1)}
    rates = [f"{units.rate(1e9 / point.step.ns)} by {names[arm]}" for arm, point in points.items() if arm]
    clauses = [
        f"steps a second of {wording.count(size[0], 'stream')} {on_workers(summary, size[1])}: "
        f"{wording.listing(rates)}"
    ]
    for ratio in summary.ratios:
        if (ratio.what, ratio.streams, ratio.workers) == ("step", *size) and ratio.entry in main:
            times = (
                f"{units.ratio(ratio.ratio or 1.0)} times {units.interval(ratio.low, ratio.high)}".rstrip()
            )
            clauses.append(
                f"{names[ratio.entry]} takes {times} as long as {names[ratio.baseline]}"
                f"{UNDECIDED.get(ratio.verdict, '')}"
            )
    if size[1] > 1 and alone:
        more = [
            f"{units.ratio(alone[arm].step.ns / point.step.ns)} by {names[arm] if arm else 'the control'}"
            for arm, point in points.items()
            if arm in alone
        ]
        clauses.append(f"times as many as on one: {wording.listing(more, len(more))}, which computes nothing")
    return "; ".join(clauses)


def tables(summary: Concurrency) -> Iterator[TextTable]:
    """Yield the numbers at each level, how many streams are served, and the ratios."""
    rated = bool(summary.stream.declaration.rate)
    qs = sorted({q for point in summary.points for q in point.quantiles if q < 0.999})

    def quantile(q: float, point: Point) -> Cell:
        return quantile_cell(point.quantiles.get(q))

    fields: Fields[Point] = {
        "Variant": lambda point: variant_cell(point.arm),
        "Streams": lambda point: Cell.of(point.streams, lambda n: units.whole(round(n))),
        summary.stream.declaration.share.capitalize(): lambda point: Cell.of(point.workers, "{:g}".format),
        "Steps/s": lambda point: Cell.of(1e9 / point.step.ns, units.rate),
        **{label(q): partial(quantile, q) for q in qs},
    }
    late: Fields[Point] = {"Late": lambda point: share_cell(point.late)}
    title = "From when a step was due to its end" if rated else "Steps, and the time of one"
    yield text_table(title, {**fields, **(late if rated else {})}, summary.points, NOTE)
    if summary.served:
        of_search: Fields[Served] = {
            "Variant": lambda served: variant_cell(served.arm),
            "In every block": lambda served: Cell(
                number_served(served) + MACHINE * served.machine, "", served.least
            ),
            "In a block": lambda served: f"{served.least:g} to {max(served.by_block.values()):g}",
            "By its step alone": lambda served: Cell.of(served.allowed, units.number),
        }
        note = ON_RATIOS * bool(summary.ratios)
        yield text_table(f"Streams served {on_workers(summary)}", of_search, summary.served, note)
    for baseline in dict.fromkeys(ratio.baseline for ratio in summary.ratios):
        ratios: Fields[Ratio] = {
            "Variant": lambda ratio: variant_cell(ratio.entry),
            "Ratio of": lambda ratio: ratio.what,
            "Streams": lambda ratio: Cell.of(ratio.streams, "{:g}".format),
            summary.stream.declaration.share.capitalize(): lambda ratio: Cell.of(
                ratio.workers, "{:g}".format
            ),
            "Is": ratio_cell,
            "Verdict": partial(verdict_cell, quick=not summary.stream.declaration.verdicts),
        }
        caption = f"Ratios to {baseline.title}: above 1 is slower, or serves fewer"
        yield text_table(caption, ratios, [ratio for ratio in summary.ratios if ratio.baseline == baseline])


def notes(summary: Concurrency) -> Iterator[str]:
    """Yield what must be known beside the tables: the control, why there is no verdict, what failed."""
    yield NOTE
    if summary.served and summary.ratios:
        yield ON_RATIOS
    yield from dict.fromkeys(f"{r.entry.title}: {full_stop(r.reason)}" for r in summary.ratios if r.reason)
    yield from troubles(summary.stream)
