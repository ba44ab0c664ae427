"""Checks whether a variant did its work within the clock: by times alone, for any code that can be bound.

The results of every value are compared elsewhere, on inputs that change from value to value. What is right
may still not have been computed in the call: kept from an earlier one, put off until ``result``, or left to
a thread. Each check returns why a variant is not believed, in plain words with the figures, or "" where
nothing speaks against it. None may accuse an honest one, so limits are wide: a trick gains a multiple.
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

FACTOR = 4  # between times that ought to be equal
SLACK_NS = 10_000  # a few cold caches; calls shorter than this are too short to be judged
MOST_REPETITIONS, FEWEST_REPETITIONS = 9, 2
REPETITIONS_NS = 50_000_000  # in single calls: 9 of up to 5 ms, 2 of over 20 ms
ROWS = 3
LOOKS = 3  # each of which has to show the same
ROW_NS = 100 * MIN_VALUE_NS  # a row is broken off then: N must stem from calls that computed nothing
LEFT_OVER_NS = 100_000  # the first copies after so many calls of other code took 30 us longer than the next
MOST_ROWS = 1024  # of a probe's product: with more, its rate is no better
FASTEST = 2  # times as fast as the library's best products


def linear(
    call: Call, feed: Call, reset: Call, n_calls: int, *, synchronise: Call = no_wait, clock: Clock
) -> str:
    """Compare each of N calls in a row with the first one after new inputs: do all compute?

    ``feed`` writes inputs that the variant has not seen (two batches in turn would let it keep a result for
    each); results are not looked at, so any numbers of their kind do. Timed, each the minimum of its
    repetitions, and each after a wait for the device::

        alone    feed; reset; 1 call
        pair     feed; reset; 2 calls
        row      feed; reset; N calls
        late     2 calls right after the row
        again    reset; N calls, on the inputs of the row

    An honest variant has pair - alone = row / N, late = pair and again = row. These are compared::

        alone > pair - alone    the second call hands out the first one's result
        alone > row / N         so do most of them
        pair  > late            it stops some calls after its inputs have changed
        row   > again           it keeps a result for each step of a training

    with ``>`` for "more than four times as long, and 10 us". Why so much: the first call after something else
    runs with cold caches and mispredicted branches, the processor's clock may double, and noise makes a
    minimum of nine too long where it meets all nine. On an accelerator a call alone takes launch L + work D +
    latency S, one of a row max(L, D): the former is at most twice as long, and S, for which the time of a
    ``feed`` and the wait for it is allowed. Since a machine may change its speed between any two of these,
    only what shows three times is told.

    For the CPU, ``clock`` is the time of the process: on a wall clock, sixteen programs on two processors let
    the same row of an honest variant wait for 20 ms every time, and never the one after it.

    With N = 1 every value is a call alone, and there is nothing to see. Costs about 30 calls and 6 rows; of
    calls over 20 ms a dozen and 4, each broken off after 0.5 s.
    """
    if n_calls == 1:
        return ""

    def row(most: int) -> tuple[int, int]:
        """Call in a row; return calls and nanoseconds, fewer than ``most`` where they take very long."""
        synchronise()
        start, n, step = clock(), 0, 1
        while n < most and clock() - start < ROW_NS:
            for _ in range(step):
                call()
            n += step
            step = min(2 * step, most - n)
        synchronise()
        return n, clock() - start

    def fresh(most: int) -> tuple[int, int]:
        """Return a row on new inputs."""
        feed()
        reset()
        return row(most)

    def latency_ns() -> int:
        """Return the time of a feed and the wait for it."""
        synchronise()
        start = clock()
        feed()
        synchronise()
        return clock() - start

    kept = "results are kept, not computed"

    def measure() -> str:
        slack_ns = SLACK_NS + (0 if synchronise is no_wait else min(latency_ns() for _ in range(ROWS)))
        rough_ns = min(fresh(1)[1] for _ in range(FEWEST_REPETITIONS))
        repetitions = max(FEWEST_REPETITIONS, min(MOST_REPETITIONS, REPETITIONS_NS // max(1, rough_ns)))
        singles = [(fresh(1)[1], fresh(2)[1]) for _ in range(repetitions)]
        alone_ns, pair_ns = (min(times) for times in zip(*singles, strict=True))
        rows = []
        for _ in range(min(ROWS, repetitions)):
            n, row_ns = fresh(n_calls)
            if n < n_calls:
                return f"{n} calls take {_us(row_ns)} on new inputs, though {n_calls} make a value: {kept}"
            late_ns = row(2)[1]
            reset()
            rows.append((row_ns, late_ns, row(n_calls)[1]))
        row_ns, late_ns, again_ns = (min(times) for times in zip(*rows, strict=True))

        def above(long_ns: float, short_ns: float) -> bool:
            return long_ns > FACTOR * short_ns + slack_ns

        if above(alone_ns, each_ns := row_ns / n_calls):
            return f"a call alone takes {_us(alone_ns)}, one of {n_calls} in a row {_us(each_ns)}: {kept}"
        if above(alone_ns, second_ns := max(0, pair_ns - alone_ns)):
            return f"a call on new inputs takes {_us(alone_ns)}, the next one {_us(second_ns)}: {kept}"
        if above(pair_ns, late_ns):
            return f"2 calls take {_us(pair_ns)}, 2 after {n_calls} others {_us(late_ns)}: it stops computing"
        if above(row_ns, again_ns):
            return f"{n_calls} calls take {_us(row_ns)}, the same once more {_us(again_ns)}: {kept}"
        return ""

    for _ in range(LOOKS):
        if not (reason := measure()):
            break
    return reason


def deferred(first_ns: Sequence[int], second_ns: Sequence[int], per_call_ns: float) -> str:
    """Compare two readings of a result: was work left to ``result``, lazily or waiting for a thread?

    For each value the time of ``result`` right after it, and of another one right after that, for the CPU by
    the time of the process as well: it holds that of threads, but not of other programs. Copies from a
    device cost the same twice, if the arrays of the first are held meanwhile: else the second one gets
    their memory, and spares itself the page faults. What is less than 0.1 ms is for ``unasked`` to find.
    """
    left_ns = median(first - second for first, second in zip(first_ns, second_ns, strict=True))
    if left_ns <= per_call_ns / 2 + LEFT_OVER_NS:
        return ""
    return (
        f"after a value, result() takes {_us(median(first_ns))}, and {_us(left_ns)} less when asked again: "
        f"work is left to it, for a call takes {_us(per_call_ns)}"
    )


def unasked(call: Call, feed: Call, reset: Call, result: Callable[[], Mapping[str, Any]]) -> str:
    """Change the inputs after a call: is ``result`` about those of now, and not those of the call?

    ``feed`` writes two batches in turn. At any size this finds what works in ``result``, without a clock.
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

    first, second = after_call(), after_call()
    feed()
    reset()
    call()  # on the first batch
    feed()
    if distance(late := copies(), second) >= distance(late, first):
        return ""
    return "result() after a call and new inputs is that of the new ones, which no call has seen"


def probe_wanted(case: Case) -> list[Kernel]:
    """Return the products that tell how fast a library may be: one of 512, and those of the case.

    Steps can be taken together, (H, T B) (T B, H) for dL/dW, which may be quicker than one by one.
    """
    s = case.shape
    kernels = [operation.kernel for operation in find_cell(case.cell).count_needed(case).operations]
    together = Kernel(PRODUCT, (s.H, min(s.T * s.B, MOST_ROWS), s.H), "TN")
    products = [kernel for kernel in kernels if kernel.is_product]
    return list(dict.fromkeys((PEAK_PRODUCT, *products, together)))


def shortest_call_ns(case: Case, primitives: Iterable[Primitive]) -> float:
    """Return what the needed products take at the best rate of any product, in ns; 0 without rates.

    ``primitives`` are those of the library on this device with these threads, at all sizes and times known:
    the more there are, the safer, since the quickest value counts. Memory traffic is left out, for caches may
    hold everything; and so are activations: no library's tanh is near what a machine can do, as its products
    are, and code of one's own may honestly be several times quicker.

    For the CPU, products are timed by the time of their thread (``time.thread_time_ns``): never longer than
    the wall clock's, so that a machine that was busy when they were timed accuses nobody.
    """
    rates = [
        timed.n_calls * timed.kernel.flops / elapsed_ns
        for timed in primitives
        if timed.kernel.is_product
        for elapsed_ns in timed.elapsed_ns
    ]
    return find_cell(case.cell).count_needed(case).product_flops / max(rates) if rates else 0.0


def too_fast(case: Case, per_call_ns: float, primitives: Iterable[Primitive]) -> str:
    """Compare a call with half of ``shortest_call_ns``: does it merely have better products?"""
    shortest_ns = shortest_call_ns(case, primitives)
    if per_call_ns * FASTEST >= shortest_ns:
        return ""
    return (
        f"a call takes {_us(per_call_ns)}, but its matrix products {_us(shortest_ns)} at the best rate that "
        "its library has shown here: they are not computed in the call"
    )


def round_trip(elapsed_ns: int, asked_ns: int, replied_ns: int) -> str:
    """Compare a value with the request for it, by the clock of the process that asked: is it longer?"""
    if elapsed_ns <= (whole_ns := replied_ns - asked_ns):
        return ""
    return (
        f"its value took {_us(elapsed_ns)} by its own clock, but the whole request {_us(whole_ns)}: "
        "something is wrong with the clock of its process"
    )


def _us(ns: float) -> str:
    """Write microseconds, with a decimal where there are few."""
    return f"{ns / 1000:,.{0 if ns >= 10_000 else 1}f} us"
