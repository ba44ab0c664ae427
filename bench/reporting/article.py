"""A run as one article of the page: its sections, in the order in which a reader asks.

A section is a function of the facts, the outcomes and the start of its plots' names; it returns None where
the run holds nothing for it. A new one is listed once, in ``SECTIONS``.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from bench.analysis.outcome import WITHIN_BUDGET, Outcome, outcomes
from bench.analysis.statistics import FIRST_LOOK
from bench.analysis.summary import summarise
from bench.machine import units, wording
from bench.machine.wording import full_stop
from bench.records.formats.foreign import as_fact
from bench.records.run import Run
from bench.reporting import answer, plots, tables, words
from bench.reporting.download import download_section
from bench.reporting.environment import environment_section
from bench.reporting.facts import EXACTLY_ASKED, Facts
from bench.reporting.plots import Mark
from bench.reporting.section import Article, Drawing, Fold, Section
from bench.reporting.sections.breakeven import breakeven_section
from bench.reporting.sections.crossover import crossover_section
from bench.reporting.sections.glossary import words_section
from bench.reporting.sections.ladder import ladder_section
from bench.reporting.sections.limits import limits_section
from bench.reporting.sections.proof import proof_section

MOST_PLOTS = 9  # of the tables; where there are more, they are one table without a plot
MOST_ROWS = 100  # of a plot
MOST_NAMES = 6  # of what was left out
TABLES = ("table", "compiled")  # kinds of groups that are shown as such
KINDS = {
    "primer": "The tutorial’s sizes", "quick": "A quick run", "grid": "A map of sizes",
    "full": "All that can be measured", "custom": "Sizes of one’s own",
}  # fmt: skip
DOT = (
    "A dot is the median time of a call{bar}, a small dot the median of one block; hollow is known to be "
    "wrong, the dashed line the baseline."
)
BAR = ", the bar its 95 % interval"
BASELINE = (
    "÷ baseline is taken within each block, so it need not be the ratio of the two times shown; below 1 is "
    "faster."
)
CONTENTS = (
    "A call of a training step is forward pass, loss, gradient and update; of gradient all but the "
    "update; of forward the prediction alone.",
    "Within the clock: the Python call, the library’s work, the wait for the device. Not within: imports, "
    "binding, the first call, moving data, the proof. Caches are warm, garbage collection is off.",
)
DOCUMENTS = "How and why: docs/method.md. How often verdicts are wrong, measured: docs/validity.md."

Found = Mapping[str, Outcome]
Maker = Callable[[Facts, dict[str, Outcome], str], Section | None]


def run_article(
    run: Run, *, anchor: str = "", prefix: str = "", refinements: Sequence[Run] = (), map_beside: str = ""
) -> Article:
    """Return a run, and those that refine it, as an article.

    ``prefix`` starts the names of its plots; ``map_beside`` is the name of a run on the same page that
    measured the same work at many sizes.
    """
    found = outcomes(run)
    facts = Facts.of(run, summarise(run, found), refinements, map_beside)
    sections = tuple(
        replace(section, open=maker in OPEN) for maker in SECTIONS if (section := maker(facts, found, prefix))
    )
    machine = run.environment.machine
    names = {"processor": "processor", "cpus": "cpus", "host": "host_name"}
    caveats = answer.caveats(facts)
    return Article(
        anchor=anchor,
        kind=KINDS.get(run.plan.preset, run.plan.preset),
        name=run.plan.run,
        machine=words.machine(machine),
        hero=answer.hero(facts, sections),
        banners=caveats,
        warnings=tuple(full_stop(wording.capital(warning)) for warning in facts.summary.warnings),
        sections=sections,
        summary=(*caveats, *answer.sentences(facts)),
        overview=tables.overview_cells(facts, run.plan.preset in EXACTLY_ASKED),
        machine_facts={name: (as_fact(machine.get(field)),) for name, field in names.items()},
    )


def times(facts: Facts, found: Found, prefix: str) -> Section | None:
    """Return the tables, each with its plot; many of them as one. What was left out is one line."""
    planned = [table for table in facts.summary.tables if table.kind in TABLES]
    timed = [table for table in planned if tables.ordered(table)]
    dot = DOT.format(bar=BAR * any(row.low_ns is not None for row in facts.rows.values()))
    lead = left_out(facts)
    section = Section(id="times", title="How long does each take?", lead=lead)
    if not planned:
        return None
    if len(planned) > MOST_PLOTS:
        return replace(
            section, notes=(BASELINE,), tables=(tables.every_size_table(facts, timed),) * bool(timed)
        )
    parts, undrawn = [], 0
    for number, table in enumerate(timed, start=1):
        marks = tables.marks(table)
        undrawn += len(marks) > MOST_ROWS
        case = table.case
        parts.append(
            Section(
                id=f"times-{number}",
                title=tables.title(table),
                lead=(f"{case.shape}, {case.dtype}, {case.activation}",),
                drawings=dot_plot(f"{prefix}{number}-{slug(table.name)}", marks),
                tables=(tables.times_table(facts, table),),
                notes=(dot, BASELINE) if number == 1 else (),
            )
        )
    if undrawn:
        counted = wording.count(len(timed), "table")
        lead = (
            *lead,
            f"No plot for {undrawn} of {counted}: those of more than {MOST_ROWS} rows are not drawn.",
        )
    return replace(section, lead=lead, parts=tuple(parts))


def dot_plot(stem: str, marks: tuple[Mark, ...], ratio_title: str = "÷ baseline") -> tuple[Drawing, ...]:
    """Return the picture of a table's rows; nothing where there are none, or too many."""
    if not 0 < len(marks) <= MOST_ROWS:
        return ()
    rows = (
        ": ".join(filter(None, (mark.section, f"{mark.label} {units.duration(mark.time_ns)}")))
        + (f", {mark.text}" if mark.text else "")
        for mark in marks
    )
    ratio = ", and its ratio to the baseline" if any(mark.text for mark in marks) else ""
    alt = f"Time of a call on a logarithmic axis{ratio}. {'; '.join(rows)}."
    draw = partial(plots.dot_plot, marks, ratio_title=ratio_title if ratio else "")
    return (Drawing(stem, alt, draw),)


def left_out(facts: Facts) -> tuple[str, ...]:
    """Return what the time budget left out, in one line; nothing where it did not."""
    decision = facts.run.decision
    if decision is None or not (names := words.dropped(facts.run.plan, decision)):
        return ()
    whole = f"(the whole plan would have taken {units.seconds(decision.predicted_s)})"
    return (f"Not timed in this run, {WITHIN_BUDGET} {whole}: {wording.listing(names, MOST_NAMES)}.",)


def failures(facts: Facts, found: Found, prefix: str) -> Section | None:
    """Return what went wrong and what could not be measured, with the reasons."""
    summary = facts.summary
    missing = facts.run.plan.missing
    if not summary.troubles and not missing:
        return None
    return Section(
        id="failures",
        title="What failed, and what is missing?",
        tables=(tables.troubles_table(summary),) * bool(summary.troubles),
        notes=tuple(full_stop(f"Not measured here: {one.what}: {one.reason}") for one in missing),
        folds=tuple(
            Fold(f"Last lines that {one.entry} printed", text=one.stderr)
            for one in summary.troubles
            if one.stderr
        ),
    )


def starting(facts: Facts, found: dict[str, Outcome], prefix: str) -> Section | None:
    """Return what starting costs: from where on it pays, or the bare times where no pair says so."""
    if section := breakeven_section(facts, found, prefix):
        return section
    table = tables.starts_table(facts.run)
    return Section(id="starts", title="What does it cost to start?", tables=(table,)) if table else None


def sure(facts: Facts, found: Found, prefix: str) -> Section:
    """Return what stands behind the verdicts: declared comparisons, the noise floor, what was disturbed."""
    summary, parts = facts.summary, []
    if not facts.is_grid and any(not made.left_out for made in summary.headlines):  # there they are the map
        caption = "Comparisons declared before the first value"
        parts.append(Section(id="declared", title=caption, tables=(tables.declared_table(facts, caption),)))
    if any(not made.left_out for made in summary.twins):
        caption = "The same thing measured twice: the noise floor"
        parts.append(Section(id="noise", title=caption, tables=(tables.noise_table(facts, caption),)))
    if summary.modes:
        caption = "BIMODAL: processes of two speeds"
        parts.append(Section(id="modes", title=caption, tables=(tables.speeds_table(summary, caption),)))
    return Section(
        id="sure",
        title="How sure is that?",
        lead=tuple(how_sure(facts)),
        parts=tuple(parts),
        notes=tuple(validity(facts)),
    )


def how_sure(facts: Facts) -> list[str]:
    """Return how many comparisons are decided, and how far two measurements of the same thing differ."""
    summary, control, sentences = facts.summary, facts.summary.control, []
    if control.failure:
        return [full_stop(f"Not at all: no verdict is given, since {control.failure}")]
    if not facts.run.plan.verdicts:
        sentences.append("These are times of a quick run, without verdicts.")
    elif summary.headlines:
        sentences.append(
            f"{decided(facts)} Each was declared before the first value, and stands on "
            f"{wording.count(summary.blocks, 'block')} of fresh processes in random order."
        )
    if control.bias:
        most = units.percent(math.expm1(control.bias))
        sentences.append(
            f"The A/A control, one code measured twice, differs by up to {most}: "
            f"more than chance, so a verdict stands only where it would with that taken off. {control.mend}."
        )
    if facts.noise_floor:
        sizes = len({facts.entries[twin.entry].case.shape for twin in summary.twins if twin.noise_floor})
        where = f", at {wording.count(sizes, 'size')}" if facts.is_grid and sizes > 1 else ""
        sentences.append(
            f"The noise floor, {facts.noise_floor}, is how far the interval of the A/A control reaches from "
            f"1: the same code measured twice{where}."
        )
    return sentences


def decided(facts: Facts) -> str:
    """Return how many comparisons are decided, of those that were run."""
    ran = [made for made in facts.summary.headlines if not made.left_out]
    late = len(facts.summary.headlines) - len(ran)
    rest = f"; {late} {'was' if late == 1 else 'were'} left out to save time." if late else "."
    counts = Counter(made.verdict for made in ran)
    clear = counts.pop("FASTER", 0) + counts.pop("SLOWER", 0)
    if not ran:
        return f"No comparison was run{rest}"
    which = wording.count(len(ran), "comparison") + " that were run" * bool(late and len(ran) > 1)
    if not counts and clear > 1:
        return f"All {which} are decided, FASTER or SLOWER{rest}"
    others = wording.listing([f"{word} {n}" for word, n in counts.items()])
    verb = "is" if len(ran) == 1 else "are"
    return (
        f"{clear} of {which} {verb} decided, FASTER or SLOWER{f'; the others: {others}' * bool(others)}{rest}"
    )


def validity(facts: Facts) -> list[str]:
    """Return how verdicts come about, what was measured how often, and what disturbed it."""
    run, measured = facts.run, facts.summary.measured
    values, outliers = (sum(getattr(one, name) for one in measured) for name in ("values", "outliers"))
    level = f"{run.extended.level if run.extended else FIRST_LOOK:g}"
    if run.extended and any(group.blocks is not None for group in run.plan.groups):
        level += f" ({FIRST_LOOK:g} in tables that got no more blocks)"
    exact = ", with its exact 95 % interval of the signed-rank test" * facts.intervals
    sentences = [
        f"FASTER or SLOWER needs p ≤ {level}, adjusted after Holm for the comparisons of a table; EQUIVALENT "
        f"means within {units.percent(run.plan.margin)}. Where an A/A control differs by more than chance, "
        "as much is taken off every ratio first; beyond 5 % nothing gets a verdict.",
        *([words.extended(run.extended)] if run.extended else []),
        "A ratio is the median over the rounds of a block, where both sides are milliseconds apart; over "
        f"blocks, the Hodges-Lehmann estimate{exact}.",
    ]
    disturbed = ""
    if run.plan.gates:
        often = wording.count(sum(outcome.disturbed for outcome in measured), "measurement")
        disturbed = f" Something disturbed {often}, which slows both sides of a round alike."
    sentences.append(
        f"Nothing was discarded: {units.whole(values)} values, {units.whole(outliers)} of "
        f"them outliers.{disturbed}"
    )
    if run.void:
        sentences.append(
            f"The run was cut off and went on later: {wording.count(run.void, 'record')} of the blocks "
            "that were measured anew are kept in the journal and do not count."
        )
    return [*sentences, DOCUMENTS]


def contents(facts: Facts, found: Found, prefix: str) -> Section:
    """Return which region the clock enclosed, under which conditions, and how a value comes about."""
    counted = [burst for burst in facts.run.bursts if burst.block >= 1]
    how: tuple[str, ...] = ()
    if counted:
        calls = _range([burst.n_calls for burst in counted], "call")
        values = _range([len(burst.elapsed_ns) for burst in counted], "value")
        how = (
            f"A value is the time of {calls} between two readings of the clock, over their number. A block "
            f"has fresh processes and {values} of each entry; block 0 checks results, and does not count.",
        )
    return Section(id="contents", title="What is in these numbers, and what is not?", notes=(*CONTENTS, *how))


def again(facts: Facts, found: Found, prefix: str) -> Section:
    """Return everything that makes the same run again."""
    plan, end = facts.run.plan, facts.run.end
    took = "" if end is None else f", took {units.seconds(end.seconds)}"
    pairs = (
        ("Command", " ".join(plan.command)),
        ("Version", f"rnnbench {plan.version}"),
        ("Order", f"--seed {plan.seed} makes it again"),
        ("Plan", f"preset {plan.preset}, {wording.count(plan.blocks, 'block')}"),
        ("Started", f"{plan.started_utc}{took}"),
    )
    return Section(id="again", title="How do I get it again?", pairs=pairs)


def slug(name: str) -> str:
    """Return a name that every file system takes."""
    return re.sub(r"[^a-z0-9_]+", "-", name.lower()).strip("-")[:60]


def _range(counts: Sequence[int], noun: str) -> str:
    """Return "3 to 5 values"."""
    low, high = min(counts), max(counts)
    return wording.count(high, noun) if low == high else f"{units.whole(low)} to {wording.count(high, noun)}"


# what a run answers, in the order of the page
SECTIONS: tuple[Maker, ...] = (
    limits_section, crossover_section, times, ladder_section, starting, failures, proof_section, sure,
    contents, environment_section, again, words_section, download_section,
)  # fmt: skip
OPEN: tuple[Maker, ...] = (limits_section, crossover_section, times)
