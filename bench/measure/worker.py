"""A worker: a fresh process that holds one arm, and answers each job: a burst, or a probe of its library.

Started by the runner with its thread limits in the environment, as
``python -m bench.measure.worker SPEC THREADS REHEARSAL``, where the rehearsal is the arm's first job. Jobs
come as lines on standard input, replies go out on a private copy of standard output; what a variant
prints goes to standard error. A worker loads one library: a NumPy worker never imports torch, a torch
worker never computes with NumPy's BLAS.
"""

import gc
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, TextIO

import msgspec

from bench import catalog
from bench.data import Batch
from bench.device_facts import device_facts
from bench.errors import UserError, describe_error
from bench.host.lifeline import replies
from bench.library import library_facts, limit_threads, process_state, set_ieee_precision, wrong_library
from bench.measure import primitives
from bench.measure.burst import bind_job, burst
from bench.measure.clock import ClockError
from bench.measure.messages import AnyJob, Job, Measured, ProbeJob, Ready, Refused, Reply
from bench.own_variant import load_variant
from bench.results.record import Status


def main() -> None:
    """Take over standard output, get ready, and answer jobs until standard input closes."""
    spec, threads = sys.argv[1], int(sys.argv[2])
    rehearsal = msgspec.json.decode(sys.argv[3], type=Job)
    with replies() as send:
        for reply in serve(spec, threads, rehearsal, sys.stdin):
            send(msgspec.json.encode(reply))


def serve(spec: str, threads: int, rehearsal: Job, jobs: TextIO) -> Iterator[Reply]:
    """Yield ``Ready``, then one reply a job."""
    gc.disable()  # while importing, where it takes a fifth of the time and finds nothing
    try:
        variant = load_variant(spec)
    except UserError as error:
        yield Refused("crashed", str(error))
        return
    try:
        variant.load()  # imports the library, before any thread pool may be used
    except BaseException as error:  # and runs the variant's own code, which may leave as well
        yield Refused(status_of(error), describe_error(error, variant.target))
        return
    facts = get_ready(variant.library, threads) | device_facts(rehearsal.device)
    gc.enable()
    state = process_state(variant.library)  # before anything is bound
    gc.disable()
    compile_ns, compile_cpu_ns = rehearse(variant, rehearsal)
    gc.enable()
    gc.collect()
    gc.freeze()  # the imports' objects: collecting before a value need not visit them again
    yield Ready(facts, time.process_time_ns(), compile_ns, compile_cpu_ns)
    wrong_threads = Refused("invalid", f"asked for {threads} threads, the library has {facts['threads']}")
    fresh = True  # nothing was called yet
    for line in jobs:
        job = msgspec.json.decode(line, type=AnyJob)
        try:
            right = facts["threads"] in (None, threads)
            reply: Reply = answer(variant, job, state, fresh=fresh) if right else wrong_threads
        except BaseException as error:  # a variant may raise anything, or leave; the other entries go on
            reply = Refused(status_of(error), describe_error(error, variant.target))
        if other := wrong_library(variant.library):
            reply = Refused("invalid", f"{variant.name} {other}")
        fresh = False
        yield reply


def answer(variant: catalog.Variant, job: AnyJob, state: dict[str, Any], *, fresh: bool = False) -> Reply:
    """A burst, or the basic operations of the variant's library."""
    if isinstance(job, ProbeJob):
        return Measured(primitives.measure(variant.library, job))
    return burst(variant, job, ready=state, fresh=fresh)


def status_of(error: BaseException) -> Status:
    """What an error says: no memory (a device's has a class of its own), or a bad clock."""
    if isinstance(error, ClockError):
        return "invalid"
    out_of_memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return "oom" if out_of_memory else "crashed"


def get_ready(library: str, threads: int) -> dict[str, Any]:
    """Limit threads and precision, and read both back."""
    if library == "numpy":
        return library_facts("numpy")
    limit_threads(threads)
    precision = set_ieee_precision()
    return library_facts("torch") | {"precision": precision}


def rehearse(variant: catalog.Variant, job: Job) -> tuple[int, int]:
    """Bind the arm's first job once; return what went into compiling, in nanoseconds: wall, processor.

    torch imports large parts of itself at first use, and a compiled variant compiles. That is start-up,
    which all workers go through together, and no part of an entry.
    """
    with suppress(BaseException):  # what is wrong with a variant is found, and said, when it is proved
        batch = Batch.load(job.inputs)
        started_ns = time.process_time_ns()
        bound = bind_job(variant, job, batch).bound
        if compile_ns := int(getattr(bound, "compile_ns", 0)):
            return compile_ns, time.process_time_ns() - started_ns
    return 0, 0


if __name__ == "__main__":
    main()
