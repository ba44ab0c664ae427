"""The environment of a worker: an allow-list, thread limits, and nothing that changes speed unseen.

Variables that tune a library (``OPENBLAS_CORETYPE`` pins a kernel) are dropped from workers, so that the run
measures what this machine can do; of memory they keep what they have freed. The journal records what was set,
dropped and kept. Values are recorded of known variables only: any other may hold a secret.
"""

import os
import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

# read by OpenMP, OpenBLAS, MKL, Accelerate and BLIS when they are loaded, so set before any import
THREAD_LIMITS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
    "BLIS_NUM_THREADS",
)  # fmt: skip
# of glibc: whether memory that a call has freed goes back to the system, and is faulted in anew by the next
# one, hangs on what lies above it in the heap; torch-rnn takes up to twice as long in such a process
KEEPS_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(1 << 30), "MALLOC_MMAP_THRESHOLD_": str(32 << 20)}
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
    "CUDNN_", "NVIDIA_", "NVPL_", "PYTHON",
)  # fmt: skip
# whose values tell what is measured and hold nothing personal but, perhaps, a folder's name
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
MAX_VALUE = 300  # characters; no variable above needs more


@dataclass(frozen=True, slots=True)
class WorkerEnvironment:
    """What a worker gets, and what of the caller's environment that bears on speed it does not get.

    ``variables`` go to the worker as they are; ``set``, ``dropped`` and ``kept`` go on record, and hold no
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

    ``compiled`` is the folder where torch.compile keeps what it made, so that only a run's first block
    compiles from nothing.
    """
    passed = {
        name: value
        for name, value in base.items()
        if name in ALLOWED or name in keep or name.startswith("LC_") or name.endswith(ALLOWED_ENDINGS)
    }
    given = dict.fromkeys(THREAD_LIMITS, str(threads)) | KEEPS_MEMORY
    if compiled is not None:
        given |= dict.fromkeys(COMPILER_CACHES, compiled) | {"TORCHINDUCTOR_COMPILE_THREADS": "1"}
    left_alone = passed.keys() | (KEEPS_MEMORY.keys() & set(keep))  # kept unset is as the system has it
    given = {name: value for name, value in given.items() if name not in left_alone}
    relevant = speed_variables(base, also=keep)
    return WorkerEnvironment(
        variables=passed | given | {"PYTHONUTF8": "1", "RNNBENCH_PADDING": _padding()},
        set=given,
        dropped={name: value for name, value in relevant.items() if name not in passed | given},
        kept={name: value for name, value in relevant.items() if name in passed},
    )


def with_project(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a child that is to find ``bench``, also where that is not installed."""
    paths = [str(PROJECT), variables.get("PYTHONPATH", "")]
    return {**variables, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def speed_variables(base: Mapping[str, str] = os.environ, *, also: Collection[str] = ()) -> dict[str, str]:
    """Return the variables that bear on speed, and those named ``also``, with values fit for a record."""
    names = sorted(name for name in base if name.startswith(CHANGES_SPEED) or name in also)
    return {name: recorded(name, base[name], base) for name in names}


def recorded(name: str, value: str, base: Mapping[str, str] = os.environ) -> str:
    """Return the value as it may stand in a record: of known variables only, without a person's names."""
    if name not in VALUE_RECORDED or len(value) > MAX_VALUE or "://" in value or not value.isprintable():
        return HIDDEN
    return without_person(value, base)


def without_person(text: str, base: Mapping[str, str] = os.environ) -> str:
    """Return the text with the home folder as ~ and the user's name as USER."""
    homes = {base.get("HOME", ""), base.get("USERPROFILE", ""), _home()}
    for home in sorted(homes, key=len, reverse=True):  # the longer first: one may lie in the other
        if len(home) > 1:
            text = re.sub(rf"{re.escape(home.rstrip('/'))}(?![\w-])", "~", text)
    for name in {base.get(key, "") for key in ("USER", "LOGNAME", "USERNAME")} - {"", "root"}:
        text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", "USER", text)
    return text


def _home() -> str:
    try:
        return str(Path.home())
    except (RuntimeError, OSError):  # nobody's process
        return ""


def _padding() -> str:
    """Return a text whose random length shifts the stack: no lucky layout is measured every time."""
    return "x" * secrets.randbelow(4096)
