"""A worker: a fresh process for one library at one place, which holds entries and takes their values in turn.

Started by the runner with its thread limits in the environment, as ``python -m bench.measure.worker SETUP``.
Jobs come as lines on standard input, replies go out on a private copy of standard output; what a variant
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

from bench.machine.clock import ClockError
from bench.machine.errors import UserError, describe_error
from bench.machine.libraries import changed_state, library, process_state, wrong_library
from bench.machine.lifeline import replies
from bench.measure import primitives
from bench.measure.held import Held, Inputs, Refusal, bind_job, hold, take
from bench.measure.messages import (
    Close,
    Closed,
    Job,
    Measured,
    ProbeJob,
    Prove,
    Ready,
    Refused,
    Reply,
    Setup,
    Turn,
)
from bench.records.record import Status
from bench.workload import catalog
from bench.workload.data import Batch
from bench.workload.own_variant import load_library, load_variant


def main() -> None:
    """Take over standard output, get ready, and answer jobs until standard input closes."""
    setup = msgspec.json.decode(sys.argv[1], type=Setup)
    with replies() as send:
        for reply in serve(setup, sys.stdin):
            send(msgspec.json.encode(reply))


def serve(setup: Setup, jobs: TextIO) -> Iterator[Reply]:
    """Yield ``Ready``, then one reply a job."""
    gc.disable()  # while importing, where it takes a fifth of the time and finds nothing
    try:
        own = load_library(setup.own_library) if setup.own_library else library(setup.library)
        own.load()  # before any thread pool may be used
    except UserError as error:
        yield Refused("crashed", str(error))
        return
    except BaseException as error:
        yield Refused(status_of(error), describe_error(error, setup.library))
        return
    own.prepare(setup.threads)
    facts = own.facts() | own.device_facts(setup.device)
    gc.enable()
    worker = _Worker(setup, process_state(setup.library), facts["threads"])
    gc.disable()
    compile_ns, compile_cpu_ns = worker.rehearse()
    gc.enable()
    gc.collect()
    gc.freeze()  # the imports' objects: collecting before a value need not visit them again
    yield Ready(facts, time.process_time_ns(), compile_ns, compile_cpu_ns)
    for line in jobs:
        yield worker.answer(msgspec.json.decode(line, type=Job))


def status_of(error: BaseException) -> Status:
    """What an error says: no memory (a device's has a class of its own), or a bad clock."""
    if isinstance(error, ClockError):
        return "invalid"
    out_of_memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return "oom" if out_of_memory else "crashed"


class _Worker:
    """What is held, and the state of the process before anything was bound."""

    def __init__(self, setup: Setup, state: dict[str, Any], threads: int | None) -> None:
        self._setup = setup
        self._state = state
        self._threads = threads  # as the library tells
        self._variants: dict[str, catalog.Variant] = {}
        self._held: dict[str, Held] = {}
        self._inputs: dict[str, Inputs] = {}  # by the first batch's file
        self._fresh = True  # nothing was called yet
        self._collected = False  # garbage, since the last entry was bound

    def rehearse(self) -> tuple[int, int]:
        """Bind the first job once; return what went into compiling, in nanoseconds: wall, processor.

        torch imports large parts of itself at first use, and a compiled variant compiles. That is start-up,
        which every worker goes through, and no part of an entry.
        """
        job = self._setup.rehearsal
        with suppress(BaseException):  # what is wrong with a variant is found, and said, when it is proved
            variant, batch = self._variant(job.spec), Batch.load(job.batches[0].inputs)
            started_ns = time.process_time_ns()
            bound = bind_job(variant, job, batch).bound
            if compile_ns := int(getattr(bound, "compile_ns", 0)):
                return compile_ns, time.process_time_ns() - started_ns
        return 0, 0

    def answer(self, job: Job) -> Reply:
        """Do the job; whatever a variant raises becomes a refusal, so that the other entries go on."""
        if isinstance(job, Close):
            return self._close()
        setup, target = self._setup, "" if isinstance(job, ProbeJob) else self._target(job)
        if self._threads not in (None, setup.threads):
            return Refused("invalid", f"asked for {setup.threads} threads, the library has {self._threads}")
        try:
            reply: Reply
            if isinstance(job, ProbeJob):
                time_ns = time.thread_time_ns if job.of_thread else time.perf_counter_ns
                reply = Measured(primitives.measure(setup.library, job, clock=time_ns))
            elif isinstance(job, Turn):
                if not self._collected:  # once, when all are bound: it takes a tenth of a second
                    gc.collect()
                    self._collected = True
                reply = take(self._held[job.key], job)
            else:
                reply = self._prove(job)
        except Refusal as refusal:
            reply = refusal.reply
        except UserError as error:  # of a plug-in that is none
            reply = Refused("crashed", str(error))
        except BaseException as error:  # a variant may raise anything, or leave
            reply = Refused(status_of(error), describe_error(error, target))
        if isinstance(job, Prove):
            if other := wrong_library(setup.library):
                reply = Refused("invalid", f"{self._name(job.spec)} {other}")
            if changes := self._changes():
                reply = Refused("invalid", f"{self._name(job.spec)} changed its process: {changes}")
        if isinstance(reply, Refused) and isinstance(job, Prove | Turn):
            self._held.pop(job.key, None)
        return reply

    def _prove(self, job: Prove) -> Reply:
        self._collected = False
        first = job.batches[0].inputs
        if first not in self._inputs:
            self._inputs[first] = Inputs.load(job.batches)
        fresh, self._fresh = self._fresh, False
        self._held[job.key], proved = hold(
            self._variant(job.spec), job, self._inputs[first], fresh=fresh, threads=self._setup.threads
        )
        return proved

    def _close(self) -> Closed:
        self._held.clear()
        self._inputs.clear()
        gc.collect()
        return Closed(wrong_library(self._setup.library) or self._changes())

    def _changes(self) -> str:
        return changed_state(self._state, process_state(self._setup.library))

    def _variant(self, spec: str) -> catalog.Variant:
        if spec not in self._variants:
            self._variants[spec] = load_variant(spec)
        return self._variants[spec]

    def _name(self, spec: str) -> str:
        return self._variants[spec].name if spec in self._variants else spec

    def _target(self, job: Prove | Turn) -> str:
        spec = job.spec if isinstance(job, Prove) else self._held[job.key].prove.spec
        return self._variants[spec].target if spec in self._variants else spec


if __name__ == "__main__":
    main()
