"""Put verdicts, arms and cases into plain English; SENTENCES holds the texts that each verdict allows.

A ratio is the entry's time over its baseline's. A sentence inverts the ratio and its limits where needed: the
faster side comes first, with a factor of 1 or more.
"""

from dataclasses import dataclass
from typing import Any

from bench.analysis.verdict import DECIDED as DECIDED
from bench.analysis.verdict import Comparison, Kind, Word
from bench.machine import libraries, units, wording
from bench.records.formats.foreign import Note
from bench.records.record import Arm, Decision, Extended, Plan
from bench.records.run import Run
from bench.workload.case import Case, sine_case
from bench.workload.cell import built_in_cell
from bench.workload.naming import a_cell as a_cell
from bench.workload.naming import article as article
from bench.workload.naming import cell as cell
from bench.workload.naming import cell_options as cell_options
from bench.workload.naming import named_cell as named_cell
from bench.workload.naming import of_cell as of_cell

FORM_PHRASES: dict[Kind, str] = {
    "as_written": "each as usually written", "best": "with the fastest form of each library",
}  # fmt: skip
MARKS = 20  # circled numbers
TASKS = {"train_step": "training step", "gradient": "gradient", "forward": "forward pass"}


@dataclass(frozen=True, slots=True)
class Sentences:
    """Hold the texts for a verdict: ``parts`` fills their braces, and title and ``advise`` the rest."""

    title: str
    clause: str  # without a full stop
    advice: str
    tone: str = "calm"  # "good" where one side is proved to be faster


_DECIDED_SENTENCES = Sentences(
    "{winner} is {factor} times faster than {loser}{for_cell}",
    "{winner} is {times_faster} than {loser}{because}",
    "Use {winner}: {times_faster} than {loser} for {work} ({times}{because}).",
    tone="good",
)
SENTENCES: dict[Word, Sentences] = {
    "FASTER": _DECIDED_SENTENCES,
    "SLOWER": _DECIDED_SENTENCES,
    "EQUIVALENT": Sentences(
        "{entry} and {baseline} take the same time{for_cell}",
        "{entry} and {baseline} take the same time {reason} ({quotient})",
        "Use either: for {work} both take the same time {reason}; {quotient} ({times}).",
    ),
    "UNRESOLVED": Sentences(
        "Whether {entry} or {baseline} is faster{for_cell} is not resolved",
        "it is not resolved whether {entry} or {baseline} is faster: {quotient} ({reason})",
        "Either may be faster for {work}: {quotient} ({times}); {why}.",
    ),
    "INVALID": Sentences(
        "{entry} against {baseline} has no valid result{for_cell}",
        "{entry} against {baseline} has no valid result: {quotient}",
        "No advice for {work}: the result is not valid, since {reason}; {quotient} ({times}).",
        tone="trouble",
    ),
    "NONE": Sentences(
        "{winner} measured {factor} times faster than {loser}{for_cell}: undecided",
        "{winner} measured {times_faster} than {loser}",
        "No verdict: {why}; so far {winner} measured {times_faster} than {loser} for {work} ({times}).",
    ),
    "MISSING": Sentences(
        "{entry} was not compared with {baseline}{for_cell}",
        "{entry} against {baseline} has no result ({reason})",
        "No advice: {why}.",
        tone="trouble",
    ),
}


@dataclass(frozen=True, slots=True)
class Lead:
    """Hold a comparison from the view of its faster side: ``factor`` is 1 or more."""

    winner: Arm
    loser: Arm
    factor: float
    low: float | None
    high: float | None

    @property
    def times(self) -> str:
        """Return the factor with its limits: "3.62 times [3.55, 3.70]"."""
        return f"{units.ratio(self.factor)} times {units.interval(self.low, self.high)}".rstrip()


def lead(comparison: Comparison) -> Lead | None:
    """Return which side measured faster, and by which factor; None where nothing was compared."""
    if comparison.ratio is None:
        return None
    entry, baseline = comparison.arm, comparison.baseline_arm
    if comparison.ratio >= 1:
        return Lead(baseline, entry, comparison.ratio, comparison.low, comparison.high)
    low, high = (None if limit is None else 1 / limit for limit in (comparison.high, comparison.low))
    return Lead(entry, baseline, 1 / comparison.ratio, low, high)


def names(one: Arm, other: Arm) -> tuple[str, str]:
    """Return names for two sides: their libraries if different, else their variants, else their arms' ids."""
    if one.library != other.library:
        return on_device(one), on_device(other)
    return (one.variant, other.variant) if one.variant != other.variant else (one.id, other.id)


def on_device(arm: Arm) -> str:
    """Return an arm's library, with its accelerator if it has one: "PyTorch on cuda:0"."""
    return library(arm) + ("" if arm.device == "cpu" else f" on {arm.device}")


def sentences(comparison: Comparison) -> Sentences:
    """Return the texts for a comparison: by its verdict, or those for MISSING without a ratio."""
    return SENTENCES["MISSING" if comparison.ratio is None else comparison.verdict]


def verdict(comparison: Comparison) -> str:
    """Return the verdict as shown to readers: NONE becomes "no verdict"."""
    return "no verdict" if comparison.verdict == "NONE" else comparison.verdict


def parts(comparison: Comparison) -> dict[str, str]:
    """Return the texts that fill the braces of SENTENCES."""
    entry, baseline = names(comparison.arm, comparison.baseline_arm)
    ratio = units.with_interval(comparison.ratio, comparison.low, comparison.high)
    texts = {
        "entry": entry,
        "baseline": baseline,
        "reason": comparison.reason,
        "because": f", {comparison.reason}" if comparison.reason else "",
        "quotient": f"{entry}'s time over {baseline}'s is {ratio}",
    }
    if faster_side := lead(comparison):
        texts["winner"], texts["loser"] = names(faster_side.winner, faster_side.loser)
        texts["factor"] = units.ratio(faster_side.factor)
        texts["times_faster"] = faster_side.times.replace("times", "times faster", 1)
    return texts


def clause(comparison: Comparison) -> str:
    """Return a comparison as a clause that its verdict allows, without a full stop."""
    return sentences(comparison).clause.format(**parts(comparison))


def extended(extension: Extended) -> str:
    """Return how a run was extended, and the effect on its verdicts."""
    blocks = wording.count(extension.blocks, "block")
    return (
        f"The run was extended from {extension.before} to {blocks}: a second look at the same data, judged "
        f"at {units.percent(extension.level)}, so that both together err in 5 % at most."
    )


def look_again(folder: str, blocks: int) -> str:
    """Return the command that extends a run with an unresolved verdict."""
    return (
        f"To resolve it, rnnbench run --resume {folder} --blocks {blocks} extends the run, once, to so many "
        "blocks in all."
    )


def is_decided(comparison: Comparison | None) -> bool:
    """Return whether one side is proved to be faster."""
    return comparison is not None and comparison.verdict in DECIDED


def dropped(plan: Plan, decision: Decision) -> list[str]:
    """Return the tables and arms that the time budget left out, by their titles."""
    titles = {arm.id: arm.title for arm in plan.arms}
    return [*decision.dropped_groups, *(titles.get(arm, arm) for arm in decision.dropped_arms)]


def library(arm: Arm) -> str:
    """Return the display name of an arm's library."""
    return libraries.library(arm.library).label


def variant(arm: Arm) -> str:
    """Return a variant's name, with a warning if its gradient is known to be wrong."""
    return f"{arm.variant} (known wrong gradient)" if arm.known_wrong else arm.variant


def threads(arm: Arm) -> str:
    """Return the number of threads in words: "one thread" or "2 threads"."""
    return "one thread" if arm.threads == 1 else f"{arm.threads} threads"


def place(arm: Arm) -> str:
    """Return where an arm computes: "CPU, one thread", or the id of an accelerator."""
    return f"CPU, {threads(arm)}" if arm.device == "cpu" else arm.device


def device(run: Run, device_id: str) -> str:
    """Return an accelerator's id, with its name if a worker read it: "cuda:0 (NVIDIA H100)"."""
    arms = {arm.id for arm in run.plan.arms if arm.device == device_id}
    device_names = (worker.facts.get("device_name") for worker in run.workers if arms & set(worker.arms))
    name = next(filter(None, device_names), None)
    return f"{device_id} ({name})" if name else device_id


def places(one: Arm, other: Arm) -> str:
    """Return where two arms compute: one place if both share it, else both places."""
    if (one.device, one.threads) == (other.device, other.threads):
        return place(one)
    return f"{one.variant} on {place(one)}, {other.variant} on {place(other)}"


def for_cell(case: Case) -> str:
    """Return " for a GRU" or " for an RNN with biases"; empty for the tutorial's RNN."""
    return f" for {a_cell(case)}" if cell_options(case) else ""


def numbers(case: Case) -> str:
    """Return the dtype and, if the cell has a choice, the activation: "float32, tanh"."""
    built_in = built_in_cell(case.cell)
    chosen = built_in is None or len(built_in.activations) > 1
    return f"{case.dtype}, {case.activation}" if chosen else case.dtype


def shape(case: Case) -> str:
    """Return the shape in words: "batch 128, 6 steps of 6 features, hidden 32, 8 outputs"."""
    sizes = case.shape
    shortest = "" if case.shortest is None else f"{case.shortest} to "
    steps = f"{shortest}{wording.count(sizes.T, 'step')} of {wording.count(sizes.I, 'feature')}"
    return f"batch {sizes.B}, {steps}, hidden {sizes.H}, {wording.count(sizes.O, 'output')}"


def work(case: Case) -> str:
    """Return the task and its input: "the tutorial's training step with positional input"."""
    task = TASKS[case.task] + of_cell(case)
    if case.data == "random":
        return f"the {task} on random data"
    tutorial = case.shape == sine_case(case.task, case.layout).shape and not cell_options(case)
    owner = "the tutorial's" if tutorial else "the"
    return f"{owner} {task} with {case.layout} input"


def machine(facts: dict[str, Any]) -> str:
    """Return the processor's name and the number of usable processors."""
    name = wording.short(facts["processor"]) if facts.get("processor") else "an unknown processor"
    cpus = facts.get("usable_cpus") or facts.get("cpus")
    return f"{name}, {wording.count(cpus, 'processor')}" if cpus else name


def mark(number: int | None) -> str:
    """Return the mark of a machine of a sweep by its number, from 0: "①"; empty without a number."""
    if number is None:
        return ""
    return chr(ord("①") + number) if number < MARKS else f"({number + 1})"


def machines(run: Run) -> list[str]:
    """Return each machine of a run; of a sweep over several with its mark and its host."""
    if not run.machines:
        return [machine(run.environment.machine)]
    return [
        f"{mark(number)} {part.host}: {machine(part.environment.machine)}"
        for number, part in enumerate(run.machines)
    ]


def note(note: Note) -> str:
    """Return a file's note as one line: "There more than once: a and b"."""
    return f"{wording.short(note.what)}: {wording.listing([wording.short(name) for name in note.names], 6)}"
