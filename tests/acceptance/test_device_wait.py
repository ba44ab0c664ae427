"""T9: work that goes on after the call has returned is timed in full, and only that work."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from acceptance.fake_device import WORK_NS, FakeDevice, device_variant
from acceptance.plans import CASE, mutated
from acceptance.validity import Recorder

from bench.machine import clock
from bench.machine.libraries import NumPy
from bench.measure import worker
from bench.measure.messages import JobMaker, Turn
from bench.records.record import Arm, Calibration, Entry

N_CALLS, VALUES, TOLERANCE = 8, 15, 0.05
OPENING = "        synchronise()\n        start = clock()", "        start = clock()"
CLOSING = "        synchronise()\n        end = clock()", "        end = clock()"
TakeValue = Callable[..., clock.Value]


@pytest.fixture
def device() -> Iterator[FakeDevice]:
    device = FakeDevice()
    yield device
    device.close()


def take(
    device: FakeDevice, take_value: TakeValue = clock.take_value, *, queued: int = 0
) -> list[clock.Value]:
    """Values of calls that launch 2 ms each, with some work in the queue already."""
    values = []
    for _ in range(VALUES):
        for _ in range(queued):
            device.launch()
        values.append(take_value(device.launch, N_CALLS, synchronise=device.synchronise))
    return values


def error(values: list[clock.Value]) -> float:
    """Of the median value."""
    return abs(float(np.median([value.per_call_ns for value in values])) / WORK_NS - 1)


def test_work_of_a_device_is_timed_within_5_percent(validity: Recorder, device: FakeDevice) -> None:
    values = take(device)
    waited = take(device, queued=2)
    errors = error(values), error(waited)
    residual = np.median([value.residual_ns / value.elapsed_ns for value in values])
    kept = max(errors) <= TOLERANCE and not clock.still_busy(values)
    validity.record(
        "T9",
        claim="2 ms of a device's work in its own thread, alone and with other work queued before",
        promised="within 5 %, nothing left after the wait (residual at most 1 %)",
        measured=f"{100 * errors[0]:.2f} %, {100 * errors[1]:.2f} %; residual {100 * residual:.3f} %",
        kept=kept,
    )
    assert kept


def test_without_the_closing_wait_the_residual_check_refuses(validity: Recorder, device: FakeDevice) -> None:
    values = take(device, mutated(clock.take_value, *CLOSING))
    residual = np.median([value.residual_ns / value.elapsed_ns for value in values])
    caught = clock.still_busy(values) and error(values) > TOLERANCE
    validity.record(
        "T9-mutant-closing",
        claim="caught: a mutant that does not wait before its second look at the clock",
        promised="refused by the residual check",
        measured=f"residual {residual:.0f} times the value, which was {100 * error(values):.1f} % off",
        kept=caught,
    )
    assert caught


def test_without_the_opening_wait_earlier_work_is_timed_as_well(
    validity: Recorder, device: FakeDevice
) -> None:
    values = take(device, mutated(clock.take_value, *OPENING), queued=2)
    caught = error(values) > TOLERANCE
    validity.record(
        "T9-mutant-opening",
        claim="caught: a mutant that does not wait before its first look at the clock, work being queued",
        promised=f"off by more than {100 * TOLERANCE:.0f} %",
        measured=f"{100 * error(values):.0f} % off",
        kept=caught,
    )
    assert caught


def test_a_whole_burst_waits_for_its_device(
    validity: Recorder, device: FakeDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NumPy, "synchroniser", lambda own, _: device.synchronise)
    arm = Arm("fake@cpu x2", "fake", "fake", "numpy", "cpu", 2)  # the device's thread is the second
    entry, jobs = Entry("e", "g", arm.id, CASE, None), JobMaker(tmp_path)

    def values(found: Calibration | None) -> tuple[int, list[clock.Value]]:
        """Calls of a value, and what a worker takes."""
        job = jobs.prove(entry, arm, found)
        kept, proved = worker.hold(device_variant(device), job, worker.Inputs.load(job), fresh=True)
        turns = [Turn("e", batch, proved.n_calls, 1, None) for batch in (1, 0, 1, 0, 1)]
        return proved.n_calls, [worker.take(kept, turn) for turn in turns]

    n_calls, right = values(None)
    monkeypatch.setattr(clock, "take_value", mutated(clock.take_value, *CLOSING))
    # the mutant's own calibration would ask for thousands of calls
    _, wrong = values(Calibration(N_CALLS, 1, True, 1))

    off = abs(float(np.median([value.elapsed_ns for value in right])) / n_calls / WORK_NS - 1)
    refused = clock.still_busy(wrong) and not clock.still_busy(right)
    validity.record(
        "T9-burst",
        claim="a whole burst (proof, warm-up, calibration, values) on that device; and by the first mutant",
        promised="within 5 %; the mutant's is INVALID",
        measured=f"{100 * off:.2f} % off; {'still busy' if refused else 'accepted'}",
        kept=off <= TOLERANCE and refused,
    )
    assert off <= TOLERANCE
    assert refused
