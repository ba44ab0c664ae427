"""The section on what it costs to start: from how many steps on a later start pays, and what is paid once."""

from collections.abc import Sequence
from functools import partial

from bench.analysis.breakeven import BreakEven, Cost, break_evens, costs
from bench.analysis.outcome import Outcome
from bench.machine import units
from bench.reporting import words
from bench.reporting.answer import Facts
from bench.reporting.section import Drawing, Section
from bench.reporting.sections.breakeven_plot import Crossing, Line, cost_plot
from bench.reporting.sections.breakeven_tables import cost_table, crossing_table
from bench.reporting.sections.breakeven_words import compared, is_headline, noun, sentence, steps

MOST_LINES = 9  # of the plot
CAPTION = (
    "The time from the start of a process until so many steps are done, on logarithmic axes. A line is flat "
    "as long as starting is most of it. A ring marks where a later start is made up for, its bar the 95 % "
    "interval. Blue is NumPy, orange PyTorch."
)
COLD = "that of a freshly bound task, and what a library set up at the very first call of its process"
WARM = (
    "that of a freshly bound task in a process that has proved the variant: what a library sets up once, at "
    "its very first call, is not in it"
)


def breakeven_section(facts: Facts, found: dict[str, Outcome], prefix: str) -> Section | None:
    """What starting costs; None where no pair was measured, and on a grid, whose first size is no answer."""
    if facts.is_grid:
        return None
    made = break_evens(facts.run, found, facts.summary)
    if not made:
        return None
    shown = _shown(facts, costs(facts.run, found), made)
    told = _important(made)
    lines, crossings = _lines(told), _crossings(told)
    draw = partial(cost_plot, lines, crossings, noun(made[0].one))
    return Section(
        id="breakeven",
        title="What does it cost to start?",
        lead=tuple(sentence(facts.run, one) for one in told),
        drawings=(Drawing(f"{prefix}breakeven", _alt(lines, told), draw, CAPTION),),
        tables=(crossing_table(facts.run, made), cost_table(shown)),
        notes=tuple(_notes(shown)),
    )


def _important(made: Sequence[BreakEven]) -> list[BreakEven]:
    """What is told and drawn: headlines of the first place and of accelerators, and what is no headline."""
    place = _place(made[0])
    return [
        one for one in made if _place(one) == place or one.other.arm.device != "cpu" or not is_headline(one)
    ]


def _place(made: BreakEven) -> tuple[str, int]:
    return made.other.arm.device, made.other.arm.threads


def _shown(facts: Facts, known: dict[str, Cost], made: Sequence[BreakEven]) -> list[Cost]:
    """The main table's arms, and those of the pairs that are not among them."""
    main = facts.run.plan.groups[0].name
    sides: dict[object, Cost] = {}
    for cost in known.values():
        if cost.entry.group == main and not cost.arm.twin:
            sides.setdefault(cost.work, cost)
    for side in _sides(made):
        sides.setdefault(side.work, side)
    return list(sides.values())


def _sides(made: Sequence[BreakEven]) -> list[Cost]:
    """The arms of all pairs, each once."""
    sides: dict[object, Cost] = {}
    for side in (side for one in made for side in (one.one, one.other)):
        sides.setdefault(side.work, side)
    return list(sides.values())


def _lines(made: Sequence[BreakEven]) -> list[Line]:
    return [
        Line(
            label=_label(side),
            library=side.arm.library,
            fixed_ns=side.typical(side.fixed_ns).estimate,
            step_ns=side.typical(side.step_ns).estimate,
        )
        for side in _sides(made)[:MOST_LINES]
    ]


def _label(side: Cost) -> str:
    """A variant, and where it is when that is not one thread of the CPU."""
    usual = side.arm.device == "cpu" and side.arm.threads == 1
    return words.variant(side.arm) + ("" if usual else f", {words.place(side.arm)}")


def _crossings(made: Sequence[BreakEven]) -> list[Crossing]:
    """Where lines of the plot cross, each once."""
    drawn = {side.work for side in _sides(made)[:MOST_LINES]}
    found: dict[object, Crossing] = {}
    for one in made:
        if one.steps is None or not {one.one.work, one.other.work} <= drawn:
            continue
        early = one.ahead_first
        total_ns = early.typical(partial(early.total_ns, one.steps)).estimate
        crossing = Crossing(one.steps, one.low, one.high, total_ns, steps(one))
        found.setdefault((one.one.work, one.other.work), crossing)
    return list(found.values())


def _alt(lines: Sequence[Line], made: Sequence[BreakEven]) -> str:
    """The plot's numbers in words."""
    each = "; ".join(
        f"{line.label} starts with {units.duration(line.fixed_ns)} and goes on with "
        f"{units.duration(line.step_ns)} a {noun(made[0].one)}"
        for line in lines
    )
    where = "; ".join(f"{compared(one)} at {steps(one)}" for one in made if one.steps is not None)
    return f"Time over the number of {noun(made[0].one)}s. {each}. Lines cross: {where or 'nowhere'}."


def _notes(shown: Sequence[Cost]) -> list[str]:
    """What each part is, and how a number of steps is found."""
    case = shown[0].entry.case
    made = [
        f"Where nothing else is said, all of it is for {words.work(case)}: {words.shape(case)}.",
        "Start and import is the interpreter, the library and the first binding of the task, in processor "
        "time, since all workers of a block start together.",
        f"The first call is {COLD if any(cost.cold for cost in shown) else WARM}. It comes on top of the "
        "steps. What builds an optimizer of torch.optim imports more, and so starts later.",
        "Within each block the parts are added up. Two are level at the difference of what they pay once "
        "over the difference of a step. Over blocks that is the Hodges-Lehmann estimate of its logarithm, "
        "with the 95 % interval of the signed-rank test, where the lines cross in every block.",
    ]
    if any(cost.compile_ns for cost in shown):
        made.append(
            "Compiling is the wall time of block 0, when the compiler started from nothing while other "
            "workers were starting; from the cache is the median of the later processes."
        )
    if any(cost.arm.device != "cpu" for cost in shown):
        made.append(
            "Transfer moves parameters and data to the device once, by the host's clock, which waits for the "
            "device before and after."
        )
    return made
