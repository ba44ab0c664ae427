"""Handle the signals that end a run: Ctrl-C, TERM, a terminal's hang-up, a time limit; or hold them back."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


def _available(*names: str) -> list[signal.Signals]:
    """Return those of the signals that this platform has."""
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


ENDING_SIGNALS = _available("SIGINT", "SIGTERM", "SIGHUP")
ALARM_SIGNALS = _available("SIGALRM")


class Terminated(KeyboardInterrupt):
    """Report SIGTERM or SIGHUP: the run ends as after Ctrl-C, but with a different exit code."""


class OutOfTime(KeyboardInterrupt):
    """Report that a time limit is reached: the run ends as after Ctrl-C."""


@contextmanager
def signals_held_back() -> Iterator[None]:
    """Hold back all these signals until the block ends: no worker is left behind, and no Ctrl-C is lost."""
    received: list[int] = []
    try:
        with _handled([*ENDING_SIGNALS, *ALARM_SIGNALS], lambda number, frame: received.append(number)):
            yield
    finally:
        if received:
            signal.raise_signal(received[0])


@contextmanager
def loading() -> Iterator[None]:
    """Let a signal end the process at once: a module during its import may swallow an exception."""
    with _handled(ENDING_SIGNALS, signal.SIG_DFL):
        yield


@contextmanager
def terminable() -> Iterator[None]:
    """Raise ``Terminated`` on TERM or HUP."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated

    with _handled([number for number in ENDING_SIGNALS if number != signal.SIGINT], stop):
        yield


@contextmanager
def time_limit(limit_s: float) -> Iterator[None]:
    """Raise ``OutOfTime`` after ``limit_s`` seconds; do nothing outside the main thread or without alarms."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise OutOfTime

    if not ALARM_SIGNALS or threading.current_thread() is not threading.main_thread():
        yield
        return
    with _handled(ALARM_SIGNALS, stop):
        signal.setitimer(signal.ITIMER_REAL, limit_s)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


@contextmanager
def _handled(
    numbers: list[signal.Signals], handler: Callable[[int, FrameType | None], None] | signal.Handlers
) -> Iterator[None]:
    """Set another handler for the block, in the main thread only; ignored signals stay ignored (nohup)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    old_handlers = {number: signal.getsignal(number) for number in numbers}
    changed = [number for number, old in old_handlers.items() if old not in (signal.SIG_IGN, None)]
    try:
        for number in changed:
            signal.signal(number, handler)
        yield
    finally:
        for number in changed:
            signal.signal(number, old_handlers[number])
