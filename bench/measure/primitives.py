"""Time basic operations of a library in a worker: at the sizes of a case, and at their best sizes.

The operations are those of ``bench.workload.operations`` and two more: ``copy`` of n elements into an
existing array, and ``call``, an addition of arrays without elements: the minimum cost of a call. Operands lie
between -1 and 1. After one untimed call, samples get longer until a sample shows how many calls take about
2 ms; then three samples of that many calls are kept.
"""

import math
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from bench.machine.clock import Clock, no_wait, take_value
from bench.machine.libraries import Ramp, library
from bench.measure.messages import ProbeJob
from bench.records.record import Primitive
from bench.workload import catalog
from bench.workload.case import Case
from bench.workload.cell import find_cell
from bench.workload.operations import CALL, COPY, ITEMSIZE, PRODUCT, TRANSCENDENTAL, Kernel

PEAK_PRODUCT, PEAK_ELEMENTS, PEAK_COPY = Kernel(PRODUCT, (512, 512, 512)), 1 << 20, 1 << 24
N_SAMPLES = 3
VALUE_NS = 2_000_000
ROUGH_NS = 100_000  # a sample of at least this length shows how many calls take VALUE_NS
TWO_OPERANDS = ("add", "multiply", CALL)

Call = Callable[[], object]


def wanted(case: Case, specs: Iterable[str]) -> list[Kernel]:
    """List the operations that the formulas of these variants count, at their sizes and at 1; then the peaks.

    Elementwise operations are timed at B H, B O and H H elements, and at B G, the gates of a step; times at
    other sizes follow from these. In-place operations are timed at B H and B G only. The timed copy moves as
    many bytes as a call must move.
    """
    s, cell = case.shape, find_cell(case.cell)
    of_step = s.B * s.H, s.B * cell.gates * s.H
    variants = [catalog.find(spec) for spec in specs]
    counts = [variant.count(case) for variant in variants if not variant.loops_over_batch]
    kernels = [operation.kernel for count in counts if count for operation in count.operations]
    chosen = [Kernel(CALL, (0,))]
    for kernel in kernels:
        if kernel.is_product:
            chosen += [kernel, kernel.at(1, 1, 1)]
    for elementwise in dict.fromkeys(kernel.at() for kernel in kernels if not kernel.is_product):
        sizes = (1, *of_step) if elementwise.into else (1, s.B * s.O, s.H * s.H, *of_step)
        chosen += [elementwise.at(n) for n in sizes]
    chosen.append(PEAK_PRODUCT)
    transcendental = dict.fromkeys(kernel.name for kernel in kernels if kernel.name in TRANSCENDENTAL)
    chosen += [Kernel(name, (PEAK_ELEMENTS,)) for name in transcendental or ("tanh",)]
    n_moved = cell.bytes_needed(case) // ITEMSIZE[case.dtype]
    chosen += [Kernel(COPY, (n,)) for n in (1, max(1, n_moved // 2), PEAK_COPY)]
    return list(dict.fromkeys(chosen))


def measure(name: str, job: ProbeJob, clock: Clock = time.perf_counter_ns) -> list[Primitive]:
    """Time everything that the job asks for, in its order; load no library except the worker's."""
    own_library = library(name)
    with own_library.operations(job.dtype, job.device) as operations:
        if operations is None:
            return []
        module, ramp = operations
        wait = own_library.synchroniser(job.device)
        return [
            Primitive(kernel, *time_call(make_call(module, ramp, kernel), synchronise=wait, clock=clock))
            for kernel in job.wanted
        ]


def make_call(module: Any, ramp: Ramp, kernel: Kernel) -> Call:
    """Return an operation as a call without arguments; ``module`` names its functions as NumPy does.

    Raises:
        AttributeError: the library has no such operation.
    """
    if kernel.name == COPY:
        source, target = (ramp(1).repeat(kernel.size[0]) for _ in range(2))
        copy_into = getattr(target, "copy_", None) or partial(module.copyto, target)
        return partial(copy_into, source)
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
    """Return the calls per sample of about 2 ms, and the times of three such samples in nanoseconds."""
    call()
    n_calls = 1
    while (rough := take_value(call, n_calls, synchronise=synchronise, clock=clock)).elapsed_ns < ROUGH_NS:
        n_calls *= 4
    n_calls = max(1, round(VALUE_NS / rough.per_call_ns))
    samples = [take_value(call, n_calls, synchronise=synchronise, clock=clock) for _ in range(N_SAMPLES)]
    return n_calls, [sample.elapsed_ns for sample in samples]
