"""Build the article on a stream: what a step takes, how bad the worst are, and where that comes from."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from bench.analysis.tail import MIN_BEYOND, Ratio, Tail, Tails, shown
from bench.machine import units, wording
from bench.machine.wording import full_stop
from bench.records.folder import run_name
from bench.records.stream import Declaration, Stream
from bench.reporting import environment, plots, words
from bench.reporting.page import render_cell
from bench.reporting.section import (
    Article,
    Cell,
    Drawing,
    Fields,
    Hero,
    Section,
    TextTable,
    data_uri,
    text_table,
)  # fmt: skip
from bench.reporting.stream_plot import mean_of_group, tail_plot
from bench.reporting.tables import HEADLINES
from bench.reporting.tail import MACHINE, frequency, headline, label, measured, troubles

TONES = {"FASTER": "good", "SLOWER": "bad"}
PACES = {"sleep": "sleeping meanwhile, as a server", "spin": "spinning meanwhile, as audio does"}
CAPTION = (
    "Both axes are logarithmic; the calls of all blocks together. A dot is a percentile, its bar the 95 % "
    "interval over blocks, hollow where the control, which computes nothing, explains it; a cross is the "
    "longest call."
)
RULES = (
    f"A percentile is shown where each block has at least {MIN_BEYOND} calls beyond it: the median over "
    "blocks. The longest call depends on how long one looks: it has no interval and no ratio.",
    "The control is fed, paced and timed as the arms are. What its percentile adds to its own median, the "
    "machine added. Where that may be at least half of what an arm's adds, of a difference, or of a share of "
    "late calls, the machine may explain it, and no library is named.",
)
CAUSES_NOTE = (
    "First call: of a process, before all that is timed, the median over blocks. Put aside: how often the "
    "system gave the processor to another. The slowest calls are up to 100 of each block."
)


def stream_article(tails: Tails, anchor: str = "", *, prefix: str = "") -> Article:
    """Return the article on a saved stream; ``prefix`` starts the names of its plots."""
    declared, sentence = tails.stream.declaration, headline(tails)
    group = tails.decision.group
    calls = f"{units.whole(tails.decision.calls)} {f'groups of {group} calls' if group > 1 else 'calls'}"
    topics = {"In time": _misses(tails), "Tails": _explained(tails), "What was measured": setting(declared)}
    hero = Hero(
        sentence,
        "" if declared.verdicts else "no verdict",
        small=(f"{wording.count(len(tails.control.bursts), 'block')} of {calls} of each arm",),
        facts=tuple((topic, text) for topic, text in topics.items() if text),
    )
    return Article(
        anchor=anchor,
        kind=f"One sample at a time{words.of_cell(declared.case).replace(' ', ', ', 1)}",
        cells=(words.named_cell(declared.case),),
        name=run_name(tails.stream.path),
        machine=words.machine(declared.machine),
        hero=hero,
        banners=tuple(troubles(tails.stream)),
        warnings=tuple(full_stop(wording.capital(warning)) for warning in declared.warnings),
        sections=tuple(_sections(tails, prefix)),
        summary=(sentence,),
    )


def stream_cell(tails: Tails) -> str:
    """Return the sentence, the plot and the times as HTML, for the output of a notebook's cell."""
    image = data_uri(plots.draw(tail_plot(tails))["svg"], "image/svg+xml")
    said = render_cell((headline(tails), *troubles(tails.stream)), (_times(tails), _ratios(tails)))
    return f'{said}<img alt="share of calls over time" src="{image}">'


def _sections(tails: Tails, prefix: str) -> Iterator[Section]:
    """Yield the tail with its tables, the causes, how and on what it was timed, and how to repeat it."""
    stream, declared = tails.stream, tails.stream.declaration
    responses = [_times(tails, response=True)] if tails.control.response else []
    tables = (_times(tails), *responses, *([_ratios(tails)] if tails.ratios else []))
    yield Section(
        id="tail",
        title="How long does a step take, and how bad are the worst?",
        drawings=(Drawing(f"{prefix}tail", _describe(tails), partial(tail_plot, tails), CAPTION),),
        parts=tuple(Section(f"tail-{n}", one.caption, tables=(one,)) for n, one in enumerate(tables, 1)),
        notes=(*measured(tails), *RULES),
    )
    yield Section(
        id="causes",
        title="Where do slow calls come from?",
        tables=(text_table("All blocks together", CAUSES, (*tails.arms, tails.control), CAUSES_NOTE),),
        parts=tuple(
            Section(f"printed-{n}", f"Last lines of {failure.entry}", text=failure.stderr, open=False)
            for n, failure in enumerate(stream.failures, start=1)
            if failure.stderr
        ),
    )
    facts = {tail.arm.library: [burst.facts for burst in tail.bursts] for tail in tails.arms if tail.arm}
    slices = f"in each a fresh process an arm; they take turns in {declared.rounds} slices"
    yield from origin(stream, facts, slices)


def origin(stream: Stream, facts: Mapping[str, list[dict[str, Any]]], how: str) -> Iterator[Section]:
    """Yield where a stream was measured, and how to repeat it; ``facts`` of libraries, ``how`` of a block."""
    declared = stream.declaration
    variables = ", ".join(f"{name}={value}" for name, value in declared.environment.items())
    yield Section(
        id="machine",
        title="On which machine?",
        pairs=(*environment.machine(declared.machine), ("Set for the processes", variables or "nothing")),
        tables=(text_table("Libraries", environment.LIBRARY_COLUMNS, facts.items()),),
        open=False,
    )
    took = f", took {units.seconds(stream.end.seconds)}" if stream.end else ""
    pairs = (
        ("Command", " ".join(declared.command)),
        ("Version", f"rnnbench {declared.version}"),
        ("Order and data", f"--seed {declared.seed} makes them again"),
        ("Blocks", f"{stream.blocks} of {declared.blocks}, {how}"),
        ("Started", f"{declared.started_utc}{took}"),
    )
    yield Section(id="again", title="How do I get it again?", pairs=pairs, open=False)


def _times(tails: Tails, *, response: bool = False) -> TextTable:
    """Return the percentiles of all arms and of the control; of responses also what is late."""

    def quantile(q: float, tail: Tail) -> Cell:
        found = (tail.response if response else tail.times)[q]
        limits = f"{units.duration(found.low)} to {units.duration(found.high)}" * bool(found.low)
        return Cell(units.duration(found.ns) + MACHINE * found.machine, limits, found.ns)

    fields: Fields[Tail] = {
        "Variant": _variant,
        **{label(q): partial(quantile, q) for q in shown(tails.decision.calls)},
        "Longest": lambda tail: Cell.of(tail.longest_ns(response=response), units.duration),
    }
    late: Fields[Tail] = {
        "Late": lambda tail: Cell.of(
            tail.missed, lambda share: units.percent(share) + MACHINE * tail.missed_by_machine
        )
    }
    title = "From when a sample was due to the end of its call" if response else "Time of a call"
    title += mean_of_group(tails) * (not response)
    return text_table(title, {**fields, **(late if response else {})}, (*tails.arms, tails.control))


def _ratios(tails: Tails) -> TextTable:
    """Return the ratios of percentiles, each with its verdict."""

    def verdict(ratio: Ratio) -> Cell:
        reason = ratio.reason if tails.stream.declaration.verdicts else ""
        word = "no verdict" if ratio.verdict == "NONE" else ratio.verdict
        return Cell(word, reason, tone=TONES.get(ratio.verdict, "calm"))

    fields: Fields[Ratio] = {
        "Compared": lambda r: Cell(f"{r.entry.title} ÷ {r.baseline.title}", HEADLINES[r.kind]),
        "At": lambda ratio: label(ratio.q),
        "Ratio": lambda ratio: Cell.of(ratio.ratio, units.ratio, units.interval(ratio.low, ratio.high)),
        "Verdict": verdict,
    }
    return text_table("Ratios of the times of a call", fields, tails.ratios)


def _variant(tail: Tail) -> Cell:
    if tail.arm is None:
        return Cell(tail.title, "computes nothing")
    return Cell(tail.arm.variant, words.place(tail.arm), library=tail.arm.library)


def _cause(name: str, tail: Tail, note: str = "") -> Cell:
    return Cell.of(tail.causes[name], lambda number: units.whole(round(number)), note)


CAUSES: Fields[Tail] = {
    "Variant": _variant,
    "First call": lambda tail: Cell.of(tail.causes["first_call_ns"] or None, units.duration),
    "Garbage collections": lambda tail: _cause(
        "collections", tail, f"{units.duration(tail.causes['collecting_ns'])} in all"
    ),
    "Slowest calls with one": lambda tail: _cause(
        "collected", tail, f"of {units.whole(round(tail.causes['slowest']))}"
    ),
    "Put aside": partial(_cause, "preempted"),
    "Page faults": partial(_cause, "page_faults"),
}


def _misses(tails: Tails) -> str:
    """Return the shares of late calls; empty without a rate."""
    if tails.control.missed is None:
        return ""
    shares = [f"{tail.title} {units.percent(tail.missed or 0.0)}" for tail in (*tails.arms, tails.control)]
    return f"Calls that ended after the next sample was due: {wording.listing(shares, len(shares))}."


def _explained(tails: Tails) -> str:
    """Return for how many arms the machine explains the tail; empty where only medians are shown."""
    if not (places := [q for q in shown(tails.decision.calls) if q > 0.5]):
        return ""

    def told(response: bool) -> str:
        quantiles = [tail.response if response else tail.times for tail in tails.arms]
        counts = {q: sum(found[q].machine for found in quantiles) for q in places}
        return wording.listing([f"{n} of {len(quantiles)} at {label(q)}" for q, n in counts.items()])

    responses = f"; from when a sample was due, {told(True)}" if tails.control.response else ""
    return f"The control, which computes nothing, explains those of {told(False)}{responses}."


def setting(declared: Declaration) -> str:
    """Return what was measured, in one line."""
    case, shape = declared.case, declared.case.shape
    samples = wording.count(shape.B, "sample")
    pace = f"{samples} a step, back to back"
    if declared.rate and declared.pace:
        pace = f"{samples} a step at {frequency(declared.rate)}, {PACES[declared.pace]}"
    return (
        f"{pace}: {words.a_cell(case)} that carries its state on, {wording.count(shape.I, 'feature')}, "
        f"hidden {shape.H}, {wording.count(shape.O, 'output')}, {words.numbers(case)}; garbage collection "
        f"{'on, as in production' if declared.collector else 'off'}."
    )


def _describe(tails: Tails) -> str:
    """Return the numbers of the plot in words."""
    arms = []
    for tail in (*tails.arms, tails.control):
        places = {label(q): found.ns for q, found in tail.times.items()} | {"longest": tail.longest_ns()}
        arms.append(f"{tail.title} {', '.join(f'{at} {units.duration(ns)}' for at, ns in places.items())}")
    return f"Share of calls that took longer than a time, on logarithmic axes: {'; '.join(arms)}."
