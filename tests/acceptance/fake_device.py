"""A device that works on its own time: a real thread with a queue, as accelerators have one.

``launch`` returns at once, ``synchronise`` waits until the queue is empty. A piece of work ends a known time
after the one before, or after its launch; the thread sleeps most of that and watches the clock at the end.
"""

import queue
import threading
import time
from types import SimpleNamespace
from typing import Any

from impl_numpy import rnn

WORK_NS = 2_000_000
WATCH_NS = 300_000  # before the end of a piece of work, the clock is watched


class FakeDevice:
    """Works through a queue until it is closed."""

    def __init__(self) -> None:
        self._queue: queue.Queue[tuple[int, int] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def launch(self, work_ns: int = WORK_NS) -> None:
        """Queue work, and go on."""
        self._queue.put((time.perf_counter_ns(), work_ns))

    def synchronise(self) -> None:
        """Wait until all of it is done."""
        self._queue.join()

    def close(self) -> None:
        """End the thread, once its work is done."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        busy_until = 0
        while (work := self._queue.get()) is not None:
            launched, work_ns = work
            busy_until = max(busy_until, launched) + work_ns
            while (left := busy_until - time.perf_counter_ns()) > 0:
                time.sleep(max(0, left - WATCH_NS) / 1e9)  # 0: let the other threads have a turn
            self._queue.task_done()


def device_variant(device: FakeDevice) -> Any:
    """A variant whose call is a launch, and whose result waits for it."""

    def bind(task: str, params: Any, x: Any, y: Any, **options: Any) -> Any:
        seen = x.copy()

        def call() -> None:
            device.launch()
            seen[...] = x

        def result() -> dict[str, Any]:
            device.synchronise()
            return {"y_hat": rnn.predict(params, seen, activation=options["activation"])}

        return SimpleNamespace(call=call, reset=lambda: None, result=result)

    return SimpleNamespace(
        name="fake", library="numpy", known_wrong=False, wrong_gradients=(), load=lambda: bind
    )
