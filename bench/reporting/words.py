"""Comparisons, cases and places as clauses of plain English. A verdict decides what may be said.

A ratio is the entry's time over its baseline's; a sentence turns it, and its limits, so that the faster
side comes first with a factor above 1.
"""

from dataclasses import dataclass
from typing import Any

from bench.analysis.verdict import Comparison
from bench.machine import units, wording
from bench.records.formats.foreign import Note
from bench.records.record import Arm, Decision, Extended, Plan
from bench.records.run import Run
from bench.workload.case import Case, sine_case

LIBRARIES = {"numpy": "NumPy", "torch": "PyTorch"}
TASKS = {"train_step": "training step", "gradient": "gradient", "forward": "forward pass"}
DECIDED = ("FASTER", "SLOWER")
RATIOS = (
    "Times are medians over the blocks; a ratio is taken within each block, and need not be that of the two "
    "times beside it."
)


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

    @property
    def times_faster(self) -> str:
        """The winner's comparative: "3.62 times faster [3.55, 3.70]"."""
        return f"{units.ratio(self.factor)} times faster {units.interval(self.low, self.high)}".rstrip()

    @property
    def times_slower(self) -> str:
        """The loser's comparative."""
        return self.times_faster.replace("faster", "slower")


def lead(run: Run, made: Comparison) -> Lead | None:
    """Who measured faster, and by how much; None where nothing was compared."""
    if made.ratio is None:
        return None
    entry, baseline = run.arms[made.arm], run.arms[made.baseline_arm]
    if made.ratio >= 1:
        return Lead(baseline, entry, made.ratio, made.low, made.high)
    low = None if made.high is None else 1 / made.high
    high = None if made.low is None else 1 / made.low
    return Lead(entry, baseline, 1 / made.ratio, low, high)


def names(one: Arm, other: Arm) -> tuple[str, str]:
    """What to call two sides: their libraries where these differ, else variants, else whole arms."""
    if one.library != other.library:
        return library(one), library(other)
    return (one.variant, other.variant) if one.variant != other.variant else (one.id, other.id)


def clause(run: Run, made: Comparison) -> str:
    """One comparison in words that its verdict allows, without a full stop.

    Where no verdict is given at all, it only says what was measured; why is for the whole run to say.
    """
    entry, baseline = names(run.arms[made.arm], run.arms[made.baseline_arm])
    ahead = lead(run, made)
    if ahead is None:
        how = "was not measured" if made.verdict == "MISSING" else "gives no result"
        return f"{entry} against {baseline} {how} ({made.reason})"
    winner, loser = names(ahead.winner, ahead.loser)
    measured = units.with_interval(made.ratio, made.low, made.high)
    quotient = f"the time of {entry} over that of {baseline} is {measured}"
    if made.verdict in DECIDED:
        small = f" ({made.reason})" if made.reason else ""
        return f"{winner} is {ahead.times_faster} than {loser}{small}"
    if made.verdict == "INVALID":
        return f"{entry} against {baseline} has no valid result: {quotient}"
    if made.verdict == "EQUIVALENT":
        return f"{entry} and {baseline} take the same time {made.reason} ({quotient})"
    if made.verdict == "UNRESOLVED":
        return f"it is not resolved whether {entry} or {baseline} is faster: {quotient} ({made.reason})"
    return f"{winner} measured {ahead.times_faster} than {loser}"


def extended(made: Extended) -> str:
    """How a run was extended, and what that means for its verdicts."""
    return (
        f"The run was extended from {made.before} to {wording.count(made.blocks, 'block')}: a second look at "
        f"the same data, judged at {units.percent(made.level)}, so that both together err in 5 % at most."
    )


def look_again(folder: str, blocks: int) -> str:
    """What to type where something was not resolved."""
    return (
        f"To resolve it, rnnbench run --resume {folder} --blocks {blocks} extends the run, once, to so many "
        "blocks in all."
    )


def is_decided(made: Comparison | None) -> bool:
    """Whether it is known who is faster."""
    return made is not None and made.verdict in DECIDED


def dropped(plan: Plan, decision: Decision) -> list[str]:
    """What the time budget left out, in a reader's words: tables, and arms."""
    titles = {arm.id: arm.title for arm in plan.arms}
    return [*decision.dropped_groups, *(titles.get(arm, arm) for arm in decision.dropped_arms)]


def library(arm: Arm) -> str:
    """NumPy or PyTorch."""
    return LIBRARIES.get(arm.library, arm.library)


def variant(arm: Arm) -> str:
    """A variant's name, with the warning that goes with it wherever it stands."""
    return f"{arm.variant} (known wrong gradient)" if arm.known_wrong else arm.variant


def threads(arm: Arm) -> str:
    """One thread, 2 threads."""
    return "one thread" if arm.threads == 1 else f"{arm.threads} threads"


def place(arm: Arm) -> str:
    """Where an arm computes: "CPU, one thread"; an accelerator by its id."""
    return f"CPU, {threads(arm)}" if arm.device == "cpu" else arm.device


def device(run: Run, device_id: str) -> str:
    """An accelerator by its id and name, as its workers told: "cuda:0 (NVIDIA H100)"."""
    arms = {arm.id for arm in run.plan.arms if arm.device == device_id}
    told = (worker.facts.get("device_name") for worker in run.workers if arms & set(worker.arms))
    name = next(filter(None, told), None)
    return f"{device_id} ({name})" if name else device_id


def places(one: Arm, other: Arm) -> str:
    """Where both compute, said once where it is the same."""
    if (one.device, one.threads) == (other.device, other.threads):
        return place(one)
    return f"{one.variant} on {place(one)}, {other.variant} on {place(other)}"


def shape(case: Case) -> str:
    """The shape in words: batch 128, 6 steps of 6 features, hidden 32, 8 outputs."""
    s = case.shape
    steps = f"{wording.count(s.T, 'step')} of {wording.count(s.I, 'feature')}"
    return f"batch {s.B}, {steps}, hidden {s.H}, {wording.count(s.O, 'output')}"


def work(case: Case) -> str:
    """The task by name, and whose it is: "the tutorial's training step with positional input"."""
    task = TASKS[case.task]
    if case.data == "random":
        return f"the {task} on random data"
    whose = "the tutorial's" if case.shape == sine_case(case.task, case.layout).shape else "the"
    return f"{whose} {task} with {case.layout} input"


def machine(facts: dict[str, Any]) -> str:
    """Processor and how many of them are usable."""
    name = wording.short(facts["processor"]) if facts.get("processor") else "an unknown processor"
    cpus = facts.get("usable_cpus") or facts.get("cpus")
    return f"{name}, {wording.count(cpus, 'processor')}" if cpus else name


def note(told: Note) -> str:
    """Return a note on a file in one line: "There more than once: a and b"."""
    return f"{wording.short(told.what)}: {wording.listing([wording.short(name) for name in told.names], 6)}"
