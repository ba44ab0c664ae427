"""The child process that trains one variant: one library, the clock, and nothing else.

Its argument is its ``Job``; then it does what each ``Step`` on standard input asks and reports. It waits for
the next meanwhile, so whatever the parent does with a report (print it, keep it) never runs beside the timed
calls. A closed standard input ends it.
"""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import numpy as np

from bench.machine import clock
from bench.machine.errors import UserError, describe_error
from bench.machine.libraries import library, wrong_library
from bench.machine.lifeline import replies
from bench.training.params import save_params
from bench.workload.binding import Binding, bind_case
from bench.workload.case import Case
from bench.workload.data import Batch
from bench.workload.own_variant import load_variant


class Job(msgspec.Struct, frozen=True):
    """What a child trains. ``train`` and ``test`` are files of batches; its parameters go to ``params``."""

    spec: str
    device: str
    case: Case  # the task train_step
    train: str
    test: str
    params: str


class Step(msgspec.Struct, frozen=True):
    """Train until this epoch; predict the test windows and save the parameters there, where asked to."""

    epoch: int
    predict: bool
    last: bool


class Ready(msgspec.Struct, frozen=True):
    """The child is about to make its first call."""

    device: str
    facts: dict[str, Any]


class Progress(msgspec.Struct, frozen=True):
    """The answer to a ``Step``, in the units of the training."""

    loss: float | None  # None where it or a parameter is not finite
    elapsed_ns: int  # of all steps until now
    y_hat: list[list[float]] | None = None  # (tests, O)


def main() -> None:
    """Take over standard output and train as the job says."""
    job = msgspec.json.decode(sys.argv[1], type=Job)
    with replies() as send:
        try:
            for message in serve(job, sys.stdin):
                send(msgspec.json.encode(message))
        except UserError as error:
            sys.exit(str(error))
        except BaseException as error:  # a variant may raise anything; the parent shows the last line
            sys.exit(describe_error(error, load_variant(job.spec).target))


def serve(
    job: Job, steps: Iterable[str], *, time_ns: clock.Clock = time.perf_counter_ns
) -> Iterator[Ready | Progress]:
    """Yield ``Ready``, then a ``Progress`` for each step.

    The clock runs around the training steps only; reading results, predicting and saving come after it.
    """
    variant = load_variant(job.spec)
    bind = variant.load()
    own = library(variant.library)
    own.prepare(threads=1)
    start, test = Batch.load(job.train), Batch.load(job.test)

    def bind_to(task: str, batch: Batch) -> Binding:
        return bind_case(bind, variant.library, job.case.with_task(task), batch, job.device)

    binding = bind_to("train_step", start)
    wait = own.synchroniser(binding.device)
    yield Ready(binding.device, own.facts())

    epochs = elapsed_ns = 0
    for step in map(msgspec.json.Decoder(Step).decode, steps):
        value = clock.take_value(binding.bound.call, step.epoch - epochs, synchronise=wait, clock=time_ns)
        epochs, elapsed_ns = step.epoch, elapsed_ns + value.elapsed_ns
        result = binding.result()
        other = wrong_library(variant.library)
        if step.last:  # watched once all that is timed is over
            other = other or own.computes_elsewhere(bind_to("train_step", start).bound.call)
        if other:
            raise UserError(f"{variant.name} {other}")
        params = {name: result[name] for name in start.params}
        if not all(np.isfinite(array).all() for array in (result["loss"], *params.values())):
            yield Progress(None, elapsed_ns)
            continue
        y_hat = None
        if step.predict:
            y_hat = _predict(bind_to("forward", Batch(params, test.x, test.y)))
            save_params(job.params, params)
        yield Progress(float(result["loss"]), elapsed_ns, y_hat)


def _predict(binding: Binding) -> list[list[float]] | None:
    """Return what the variant's own forward pass predicts, without gradients; None for what overflows."""
    binding.bound.call()
    y_hat = np.asarray(binding.result()["y_hat"], dtype=np.float64)
    return y_hat.tolist() if np.isfinite(y_hat).all() else None


if __name__ == "__main__":
    main()
