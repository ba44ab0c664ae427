"""What must be said beside the numbers: warnings, noise, what a number holds, how to get it again."""

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median

from bench.analysis.statistics import FIRST_LOOK
from bench.analysis.summary import Summary
from bench.analysis.verdict import Comparison
from bench.machine import clock, units, wording
from bench.machine.wording import full_stop
from bench.records.record import Plan
from bench.records.run import Run
from bench.reporting import words
from bench.reporting.facts import Facts

EXACT = " with the exact 95 % interval of the signed-rank test"


def warnings(run: Run, summary: Summary) -> list[str]:
    """What to know about the run and its machine when reading the numbers."""
    made = []
    if run.decision and (dropped := words.dropped(run.plan, run.decision)):
        made.append(
            f"To keep within its time budget the run left out: {wording.listing(dropped, 6)} (the whole plan "
            f"would have taken {units.seconds(run.decision.predicted_s)})."
        )
    return [*made, *(full_stop(wording.capital(warning)) for warning in summary.warnings)]


def noise(run: Run, summary: Summary) -> list[tuple[str, str, str]]:
    """The twins, by table: how far the same thing differs when it is measured twice, and the noise floor."""
    made = []
    for twin in (one for one in summary.twins if not one.left_out):
        where = f"{run.entries[twin.entry].group}; {words.place(run.arms[twin.arm])}"
        floor = units.NOTHING if twin.noise_floor is None else units.percent(twin.noise_floor)
        ratio = twin.reason if twin.ratio is None else units.with_interval(twin.ratio, twin.low, twin.high)
        made.append((where, ratio, floor))
    return made


def contents(run: Run, summary: Summary) -> list[str]:
    """Which region the clock enclosed, under which conditions, and how a value comes about."""
    calls = [burst.n_calls for burst in run.bursts if burst.block >= 1]
    values = [len(burst.elapsed_ns) for burst in run.bursts if burst.block >= 1]
    made = [
        "One call is one execution of the task. A training step is forward pass, loss, gradient and update "
        "of the parameters; gradient is forward pass, loss and gradient; forward is the prediction alone.",
        "Within the clock: the call from Python, the library's work and, on an accelerator, the wait until "
        "the device has finished. Not within: importing, building modules, the first call, moving data to a "
        "device, resetting the parameters, the proof.",
        "The data lie where they are used and caches are warm: the same arrays are used again and again. "
        "The garbage collector is off while the clock runs.",
    ]
    if calls:
        made.append(
            f"A value is the time of {_reach(calls, 'call')} in one clock pair, divided by their number, "
            f"which was chosen for about {units.duration(clock.MIN_VALUE_NS)} or more. A block is a fresh "
            f"process for each arm and {_reach(values, 'value')} of each entry, in random order; "
            f"{wording.count(summary.blocks, 'block')} count, the one before, which checks results and finds "
            "how long a call takes, does not."
        )
    return made


def sure(facts: Facts) -> list[str]:
    """How many comparisons came to what verdict, and how far two measurements of the same thing differ."""
    summary, made = facts.summary, []
    if summary.control:
        made.append(full_stop(f"Not at all: no verdict is given, since {summary.control}"))
    elif summary.headlines and summary.verdicts:
        made.append(
            f"{_decided(summary.headlines)} All were declared before the first value; each stands on "
            f"{wording.count(summary.blocks, 'block')} at most, with fresh processes in random order."
        )
    elif not summary.verdicts:
        made.append("These are times of a quick run, without verdicts.")
    if facts.noise_floor and not summary.control:
        twice = len({facts.entries[twin.entry].case.shape for twin in summary.twins if twin.noise_floor})
        where = f"at the {wording.count(twice, 'size')} " if facts.is_grid and twice > 1 else ""
        made.append(
            f"The noise floor says how far the same code lay apart {where}where it was measured twice: so "
            f"far does the interval of its ratio reach from 1 ({facts.noise_floor}). Verdicts do not come "
            "from it but from the blocks of each comparison, and may rest on a smaller difference."
        )
    return made


def _decided(declared: Sequence[Comparison]) -> str:
    """How many comparisons are decided, of those that were run; what was not for the time is no failure."""
    ran = [one for one in declared if not one.left_out]
    late = len(declared) - len(ran)
    rest = f"; {units.whole(late)} were left out to save time" if late > 1 else ""
    rest = "; one was left out to save time" if late == 1 else rest
    if not ran:
        return f"No comparison was run{rest}."
    which = wording.count(len(ran), "comparison") + (" that were run" if late and len(ran) > 1 else "")
    counts = Counter(one.verdict for one in ran)
    decided = counts.pop("FASTER", 0) + counts.pop("SLOWER", 0)
    if not counts and decided > 1:
        return f"All {which} are decided, FASTER or SLOWER{rest}."
    others = wording.listing([f"{word} {n}" for word, n in counts.items()])
    of = f"{decided} of {which}"
    verdicts = f"decided, FASTER or SLOWER{f'; the others: {others}' if others else ''}"
    return f"{of} {'is' if len(ran) == 1 else 'are'} {verdicts}{rest}."


def validity(facts: Facts) -> list[str]:
    """How verdicts come about, what was measured how often, and what disturbed it."""
    run, summary = facts.run, facts.summary
    level = f"{run.extended.level if run.extended else FIRST_LOOK:g}"
    if run.extended and any(group.blocks is not None for group in run.plan.groups):
        level += f" ({FIRST_LOOK:g} in tables that got no more blocks)"
    return [
        f"A verdict FASTER or SLOWER needs p ≤ {level}, adjusted after Holm for all comparisons of a table"
        f"{'; the interval shown is that of the one comparison' * facts.intervals}. EQUIVALENT means within "
        f"{units.percent(run.plan.margin)}; UNRESOLVED, that more blocks would be needed to say.",
        *([words.extended(run.extended)] if run.extended else []),
        "A time is the median over the blocks of the median in each. A ratio is the entry's time over the "
        "baseline's, taken in each round, where they are neighbours in time; of a block it is their median, "
        f"over blocks the Hodges-Lehmann estimate{EXACT * facts.intervals}. So it need not be the ratio of "
        "the two times beside it. Below 1 the entry is faster.",
        f"{wording.capital(wording.count(summary.blocks, 'block'))} count, each with fresh "
        f"processes. Nothing was discarded: {units.whole(summary.values)} values, "
        f"{units.whole(summary.outliers)} of them outliers.",
        *_disturbances(run, summary),
    ]


def _disturbances(run: Run, summary: Summary) -> list[str]:
    """What the gates saw, and what fell apart into two modes."""
    made = []
    if run.plan.gates:
        made.append(
            f"Something disturbed {wording.count(summary.disturbed, 'burst')}; the values count: both "
            "sides of a round stand milliseconds apart, so that what slows the machine slows both."
        )
    scatters = [
        f"{headline.arm} over {headline.baseline_arm}: processes by "
        f"{units.percent(headline.process_scatter)}, rounds of one process by "
        f"{units.percent(headline.round_scatter)}"
        for headline in summary.headlines
        if headline.process_scatter is not None and headline.round_scatter is not None
    ]
    if scatters:
        made.append(f"By how much a ratio differs (standard deviation): {wording.listing(scatters, 6)}.")
    if run.void:
        made.append(
            f"The run was cut off and went on later: {wording.count(run.void, 'record')} of the blocks "
            "that were measured anew are kept in the journal and do not count."
        )
    modes = [
        f"{entry} (slower by {units.percent(slower)} in {wording.count(blocks, 'block')})"
        for entry, (blocks, slower) in summary.modes.items()
    ]
    if modes:
        made.append(f"BIMODAL, the processes of an entry having two speeds: {wording.listing(modes, 12)}.")
    return made


def starts(run: Run) -> list[tuple[str, str, str]]:
    """For each arm the median start of its workers and of their first calls; compile times."""
    calls_of: dict[str, list[int]] = {}
    for burst in run.bursts:
        if burst.cold_call_ns:
            calls_of.setdefault(run.entries[burst.entry].arm, []).append(burst.cold_call_ns)
    made = []
    for arm in run.plan.arms:
        ready = [worker.ready_ns for worker in run.workers if arm.id in worker.arms]
        if ready:
            made.append((arm.id, _median(ready), _median(calls_of.get(arm.id, []))))
        for what, cold in (("compiling from nothing, block 0", True), ("loading what was compiled", False)):
            times = [w.compile_ns for w in run.workers if arm.id in w.arms and (w.block == 0) == cold]
            if any(times):
                made.append((f"{arm.id}: {what} (wall time)", _median(times), units.NOTHING))
    return made


def reproduce(plan: Plan, summary: Summary) -> list[tuple[str, str]]:
    """Everything that makes the same run again."""
    took = "" if summary.seconds is None else f", took {units.seconds(summary.seconds)}"
    return [
        ("Command", " ".join(plan.command)),
        ("Version", f"rnnbench {plan.version}"),
        ("Order", f"shuffled from seed {plan.seed} (--seed {plan.seed} makes it again)"),
        (
            "Plan",
            f"preset {plan.preset}, {wording.count(plan.blocks, 'block')}, declared before the first value",
        ),
        ("Started", f"{plan.started_utc}{took}"),
    ]


def _median(times_ns: Iterable[int]) -> str:
    times = list(times_ns)
    return units.duration(median(times)) if times else units.NOTHING


def _reach(counts: list[int], noun: str) -> str:
    """3 to 5 values."""
    low, high = min(counts), max(counts)
    return wording.count(high, noun) if low == high else f"{units.whole(low)} to {wording.count(high, noun)}"
