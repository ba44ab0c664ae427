"""Describe the peers' libraries: how each is kept to the thread that calls it, and how that is checked."""

import importlib.util
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil

from bench.machine.environ import COMPILER_CACHES
from bench.machine.errors import UserError
from bench.machine.libraries import Library

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXTRA = 'pip install "rnnbench[peers]"'
MAX_PROCESSORS = 1.2  # of a call; one thread uses 1.0, JAX's pool 1.7 of two where nothing else runs
MAX_OTHERS = 1  # threads: with a pool of one, JAX's caller gives it large products and waits
MIN_SHARE = 0.1  # of the processor time
WATCHED_NS, LONGEST_NS = 300_000_000, 3_000_000_000  # the system counts in hundredths of a second
JAX_SETTINGS = {"jax_platforms": "cpu", "jax_enable_x64": True, "jax_cpu_enable_async_dispatch": False}


@dataclass(frozen=True, slots=True)
class PeerLibrary(Library):
    """Describe a library that computes with one thread; ``needs`` names further modules, not loaded here."""

    needs: tuple[str, ...] = ()

    def missing(self) -> str | None:
        """Return which module is not installed, and how to install it; None if all are there."""
        lacking = [name for name in (self.module, *self.needs) if importlib.util.find_spec(name) is None]
        return f"{self.label} needs {', '.join(lacking)} ({EXTRA})" if lacking else None

    def facts(self) -> dict[str, Any]:
        """Return the version, and one thread, which ``computes_elsewhere`` checks."""
        return Library.facts(self) | {"threads": 1}

    def computes_elsewhere(self, call: Callable[[], object]) -> str:
        """Return how many threads and processors ``call`` uses if more than one at a time, else "".

        On a busy machine a pool gets no second processor, but its threads still share the work. One other
        thread may have it while the caller waits.
        """
        processors, others = watch(call)
        if processors <= MAX_PROCESSORS and others <= MAX_OTHERS:
            return ""
        return (
            f"is measured with one thread, but beside it {others} more compute in its calls, with "
            f"{processors:.2g} processors in all"
        )


def watch(call: Callable[[], object]) -> tuple[float, int]:
    """Return the processor time of calls over their wall time, and the threads that have a tenth of it.

    The calling thread is not counted.
    """
    before, start_ns, start_cpu_ns = _thread_seconds(), time.perf_counter_ns(), time.process_time_ns()
    cpu_ns = elapsed_ns = 0
    while cpu_ns < WATCHED_NS and elapsed_ns < LONGEST_NS:
        call()
        cpu_ns, elapsed_ns = time.process_time_ns() - start_cpu_ns, time.perf_counter_ns() - start_ns
    used = {thread: seconds - before.get(thread, 0.0) for thread, seconds in _thread_seconds().items()}
    least_s, own = MIN_SHARE * sum(used.values()), threading.get_native_id()
    return cpu_ns / elapsed_ns, sum(seconds > least_s for thread, seconds in used.items() if thread != own)


def _thread_seconds() -> dict[int, float]:
    """Return the processor time of each thread of this process."""
    return {thread.id: thread.user_time + thread.system_time for thread in psutil.Process().threads()}


class Jax(PeerLibrary):
    """Describe JAX, whose arrays never change, on the CPU, its calls made by the thread that calls."""

    __slots__ = ()

    def load(self) -> Any:
        """Import JAX with a pool of one thread, and calls that return when their result is there.

        multi_thread_eigen alone leaves the pool all processors, and no variable switches the dispatch.

        Raises:
            UserError: this version of JAX is too old.
        """
        os.environ |= {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false", "NPROC": "1"}
        jax = Library.load(self)
        for name, value in JAX_SETTINGS.items():
            try:
                jax.config.update(name, value)
            except AttributeError:
                version = f"JAX {jax.__version__} has no setting {name}, which it is timed with"
                raise UserError(f"{version}: {EXTRA} brings a newer one") from None
        return jax

    def state(self) -> dict[str, Any]:
        """Return also the settings, which must not change."""
        import jax

        return PeerLibrary.state(self) | {name: jax.config.values[name] for name in JAX_SETTINGS}

    def place(self, array: "NDArray[Any]", device: str) -> Any:
        """Return a copy as JAX's array."""
        from jax import numpy as jnp

        return jnp.array(array)

    def as_numpy(self, held: Any) -> "NDArray[Any]":
        """Return the numbers of a JAX array as a NumPy array."""
        import numpy as np

        return np.asarray(held)


class Numba(PeerLibrary):
    """Describe Numba; its compiled code is kept in the folder of the run, not beside the source."""

    __slots__ = ()

    def load(self) -> Any:
        """Import Numba with its cache where torch.compile has its own."""
        os.environ["NUMBA_CACHE_DIR"] = os.environ[COMPILER_CACHES[0]]
        return Library.load(self)


JAX = Jax("jax", "JAX", "#7A3E9D", "#c9a0e6", module="jax")
NUMBA = Numba("numba", "Numba", "#00776B", "#5fd0c3", module="numba")
ONNXRUNTIME = PeerLibrary(
    "onnxruntime", "ONNX Runtime", "#8A5A00", "#dfb45c", module="onnxruntime", needs=("onnx",)
)
