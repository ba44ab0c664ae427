"""The ladder: the tutorial's claim taken apart, one change at a time, each with what it is worth."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.ladder import Factor, Ladder, Step, Timed, ladder
from bench.analysis.outcome import Outcome
from bench.machine import units, wording
from bench.reporting import plots, words
from bench.reporting.facts import Facts
from bench.reporting.plots import OTHER, SOFT
from bench.reporting.section import Cell, Drawing, Section, TextTable, numbers, texts

TITLE = "Where does the factor between the tutorial's two programs come from?"
COLUMNS = (*texts("Variant", "What changed"), *numbers("Time a call", "Factor"))
CAPTION = (
    "Each bar leads from the time of the program before to its own: equal lengths are equal factors, to the "
    "left is faster. Grey is the whole way, below it what lies beside; hollow is known to be wrong."
)
ROW_INCHES, BRANCHES_GAP = 0.46, 0.5  # of a row; rows before the branches
WAY, BRANCH = 0.55, 0.25  # how strong a bar is
VARIANT_AT = 0.86  # where the name above a bar ends, before the factor, in widths of the axes
TEXT_ROWS = 0.37  # how far above it they stand
ON_LINES: Any = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.5}


def ladder_section(facts: Facts, found: dict[str, Outcome], prefix: str) -> Section | None:
    """Return the ladder of a run; None where it has none, or measured too little of it."""
    steps = ladder(facts.run, found)
    if steps is None:
        return None
    first, last = steps.first, steps.way[-1].rung
    alt = (
        f"From {_name(first)}, {facts.time(first.entry.id)} a call, to {_name(last)}, "
        f"{facts.time(last.entry.id)}: a bar a change on a logarithmic axis; the table has the numbers."
    )
    draw = partial(waterfall, steps)
    return Section(
        id="ladder",
        title=TITLE,
        lead=tuple(_lead(facts, steps)),
        drawings=(Drawing(f"{prefix}ladder", alt, draw, CAPTION, partial(draw, narrow=True)),),
        tables=(_table(facts, steps),),
        notes=tuple(_notes(facts, steps, found)),
    )


def times(factor: float) -> str:
    """Return what a change did to the speed: × 3.80, or ÷ 1.90."""
    return f"× {units.ratio(factor)}" if factor >= 1 else f"÷ {units.ratio(1 / factor)}"


def limits(factor: Factor) -> str:
    """Return the interval of what ``times`` says."""
    if factor.low is None or factor.high is None:
        return ""
    ends = (factor.low, factor.high) if factor.value >= 1 else (1 / factor.high, 1 / factor.low)
    return units.interval(*ends)


def _lead(facts: Facts, steps: Ladder) -> Iterator[str]:
    """Say how far the programs lie apart; where that is decided, which change carries most, and who is ahead
    at equal work."""
    decided = words.is_decided(facts.summary.headline("claim"))
    ends = f"{_name(steps.first)} and {_name(steps.way[-1].rung)}"
    who = (
        f"The tutorial's two programs, {ends},"
        if steps.complete
        else f"Of the way between the tutorial's two programs only a part was measured: {ends}"
    )
    slower = ", the second being the slower one" * (steps.whole.value < 1)
    yield f"{who} {'are' if decided else 'measured'} {_apart(steps.whole)} apart{slower}."
    if not decided:
        yield "That is undecided: the run gives no verdict on it."
        return
    if len(steps.way) > 1:
        yield f"The change that carries most is “{steps.largest.change}”: {_apart(steps.largest.factor)}."
    yield from (_equal_work(step) for step in steps.way if step.library_alone)


def _equal_work(step: Step) -> str:
    """Say what one library is worth against the other where both do the same."""
    own, other = words.names(step.rung.arm, step.above.arm)
    where = f"At equal work, from {_name(step.above)} to {_name(step.rung)}"
    if step.factor.low is not None and not step.factor.sign:
        return f"{where}, neither is measurably ahead: {times(step.factor.value)} {limits(step.factor)}."
    ahead, behind = (own, other) if step.factor.value >= 1 else (other, own)
    return f"{where}, {ahead} measured {_apart(step.factor, 'times faster')} than {behind}."


def _apart(factor: Factor, unit: str = "times") -> str:
    """Return "231 times [228, 235]": the slower side's time over the faster one's."""
    return f"{units.ratio(max(factor.value, 1 / factor.value))} {unit} {limits(factor)}".rstrip()


def _name(rung: Timed) -> str:
    return words.variant(rung.arm)


def _table(facts: Facts, steps: Ladder) -> TextTable:
    rows = [_row(facts, steps.first, steps.start)]
    rows += [_row(facts, step.rung, step.change, step.factor) for step in steps.way]
    rows += [
        _row(facts, step.rung, step.change, step.factor, f"beside the way, from {_origin(step)}")
        for step in steps.branches
    ]
    return TextTable("Each program, and what it brought over the one before", COLUMNS, tuple(rows))


def _row(
    facts: Facts, rung: Timed, change: str, factor: Factor | None = None, beside: str = ""
) -> tuple[Cell, ...]:
    case, timed = rung.entry.case, facts.rows[rung.entry.id]
    limited = timed.low_ns is not None
    span = f"{units.duration(timed.low_ns)} to {units.duration(timed.high_ns)}" if limited else ""
    setting = f"{case.dtype}, {case.activation}, {case.layout} input; {words.place(rung.arm)}"
    return (
        Cell(_name(rung), setting, library=rung.arm.library),
        Cell(change, beside),
        Cell(units.duration(timed.median_ns), span, timed.median_ns),
        Cell(times(factor.value), limits(factor), factor.value) if factor else Cell(units.NOTHING),
    )


def _origin(step: Step) -> str:
    """Return where a branch begins: the variant there, or its place where that alone is different."""
    own, above = step.rung.arm, step.above.arm
    return words.variant(above) if own.variant != above.variant else words.place(above)


def _notes(facts: Facts, steps: Ladder, found: Mapping[str, Outcome]) -> Iterator[str]:
    whole, claim = steps.whole, facts.summary.headline("claim")
    declared = ""
    if steps.complete and claim is not None and claim.ratio is not None:
        own, other = (units.ratio(max(x, 1 / x)) for x in (whole.value, claim.ratio))
        declared = f" So it is {own} here and {other} in the declared comparison." if own != other else ""
    yield (
        "× made it faster, ÷ slower. Factors are geometric means over the "
        f"{wording.count(whole.blocks, 'block')} that hold every rung, with Student's 95 % interval: they "
        f"multiply to the whole, as no other estimate here does.{declared} Single steps carry no verdict."
    )
    if steps.left_out:
        why = [f"{entry} ({found[entry].reason or 'no block in common'})" for entry in steps.left_out]
        yield f"Left out, what changes there joining what changes next: {wording.listing(why, 12)}."


@plots.style()
def waterfall(steps: Ladder, *, narrow: bool = False) -> Figure:
    """Draw the way from top to bottom, the whole of it in one grey bar, then the branches, lighter.

    A ``narrow`` figure names no variants.
    """
    start = Step(steps.first, steps.first, steps.start, Factor(1.0, None, None, 0))
    whole = Step(steps.way[-1].rung, steps.first, "all of it", steps.whole)
    rows = [(float(y), step, WAY) for y, step in enumerate((start, *steps.way, whole))]
    rows += [(len(rows) + BRANCHES_GAP + n, step, BRANCH) for n, step in enumerate(steps.branches)]
    last = rows[-1][0]
    figure, axes = plots.plain_axes(ROW_INCHES * (last + 1.2), narrow=narrow)
    axes.set(ylim=(last + 0.5, -0.7), yticks=[])
    every = [(step.above.time_ns, step.rung.time_ns, *_limits_ns(step)) for _, step, _ in rows]
    plots.log_axis(axes, [time_ns for times_ns in every for time_ns in times_ns])
    for place, step in enumerate(steps.way):
        how: Any = {"color": SOFT, "linewidth": 0.8, "linestyle": (0, (2, 2)), "zorder": 2}
        axes.plot([step.above.time_ns] * 2, [place, place + 1], **how)
    for y, step, strength in rows:
        arm = step.rung.arm
        colour = OTHER if step is whole else plots.colour_of(arm.library)
        _bar(axes, y, step, colour, strength, hollow=arm.known_wrong and step is not whole)
        factor = "" if step is start else times(step.factor.value)
        how = {"fontsize": 8.5, "bbox": ON_LINES}
        plots.beside(axes, 0, y - TEXT_ROWS, step.change, **how)
        plots.beside(axes, 1, y - TEXT_ROWS, factor, ha="right", **how)
        if step is not whole and not narrow:
            right = VARIANT_AT if factor else 1
            plots.beside(axes, right, y - TEXT_ROWS, arm.variant, ha="right", color=colour, **how)
    return figure


def _bar(axes: Axes, y: float, step: Step, colour: str, strength: float, *, hollow: bool) -> None:
    """Draw a bar from the time above to its own, where a dot stands, and the interval of that."""
    body: Any = {"color": colour, "alpha": strength, "linewidth": 8, "solid_capstyle": "butt", "zorder": 3}
    dot: Any = {"color": colour, "markersize": 6, "markeredgewidth": 1.4, "zorder": 6}
    axes.plot([step.above.time_ns, step.rung.time_ns], [y, y], **body)
    axes.plot(_limits_ns(step), [y] * len(_limits_ns(step)), **plots.WHISKER)
    axes.plot([step.rung.time_ns], [y], "o", markerfacecolor="white" if hollow else colour, **dot)


def _limits_ns(step: Step) -> list[float]:
    """Return where the interval of the factor puts the time, seen from the time above; empty without one."""
    factor = step.factor
    limited = factor.low is not None and factor.high is not None
    return [step.above.time_ns / limit for limit in (factor.high, factor.low) if limit] if limited else []
