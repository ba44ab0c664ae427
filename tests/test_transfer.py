"""Moving the inputs to a device is timed once, whole, alone, and never on the CPU."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from acceptance.plans import mutated
from worlds import World

from bench.machine.libraries import NUMPY
from bench.measure import worker
from bench.measure.messages import JobMaker, Turn
from bench.measure.worker import transfer_ns
from bench.records.record import Arm, Entry
from bench.workload import catalog
from bench.workload.case import sine_case
from bench.workload.data import make

CASE = sine_case("forward", "positional", batch=4, hidden=4)
LAUNCH_NS, ARRAY_NS = 10, 1_000
WHOLE_NS = LAUNCH_NS + 5 * ARRAY_NS  # of U, W, V, x, y
OPENING = ("    synchronise()  # what was launched before is not waited for below\n", "")
CLOSING = ("    synchronise()\n    elapsed_ns", "    elapsed_ns")


def measure(world: World, function: Any = transfer_ns) -> tuple[int, list[Any]]:
    """The time of a move to a device that works on its own, and what was moved."""
    moved: list[Any] = []

    def move(array: Any) -> Any:
        world.spend(LAUNCH_NS, ARRAY_NS)
        moved.append(array)
        return array.copy()

    return function(make(CASE), move, synchronise=world.synchronise, clock=world.clock), moved


@pytest.mark.parametrize("queued_ns", [0, 1_000_000])
def test_the_time_is_that_until_all_five_arrays_have_arrived_without_what_was_queued(queued_ns: int) -> None:
    world, batch = World(), make(CASE)
    world.spend(LAUNCH_NS, queued_ns)
    elapsed_ns, moved = measure(world)
    assert elapsed_ns == WHOLE_NS
    for array, own in zip(moved, (*batch.params.values(), batch.x, batch.y), strict=True):
        np.testing.assert_array_equal(array, own)


@pytest.mark.parametrize("change", [OPENING, CLOSING], ids=["opening", "closing"])
def test_without_either_wait_the_time_is_wrong(change: tuple[str, str]) -> None:
    world = World()
    world.spend(LAUNCH_NS, 1_000_000)
    assert measure(world, mutated(transfer_ns, *change))[0] != WHOLE_NS


def test_on_the_cpu_nothing_moves_and_no_clock_is_read() -> None:
    assert transfer_ns(make(CASE), NUMPY.mover("cpu"), clock=iter(()).__next__) == 0


def test_what_is_proved_tells_it_once_and_no_value_repeats_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves: list[str] = []
    monkeypatch.setattr(worker, "transfer_ns", lambda *args, **options: moves.append("moved") or 1234)
    monkeypatch.setattr(worker, "_implausible", lambda *args: "")  # its times are not those of this test
    arm = Arm("numpy-batched@cpu x1", "numpy-batched", "numpy-batched", "numpy", "cpu", 1)
    job = JobMaker(tmp_path).prove(Entry("e", "g", arm.id, CASE, None), arm, None)
    held, proved = worker.hold(catalog.find("numpy-batched"), job, worker.Inputs.load(job), fresh=True)
    for batch in (1, 0):
        worker.take(held, Turn("e", batch, proved.n_calls, 1, None))
    assert proved.transfer_ns == 1234
    assert moves == ["moved"]
