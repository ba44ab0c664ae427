"""What the harness asks of a library that variants compute with, and NumPy; one's own is a subclass as well.

The defaults fit a library that computes on the CPU with NumPy's arrays and has nothing to set. Nothing here
imports a library: each method runs in a process that has loaded it, or says that it needs no such process.
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

Move = Callable[[Any], object]  # a NumPy array to the device
Ramp = Callable[[int], Any]  # n numbers from -1 to 1, as an array of the library

NEUTRAL, NEUTRAL_DARK = "#555555", "#a9b4c0"
BLAS = "a BLAS kernel"
SUBNORMAL = 1e-40  # in float32; times 1 it stays what it is, unless the processor was told to flush it to 0


def known(**facts: Any) -> dict[str, Any]:
    """Return the facts that are known: neither None nor empty. A function is called for its fact.

    One that raises has none: a build, a driver or a system may lack anything, and fail in any way.
    """
    answers = {}
    for name, fact in facts.items():
        with suppress(Exception):
            answers[name] = fact() if callable(fact) else fact
    return {name: answer for name, answer in answers.items() if answer not in (None, "", {}, [])}


def first_sentence(error: Exception) -> str:
    """Return the first sentence of what an error says; where it says nothing, its kind."""
    lines = str(error).strip().splitlines()
    return lines[0].split(". ")[0].rstrip(".") if lines else type(error).__name__


def flushes_subnormals() -> bool:
    """Return whether the processor flushes subnormal float32 numbers to zero, as NumPy sees it."""
    import numpy as np

    with np.errstate(all="ignore"):  # whatever a variant has set
        return not (np.full(1, SUBNORMAL, np.float32) * np.float32(1)).any()


@dataclass(frozen=True, slots=True)
class Device:
    """A device that is here. ``id`` is what torch calls it: cpu, cuda:0, cuda:1, mps:0, xpu:0."""

    id: str
    kind: str
    name: str
    memory_bytes: int | None
    dtypes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Absent:
    """A kind of device that is not here, and why."""

    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a library finds on this machine, or why it is ``missing`` itself.

    ``facts`` are the library's own, ``devices`` those of its accelerators, by their ids.
    """

    version: str | None = None
    present: tuple[Device, ...] = ()
    absent: tuple[Absent, ...] = ()
    missing: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    devices: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Library:
    """A library: its names and colours, and, as methods, all that the harness asks of it.

    Attributes:
        name: as variants and records name it.
        label: as people write it.
        colour: in plots and on a light page; dark enough for text on white.
        dark_colour: on a dark page.
        module: what is imported; empty for a library that needs no import.
        upgrade: the command that brings a better build, with what that build has.
        everywhere: whether the harness itself loads it in every process.
        accelerators: kinds of device, other than the cpu, that it may compute on.
    """

    name: str
    label: str
    colour: str = NEUTRAL
    dark_colour: str = NEUTRAL_DARK
    module: str = ""
    upgrade: str = ""
    everywhere: bool = False
    accelerators: tuple[str, ...] = ()

    # variables of the environment, by what they hold back on a processor that can do more
    pins: ClassVar[Mapping[str, str]] = {}
    low_precision: ClassVar[tuple[str, ...]] = ()  # variables that let it compute with less than float32
    blocking: ClassVar[tuple[str, ...]] = ()  # variables that make it wait for every kernel of a device

    @property
    def loaded(self) -> bool:
        """Return whether this process has imported it."""
        return self.module in sys.modules

    def missing(self) -> str | None:
        """Return why it cannot be imported, without importing it; None where it is installed."""
        if self.module and importlib.util.find_spec(self.module) is None:
            return self.why_missing(ModuleNotFoundError(name=self.module))
        return None

    def why_missing(self, error: Exception) -> str:
        """Return in words why importing the library ended with ``error``."""
        if isinstance(error, ModuleNotFoundError) and error.name == self.module:
            return f"{self.label} is not installed"
        return f"{self.label} cannot be imported: {first_sentence(error)}"

    def load(self) -> Any:
        """Import the library and return its module; None where there is nothing to import.

        Raises:
            Exception: of any kind, where it cannot be imported.
        """
        return importlib.import_module(self.module) if self.module else None

    def prepare(self, threads: int) -> None:
        """Make the process ready to measure: threads, and IEEE precision."""
        self.limit_threads(threads)
        self.set_ieee_precision()

    def limit_threads(self, n: int) -> None:
        """Limit the thread pools of every BLAS and OpenMP that is loaded to ``n`` threads."""
        import threadpoolctl

        threadpoolctl.threadpool_limits(n)  # type: ignore[no-untyped-call]  # it has no type hints

    def set_ieee_precision(self) -> dict[str, str]:
        """Set every switch of float32 precision to IEEE; return what they are afterwards, by name."""
        return {}

    def precision(self) -> dict[str, str]:
        """Return what every switch of float32 precision is set to, by name; most libraries have none."""
        return {}

    def facts(self) -> dict[str, Any]:
        """Return version, threads read back, BLAS and its kernel, and features of the processor.

        ``version`` and ``threads`` are always there, and None where they are not known.
        """
        version = getattr(sys.modules.get(self.module), "__version__", None)
        return {
            "version": None if version is None else str(version),
            "threads": None,
            "flushes_subnormals": flushes_subnormals(),
        }

    def state(self) -> dict[str, Any]:
        """Return settings in the process that a variant could change, and thereby its speed."""
        facts = self.facts()
        return {name: facts[name] for name in ("threads", "flushes_subnormals") if name in facts}

    def synchroniser(self, device: str) -> Callable[[], None]:
        """Return what waits for exactly this device; the work of the cpu is done when a call returns."""
        return no_wait

    def mover(self, device: str) -> Move | None:
        """Return what copies a NumPy array to the device; None where the arrays lie there already."""
        return None

    def place(self, array: "NDArray[Any]", device: str) -> Any:
        """Return a contiguous copy of a NumPy array as one of the library's own, on ``device``.

        Raises:
            ValueError: the library has no arrays there.
        """
        import numpy as np

        return np.asarray(array, order="C", copy=True, device=device)  # type: ignore[call-overload]

    def write(self, held: Any, array: "NDArray[Any]") -> None:
        """Write numbers into an array that ``place`` has made."""
        held[...] = array

    def as_numpy(self, held: Any) -> "NDArray[Any]":
        """Return the numbers of an array that ``place`` has made, as a NumPy array."""
        array: NDArray[Any] = held
        return array

    @contextmanager
    def operations(self, dtype: str, device: str) -> Iterator[tuple[Any, Ramp] | None]:
        """Yield the module whose functions are timed as basic operations, and what makes their operands.

        The module names its functions as NumPy does. None: there are none to time.
        """
        yield None

    def device_facts(self, device: str) -> dict[str, Any]:
        """Return name, memory, versions and state of an accelerator; ``device_name`` is None for the cpu."""
        return {"device_name": None}

    def device_uuid(self, device: str) -> str | None:
        """Return by what a vendor's tool knows a device; it stays out of every record."""
        return None

    def find_accelerators(self) -> Inventory:
        """Look for accelerators with the loaded library."""
        return Inventory(self.facts()["version"])

    def find_accelerators_unloaded(self) -> Inventory | None:
        """Look for accelerators without loading the library; None where only loading it can tell."""
        return None

    def why_not_compile(self, device: str) -> str | None:
        """Return what its compiler lacks here, and what mends it; None where nothing is missing."""
        return None

    def computes_elsewhere(self, call: Callable[[], object]) -> str:
        """Return why ``call`` does not compute with this library, or nothing where that cannot be told."""
        return ""


class NumPy(Library):
    """NumPy. The environment limits its threads, before it is imported; it has no precision switch."""

    __slots__ = ()
    pins: ClassVar[Mapping[str, str]] = {
        "OPENBLAS_CORETYPE": BLAS,
        "OPENBLAS_L2_SIZE": BLAS,
        "NPY_DISABLE_CPU_FEATURES": "NumPy's loops",
        "BLIS_ARCH_TYPE": BLAS,
    }

    def prepare(self, threads: int) -> None:
        """Leave all as it is: the facts tell whether the environment did its work."""

    def facts(self) -> dict[str, Any]:
        """Return version, threads of the BLAS, the BLAS with its kernel, and features of the processor."""
        import numpy as np
        import threadpoolctl

        built = np.show_config(mode="dicts")
        pools = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
        own = [pool for pool in pools if "numpy" in pool["filepath"]] or pools
        pool = own[0] if own else {}  # Accelerate on macOS is not seen
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
