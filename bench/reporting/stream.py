"""Build the article on a stream: what a step takes, how bad the worst are, and where that comes from."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from html import escape
from typing import Any

from bench.analysis.tail import MIN_BEYOND, Tail, Tails, shown
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
from bench.reporting.stream_plot import tail_plot
from bench.reporting.stream_tables import label, variant_cell
from bench.reporting.tail import frequency, headline, measured, tables, troubles
from bench.reporting.titles import aspects

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
    declared = tails.stream.declaration
    group = tails.decision.group
    calls = f"{units.whole(tails.decision.calls)} {f'groups of {group} calls' if group > 1 else 'calls'}"
    topics = {"In time": _misses(tails), "Tails": _explained(tails), "What was measured": setting(declared)}
    hero = Hero(
        headline(tails),
        "" if declared.verdicts else "no verdict",
        small=(f"{wording.count(len(tails.control.bursts), 'block')} of {calls} of each arm",),
        facts=tuple((topic, text) for topic, text in topics.items() if text),
    )
    kind, sections = "One sample at a time", tuple(_sections(tails, prefix))
    return article_on(tails.stream, kind, hero, sections, anchor)


def article_on(
    stream: Stream, kind: str, hero: Hero, sections: tuple[Section, ...], anchor: str, *, workers: str = ""
) -> Article:
    """Return the article on one stream, or on many, with what is told of its case and its machine."""
    declared = stream.declaration
    return Article(
        anchor=anchor,
        kind=f"{kind}{words.of_cell(declared.case).replace(' ', ', ', 1)}",
        cells=(words.named_cell(declared.case),),
        name=run_name(stream.path),
        machine=words.machine(declared.machine),
        hero=hero,
        banners=tuple(troubles(stream)),
        warnings=tuple(full_stop(wording.capital(warning)) for warning in declared.warnings),
        sections=sections,
        summary=(hero.title,),
        aspects={
            **aspects([declared.case]),
            "T": "",  # how many samples differ, which follows from the other sizes
            "pace": _pace(declared),
            "workers": workers,
            "collector": _collector(declared),
        },
    )


def under(anchor: str, tables: Iterable[TextTable]) -> tuple[Section, ...]:
    """Return a subsection for each table."""
    return tuple(
        Section(f"{anchor}-{n}", table.caption, tables=(table,)) for n, table in enumerate(tables, 1)
    )


def stream_cell(article: Article) -> str:
    """Return the sentence, the plot and the tables of an article as HTML, for a notebook's cell."""
    first = article.sections[0]
    text = render_cell((article.hero.title, *article.banners), [part.tables[0] for part in first.parts])
    images = (
        (escape(drawing.alt), data_uri(plots.draw(drawing.draw())["svg"], "image/svg+xml"))
        for drawing in first.drawings
        if isinstance(drawing, Drawing)
    )
    return text + "".join(f'<img alt="{alt}" src="{uri}">' for alt, uri in images)


def _sections(tails: Tails, prefix: str) -> Iterator[Section]:
    """Yield the tail with its tables, the causes, how and on what it was timed, and how to repeat it."""
    stream, declared = tails.stream, tails.stream.declaration
    yield Section(
        id="tail",
        title="How long does a step take, and how bad are the worst?",
        drawings=(Drawing(f"{prefix}tail", _describe(tails), partial(tail_plot, tails), CAPTION),),
        parts=under("tail", tables(tails)),
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


def _cause(name: str, tail: Tail, note: str = "") -> Cell:
    return Cell.of(tail.causes[name], lambda number: units.whole(round(number)), note)


CAUSES: Fields[Tail] = {
    "Variant": lambda tail: variant_cell(tail.arm),
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

    def counted(response: bool) -> str:
        arms = [tail.response if response else tail.times for tail in tails.arms]
        counts = {q: sum(quantiles[q].machine for quantiles in arms) for q in places}
        return wording.listing([f"at {label(q)} of {n}" for q, n in counts.items()])

    n_arms = wording.count(len(tails.arms), "variant")
    responses = f"; from when a sample was due, {counted(True)}" if tails.control.response else ""
    return f"Of {n_arms} the control, which computes nothing, explains the tail {counted(False)}{responses}."


def setting(declared: Declaration) -> str:
    """Return what was measured, in one line."""
    case, shape = declared.case, declared.case.shape
    samples = wording.count(shape.B, "sample")
    return (
        f"{samples} a step, {_pace(declared)}: {words.a_cell(case)} that carries its state on, "
        f"{wording.count(shape.I, 'feature')}, hidden {shape.H}, {wording.count(shape.O, 'output')}, "
        f"{words.numbers(case)}; {_collector(declared)}."
    )


def _pace(declared: Declaration) -> str:
    if declared.rate and declared.pace:
        return f"at {frequency(declared.rate)}, {PACES[declared.pace]}"
    return "back to back"


def _collector(declared: Declaration) -> str:
    return f"garbage collection {'on, as in production' if declared.collector else 'off'}"


def _describe(tails: Tails) -> str:
    """Return the numbers of the plot in words."""
    arms = []
    for tail in (*tails.arms, tails.control):
        places = {label(q): at.ns for q, at in tail.times.items()} | {"longest": tail.longest_ns()}
        arms.append(f"{tail.title} {', '.join(f'{at} {units.duration(ns)}' for at, ns in places.items())}")
    return f"Share of calls that took longer than a time, on logarithmic axes: {'; '.join(arms)}."
