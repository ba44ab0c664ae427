"""The tables of a run, made of its analysis: every number formatted, marks and verdicts in words."""

from collections.abc import Iterable, Sequence
from statistics import median

from bench.analysis.summary import Row, Summary, Table
from bench.analysis.verdict import Comparison, Kind
from bench.machine import units, wording
from bench.records.record import Arm
from bench.records.run import Run
from bench.reporting import words
from bench.reporting.facts import Facts
from bench.reporting.plots import Mark
from bench.reporting.section import Cell, Column, TextTable
from bench.workload.catalog import BASELINE

HEADLINES: dict[Kind, str] = {
    "as_written": "as usually written",
    "best": "fastest form of each",
    "compiled": "compiled",
    "claim": "the tutorial's claim",
}
MOST_DOTS = 50  # a row: more blocks than that make a smear
TIMES = (
    Column("Variant"), Column("Time a call", True), Column("÷ baseline", True),
    Column("Than the baseline"), Column("Samples/s", True), Column("Where"), Column("Proof"),
)  # fmt: skip
DECLARED = (
    Column("Comparison"), Column("Work"), Column("Entry"), Column("Against"), Column("Entry ÷ other", True),
    Column("Student’s t interval", True), Column("Standard deviation", True), Column("Verdict"),
)  # fmt: skip
T_INTERVAL = 5  # its column; without intervals there are no scatters beside it either
DECLARED_NOTE = (
    "Where the exact interval and Student’s t interval disagree about 1, there is no verdict. The fastest "
    "forms were chosen in block 0."
)
STARTS_NOTE = (
    "Medians over all blocks. A start is the processor time until a fresh process has bound its task; the "
    "first call has all that a library sets up once."
)
OVERVIEW = (
    Column("Result"), Column("Machine"), Column("PyTorch ÷ NumPy, as usually written"),
    Column("PyTorch ÷ NumPy, fastest form of each"), Column("The tutorial's claim"),
    Column("Noise floor", True),
)  # fmt: skip
OVERVIEW_NOTE = (
    "Above 1 NumPy is faster; the verdict is PyTorch's. The two sides of the claim do different work."
)


def ordered(table: Table) -> list[Row]:
    """Return the rows that were not left out, by place in the order of the plan, there the fastest first."""
    order = {where: n for n, where in enumerate(dict.fromkeys(place(row.arm) for row in table.rows))}
    kept = [row for row in table.rows if not is_left_out(row)]
    return sorted(kept, key=lambda row: (order[place(row.arm)], row.median_ns or float("inf")))


def times_table(facts: Facts, table: Table) -> TextTable:
    """Return the times of one case, a row an entry."""
    return TextTable(title(table), TIMES, tuple(_times_row(facts, row) for row in ordered(table)))


def every_size_table(facts: Facts, tables: Iterable[Table]) -> TextTable:
    """Return the times of many cases in one table, which sorts and filters."""
    rows = tuple(
        (Cell(str(table.case.shape), note=title(table)), *_times_row(facts, row))
        for table in tables
        for row in ordered(table)
    )
    note = "T steps of I features, B samples at once, H hidden units, O outputs."
    return TextTable("Times at every size", (Column("Size"), *TIMES), rows, note)


def declared_table(facts: Facts, caption: str) -> TextTable:
    """Return the comparisons that were declared before they were measured, without those left out."""
    rows = [_declared_row(facts, made) for made in facts.summary.headlines if not made.left_out]
    empty = {n for n in (T_INTERVAL, T_INTERVAL + 1) if not any(row[n].text for row in rows)}
    return TextTable(
        caption,
        tuple(column for n, column in enumerate(DECLARED) if n not in empty),
        tuple(tuple(cell for n, cell in enumerate(row) if n not in empty) for row in rows),
        "" if T_INTERVAL in empty else DECLARED_NOTE,
    )


def noise_table(facts: Facts, caption: str) -> TextTable:
    """Return the A/A controls: how far the same thing differs when it is measured twice."""
    columns = (Column("Table and place"), Column("A/A control ÷ baseline", True), Column("Noise floor", True))
    rows = [
        (
            f"{facts.entries[made.entry].group}; {words.place(made.arm)}",
            made.reason if made.ratio is None else units.with_interval(made.ratio, made.low, made.high),
            units.NOTHING if made.noise_floor is None else units.percent(made.noise_floor),
        )
        for made in facts.summary.twins
        if not made.left_out
    ]
    return _plain(caption, columns, rows)


def speeds_table(summary: Summary, caption: str) -> TextTable:
    """Return the entries whose processes have two speeds."""
    columns = (Column("Entry"), Column("Slower by", True), Column("In so many blocks", True))
    rows = ((entry, units.percent(slower), str(n)) for entry, (n, slower) in summary.modes.items())
    return _plain(caption, columns, rows)


def troubles_table(summary: Summary) -> TextTable:
    """Return the entries that failed, how often and why."""
    columns = tuple(map(Column, ("Entry", "What happened", "In block", "Why")))
    rows = (
        (one.entry, one.status.replace("_", " "), ", ".join(map(str, one.blocks)), one.reason)
        for one in summary.troubles
    )
    return _plain("What failed", columns, rows)


def starts_table(run: Run) -> TextTable | None:
    """Return for each arm the medians of its starts, first calls and compiling; None where none is known."""
    calls: dict[str, list[int]] = {}
    for burst in run.bursts:
        if burst.cold_call_ns:
            calls.setdefault(run.entries[burst.entry].arm, []).append(burst.cold_call_ns)
    rows = []
    for arm in run.plan.arms:
        workers = [worker for worker in run.workers if arm.id in worker.arms]
        if workers:
            rows.append((arm.id, _median(w.ready_ns for w in workers), _median(calls.get(arm.id, ()))))
        for what, cold in (("compiling from nothing, block 0", True), ("loading what was compiled", False)):
            compiled = [w.compile_ns for w in workers if (w.block == 0) == cold]
            if any(compiled):
                rows.append((f"{arm.id}: {what} (wall time)", _median(compiled), units.NOTHING))
    columns = (Column("Arm"), Column("Start and import", True), Column("First call", True))
    return _plain("Start and first call", columns, rows, STARTS_NOTE) if rows else None


def overview_cells(facts: Facts, first_of_many: bool) -> tuple[Cell, ...]:
    """Return the first headline of each kind and the noise floor; nothing for a map of sizes."""
    if facts.is_grid:
        return ()
    cells = []
    for kind in ("as_written", "best", "claim"):
        made = [one for one in facts.summary.headlines if one.kind == kind]
        several = f" (the first of {len(made)})" if len(made) > 1 and first_of_many else ""
        text = f"{ratio_text(made[0])}: {verdict(made[0])}{several}" if made else units.NOTHING
        cells.append(Cell(text))
    floor = facts.summary.floor
    return (*cells, Cell(units.NOTHING if floor is None else units.percent(floor)))


def overview_table(rows: Sequence[tuple[Cell, ...]]) -> TextTable:
    """Return several results side by side; a row is name, machine and ``overview_cells``."""
    told = any(cell.text != units.NOTHING for row in rows for cell in row[2:])
    return TextTable("Results side by side", OVERVIEW, tuple(rows), OVERVIEW_NOTE if told else "")


def title(table: Table) -> str:
    """Return the work by name: "Training step, positional input"."""
    task = wording.capital(words.TASKS[table.case.task])
    if table.kind == "compiled":
        return f"{task}, {table.case.layout} input, compiled"
    return f"{task}, random data" if table.case.data == "random" else f"{task}, {table.case.layout} input"


def marks(table: Table) -> tuple[Mark, ...]:
    """Return the measured rows for the dot plot."""
    return tuple(
        Mark(
            label=name(row),
            library=row.arm.library,
            section=place(row.arm),
            time_ns=row.median_ns,
            low_ns=row.low_ns,
            high_ns=row.high_ns,
            blocks_ns=spread(list(row.outcome.medians.values())),
            text=ratio_text(row.comparison) if row.comparison else "baseline" if is_baseline(row) else "",
            hollow=row.arm.known_wrong,
            baseline=is_baseline(row),
        )
        for row in ordered(table)
        if row.median_ns is not None
    )


def spread(medians: list[float], most: int = MOST_DOTS) -> tuple[float, ...]:
    """Return all, or so many that stand for all: the fastest, the slowest and evenly between by rank."""
    if len(medians) <= most:
        return tuple(medians)
    ranked, last = sorted(medians), len(medians) - 1
    return tuple(ranked[round(n * last / (most - 1))] for n in range(most))


def place(arm: Arm) -> str:
    """Return where an arm computes, and for an accelerator what it is compared with."""
    against = "" if arm.device == "cpu" else f", against {BASELINE} on the CPU, {words.threads(arm)}"
    return words.place(arm) + against


def name(row: Row) -> str:
    """Return the variant, the A/A control told from its original."""
    return f"{row.arm.variant} (A/A control)" if row.arm.twin else words.variant(row.arm)


def is_baseline(row: Row) -> bool:
    """Tell whether other rows of its table are compared with it."""
    return row.comparison is None and row.arm.spec == BASELINE


def is_left_out(row: Row) -> bool:
    """Tell whether the time budget left it out."""
    return row.outcome.left_out


def ratio_text(made: Comparison) -> str:
    """Return ratio and interval: "3.65 [3.60, 3.70]"."""
    return units.with_interval(made.ratio, made.low, made.high)


def verdict(made: Comparison) -> str:
    """Return the verdict's word."""
    return "no verdict" if made.verdict == "NONE" else made.verdict


def reason_for(facts: Facts, made: Comparison) -> str:
    """Return why it has this verdict; nothing where the same is said once for the whole run."""
    of_run = made.verdict == "NONE" and not facts.run.plan.verdicts
    return "" if of_run or made.reason == facts.summary.control.failure else made.reason


def tone(made: Comparison) -> str:
    """Return how a verdict looks. What is known to be wrong is never shown as a winner."""
    if made.verdict in ("INVALID", "MISSING"):
        return "trouble"
    if made.known_wrong or made.baseline_known_wrong or made.twin:
        return "calm"
    return {"FASTER": "good", "SLOWER": "bad"}.get(made.verdict, "calm")


def _times_row(facts: Facts, row: Row) -> tuple[Cell, ...]:
    made, arm = row.comparison, row.arm
    marks = ["baseline"] * is_baseline(row) + ["A/A control"] * bool(made and made.twin)
    marks += ["known wrong gradient"] * arm.known_wrong
    limits = None not in (row.low_ns, row.high_ns)
    ratio = None if made is None else made.ratio
    return (
        Cell(arm.variant, note=", ".join(marks), library=arm.library),
        Cell(
            units.duration(row.median_ns),
            note=f"{units.duration(row.low_ns)} to {units.duration(row.high_ns)}" if limits else "",
            value=row.median_ns,
        ),
        Cell(
            units.NOTHING if ratio is None else units.ratio(ratio),
            note="" if made is None else units.interval(made.low, made.high),
            value=ratio,
        ),
        _verdict_cell(facts, row),
        Cell(units.rate(row.samples_per_second), value=row.samples_per_second),
        Cell(place(arm)),
        Cell(row.outcome.proof, note=_proof_detail(row)),
    )


def _verdict_cell(facts: Facts, row: Row) -> Cell:
    """Return what a row is called: its verdict, or why it has no time."""
    made = row.comparison
    if row.median_ns is None:
        return Cell(row.outcome.status.replace("_", " "), note=row.outcome.reason, tone="trouble")
    if made is None:
        return Cell("", note=row.outcome.reason)
    if made.twin and made.low is not None and made.high is not None and made.low <= 1 <= made.high:
        return Cell("", note="its interval holds 1, as it should")
    if row.arm.known_wrong and made.verdict == "FASTER":
        return Cell(verdict(made), note="no winner: known wrong gradient", tone="calm")
    return Cell(verdict(made), note=reason_for(facts, made) or row.outcome.reason, tone=tone(made))


def _proof_detail(row: Row) -> str:
    """Return the largest error that the proof met, for what was allowed."""
    worst, known = row.outcome.worst(), row.outcome.worst(known_wrong=True)
    if row.outcome.proof == "known wrong" and known is not None:
        return f"{known.what} off by {units.percent(known.error)}"
    if worst is None or not worst.tolerance:
        return "" if worst is None or worst.passed else f"not so: {worst.what}"
    error, allowed = units.error(worst.error), units.error(worst.tolerance)
    return f"{worst.what}: {error} {'≤' if worst.passed else '>'} {allowed}"


def _declared_row(facts: Facts, made: Comparison) -> tuple[Cell, ...]:
    entry, baseline = facts.rows[made.entry], facts.rows[made.baseline]
    case = entry.entry.case
    data = "random data" if case.data == "random" else f"{case.layout} input"
    same = made.same_work
    scatters = (made.process_scatter, made.round_scatter)
    scatter, rounds = ("" if one is None else units.percent(one) for one in scatters)
    return (
        Cell(HEADLINES[made.kind], note=words.places(baseline.arm, entry.arm)),
        Cell(
            f"{words.TASKS[case.task]}, {data}" if same else "different work",
            note=f"{case.shape}, {case.dtype}" if same else "",
        ),
        Cell(name(entry), note=units.duration(entry.median_ns)),
        Cell(name(baseline), note=units.duration(baseline.median_ns)),
        Cell(
            units.NOTHING if made.ratio is None else units.ratio(made.ratio),
            note=units.interval(made.low, made.high),
            value=made.ratio,
        ),
        Cell(units.interval(made.t_low, made.t_high)),
        Cell(scatter, note=f"of rounds {rounds}" if rounds else "", value=made.process_scatter),
        Cell(verdict(made), note=reason_for(facts, made), tone=tone(made)),
    )


def _plain(
    caption: str, columns: tuple[Column, ...], rows: Iterable[Iterable[str]], note: str = ""
) -> TextTable:
    return TextTable(caption, columns, tuple(tuple(map(Cell, row)) for row in rows), note)


def _median(times_ns: Iterable[int]) -> str:
    times = list(times_ns)
    return units.duration(median(times)) if times else units.NOTHING
