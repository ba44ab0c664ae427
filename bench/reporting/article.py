"""Build a run's article: its sections, in the order of a reader's questions.

A maker builds a section from the facts and a prefix for the names of its plots; it returns None without data.
List a new maker in ``SECTIONS``.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from bench.analysis.outcome import WITHIN_BUDGET
from bench.analysis.statistics import FIRST_LOOK
from bench.machine import units, wording
from bench.machine.wording import full_stop
from bench.records.formats.foreign import as_fact
from bench.records.run import Run
from bench.reporting import answer, tables, words
from bench.reporting.download import download_section
from bench.reporting.facts import REQUEST_PRESETS, Facts
from bench.reporting.machines import machine_section
from bench.reporting.section import Article, Section
from bench.reporting.sections.breakeven import breakeven_section
from bench.reporting.sections.cells import cells_section
from bench.reporting.sections.crossover import crossover_section
from bench.reporting.sections.glossary import words_section
from bench.reporting.sections.ladder import ladder_section
from bench.reporting.sections.limits import limits_section
from bench.reporting.sections.proof import proof_section
from bench.reporting.titles import aspects

MAX_PLOTS = 9  # a run with more tables shows them as one table without a plot
MAX_NAMES = 6  # names of tables and arms that were left out
TABLES = ("table", "compiled")  # kinds of groups that are shown as tables
PRESET_TITLES = {
    "primer": "The tutorial’s sizes", "quick": "A quick run", "grid": "A map of sizes",
    "full": "All that can be measured", "custom": "Sizes of one’s own", "cells": "Three cells",
}  # fmt: skip
DOT_LEGEND = (
    "A dot is the median time of a call{}, a small dot the median of one block; hollow is known to be wrong, "
    "the dashed line the baseline."
)
INTERVAL_LEGEND = ", the bar its 95 % interval"
BASELINE_NOTE = (
    "÷ baseline is taken within each block, so it need not be the ratio of the two times shown; below 1 is "
    "faster."
)
TIMED_REGION_NOTES = (
    "A call of a training step is forward pass, loss, gradient and update; of gradient all but the "
    "update; of forward the prediction alone.",
    "Within the clock: the Python call, the library’s work, the wait for the device. Not within: imports, "
    "binding, the first call, moving data, the proof. Caches are warm, garbage collection is off.",
)
DOCUMENTS_NOTE = (
    "How and why: docs/method.md. How often verdicts are wrong, measured: docs/validity.md. (The folder "
    "docs is in rnnbench's sources, or share/doc/rnnbench of its environment.)"
)

Maker = Callable[[Facts, str], Section | None]  # builds a section from the facts and a prefix for plot names


def run_article(
    run: Run, *, anchor: str = "", prefix: str = "", refinements: Sequence[Run] = (), map_beside: str = ""
) -> Article:
    """Return the article of a run and of the runs that refine it.

    ``prefix`` starts the names of the article's plots; ``map_beside`` is the name of a run on the same page
    that measured the same work at many sizes.
    """
    facts = Facts.of(run, refinements, map_beside)
    sections = {
        maker: replace(section, open=maker in OPEN_SECTIONS)
        for maker in SECTIONS
        if (section := maker(facts, prefix))
    }
    first_sentences = {maker: section.lead[0] for maker, section in sections.items() if section.lead}
    machines = [part.environment.machine for part in run.machines or (run,)]
    cases = [entry.case for entry in facts.entries.values()]
    fact_fields = {"processor": "processor", "cpus": "cpus", "host": "host_name"}
    return Article(
        anchor=anchor,
        kind=_kind(facts),
        cells=tuple(dict.fromkeys(map(words.named_cell, cases))),
        name=run.plan.run,
        machine="; ".join(words.machines(run)),
        hero=answer.hero(
            facts,
            why=first_sentences.get(limits_section, ""),
            turns=first_sentences.get(crossover_section, ""),
            right=first_sentences.get(proof_section, ""),
        ),
        banners=answer.caveats(facts),
        warnings=tuple(full_stop(wording.capital(warning)) for warning in facts.summary.warnings),
        sections=tuple(sections.values()),
        summary=answer.terminal_lines(facts),
        overview=tables.overview_cells(facts, run.plan.preset in (*REQUEST_PRESETS, "cells")),
        machine_facts={
            name: tuple(as_fact(machine.get(field)) for machine in machines)
            for name, field in fact_fields.items()
        },
        facts=facts,
        aspects=aspects(
            (entry.case for group in run.plan.groups if group.kind == "table" for entry in group.entries),
            run.plan.arms,
        ),
    )


def _kind(facts: Facts) -> str:
    """Return what kind of run it is, and of which cell: "The tutorial’s sizes, of a GRU"."""
    preset = facts.run.plan.preset
    if facts.cell_tables:
        return PRESET_TITLES["cells"]
    first_case = next(iter(facts.entries.values())).case
    return f"{PRESET_TITLES.get(preset, preset)}{words.of_cell(first_case).replace(' ', ', ', 1)}"


def times(facts: Facts, prefix: str) -> Section | None:
    """Return the tables, each with its plot, or merged if too many; one line lists what was left out."""
    planned = [table for table in facts.summary.tables if table.kind in TABLES]
    dropped = facts.run.decision.dropped_groups if facts.run.decision else ()
    timed = [table for table in planned if table.name not in dropped and tables.ordered(table)]
    section = Section(id="times", title="How long does each take?", lead=left_out(facts))
    if len(planned) > MAX_PLOTS:
        merged = (tables.every_size_table(facts, timed),) * bool(timed)
        return replace(section, notes=(BASELINE_NOTE,), tables=merged)
    parts, n_undrawn = [], 0
    for number, table in enumerate(timed, start=1):
        marks, case = tables.marks(table), table.case
        n_undrawn += len(marks) > tables.MAX_ROWS
        part = Section(
            id=f"times-{number}",
            title=tables.title(table),
            lead=(f"{case.size}, {words.numbers(case)}",),
            drawings=tables.dot_plot(f"{prefix}{number}-{slug(table.name)}", marks),
            tables=(tables.times_table(facts, table),),
            notes=(DOT_LEGEND.format(INTERVAL_LEGEND * facts.intervals), BASELINE_NOTE)
            if number == 1
            else (),
        )
        parts.append(part)
    if n_undrawn:
        counted = f"{n_undrawn} of {wording.count(len(timed), 'table')}"
        no_plot = f"No plot for {counted}: those of more than {tables.MAX_ROWS} rows are not drawn."
        section = replace(section, lead=(*section.lead, no_plot))
    return replace(section, parts=tuple(parts)) if planned else None


def left_out(facts: Facts) -> tuple[str, ...]:
    """Return one line on what the time budget left out; empty if nothing."""
    decision = facts.run.decision
    if decision is None or not (names := words.dropped(facts.run.plan, decision)):
        return ()
    whole_plan = f" (the whole plan would have taken {units.seconds(decision.predicted_s)})"
    if facts.run.plan.budget_rule == "hold":  # with a budget of that length some would be left out again
        whole_plan = ""
    return (f"Not timed in this run, {WITHIN_BUDGET}{whole_plan}: {wording.listing(names, MAX_NAMES)}.",)


def failures(facts: Facts, prefix: str) -> Section | None:
    """Return the failures, and what could not be measured, with the reasons."""
    summary, missing = facts.summary, facts.run.plan.missing
    if not summary.troubles and not missing:
        return None
    printed = [trouble for trouble in summary.troubles if trouble.stderr]
    return Section(
        id="failures",
        title="What failed, and what is missing?",
        tables=(tables.troubles_table(facts),) * bool(summary.troubles),
        notes=tuple(full_stop(f"Not measured here: {item.what}: {item.reason}") for item in missing),
        parts=tuple(
            Section(
                f"printed-{n}", f"Last lines that {trouble.entry} printed", text=trouble.stderr, open=False
            )
            for n, trouble in enumerate(printed, start=1)
        ),
    )


def starting(facts: Facts, prefix: str) -> Section | None:
    """Return the startup cost: break-even points, or only the start times; None for several machines."""
    if facts.run.machines:  # starts of several machines
        return None
    if section := breakeven_section(facts, prefix):
        return section
    table = tables.starts_table(facts.run)
    return Section(id="starts", title="What does it cost to start?", tables=(table,)) if table else None


def sure(facts: Facts, prefix: str) -> Section:
    """Return the basis of the verdicts: declared comparisons, noise floor, entries with two speeds, rules."""
    caption = "Comparisons declared before the first value"
    tables_by_id = {
        # the map shows the comparisons of a grid
        "declared": None if facts.is_grid else tables.declared_table(facts, caption),
        "noise": tables.noise_table(facts, "The same thing measured twice: the noise floor"),
        "modes": tables.speeds_table(facts.summary, "BIMODAL: processes of two speeds"),
    }
    nonempty = ((id, table) for id, table in tables_by_id.items() if table and table.rows)
    return Section(
        id="sure",
        title="How sure is that?",
        lead=tuple(how_sure(facts)),
        parts=tuple(Section(id, table.caption, tables=(table,)) for id, table in nonempty),
        notes=tuple(validity(facts)),
    )


def how_sure(facts: Facts) -> list[str]:
    """Return how many comparisons are decided, and how much two measurements of the same code differ."""
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
        sentences.append(
            "The A/A control, one code measured twice, differs by up to "
            f"{units.percent(math.expm1(control.bias))}: more than chance, so a verdict stands only where it "
            f"would with that taken off. {control.mend}."
        )
    if facts.noise_floor:
        sentences.append(
            f"The noise floor, {facts.noise_floor}, is how far the interval of the A/A control reaches from "
            "1: the same code measured twice."
        )
    return sentences


def decided(facts: Facts) -> str:
    """Return how many of the comparisons are decided, and how many were left out."""
    counts = Counter("left out" if pair.left_out else pair.verdict for pair in facts.summary.headlines)
    n_left_out = counts.pop("left out", 0)
    n_decided = counts.pop("FASTER", 0) + counts.pop("SLOWER", 0)
    n_judged = n_decided + counts.total()
    verb = "is" if n_judged == 1 else "are"
    text = f"{n_decided} of {wording.count(n_judged, 'comparison')} {verb} decided, FASTER or SLOWER"
    if counts:
        undecided = [f"{verdict} {count}" for verdict, count in counts.items()]
        text += f"; the others: {wording.listing(undecided)}"
    if not n_judged:
        text = "No comparison was run"
    return f"{text}{f'; {n_left_out} were left out to save time' * bool(n_left_out)}."


def validity(facts: Facts) -> list[str]:
    """Return the verdict rules, the number of values, and the disturbances."""
    run, measured = facts.run, facts.summary.measured
    values, outliers, disturbances = (
        sum(getattr(outcome, name) for outcome in measured) for name in ("values", "outliers", "disturbed")
    )
    level = f"{run.extended.level if run.extended else FIRST_LOOK:g}"
    if run.extended and any(group.blocks is not None for group in run.plan.groups):
        level += f" ({FIRST_LOOK:g} in tables that got no more blocks)"
    exact = ", with its exact 95 % interval of the signed-rank test" * facts.intervals
    disturbed = f" Something disturbed {wording.count(disturbances, 'measurement')}, which slows both "
    disturbed += "sides of a round alike."
    void = f"The run was cut off and went on later: {wording.count(run.void, 'record')} of the blocks that "
    void += "were measured anew are kept in the journal and do not count."
    return [
        f"FASTER or SLOWER needs p ≤ {level}, adjusted after Holm for the comparisons of a table; EQUIVALENT "
        f"means within {units.percent(run.plan.margin)}. Where an A/A control differs by more than chance, "
        "as much is taken off every ratio first; beyond 5 % nothing gets a verdict.",
        *([words.extended(run.extended)] if run.extended else []),
        "A ratio is the median over the rounds of a block, where both sides are milliseconds apart; over "
        f"blocks, the Hodges-Lehmann estimate{exact}.",
        f"Nothing was discarded: {units.whole(values)} values, {units.whole(outliers)} of "
        f"them outliers.{disturbed * bool(run.plan.gates)}",
        *[void] * bool(run.void),
        DOCUMENTS_NOTE,
    ]


def contents(facts: Facts, prefix: str) -> Section:
    """Return what the clock enclosed, under which conditions, and what a value is."""
    counted = [burst for burst in facts.run.bursts if burst.block >= 1]
    value_note = ""
    if counted:
        calls = _range([burst.n_calls for burst in counted], "call")
        values = _range([len(burst.elapsed_ns) for burst in counted], "value")
        value_note = (
            f"A value is the time of {calls} between two readings of the clock, over their number. A block "
            f"has fresh processes and {values} of each entry; block 0 checks results, and does not count."
        )
    notes = (*TIMED_REGION_NOTES, *[value_note] * bool(value_note))
    return Section(id="contents", title="What is in these numbers, and what is not?", notes=notes)


def again(facts: Facts, prefix: str) -> Section:
    """Return all that is needed to repeat the run: command, version, seed and plan."""
    plan, end = facts.run.plan, facts.run.end
    took = "" if end is None else f", took {units.seconds(end.seconds)}"
    pairs = (
        ("Command", " ".join(plan.command)),
        ("Version", f"rnnbench {plan.version}"),
        ("Order", f"--seed {plan.seed} makes it again"),
        ("Plan", f"preset {plan.preset}, {facts.summary.counted}"),
        ("Started", f"{plan.started_utc}{took}"),
    )
    return Section(id="again", title="How do I get it again?", pairs=pairs)


def slug(name: str) -> str:
    """Return a name valid on every file system."""
    return re.sub(r"[^a-z0-9_]+", "-", name.lower()).strip("-")[:60]


def _range(counts: Sequence[int], noun: str) -> str:
    """Format a range of counts, as in "3 to 5 values"."""
    low, high = min(counts), max(counts)
    return f"{units.whole(low)} to {wording.count(high, noun)}" if low < high else wording.count(high, noun)


# the sections in the order of the page; OPEN_SECTIONS are unfolded at first
SECTIONS: tuple[Maker, ...] = (
    cells_section, limits_section, crossover_section, times, ladder_section, starting, failures,
    proof_section, sure, contents, machine_section, again, words_section, download_section,
)  # fmt: skip
OPEN_SECTIONS: tuple[Maker, ...] = (cells_section, limits_section, crossover_section, times)
