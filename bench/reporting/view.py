"""One run as the page shows it: all text made, nothing left to work out in a template."""

import re
from dataclasses import dataclass

from bench.answer.outcome import Outcome, outcomes
from bench.answer.summary import Table, summarise
from bench.reporting import answer, details, environment, notes, tables, units, words
from bench.reporting.answer import CLAIM, Facts
from bench.reporting.ladder import Ladder, Rung, ladder
from bench.reporting.plots import Mark
from bench.results.journal import Run

MOST_PLOTS = 9  # of the tables, the first of them; drawing takes longer than all the rest
MOST_ROWS = 100  # of a plot


@dataclass(frozen=True, slots=True)
class Plot:
    """What a plot shows; ``stem`` names its files."""

    stem: str
    marks: tuple[Mark, ...]
    alt: str
    is_ladder: bool = False


@dataclass(frozen=True, slots=True)
class TableView:
    """One table with its plot, which is None where nothing was measured, or too much for a picture."""

    title: str
    setting: str
    lines: tuple[tables.Line, ...]
    plot: Plot | None
    places: int  # how many places its arms compute in


@dataclass(frozen=True, slots=True)
class Step:
    """One rung of the claim's ladder."""

    variant: str
    library: str
    time: str
    change: str
    factor: str


@dataclass(frozen=True, slots=True)
class ClaimView:
    """The tutorial's claim, taken apart."""

    text: tuple[str, ...]
    steps: tuple[Step, ...]
    plot: Plot


@dataclass(frozen=True, slots=True)
class RunView:
    """One run. Tuples of two are a name and what there is to say about it."""

    name: str
    machine: str
    banners: tuple[str, ...]  # before the answer: what it depends on
    warnings: tuple[str, ...]  # after it: about the machine and the time budget
    answer: tuple[str, ...]
    headlines: tuple[tables.Headline, ...]
    tables: tuple[TableView, ...]
    claim: ClaimView | None
    noise: tuple[tuple[str, str, str], ...]  # table and place, ratio of the twin, noise floor
    machine_facts: tuple[tuple[str, str], ...]
    details: tuple[tuple[str, details.Pairs], ...]  # heading and facts, of machine and libraries
    libraries: tuple[environment.Library, ...]
    variables: tuple[environment.Variables, ...]
    audit: tuple[str, ...]
    contents: tuple[str, ...]
    starts: tuple[tuple[str, str, str], ...]  # arm, start-up, first call
    missing: tuple[tuple[str, str], ...]
    troubles: tuple[tuple[str, str, str, str, str], ...]  # entry, status, blocks, reason, stderr
    reproduce: tuple[tuple[str, str], ...]

    @property
    def plots(self) -> list[Plot]:
        """All plots, the tables' first."""
        made = [table.plot for table in self.tables] + [self.claim.plot if self.claim else None]
        return [plot for plot in made if plot is not None]


def view(run: Run, *, prefix: str = "") -> RunView:
    """Turn a run into text; ``prefix`` starts the names of its plots."""
    found = outcomes(run)
    summary = summarise(run, found)
    facts = Facts.of(run, summary)
    shown = [table for table in summary.tables if table.name != CLAIM]
    steps = ladder(facts, found)
    made = [_table(facts, table, found, n, prefix) for n, table in enumerate(shown, start=1)]
    return RunView(
        name=run.plan.run,
        machine=words.machine(run.environment.machine),
        banners=tuple(answer.caveats(facts)),
        warnings=(*notes.warnings(run, summary), *_undrawn(made)),
        answer=tuple(answer.sentences(facts)),
        headlines=tuple(tables.headlines(facts)),
        tables=tuple(made),
        claim=_claim(facts, steps, f"{prefix}claim") if steps else None,
        noise=tuple(notes.noise(run, summary)),
        machine_facts=tuple(environment.machine(run)),
        details=tuple(details.details(run)),
        libraries=tuple(environment.libraries(run)),
        variables=tuple(environment.variables(run)),
        audit=tuple(environment.audit(run)),
        contents=tuple(notes.contents(run, summary)),
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


def _table(facts: Facts, table: Table, found: dict[str, Outcome], number: int, prefix: str) -> TableView:
    plot = None
    if number <= MOST_PLOTS and (marks := tuple(tables.marks(table, found))) and len(marks) <= MOST_ROWS:
        plot = Plot(f"{prefix}{number}-{slug(table.name)}", marks, describe(marks))
    lines = tuple(tables.lines(facts, table))
    places = len({line.place for line in lines})
    return TableView(tables.title(table), tables.setting(table), lines, plot, places)


def _undrawn(made: list[TableView]) -> list[str]:
    """What to say where tables that hold times have no plot."""
    measured = [table for table in made if any(line.time != units.NOTHING for line in table.lines)]
    without = sum(table.plot is None for table in measured)
    if not without:
        return []
    return [
        f"No plot for {without} of {words.count(len(measured), 'table')}: those after the {MOST_PLOTS}th and "
        f"those of more than {MOST_ROWS} rows are not drawn."
    ]


def _claim(facts: Facts, made: Ladder, stem: str) -> ClaimView:
    steps = tuple(_step(facts, rung) for rung in made.rungs)
    marks = tuple(_mark(rung, step) for rung, step in zip(made.rungs, steps, strict=True))
    alt = "From the tutorial's NumPy program to its PyTorch program, a change at a time: " + "; ".join(
        f"{step.variant} {step.time} ({step.change}{', ' if step.factor else ''}{step.factor})"
        for step in steps
    )
    return ClaimView(tuple(_claim_text(facts, made)), steps, Plot(stem, marks, f"{alt}.", is_ladder=True))


def _claim_text(facts: Facts, made: Ladder) -> list[str]:
    """The claim's ratio, and the part of it that is NumPy against PyTorch at equal work."""
    whole = words.lead(facts.run, made.claim)
    first, last = made.rungs[0].row, made.rungs[-1].row
    text = []
    if whole is not None:
        text.append(
            f"Between the tutorial's two programs, {words.variant(first.arm)} and {words.variant(last.arm)}, "
            f"lies a factor of {units.with_interval(whole.factor, whole.low, whole.high)}. They do different "
            "work in different precision; the rows below lead from one to the other."
        )
    equal = next((rung.step for rung in made.rungs if rung.step and _equal_work(facts, rung)), None)
    if equal is not None and (ahead := words.lead(facts.run, equal)):
        winner, loser = words.names(ahead.winner, ahead.loser)
        text.append(
            f"Only one of these steps is NumPy against PyTorch at equal work, and there {winner} measured "
            f"{ahead.times_faster} than {loser}."
        )
    return text


def _equal_work(facts: Facts, rung: Rung) -> bool:
    """Whether a rung differs from the one above in the library alone."""
    if rung.step is None or not rung.step.same_work:
        return False
    return rung.row.arm.library != facts.arm(rung.step.baseline).library


def _step(facts: Facts, rung: Rung) -> Step:
    arm, factor = rung.row.arm, ""
    if rung.step is not None and (ahead := words.lead(facts.run, rung.step)):
        factor = ahead.times_faster if ahead.winner == arm else ahead.times_slower
    return Step(words.variant(arm), arm.library, units.duration(rung.row.median_ns), rung.change, factor)


def _mark(rung: Rung, step: Step) -> Mark:
    row = rung.row
    return Mark(
        label=step.variant,
        library=step.library,
        section="",
        time_ns=row.median_ns or 0.0,
        low_ns=row.low_ns,
        high_ns=row.high_ns,
        text=step.factor,
        hollow=row.arm.known_wrong,
        change=step.change,
    )
