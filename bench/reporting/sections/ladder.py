"""The ladder: the tutorial's claim taken apart, one change at a time, each with what it is worth."""

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

from matplotlib.figure import Figure

from bench.analysis.ladder import Ladder, Step, ladder
from bench.analysis.statistics import Interval
from bench.machine import units, wording
from bench.reporting import plots, tables, words
from bench.reporting.facts import Facts
from bench.reporting.plots import OTHER
from bench.reporting.section import Cell, Drawing, Fields, Section, TextTable, text_table

TITLE = "Where does the factor between the tutorial's two programs come from?"
CAPTION = (
    "Each bar leads from the time of the program before to its own: equal lengths are equal factors, to the "
    "left is faster. Grey is the whole way, below it what lies beside; hollow is known to be wrong."
)
ROW_INCHES, BRANCHES_GAP = 0.46, 0.5  # of a row; rows before the branches
WAY, BRANCH = 0.55, 0.25  # how strong a bar is
VARIANT_AT = 0.86  # where the name above a bar ends, before the factor, in widths of the axes
TEXT_ROWS = 0.37  # how far above it they stand
ON_LINES: Any = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.5}


def ladder_section(facts: Facts, prefix: str) -> Section | None:
    """Return the ladder of a run; None where it has none, or measured too little of it."""
    steps = ladder(facts.summary)
    if steps is None:
        return None
    first, last = (
        f"{words.variant(rung.arm)}, {facts.time(rung.entry.id)} a call"
        for rung in (steps.whole.above, steps.whole.rung)
    )
    alt = f"From {first}, to {last}: a bar a change on a logarithmic axis; the table has the numbers."
    return Section(
        id="ladder",
        title=TITLE,
        lead=tuple(_lead(facts, steps)),
        drawings=(Drawing(f"{prefix}ladder", alt, partial(waterfall, steps), CAPTION),),
        tables=(_table(facts, steps),),
        notes=tuple(_notes(facts, steps)),
    )


def times(factor: Interval) -> str:
    """Return what a change did to the speed: × 3.80, or ÷ 1.90."""
    value, *_ = _turned(factor)
    return f"{'×' if factor.estimate >= 1 else '÷'} {units.ratio(value)}"


def limits(factor: Interval) -> str:
    """Return the interval of what ``times`` says."""
    _, *ends = _turned(factor)
    return units.interval(*ends)


def _turned(factor: Interval) -> tuple[float, float | None, float | None]:
    return units.above_1(factor.estimate, *factor.limits)


def _lead(facts: Facts, steps: Ladder) -> Iterator[str]:
    """Say how far the programs lie apart; where that is decided, which change carries most, and who is ahead
    at equal work."""
    decided = words.is_decided(facts.summary.headline("claim"))
    ends = f"{words.variant(steps.whole.above.arm)} and {words.variant(steps.whole.rung.arm)}"
    who = (
        f"The tutorial's two programs, {ends},"
        if steps.complete
        else f"Of the way between the tutorial's two programs only a part was measured: {ends}"
    )
    slower = ", the second being the slower one" * (steps.whole.factor.estimate < 1)
    yield f"{who} {'are' if decided else 'measured'} {_apart(steps.whole.factor)} apart{slower}."
    if not decided:
        yield "That is undecided: the run gives no verdict on it."
        return
    if len(steps.way) > 1:
        yield f"The change that carries most is “{steps.largest.change}”: {_apart(steps.largest.factor)}."
    yield from (_equal_work(step) for step in steps.way if step.library_alone)


def _equal_work(step: Step) -> str:
    """Say what one library is worth against the other where both do the same."""
    where = f"At equal work, from {words.variant(step.above.arm)} to {words.variant(step.rung.arm)}"
    if step.factor.finite and step.factor.contains(1):
        return f"{where}, neither is measurably ahead: {times(step.factor)} {limits(step.factor)}."
    own, other = words.names(step.rung.arm, step.above.arm)
    ahead, behind = (own, other) if step.factor.estimate >= 1 else (other, own)
    return f"{where}, {ahead} measured {_apart(step.factor, 'times faster')} than {behind}."


def _apart(factor: Interval, unit: str = "times") -> str:
    """Return "231 times [228, 235]": the slower side's time over the faster one's."""
    value, *_ = _turned(factor)
    return f"{units.ratio(value)} {unit} {limits(factor)}".rstrip()


def _table(facts: Facts, steps: Ladder) -> TextTable:
    """Return a row a program: those on the way, then those beside it."""

    def program(step: Step) -> Cell:
        case, arm = step.rung.entry.case, step.rung.arm
        setting = f"{case.dtype}, {case.activation}, {case.layout} input; {words.place(arm)}"
        return tables.variant_cell(arm, setting)

    def beside(step: Step) -> str:
        return f"beside the way, from {_origin(step)}" if step in steps.branches else ""

    fields: Fields[Step] = {
        "Variant": program,
        "What changed": lambda step: Cell(step.change, beside(step)),
        "Time a call": lambda step: tables.time_cell(facts.rows[step.rung.entry.id]),
        "Factor": lambda step: (
            Cell(times(step.factor), limits(step.factor), step.factor.estimate)
            if step.rung is not step.above
            else Cell(units.NOTHING)
        ),
    }
    rows = (_start(steps), *steps.way, *steps.branches)
    return text_table("Each program, and what it brought over the one before", fields, rows)


def _start(steps: Ladder) -> Step:
    """Return the first program as a step from itself."""
    return Step(steps.whole.above, steps.whole.above, steps.start, Interval(1.0, -math.inf, math.inf, 1.0), 0)


def _origin(step: Step) -> str:
    """Return where a branch begins: the variant there, or its place where that alone is different."""
    own, above = step.rung.arm, step.above.arm
    return words.variant(above) if own.variant != above.variant else words.place(above)


def _notes(facts: Facts, steps: Ladder) -> Iterator[str]:
    claim, declared = facts.summary.headline("claim"), ""
    if steps.complete and claim is not None and claim.ratio is not None:
        own, other = (units.ratio(max(x, 1 / x)) for x in (steps.whole.factor.estimate, claim.ratio))
        declared = f" So it is {own} here and {other} in the declared comparison." if own != other else ""
    blocks = wording.count(steps.whole.blocks, "block")
    yield (
        f"× made it faster, ÷ slower. Factors are geometric means over the {blocks} that hold every rung, "
        "with Student's 95 % interval: they multiply to the whole, as no other estimate here does."
        f"{declared} Single steps carry no verdict."
    )
    if steps.left_out:
        outcomes = facts.summary.outcomes
        why = [f"{entry} ({outcomes[entry].reason or 'no block in common'})" for entry in steps.left_out]
        yield f"Left out, what changes there joining what changes next: {wording.listing(why, 12)}."


@plots.style()
def waterfall(steps: Ladder, *, narrow: bool = False) -> Figure:
    """Draw the way from top to bottom, the whole of it in one grey bar, then the branches, lighter.

    A ``narrow`` figure names no variants.
    """
    start, whole = _start(steps), steps.whole
    rows = [(float(y), step, WAY) for y, step in enumerate((start, *steps.way, whole))]
    rows += [(len(rows) + BRANCHES_GAP + n, step, BRANCH) for n, step in enumerate(steps.branches)]
    last, _, _ = rows[-1]
    figure, axes = plots.new_axes(ROW_INCHES * (last + 1.2), narrow=narrow)
    axes.set(ylim=(last + 0.5, -0.7), yticks=[])
    every = [(step.above.time_ns, step.rung.time_ns, *_limits_ns(step)) for _, step, _ in rows]
    plots.log_axis(axes, [time_ns for times_ns in every for time_ns in times_ns])
    for place, step in enumerate(steps.way):
        axes.plot([step.above.time_ns] * 2, [place, place + 1], **plots.GUIDE)
    text: Any = {"fontsize": plots.NOTE, "bbox": ON_LINES}
    for y, step, strength in rows:
        arm, own_ns = step.rung.arm, step.rung.time_ns
        colour = OTHER if step is whole else plots.colour_of(arm.library)
        face = "white" if arm.known_wrong and step is not whole else colour
        axes.plot([step.above.time_ns, own_ns], [y, y], **plots.band(colour, 8, strength))
        axes.plot(_limits_ns(step), [y] * len(_limits_ns(step)), **plots.WHISKER)
        axes.plot([own_ns], [y], color=colour, markerfacecolor=face, **plots.DOT)
        factor = "" if step is start else times(step.factor)
        plots.beside(axes, 0, y - TEXT_ROWS, step.change, **text)
        plots.beside(axes, 1, y - TEXT_ROWS, factor, ha="right", **text)
        if step is not whole and not narrow:
            right = VARIANT_AT if factor else 1
            plots.beside(axes, right, y - TEXT_ROWS, arm.variant, ha="right", color=colour, **text)
    return figure


def _limits_ns(step: Step) -> list[float]:
    """Return where the interval of the factor puts the time, seen from the time above; empty without one."""
    return [step.above.time_ns / limit for limit in reversed(step.factor.limits) if limit]
