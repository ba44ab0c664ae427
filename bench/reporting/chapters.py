"""A run as the sections of its page, in the order in which a reader asks: each title is a question.

What a run holds nothing for has no section. Sections that answers bring along (the ladder, the map, the
limits, the break-even) come first.
"""

from collections.abc import Sequence

from bench.machine.wording import full_stop
from bench.reporting import budget
from bench.reporting.section import Article, Fold, Section
from bench.reporting.texttables import (
    entries_table,
    every_shape,
    headlines_table,
    libraries_table,
    noise_table,
    starts_table,
    troubles_table,
)
from bench.reporting.view import MOST_PLOTS, RunView, TableView

BAR = ", the bar its 95 % interval (often narrower than the dot)"
FIRST_TABLE = (
    "A dot is the median time of a call{bar}, a small dot the median of one block. Blue is NumPy, orange "
    "PyTorch; the dashed line is the baseline; hollow is known to be wrong."
)
OWN_INTERVAL = ", with its own 95 % interval"
BASELINE = (
    "÷ baseline: time over the baseline's, below 1 is faster{own}; taken within each block, it need not be "
    "the ratio of the two times shown. The baseline is numpy-batched on the CPU with as many threads; the "
    "A/A control is the same code measured a second time."
)
NOISE = (
    "The baseline is measured twice in every block. What lies between the two is noise; where they differ by "
    "more than chance (p ≤ 0.05, adjusted for all such controls) the whole run gives no verdict."
)
KINDS = {
    "primer": "The tutorial’s sizes", "quick": "A quick run", "grid": "A map of sizes",
    "full": "All that can be measured", "custom": "Sizes of one’s own",
}  # fmt: skip
STARTS = "breakeven"  # the section that tells what starting costs
DECLARED = "Comparisons declared before the first value"
NOISE_FLOOR = "The same thing measured twice: the noise floor"
DOCUMENTS = (
    "How each of these is done, and why: docs/method.md. How often verdicts made so are wrong, measured: "
    "docs/validity.md. Both are part of the project."
)


def chapters(view: RunView) -> tuple[Section, ...]:
    """All sections of a run."""
    made = (
        *view.sections,
        times(view.tables),
        failures(view),
        view.proof,
        sure(view),
        contents(view),
        environment(view),
        Section(id="again", title="How do I get it again?", pairs=view.reproduce),
        view.glossary,
        view.download,
    )
    return tuple(section for section in made if section is not None)


def times(tables: Sequence[TableView]) -> Section | None:
    """The tables, each with its plot; many of them as one. What the time budget left out is one line."""
    if not tables:
        return None
    title = "How long does each take?"
    timed = [shown for table in tables if (shown := budget.timed(table)).lines]
    left_out = budget.left_out(tables)
    lines = [line for table in timed for line in table.lines]
    first = FIRST_TABLE.format(bar=BAR * any(line.range for line in lines))
    baseline = BASELINE.format(own=OWN_INTERVAL * any(line.interval for line in lines))
    if len(tables) > MOST_PLOTS:
        lead = (baseline, *left_out)
        return Section(id="times", title=title, lead=lead, tables=(every_shape(timed),) if timed else ())
    parts = tuple(
        Section(
            id=f"times-{number}",
            title=table.title,
            lead=(table.setting,),
            drawings=(table.plot,) if table.plot else (),
            tables=(entries_table(table),),
            notes=(first, baseline) if number == 1 else (),
        )
        for number, table in enumerate(timed, start=1)
    )
    return Section(id="times", title=title, lead=tuple(left_out), parts=parts)


def failures(view: RunView) -> Section | None:
    """What went wrong and what could not be measured, with the reasons."""
    if not view.troubles and not view.missing:
        return None
    return Section(
        id="failures",
        title="What failed, and what is missing?",
        tables=(troubles_table(view.troubles),) if view.troubles else (),
        notes=tuple(full_stop(f"Not measured here: {what}: {reason}") for what, reason in view.missing),
        folds=tuple(
            Fold(f"Last lines that {entry} printed", text=stderr)
            for entry, *_, stderr in view.troubles
            if stderr
        ),
    )


def sure(view: RunView) -> Section:
    """What stands behind the verdicts: declared comparisons, the noise floor, what was disturbed."""
    parts = []
    if declared := [line for line in view.headlines if not line.left_out]:
        parts.append(
            Section(
                id="declared",
                title=DECLARED,
                tables=(headlines_table(declared, DECLARED),),
            )
        )
    if view.noise:
        parts.append(
            Section(
                id="noise", title=NOISE_FLOOR, lead=(NOISE,), tables=(noise_table(view.noise, NOISE_FLOOR),)
            )
        )
    return Section(
        id="sure",
        title="How sure is that?",
        lead=view.sure,
        parts=tuple(parts),
        notes=(*view.validity, DOCUMENTS),
    )


def contents(view: RunView) -> Section:
    """Which region the clock enclosed; what stands outside it, where no section is about that."""
    told = any(section.id == STARTS for section in view.sections)
    tables = (starts_table(view.starts),) if view.starts and not told else ()
    title = "What is in these numbers, and what is not?"
    return Section(id="contents", title=title, tables=tables, notes=view.contents)


def environment(view: RunView) -> Section:
    """Machine and libraries, and what was audited about fairness."""
    variables = [
        f"Variables {item.what}: {', '.join(item.values) if item.values else 'none'}."
        for item in view.variables
    ]
    folds = [Fold(f"All that was read: {title}", pairs=pairs) for title, pairs in view.details]
    return Section(
        id="machine",
        title="On which machine, and was it fair?",
        pairs=view.machine_facts,
        tables=(libraries_table(view.libraries),) if view.libraries else (),
        lead=(" ".join(view.audit),),
        notes=tuple(variables),
        folds=tuple(folds),
    )


def run_article(view: RunView, anchor: str) -> Article:
    """A run as a part of the page."""
    return Article(
        anchor=anchor,
        kind=KINDS.get(view.preset, view.preset),
        name=view.name,
        machine=view.machine,
        hero=view.hero,
        banners=view.banners,
        warnings=view.warnings,
        sections=chapters(view),
    )
