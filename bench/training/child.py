"""The child process that trains one variant: one library, the clock, and nothing else.

Its argument is the file of its job. Before each report it waits for a line on standard input, so whatever
the parent does with the last one (print it, keep it) never runs beside the timed calls. A closed standard
input ends it.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bench.machine import clock
from bench.machine.errors import UserError, describe_error
from bench.machine.libraries import library, wrong_library
from bench.machine.lifeline import replies
from bench.measure.held import load_arrays
from bench.records.training import Job, Message, Progress, Ready
from bench.training.params import save_params
from bench.workload.binding import Binding, bind_case
from bench.workload.cell import find_cell
from bench.workload.data import Batch
from bench.workload.own_variant import load_variant


def main() -> None:
    """Take over standard output and train as the job says."""
    job = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Job)
    with replies() as send:
        try:
            for message in serve(job):
                send(msgspec.json.encode(message))
                if not sys.stdin.readline():
                    return
        except UserError as error:
            sys.exit(str(error))
        except BaseException as error:  # a variant may raise anything; the parent tells what was said last
            sys.exit(describe_error(error, load_variant(job.spec).target))


def serve(job: Job, *, time_ns: clock.Clock = time.perf_counter_ns) -> Iterator[Message]:
    """Yield ``Ready``, then a ``Progress`` after each epoch of the job's reports.

    The clock runs around the training steps only; reading results, predicting and saving come after it.
    """
    variant = load_variant(job.spec)
    bind = variant.load()
    own = library(variant.library)
    own.prepare(threads=1)
    facts = own.facts()
    arrays = load_arrays(job.inputs)
    parameters = find_cell(job.case.cell).parameters
    start = Batch({name: arrays[name] for name in parameters}, arrays["x"], arrays["y"])

    def bind_to(task: str, batch: Batch) -> Binding:
        return bind_case(bind, variant.library, job.case.with_task(task), batch, job.device)

    binding = bind_to("train_step", start)
    wait = own.synchroniser(binding.device)
    yield Ready(binding.device, facts)

    done = elapsed_ns = 0
    for epoch in job.reports:
        value = clock.take_value(binding.bound.call, epoch - done, synchronise=wait, clock=time_ns)
        done, elapsed_ns = epoch, elapsed_ns + value.elapsed_ns
        result = binding.result()
        other = wrong_library(variant.library)
        if epoch == job.reports[-1]:  # watched once all that is timed is over
            other = other or own.computes_elsewhere(bind_to("train_step", start).bound.call)
        if other:
            raise UserError(f"{variant.name} {other}")
        params = {name: result[name] for name in parameters}
        if not all(np.isfinite(array).all() for array in (result["loss"], *params.values())):
            yield Progress(epoch, None, elapsed_ns)
            continue
        y_hat = None
        if epoch in job.frames:
            y_hat = _predict(bind_to("forward", Batch(params, arrays["x_test"], arrays["y_test"])))
            _keep(Path(job.params), params)
        yield Progress(epoch, float(result["loss"]), elapsed_ns, y_hat)


def _predict(binding: Binding) -> list[list[float]] | None:
    """What the variant predicts for the test windows, by its own forward pass, which keeps no gradients."""
    binding.bound.call()
    y_hat = np.asarray(binding.result()["y_hat"], dtype=np.float64)
    return y_hat.tolist() if np.isfinite(y_hat).all() else None


def _keep(path: Path, params: dict[str, Any]) -> None:
    """Save the parameters over those before, which stay whole until these are."""
    new = path.with_suffix(".new")
    save_params(new, params)
    new.replace(path)


if __name__ == "__main__":
    main()
