"""A worker's library: its threads, its float32 precision, and the facts that go into the journal.

Importing this loads neither library; a NumPy worker that asks about numpy never loads torch.
"""

import gc
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

# Every switch that may let float32 work run in less than IEEE float32 (TF32, bfloat16). All are set one
# by one, since the general one reaches only the backends that it knows; and only through this interface,
# since torch raises when it finds its older one (allow_tf32) used as well.
PRECISION_SWITCHES = (
    "torch.backends",
    "torch.backends.cuda.matmul",
    "torch.backends.cudnn",
    "torch.backends.cudnn.conv",
    "torch.backends.cudnn.rnn",
    "torch.backends.mkldnn",
    "torch.backends.mkldnn.matmul",
    "torch.backends.mkldnn.conv",
    "torch.backends.mkldnn.rnn",
)
LEAST_OF_TORCH = 0.1  # of a call's time
SUBNORMAL = 1e-40  # in float32; times 1 it stays what it is, unless the processor was told to flush it to 0


def limit_threads(n: int) -> None:
    """Limit the thread pools of every library that is loaded to ``n`` threads."""
    import threadpoolctl

    threadpoolctl.threadpool_limits(n)  # type: ignore[no-untyped-call]  # it has no type hints
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(n)  # its MKL is linked statically, where threadpoolctl cannot see it
        with suppress(RuntimeError):  # may be set once, before the first use; the facts tell what holds
            torch.set_num_interop_threads(n)


def set_ieee_precision() -> dict[str, str]:
    """Set every float32 precision switch of the loaded torch to IEEE; return what they say afterwards."""
    for holder in _switch_holders().values():
        holder.fp32_precision = "ieee"
    return precision()


def precision() -> dict[str, str]:
    """What every float32 precision switch of the loaded torch says: ieee, tf32, bf16 or none (unset)."""
    return {name: str(holder.fp32_precision) for name, holder in _switch_holders().items()}


def library_facts(library: str) -> dict[str, Any]:
    """Version, threads read back, BLAS and its kernel, and processor features of numpy or torch."""
    return {"numpy": _numpy_facts, "torch": _torch_facts}[library]()


def process_state(library: str) -> dict[str, Any]:
    """Return what a variant could change in its process, and thereby its speed or its rivals'.

    Threads of the BLAS pools or of torch, processors allowed and priority, collection of garbage, tracing,
    rounding of subnormals; of torch also its default dtype, precision and switches.
    """
    state: dict[str, Any] = {
        "garbage collection": gc.isenabled(),
        "tracing": sys.gettrace() is not None or sys.getprofile() is not None,
        "switch interval": sys.getswitchinterval(),
    } | tell(
        affinity=lambda: sorted(os.sched_getaffinity(0)),
        priority=lambda: os.getpriority(os.PRIO_PROCESS, 0),
        scheduling=lambda: os.sched_getscheduler(0),
    )
    facts: tuple[str, ...] = ("threads", "interop_threads", "flushes_subnormals")
    if library == "torch":
        torch = sys.modules["torch"]
        facts += ("precision", "deterministic_algorithms", "grad_mode", "mkldnn")
        state |= tell(
            default_dtype=lambda: str(torch.get_default_dtype()),
            default_device=lambda: str(torch.get_default_device()),
            inference_mode=torch.is_inference_mode_enabled,
            cudnn_benchmark=lambda: torch.backends.cudnn.benchmark,
        )
    known = library_facts(library)
    return state | {name: known[name] for name in facts if name in known}


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Return in words what of a process's state is no longer as it was; nothing where all is."""
    return ", ".join(
        f"{name.replace('_', ' ')} was {value}, is {after.get(name)}"
        for name, value in before.items()
        if after.get(name) != value
    )


def wrong_library(library: str) -> str:
    """Return why this process cannot speak for ``library``, or nothing."""
    return "is a NumPy variant, but imported torch" if library == "numpy" and "torch" in sys.modules else ""


def computes_elsewhere(library: str, call: Callable[[], object]) -> str:
    """Return why a torch variant's ``call`` does not compute with torch, or nothing.

    The catalogue's variants spend 20 to 99 % of a call within torch's operations, as its own profiler sees
    them, the least at the smallest sizes.
    """
    if library != "torch":
        return ""
    profile = sys.modules["torch"].autograd.profiler.profile
    share = 0.0
    for _ in range(3):  # the largest: a busy machine may interrupt a call
        with profile(use_kineto=False) as profiled:  # kineto prints, and takes a second to start
            begun_ns = time.perf_counter_ns()
            call()
            elapsed_ns = time.perf_counter_ns() - begun_ns
        of_torch_ns = 1000 * sum(event.self_cpu_time_total for event in profiled.function_events)
        share = max(share, of_torch_ns / elapsed_ns)
    if share >= LEAST_OF_TORCH:
        return ""
    return f"is a PyTorch variant, but PyTorch has {share:.0%} of its call: something else computes"


def device_name(device: str) -> str | None:
    """What an accelerator is called, from the loaded torch; None for the cpu."""
    kind = device.partition(":")[0]
    if kind == "cpu":
        return None
    if kind == "mps":
        return "Apple GPU"
    name: str = sys.modules["torch"].get_device_module(kind).get_device_name(device)
    return name


def _numpy_facts() -> dict[str, Any]:
    import numpy as np
    import threadpoolctl

    built = np.show_config(mode="dicts")
    pools = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    numpys = [pool for pool in pools if "numpy" in pool["filepath"]] or pools
    pool = numpys[0] if numpys else {}  # Accelerate on macOS is not seen
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
        "flushes_subnormals": _numpy_flushes(),
    }


def _numpy_flushes() -> bool:
    import numpy as np

    with np.errstate(all="ignore"):  # whatever a variant has set
        return not (np.full(1, SUBNORMAL, np.float32) * np.float32(1)).any()


def _torch_facts() -> dict[str, Any]:
    import torch

    settings = dict(re.findall(r"(\w+)=([^,\s]+)", torch.__config__.show()))
    mkl = re.search(r"Math Kernel Library Version (\S+)-Product", torch.__config__.show())
    return {
        "version": str(torch.__version__),
        "threads": torch.get_num_threads(),
        "interop_threads": torch.get_num_interop_threads(),
        "blas": settings.get("BLAS_INFO", "unknown"),
        "blas_version": mkl[1] if mkl else None,
        "kernel": None,  # MKL does not tell
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cuda": torch.version.cuda,
        "precision": precision(),
    } | tell(
        git=lambda: torch.version.git_version,
        debug=lambda: torch.version.debug,
        threading=lambda: re.findall(r"parallel backend: (.+)", torch.__config__.parallel_info())[0],
        mkldnn=lambda: "on" if _mkldnn(torch.backends.mkldnn) else "off",
        deterministic_algorithms=torch.are_deterministic_algorithms_enabled,
        grad_mode=lambda: "on" if torch.is_grad_enabled() else "off",
        flushes_subnormals=lambda: float(torch.full((1,), SUBNORMAL) * 1) == 0.0,
        mps_fallback=lambda: os.environ.get("PYTORCH_ENABLE_MPS_FALLBACK"),
    )


def tell(**questions: Callable[[], Any]) -> dict[str, Any]:
    """The answers to what a library may be asked; what it cannot answer, or answers None, is left out."""
    answers = {}
    for name, ask in questions.items():
        with suppress(Exception):  # a build, a driver or a version may lack anything, and fail in any way
            answers[name] = ask()
    return {name: answer for name, answer in answers.items() if answer is not None}


def _mkldnn(backend: Any) -> bool:
    return bool(backend.is_available() and getattr(backend, "enabled", True))


def _switch_holders() -> dict[str, Any]:
    """The objects whose fp32_precision can be set, by name; a torch build may lack some."""
    holders = {}
    for name in PRECISION_SWITCHES:
        holder: Any = sys.modules["torch"]
        for part in name.split(".")[1:]:
            holder = getattr(holder, part, None)
        if hasattr(holder, "fp32_precision"):
            holders[name] = holder
    return holders
