"""Break-evens as sentences that verdicts allow: who starts later, whose step is longer, what follows."""

from bench.analysis.breakeven import BreakEven, Cost
from bench.machine import units, wording
from bench.records.run import Run
from bench.reporting import words

LONG_NS = 600e9  # from here on in minutes


def sentence(run: Run, made: BreakEven) -> str:
    """One pair: from how many steps on which side is ahead, and why."""
    if made.kind == "open":
        return _open(made)
    told = _crosses(run, made) if made.kind == "crosses" else _never(run, made)
    return told if is_sure(made) else f"No verdict, but in {wording.count(made.step.blocks, 'block')}: {told}"


def is_sure(made: BreakEven) -> bool:
    """Whether the order of the steps has a verdict, and a crossing its interval."""
    decided = made.step.verdict in words.DECIDED
    return decided and (made.kind != "crosses" or made.low is not None)


def is_headline(made: BreakEven) -> bool:
    """Whether it is about the two libraries, and not about two variants."""
    return made.step.kind in ("as_written", "best")


def compared(made: BreakEven) -> str:
    """Both sides by their variants."""
    return f"{words.variant(made.one.arm)} against {words.variant(made.other.arm)}"


def noun(cost: Cost) -> str:
    """What is done again and again."""
    return "step" if cost.entry.case.task == "train_step" else "call"


def steps(made: BreakEven) -> str:
    """K* and its limits with what they count: "1 320 steps [1 280, 1 370]"; a dash where nothing crosses."""
    if made.steps is None:
        return units.NOTHING
    limits = "" if made.low is None or made.high is None else f" [{few(made.low)}, {few(made.high)}]"
    return f"{few(made.steps)} {noun(made.one)}{'' if few(made.steps) == '1' else 's'}{limits}"


def gap(made: BreakEven) -> str:
    """How far apart the two start, with limits; which is earlier is for the sentence to say."""
    found = made.gap
    told = duration(abs(found.estimate))
    if not found.finite:
        return told
    if found.contains(0):
        return f"{told} (not told from none)"
    low, high = sorted((abs(found.low), abs(found.high)))
    return f"{told} [{duration(low)}, {duration(high)}]"


def duration(ns: float) -> str:
    """A time: 180 ms, 1.92 s; from ten minutes on in minutes."""
    return units.duration(ns) if ns < LONG_NS else units.seconds(ns / 1e9)


def _crosses(run: Run, made: BreakEven) -> str:
    early, late = _name(made, made.ahead_first), _name(made, made.behind_first)
    why = f"{late} starts {gap(made)} later, but {_longer(run, made, early)}"
    if made.step.kind == "compiling":
        return f"Compiling pays after {steps(made)}: {why}{_from_cache(made)}."
    if is_headline(made):
        return f"For fewer than {steps(made)} use {early}: {why}{_who(made)}."
    return f"{late} overtakes {early} after {steps(made)}: {why}{_from_cache(made)}."


def _never(run: Run, made: BreakEven) -> str:
    ahead, behind = _name(made, made.ahead_first), _name(made, made.behind_first)
    later = (made.gap.estimate > 0) == (made.kind == "never")
    starts = f"it starts {gap(made)} later, and" if later else f"it starts {gap(made)} earlier, but"
    return (
        f"{behind} never catches up with {ahead} at this size: {starts} {_longer(run, made)}"
        f"{_from_cache(made)}{_who(made)}."
    )


def _open(made: BreakEven) -> str:
    early, late, one = _name(made, made.ahead_first), _name(made, made.behind_first), noun(made.one)
    if made.step.verdict == "INVALID":
        when = f"From how many {one}s on {late} is ahead of {early}"
        return f"{when} cannot be said: {made.reason}{_who(made)}."
    if made.step.verdict == "EQUIVALENT":
        return (
            f"{early} starts {gap(made)} earlier than {late}, and a {one} takes both the same time "
            f"({made.reason}): only the start counts{_who(made)}."
        )
    unresolved = made.step.verdict == "UNRESOLVED"
    why = f"it is not resolved whose {one} is shorter ({made.reason})" if unresolved else made.reason
    starts = f"it starts {gap(made)} later"
    return f"Whether {late} ever overtakes {early} is open: {starts}, and {why}{_who(made)}."


def _longer(run: Run, made: BreakEven, whose: str = "") -> str:
    """By how much a step of the slower side takes longer; ``whose``: its name, where that is not clear."""
    lead = words.lead(run, made.step)
    assert lead is not None  # a pair without a ratio has no break-even
    return f"each {noun(made.one)}{f' of {whose}' if whose else ''} takes {lead.times} as long"


def _from_cache(made: BreakEven) -> str:
    """What changes where an earlier process has compiled."""
    cached = made.from_cache
    if cached is None or cached.kind == "open" or (cached.kind == made.kind != "crosses"):
        return ""
    before = "; with what an earlier process has compiled,"
    if cached.kind == "crosses":
        return f"{before} after {steps(cached)}"
    return f"{before} {_name(cached, cached.ahead_first)} is ahead from the first {noun(made.one)}"


def _name(made: BreakEven, side: Cost) -> str:
    """A library for a headline, a variant where they are told apart by that."""
    if not is_headline(made):
        return words.variant(side.arm)
    return words.library(side.arm) + ("" if side.arm.device == "cpu" else f" on {side.arm.device}")


def _who(made: BreakEven) -> str:
    """The variants and the place behind the names of a headline."""
    if not is_headline(made):
        return ""
    how = "as usually written" if made.step.kind == "as_written" else "the fastest form of each"
    return f" ({how}: {compared(made)}; {words.places(made.one.arm, made.other.arm)})"


def few(x: float) -> str:
    """A number of steps to three digits: nobody counts them more closely."""
    return units.whole(max(1, round(float(f"{x:.3g}"))))
