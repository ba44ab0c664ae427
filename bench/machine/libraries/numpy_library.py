"""NumPy as the harness sees it: its BLAS, the kernel that this chose, and the threads it really has."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar

from bench.machine.libraries.library import BLAS, Library, Ramp, flushes_subnormals


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
