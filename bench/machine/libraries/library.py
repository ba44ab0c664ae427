"""Define what the harness asks of a library, and NumPy's answers; a user's library is also a subclass.

The defaults fit a library that computes on the CPU with NumPy's arrays and has no settings. This module
imports no library: a method needs a process that has loaded its library, or says that it does not.
"""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from bench.machine.clock import no_wait

if TYPE_CHECKING:
    from numpy.typing import NDArray

Move = Callable[[Any], object]  # copies a NumPy array to the device
Ramp = Callable[[int], Any]  # returns n numbers from -1 to 1 as an array of the library

NEUTRAL, NEUTRAL_DARK = "#555555", "#a9b4c0"
BLAS = "a BLAS kernel"
SUBNORMAL = 1e-40  # a float32: times 1 it keeps its value, unless the processor flushes it to 0


def known(**facts: Any) -> dict[str, Any]:
    """Return the facts that are neither None nor empty; a function is called for its fact.

    A function that raises gives no fact: a build, a driver or a system may lack anything and fail in any way.
    """
    values = {}
    for name, fact in facts.items():
        with suppress(Exception):
            values[name] = fact() if callable(fact) else fact
    return {name: value for name, value in values.items() if value not in (None, "", {}, [])}


def first_sentence(error: Exception) -> str:
    """Return the first sentence of an error's text; the error's type if there is no text."""
    lines = str(error).strip().splitlines()
    return lines[0].split(". ")[0].rstrip(".") if lines else type(error).__name__


def flushes_subnormals() -> bool:
    """Return whether the processor flushes subnormal float32 numbers to zero, as seen by NumPy."""
    import numpy as np

    with np.errstate(all="ignore"):  # ignore what a variant has set
        return not (np.full(1, SUBNORMAL, np.float32) * np.float32(1)).any()


@dataclass(frozen=True, slots=True)
class Device:
    """Describe a device of this machine. ``id`` is torch's name: cpu, cuda:0, cuda:1, mps:0, xpu:0."""

    id: str
    kind: str
    name: str
    memory_bytes: int | None
    dtypes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Absent:
    """Describe a kind of device that is absent, and why."""

    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """Hold what a library finds on this machine, or why the library is ``missing``.

    ``facts`` describe the library, ``devices`` its accelerators, by id.
    """

    version: str | None = None
    present: tuple[Device, ...] = ()
    absent: tuple[Absent, ...] = ()
    missing: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    devices: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Library:
    """Describe a library: names and colours, and methods for all that the harness asks.

    Attributes:
        name: in variants and records.
        label: for readers.
        colour: in plots and on a light page; dark enough for text on white.
        dark_colour: on a dark page.
        module: to import; empty if the library needs no import.
        upgrade: the command that installs a better build, and the advantage of that build.
        everywhere: whether the harness itself loads the library in every process.
        accelerators: kinds of device, besides the cpu, that the library may compute on.
    """

    name: str
    label: str
    colour: str = NEUTRAL
    dark_colour: str = NEUTRAL_DARK
    module: str = ""
    upgrade: str = ""
    everywhere: bool = False
    accelerators: tuple[str, ...] = ()

    # environment variables that limit a part of the library on a better processor, with that part
    pins: ClassVar[Mapping[str, str]] = {}
    low_precision: ClassVar[tuple[str, ...]] = ()  # variables that allow less than float32
    blocking: ClassVar[tuple[str, ...]] = ()  # variables that cause a wait for every kernel

    @property
    def loaded(self) -> bool:
        """Return whether this process has imported the library."""
        return self.module in sys.modules

    def missing(self) -> str | None:
        """Return why the library cannot be imported, without importing it; None if it is installed."""
        if self.module and importlib.util.find_spec(self.module) is None:
            return self.why_missing(ModuleNotFoundError(name=self.module))
        return None

    def why_missing(self, error: Exception) -> str:
        """Return in words why the import of the library failed with ``error``."""
        if isinstance(error, ModuleNotFoundError) and error.name == self.module:
            return f"{self.label} is not installed"
        return f"{self.label} cannot be imported: {first_sentence(error)}"

    def load(self) -> Any:
        """Import the library and return its module; None if there is nothing to import.

        Raises:
            Exception: of any kind, if the import fails.
        """
        return importlib.import_module(self.module) if self.module else None

    def prepare(self, threads: int) -> None:
        """Prepare the process to measure: set threads and IEEE precision."""
        self.limit_threads(threads)
        self.set_ieee_precision()

    def limit_threads(self, n: int) -> None:
        """Limit the thread pools of every loaded BLAS and OpenMP to ``n`` threads."""
        import threadpoolctl

        threadpoolctl.threadpool_limits(n)  # type: ignore[no-untyped-call]  # it has no type hints

    def set_ieee_precision(self) -> dict[str, str]:
        """Set every switch of float32 precision to IEEE; return the switches' new values by name."""
        return {}

    def precision(self) -> dict[str, str]:
        """Return the values of all float32 precision switches by name; most libraries have none."""
        return {}

    def facts(self) -> dict[str, Any]:
        """Return version, actual threads, BLAS and its kernel, and processor features.

        ``version`` and ``threads`` are always present, and None if unknown.
        """
        version = getattr(sys.modules.get(self.module), "__version__", None)
        return {
            "version": None if version is None else str(version),
            "threads": None,
            "flushes_subnormals": flushes_subnormals(),
        }

    def state(self) -> dict[str, Any]:
        """Return the process settings by which a variant could change its speed."""
        facts = self.facts()
        return {name: facts[name] for name in ("threads", "flushes_subnormals") if name in facts}

    def synchroniser(self, device: str) -> Callable[[], None]:
        """Return a function that waits for exactly this device; the cpu needs no wait after a call."""
        return no_wait

    def mover(self, device: str) -> Move | None:
        """Return a function that copies a NumPy array to the device; None if no copy is needed."""
        return None

    def place(self, array: "NDArray[Any]", device: str) -> Any:
        """Return a contiguous copy of a NumPy array as an array of the library, on ``device``.

        Raises:
            ValueError: the library does not support the device.
        """
        import numpy as np

        return np.asarray(array, order="C", copy=True, device=device)  # type: ignore[call-overload]

    def write(self, held: Any, array: "NDArray[Any]") -> None:
        """Write numbers into an array that ``place`` returned."""
        held[...] = array

    def as_numpy(self, held: Any) -> "NDArray[Any]":
        """Return the numbers of an array that ``place`` returned, as a NumPy array."""
        array: NDArray[Any] = held
        return array

    @contextmanager
    def operations(self, dtype: str, device: str) -> Iterator[tuple[Any, Ramp] | None]:
        """Yield the module whose functions are timed as basic operations, and the function for operands.

        The functions have NumPy's names. None: the library has no functions to time.
        """
        yield None

    def device_facts(self, device: str) -> dict[str, Any]:
        """Return name, memory, versions and state of an accelerator; ``device_name`` is None for the cpu."""
        return {"device_name": None}

    def device_uuid(self, device: str) -> str | None:
        """Return a device's id in its vendor's tool; the id is never recorded."""
        return None

    def find_accelerators(self) -> Inventory:
        """Search for accelerators with the loaded library."""
        return Inventory(self.facts()["version"])

    def find_accelerators_unloaded(self) -> Inventory | None:
        """Search for accelerators without loading the library; None if that is impossible."""
        return None

    def why_not_compile(self, device: str) -> str | None:
        """Return what the library's compiler lacks here, and the remedy; None if nothing is missing."""
        return None

    def computes_elsewhere(self, call: Callable[[], object]) -> str:
        """Return why ``call`` does not compute with this library; empty if it does, or if unknown."""
        return ""


class NumPy(Library):
    """Describe NumPy, which has no precision switch; the environment limits its threads before the import."""

    __slots__ = ()
    pins: ClassVar[Mapping[str, str]] = {
        "OPENBLAS_CORETYPE": BLAS,
        "OPENBLAS_L2_SIZE": BLAS,
        "NPY_DISABLE_CPU_FEATURES": "NumPy's loops",
        "BLIS_ARCH_TYPE": BLAS,
    }

    def prepare(self, threads: int) -> None:
        """Change nothing: the facts tell whether the environment limited the threads."""

    def facts(self) -> dict[str, Any]:
        """Return version, threads of the BLAS, the BLAS with its kernel, and features of the processor."""
        import numpy as np
        import threadpoolctl

        built = np.show_config(mode="dicts")
        pools = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
        numpy_pools = [pool for pool in pools if "numpy" in pool["filepath"]] or pools
        pool = numpy_pools[0] if numpy_pools else {}  # threadpoolctl does not see Accelerate on macOS
        simd = built["SIMD Extensions"]
        return {
            "version": np.__version__,
            "threads": pool.get("num_threads"),
            "blas": pool.get("internal_api") or built["Build Dependencies"]["blas"]["name"],
            "blas_version": pool.get("version"),
            "kernel": pool.get("architecture"),
            "threading": pool.get("threading_layer"),
            "cpu_capability": " ".join(simd.get("found", [])),
            "cpu_baseline": " ".join(simd.get("baseline", [])),
            "cpu_not_found": " ".join(simd.get("not found", [])),
            "flushes_subnormals": flushes_subnormals(),
        }

    @contextmanager
    def operations(self, dtype: str, device: str) -> Iterator[tuple[Any, Ramp] | None]:
        """Yield NumPy and its ``linspace``."""
        import numpy as np

        yield np, partial(np.linspace, -1, 1, dtype=dtype)


NUMPY = NumPy(
    name="numpy",
    label="NumPy",
    colour="#0072B2",
    dark_colour="#6bb8e8",
    module="numpy",
    upgrade="pip install --upgrade numpy  (its wheels bring a BLAS that fits the processor)",
    everywhere=True,
)
