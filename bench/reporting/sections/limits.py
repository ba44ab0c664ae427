"""The section that says why: where the time of a call goes, and how far that is from the machine's limit."""

from collections.abc import Iterator
from functools import partial
from statistics import median

from bench.analysis.outcome import Outcome
from bench.analysis.time_split import KINDS, Limit, Limits, Part, limits
from bench.machine import units, wording
from bench.machine.wording import full_stop
from bench.reporting import answer, words
from bench.reporting.answer import Facts
from bench.reporting.section import Cell, Column, Drawing, Section, TextTable
from bench.reporting.sections.limits_plot import Segment, Stack, stacked
from bench.reporting.sections.limits_words import name, sentences, share
from bench.reporting.sections.speeds import speeds_table
from bench.workload.operations import Count

KEY = ("dispatch", "matrix products", "elementwise", "rest")  # as KINDS
WHY, WHERE = "Why is that so", "Where does the time go"  # with a verdict, and without
SLIGHT = 0.005  # an overlap that no bar would show
SHARES = (
    Column("Variant"),
    Column("Time a call", number=True),
    Column("Dispatch", number=True),
    Column("Matrix products", number=True),
    Column("Elementwise", number=True),
    Column("Autograd and rest", number=True),
)
BOUNDS = (
    Column("Variant"),
    Column("Time a call", number=True),
    Column("Operations", number=True),
    Column("Mflop", number=True),
    Column("MB", number=True),
    Column("Lower bound", number=True),
    Column("Efficiency", number=True),
)
CAPTION = (
    "Each bar is the time of a call, in its parts from left to right: dispatch in the strongest tint, the "
    "rest in the lightest. The thin line in a bar shows where the 95 % interval puts the end of dispatch, "
    "the mark above it the lower bound. Blue is NumPy, orange PyTorch."
)
NOTES = (
    "Dispatch is measured: the same calls on arrays of one number each. It is what Python, the library's "
    "way to each operation and autograd's book-keeping take at any size. Matrix products and elementwise "
    "work are what the counted operations cost beyond that, timed one by one at their own sizes with no RNN "
    "around them. The rest is what remains: autograd's work on arrays, copies, filling with zeros, data "
    "pushed out of a cache.",
    "Dispatch is as a rule more than the number of operations times a call that has nothing to do: a real "
    "call has arguments to look at and a result to make, autograd keeps its books, and Python runs between "
    "the calls.",
    "A share is the median over blocks, with its 95 % interval; those of a row add up to 100 % only nearly. "
    "The time below it is that share of the time of a call.",
    "The lower bound is what the products and activations that the mathematics needs would take at the best "
    "rates that the entry's own library showed here at any size, or a copy of all bytes that have to be "
    "read and written, whichever takes longer. Efficiency is the lower bound over the time.",
    "Operations, flops and bytes are counted by formulas (docs/limits.md), which the tests hold against "
    "what each variant really asks its library for. A tanh counts as one flop an element. Bytes are those "
    "of all operands and results; most of them never leave the caches.",
)


def limits_section(facts: Facts, found: dict[str, Outcome], prefix: str) -> Section | None:
    """Why; None where the run measured neither dispatch nor its libraries."""
    made = limits(facts.run, found)
    if made is None or not (made.entries or made.libraries):
        return None
    apart = [limit for limit in made.entries if limit.parts]
    draw = partial(stacked, tuple(map(_stack, apart)), KEY)
    return Section(
        id="limits",
        title=f"{WHY if _decided(facts) else WHERE}, and how fast could it be?",
        lead=tuple(_lead(facts, apart)),
        drawings=(Drawing(f"{prefix}limits", _alt(apart), draw, CAPTION),) if apart else (),
        tables=(*_tables(made), *speeds_table(made.libraries)),
        notes=(*_particular(made), *NOTES),
    )


def _lead(facts: Facts, apart: list[Limit]) -> list[str]:
    """About the two sides of the main comparison; the table's first entry where neither was taken apart."""
    by_entry = {limit.entry.id: limit for limit in apart}
    main = answer.main_comparison(facts)
    chosen = [by_entry[entry] for entry in (main.entry, main.baseline) if entry in by_entry] if main else []
    chosen = chosen or apart[:1]
    others = [limit for limit in apart if limit not in chosen]
    return sentences(chosen, others, explain=_decided(facts))


def _decided(facts: Facts) -> bool:
    """Whether the main comparison is: of what is not, nothing is the cause."""
    return words.is_decided(answer.main_comparison(facts))


def _tables(made: Limits) -> Iterator[TextTable]:
    """Two tables with a row an entry: all of it in one would be wider than a page."""
    if made.entries:
        yield TextTable("Where the time of a call goes", SHARES, tuple(map(_shares, made.entries)))
        yield TextTable("What a call consists of, and how fast that could be", BOUNDS,
                        tuple(map(_bounds, made.entries)))  # fmt: skip


def _shares(limit: Limit) -> tuple[Cell, ...]:
    parts = {part.kind: part for part in limit.parts}
    return (*_heads(limit), *(_part(limit, parts.get(kind)) for kind in KINDS))


def _bounds(limit: Limit) -> tuple[Cell, ...]:
    bound, bounds = limit.bound, [Cell(units.NOTHING)] * 2
    if bound is not None:
        bounds = [
            Cell(units.duration(bound.time_ns), f"by {bound.by}", bound.time_ns),
            Cell(share(bound.efficiency), value=bound.efficiency.value),
        ]
    return (*_heads(limit), *_amounts(limit.count), *bounds)


def _heads(limit: Limit) -> tuple[Cell, Cell]:
    """Who it is, and its time."""
    return (
        Cell(words.variant(limit.arm), words.place(limit.arm), library=limit.arm.library),
        Cell(units.duration(limit.time_ns), value=limit.time_ns),
    )


def _part(limit: Limit, part: Part | None) -> Cell:
    if part is None:
        return Cell(units.NOTHING)
    whole = "everything else, " if part.kind == "rest" and len(limit.parts) == 2 else ""
    return Cell(share(part.share), f"{whole}{units.duration(part.time_ns)}", part.share.value)


def _amounts(count: Count | None) -> list[Cell]:
    """Operations, millions of flops, megabytes."""
    if count is None:
        return [Cell(units.NOTHING)] * 3
    large = [Cell(units.number(amount / 1e6), value=amount / 1e6) for amount in (count.flops, count.bytes)]
    return [Cell(units.whole(count.calls), value=count.calls), *large]


def _stack(limit: Limit) -> Stack:
    first = limit.parts[0].share
    ends = None if first.low is None or first.high is None else (first.low, first.high)
    return Stack(
        label=words.variant(limit.arm) + (f" on {limit.arm.device}" if limit.arm.device != "cpu" else ""),
        library=limit.arm.library,
        segments=tuple(
            Segment(KINDS.index(part.kind), part.time_ns, units.percent(part.share.value))
            for part in limit.parts
        ),
        time_ns=limit.time_ns,
        ends_ns=(ends[0] * limit.time_ns, ends[1] * limit.time_ns) if ends else None,
        bound_ns=limit.bound.time_ns if limit.bound else None,
    )


def _alt(apart: list[Limit]) -> str:
    """The picture's numbers in words."""
    said = []
    for limit in apart:
        parts = [f"{name(limit, part)} {units.percent(part.share.value)}" for part in limit.parts]
        bound = f", lower bound {units.duration(limit.bound.time_ns)}" if limit.bound else ""
        said.append(f"{words.variant(limit.arm)} {units.duration(limit.time_ns)}: {', '.join(parts)}{bound}")
    return f"Time of a call in its parts, a bar a variant. {'; '.join(said)}."


def _particular(made: Limits) -> Iterator[str]:
    """What holds for this run alone: parts that overlap, entries without parts, probes that failed."""
    overlapping = [
        f"{words.variant(limit.arm)} in {len(limit.overlaps)} of {wording.count(limit.blocks, 'block')} "
        f"(in the median by {units.percent(median(limit.overlaps))})"
        for limit in made.entries
        if limit.overlaps and median(limit.overlaps) > SLIGHT
    ]
    if overlapping:
        yield (
            "Measured one by one, the parts add up to more than the whole: "
            f"{'; '.join(overlapping)}. Alone they were slower than among others; they are scaled."
        )
    if whole := [limit for limit in made.entries if not limit.parts]:
        names = [f"{words.variant(limit.arm)} ({words.place(limit.arm)})" for limit in whole]
        yield (
            f"Not taken apart: {wording.listing(names, 12)}. How many calls they make depends on the sizes, "
            "or the run did not measure them on arrays of one number."
        )
    for arm, reason, blocks in made.troubles:
        yield full_stop(f"{arm} did not time its library in {wording.count(len(blocks), 'block')}: {reason}")
