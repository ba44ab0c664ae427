"""What moving a piece of work to its device takes: a cost of starting, and no part of any value."""

import time

from bench.machine.clock import Call, Clock, no_wait
from bench.machine.libraries import Move
from bench.workload.data import Batch


def transfer_ns(
    batch: Batch, move: Move | None, *, synchronise: Call = no_wait, clock: Clock = time.perf_counter_ns
) -> int:
    """Nanoseconds of the host's clock until U, W, V, x and y are on the device; 0 where none need move.

    ::

        synchronise; t0; move five arrays; synchronise; t1      t1 - t0
    """
    if move is None:
        return 0
    synchronise()  # what was launched before is not waited for below
    start = clock()
    moved = [move(array) for array in (*batch.params.values(), batch.x, batch.y)]
    synchronise()
    elapsed_ns = clock() - start
    moved.clear()  # not earlier: a copy that nobody holds may be dropped before it has arrived
    return elapsed_ns
