"""The child process that trains one variant: one library, the clock, and nothing else.

Its argument is its ``Job``; then it does what each ``Step`` on standard input asks, and sends the lines of
``training.jsonl`` that come of it. It waits for the next meanwhile, so whatever the parent does with a line
(print it, keep it) never runs beside the timed calls. A closed standard input ends it.
"""

import sys
import time
from collections.abc import Iterable, Iterator

import msgspec
import numpy as np

from bench.machine import clock
from bench.machine.errors import UserError, describe_error
from bench.machine.libraries import library, wrong_library
from bench.machine.lifeline import replies
from bench.records.training import LARGEST, Point, Start, Stop
from bench.training.params import save_params
from bench.workload.binding import Binding, bind_case
from bench.workload.case import Case
from bench.workload.data import Array, Batch, Scaling
from bench.workload.own import load_variant

MAX_GROWTH = 1e3  # a loss so many times the first has diverged


class Job(msgspec.Struct, frozen=True):
    """What a child trains. ``train`` and ``test`` are files of batches; its parameters go to ``params``."""

    spec: str
    device: str
    case: Case  # the task train_step
    scaling: Scaling  # from the series' own units to those of the training
    train: str
    test: str
    params: str


class Step(msgspec.Struct, frozen=True):
    """Train until this epoch; predict the test windows and save the parameters there, where asked to."""

    epoch: int
    predict: bool
    last: bool


def main() -> None:
    """Take over standard output and train as the job says."""
    job = msgspec.json.decode(sys.argv[1], type=Job)
    with replies() as send:
        try:
            for record in serve(job, sys.stdin):
                send(msgspec.json.encode(record))
        except UserError as error:
            sys.exit(str(error))
        except BaseException as error:  # a variant may raise anything; the parent shows the last line
            sys.exit(describe_error(error, load_variant(job.spec).target))


def serve(
    job: Job, steps: Iterable[str], *, time_ns: clock.Clock = time.perf_counter_ns
) -> Iterator[Start | Point | Stop]:
    """Yield ``Start``, whose time the parent knows, a ``Point`` for each step, and ``Stop`` if it diverges.

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
    yield Start(variant.name, variant.library, binding.device, variant.known_wrong, 0, own.facts())

    epoch, elapsed_ns, largest = 0, 0, LARGEST
    for step in map(msgspec.json.Decoder(Step).decode, steps):
        value = clock.take_value(binding.bound.call, step.epoch - epoch, synchronise=wait, clock=time_ns)
        elapsed_ns += value.elapsed_ns
        result = binding.result()
        other = wrong_library(variant.library)
        if step.last:  # watched once all that is timed is over
            other = other or own.computes_elsewhere(bind_to("train_step", start).bound.call)
        if other:
            raise UserError(f"{variant.name} {other}")
        params = {name: result[name] for name in start.params}
        steps_taken = (
            f"epochs {epoch + 1} to {step.epoch}" if step.epoch > epoch + 1 else f"epoch {step.epoch}"
        )
        if why := why_diverged(result["loss"], params, largest):
            reason = f"in {steps_taken} at learning rate {job.case.lr:g}: {why}; try a smaller rate"
            yield Stop(variant.name, "diverged", f"it diverged {reason}")
            return
        y_hat = None
        if step.predict:
            y_hat = _predict(bind_to("forward", Batch(params, test.x, test.y)), job.scaling)
            save_params(job.params, params)
            if not np.abs(y_hat).max() <= LARGEST:
                reason = (
                    f"by epoch {step.epoch}: predictions beyond {LARGEST:g} in the series' own units; "
                    "try a smaller --lr, or other parameters to start from"
                )
                yield Stop(variant.name, "diverged", f"it diverged {reason}")
                return
        loss = float(result["loss"])
        yield Point(step.epoch, loss, elapsed_ns, None if y_hat is None else y_hat.tolist())
        largest = largest if epoch else min(LARGEST, MAX_GROWTH * loss)
        epoch = step.epoch


@np.errstate(over="ignore")
def _predict(binding: Binding, scaling: Scaling) -> Array:
    """Return what the variant's own forward pass predicts (tests, O), in the series' own units."""
    binding.bound.call()
    return scaling.invert(np.asarray(binding.result()["y_hat"], dtype=np.float64))


def why_diverged(loss: Array, params: dict[str, Array], largest: float) -> str:
    """Return why it learns nothing any more: a loss, 0-d, above ``largest``, or what is not finite."""
    if not all(np.isfinite(array).all() for array in (loss, *params.values())):
        return "loss or parameters are not finite"
    return "" if 0 <= loss <= largest else f"the loss is {loss:.3g}"


if __name__ == "__main__":
    main()
