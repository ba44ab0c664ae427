"""Files of other tools as the page shows them; of pytest-benchmark, points without intervals or verdict."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bench.machine import units, wording
from bench.records.formats.foreign import Facts, Note, repeated, told
from bench.records.formats.pytest_benchmark import PytestResults, PytestRow
from bench.reporting import words
from bench.reporting.article import MOST_PLOTS, dot_plot, slug
from bench.reporting.plots import Mark
from bench.reporting.section import Article, Cell, Column, Hero, Section, TextTable
from bench.workload.catalog import BASELINE

USUAL = "torch-rnn"  # PyTorch as it is usually written
MOST_TABLE_ROWS = 2000  # of a table; a page with more is slow to read and to sort
COLUMNS = (
    Column("Benchmark"), Column("Where"), Column("Dtype"), Column("Median a call", True),
    Column("Quartiles apart", True), Column("Samples/s", True), Column("÷ baseline", True),
    Column("Rounds × calls", True), Column("Proof"),
)  # fmt: skip

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class ForeignView:
    """One file of another tool."""

    name: str
    kind: str  # "By pytest-benchmark"
    label: str
    machine: str
    machine_facts: Facts  # processor, cpus, host: what tells that two files are of different machines
    usual_ratio: str  # of PyTorch as usually written; empty where the file does not have it
    hero: Hero
    sections: tuple[Section, ...]
    tool: str
    how_sure: str  # said of the ratio
    notes: tuple[str, ...] = ()  # what must be known of the file


def kind_of(tool: str, *, ours: bool, exported: bool) -> str:
    """Return what to head a file with: who measured it, or which tool's file it is."""
    if exported:
        return f"By rnnbench, exported for {tool}"
    return f"By {tool}" if ours else f"A file of {tool}"


def nothing_compared(machine: str, count: int) -> Hero:
    """Return the head of a file in which nothing is to be compared: its benchmarks are somebody else's."""
    benchmarks = wording.count(count, "benchmark")
    said = f"On this machine ({machine}), {benchmarks}, none of them PyTorch against {BASELINE}."
    return Hero("Nothing was compared", facts=(("What was measured", said),))


def grouped(items: Sequence[Item], group: Callable[[Item], str]) -> dict[str, list[Item]]:
    """Return the members of each group, in order; all as one group where there are very many groups."""
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(group(item), []).append(item)
    return groups if len(groups) <= MOST_PLOTS else {"": list(items)}


def notes(found: Iterable[Note], full_names: Iterable[str]) -> tuple[str, ...]:
    """Return what must be known of a file, a line each."""
    return tuple(map(words.note, (*found, *repeated(full_names))))


def cpus(facts: Facts, name: str) -> int | None:
    """Return how many processors are told; None where that is no number."""
    count = told(facts, name)
    return int(count) if len(count) < 10 and count.isascii() and count.isdecimal() else None


def machine_section(found: Sequence[tuple[str, str]]) -> tuple[Section, ...]:
    """Return what a file tells of its machine; nothing where it tells nothing."""
    pairs = tuple((title, wording.short(fact)) for title, fact in found if fact.strip())
    return (Section(id="machine", title="On which machine?", pairs=pairs),) if pairs else ()


def where(device: str, threads: int | None) -> str:
    """Return a place: "cpu, threads: 1"; a dash where nothing is told."""
    place = wording.short(device or units.NOTHING)
    return place if threads is None else f"{place}, threads: {threads}"


def part(
    group: str, number: int, prefix: str, marks: Sequence[Mark], columns: Sequence[Column],
    rows: Sequence[tuple[Cell, ...]],
) -> Section:  # fmt: skip
    """Return a group of benchmarks: a picture, unless they are many, and a table without empty columns."""
    title = wording.short(group) if group else "benchmarks"
    full = [n for n in range(len(columns)) if any(row[n].text != units.NOTHING for row in rows)]
    more = len(rows) - MOST_TABLE_ROWS
    table = TextTable(
        title,
        tuple(columns[n] for n in full),
        tuple(tuple(row[n] for n in full) for row in rows[:MOST_TABLE_ROWS]),
        f"{wording.count(more, 'more benchmark')} of the file, which take longer, are not shown."
        if more > 0
        else "",
    )
    drawings = dot_plot(f"{prefix}{number}-{slug(group) or 'benchmarks'}", tuple(marks))
    return Section(id=f"times-{number}", title=title, drawings=drawings, tables=(table,))


def foreign_article(view: ForeignView, anchor: str) -> Article:
    """Return a file as a part of the page."""
    ratio = f"{view.usual_ratio}: {view.how_sure}" if view.usual_ratio else units.NOTHING
    return Article(
        anchor=anchor,
        kind=view.kind,
        name=view.name,
        machine=view.machine,
        hero=view.hero,
        banners=(f"{view.tool}: {view.label}.",),
        warnings=view.notes,
        sections=view.sections,
        summary=tuple(f"{view.name}: {note}" for note in view.notes),
        overview=(Cell(ratio), *(Cell(units.NOTHING),) * 3),
        machine_facts=view.machine_facts,
    )


def foreign_view(results: PytestResults, name: str, *, prefix: str = "") -> ForeignView:
    """Turn one file into text; ``name`` is the file's, ``prefix`` starts the names of its plots."""
    rows, facts = results.rows, results.facts
    brand = told(facts, "cpu brand_raw") or told(facts, "cpu brand")  # the second up to py-cpuinfo 5
    name_of_machine = brand or told(facts, "processor") or told(facts, "machine")
    machine = words.machine({"processor": name_of_machine, "cpus": cpus(facts, "cpu count")})
    usual = _usual(rows)
    groups = grouped(rows, lambda row: row.group)
    exported = any(row.exported for row in rows)
    return ForeignView(
        name=name,
        kind=kind_of("pytest-benchmark", ours=any(row.variant for row in rows), exported=exported),
        label=results.label,
        machine=machine,
        machine_facts={
            "processor": (brand,),
            "cpus": facts.get("cpu count", ()),
            "host": facts.get("node", ()),
        },
        usual_ratio=units.ratio(usual.ratio) if usual and usual.ratio and usual.variant == USUAL else "",
        hero=_hero(usual, len(rows), machine),
        sections=(
            Section(
                id="times",
                title="How long does each take?",
                parts=tuple(
                    _part(group, members, number, prefix)
                    for number, (group, members) in enumerate(groups.items(), start=1)
                ),
            ),
            *machine_section(_facts(results)),
        ),
        tool="pytest-benchmark",
        how_sure="no interval",
        notes=notes(results.notes, (row.full_name for row in rows)),
    )


def _usual(rows: Iterable[PytestRow]) -> PytestRow | None:
    """torch-rnn, or else the first torch variant that has a baseline."""
    torch = [row for row in rows if row.library == "torch" and row.ratio]
    return next((row for row in torch if row.variant == "torch-rnn"), torch[0] if torch else None)


def _hero(row: PytestRow | None, count: int, machine: str) -> Hero:
    """PyTorch as usually written against the baseline, with all that this way of timing leaves open."""
    if row is None or row.ratio is None:
        return nothing_compared(machine, count)
    winner, loser = ("NumPy", "PyTorch") if row.ratio >= 1 else ("PyTorch", "NumPy")
    title = f"{winner} measured {units.ratio(max(row.ratio, 1 / row.ratio))} times faster than {loser}"
    baseline = units.duration(row.median_ns / row.ratio)
    setting = f"{row.shape}; {row.dtype}; {row.device}, threads: {row.threads}"
    said = (
        f"On this machine ({machine}), {title} at the {words.TASKS.get(row.task, row.task)}, {row.layout} "
        f"input: {BASELINE} {baseline}, {row.variant} {units.duration(row.median_ns)} a call ({setting})."
    )
    sure = (
        "That is one process in a fixed order with both libraries loaded, so there is no interval and no "
        "verdict; rnnbench run gives both."
    )
    short = "one process, fixed order, no interval"
    if row.exported:
        sure, short = (
            "This file holds no interval and no verdict; the journal of the run has both.",
            "no interval",
        )
    form = "Each as it is usually written" if row.variant == USUAL else "What was measured"
    facts = ((form, said), ("How sure that is", sure))
    return Hero(title, "no verdict", sure=(short,), facts=facts)


def _part(group: str, rows: Sequence[PytestRow], number: int, prefix: str) -> Section:
    rows = sorted(rows, key=lambda row: row.median_ns)
    marks = [
        Mark(
            label=_name(row) + (" (known wrong gradient)" if row.known_wrong else ""),
            library=row.library,
            section="",
            time_ns=row.median_ns,
            text="baseline" if _is_baseline(row) else _ratio(row) if row.ratio else "",
            hollow=row.known_wrong,
            baseline=_is_baseline(row),
        )
        for row in rows
    ]
    return part(group, number, prefix, marks, COLUMNS, [_row(row, group) for row in rows])


def _row(row: PytestRow, group: str) -> tuple[Cell, ...]:
    marks = ["baseline"] * _is_baseline(row) + ["known wrong gradient"] * row.known_wrong
    marks += [wording.short(row.group)] * (row.group != group)
    worst = max((row.errors or {}).items(), key=lambda item: item[1], default=None)
    samples = row.shape.B / (row.median_ns * 1e-9) if row.shape else None
    rounds = units.NOTHING
    if row.rounds and row.iterations:
        rounds = f"{units.whole(row.rounds)} × {units.whole(row.iterations)}"
    return (
        Cell(_name(row), note=", ".join(marks), library=row.library),
        Cell(where(row.device, row.threads)),
        Cell(wording.short(row.dtype or units.NOTHING)),
        Cell(units.duration(row.median_ns), value=row.median_ns),
        Cell(units.duration(row.iqr_ns), value=row.iqr_ns),
        Cell(units.rate(samples), value=samples),
        Cell(units.NOTHING if _is_baseline(row) else _ratio(row), value=row.ratio),
        Cell(rounds),
        Cell(f"largest error: {wording.short(worst[0])} {units.error(worst[1])}" if worst else units.NOTHING),
    )


def _ratio(row: PytestRow) -> str:
    return units.with_interval(row.ratio, None, None)


def _name(row: PytestRow) -> str:
    return wording.short(row.variant or row.label)


def _is_baseline(row: PytestRow) -> bool:
    return row.variant == BASELINE and row.device == "cpu"


def _facts(results: PytestResults) -> list[tuple[str, str]]:
    """Return versions and what else our plugin wrote into the file."""
    fields = (
        ("System", "system", "release"), ("Python", "python_version"), ("NumPy", "numpy"),
        ("PyTorch", "torch"), ("BLAS of NumPy", "blas", "blas_version"),
        ("BLAS kernel that ran", "blas_kernel"), ("Threads of each library", "threads"),
    )  # fmt: skip
    found = [(title, " ".join(told(results.facts, name) for name in names)) for title, *names in fields]
    found += [("pytest-benchmark", results.version), ("Started", results.started_utc)]
    return found
