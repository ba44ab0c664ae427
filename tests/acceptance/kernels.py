"""Variants of known cost, for the harness to measure: every call does fixed work, and never sleeps.

They are a user's own variants, ``acceptance.kernels:same`` and so on, found through PYTHONPATH. What they
answer is the reference's forward pass, computed when they are asked for it, so that the proof takes them for
entries like any other; what they cost is the checksum of the same 4096 bytes, over and over.
"""

import sys
import time
import zlib
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from itertools import repeat
from math import pi, sin
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from impl_numpy import rnn

PAGE = bytes(range(256)) * 16
ROUNDS = 200  # of a call: about 0.15 ms; 2, 5 and 10 % more are whole numbers
SLOT_FILE, ARMS = "slots", 3  # how many bursts there were, and are in a block
START_FILE = "start"  # when a drift began
REPORT_FILE = "report"  # what a kernel saw
DRIFT, DRIFT_S = 0.03, 6.0  # about as long as a run of 20 blocks


def checksums(rounds: int) -> None:
    """The work: processor alone, no memory beyond the first cache, no allocation."""
    for _ in repeat(None, rounds):
        zlib.crc32(PAGE)


def variant(name: str, make_call: Callable[[], Callable[[], object]], library: str = "numpy") -> Any:
    """A variant whose bind asks ``make_call`` for what a call does."""

    def bind(task: str, params: Any, x: Any, y: Any, **options: Any) -> Any:
        work, seen = make_call(), x.copy()

        def call() -> None:
            work()
            seen[...] = x  # the answer is that of the inputs of the call

        def result() -> dict[str, Any]:
            return {"y_hat": rnn.predict(params, seen, activation=options["activation"])}

        return SimpleNamespace(call=call, reset=lambda: None, result=result)

    return SimpleNamespace(name=name, library=library, bind=bind, tasks=("forward",))


def fixed(name: str, percent: int = 0) -> Any:
    """Work that is ``percent`` more than that of ``same``."""
    return variant(name, lambda: partial(checksums, ROUNDS + ROUNDS * percent // 100))


same, copy = fixed("same"), fixed("copy")
plus2, plus5, plus10, double = fixed("plus2", 2), fixed("plus5", 5), fixed("plus10", 10), fixed("double", 100)


class FirstSlot:
    """5 % more work for whoever comes first in a block, known from a count of bursts in a shared file."""

    def __init__(self) -> None:
        self._binds = 0
        self._rounds = ROUNDS

    def make_call(self) -> Callable[[], object]:
        self._binds += 1
        if self._binds == 2:  # the first was the worker's rehearsal
            path = Path(SLOT_FILE)
            bursts = path.stat().st_size if path.exists() else 0
            with path.open("ab") as file:
                file.write(b".")
            self._rounds = ROUNDS + ROUNDS // 20 if bursts % ARMS == 0 else ROUNDS
        return partial(checksums, self._rounds)


first_slot = variant("first_slot", FirstSlot().make_call)
first_slot_copy = variant("first_slot_copy", FirstSlot().make_call)
first_slot_third = variant("first_slot_third", FirstSlot().make_call)

SHAPES: dict[str, Callable[[float], float]] = {
    "ramp": lambda t: t / DRIFT_S,
    "steep": lambda t: 3 * t / DRIFT_S,
    "step": lambda t: float(t > DRIFT_S / 2),
    "sine": lambda t: sin(2 * pi * t / 2.3),
}


def drifting_call(shape: str) -> Callable[[], object]:
    """Work that changes by 3 %, or 9 %, with the time since the start written in a shared file."""
    path = Path(START_FILE)
    start = float(path.read_text()) if path.exists() else time.monotonic()
    factor = SHAPES[shape]

    def call() -> None:
        checksums(round(ROUNDS * (1 + DRIFT * factor(time.monotonic() - start))))

    return call


ramp, ramp_copy = (variant(name, partial(drifting_call, "ramp")) for name in ("ramp", "ramp_copy"))
steep, steep_copy = (variant(name, partial(drifting_call, "steep")) for name in ("steep", "steep_copy"))
step, step_copy = (variant(name, partial(drifting_call, "step")) for name in ("step", "step_copy"))
sine, sine_copy = (variant(name, partial(drifting_call, "sine")) for name in ("sine", "sine_copy"))


def unsettled_call() -> Callable[[], object]:
    """Work that alternates between once and twice, 3 ms each."""

    def call() -> None:
        checksums(ROUNDS << (time.monotonic_ns() // 3_000_000 & 1))

    return call


unsettled = variant("unsettled", unsettled_call)


def slow_start_call(first: int) -> Callable[[], object]:
    """Three times the work in the first calls."""
    left = iter(range(first))

    def call() -> None:
        checksums(ROUNDS if next(left, None) is None else 3 * ROUNDS)

    return call


slow1, slow5, slow50 = (variant(f"slow{n}", partial(slow_start_call, n)) for n in (1, 5, 50))


def reporting_call() -> Callable[[], object]:
    """Work, and a report of what else this process holds: is torch loaded, could it be, how many threads."""

    def call() -> None:
        checksums(ROUNDS)

    threads = sum(1 for _ in Path("/proc/self/task").iterdir())
    facts = ("torch" in sys.modules, find_spec("torch") is not None, threads)
    with Path(REPORT_FILE).open("a", encoding="ascii") as file:
        file.write(" ".join(str(int(fact)) for fact in facts) + "\n")
    return call


reporting = variant("reporting", reporting_call)


def torch_importing_call() -> Callable[[], object]:
    """What a NumPy variant must not do."""
    import torch

    return partial(checksums, ROUNDS * int(torch.get_num_threads() > 0))


torch_importing = variant("torch_importing", torch_importing_call)
