"""Check whether a variant did its work in the timed calls; the checks work for any variant.

Results are compared elsewhere, after every sample, on inputs that change. A correct result may still not have
been computed in the timed call: the variant may reuse an earlier result, delay the work until ``result``, or
leave the work to a thread. Each check returns an error text with the figures, or "" if the variant passes. No
check may accuse an honest variant. So limits are wide; cheating makes a call several times faster and is
still found.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np

from bench.machine.clock import MIN_VALUE_NS, Call, Clock, no_wait
from bench.measure.primitives import PEAK_PRODUCT
from bench.proof.tolerance import Array, norm
from bench.records.record import Primitive
from bench.workload.case import Case
from bench.workload.cell import find_cell
from bench.workload.operations import PRODUCT, Kernel

MAX_RATIO = 4  # largest allowed ratio between times that should be equal
SLACK_NS = 10_000  # the cost of a few cold caches; shorter calls cannot be judged
MAX_REPETITIONS, MIN_REPETITIONS = 9, 2
REPETITIONS_NS = 50_000_000  # total time of single calls: 9 repetitions up to 5 ms per call, 2 above 20 ms
N_ROWS = 3  # rows of N calls in one attempt
MAX_ATTEMPTS = 3  # a variant is accused only if every attempt fails
MAX_ROW_NS = 100 * MIN_VALUE_NS  # a longer row is stopped: N was chosen when calls were too fast to compute
DEFERRED_SLACK_NS = 100_000  # the first copies after calls of other code took 30 us longer than the second
MAX_STACKED_ROWS = 1024  # largest T * B of the probed product for all steps; more does not raise its rate
MAX_SPEEDUP = 2  # of a variant's products over the library's best products


def linear(
    call: Call, feed: Call, reset: Call, n_calls: int, *, synchronise: Call = no_wait, clock: Clock
) -> str:
    """Compare the times of 1, 2 and N calls after new inputs: does every call compute?

    ``feed`` writes inputs that the variant has not seen. (With two alternating batches the variant could keep
    a result for each.) Results are ignored, so any inputs of this kind suffice. Each time is a minimum over
    repetitions, and starts and ends with a wait for the device::

        alone    feed; reset; 1 call
        pair     feed; reset; 2 calls
        row      feed; reset; N calls
        after    2 calls directly after the row
        again    reset; N calls, on the inputs of the row

    An honest variant has pair - alone = row / N, after = pair and again = row. The check compares::

        alone > pair - alone    the second call returns the result of the first call
        alone > row / N         most calls of the row do so
        pair  > after           the variant stops computing some calls after new inputs
        row   > again           the variant keeps a result for each step of a training

    Here ``>`` means "more than four times as long, plus 10 us", because the first call after other code runs
    with cold caches and mispredicted branches, the processor's clock may double, and noise in all nine
    repetitions makes a minimum too long. On an accelerator a call alone takes launch L + work D + latency S,
    a call in a row max(L, D). So L + D is at most twice max(L, D). For S, the time of a ``feed`` with its
    wait is added to the 10 us. The speed of the machine may change between any two times, so an error must
    occur in three attempts.

    For the CPU, ``clock`` reads the processor time of the process. On a wall clock, with sixteen programs on
    two processors, honest variants failed: one row always waited 20 ms, the next row never.

    With N = 1 every sample is a single call, and the check passes. The check costs about 30 calls and 6 rows;
    for calls over 20 ms it costs 12 calls and 4 rows, each row stopped after 0.25 to 0.5 s.
    """
    if n_calls == 1:
        return ""

    def row(most: int) -> tuple[int, int]:
        """Make ``most`` calls in a row, or fewer if the row gets too long; return calls and nanoseconds."""
        synchronise()
        start_ns, n, step = clock(), 0, 1
        while n < most and clock() - start_ns < MAX_ROW_NS:
            for _ in range(step):
                call()
            n += step
            step = min(2 * step, most - n)
        synchronise()
        return n, clock() - start_ns

    def row_on_new_inputs(most: int) -> tuple[int, int]:
        """Write new inputs, and make a row of calls."""
        feed()
        reset()
        return row(most)

    def latency_ns() -> int:
        """Return the time of a feed with its wait for the device."""
        synchronise()
        start_ns = clock()
        feed()
        synchronise()
        return clock() - start_ns

    reuse_message = "results are kept, not computed"

    def measure() -> str:
        """Make one attempt; return an error text, or an empty text."""
        slack_ns = SLACK_NS + (0 if synchronise is no_wait else min(latency_ns() for _ in range(N_ROWS)))
        rough_ns = min(row_on_new_inputs(1)[1] for _ in range(MIN_REPETITIONS))
        repetitions = max(MIN_REPETITIONS, min(MAX_REPETITIONS, REPETITIONS_NS // max(1, rough_ns)))
        singles = [(row_on_new_inputs(1)[1], row_on_new_inputs(2)[1]) for _ in range(repetitions)]
        alone_ns, pair_ns = (min(times) for times in zip(*singles, strict=True))
        rows = []
        for _ in range(min(N_ROWS, repetitions)):
            n, row_ns = row_on_new_inputs(n_calls)
            if n < n_calls:
                return (
                    f"{n} calls take {_us(row_ns)} on new inputs, though {n_calls} make a value: "
                    f"{reuse_message}"
                )
            after_ns = row(2)[1]
            reset()
            rows.append((row_ns, after_ns, row(n_calls)[1]))
        row_ns, after_ns, again_ns = (min(times) for times in zip(*rows, strict=True))

        def is_longer(long_ns: float, short_ns: float) -> bool:
            return long_ns > MAX_RATIO * short_ns + slack_ns

        if is_longer(alone_ns, in_row_ns := row_ns / n_calls):
            return (
                f"a call alone takes {_us(alone_ns)}, one of {n_calls} in a row {_us(in_row_ns)}: "
                f"{reuse_message}"
            )
        if is_longer(alone_ns, second_ns := max(0, pair_ns - alone_ns)):
            return (
                f"a call on new inputs takes {_us(alone_ns)}, the next one {_us(second_ns)}: {reuse_message}"
            )
        if is_longer(pair_ns, after_ns):
            return (
                f"2 calls take {_us(pair_ns)}, 2 after {n_calls} others {_us(after_ns)}: it stops computing"
            )
        if is_longer(row_ns, again_ns):
            return f"{n_calls} calls take {_us(row_ns)}, the same once more {_us(again_ns)}: {reuse_message}"
        return ""

    for _ in range(MAX_ATTEMPTS):
        if not (reason := measure()):
            break
    return reason


def deferred(first_ns: Sequence[int], second_ns: Sequence[int], per_call_ns: float) -> str:
    """Compare two successive readings of a result: a slower first one shows work put off until ``result``.

    ``first_ns`` has the time of ``result`` directly after each sample, ``second_ns`` of another ``result``
    directly after the first. The late work may be done in ``result`` or by a thread. For the CPU, both are
    processor times of the process, which include all threads but no other programs. Copies from a device take
    the same time twice if the arrays of the first are still held; else the second reuses their memory and
    avoids page faults. ``unasked`` finds work below 0.1 ms.
    """
    extra_ns = median(time_1 - time_2 for time_1, time_2 in zip(first_ns, second_ns, strict=True))
    if extra_ns <= per_call_ns / 2 + DEFERRED_SLACK_NS:
        return ""
    return (
        f"after a value, result() takes {_us(median(first_ns))}, and {_us(extra_ns)} less when asked again: "
        f"work is left to it, for a call takes {_us(per_call_ns)}"
    )


def unasked(call: Call, feed: Call, reset: Call, result: Callable[[], Mapping[str, Any]]) -> str:
    """Find late work: after a call and new inputs, ``result`` must still belong to the inputs of the call.

    ``feed`` writes two batches alternately. This check finds work in ``result`` at any size, without a clock.
    """

    def after_call() -> list[Array]:
        feed()
        reset()
        call()
        return copies()

    def copies() -> list[Array]:
        return [np.array(values, dtype=np.float64) for _, values in sorted(result().items())]

    def distance(left: list[Array], right: list[Array]) -> float:
        return sum(norm(a - b) for a, b in zip(left, right, strict=True))

    first_result, second_result = after_call(), after_call()
    feed()
    reset()
    call()  # its inputs are the first batch
    feed()
    if distance(last_result := copies(), second_result) >= distance(last_result, first_result):
        return ""
    return "result() after a call and new inputs is that of the new ones, which no call has seen"


def probe_wanted(case: Case) -> list[Kernel]:
    """Return the products to time for ``shortest_call_ns``: one of size 512, and the products of the case.

    A variant may compute dL/dW for all steps together, (G, T B) (T B, H), which may be faster than by step.
    """
    s, cell = case.shape, find_cell(case.cell)
    kernels = [operation.kernel for operation in cell.count_needed(case).operations]
    all_steps = Kernel(PRODUCT, (cell.gates * s.H, min(s.T * s.B, MAX_STACKED_ROWS), s.H), "TN")
    products = [kernel for kernel in kernels if kernel.is_product]
    return list(dict.fromkeys((PEAK_PRODUCT, *products, all_steps)))


def shortest_call_ns(case: Case, primitives: Iterable[Primitive]) -> float:
    """Return the time of the needed products at the best rate of any product, in ns; 0 without rates.

    ``primitives`` holds all known timings of the library on this device with these threads, of any size and
    time. More timings can only raise the best rate, so they are safe for an honest variant. Memory traffic is
    ignored, for caches may hold everything. Activations are ignored too: a library's products are near the
    limit of the machine, but its tanh is not, and a user's tanh may honestly be several times faster.

    For the CPU, products are timed by the processor time of their thread (``time.thread_time_ns``). This
    time never exceeds the wall-clock time, so a busy machine accuses no variant.
    """
    rates = [
        primitive.n_calls * primitive.kernel.flops / elapsed_ns
        for primitive in primitives
        if primitive.kernel.is_product
        for elapsed_ns in primitive.elapsed_ns
    ]
    return find_cell(case.cell).count_needed(case).product_flops / max(rates) if rates else 0.0


def too_fast(case: Case, per_call_ns: float, primitives: Iterable[Primitive]) -> str:
    """Return an error text if a call takes less than half of ``shortest_call_ns``, else an empty text.

    Better products than the library's may be faster, but not by more than a factor of 2.
    """
    shortest_ns = shortest_call_ns(case, primitives)
    if per_call_ns * MAX_SPEEDUP >= shortest_ns:
        return ""
    return (
        f"a call takes {_us(per_call_ns)}, but its matrix products {_us(shortest_ns)} at the best rate that "
        "its library has shown here: they are not computed in the call"
    )


def round_trip(elapsed_ns: int, asked_ns: int, replied_ns: int) -> str:
    """Return an error text if a sample claims more time than its whole request took."""
    if elapsed_ns <= (request_ns := replied_ns - asked_ns):
        return ""
    return (
        f"its value took {_us(elapsed_ns)} by its own clock, but the whole request {_us(request_ns)}: "
        "something is wrong with the clock of its process"
    )


def _us(ns: float) -> str:
    """Format nanoseconds as microseconds, with one decimal below 10 us."""
    return f"{ns / 1000:,.{0 if ns >= 10_000 else 1}f} us"
