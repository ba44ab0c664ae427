"""Write sentences for the page and ``advise``: why one side is faster, and what a later start costs.

The sections draw with matplotlib; this module does not, so that a short answer needs no matplotlib.
"""

from bench.analysis.breakeven import BreakEven, Cost
from bench.analysis.time_split import Kind as PartKind
from bench.analysis.time_split import Limit, difference
from bench.analysis.verdict import Kind
from bench.machine import units, wording
from bench.reporting import words

PARTS: dict[PartKind, str] = {
    "dispatch": "dispatch", "products": "matrix products", "elementwise": "elementwise work",
    "rest": "the rest",
}  # fmt: skip
DISPATCH_TEXT = "dispatch (asking for its operations, whatever their size)"
# kinds of pairs whose sides are named by library
BETWEEN_LIBRARIES: tuple[Kind, ...] = ("as_written", "best")
MINUTES_FROM_NS = 600e9  # times of this length and more are written in minutes


def extra(slower: Limit, faster: Limit) -> str:
    """Return the part that causes most of the difference; empty if the two calls have different parts."""
    by_part, total_ns = difference(slower, faster), slower.time_ns - faster.time_ns
    if by_part is None or total_ns <= 0:
        return ""
    kind, part_ns = max(by_part.items(), key=lambda item: item[1])
    name, _ = words.names(slower.arm, faster.arm)
    part = DISPATCH_TEXT if kind == "dispatch" else PARTS[kind]
    if kind == "rest" and len(slower.parts) == 2:  # no other part was timed by itself
        part = "work on arrays, which is everything except dispatch"
    offset = part_ns > total_ns  # in other parts the faster side takes longer, which offsets some of it
    transition = "its other parts are shorter, so that only" if offset else "in all,"
    part_text, total_text = units.duration(part_ns), units.duration(total_ns)
    return (
        f"{name} spends {part_text} more on {part}; {transition} {total_text} lie between "
        f"{words.variant(slower.arm)} and {words.variant(faster.arm)}."
    )


def sentence(pair: BreakEven) -> str:
    """Return which side is ahead from how many steps on, and why."""
    if pair.kind == "open":
        return _open_sentence(pair)
    leader, follower = _side_name(pair, pair.ahead_first), _side_name(pair, pair.behind_first)
    lead = words.lead(pair.step)
    assert lead is not None  # a pair without a ratio has no break-even
    step = noun(pair.baseline)
    if pair.kind == "crosses":
        why = f"{follower} starts {gap(pair)} later, but each {step} of {leader} takes {lead.times} as long."
        start = f"{follower} overtakes {leader} after {steps(pair)}"
        if pair.step.kind == "compiling":
            start = f"Compiling pays after {steps(pair)}"
        elif pair.step.kind in BETWEEN_LIBRARIES:
            start = f"For fewer than {steps(pair)} use {leader}"
        text = f"{start}: {why}"
    else:
        starts_later = (pair.gap.estimate > 0) == (pair.kind == "never")
        start_text = f"{gap(pair)} {'later, and' if starts_later else 'earlier, but'}"
        text = (
            f"{follower} never catches up with {leader} at this size: it starts {start_text} "
            f"each {step} takes {lead.times} as long."
        )
    decided = pair.step.verdict in words.DECIDED and (pair.steps is None or pair.steps.finite)
    return text if decided else f"No verdict, but in {wording.count(pair.step.blocks, 'block')}: {text}"


def _open_sentence(pair: BreakEven) -> str:
    """Return why it is open which side is ahead after many steps."""
    leader, follower = _side_name(pair, pair.ahead_first), _side_name(pair, pair.behind_first)
    step = noun(pair.baseline)
    if pair.step.verdict == "INVALID":
        return f"From how many {step}s on {follower} is ahead of {leader} cannot be said: {pair.reason}."
    if pair.step.verdict == "EQUIVALENT":
        return (
            f"{leader} starts {gap(pair)} earlier than {follower}, and a {step} takes both the same time "
            f"({pair.reason}): only the start counts."
        )
    unresolved = pair.step.verdict == "UNRESOLVED"
    why = f"it is not resolved whose {step} is shorter ({pair.reason})" if unresolved else pair.reason
    return f"Whether {follower} ever overtakes {leader} is open: it starts {gap(pair)} later, and {why}."


def _side_name(pair: BreakEven, side: Cost) -> str:
    """Return the name of a side: its library if libraries are compared, else its variant."""
    if pair.step.kind not in BETWEEN_LIBRARIES:
        return words.variant(side.arm)
    return words.library(side.arm) + ("" if side.arm.device == "cpu" else f" on {side.arm.device}")


def noun(cost: Cost) -> str:
    """Return the noun for a repeated call: a step of training, else a call."""
    return "step" if cost.entry.case.task == "train_step" else "call"


def steps(pair: BreakEven) -> str:
    """Return the break-even point with its limits, "1 320 steps [1 280, 1 370]"; a dash without one."""
    if pair.steps is None:
        return units.NOTHING
    count = _round_steps(pair.steps.estimate)
    limits = (
        f" [{_round_steps(pair.steps.low)}, {_round_steps(pair.steps.high)}]" if pair.steps.finite else ""
    )
    return f"{count} {noun(pair.baseline)}{'' if count == '1' else 's'}{limits}"


def _round_steps(steps: float) -> str:
    """Return a number of steps, 1 or more, rounded to three digits: more digits would say nothing."""
    return units.whole(max(1, round(float(f"{steps:.3g}"))))


def gap(pair: BreakEven) -> str:
    """Return the size of the gap between the two starts, with limits but without a sign."""
    gap = pair.gap
    text = duration(abs(gap.estimate))
    if not gap.finite:
        return text
    if gap.contains(0):
        return f"{text} (not told from none)"
    low, high = sorted((abs(gap.low), abs(gap.high)))
    return f"{text} [{duration(low)}, {duration(high)}]"


def duration(ns: float) -> str:
    """Return a time; from ten minutes on in minutes."""
    return units.duration(ns) if ns < MINUTES_FROM_NS else units.seconds(ns / 1e9)
