"""A worker: a fresh process that holds one arm, proves each job's entry and times one burst of it.

Started by the runner with its thread limits in the environment, as
``python -m bench.measure.worker SPEC THREADS REHEARSAL``, where the rehearsal is the arm's first job. Jobs
come as lines on standard input, replies go out on a private copy of standard output; what a variant
prints goes to standard error. A worker loads one library: a NumPy worker never imports torch, a torch
worker never computes with NumPy's BLAS.
"""

import gc
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

import msgspec
import numpy as np

from bench import catalog, proof
from bench.case import Case
from bench.data import Batch
from bench.library import device_name, library_facts, limit_threads, set_ieee_precision
from bench.measure import clock
from bench.measure.messages import Done, Job, Ready, Refused, Reply


def main() -> None:
    """Take over standard output, get ready, and answer jobs until standard input closes."""
    spec, threads = sys.argv[1], int(sys.argv[2])
    rehearsal = msgspec.json.decode(sys.argv[3], type=Job)
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as replies:
        os.dup2(2, 1)  # what a variant prints must not look like a reply
        for reply in serve(spec, threads, rehearsal, sys.stdin):
            replies.write(msgspec.json.encode(reply).decode() + "\n")
            replies.flush()


def serve(spec: str, threads: int, rehearsal: Job, jobs: TextIO) -> Iterator[Reply]:
    """Yield ``Ready``, then one reply a job."""
    variant = catalog.find(spec)
    variant.load()  # imports the library, before any thread pool may be used
    facts = get_ready(variant.library, threads) | {"device_name": device_name(rehearsal.device)}
    compile_ns = rehearse(variant, rehearsal)
    gc.collect()
    gc.freeze()  # the imports' objects: collecting before a value need not visit them again
    yield Ready(facts, time.process_time_ns(), compile_ns)
    wrong_threads = Refused("invalid", f"asked for {threads} threads, the library has {facts['threads']}")
    for line in jobs:
        job = msgspec.json.decode(line, type=Job)
        try:
            reply: Reply = burst(variant, job) if facts["threads"] in (None, threads) else wrong_threads
        except Exception as error:  # a variant may raise anything; the other entries go on
            reply = Refused("crashed", f"{type(error).__name__}: {error}")
        if variant.library == "numpy" and "torch" in sys.modules:
            reply = Refused("invalid", f"{variant.name} is a NumPy variant, but imported torch")
        yield reply


def get_ready(library: str, threads: int) -> dict[str, Any]:
    """Limit threads and precision, and read both back."""
    if library == "numpy":
        return library_facts("numpy")
    limit_threads(threads)
    precision = set_ieee_precision()
    return library_facts("torch") | {"precision": precision}


def rehearse(variant: catalog.Variant, job: Job) -> int:
    """Bind the arm's first job once; return the nanoseconds of it that went into compiling.

    torch imports large parts of itself at first use, and a compiled variant compiles. That is start-up,
    which all workers go through together, and no part of an entry.
    """
    with suppress(Exception):  # what is wrong with a variant is found, and said, when it is proved
        bound = bind_job(variant, job, Batch.load(job.inputs))
        return int(getattr(bound, "compile_ns", 0))
    return 0


def bind_job(variant: catalog.Variant, job: Job, batch: Batch) -> catalog.Bound:
    """The variant's ``Bound`` for a job."""
    case = job.case
    options = {"activation": case.activation, "delta": case.delta, "lr": case.lr, "device": job.device}
    return variant.load()(case.task, batch.params, batch.x, batch.y, **options)


def burst(variant: catalog.Variant, job: Job) -> Done | Refused:
    """Prove the entry, warm up, calibrate in block 0, take the values, prove the last one again."""
    case, batch = job.case, Batch.load(job.inputs)
    if batch.digest() != job.digest:
        return Refused("invalid", "the inputs' digest differs from the plan's")
    expected = proof.Expected.load(Path(job.expected))
    wrong = variant.known_wrong
    checks = proof.prove(variant.load(), case, batch, expected, device=job.device, known_wrong=wrong)
    if proof.status(checks, known_wrong=wrong) == "disagrees":
        return Refused("disagrees", proof.failures(checks), checks)

    bound = bind_job(variant, job, batch)
    device = str(getattr(bound, "device", "cpu"))
    if device != job.device:
        return Refused("invalid", f"asked for {job.device}, but the arrays were on {device}", checks)

    wait = clock.synchroniser(job.device)
    gc.collect()
    first_call_ns, warmup_calls = clock.warm_up(bound.call, synchronise=wait)
    started = time.perf_counter_ns()
    n_calls = job.n_calls or clock.calibrate(bound.call, synchronise=wait, reset=bound.reset)
    calibration_ns = time.perf_counter_ns() - started

    values: list[clock.Value] = []
    cpu_ns = 0
    while len(values) < (clock.values_per_burst(values[0].per_call_ns) if values else 1):
        bound.reset()
        cpu_start = time.process_time_ns()
        values.append(clock.take_value(bound.call, n_calls, synchronise=wait))
        cpu_ns += time.process_time_ns() - cpu_start

    after = None if job.after is None else load_arrays(job.after)
    if job.n_calls is None and case.task == "train_step":  # block 0 has no trajectory of this length yet
        bound.reset()
        bound.call()
        after = one_step(case, batch, expected)
    last = proof.check_last(case, bound.result(), expected, after=after, device=job.device, known_wrong=wrong)
    if proof.status(last, known_wrong=wrong) == "disagrees":
        return Refused("disagrees", f"after timing: {proof.failures(last)}", last)
    residual_ns = max(value.residual_ns for value in values)
    if wait is not clock.no_wait and clock.still_busy(values):
        return Refused("invalid", f"the device was still busy for {residual_ns} ns after a value", checks)
    return Done(
        status=proof.status(checks, known_wrong=wrong),
        n_calls=n_calls,
        elapsed_ns=[value.elapsed_ns for value in values],
        first_call_ns=first_call_ns,
        warmup_calls=warmup_calls,
        residual_ns=residual_ns,
        cpu_ns=cpu_ns,
        calibration_ns=calibration_ns,
        device=device,
        checks=checks,
    )


def one_step(case: Case, batch: Batch, expected: proof.Expected) -> dict[str, Any]:
    """Loss and parameters after one training step, from the expected gradient (float64)."""
    step = {name: p.astype("float64") - case.lr * expected.grads[name] for name, p in batch.params.items()}
    return {"loss": expected.loss, "n_calls": np.int64(1), **step}


def load_arrays(path: str | Path) -> dict[str, Any]:
    """All arrays of an npz; nothing is unpickled."""
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


if __name__ == "__main__":
    main()
