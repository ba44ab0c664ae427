"""Basic operations of a library, timed by a worker: its own speed at the sizes of a case, and at its best.

They are those of ``bench.workload.operations``, and two more: ``copy`` of n elements into an array that is
there already, and ``call``, an addition of arrays without elements: the least that a call costs.
Operands lie between -1 and 1. After one call, values grow until one tells how many calls take about 2 ms;
three values of so many are kept.
"""

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from bench.machine.clock import Clock, no_wait, take_value
from bench.machine.libraries import Ramp, library
from bench.measure.messages import ProbeJob
from bench.records.record import Primitive
from bench.workload.operations import CALL, COPY, Kernel

VALUES = 3
VALUE_NS = 2_000_000
ROUGH_NS = 100_000  # a value at least so long tells how many calls make a good one
TWO_OPERANDS = ("add", "multiply", CALL)

Call = Callable[[], object]


def measure(name: str, job: ProbeJob, clock: Clock = time.perf_counter_ns) -> list[Primitive]:
    """Time everything the job asks for, in its order. Loads no other library than the worker's own."""
    own = library(name)
    with own.operations(job.dtype, job.device) as operations:
        if operations is None:
            return []
        module, ramp = operations
        return time_all(module, ramp, job, own.synchroniser(job.device), clock)


def time_all(module: Any, ramp: Ramp, job: ProbeJob, wait: Call, clock: Clock) -> list[Primitive]:
    """Return each operation with its values."""
    return [
        Primitive(kernel, *time_call(make_call(module, ramp, kernel), synchronise=wait, clock=clock))
        for kernel in job.wanted
    ]


def make_call(module: Any, ramp: Ramp, kernel: Kernel) -> Call:
    """Return an operation that is ready to be called; ``module`` names its functions as NumPy does.

    Raises:
        AttributeError: the library has no such operation.
    """
    if kernel.name == COPY:
        source, target = (ramp(1).repeat(kernel.size[0]) for _ in range(2))
        into = getattr(target, "copy_", None) or partial(module.copyto, target)
        return partial(into, source)
    if kernel.is_product:
        m, k, n = kernel.size
        left = ramp(k * m).reshape(k, m).T if kernel.stored == "TN" else ramp(m * k).reshape(m, k)
        right = ramp(n * k).reshape(n, k).T if kernel.stored == "NT" else ramp(k * n).reshape(k, n)
        call, shape = partial(module.matmul, left, right), [m, n]
    else:
        (n,) = kernel.size
        operands = [ramp(n) for _ in range(2 if kernel.name in TWO_OPERANDS else 1)]
        function = getattr(module, "add" if kernel.name == CALL else kernel.name)
        call, shape = partial(function, *operands), [n]
    return partial(call, out=ramp(math.prod(shape)).reshape(shape)) if kernel.into else call


def time_call(
    call: Call, *, synchronise: Call = no_wait, clock: Clock = time.perf_counter_ns
) -> tuple[int, list[int]]:
    """Return how many calls make a value of about 2 ms, and the nanoseconds of three such values."""
    call()
    n_calls = 1
    while (rough := take_value(call, n_calls, synchronise=synchronise, clock=clock)).elapsed_ns < ROUGH_NS:
        n_calls *= 4
    n_calls = max(1, round(VALUE_NS / rough.per_call_ns))
    values = [take_value(call, n_calls, synchronise=synchronise, clock=clock) for _ in range(VALUES)]
    return n_calls, [value.elapsed_ns for value in values]
