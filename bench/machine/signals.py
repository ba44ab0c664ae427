"""What ends a run: Ctrl-C, TERM, the hang-up of a terminal, a time limit; and a moment without them."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


def _there(*names: str) -> list[signal.Signals]:
    """Return those of the signals that this platform has."""
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


ENDING = _there("SIGINT", "SIGTERM", "SIGHUP")
ALARM = _there("SIGALRM")


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP: ends a run as Ctrl-C does, with an exit code of its own."""


class OutOfTime(KeyboardInterrupt):
    """A time limit: ends a run as Ctrl-C does."""


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hold all of them back to the end, so that workers are neither left behind nor a Ctrl-C lost."""
    came: list[int] = []
    try:
        with _handled([*ENDING, *ALARM], lambda number, frame: came.append(number)):
            yield
    finally:
        if came:
            signal.raise_signal(came[0])


@contextmanager
def loading() -> Iterator[None]:
    """Let a signal end the process at once: a module that is being imported may swallow an exception."""
    with _handled(ENDING, signal.SIG_DFL):
        yield


@contextmanager
def terminable() -> Iterator[None]:
    """Turn TERM and HUP into ``Terminated``."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated

    with _handled([number for number in ENDING if number != signal.SIGINT], stop):
        yield


@contextmanager
def time_limit(limit_s: float) -> Iterator[None]:
    """Raise ``OutOfTime`` after so many seconds; not outside the main thread, nor without alarms."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise OutOfTime

    if not ALARM or threading.current_thread() is not threading.main_thread():
        yield
        return
    with _handled(ALARM, stop):
        signal.setitimer(signal.ITIMER_REAL, limit_s)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


@contextmanager
def _handled(
    numbers: list[signal.Signals], handler: Callable[[int, FrameType | None], None] | signal.Handlers
) -> Iterator[None]:
    """Set another handler for a while; only the main thread may set one. What is ignored stays so (nohup)."""
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
