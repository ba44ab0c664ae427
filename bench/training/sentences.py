"""A training in plain English, true to its numbers: for the terminal and for the page."""

from collections.abc import Iterator, Sequence

import numpy as np

from bench.machine import units, wording
from bench.machine.wording import full_stop
from bench.training.curves import Training, TrainRun

SAME = 0.01  # losses that differ by less are one line in the plot


def sentences(training: Training) -> list[str]:
    """All that there is to say, the most important first."""
    return [*troubles(training), *answer(training), *findings(training)]


def troubles(training: Training) -> list[str]:
    """What did not go as asked, and what to know of the series."""
    made = [
        full_stop(f"{stop.variant}: {stop.reason}") for stop in training.stops if stop.status != "complete"
    ]
    missing = training.header.settings.variants[len(training.stops) :]
    if missing:
        made.append(f"Not started: {', '.join(missing)}.")
    return [*made, *training.header.notes]


def answer(training: Training) -> list[str]:
    """Time to the target, the curves, the test error."""
    runs = [run for run in training.runs if len(run.losses)]
    if not runs:
        return ["Nothing was trained far enough to say anything."]
    made: list[str] = []
    if training.target is not None:
        made += _to_target(training.target, runs)
    made += [*_pace(runs), *_break_even(runs), *_curves(training), *_test_error(training, runs)]
    return made


def findings(training: Training) -> list[str]:
    """What the published gradient does, what is learnt without memory, and what has no distance."""
    return [*_published(training), *_without_memory(training), *_from_zero(training)]


def curves(training: Training) -> str:
    """Whether the exact variants' losses are one curve over epochs; short, for the plot. Empty for one."""
    apart = training.difference
    if apart is None:
        return ""
    if apart.largest == 0:
        return "the curves are equal to the last digit"
    if apart.largest < SAME:
        return f"the curves lie on each other: largest difference {units.error(apart.largest)} of the loss"
    largest, epoch = units.percent(apart.largest), units.whole(apart.epoch)
    return f"the curves part: largest difference {largest} of the loss, at epoch {epoch}"


def loss(value: float) -> str:
    """A loss: 1.23e-04."""
    return f"{value:.2e}"


def name(run: TrainRun) -> str:
    """A variant with the warning that goes with it, and its device where that is not the CPU."""
    device = "" if run.device == "cpu" else f" on {run.device}"
    return f"{run.variant}{device}{' (known wrong gradient)' if run.known_wrong else ''}"


def _to_target(target: float, runs: Sequence[TrainRun]) -> Iterator[str]:
    """Who reached the target when, how much of that is not training, and who did not reach it."""
    there = [run for run in runs if run.time_to_target_s is not None]
    each = [f"{name(run)} in {units.seconds(run.time_to_target_s or 0.0)}" for run in there]
    parts = [
        f"{name(run)} {units.seconds(run.startup_s)} and {units.duration((run.first_call_s or 0.0) * 1e9)}"
        for run in there
    ]
    if there:
        yield (
            f"From the start of its process, a loss of {loss(target)} was reached by "
            f"{wording.listing(each, most=len(each))}. Start-up and first call are part of that: "
            f"{wording.listing(parts, most=len(parts)) if len(parts) < 3 else '; '.join(parts)}."
        )
    for run in runs:
        if run not in there:
            yield f"{name(run)} did not reach a loss of {loss(target)} in {_epochs(run)}."


def _break_even(runs: Sequence[TrainRun]) -> Iterator[str]:
    """After how many epochs a later start is made up for, between the first variant and those of the other
    library. With one process each it has no interval."""
    timed = [run for run in runs if run.per_epoch_s is not None and run.first_call_s is not None]
    for one, other in ((timed[0], run) for run in timed[1:] if run.library != timed[0].library):
        gap_s = _until_first(other) - _until_first(one)
        gain_s = (one.per_epoch_s or 0.0) - (other.per_epoch_s or 0.0)
        early, late = (one, other) if gap_s > 0 else (other, one)
        later = f"{name(late)} has its first epoch done {units.seconds(abs(gap_s))} later than {name(early)}"
        if gap_s * gain_s > 0:
            epochs = wording.count(1 + round(gap_s / gain_s), "epoch")
            yield f"{later} and, at its shorter epoch, is level with it after {epochs}."
        else:
            yield f"{later}, and an epoch takes it longer: it never catches up."


def _until_first(run: TrainRun) -> float:
    """Seconds from the start of the process to the end of the first epoch."""
    return run.startup_s + (run.first_call_s or 0.0)


def _epochs(run: TrainRun) -> str:
    return wording.count(int(run.epochs[-1]), "epoch")


def _pace(runs: Sequence[TrainRun]) -> Iterator[str]:
    """Time per epoch; no verdict, since each variant had one process only."""
    each = [f"{name(run)} {units.duration(run.per_epoch_s * 1e9)}" for run in runs if run.per_epoch_s]
    if each:
        told = wording.listing(each, most=len(runs))
        yield f"An epoch took {told}: one process each, so there is no interval; rnnbench run gives one."


def _curves(training: Training) -> Iterator[str]:
    told = curves(training)
    if told:
        yield f"Over epochs {told} ({training.header.settings.dtype})."


def _test_error(training: Training, runs: Sequence[TrainRun]) -> Iterator[str]:
    """Errors on the test windows, next to the forecast that only repeats the last known value."""
    each = [
        f"{name(run)} {units.number(run.rmse)} (Huber loss {loss(run.huber)})"
        for run in runs
        if run.rmse is not None and run.huber is not None and run.status != "diverged"
    ]
    if each:
        header = training.header
        yield (
            f"Test error, RMSE over {wording.count(len(header.truth), 'window')} in the series' own units: "
            f"{wording.listing(each, most=len(each))}; repeating the last known value gives "
            f"{units.number(header.naive_rmse)}."
        )
        if header.split == "random":
            yield (
                "The split is random, so test windows share all but one value with training windows: this "
                "error is memory as much as forecast. The split “tail” tests on what comes after."
            )


def _published(training: Training) -> Iterator[str]:
    """A known wrong gradient against an exact one, from the same start, at their last common epoch."""
    exact = next((run for run in training.runs if not run.known_wrong and len(run.losses)), None)
    for run in training.runs:
        if not run.known_wrong or exact is None or not len(run.losses):
            continue
        if training.header.shape.T == 1:
            yield f"With a single step {run.variant}'s gradient is right: the error needs T > 1."
            continue
        n = min(len(run.losses), len(exact.losses))
        wrong, right = float(run.losses[n - 1]), float(exact.losses[n - 1])
        start, epochs = loss(float(exact.losses[0])), wording.count(int(exact.epochs[n - 1]), "epoch")
        higher = int(np.sum(run.losses[:n] > exact.losses[:n]))
        yield (
            f"What the published gradient does: from the same start (loss {start}) {run.variant} is at "
            f"{loss(wrong)} after {epochs}, {exact.variant} with the exact gradient at {loss(right)}: "
            f"{_times(wrong, right)}. Its loss was the higher of the two in {higher} of {n} reports."
        )


def _times(one: float, other: float) -> str:
    """How one loss compares with another, which may be zero."""
    if abs(one - other) <= SAME * other:
        return "the same"
    if not min(one, other):
        return "higher" if one > other else "lower"
    return (
        f"{units.ratio(one / other)} times as high"
        if one > other
        else f"lower by a factor of {units.ratio(other / one)}"
    )


def _without_memory(training: Training) -> Iterator[str]:
    """On a single step W is never used."""
    if training.header.shape.T != 1:
        return
    runs = [run for run in training.runs if run.moved and len(run.losses)]
    still = [run for run in runs if run.moved.get("W") == 0]
    if still:
        names = wording.listing([run.variant for run in still])
        first, last = loss(float(still[0].losses[0])), loss(float(still[0].losses[-1]))
        yield (
            f"W did not change at all in {names}: with a single step h_0 = 0 is all there is to remember, "
            "and the gradient of W is exactly zero. The tutorial's PyTorch program learns like that, without "
            f"memory; the loss went from {first} to {last} ({still[0].variant})."
        )
    if moving := [run for run in runs if run.moved.get("W")]:
        yield f"W changed in {wording.listing([run.variant for run in moving])}, which it should not."


def _from_zero(training: Training) -> Iterator[str]:
    """A matrix that was zero at the start has no distance in units of that."""
    for stop in training.stops:
        if stop.moved is not None and (zero := [name for name in ("U", "W", "V") if name not in stop.moved]):
            yield (
                f"How far {wording.listing(zero)} of {stop.variant} moved has no measure: at the start all "
                "of it was zero, or next to it."
            )
