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
LAST_FILE = "last"  # whose value was the last
START_FILE = "start"  # when a drift began
COLD_CALLS, PAUSE_S = 4, 0.004
REPORT_FILE = "report"  # what a kernel saw
DRIFT, DRIFT_S = 0.03, 15.0  # about as long as a run of 12 blocks


def checksums(rounds: int) -> None:
    """The work: processor alone, no memory beyond the first cache, no allocation."""
    for _ in repeat(None, rounds):
        zlib.crc32(PAGE)


def variant(
    name: str, make_call: Callable[[], Callable[[], object]], reset: Callable[[], None] = lambda: None
) -> Any:
    """A NumPy variant whose bind asks ``make_call`` for what a call does; ``reset`` comes before a value."""

    def bind(task: str, params: Any, x: Any, y: Any, **options: Any) -> Any:
        work, seen = make_call(), x.copy()

        def call() -> None:
            work()
            seen[...] = x  # the answer is that of the inputs of the call

        def result() -> dict[str, Any]:
            return {"y_hat": rnn.predict(params, seen, activation=options["activation"])}

        return SimpleNamespace(call=call, reset=reset, result=result)

    return SimpleNamespace(name=name, library="numpy", bind=bind, tasks=("forward",))


def fixed(name: str, percent: int = 0) -> Any:
    """Work that is ``percent`` more than that of ``same``."""
    return variant(name, lambda: partial(checksums, ROUNDS + ROUNDS * percent // 100))


same, copy = fixed("same"), fixed("copy")
plus2, plus5, plus10, double = fixed("plus2", 2), fixed("plus5", 5), fixed("plus10", 10), fixed("double", 100)


def tracked(name: str) -> Any:
    """5 % more work in a value that comes right after one of ``spoiler``, which a shared file tells."""
    rounds = ROUNDS

    def reset() -> None:
        nonlocal rounds
        path = Path(LAST_FILE)
        after_spoiler = path.exists() and path.read_text() == "spoiler"
        rounds = ROUNDS + ROUNDS // 20 if after_spoiler and name != "spoiler" else ROUNDS
        path.write_text(name)

    return variant(name, lambda: lambda: checksums(rounds), reset)


tracked_same, tracked_copy, spoiler = map(tracked, ("tracked_same", "tracked_copy", "spoiler"))


class Neighbour:
    """A variant that, once bound, makes ``beside`` in the same process 5 % slower."""

    bound = False

    def make_call(self) -> Callable[[], object]:
        self.bound = True
        return partial(checksums, ROUNDS)

    def make_call_beside(self) -> Callable[[], object]:
        return lambda: checksums(ROUNDS + ROUNDS // 20 * self.bound)


_neighbour = Neighbour()
loud = variant("loud", _neighbour.make_call)
beside = variant("beside", _neighbour.make_call_beside)

SHAPES: dict[str, Callable[[float], float]] = {
    "ramp": lambda t: t / DRIFT_S,
    "steep": lambda t: 3 * t / DRIFT_S,
    "step": lambda t: float(t > DRIFT_S / 2),
    "sine": lambda t: sin(2 * pi * t / 2.3),
    "turns": lambda t: 3 * float(t % 0.2 > 0.1),
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
turns, turns_copy = (variant(name, partial(drifting_call, "turns")) for name in ("turns", "turns_copy"))


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


def cooling_call() -> Callable[[], object]:
    """Three times the work in the first calls after a pause: others ran meanwhile."""
    last, left = 0.0, 0

    def call() -> None:
        nonlocal last, left
        left = COLD_CALLS if time.monotonic() - last > PAUSE_S else max(0, left - 1)
        checksums(3 * ROUNDS if left else ROUNDS)
        last = time.monotonic()

    return call


cooling = variant("cooling", cooling_call)


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
