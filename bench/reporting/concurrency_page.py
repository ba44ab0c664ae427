"""Build the article on many streams: how many are served, and what steps take meanwhile."""

from functools import partial

from bench.analysis.concurrency import Concurrency
from bench.machine import units, wording
from bench.records.stream import CONTROL
from bench.reporting.concurrency import headline, on_workers, tables
from bench.reporting.concurrency_plot import concurrency_plot
from bench.reporting.section import Article, Drawing, Hero, Section
from bench.reporting.stream import article_on, origin, setting, under
from bench.reporting.stream_tables import label

CAPTION = (
    "Both axes are logarithmic. A dot is the median over blocks, its bar the 95 % interval; faint: fewer "
    "workers."
)
HOW = (
    "in each fresh workers for every arm; one arm at a time is at work, in an order drawn anew at each level"
)


def concurrency_article(summary: Concurrency, anchor: str = "", *, prefix: str = "") -> Article:
    """Return the article on many saved streams; ``prefix`` starts the names of its plots."""
    stream, declared = summary.stream, summary.stream.declaration
    facts = {
        arm.library: [level.facts for level in stream.levels if level.arm == arm.id] for arm in declared.arms
    }
    levels = Section(
        id="streams",
        title="How many streams at once?",
        drawings=(
            Drawing(f"{prefix}streams", _describe(summary), partial(concurrency_plot, summary), CAPTION),
        ),
        parts=under("streams", tables(summary)),
    )
    hero = Hero(
        headline(summary),
        "" if declared.verdicts else "no verdict",
        small=(wording.count(stream.blocks, "block"),),
        facts=(("What was measured", f"{setting(declared)} Many streams {on_workers(summary)}."),),
    )
    sections = (levels, *origin(stream, facts, HOW))
    return article_on(stream, "Many streams at once", hero, sections, anchor, workers=on_workers(summary))


def _describe(summary: Concurrency) -> str:
    """Return the numbers of the plot in words."""
    points = [
        f"{point.arm.title if point.arm else CONTROL} {point.streams} on {point.workers}: "
        f"{units.rate(1e9 / point.step.ns)} steps a second"
        + "".join(f", {label(q)} {units.duration(at.ns)}" for q, at in point.quantiles.items())
        for point in summary.points
    ]
    return f"Over the number of streams: {'; '.join(points)}."
