"""Why one side is faster, and what a later start costs: sentences of the page and of ``advise``.

They stand apart from the sections, which draw, so that an answer in two sentences needs no matplotlib.
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
DISPATCH = "dispatch (asking for its operations, whatever their size)"
BETWEEN_LIBRARIES: tuple[Kind, ...] = ("as_written", "best")
LONG_NS = 600e9  # from here on in minutes


def extra(slower: Limit, faster: Limit) -> str:
    """Return the part in which most of the difference lies; empty where the two have other parts."""
    between, whole_ns = difference(slower, faster), slower.time_ns - faster.time_ns
    if between is None or whole_ns <= 0:
        return ""
    kind, most_ns = max(between.items(), key=lambda item: item[1])
    own, _ = words.names(slower.arm, faster.arm)
    what = DISPATCH if kind == "dispatch" else PARTS[kind]
    if kind == "rest" and len(slower.parts) == 2:  # no other part was timed by itself
        what = "work on arrays, which is all but dispatch"
    offset = most_ns > whole_ns  # by parts in which the other one is slower
    total = "its other parts are shorter, so that only" if offset else "in all,"
    most, whole = units.duration(most_ns), units.duration(whole_ns)
    return (
        f"{own} spends {most} more on {what}; {total} {whole} lie between {words.variant(slower.arm)} and "
        f"{words.variant(faster.arm)}."
    )


def sentence(pair: BreakEven) -> str:
    """Say of one pair from how many steps on which side is ahead, and why."""
    if pair.kind == "open":
        return _open(pair)
    early, late = _name(pair, pair.ahead_first), _name(pair, pair.behind_first)
    lead = words.lead(pair.step)
    assert lead is not None  # a pair without a ratio has no break-even
    step = noun(pair.baseline)
    if pair.kind == "crosses":
        why = f"{late} starts {gap(pair)} later, but each {step} of {early} takes {lead.times} as long."
        start = f"{late} overtakes {early} after {steps(pair)}"
        if pair.step.kind == "compiling":
            start = f"Compiling pays after {steps(pair)}"
        elif pair.step.kind in BETWEEN_LIBRARIES:
            start = f"For fewer than {steps(pair)} use {early}"
        text = f"{start}: {why}"
    else:
        later = (pair.gap.estimate > 0) == (pair.kind == "never")
        starts = f"{gap(pair)} {'later, and' if later else 'earlier, but'}"
        text = (
            f"{late} never catches up with {early} at this size: it starts {starts} each {step} takes "
            f"{lead.times} as long."
        )
    sure = pair.step.verdict in words.DECIDED and (pair.steps is None or pair.steps.finite)
    return text if sure else f"No verdict, but in {wording.count(pair.step.blocks, 'block')}: {text}"


def _open(pair: BreakEven) -> str:
    early, late, step = _name(pair, pair.ahead_first), _name(pair, pair.behind_first), noun(pair.baseline)
    if pair.step.verdict == "INVALID":
        return f"From how many {step}s on {late} is ahead of {early} cannot be said: {pair.reason}."
    if pair.step.verdict == "EQUIVALENT":
        return (
            f"{early} starts {gap(pair)} earlier than {late}, and a {step} takes both the same time "
            f"({pair.reason}): only the start counts."
        )
    unresolved = pair.step.verdict == "UNRESOLVED"
    why = f"it is not resolved whose {step} is shorter ({pair.reason})" if unresolved else pair.reason
    return f"Whether {late} ever overtakes {early} is open: it starts {gap(pair)} later, and {why}."


def _name(pair: BreakEven, side: Cost) -> str:
    """Return a library between libraries, a variant where the two are told apart by that."""
    if pair.step.kind not in BETWEEN_LIBRARIES:
        return words.variant(side.arm)
    return words.library(side.arm) + ("" if side.arm.device == "cpu" else f" on {side.arm.device}")


def noun(cost: Cost) -> str:
    """Return what is done again and again."""
    return "step" if cost.entry.case.task == "train_step" else "call"


def steps(pair: BreakEven) -> str:
    """Return "1 320 steps [1 280, 1 370]"; a dash where nothing crosses."""
    if pair.steps is None:
        return units.NOTHING
    count = _few(pair.steps.estimate)
    limits = f" [{_few(pair.steps.low)}, {_few(pair.steps.high)}]" if pair.steps.finite else ""
    return f"{count} {noun(pair.baseline)}{'' if count == '1' else 's'}{limits}"


def _few(steps: float) -> str:
    """Return a number of steps to three digits: nobody counts them more closely."""
    return units.whole(max(1, round(float(f"{steps:.3g}"))))


def gap(pair: BreakEven) -> str:
    """Return how far apart the two start, with limits; which is earlier is for the sentence to say."""
    gap = pair.gap
    text = duration(abs(gap.estimate))
    if not gap.finite:
        return text
    if gap.contains(0):
        return f"{text} (not told from none)"
    low, high = sorted((abs(gap.low), abs(gap.high)))
    return f"{text} [{duration(low)}, {duration(high)}]"


def duration(ns: float) -> str:
    """Return a time, from ten minutes on in minutes."""
    return units.duration(ns) if ns < LONG_NS else units.seconds(ns / 1e9)
