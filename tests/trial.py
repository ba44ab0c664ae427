"""A variant on trial for its honesty: every check that the harness makes of it, in one process."""

import time
from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from bench import proof
from bench.machine.clock import Clock, calibrate, no_wait, take_value, warm_up
from bench.measure import honesty
from bench.workload import data
from bench.workload.case import Case
from bench.workload.data import Batch

VALUES = 5
MOST_CALLS = 400  # in a value: of a training, the reference has to make them as well


def place(library: str, array: Any) -> Any:
    """A copy as an array of the library."""
    if library == "numpy":
        return array.copy()
    import torch

    return torch.tensor(array)


def reasons(
    bind: Callable[..., Any],
    library: str,
    case: Case,
    *,
    n_calls: int | None = None,
    clock: Clock = time.perf_counter_ns,
    work_clock: Clock = time.process_time_ns,
    known_wrong: Collection[str] = (),
) -> dict[str, str]:
    """Why a variant is refused, by the check that refuses it: "results", or a function of ``honesty``."""
    batch = data.make(case)
    batches = [batch, Batch(batch.params, -batch.x, batch.y / 2)]
    params = {name: place(library, p) for name, p in batch.params.items()}
    x, y = place(library, batch.x), place(library, batch.y)
    options = {"activation": case.activation, "delta": case.delta, "lr": case.lr}
    bound = bind(case.task, params, x, y, **options)
    fed = 0

    def feed(factor: float = 1.0) -> None:
        nonlocal fed
        fed += 1
        for array, values in ((x, batches[fed % 2].x), (y, batches[fed % 2].y)):
            array[...] = place(library, (values * factor).astype(values.dtype))

    def timed(function: Callable[[], Any]) -> tuple[int, Any]:
        start = work_clock()
        result = function()
        return work_clock() - start, result

    if n_calls is None:
        warm_up(bound.call, clock=clock, at_least=100)
        n_calls = min(MOST_CALLS, calibrate(bound.call, clock=clock, reset=bound.reset))
    unseen = lambda: feed(1 + fed / 4096)  # noqa: E731  (of both batches, and never the same numbers)
    refusals = {
        "linear": honesty.linear(
            bound.call, unseen, bound.reset, n_calls, synchronise=no_wait, clock=work_clock
        ),
        "unasked": honesty.unasked(bound.call, feed, bound.reset, bound.result),
    }
    expected = [proof.expected(case, inputs) for inputs in batches]
    after = [
        proof.expected_after(case, inputs, n_calls) if case.task == "train_step" else None
        for inputs in batches
    ]
    values, firsts, seconds = [], [], []
    for _ in range(VALUES):
        feed()
        bound.reset()
        values.append(take_value(bound.call, n_calls, clock=clock).per_call_ns)
        first_ns, result = timed(bound.result)
        result = {name: np.array(array) for name, array in result.items()}
        seconds.append(timed(bound.result)[0])
        firsts.append(first_ns)
        which = {"after": after[fed % 2], "known_wrong": known_wrong}
        checks = proof.check_last(case, result, expected[fed % 2], **which)
        if proof.status(checks, known_wrong=bool(known_wrong)) == "disagrees":
            refusals["results"] = proof.failures(checks)
    refusals["deferred"] = honesty.deferred(firsts, seconds, float(np.median(values)))
    bound.reset()  # what is left to a thread
    return {check: reason for check, reason in refusals.items() if reason}
