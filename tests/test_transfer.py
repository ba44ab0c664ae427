"""Moving the inputs to a device is timed once, whole, alone, and never on the CPU."""

from typing import Any

import numpy as np
import pytest
from acceptance.plans import mutated

from bench.machine.libraries import NUMPY
from bench.measure import worker
from bench.measure.messages import JobMaker, Turn
from bench.measure.worker import transfer_ns
from bench.records.record import Arm, Entry
from bench.workload import catalog
from bench.workload.case import sine_case
from bench.workload.data import Batch, make

CASE = sine_case("forward", "positional", batch=4, hidden=4)
LAUNCH_NS, ARRAY_NS = 10, 1_000
ARRAYS = 5  # U, W, V, x, y


class FakeDevice:
    """A device with a queue, in a world whose clock stands still unless something takes time."""

    def __init__(self) -> None:
        self.now = 0
        self.busy_until = 0
        self.moved: list[Any] = []

    def clock(self) -> int:
        return self.now

    def launch(self, work_ns: int) -> None:
        """Takes little of the host's time; the device works on its own."""
        self.now += LAUNCH_NS
        self.busy_until = max(self.busy_until, self.now) + work_ns

    def move(self, array: Any) -> Any:
        self.launch(ARRAY_NS)
        self.moved.append(array)
        return array.copy()

    def synchronise(self) -> None:
        self.now = max(self.now, self.busy_until)


@pytest.fixture
def batch() -> Batch:
    return make(CASE)


def measure(device: FakeDevice, batch: Batch, function: Any = transfer_ns) -> int:
    taken: int = function(batch, device.move, synchronise=device.synchronise, clock=device.clock)
    return taken


def test_the_time_is_that_until_all_five_arrays_have_arrived(batch: Batch) -> None:
    device = FakeDevice()
    assert measure(device, batch) == LAUNCH_NS + ARRAYS * ARRAY_NS
    for array, own in zip(device.moved, (*batch.params.values(), batch.x, batch.y), strict=True):
        np.testing.assert_array_equal(array, own)


def test_what_was_queued_before_is_not_in_it(batch: Batch) -> None:
    device = FakeDevice()
    device.launch(1_000_000)
    assert measure(device, batch) == LAUNCH_NS + ARRAYS * ARRAY_NS


OPENING = ("    synchronise()  # what was launched before is not waited for below\n", "")
CLOSING = ("    synchronise()\n    elapsed_ns", "    elapsed_ns")


@pytest.mark.parametrize("change", [OPENING, CLOSING], ids=["opening", "closing"])
def test_without_either_wait_the_time_is_wrong(batch: Batch, change: tuple[str, str]) -> None:
    device = FakeDevice()
    device.launch(1_000_000)
    assert measure(device, batch, mutated(transfer_ns, *change)) != LAUNCH_NS + ARRAYS * ARRAY_NS


def test_on_the_cpu_nothing_moves_and_no_clock_is_read(batch: Batch) -> None:
    def never() -> int:
        raise AssertionError("the clock was read")

    assert transfer_ns(batch, NUMPY.mover("cpu"), clock=never) == 0


def test_what_is_proved_tells_it_once_and_no_value_repeats_it(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(worker, "transfer_ns", lambda *args, **options: told.append("moved") or 1234)
    monkeypatch.setattr(worker, "_implausible", lambda *args: "")  # its times are not those of this test
    arm = Arm("numpy-batched@cpu x1", "numpy-batched", "numpy-batched", "numpy", "cpu", 1)
    job = JobMaker(tmp_path).prove(Entry("e", "g", arm.id, CASE, None), arm, None)
    kept, proved = worker.hold(catalog.find("numpy-batched"), job, worker.Inputs.load(job), fresh=True)
    for batch in (1, 0):
        worker.take(kept, Turn("e", batch, proved.n_calls, 1, None))
    assert proved.transfer_ns == 1234
    assert told == ["moved"]
