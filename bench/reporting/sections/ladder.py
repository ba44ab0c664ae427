"""Build the ladder section: the tutorial's claim split into single changes, each with its factor."""

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
OTHER_TITLE = "What does each change bring, from one sample at a time to modules?"
CAPTION = (
    "Each bar leads from the time of the program before to its own: equal lengths are equal factors, to the "
    "left is faster. Grey is the whole way, below it what lies beside; hollow is known to be wrong."
)
ROW_INCHES, BRANCHES_GAP = 0.46, 0.5  # height of a row; gap before the branches, in rows
WAY, BRANCH = 0.55, 0.25  # opacity of a bar
VARIANT_AT = 0.86  # where the variant's name above a bar ends, in widths of the axes
TEXT_OFFSET = 0.37  # from a bar up to its text, in rows
TEXT_BOX: Any = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.5}


def ladder_section(facts: Facts, prefix: str) -> Section | None:
    """Return the section on the ladder; None without a ladder, or if too few rungs were measured."""
    steps = ladder(facts.summary)
    if steps is None:
        return None
    start, end = (
        f"{words.variant(rung.arm)}, {facts.time(rung.entry.id)} a call"
        for rung in (steps.whole.above, steps.whole.rung)
    )
    alt = f"From {start}, to {end}: a bar a change on a logarithmic axis; the table has the numbers."
    return Section(
        id="ladder",
        title=TITLE if facts.summary.headline("claim") else OTHER_TITLE,
        lead=tuple(_lead(facts, steps)),
        drawings=(Drawing(f"{prefix}ladder", alt, partial(waterfall, steps), CAPTION),),
        tables=(_table(facts, steps),),
        notes=tuple(_notes(facts, steps)),
    )


def times(factor: Interval) -> str:
    """Return the factor by which a change multiplied or divided the speed: × 3.80, or ÷ 1.90."""
    value, *_ = _above_1(factor)
    return f"{'×' if factor.estimate >= 1 else '÷'} {units.ratio(value)}"


def limits(factor: Interval) -> str:
    """Return the interval of the factor that ``times`` returns."""
    _, *bounds = _above_1(factor)
    return units.interval(*bounds)


def _above_1(factor: Interval) -> tuple[float, float | None, float | None]:
    return units.above_1(factor.estimate, *factor.limits)


def _lead(facts: Facts, steps: Ladder) -> Iterator[str]:
    """Yield how far apart the programs are; with a verdict, the largest change and the lead at equal work."""
    claim = facts.summary.headline("claim")
    decided = words.is_decided(claim)
    end_names = f"{words.variant(steps.whole.above.arm)} and {words.variant(steps.whole.rung.arm)}"
    ends, way = "The tutorial's two programs", "the way between the tutorial's two programs"
    if claim is None:  # of another cell, or with biases
        ends, way = "The two ends of the ladder", "the ladder"
    subject = f"{ends}, {end_names}," if steps.complete else f"Of {way} only a part was measured: {end_names}"
    slower = ", the second being the slower one" * (steps.whole.factor.estimate < 1)
    yield f"{subject} {'are' if decided else 'measured'} {_apart(steps.whole.factor)} apart{slower}."
    if claim is not None and not decided:
        yield "That is undecided: the run gives no verdict on it."
        return
    if len(steps.way) > 1:
        carries = "The change that carries most is" if decided else "The largest change measured is"
        yield f"{carries} “{steps.largest.change}”: {_apart(steps.largest.factor)}."
    yield from (_equal_work(step) for step in steps.way if step.library_alone)


def _equal_work(step: Step) -> str:
    """Say how much faster one library is than the other if both do the same work."""
    opening = f"At equal work, from {words.variant(step.above.arm)} to {words.variant(step.rung.arm)}"
    if step.factor.finite and step.factor.contains(1):
        return f"{opening}, neither is measurably ahead: {times(step.factor)} {limits(step.factor)}."
    rung_name, above_name = words.names(step.rung.arm, step.above.arm)
    ahead, behind = (rung_name, above_name) if step.factor.estimate >= 1 else (above_name, rung_name)
    return f"{opening}, {ahead} measured {_apart(step.factor, 'times faster')} than {behind}."


def _apart(factor: Interval, unit: str = "times") -> str:
    """Return the slower side's time over the faster side's: "231 times [228, 235]"."""
    value, *_ = _above_1(factor)
    return f"{units.ratio(value)} {unit} {limits(factor)}".rstrip()


def _table(facts: Facts, steps: Ladder) -> TextTable:
    """Return a table with a row per program: the programs on the way, then the branches."""

    def program(step: Step) -> Cell:
        case, arm = step.rung.entry.case, step.rung.arm
        setting = f"{words.numbers(case)}, {case.layout} input; {words.place(arm)}"
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
    """Return where a branch begins: the variant there, or its place if only the place differs."""
    arm, above_arm = step.rung.arm, step.above.arm
    return words.variant(above_arm) if arm.variant != above_arm.variant else words.place(above_arm)


def _notes(facts: Facts, steps: Ladder) -> Iterator[str]:
    claim, declared = facts.summary.headline("claim"), ""
    if steps.complete and claim is not None and claim.ratio is not None:
        measured, claimed = (units.ratio(max(x, 1 / x)) for x in (steps.whole.factor.estimate, claim.ratio))
        declared = (
            f" So it is {measured} here and {claimed} in the declared comparison."
            if measured != claimed
            else ""
        )
    blocks = wording.count(steps.whole.blocks, "block")
    yield (
        f"× made it faster, ÷ slower. Factors are geometric means over the {blocks} that hold every rung, "
        "with Student's 95 % interval: they multiply to the whole, as no other estimate here does."
        f"{declared} Single steps carry no verdict."
    )
    if steps.left_out:
        outcomes = facts.summary.outcomes
        left_out = [f"{entry} ({outcomes[entry].reason or 'no block in common'})" for entry in steps.left_out]
        yield f"Left out, what changes there joining what changes next: {wording.listing(left_out, 12)}."


@plots.style()
def waterfall(steps: Ladder, *, narrow: bool = False) -> Figure:
    """Draw the way from top to bottom, then the whole way as one grey bar, then the branches, lighter.

    A ``narrow`` figure names no variants.
    """
    start, whole = _start(steps), steps.whole
    rows = [(float(y), step, WAY) for y, step in enumerate((start, *steps.way, whole))]
    rows += [(len(rows) + BRANCHES_GAP + n, step, BRANCH) for n, step in enumerate(steps.branches)]
    last_y, _, _ = rows[-1]
    figure, axes = plots.new_axes(ROW_INCHES * (last_y + 1.2), narrow=narrow)
    axes.set(ylim=(last_y + 0.5, -0.7), yticks=[])
    row_times = [(step.above.time_ns, step.rung.time_ns, *_limits_ns(step)) for _, step, _ in rows]
    plots.log_axis(axes, [time_ns for times_ns in row_times for time_ns in times_ns])
    for row, step in enumerate(steps.way):
        axes.plot([step.above.time_ns] * 2, [row, row + 1], **plots.GUIDE)
    text_style: Any = {"fontsize": plots.NOTE, "bbox": TEXT_BOX}
    for y, step, strength in rows:
        arm, time_ns = step.rung.arm, step.rung.time_ns
        colour = OTHER if step is whole else plots.colour_of(arm.library)
        face_colour = "white" if arm.known_wrong and step is not whole else colour
        axes.plot([step.above.time_ns, time_ns], [y, y], **plots.band(colour, 8, strength))
        axes.plot(_limits_ns(step), [y] * len(_limits_ns(step)), **plots.WHISKER)
        axes.plot([time_ns], [y], color=colour, markerfacecolor=face_colour, **plots.DOT)
        factor = "" if step is start else times(step.factor)
        plots.beside(axes, 0, y - TEXT_OFFSET, step.change, **text_style)
        plots.beside(axes, 1, y - TEXT_OFFSET, factor, ha="right", **text_style)
        if step is not whole and not narrow:
            name_end = VARIANT_AT if factor else 1
            plots.beside(axes, name_end, y - TEXT_OFFSET, arm.variant, ha="right", color=colour, **text_style)
    return figure


def _limits_ns(step: Step) -> list[float]:
    """Return the interval of the time: the time above over the limits of the factor; empty without limits."""
    return [step.above.time_ns / limit for limit in reversed(step.factor.limits) if limit]
