"""Describe the peers' libraries: how each is kept to the thread that calls it, and how that is checked."""

import importlib.util
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.machine.environ import COMPILER_CACHES
from bench.machine.libraries import Library

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXTRA = 'pip install "rnnbench[peers]"'
MAX_PROCESSORS = 1.2  # of a call; one thread uses 1.0, a pool at the size where it is used 1.7 on two
WATCHED_NS = 20_000_000
ATTEMPTS = 3
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
        """Return how many processors ``call`` uses at a time, if more than one; else an empty text.

        Other programs only lower the number, so the largest one counts.
        """
        processors = max(_processors(call) for _ in range(ATTEMPTS))
        if processors <= MAX_PROCESSORS:
            return ""
        return f"is measured with one thread, but its calls use {processors:.2g} processors at a time"


def _processors(call: Callable[[], object]) -> float:
    """Return the processor time of calls over their wall time."""
    start_ns, start_cpu_ns, now_ns = time.perf_counter_ns(), time.process_time_ns(), 0
    while now_ns - start_ns < WATCHED_NS:
        call()
        now_ns = time.perf_counter_ns()
    return (time.process_time_ns() - start_cpu_ns) / (time.perf_counter_ns() - start_ns)


class Jax(PeerLibrary):
    """Describe JAX, whose arrays never change, on the CPU, its calls made by the thread that calls."""

    __slots__ = ()

    def load(self) -> Any:
        """Import JAX with a pool of one thread, and calls that return when their result is there.

        multi_thread_eigen alone leaves the pool all processors, and no variable switches the dispatch.
        """
        os.environ |= {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false", "NPROC": "1"}
        jax = Library.load(self)
        for name, value in JAX_SETTINGS.items():
            jax.config.update(name, value)
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
