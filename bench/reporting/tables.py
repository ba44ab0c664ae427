"""Build the tables of a run from its analysis: all numbers formatted, marks and verdicts in words."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from statistics import median

from bench.analysis.summary import Row, Summary, Table, Trouble
from bench.analysis.verdict import Comparison, Kind
from bench.machine import units, wording
from bench.records.record import Arm
from bench.records.run import Run
from bench.reporting import plots, words
from bench.reporting.facts import Facts
from bench.reporting.plots import Mark
from bench.reporting.section import Cell, Column, Drawing, Fields, TextTable, text_table
from bench.workload.case import Case
from bench.workload.catalog import BASELINE

HEADLINES: dict[Kind, str] = {
    "as_written": "as usually written",
    "best": "fastest form of each",
    "compiled": "compiled",
    "claim": "the tutorial's claim",
    "cell": "another cell, against the RNN",
    "peer": "fastest peer, against a library",
    "packed": "packed sequences, against masked",
}
MAX_ROWS = 100  # a table with more rows has no plot
MAX_DOTS = 50  # in a row: more dots would merge into a line
DECLARED_NOTE = (
    "Where the exact interval and Student’s t interval disagree about 1, there is no verdict. The fastest "
    "forms were chosen in block 0."
)
STARTS_NOTE = (
    "Medians over all blocks. A start is the processor time until a fresh process has bound its task; the "
    "first call has all that a library sets up once."
)
SIZES_NOTE = "T steps of I features, B samples at once, H hidden units, O outputs."
OVERVIEW = tuple(
    map(
        Column,
        (
            "Result", "Machine", "PyTorch ÷ NumPy, as usually written",
            "PyTorch ÷ NumPy, fastest form of each", "The tutorial's claim", "Noise floor",
        ),
    )
)  # fmt: skip
OVERVIEW_NOTE = (
    "Above 1 NumPy is faster; the verdict is PyTorch's. The two sides of the claim do different work."
)


def ordered(table: Table) -> list[Row]:
    """Return the rows that were not left out: by place in the plan's order, then the fastest first."""
    order = {row_place: n for n, row_place in enumerate(dict.fromkeys(place(row.arm) for row in table.rows))}
    rows = [row for row in table.rows if not row.outcome.left_out]
    return sorted(rows, key=lambda row: (order[place(row.arm)], row.median_ns or float("inf")))


def times_table(facts: Facts, table: Table) -> TextTable:
    """Return the times of one case, with a row per entry."""
    return text_table(title(table), _times_fields(facts), ordered(table))


def every_size_table(facts: Facts, tables: Iterable[Table]) -> TextTable:
    """Return the times of many cases in one table, which a reader can sort and filter."""
    titles = {row.entry.id: title(table) for table in tables for row in ordered(table)}
    fields: Fields[Row] = {"Size": lambda row: Cell(row.entry.case.size, titles[row.entry.id])}
    rows = (facts.rows[entry] for entry in titles)
    return text_table("Times at every size", {**fields, **_times_fields(facts)}, rows, SIZES_NOTE)


def _times_fields(facts: Facts) -> Fields[Row]:
    return {
        "Variant": lambda row: Cell(row.arm.variant, _remarks(row), library=row.arm.library),
        "Time a call": time_cell,
        "÷ baseline": lambda row: _ratio_cell(row.comparison) if row.comparison else Cell(units.NOTHING),
        "Than the baseline": lambda row: _row_verdict(facts, row),
        "Samples/s": lambda row: Cell.of(row.samples_per_second, units.rate),
        "Where": lambda row: place(row.arm),
        "Machine": lambda row: facts.mark(row.entry.id),
        "Proof": lambda row: Cell(row.outcome.proof, _proof_detail(row)),
    }


def declared_table(facts: Facts, caption: str) -> TextTable:
    """Return the comparisons that were declared before the measurement, without those left out."""

    def side(entry: str) -> Cell:
        return Cell(name(facts.rows[entry]), facts.time(entry))

    def sized(case: Case) -> Cell:
        return Cell(work(case), f"{case.size}, {case.dtype}")

    def scatter(pair: Comparison) -> Cell:
        rounds = pair.round_scatter
        note = "" if rounds is None else f"of rounds {units.percent(rounds)}"
        return Cell.of(pair.process_scatter, units.percent, note)

    fields: Fields[Comparison] = {
        "Comparison": lambda pair: Cell(HEADLINES[pair.kind], words.places(pair.baseline_arm, pair.arm)),
        "Work": lambda pair: (
            sized(facts.rows[pair.entry].entry.case)
            if pair.same_work or pair.kind == "cell"
            else "different work"
        ),
        "Machine": lambda pair: facts.mark(pair.entry),
        "Entry": lambda pair: side(pair.entry),
        "Against": lambda pair: side(pair.baseline),
        "Entry ÷ other": _ratio_cell,
        "Student’s t interval": lambda pair: Cell(units.interval(pair.t_low, pair.t_high), value=pair.t_low),
        "Standard deviation": scatter,
        "Verdict": lambda pair: verdict_cell(facts, pair),
    }
    pairs = [pair for pair in facts.summary.headlines if not pair.left_out]
    return text_table(caption, fields, pairs, DECLARED_NOTE if any(pair.t_low for pair in pairs) else "")


def noise_table(facts: Facts, caption: str) -> TextTable:
    """Return the A/A controls: how much two measurements of the same code differ."""
    fields: Fields[Comparison] = {
        "Table and place": lambda twin: f"{facts.entries[twin.entry].group}; {words.place(twin.arm)}",
        "Machine": lambda twin: facts.mark(twin.entry),
        "A/A control ÷ baseline": lambda twin: (
            twin.reason if twin.ratio is None else Cell(ratio_text(twin), value=twin.ratio)
        ),
        "Noise floor": lambda twin: Cell.of(twin.noise_floor, units.percent),
    }
    return text_table(caption, fields, (twin for twin in facts.summary.twins if not twin.left_out))


def speeds_table(summary: Summary, caption: str) -> TextTable:
    """Return the entries whose processes have two speeds."""
    fields: Fields[tuple[str, tuple[int, float]]] = {
        "Entry": lambda mode: mode[0],
        "Slower by": lambda mode: Cell.of(mode[1][1], units.percent),
        "In so many blocks": lambda mode: Cell.of(mode[1][0], "{:.0f}".format),
    }
    return text_table(caption, fields, summary.modes.items())


def troubles_table(facts: Facts) -> TextTable:
    """Return the entries that failed, in which blocks and why."""
    fields: Fields[Trouble] = {
        "Entry": lambda trouble: trouble.entry,
        "Machine": lambda trouble: facts.mark(trouble.entry),
        "What happened": lambda trouble: trouble.status.replace("_", " "),
        "In block": lambda trouble: ", ".join(map(str, trouble.blocks)),
        "Why": lambda trouble: trouble.reason,
    }
    return text_table("What failed", fields, facts.summary.troubles)


def starts_table(run: Run) -> TextTable | None:
    """Return each arm's median start, first call and compile time; None if no such time is known."""
    first_calls: dict[str, list[int]] = {}
    for burst in run.bursts:
        if burst.cold_call_ns:
            first_calls.setdefault(run.entries[burst.entry].arm, []).append(burst.cold_call_ns)
    starts: list[tuple[str, list[int], list[int]]] = []
    for arm in run.plan.arms:
        workers = [worker for worker in run.workers if arm.id in worker.arms]
        starts.append((arm.id, [worker.ready_ns for worker in workers], first_calls.get(arm.id, [])))
        for label, cold in (("compiling from nothing, block 0", True), ("loading what was compiled", False)):
            compiling = [worker.compile_ns for worker in workers if (worker.block == 0) == cold]
            starts.append((f"{arm.id}: {label} (wall time)", compiling, []))
    fields: Fields[tuple[str, list[int], list[int]]] = {
        "Arm": lambda start: start[0],
        "Start and import": lambda start: Cell.of(median(start[1]), units.duration),
        "First call": lambda start: Cell.of(median(start[2]) if start[2] else None, units.duration),
    }
    rows = [start for start in starts if any(start[1])]
    return text_table("Start and first call", fields, rows, STARTS_NOTE) if rows else None


def overview_cells(facts: Facts, first_of_many: bool) -> tuple[Cell, ...]:
    """Return cells: the first headline of each kind and the noise floor; none for a map of sizes."""
    if facts.is_grid:
        return ()
    cells = []
    for kind in ("as_written", "best", "claim"):
        pairs = [pair for pair in facts.summary.headlines if pair.kind == kind]
        suffix = f" (the first of {len(pairs)})" if len(pairs) > 1 and first_of_many else ""
        text = f"{ratio_text(pairs[0])}: {words.verdict(pairs[0])}{suffix}" if pairs else units.NOTHING
        cells.append(Cell(text))
    floor = facts.summary.floor
    return (*cells, Cell(units.NOTHING if floor is None else units.percent(floor)))


def overview_table(rows: Sequence[tuple[Cell, ...]]) -> TextTable:
    """Return several results side by side; a row is name, machine and ``overview_cells``."""
    has_comparison = any(not cell.empty for row in rows for cell in row[2:])
    return TextTable("Results side by side", OVERVIEW, tuple(rows), OVERVIEW_NOTE if has_comparison else "")


def title(table: Table) -> str:
    """Return the name of the work: "Training step, positional input"."""
    return f"{wording.capital(work(table.case))}{', compiled' * (table.kind == 'compiled')}"


def work(case: Case) -> str:
    """Return a task with its input: "training step, positional input"."""
    inputs = "random data" if case.data == "random" else f"{case.layout} input"
    return f"{words.TASKS[case.task]}{words.of_cell(case)}, {inputs}"


def marks(table: Table) -> tuple[Mark, ...]:
    """Return the measured rows as marks of the dot plot."""
    return tuple(
        mark(row, label=name(row), section=place(row.arm), baseline=is_baseline(row))
        for row in ordered(table)
        if row.median_ns is not None
    )


def mark(row: Row, *, label: str, section: str, baseline: bool) -> Mark:
    """Return a row, which has times, as a mark of the dot plot."""
    return Mark(
        label=label,
        library=row.arm.library,
        section=section,
        time_ns=row.median_ns or 0.0,
        low_ns=row.low_ns,
        high_ns=row.high_ns,
        blocks_ns=spread(list(row.outcome.medians.values())),
        text=ratio_text(row.comparison) if row.comparison else "baseline" if baseline else "",
        hollow=row.arm.known_wrong,
        baseline=baseline,
    )


def dot_plot(
    stem: str, marks: Sequence[Mark], ratio_title: str = "÷ baseline", caption: str = ""
) -> tuple[Drawing, ...]:
    """Return a picture of the rows of a table; empty for no rows or too many."""
    if not 0 < len(marks) <= MAX_ROWS:
        return ()
    names = (f"{mark.section}: {mark.label}" if mark.section else mark.label for mark in marks)
    row_texts = (f"{units.duration(mark.time_ns)}{', ' * bool(mark.text)}{mark.text}" for mark in marks)
    rows = "; ".join(map(" ".join, zip(names, row_texts, strict=True)))
    with_ratios = any(mark.text for mark in marks)
    alt = f"Time of a call on a logarithmic axis{', and its ratio to the baseline' * with_ratios}. {rows}."
    draw = partial(plots.dot_plot, marks, ratio_title=ratio_title * with_ratios)
    return (Drawing(stem, alt, draw, caption),)


def spread(medians: list[float], most: int = MAX_DOTS) -> tuple[float, ...]:
    """Return all medians, or ``most`` of them: the fastest, the slowest, and evenly between by rank."""
    if len(medians) <= most:
        return tuple(medians)
    ranked, last_rank = sorted(medians), len(medians) - 1
    return tuple(ranked[round(n * last_rank / (most - 1))] for n in range(most))


def place(arm: Arm) -> str:
    """Return where an arm computes, and for an accelerator also its baseline."""
    against = "" if arm.device == "cpu" else f", against {BASELINE} on the CPU, {words.threads(arm)}"
    return words.place(arm) + against


def name(row: Row) -> str:
    """Return the variant; an A/A control is named as such."""
    return f"{row.arm.variant} (A/A control)" if row.arm.twin else words.variant(row.arm)


def is_baseline(row: Row) -> bool:
    """Return whether the other rows of the table are compared with this row."""
    return row.comparison is None and row.arm.spec == BASELINE


def ratio_text(pair: Comparison) -> str:
    """Return ratio and interval: "3.65 [3.60, 3.70]"."""
    return units.with_interval(pair.ratio, pair.low, pair.high)


def reason_for(facts: Facts, pair: Comparison) -> str:
    """Return the reason for the verdict; empty if the page gives that reason once for the whole run."""
    no_verdicts = pair.verdict == "NONE" and not facts.run.plan.verdicts
    return "" if no_verdicts or pair.reason == facts.summary.control.failure else pair.reason


def tone(pair: Comparison) -> str:
    """Return the tone of a verdict; a known wrong gradient is never shown as a winner."""
    if pair.verdict in ("INVALID", "MISSING"):
        return "trouble"
    if pair.known_wrong or pair.baseline_known_wrong or pair.twin:
        return "calm"
    return {"FASTER": "good", "SLOWER": "bad"}.get(pair.verdict, "calm")


def variant_cell(arm: Arm, note: str = "") -> Cell:
    """Return a cell with the variant in the colour of its library."""
    return Cell(words.variant(arm), note, library=arm.library)


def time_cell(row: Row) -> Cell:
    """Return a cell with the time of a call and its interval."""
    has_limits = row.low_ns is not None and row.high_ns is not None
    limits = f"{units.duration(row.low_ns)} to {units.duration(row.high_ns)}" * has_limits
    return Cell.of(row.median_ns, units.duration, limits)


def verdict_cell(facts: Facts, pair: Comparison) -> Cell:
    """Return a cell with a verdict and its reason."""
    return Cell(words.verdict(pair), reason_for(facts, pair), tone=tone(pair))


def _ratio_cell(pair: Comparison) -> Cell:
    return Cell.of(pair.ratio, units.ratio, units.interval(pair.low, pair.high))


def _remarks(row: Row) -> str:
    remarks = ["baseline"] * is_baseline(row) + ["A/A control"] * row.arm.twin
    return ", ".join(remarks + ["known wrong gradient"] * row.arm.known_wrong)


def _row_verdict(facts: Facts, row: Row) -> Cell:
    """Return the verdict of a row, or why the row has no time."""
    pair = row.comparison
    if row.median_ns is None:
        return Cell(row.outcome.status.replace("_", " "), row.outcome.reason, tone="trouble")
    if pair is None:
        return Cell("", row.outcome.reason)
    if pair.twin and pair.low is not None and pair.high is not None and pair.low <= 1 <= pair.high:
        return Cell("", "its interval holds 1, as it should")
    cell = verdict_cell(facts, pair)
    if row.arm.known_wrong and pair.verdict == "FASTER":
        return replace(cell, note="no winner: known wrong gradient", tone="calm")
    return replace(cell, note=cell.note or row.outcome.reason)


def _proof_detail(row: Row) -> str:
    """Return the largest error of the proof and the tolerance."""
    worst, worst_known = row.outcome.worst(), row.outcome.worst(known_wrong=True)
    if row.outcome.proof == "known wrong" and worst_known is not None:
        return f"{worst_known.what} off by {units.percent(worst_known.error)}"
    if worst is None or not worst.tolerance:
        return "" if worst is None or worst.passed else f"not so: {worst.what}"
    error, allowed = units.error(worst.error), units.error(worst.tolerance)
    return f"{worst.what}: {error} {'≤' if worst.passed else '>'} {allowed}"
