"""Verdicts, arms and cases in plain English; SENTENCES is what each verdict allows to be said.

A ratio is the entry's time over its baseline's; a sentence turns it, and its limits, so that the faster
side comes first with a factor above 1.
"""

from dataclasses import dataclass
from typing import Any

from bench.analysis.verdict import DECIDED as DECIDED
from bench.analysis.verdict import Comparison, Word
from bench.machine import libraries, units, wording
from bench.records.formats.foreign import Note
from bench.records.record import Arm, Decision, Extended, Plan
from bench.records.run import Run
from bench.workload.case import Case, sine_case

TASKS = {"train_step": "training step", "gradient": "gradient", "forward": "forward pass"}


@dataclass(frozen=True, slots=True)
class Sentences:
    """What one verdict allows to be said; ``parts`` fills the braces, ``advise`` those of ``advice``."""

    word: str  # beside the title
    tone: str  # of the word: good where there is an answer, whoever is ahead
    title: str
    clause: str  # without a full stop
    advice: str


_DECIDED = Sentences(
    word="{winner} FASTER",
    tone="good",
    title="{winner} is {factor} times faster than {loser}",
    clause="{winner} is {times_faster} than {loser}{because}",
    advice="Use {winner}: {times_faster} than {loser} for {work} ({times}{because}).",
)
SENTENCES: dict[Word, Sentences] = {
    "FASTER": _DECIDED,
    "SLOWER": _DECIDED,
    "EQUIVALENT": Sentences(
        word="EQUIVALENT",
        tone="calm",
        title="{entry} and {baseline} take the same time",
        clause="{entry} and {baseline} take the same time {reason} ({quotient})",
        advice="Use either: for {work} both take the same time {reason}; {quotient} ({times}).",
    ),
    "UNRESOLVED": Sentences(
        word="UNRESOLVED",
        tone="calm",
        title="Whether {entry} or {baseline} is faster is not resolved",
        clause="it is not resolved whether {entry} or {baseline} is faster: {quotient} ({reason})",
        advice="Either may be faster for {work}: {quotient} ({times}); {why}.",
    ),
    "INVALID": Sentences(
        word="INVALID",
        tone="trouble",
        title="{entry} against {baseline} has no valid result",
        clause="{entry} against {baseline} has no valid result: {quotient}",
        advice="No advice for {work}: the result is not valid, since {reason}; {quotient} ({times}).",
    ),
    "NONE": Sentences(
        word="no verdict",
        tone="calm",
        title="{winner} measured {factor} times faster than {loser}: undecided",
        clause="{winner} measured {times_faster} than {loser}",
        advice="No verdict: {why}; so far {winner} measured {times_faster} than {loser} for {work} "
        "({times}).",
    ),
    "MISSING": Sentences(
        word="MISSING",
        tone="trouble",
        title="{entry} was not compared with {baseline}",
        clause="{entry} against {baseline} has no result ({reason})",
        advice="No advice: {why}.",
    ),
}


@dataclass(frozen=True, slots=True)
class Lead:
    """A comparison as its faster side sees it: ``factor`` is 1 or more."""

    winner: Arm
    loser: Arm
    factor: float
    low: float | None
    high: float | None

    @property
    def times(self) -> str:
        """The factor and its limits: "3.62 times [3.55, 3.70]"."""
        return f"{units.ratio(self.factor)} times {units.interval(self.low, self.high)}".rstrip()


def lead(made: Comparison) -> Lead | None:
    """Return who measured faster, and by how much; None where nothing was compared."""
    if made.ratio is None:
        return None
    entry, baseline = made.arm, made.baseline_arm
    if made.ratio >= 1:
        return Lead(baseline, entry, made.ratio, made.low, made.high)
    low = None if made.high is None else 1 / made.high
    high = None if made.low is None else 1 / made.low
    return Lead(entry, baseline, 1 / made.ratio, low, high)


def names(one: Arm, other: Arm) -> tuple[str, str]:
    """Return what to call two sides: their libraries where these differ, else variants, else whole arms.

    A library on an accelerator is told with it.
    """
    if one.library != other.library:
        first, second = (
            library(arm) + ("" if arm.device == "cpu" else f" on {arm.device}") for arm in (one, other)
        )
        return first, second
    return (one.variant, other.variant) if one.variant != other.variant else (one.id, other.id)


def sentences(made: Comparison) -> Sentences:
    """Return the row of SENTENCES that a comparison may use: without a ratio there is nothing to tell."""
    return SENTENCES["MISSING" if made.ratio is None else made.verdict]


def parts(made: Comparison) -> dict[str, str]:
    """Return what fills the braces of SENTENCES."""
    entry, baseline = names(made.arm, made.baseline_arm)
    ratio = units.with_interval(made.ratio, made.low, made.high)
    filled = {
        "entry": entry,
        "baseline": baseline,
        "reason": made.reason,
        "because": f", {made.reason}" if made.reason else "",
        "quotient": f"{entry}'s time over {baseline}'s is {ratio}",
    }
    if ahead := lead(made):
        filled["winner"], filled["loser"] = names(ahead.winner, ahead.loser)
        filled["factor"] = units.ratio(ahead.factor)
        filled["times_faster"] = ahead.times.replace("times", "times faster", 1)
    return filled


def clause(made: Comparison) -> str:
    """Return one comparison in words that its verdict allows, without a full stop."""
    return sentences(made).clause.format(**parts(made))


def extended(made: Extended) -> str:
    """Return how a run was extended, and what that means for its verdicts."""
    return (
        f"The run was extended from {made.before} to {wording.count(made.blocks, 'block')}: a second look at "
        f"the same data, judged at {units.percent(made.level)}, so that both together err in 5 % at most."
    )


def look_again(folder: str, blocks: int) -> str:
    """Return what to type where something was not resolved."""
    return (
        f"To resolve it, rnnbench run --resume {folder} --blocks {blocks} extends the run, once, to so many "
        "blocks in all."
    )


def is_decided(made: Comparison | None) -> bool:
    """Return whether it is known who is faster."""
    return made is not None and made.verdict in DECIDED


def dropped(plan: Plan, decision: Decision) -> list[str]:
    """Return what the time budget left out, in a reader's words: tables, and arms."""
    titles = {arm.id: arm.title for arm in plan.arms}
    return [*decision.dropped_groups, *(titles.get(arm, arm) for arm in decision.dropped_arms)]


def library(arm: Arm) -> str:
    """Return what people call an arm's library."""
    return label(arm.library)


def label(name: str) -> str:
    """Return what people call a library."""
    return libraries.library(name).label


def variant(arm: Arm) -> str:
    """Return a variant's name, with the warning that goes with it wherever it stands."""
    return f"{arm.variant} (known wrong gradient)" if arm.known_wrong else arm.variant


def threads(arm: Arm) -> str:
    """Return "one thread" or "2 threads"."""
    return "one thread" if arm.threads == 1 else f"{arm.threads} threads"


def place(arm: Arm) -> str:
    """Return where an arm computes: "CPU, one thread"; an accelerator by its id."""
    return f"CPU, {threads(arm)}" if arm.device == "cpu" else arm.device


def device(run: Run, device_id: str) -> str:
    """Return an accelerator by its id and name, as its workers told: "cuda:0 (NVIDIA H100)"."""
    arms = {arm.id for arm in run.plan.arms if arm.device == device_id}
    told = (worker.facts.get("device_name") for worker in run.workers if arms & set(worker.arms))
    name = next(filter(None, told), None)
    return f"{device_id} ({name})" if name else device_id


def places(one: Arm, other: Arm) -> str:
    """Return where both compute, once where it is the same."""
    if (one.device, one.threads) == (other.device, other.threads):
        return place(one)
    return f"{one.variant} on {place(one)}, {other.variant} on {place(other)}"


def shape(case: Case) -> str:
    """Return the shape in words: batch 128, 6 steps of 6 features, hidden 32, 8 outputs."""
    s = case.shape
    steps = f"{wording.count(s.T, 'step')} of {wording.count(s.I, 'feature')}"
    return f"batch {s.B}, {steps}, hidden {s.H}, {wording.count(s.O, 'output')}"


def work(case: Case) -> str:
    """Return the task by name, and whose it is: "the tutorial's training step with positional input"."""
    task = TASKS[case.task]
    if case.data == "random":
        return f"the {task} on random data"
    whose = "the tutorial's" if case.shape == sine_case(case.task, case.layout).shape else "the"
    return f"{whose} {task} with {case.layout} input"


def machine(facts: dict[str, Any]) -> str:
    """Return the processor and how many of them are usable."""
    name = wording.short(facts["processor"]) if facts.get("processor") else "an unknown processor"
    cpus = facts.get("usable_cpus") or facts.get("cpus")
    return f"{name}, {wording.count(cpus, 'processor')}" if cpus else name


def note(told: Note) -> str:
    """Return a note on a file in one line: "There more than once: a and b"."""
    return f"{wording.short(told.what)}: {wording.listing([wording.short(name) for name in told.names], 6)}"
