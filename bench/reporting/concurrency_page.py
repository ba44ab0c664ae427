"""Build the article on many streams: how many are served, and what steps take meanwhile."""

from functools import partial

from bench.analysis.concurrency import Concurrency
from bench.machine import units, wording
from bench.machine.wording import full_stop
from bench.records.folder import run_name
from bench.records.stream import CONTROL
from bench.reporting import plots, words
from bench.reporting.concurrency import headline, on_workers, tables
from bench.reporting.concurrency_plot import concurrency_plot
from bench.reporting.page import render_cell
from bench.reporting.section import Article, Drawing, Hero, Section, data_uri
from bench.reporting.stream import origin, setting
from bench.reporting.tail import label, troubles

CAPTION = (
    "Both axes are logarithmic. A dot is the median over blocks, its bar the 95 % interval; faint: fewer "
    "workers."
)
HOW = (
    "in each fresh workers for every arm; one arm at a time is at work, in an order drawn anew at each level"
)


def concurrency_article(found: Concurrency, anchor: str = "", *, prefix: str = "") -> Article:
    """Return the article on many saved streams; ``prefix`` starts the names of its plots."""
    stream, declared, sentence = found.stream, found.stream.declaration, headline(found)
    facts = {
        arm.library: [level.facts for level in stream.levels if level.arm == arm.id] for arm in declared.arms
    }
    told = [*tables(found)]
    levels = Section(
        id="streams",
        title="How many streams at once?",
        drawings=(Drawing(f"{prefix}streams", _describe(found), partial(concurrency_plot, found), CAPTION),),
        parts=tuple(Section(f"streams-{n}", one.caption, tables=(one,)) for n, one in enumerate(told, 1)),
    )
    return Article(
        anchor=anchor,
        kind=f"Many streams at once{words.of_cell(declared.case).replace(' ', ', ', 1)}",
        cells=(words.named_cell(declared.case),),
        name=run_name(stream.path),
        machine=words.machine(declared.machine),
        hero=Hero(
            sentence,
            "" if declared.verdicts else "no verdict",
            small=(wording.count(stream.blocks, "block"),),
            facts=(("What was measured", f"{setting(declared)} Many streams {on_workers(found)}."),),
        ),
        banners=tuple(troubles(stream)),
        warnings=tuple(full_stop(wording.capital(warning)) for warning in declared.warnings),
        sections=(levels, *origin(stream, facts, HOW)),
        summary=(sentence,),
    )


def concurrency_cell(found: Concurrency) -> str:
    """Return the sentence, the plot and the tables as HTML, for the output of a notebook's cell."""
    image = data_uri(plots.draw(concurrency_plot(found))["svg"], "image/svg+xml")
    told = render_cell((headline(found), *troubles(found.stream)), [*tables(found)])
    return f'{told}<img alt="many streams over their number" src="{image}">'


def _describe(found: Concurrency) -> str:
    """Return the numbers of the plot in words."""
    told = [
        f"{point.arm.title if point.arm else CONTROL} {point.streams} on {point.workers}: "
        f"{units.rate(1e9 / point.step.ns)} steps a second"
        + "".join(f", {label(q)} {units.duration(at.ns)}" for q, at in point.quantiles.items())
        for point in found.points
    ]
    return f"Over the number of streams: {'; '.join(told)}."
