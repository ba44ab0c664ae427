"""The environment of a worker: an allow-list, thread limits, and nothing that changes speed unseen.

Variables that tune a library (``OPENBLAS_CORETYPE`` pins a kernel, ``MALLOC_*`` changes the allocator)
are dropped from workers, so that the run measures what this machine can do; the journal records what was
set, dropped and kept.
"""

import os
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass

# read by OpenMP, OpenBLAS, MKL, Accelerate and BLIS when they are loaded, so set before any import
THREAD_LIMITS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "BLIS_NUM_THREADS",
)
COMPILER_CACHES = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
ALLOWED = {
    "PATH", "HOME", "USER", "TMPDIR", "TEMP", "TMP", "LANG", "TZ", "SYSTEMROOT", "VIRTUAL_ENV", "PYTHONPATH",
    "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "CUDA_HOME", "CUDA_PATH", "CXX",
    "ONEAPI_DEVICE_SELECTOR", "ZE_FLAT_DEVICE_HIERARCHY", "HSA_OVERRIDE_GFX_VERSION",
}  # fmt: skip
# which devices are visible is the user's choice, and changes what is measured, not how fast
ALLOWED_ENDINGS = ("VISIBLE_DEVICES", "DEVICE_ORDER", "AFFINITY_MASK")
CHANGES_SPEED = (
    "OPENBLAS_", "OMP_", "GOMP_", "KMP_", "MKL_", "BLIS_", "VECLIB_", "GOTO_", "NPY_", "NUMPY_", "MALLOC_",
    "LD_PRELOAD", "GLIBC_TUNABLES", "TORCH", "PYTORCH_", "ATEN_", "DNNL_", "ONEDNN_", "CUDA_", "CUBLAS_",
    "CUDNN_", "NVIDIA_", "PYTHON",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class WorkerEnvironment:
    """What a worker gets, and what of the caller's environment that bears on speed it does not get."""

    variables: dict[str, str]
    set: dict[str, str]
    dropped: dict[str, str]
    kept: dict[str, str]


def worker_environment(
    threads: int,
    *,
    keep: Collection[str] = (),
    compiled: str | None = None,
    base: Mapping[str, str] | None = None,
) -> WorkerEnvironment:
    """Build the environment of a worker with ``threads`` threads; ``keep`` names variables to pass on.

    ``compiled`` is the folder where torch.compile keeps what it made, so that only a run's first block
    compiles from nothing.
    """
    base = os.environ if base is None else base
    passed = {
        name: value
        for name, value in base.items()
        if name in ALLOWED or name in keep or name.startswith("LC_") or name.endswith(ALLOWED_ENDINGS)
    }
    limits = {name: str(threads) for name in THREAD_LIMITS if name not in passed}
    if compiled is not None:
        limits |= {name: compiled for name in COMPILER_CACHES} | {"TORCHINDUCTOR_COMPILE_THREADS": "1"}
    relevant = {name: value for name, value in base.items() if name.startswith(CHANGES_SPEED)}
    return WorkerEnvironment(
        variables=passed | limits | {"PYTHONUTF8": "1", "RNNBENCH_PADDING": _padding()},
        set=limits,
        dropped={name: value for name, value in sorted(relevant.items()) if name not in passed | limits},
        kept={name: value for name, value in sorted(relevant.items()) if name in passed},
    )


def _padding() -> str:
    """A random length shifts the stack, so that no lucky or unlucky layout is measured every time."""
    return "x" * secrets.randbelow(4096)
