"""What pytest-benchmark saved, as the page shows it: points without intervals, and no verdict."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from bench.catalog import BASELINE
from bench.reporting import plots, units, words
from bench.reporting.plots import Mark
from bench.reporting.section import Article, Cell, Column, Drawing, Hero, Section, TextTable
from bench.reporting.view import describe, slug
from bench.results.exchange import PytestResults, PytestRow

COLUMNS = (
    Column("Variant"), Column("Where"), Column("Dtype"), Column("Median a call", True),
    Column("Quartiles apart", True), Column("Samples/s", True), Column("÷ baseline", True),
    Column("Rounds × calls", True), Column("Proof"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ForeignView:
    """One file of another tool."""

    name: str
    label: str
    machine: str
    usual_ratio: str  # of the benchmark that the answer is about; empty where there is none
    hero: Hero
    sections: tuple[Section, ...]
    tool: str = "pytest-benchmark"
    how_sure: str = "no interval"  # said of the ratio

    @property
    def drawings(self) -> list[Drawing]:
        """All that is to be drawn."""
        parts = (part for section in self.sections for part in (section, *section.parts))
        return [one for part in parts for one in part.drawings if isinstance(one, Drawing)]


def foreign_view(results: PytestResults, name: str, *, prefix: str = "") -> ForeignView:
    """Turn one file into text; ``name`` is the file's, ``prefix`` starts the names of its plots."""
    groups = dict.fromkeys(row.group for row in results.rows)
    members = {group: [row for row in results.rows if row.group == group] for group in groups}
    machine, usual = _machine(results.machine_info), _usual(results.rows)
    return ForeignView(
        name=name,
        label=results.label,
        machine=machine,
        usual_ratio=units.ratio(usual.ratio) if usual and usual.ratio else "",
        hero=_hero(usual, len(results.rows), machine),
        sections=_sections(results, members, prefix),
    )


def foreign_article(view: ForeignView, anchor: str) -> Article:
    """A file as a part of the page."""
    banner = f"{view.tool}: {view.label}."
    return Article(
        anchor, "By pytest-benchmark", view.name, view.machine, view.hero, (banner,), (), view.sections
    )


def _usual(rows: Iterable[PytestRow]) -> PytestRow | None:
    """torch-rnn, or else the first torch variant that has a baseline."""
    torch = [row for row in rows if row.library == "torch" and row.ratio]
    return next((row for row in torch if row.variant == "torch-rnn"), torch[0] if torch else None)


def _hero(row: PytestRow | None, count: int, machine: str) -> Hero:
    """PyTorch as usually written against the baseline, with all that this way of timing leaves open."""
    if row is None or row.ratio is None:
        said = f"On this machine ({machine}), {count} benchmarks, none of them PyTorch against {BASELINE}."
        return Hero("Nothing was compared", facts=(("What was measured", said),))
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
    facts = (("Each as it is usually written", said), ("How sure that is", sure))
    return Hero(title, "no verdict", sure=("one process, fixed order, no interval",), facts=facts)


def _sections(
    results: PytestResults, members: dict[str, list[PytestRow]], prefix: str
) -> tuple[Section, ...]:
    """A part for each group of benchmarks, and what the file says of the machine."""
    parts = tuple(
        _part(group, rows, f"times-{number}", f"{prefix}{number}-{slug(group) or 'benchmarks'}")
        for number, (group, rows) in enumerate(members.items(), start=1)
    )
    return (
        Section(id="times", title="How long does each take?", parts=parts),
        Section(id="machine", title="On which machine?", pairs=tuple(_facts(results))),
    )


def _part(group: str, rows: list[PytestRow], id: str, stem: str) -> Section:
    rows = sorted(rows, key=lambda row: row.median_ns)
    title = group or "benchmarks"
    marks = tuple(
        Mark(
            label=_name(row) + (" (known wrong gradient)" if row.known_wrong else ""),
            library=row.library,
            section="",
            time_ns=row.median_ns,
            text=_ratio(row) if not _is_baseline(row) else "baseline",
            hollow=row.known_wrong,
            baseline=_is_baseline(row),
        )
        for row in rows
    )
    drawing = Drawing(stem, describe(marks), partial(plots.dot_plot, marks))
    table = TextTable(title, COLUMNS, tuple(_row(row) for row in rows))
    return Section(id=id, title=title, drawings=(drawing,), tables=(table,))


def _row(row: PytestRow) -> tuple[Cell, ...]:
    marks = ["baseline"] * _is_baseline(row) + ["known wrong gradient"] * row.known_wrong
    worst = max((row.errors or {}).items(), key=lambda item: item[1], default=None)
    samples = row.shape.B / (row.median_ns * 1e-9) if row.shape else None
    where = row.device or units.NOTHING
    return (
        Cell(_name(row), note=", ".join(marks), library=row.library),
        Cell(where if row.threads is None else f"{where}, threads: {row.threads}"),
        Cell(row.dtype or units.NOTHING),
        Cell(units.duration(row.median_ns), value=row.median_ns),
        Cell(units.duration(row.iqr_ns), value=row.iqr_ns),
        Cell(units.rate(samples), value=samples),
        Cell(units.NOTHING if _is_baseline(row) else _ratio(row), value=row.ratio),
        Cell(f"{units.whole(row.rounds)} × {units.whole(row.iterations)}"),
        Cell(f"largest error: {worst[0]} {units.error(worst[1])}" if worst else units.NOTHING),
    )


def _ratio(row: PytestRow) -> str:
    return units.with_interval(row.ratio, None, None)


def _name(row: PytestRow) -> str:
    return row.variant or row.name


def _is_baseline(row: PytestRow) -> bool:
    return row.variant == BASELINE and row.device == "cpu"


def _machine(info: dict[str, Any]) -> str:
    """Processor and count, as py-cpuinfo gave them to pytest-benchmark."""
    cpu = info.get("cpu")
    cpu = cpu if isinstance(cpu, dict) else {}
    brand = cpu.get("brand_raw") or info.get("processor") or info.get("machine")
    return words.machine({"processor": brand, "cpus": cpu.get("count")})


def _facts(results: PytestResults) -> list[tuple[str, str]]:
    """Versions and what else our plugin wrote into the file."""
    info = results.machine_info
    found = [
        ("System", " ".join(str(info[key]) for key in ("system", "release") if info.get(key))),
        ("Python", info.get("python_version")),
        ("NumPy", info.get("numpy")),
        ("PyTorch", info.get("torch")),
        ("BLAS of NumPy", " ".join(str(info[key]) for key in ("blas", "blas_version") if info.get(key))),
        ("BLAS kernel that ran", info.get("blas_kernel")),
        ("Threads of each library", info.get("threads")),
        ("pytest-benchmark", results.version),
        ("Started", results.started_utc),
    ]
    return [(name, str(value)) for name, value in found if value not in (None, "")]
