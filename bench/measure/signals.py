"""Signals that end a run: Ctrl-C, TERM and the hang-up of a terminal; and a moment without them."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP: ends a run as Ctrl-C does, with an exit code of its own."""


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore the ending signals, so that workers are not left behind by a second Ctrl-C."""
    with _handled(ENDING, signal.SIG_IGN):
        yield


@contextmanager
def terminable() -> Iterator[None]:
    """Turn TERM and HUP into ``Terminated``."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated

    with _handled([number for number in ENDING if number != signal.SIGINT], stop):
        yield


@contextmanager
def _handled(numbers: list[signal.Signals], handler: object) -> Iterator[None]:
    """Another handler for a while; only the main thread may set one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}  # type: ignore[arg-type]
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
