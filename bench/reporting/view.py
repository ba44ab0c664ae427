"""One run as the page shows it: all text made, nothing left to work out in a template."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from bench.analysis.outcome import Outcome, outcomes
from bench.analysis.summary import Table, summarise
from bench.machine import units, wording
from bench.records.run import Run
from bench.reporting import answer, details, environment, notes, plots, tables, words
from bench.reporting.answer import Facts
from bench.reporting.download import download_section
from bench.reporting.hero import hero
from bench.reporting.plots import Mark
from bench.reporting.section import Drawing, Hero, Section
from bench.reporting.sections.breakeven import breakeven_section
from bench.reporting.sections.crossover import crossover_section
from bench.reporting.sections.ladder import ladder_section
from bench.reporting.sections.limits import limits_section
from bench.reporting.sections.proof import proof_section
from bench.reporting.sections.words_here import words_section

MOST_PLOTS = 9  # of the tables; where there are more, they are one table without a plot
MOST_ROWS = 100  # of a plot
TABLES = ("table", "compiled")  # kinds of groups that are shown as such
# what a run answers beyond its tables, in the order of the page
SECTIONS = (ladder_section, crossover_section, limits_section, breakeven_section)


@dataclass(frozen=True, slots=True)
class TableView:
    """One table with its plot, which is None where nothing was measured, or too much for a picture."""

    title: str
    setting: str
    shape: str  # of the first entry: "T6 B128 I6 H32 O8"
    lines: tuple[tables.Line, ...]
    plot: Drawing | None


@dataclass(frozen=True, slots=True)
class RunView:
    """One run. Tuples of two are a name and what there is to say about it."""

    name: str
    preset: str
    machine: str
    banners: tuple[str, ...]  # before the answer: what it depends on
    warnings: tuple[str, ...]  # after it: about the machine and the time budget
    answer: tuple[str, ...]
    hero: Hero
    headlines: tuple[tables.Headline, ...]
    tables: tuple[TableView, ...]
    sections: tuple[Section, ...]  # the answers beyond the tables
    proof: Section | None
    glossary: Section
    download: Section
    noise: tuple[tuple[str, str, str], ...]  # table and place, ratio of the twin, noise floor
    machine_facts: tuple[tuple[str, str], ...]
    details: tuple[tuple[str, details.Pairs], ...]  # heading and facts, of machine and libraries
    libraries: tuple[environment.Library, ...]
    variables: tuple[environment.Variables, ...]
    audit: tuple[str, ...]
    contents: tuple[str, ...]
    sure: tuple[str, ...]  # how sure the answers are
    validity: tuple[str, ...]  # how verdicts come about
    starts: tuple[tuple[str, str, str], ...]  # arm, start-up, first call
    missing: tuple[tuple[str, str], ...]
    troubles: tuple[tuple[str, str, str, str, str], ...]  # entry, status, blocks, reason, stderr
    reproduce: tuple[tuple[str, str], ...]

    @property
    def drawings(self) -> list[Drawing]:
        """All that is to be drawn."""
        shown = [table.plot for table in self.tables if table.plot is not None]
        of_sections = (one for section in self.sections for one in section.drawings)
        return [*shown, *(one for one in of_sections if isinstance(one, Drawing))]


def view(run: Run, *, prefix: str = "", refinements: Sequence[Run] = (), map_beside: str = "") -> RunView:
    """Turn a run, and those that refine it, into text.

    ``prefix`` starts the names of its plots; ``map_beside`` is the name of a run on the same page that
    measured the same work at many sizes.
    """
    found = outcomes(run)
    summary = summarise(run, found)
    facts = Facts.of(run, summary, refinements, map_beside)
    shown = [table for table in summary.tables if table.kind in TABLES]
    drawn = len(shown) <= MOST_PLOTS
    made = [
        _table(facts, table, found, f"{prefix}{number}-{slug(table.name)}" if drawn else "")
        for number, table in enumerate(shown, start=1)
    ]
    sections = tuple(section for make in SECTIONS if (section := make(facts, found, prefix)))
    proof = proof_section(facts, found, prefix)
    return RunView(
        name=run.plan.run,
        preset=run.plan.preset,
        machine=words.machine(run.environment.machine),
        banners=tuple(answer.caveats(facts)),
        warnings=(*notes.warnings(run, summary), *_undrawn(made)),
        answer=tuple(answer.sentences(facts)),
        hero=hero(facts, (*sections, *((proof,) if proof else ()))),
        headlines=() if facts.is_grid else tuple(tables.headlines(facts)),  # there they are the map
        tables=tuple(made),
        sections=sections,
        proof=proof,
        glossary=words_section(run),
        download=download_section(run, found, prefix),
        noise=tuple(notes.noise(run, summary)),
        machine_facts=tuple(environment.machine(run)),
        details=tuple(details.details(run)),
        libraries=tuple(environment.libraries(run)),
        variables=tuple(environment.variables(run)),
        audit=tuple(environment.audit(run)),
        contents=tuple(notes.contents(run, summary)),
        sure=tuple(notes.sure(facts)),
        validity=tuple(notes.validity(facts)),
        starts=tuple(notes.starts(run)),
        missing=tuple((item.what, item.reason) for item in summary.missing),
        troubles=tuple(
            (one.entry, one.status.replace("_", " "), ", ".join(map(str, one.blocks)), one.reason, one.stderr)
            for one in summary.troubles
        ),
        reproduce=tuple(notes.reproduce(run.plan, summary)),
    )


def describe(marks: tuple[Mark, ...]) -> str:
    """A plot's numbers in words, for those who do not see it."""
    rows = [f"{mark.section}: {mark.label} {units.duration(mark.time_ns)}, {mark.text}" for mark in marks]
    return "Time of a call on a logarithmic axis, and its ratio to the baseline. " + "; ".join(rows) + "."


def slug(name: str) -> str:
    """A name that every file system takes."""
    return re.sub(r"[^a-z0-9_]+", "-", name.lower()).strip("-")[:60]


def _table(facts: Facts, table: Table, found: dict[str, Outcome], stem: str) -> TableView:
    """A table, with a plot where that gets a ``stem`` and has something to show."""
    plot = None
    if stem and (marks := tuple(tables.marks(table, found))) and len(marks) <= MOST_ROWS:
        plot = Drawing(stem, describe(marks), partial(plots.dot_plot, marks))
    lines = tuple(tables.lines(facts, table))
    return TableView(tables.title(table), tables.setting(table), str(table.case.shape), lines, plot)


def _undrawn(made: list[TableView]) -> list[str]:
    """What to say where tables that hold times have no plot, and it is not for their number."""
    measured = [table for table in made if any(line.median_ns for line in table.lines)]
    without = sum(table.plot is None for table in measured)
    if not without or len(made) > MOST_PLOTS:
        return []
    counted = wording.count(len(measured), "table")
    return [f"No plot for {without} of {counted}: those of more than {MOST_ROWS} rows are not drawn."]
