"""Signals that end a run: Ctrl-C, TERM and the hang-up of a terminal; and a moment without them."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP: ends a run as Ctrl-C does, with an exit code of its own."""


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hold the ending signals back to the end, so that workers are neither left behind nor a Ctrl-C lost."""
    came: list[int] = []
    try:
        with _handled(ENDING, lambda number, frame: came.append(number)):
            yield
    finally:
        if came:
            signal.raise_signal(came[0])


@contextmanager
def terminable() -> Iterator[None]:
    """Turn TERM and HUP into ``Terminated``."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated

    with _handled([number for number in ENDING if number != signal.SIGINT], stop):
        yield


@contextmanager
def _handled(
    numbers: list[signal.Signals], handler: Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    """Another handler for a while; only the main thread may set one. What is ignored stays so (nohup)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in numbers}
    ours = [number for number, previous in before.items() if previous not in (signal.SIG_IGN, None)]
    try:
        for number in ours:
            signal.signal(number, handler)
        yield
    finally:
        for number in ours:
            signal.signal(number, before[number])
