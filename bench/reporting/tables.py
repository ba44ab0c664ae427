"""The tables of a run as text: every number formatted, every mark in words."""

from collections.abc import Mapping
from dataclasses import dataclass

from bench.analysis.outcome import Outcome
from bench.analysis.summary import Row, Table
from bench.analysis.verdict import Comparison, Kind
from bench.machine import units, wording
from bench.records.record import Arm
from bench.reporting import words
from bench.reporting.facts import Facts
from bench.reporting.plots import Mark
from bench.workload.catalog import BASELINE

HEADLINES: dict[Kind, str] = {
    "as_written": "as usually written",
    "best": "fastest form of each",
    "compiled": "compiled",
    "claim": "the tutorial's claim",
}
MOST_DOTS = 50  # a row: more blocks than that make a smear


@dataclass(frozen=True, slots=True)
class Line:
    """One entry as the reader sees it."""

    variant: str
    library: str  # numpy or torch: its colour
    marks: tuple[str, ...]  # baseline, twin, known wrong gradient
    place: str  # device and threads in words
    time: str
    range: str  # interval of the time
    samples: str  # a second
    ratio: str
    interval: str
    verdict: str
    tone: str  # good, bad, calm or trouble; for the eye only, since the verdict says it too
    reason: str
    proof: str
    proof_detail: str
    left_out: bool  # for the time budget
    median_ns: float | None  # what the texts above say, for sorting
    quotient: float | None
    rate: float | None


@dataclass(frozen=True, slots=True)
class Headline:
    """A declared comparison as the reader sees it."""

    kind: Kind
    what: str
    where: str
    entry: str
    entry_time: str
    baseline: str
    baseline_time: str
    ratio: str
    interval: str
    t_interval: str
    verdict: str
    tone: str
    reason: str
    quotient: float | None  # the ratio, for sorting
    left_out: bool  # for the time budget


def ordered(table: Table) -> list[Row]:
    """The rows of a table by place, in the order of the plan, and there the fastest first."""
    order = {where: n for n, where in enumerate(dict.fromkeys(place(row.arm) for row in table.rows))}
    return sorted(table.rows, key=lambda row: (order[place(row.arm)], row.median_ns or float("inf")))


def lines(facts: Facts, table: Table) -> list[Line]:
    """All rows of a table."""
    return [_line(facts, row) for row in ordered(table)]


def title(table: Table) -> str:
    """The work by name: "Training step, positional input"."""
    task = wording.capital(words.TASKS[table.case.task])
    if table.kind == "compiled":
        return f"{task}, {table.case.layout} input, compiled"
    return f"{task}, random data" if table.case.data == "random" else f"{task}, {table.case.layout} input"


def setting(table: Table) -> str:
    """What all rows of a table share."""
    return f"{words.shape(table.case)}, {table.case.dtype}, {table.case.activation}"


def marks(table: Table, found: Mapping[str, Outcome]) -> list[Mark]:
    """The measured rows for the dot plot."""
    made = []
    for row in ordered(table):
        if row.median_ns is None:
            continue
        made.append(
            Mark(
                label=name(row),
                library=row.arm.library,
                section=place(row.arm),
                time_ns=row.median_ns,
                low_ns=row.low_ns,
                high_ns=row.high_ns,
                blocks_ns=spread(list(found[row.entry].medians.values())),
                text=ratio_text(row),
                hollow=row.arm.known_wrong,
                baseline=is_baseline(row),
            )
        )
    return made


def spread(medians: list[float], most: int = MOST_DOTS) -> tuple[float, ...]:
    """All of them, or so many that stand for all: the fastest, the slowest and evenly between by rank."""
    if len(medians) <= most:
        return tuple(medians)
    ranked, last = sorted(medians), len(medians) - 1
    return tuple(ranked[round(n * last / (most - 1))] for n in range(most))


def place(arm: Arm) -> str:
    """Where an arm computes, and for an accelerator what it is compared with."""
    against = "" if arm.device == "cpu" else f", against {BASELINE} on the CPU, {words.threads(arm)}"
    return words.place(arm) + against


def headlines(facts: Facts) -> list[Headline]:
    """Every comparison that was declared before it was measured, without the twins."""
    made = []
    for one in facts.summary.headlines:
        entry, baseline = facts.rows[one.entry], facts.rows[one.baseline]
        task, layout = words.TASKS[entry.case.task], entry.case.layout
        work = f"{task}, random data" if entry.case.data == "random" else f"{task}, {layout} input"
        places = words.places(baseline.arm, entry.arm)
        where = f"{work}, {entry.case.shape}, {entry.case.dtype}; {places}"
        made.append(
            Headline(
                kind=one.kind,
                what=HEADLINES[one.kind],
                where=f"different work; {places}" if not one.same_work else where,
                entry=name(entry),
                entry_time=units.duration(entry.median_ns),
                baseline=name(baseline),
                baseline_time=units.duration(baseline.median_ns),
                ratio=units.NOTHING if one.ratio is None else units.ratio(one.ratio),
                interval=units.interval(one.low, one.high),
                t_interval=units.interval(one.t_low, one.t_high),
                verdict=verdict(one),
                tone=tone(one),
                reason=reason_for(facts, one),
                quotient=one.ratio,
                left_out=one.left_out,
            )
        )
    return made


def name(row: Row) -> str:
    """The variant, told from its twin, the A/A control."""
    return f"{row.arm.variant} (A/A control)" if row.arm.twin else words.variant(row.arm)


def is_baseline(row: Row) -> bool:
    """Whether other rows of its table are compared with it."""
    return row.comparison is None and row.arm.spec == BASELINE


def ratio_text(row: Row) -> str:
    """Ratio and interval beside a dot."""
    if (made := row.comparison) is None:
        return "baseline" if is_baseline(row) else ""
    return units.with_interval(made.ratio, made.low, made.high)


def verdict(made: Comparison) -> str:
    """The verdict's word; none where none was given."""
    return "no verdict" if made.verdict == "NONE" else made.verdict


def reason_for(facts: Facts, made: Comparison) -> str:
    """Why it has this verdict; empty where the same is said once for the whole run."""
    said = made.verdict == "NONE" and not facts.summary.verdicts
    return "" if said or made.reason == facts.summary.control else made.reason


def tone(made: Comparison) -> str:
    """How a verdict looks. What is known to be wrong is never shown as a winner."""
    if made.verdict in ("INVALID", "MISSING"):
        return "trouble"
    if made.known_wrong or made.baseline_known_wrong or made.twin:
        return "calm"
    return {"FASTER": "good", "SLOWER": "bad"}.get(made.verdict, "calm")


def proof_detail(row: Row) -> str:
    """The largest error that the proof met, for what was allowed."""
    if row.proof == "known wrong" and row.known_wrong is not None:
        return f"{row.known_wrong.what} off by {units.percent(row.known_wrong.error)}"
    if row.worst is None or not row.worst.tolerance:
        return "" if row.worst is None or row.worst.passed else f"not so: {row.worst.what}"
    error, allowed = units.error(row.worst.error), units.error(row.worst.tolerance)
    return f"{row.worst.what}: {error} {'≤' if row.worst.passed else '>'} {allowed}"


def _line(facts: Facts, row: Row) -> Line:
    made = row.comparison
    label = ["baseline"] if is_baseline(row) else ["A/A control"] if made and made.twin else []
    if row.arm.known_wrong:
        label.append("known wrong gradient")
    reason = row.reason if made is None else reason_for(facts, made) or row.reason
    word, look = ("", "calm") if made is None else (verdict(made), tone(made))
    if row.median_ns is None:
        word, look, reason = row.status.replace("_", " "), "trouble", row.reason
    elif made is not None and made.twin and made.low is not None and made.high is not None:
        if made.low <= 1 <= made.high:  # a twin is there to show nothing
            word, reason = "", "its interval holds 1, as it should"
    elif row.arm.known_wrong and word == "FASTER":
        look, reason = "calm", "no winner: known wrong gradient"
    limits = row.low_ns is not None and row.high_ns is not None
    return Line(
        variant=row.arm.variant,
        library=row.arm.library,
        marks=tuple(label),
        place=place(row.arm),
        time=units.duration(row.median_ns),
        range=f"{units.duration(row.low_ns)} to {units.duration(row.high_ns)}" if limits else "",
        samples=units.rate(row.samples_per_second),
        ratio=units.NOTHING if made is None or made.ratio is None else units.ratio(made.ratio),
        interval="" if made is None else units.interval(made.low, made.high),
        verdict=word,
        tone=look,
        reason=reason,
        proof=row.proof,
        proof_detail=proof_detail(row),
        left_out=row.status == "dropped",
        median_ns=row.median_ns,
        quotient=None if made is None else made.ratio,
        rate=row.samples_per_second,
    )
