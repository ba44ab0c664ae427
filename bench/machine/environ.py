"""Build the environment of a worker: an allow-list, thread limits, and no hidden change of speed.

Workers do not get variables that tune a library (``OPENBLAS_CORETYPE`` pins a kernel), so that the run
measures what this machine can do. Workers keep freed memory. The journal records which variables were set,
dropped and kept. Values are recorded of known variables only: any other value may be a secret.
"""

import os
import re
import secrets
import site
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

# read by OpenMP, OpenBLAS, MKL, Accelerate and BLIS when loaded, so set before any import
THREAD_LIMITS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
    "BLIS_NUM_THREADS",
)  # fmt: skip
# settings of glibc's allocator: keep freed memory. Otherwise the heap's layout decides whether freed memory
# goes back to the system, and the next call maps new memory: torch-layer can then take twice as long
KEEPS_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(1 << 30), "MALLOC_MMAP_THRESHOLD_": str(32 << 20)}
COMPILER_CACHES = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
ALLOWED_NAMES = {
    "PATH", "HOME", "USER", "TMPDIR", "TEMP", "TMP", "LANG", "TZ", "SYSTEMROOT", "VIRTUAL_ENV", "PYTHONPATH",
    "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "CUDA_HOME", "CUDA_PATH", "CXX",
    "ONEAPI_DEVICE_SELECTOR", "ZE_FLAT_DEVICE_HIERARCHY", "HSA_OVERRIDE_GFX_VERSION",
}  # fmt: skip
# the user chooses the visible devices: this changes what is measured, not how fast
ALLOWED_ENDINGS = ("VISIBLE_DEVICES", "DEVICE_ORDER", "AFFINITY_MASK")
SPEED_PREFIXES = (
    "OPENBLAS_", "OMP_", "GOMP_", "KMP_", "MKL_", "BLIS_", "VECLIB_", "GOTO_", "NPY_", "NUMPY_", "MALLOC_",
    "LD_PRELOAD", "GLIBC_TUNABLES", "TORCH", "PYTORCH_", "ATEN_", "DNNL_", "ONEDNN_", "CUDA_", "CUBLAS_",
    "CUDNN_", "NVIDIA_", "NVPL_", "PYTHON", "JAX_", "XLA_", "NPROC", "NUMBA_", "ORT_",
)  # fmt: skip
# the values of these variables say what is measured; at most a folder's name in them is personal
VALUE_RECORDED = {
    *THREAD_LIMITS, *COMPILER_CACHES,
    "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OPENBLAS_DEFAULT_NUM_THREADS", "OPENBLAS_THREAD_TIMEOUT",
    "OPENBLAS_MAIN_FREE", "OPENBLAS_VERBOSE", "GOTO_NUM_THREADS", "OMP_DYNAMIC", "OMP_NESTED", "OMP_PLACES",
    "OMP_PROC_BIND", "OMP_SCHEDULE", "OMP_STACKSIZE", "OMP_THREAD_LIMIT", "OMP_WAIT_POLICY",
    "OMP_MAX_ACTIVE_LEVELS", "GOMP_CPU_AFFINITY", "GOMP_SPINCOUNT", "KMP_AFFINITY", "KMP_BLOCKTIME",
    "KMP_DUPLICATE_LIB_OK",
    "KMP_HW_SUBSET", "KMP_SETTINGS", "MKL_CBWR", "MKL_DEBUG_CPU_TYPE", "MKL_DYNAMIC",
    "MKL_ENABLE_INSTRUCTIONS", "MKL_THREADING_LAYER", "MKL_VERBOSE", "BLIS_ARCH_TYPE",
    "NVPL_BLAS_DEBUG_CPU_TYPE",
    "NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES", "NUMPY_MADVISE_HUGEPAGE", "MALLOC_ARENA_MAX",
    "MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_PERTURB_", "MALLOC_TOP_PAD_",
    "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES", "LD_PRELOAD", "ATEN_CPU_CAPABILITY", "DNNL_MAX_CPU_ISA",
    "ONEDNN_MAX_CPU_ISA", "ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE", "ONEDNN_VERBOSE",
    "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF", "PYTORCH_NO_CUDA_MEMORY_CACHING",
    "PYTORCH_ENABLE_MPS_FALLBACK", "PYTORCH_MPS_HIGH_WATERMARK_RATIO", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "TORCH_BLAS_PREFER_CUBLASLT", "TORCH_CUDNN_V8_API_DISABLED", "TORCHDYNAMO_DISABLE",
    "TORCH_COMPILE_DISABLE", "TORCHINDUCTOR_COMPILE_THREADS", "TORCHINDUCTOR_MAX_AUTOTUNE",
    "TORCHINDUCTOR_FREEZING", "CUDA_LAUNCH_BLOCKING", "CUDA_MODULE_LOADING", "CUDA_DEVICE_ORDER",
    "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "CUDA_CACHE_DISABLE", "CUDA_AUTO_BOOST",
    "CUDA_DEVICE_MAX_CONNECTIONS", "CUDA_HOME", "CUDA_PATH", "CUBLAS_WORKSPACE_CONFIG",
    "NVIDIA_TF32_OVERRIDE", "PYTHONDEVMODE", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED", "PYTHONHOME",
    "PYTHONMALLOC", "PYTHONOPTIMIZE", "PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONUTF8", "PYTHON_GIL",
    "PYTHON_JIT", "PYTHONNODEBUGRANGES", "PYTHONFAULTHANDLER", "PYTHONTRACEMALLOC",
}  # fmt: skip
PROJECT = Path(__file__).parents[2]  # the folder that holds `bench`
HIDDEN = "(value not recorded)"
MAX_CHARS = 300  # of a recorded value; no variable above needs more


@dataclass(frozen=True, slots=True)
class WorkerEnvironment:
    """Hold a worker's variables, and a record of the caller's variables that affect speed.

    ``variables`` go to the worker unchanged. ``set``, ``dropped`` and ``kept`` are recorded, and hold no
    value that could be a secret.
    """

    variables: dict[str, str]
    set: dict[str, str]
    dropped: dict[str, str]
    kept: dict[str, str]


def worker_environment(
    threads: int,
    *,
    keep: Collection[str] = (),
    compiled: str | None = None,
    base: Mapping[str, str] = os.environ,
) -> WorkerEnvironment:
    """Build the environment of a worker with ``threads`` threads; ``keep`` names variables to pass on.

    ``compiled`` is the folder of torch.compile's caches: with a shared folder, only the first block of a run
    compiles from scratch.
    """
    passed = {
        name: value
        for name, value in base.items()
        if name in ALLOWED_NAMES or name in keep or name.startswith("LC_") or name.endswith(ALLOWED_ENDINGS)
    }
    settings = dict.fromkeys(THREAD_LIMITS, str(threads)) | KEEPS_MEMORY
    if compiled is not None:
        settings |= dict.fromkeys(COMPILER_CACHES, compiled) | {"TORCHINDUCTOR_COMPILE_THREADS": "1"}
    user_names = passed.keys() | (KEEPS_MEMORY.keys() & set(keep))  # kept without a value: left unset
    settings = {name: value for name, value in settings.items() if name not in user_names}
    relevant = speed_variables(base, also=keep)
    return WorkerEnvironment(
        variables=passed | settings | {"PYTHONUTF8": "1", "RNNBENCH_PADDING": _padding()},
        set=settings,
        dropped={name: value for name, value in relevant.items() if name not in passed | settings},
        kept={name: value for name, value in relevant.items() if name in passed},
    )


def with_project(variables: Mapping[str, str]) -> dict[str, str]:
    """Return a child's variables with a PYTHONPATH that finds ``bench``, even if not installed.

    Where it is installed, PYTHONPATH stays: it is searched first, and a package may have a name of Python's.
    """
    project = "" if str(PROJECT) in site.getsitepackages() else str(PROJECT)
    paths = [project, variables.get("PYTHONPATH", "")]
    return {**variables, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def speed_variables(base: Mapping[str, str] = os.environ, *, also: Collection[str] = ()) -> dict[str, str]:
    """Return the variables that affect speed, and those named ``also``, with recordable values."""
    names = sorted(name for name in base if name.startswith(SPEED_PREFIXES) or name in also)
    return {name: recorded(name, base[name], base) for name in names}


def recorded(name: str, value: str, base: Mapping[str, str] = os.environ) -> str:
    """Return the value to record: hidden for an unknown variable, and without a person's names."""
    if name not in VALUE_RECORDED or len(value) > MAX_CHARS or "://" in value or not value.isprintable():
        return HIDDEN
    return without_person(value, base)


def without_person(text: str, base: Mapping[str, str] = os.environ) -> str:
    """Return the text with the home folder as ~ and the user's name as USER."""
    homes = {base.get("HOME", ""), base.get("USERPROFILE", ""), _home()}
    for home in sorted(homes, key=len, reverse=True):  # the longest first: one folder may contain another
        if len(home) > 1:
            text = re.sub(rf"{re.escape(home.rstrip('/'))}(?![\w-])", "~", text)
    for name in {base.get(key, "") for key in ("USER", "LOGNAME", "USERNAME")} - {"", "root"}:
        text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", "USER", text)
    return text


def _home() -> str:
    try:
        return str(Path.home())
    except (RuntimeError, OSError):  # the user has no home folder
        return ""


def _padding() -> str:
    """Return a text of random length, which shifts the stack: no process repeats a lucky memory layout."""
    return "x" * secrets.randbelow(4096)
