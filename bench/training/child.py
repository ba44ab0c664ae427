"""Train one variant in a child process with a single library.

The argument is a ``Job``. The child then executes each ``Step`` from standard input and sends the resulting
lines of ``training.jsonl``. Between steps the child waits, so the parent's work on a line (print, save) never
overlaps with timed calls. The child ends when standard input is closed.
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

MAX_GROWTH = 1e3  # a training has diverged if its loss exceeds so many times the first loss


class Job(msgspec.Struct, frozen=True):
    """Describe what a child trains.

    ``train`` and ``test`` are files of batches; the trained parameters are written to the file ``params``.
    """

    spec: str
    device: str
    case: Case  # the task train_step
    scaling: Scaling  # from the units of the series to the units of the training
    train: str
    test: str
    params: str


class Step(msgspec.Struct, frozen=True):
    """Tell the child to train until ``epoch``.

    ``predict``: then predict the test windows and save the parameters; ``last``: no step follows.
    """

    epoch: int
    predict: bool
    last: bool


def main() -> None:
    """Train the job of the command line, and send the records as replies on standard output."""
    job = msgspec.json.decode(sys.argv[1], type=Job)
    with replies() as send:
        try:
            for record in serve(job, sys.stdin):
                send(msgspec.json.encode(record))
        except UserError as error:
            sys.exit(str(error))
        except BaseException as error:  # a variant may raise anything; the parent shows the last line
            sys.exit(describe_error(error, load_variant(job.spec).cells[job.case.cell].target))


def serve(
    job: Job, steps: Iterable[str], *, time_ns: clock.Clock = time.perf_counter_ns
) -> Iterator[Start | Point | Stop]:
    """Yield ``Start``, a ``Point`` for each step, and ``Stop`` if the training diverges.

    Only the training steps are timed; results are read, predicted and saved after the clock is read. The
    parent fills in the start-up time.
    """
    variant = load_variant(job.spec)
    bind = variant.load(job.case.cell)
    used_library = library(variant.library)
    used_library.prepare(threads=1)
    start, test = Batch.load(job.train), Batch.load(job.test)

    def bind_to(task: str, batch: Batch) -> Binding:
        """Bind the variant to a task of the job and the arrays of a batch."""
        return bind_case(bind, variant.library, job.case.with_task(task), batch, job.device)

    binding = bind_to("train_step", start)
    wait = used_library.synchroniser(binding.device)
    yield Start(variant.name, variant.library, binding.device, variant.known_wrong, 0, used_library.facts())

    epoch, elapsed_ns, largest_loss = 0, 0, LARGEST
    for step in map(msgspec.json.Decoder(Step).decode, steps):
        value = clock.take_value(binding.bound.call, step.epoch - epoch, synchronise=wait, clock=time_ns)
        elapsed_ns += value.elapsed_ns
        result = binding.result()
        fault = wrong_library(variant.library)
        if step.last:  # this check runs a call, so only after all timed calls
            fault = fault or used_library.computes_elsewhere(bind_to("train_step", start).bound.call)
        if fault:
            raise UserError(f"{variant.name} {fault}")
        params = {name: result[name] for name in start.params}
        steps_taken = (
            f"epochs {epoch + 1} to {step.epoch}" if step.epoch > epoch + 1 else f"epoch {step.epoch}"
        )
        if cause := why_diverged(result["loss"], params, largest_loss):
            reason = f"in {steps_taken} at learning rate {job.case.lr:g}: {cause}; try a smaller rate"
            yield Stop(variant.name, "diverged", f"it diverged {reason}")
            return
        y_hat = None
        if step.predict:
            y_hat = _predict(bind_to("forward", Batch(params, test.x, test.y)), job.scaling)
            save_params(job.params, params)
            if not np.abs(y_hat).max() <= LARGEST:
                reason = (
                    f"by epoch {step.epoch}: predictions that are not finite, or beyond {LARGEST:g} in the "
                    "series' own units; try a smaller --lr, or other parameters to start from"
                )
                yield Stop(variant.name, "diverged", f"it diverged {reason}")
                return
        loss = float(result["loss"])
        yield Point(step.epoch, loss, elapsed_ns, None if y_hat is None else y_hat.tolist())
        largest_loss = largest_loss if epoch else min(LARGEST, MAX_GROWTH * loss)
        epoch = step.epoch


@np.errstate(over="ignore")
def _predict(binding: Binding, scaling: Scaling) -> Array:
    """Return the predictions (tests, O) of the variant's forward pass, in the units of the series."""
    binding.bound.call()
    return scaling.invert(np.asarray(binding.result()["y_hat"], dtype=np.float64))


def why_diverged(loss: Array, params: dict[str, Array], largest: float) -> str:
    """Return why the training has diverged, else an empty text.

    Reasons are a loss (0-d) below 0 or above ``largest``, and a loss or parameters that are not finite.
    """
    if not all(np.isfinite(array).all() for array in (loss, *params.values())):
        return "loss or parameters are not finite"
    value = float(loss)  # float32 cannot hold ``largest``
    return "" if 0 <= value <= largest else f"the loss is {value:.3g}"


if __name__ == "__main__":
    main()
