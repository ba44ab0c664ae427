"""The section that takes the tutorial's claim apart: one change at a time, and what each is worth."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from bench.analysis.ladder import Factor, Ladder, Step, Timed, ladder
from bench.analysis.outcome import Outcome
from bench.machine import units, wording
from bench.reporting import words
from bench.reporting.answer import Facts
from bench.reporting.section import Cell, Column, Drawing, Section, TextTable
from bench.reporting.sections.ladder_plot import Bar, waterfall

COLUMNS = (
    Column("Variant"),
    Column("What changed"),
    Column("Time a call", number=True),
    Column("Factor", number=True),
    Column("Hodges-Lehmann", number=True),
)
CAPTION = (
    "Each bar leads from the time of the row above to its own, on a logarithmic axis: equal lengths are "
    "equal factors, and to the left is faster. The dot is its time, hollow where the gradient is known to be "
    "wrong; the thin line (often narrower than the dot) is the 95 % interval of the factor. Blue is NumPy, "
    "orange PyTorch."
)


def ladder_section(facts: Facts, found: dict[str, Outcome], prefix: str) -> Section | None:
    """The ladder of a run; None where it has none, or measured too little of it."""
    made = ladder(facts.run, found)
    if made is None:
        return None
    decided = words.is_decided(facts.summary.headline("claim"))
    branches = [_bar(step, branch=True) for step in made.branches]
    bars = (_start(made), *map(_bar, made.way), *branches)
    return Section(
        id="ladder",
        title="Where does the factor between the tutorial's two programs come from?",
        lead=(*_lead(made, decided), *(_declared(facts, made.whole) if made.complete else ())),
        drawings=(Drawing(f"{prefix}ladder", _alt(made), partial(waterfall, bars, _whole(made)), CAPTION),),
        tables=(_table(made),),
        notes=tuple(_notes(made, found)),
    )


def product(made: Ladder) -> str:
    """The whole as the product of its factors, each named: 231 = 1.02 (tanh) × 49.2 (...) ÷ 1.90 (...)."""
    terms = [f"{times(step.factor.value)} ({step.change})" for step in made.way]
    terms[0] = f"1 {terms[0]}" if made.way[0].factor.value < 1 else terms[0].removeprefix("× ")
    return f"{units.ratio(made.whole.value)} = {' '.join(terms)}"


def times(factor: float) -> str:
    """What a change did to the speed: × 3.80, or ÷ 1.90."""
    return f"× {units.ratio(factor)}" if factor >= 1 else f"÷ {units.ratio(1 / factor)}"


def limits(factor: Factor) -> str:
    """The interval of what ``times`` says."""
    if factor.low is None or factor.high is None:
        return ""
    ends = (factor.low, factor.high) if factor.value >= 1 else (1 / factor.high, 1 / factor.low)
    return units.interval(*ends)


def _lead(made: Ladder, decided: bool) -> list[str]:
    """The whole as a product; where it is decided, which change carries most, what the library is worth."""
    how = "lie" if decided else "measured"
    lead = [f"{_ends(made)} {how} {_apart(made.whole)} apart: {product(made)}."]
    if not made.complete:
        lead[0] = f"Of the way between the tutorial's two programs only a part was measured. {lead[0]}"
    if not decided:
        return [*lead, "That is undecided: the run gives no verdict on it."]
    if len(made.way) > 1:
        step = made.largest
        others = made.whole.value / step.factor.value
        what = "faster" if others >= 1 else "slower"
        lead.append(
            f"The change that carries most is “{step.change}”, {_apart(step.factor)}; all others together "
            f"make it {units.ratio(max(others, 1 / others))} times {what}."
        )
    return [*lead, *(_equal_work(step) for step in made.way if step.library_alone)]


def _declared(facts: Facts, whole: Factor) -> list[str]:
    """Why the declared comparison of the same two programs may show another number."""
    made = facts.summary.headline("claim")
    if made is None or made.ratio is None:
        return []
    own, other = (units.ratio(max(x, 1 / x)) for x in (whole.value, made.ratio))
    if own == other:
        return []
    return [
        f"{own} is the geometric mean over blocks, so that the factors multiply; the comparison of the two "
        f"programs that was declared in advance says {other} times, by the Hodges-Lehmann estimate."
    ]


def _ends(made: Ladder) -> str:
    first, last = words.variant(made.first.arm), words.variant(made.way[-1].rung.arm)
    if not made.complete:
        return f"{wording.capital(first)} and {last}"
    slower = " the second being the slower one," if made.whole.value < 1 else ""
    return f"The tutorial's two programs, {first} and {last},{slower}"


def _equal_work(step: Step) -> str:
    """What one library is worth against the other where both do the same."""
    own, other = words.names(step.rung.arm, step.above.arm)
    start, end = words.variant(step.above.arm), words.variant(step.rung.arm)
    where = f"One of these steps is {own} instead of {other} at equal work, from {start} to {end}"
    if step.factor.low is not None and not step.factor.sign:
        factor = f"{times(step.factor.value)} {limits(step.factor)}"
        return f"{where}, and there neither is measurably ahead: {factor}."
    ahead, behind = (own, other) if step.factor.value >= 1 else (other, own)
    return f"{where}, and there {ahead} measured {_apart(step.factor, 'times faster')} than {behind}."


def _apart(factor: Factor, unit: str = "times") -> str:
    """231 times [228, 235]: the slower side's time over the faster one's."""
    larger = max(factor.value, 1 / factor.value)
    return f"{units.ratio(larger)} {unit} {limits(factor)}".rstrip()


def _table(made: Ladder) -> TextTable:
    rows = [_row(made.first, made.start)]
    rows += [_row(step.rung, step.change, step.factor) for step in made.way]
    for step in made.branches:
        rows.append(_row(step.rung, step.change, step.factor, f"beside the way, from {_origin(step)}"))
    return TextTable("Each rung, and what it brought over the one above it", COLUMNS, tuple(rows))


def _row(rung: Timed, change: str, factor: Factor | None = None, beside: str = "") -> tuple[Cell, ...]:
    case = rung.entry.case
    setting = f"{case.dtype}, {case.activation}, {case.layout} input; {words.place(rung.arm)}"
    first = (
        Cell(words.variant(rung.arm), setting, library=rung.arm.library),
        Cell(change, beside),
        Cell(units.duration(rung.time_ns), value=rung.time_ns),
    )
    if factor is None:
        return (*first, Cell(units.NOTHING), Cell(units.NOTHING))
    robust = factor.hodges_lehmann
    return (
        *first,
        Cell(times(factor.value), limits(factor), factor.value),
        Cell(times(robust), value=robust),
    )


def _origin(step: Step) -> str:
    """Where a branch begins: the variant there, or its place where that alone is different."""
    own, above = step.rung.arm, step.above.arm
    return words.variant(above) if own.variant != above.variant else words.place(above)


def _notes(made: Ladder, found: Mapping[str, Outcome]) -> list[str]:
    whole = made.whole
    notes = [
        "A factor is the time of the rung above over its own, taken within each block: × made it faster, ÷ "
        "slower. It is the geometric mean over the "
        f"{wording.count(whole.blocks, 'block')} that hold every rung, with Student's 95 % interval, so that "
        "the factors multiply to the whole exactly; the times are geometric means over the same blocks. "
        "Hodges-Lehmann estimates, which the other tables use, do not multiply: for the whole way theirs is "
        f"{times(whole.hodges_lehmann)}.",
        "The steps carry no verdict. The last rung against the first is a comparison declared in advance.",
    ]
    if made.branches:
        notes.append(
            "Beside the way stands what is on no way from the one program to the other, over the blocks that "
            "hold both its ends."
        )
    rungs = (made.first, *(step.rung for step in (*made.way, *made.branches)))
    if wrong := dict.fromkeys(rung.arm.variant for rung in rungs if rung.arm.known_wrong):
        notes.append(f"The gradient of {wording.listing(list(wrong))} is known to be wrong.")
    if made.left_out:
        why = [f"{entry} ({found[entry].reason or 'no block in common'})" for entry in made.left_out]
        notes.append(f"Left out, what changes there joining what changes next: {wording.listing(why, 12)}.")
    return notes


def _bar(step: Step, *, branch: bool = False) -> Bar:
    """A step as the waterfall draws it: the interval of its factor, seen from the time above."""
    arm, factor, above_ns = step.rung.arm, step.factor, step.above.time_ns
    return Bar(
        change=step.change,
        label=words.variant(arm) + (f", from {_origin(step)}" if branch else ""),
        library=arm.library,
        from_ns=above_ns,
        to_ns=step.rung.time_ns,
        low_ns=None if factor.high is None else above_ns / factor.high,
        high_ns=None if factor.low is None else above_ns / factor.low,
        text=f"{times(factor.value)} {limits(factor)}".rstrip(),
        hollow=arm.known_wrong,
        branch=branch,
    )


def _start(made: Ladder) -> Bar:
    """Where the way begins."""
    arm, time_ns = made.first.arm, made.first.time_ns
    return Bar(made.start, words.variant(arm), arm.library, time_ns, time_ns, hollow=arm.known_wrong)


def _whole(made: Ladder) -> Bar:
    """The whole way, in no library's colour."""
    step = Step(made.way[-1].rung, made.first, "all of it", made.whole)
    return replace(_bar(step), label="from the first row to the last", library="", hollow=False)


def _alt(made: Ladder) -> str:
    """The picture's numbers in words."""
    said = [f"{words.variant(made.first.arm)} {units.duration(made.first.time_ns)}"]
    for step in (*made.way, *made.branches):
        drawn = _bar(step, branch=step in made.branches)
        said.append(f"{drawn.change}: {drawn.label} {units.duration(drawn.to_ns)}, {drawn.text}")
    return f"Time of a call on a logarithmic axis, one change a row: {'; '.join(said)}."
