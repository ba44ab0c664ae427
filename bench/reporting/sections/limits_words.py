"""Why, in sentences: what the slower one spends its extra time on, and what would change that."""

from bench.analysis.time_split import Estimate, Kind, Limit, Part, difference
from bench.machine import units, wording
from bench.reporting import words

PARTS: dict[Kind, str] = {
    "dispatch": "dispatch",
    "products": "matrix products",
    "elementwise": "elementwise work",
    "rest": "the rest",
}
PLURAL = ("matrix products", "autograd and the rest")
NOTHING = 0.005  # of a difference: smaller parts go without saying
AUTOGRAD = ("torch-autograd", "torch-cell", "torch-rnn")


def sentences(chosen: list[Limit], others: list[Limit], *, explain: bool = True) -> list[str]:
    """About one or two entries, the main ones, each taken apart; ``others`` only widen a range.

    ``explain`` says what lies between the two, which needs a verdict.
    """
    chosen = sorted(chosen, key=lambda limit: -limit.time_ns)
    said = [longer(*chosen)] if len(chosen) == 2 and explain else []
    said += [spent(limit) for limit in chosen]
    said += [reach([*chosen, *others])] if others else []
    said += [efficiency(chosen), *(growth(limit) for limit in chosen)]
    return [sentence for sentence in said if sentence]


def longer(slower: Limit, faster: Limit) -> str:
    """What the slower one spends its extra time on: the largest part first, then what others add or save."""
    made = difference(slower, faster)
    if made is None or made.time_ns <= 0:
        return ""
    (kind, most), *others = sorted(made.parts.items(), key=lambda item: -item[1])
    between = f"between {words.variant(slower.arm)} and {words.variant(faster.arm)}"
    whole = units.duration(made.time_ns)
    if most <= (1 + NOTHING) * made.time_ns:
        amount = f"{_of(units.duration(most), whole)} {between} ({units.percent(most / made.time_ns)})"
    else:
        amount = f"{units.duration(most)} more, where in all {whole} lie {between}"
    beside = [(other, ns) for other, ns in others if abs(ns) > NOTHING * made.time_ns]
    added = [(_part(slower, other), ns) for other, ns in beside if ns > 0]
    saved = [(_part(slower, other), -ns) for other, ns in reversed(beside) if ns < 0]
    said = [f"{_most(slower, faster, kind)}: {amount}"]
    said += [_amounts(added, ("adds", "add"), "")] if added else []
    said += [_amounts(saved, ("takes", "take"), " less")] if saved else []
    return f"{'; '.join(said)}."


def _most(slower: Limit, faster: Limit, kind: Kind) -> str:
    """What most of the extra time is, as a clause about the slower one."""
    own = words.names(slower.arm, faster.arm)[0]
    if kind != "dispatch":
        return f"{own} spends more time on {_part(slower, kind)}"
    whatever = "whatever the arrays' size (dispatch)"
    each = [_each(one) for one in (slower, faster)]
    if each[0] and each[1] and each[0] > each[1]:
        return f"{own} pays more for every operation it is asked for, {whatever}"
    return f"{own} pays more for being asked for its operations, {whatever}"


def _each(limit: Limit) -> float | None:
    """Dispatch over the number of operations; None where one of them is not known."""
    part = limit.part("dispatch")
    return part.time_ns / limit.count.calls if part and limit.count and limit.count.calls else None


def _of(part: str, whole: str) -> str:
    """313 of the 439 µs: the unit once where both have the same."""
    number, _, unit = part.rpartition(" ")
    return f"{number if whole.endswith(f' {unit}') else part} of the {whole}"


def _part(limit: Limit, kind: Kind) -> str:
    """What a part of a kind is called in this entry."""
    part = limit.part(kind)
    return name(limit, part) if part else PARTS[kind]


def _amounts(parts: list[tuple[str, float]], verbs: tuple[str, str], end: str) -> str:
    """Elementwise work adds 42 µs, matrix products 35 µs: the verb once."""
    (what, ns), *others = parts
    first = f"{what} {verbs[what in PLURAL]} {units.duration(ns)}{end}"
    return wording.listing([first, *(f"{other} {units.duration(more)}" for other, more in others)])


def spent(limit: Limit) -> str:
    """84 % of torch-cell's training step is dispatch."""
    largest = limit.largest
    if largest is None:
        return ""
    others = [
        f"{name(limit, part)} {units.percent(part.share.value)}" for part in limit.parts if part != largest
    ]
    calls = ""
    if largest.kind == "dispatch" and limit.count is not None:
        calls = f" for {wording.count(limit.count.calls, 'operation')}"
    times = f"{units.duration(largest.time_ns)} of {units.duration(limit.time_ns)}{calls}"
    what = f"{share(largest.share)} of {_whose(limit)} is {name(limit, largest)}"
    return f"{what}, {times}; {wording.listing(others)}."


def reach(every: list[Limit]) -> str:
    """Between which variants the share of dispatch lies."""
    parts = [(part, limit) for limit in every if (part := limit.part("dispatch"))]
    ordered = sorted(parts, key=lambda one: one[0].share.value)
    (least, low), (most, high) = ordered[0], ordered[-1]
    return (
        f"Of the variants taken apart, {words.variant(low.arm)} has the smallest share of dispatch, "
        f"{share(least.share)}, and {words.variant(high.arm)} the largest, {share(most.share)}."
    )


def efficiency(chosen: list[Limit]) -> str:
    """How far from what the library itself can do."""
    bounded = [(limit, limit.bound) for limit in chosen if limit.bound]
    if not bounded:
        return ""
    takes = [f"{words.library(one.arm)} {units.duration(bound.time_ns)}" for one, bound in bounded]
    runs = [f"{words.variant(one.arm)} runs at {share(bound.efficiency)}" for one, bound in bounded]
    runs[0] += " of that speed"
    needed = wording.listing(list(dict.fromkeys(takes)))
    rates = "at the best rates measured here"
    return f"What the mathematics needs would take {needed} {rates}: {wording.listing(runs)}."


def growth(limit: Limit) -> str:
    """What larger sizes would do; empty where dispatch is less than half."""
    part = limit.part("dispatch")
    if part is None or not 0.5 < part.share.value < 1:
        return ""
    times = units.number(part.share.value / (1 - part.share.value))
    return (
        f"Dispatch does not grow with the sizes: with about {times} times as much work in each operation (a "
        f"larger batch, more hidden units) it would be half of {_whose(limit)}."
    )


def name(limit: Limit, part: Part) -> str:
    """What a part is called in this entry."""
    if part.kind == "rest" and len(limit.parts) == 2:
        return "everything else"
    if part.kind == "rest" and limit.arm.spec in AUTOGRAD and limit.entry.case.task != "forward":
        return "autograd and the rest"
    return PARTS[part.kind]


def share(made: Estimate) -> str:
    """84 % [83, 86]: a share and its 95 % interval."""
    text = units.percent(made.value)
    if made.low is None or made.high is None:
        return text
    low, high = (units.percent(limit).removesuffix(" %") for limit in (made.low, made.high))
    return f"{text} [{low}, {high}]"


def _whose(limit: Limit) -> str:
    return f"{words.variant(limit.arm)}'s {words.TASKS[limit.entry.case.task]}"
