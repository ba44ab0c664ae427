"""What pytest-benchmark saved, as the page shows it: points without intervals, and no verdict."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bench.catalog import BASELINE
from bench.reporting import units, words
from bench.reporting.plots import Mark
from bench.reporting.view import Plot, describe, slug
from bench.results.exchange import PytestResults, PytestRow


@dataclass(frozen=True, slots=True)
class ForeignLine:
    """One benchmark."""

    name: str
    library: str
    marks: tuple[str, ...]
    device: str
    threads: str
    dtype: str
    time: str
    spread: str
    rounds: str
    samples: str
    ratio: str
    proof: str


@dataclass(frozen=True, slots=True)
class ForeignTable:
    """One group of benchmarks."""

    title: str
    lines: tuple[ForeignLine, ...]
    plot: Plot


@dataclass(frozen=True, slots=True)
class ForeignView:
    """One file of pytest-benchmark."""

    name: str
    label: str
    machine: str
    usual_ratio: str  # of the benchmark that the answer is about; empty where there is none
    answer: tuple[str, ...]
    tables: tuple[ForeignTable, ...]
    facts: tuple[tuple[str, str], ...]

    @property
    def plots(self) -> list[Plot]:
        """All plots."""
        return [table.plot for table in self.tables]


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
        answer=tuple(_answer(usual, len(results.rows), machine)),
        tables=tuple(
            _table(group, rows, f"{prefix}{n}-") for n, (group, rows) in enumerate(members.items(), start=1)
        ),
        facts=tuple(_facts(results)),
    )


def _usual(rows: Iterable[PytestRow]) -> PytestRow | None:
    """torch-rnn, or else the first torch variant that has a baseline."""
    torch = [row for row in rows if row.library == "torch" and row.ratio]
    return next((row for row in torch if row.variant == "torch-rnn"), torch[0] if torch else None)


def _answer(row: PytestRow | None, count: int, machine: str) -> list[str]:
    """PyTorch as usually written against the baseline, with all that this way of timing leaves open."""
    if row is None or row.ratio is None:
        return [f"On this machine ({machine}), {count} benchmarks, none of them PyTorch against {BASELINE}."]
    winner, loser = ("NumPy", "PyTorch") if row.ratio >= 1 else ("PyTorch", "NumPy")
    factor = units.ratio(max(row.ratio, 1 / row.ratio))
    baseline = units.duration(row.median_ns / row.ratio)
    setting = f"{row.shape}; {row.dtype}; {row.device}, threads: {row.threads}"
    return [
        f"On this machine ({machine}), {winner} measured {factor} times faster than {loser} at the "
        f"{words.TASKS.get(row.task, row.task)}, {row.layout} input: {BASELINE} {baseline}, "
        f"{row.variant} {units.duration(row.median_ns)} a call ({setting}).",
        "That is one process in a fixed order with both libraries loaded, so there is no interval and no "
        "verdict; rnnbench run gives both.",
    ]


def _table(group: str, rows: list[PytestRow], prefix: str) -> ForeignTable:
    rows = sorted(rows, key=lambda row: row.median_ns)
    marks = tuple(
        Mark(
            label=_name(row) + (" (known wrong gradient)" if row.known_wrong else ""),
            library=row.library,
            section="",
            time_ns=row.median_ns,
            text="baseline" if _is_baseline(row) else units.with_interval(row.ratio, None, None),
            hollow=row.known_wrong,
            baseline=_is_baseline(row),
        )
        for row in rows
    )
    plot = Plot(prefix + (slug(group) or "benchmarks"), marks, describe(marks))
    return ForeignTable(group or "benchmarks", tuple(_line(row) for row in rows), plot)


def _line(row: PytestRow) -> ForeignLine:
    marks = ["baseline"] if _is_baseline(row) else []
    if row.known_wrong:
        marks.append("known wrong gradient")
    worst = max((row.errors or {}).items(), key=lambda item: item[1], default=None)
    return ForeignLine(
        name=_name(row),
        library=row.library,
        marks=tuple(marks),
        device=row.device or units.NOTHING,
        threads=units.NOTHING if row.threads is None else str(row.threads),
        dtype=row.dtype or units.NOTHING,
        time=units.duration(row.median_ns),
        spread=units.duration(row.iqr_ns),
        rounds=f"{units.whole(row.rounds)} × {units.whole(row.iterations)}",
        samples=units.rate(row.shape.B / (row.median_ns * 1e-9) if row.shape else None),
        ratio=units.NOTHING if _is_baseline(row) else units.with_interval(row.ratio, None, None),
        proof=f"largest error: {worst[0]} {units.error(worst[1])}" if worst else units.NOTHING,
    )


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
