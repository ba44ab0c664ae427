"""Accelerators as torch sees them: which there are, why others are absent, and what each tells of itself.

Whatever a driver, a build or a missing package cannot tell is left out; nothing here waits for a device.
"""

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from bench.machine.environ import recorded
from bench.machine.libraries.library import first_sentence, tell

BOTH_DTYPES = ("float32", "float64")
CUDA_SELECTORS = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
XPU_SELECTORS = ("ZE_AFFINITY_MASK", "ONEAPI_DEVICE_SELECTOR")

Found = list[dict[str, Any]]
VARIABLES = {
    "module_loading": "CUDA_MODULE_LOADING",
    "launch_blocking": "CUDA_LAUNCH_BLOCKING",
    "cublas_workspace": "CUBLAS_WORKSPACE_CONFIG",
    "allocator_config": "PYTORCH_CUDA_ALLOC_CONF",
}


class NotHere(Exception):
    """Why a kind of device is absent."""


def cuda_devices(torch: Any, environ: Mapping[str, str]) -> Found:
    """List every visible CUDA (or ROCm) device.

    Raises:
        NotHere: there is none; says why. A broken driver raises torch's own error.
    """
    if torch.version.cuda is None and torch.version.hip is None:
        raise NotHere(f"this PyTorch build ({torch.__version__}) has no CUDA")
    if not (count := torch.cuda.device_count()):
        for name in CUDA_SELECTORS:
            if environ.get(name) in ("", "-1"):
                raise NotHere(f"{name}={environ[name]!r} hides every device")
        torch.cuda.init()  # raises, and says what is wrong with the driver
        raise NotHere(f"no device is visible{_selected_by(CUDA_SELECTORS, environ)}")
    found = []
    for i in range(count):
        properties = torch.cuda.get_device_properties(i)
        found.append(_entry(f"cuda:{i}", properties.name, properties.total_memory, BOTH_DTYPES))
    return found


def mps_devices(torch: Any, system: str) -> Found:
    """Return the GPU of an Apple machine, which has no float64.

    Raises:
        NotHere: there is none; says why.
    """
    if system != "Darwin":
        raise NotHere(f"it exists on macOS only, and this is {system}")
    if not torch.backends.mps.is_built():
        raise NotHere(f"this PyTorch build ({torch.__version__}) has no MPS")
    if not torch.backends.mps.is_available():
        raise NotHere("macOS offers PyTorch no Metal device (too old, or a virtual machine)")
    # mps:0 is what its tensors call it
    return [_entry("mps:0", "Apple GPU (Metal)", torch.mps.recommended_max_memory(), ("float32",))]


def xpu_devices(torch: Any, environ: Mapping[str, str]) -> Found:
    """List every visible Intel GPU; not all of them have float64.

    Raises:
        NotHere: there is none; says why.
    """
    if getattr(torch.version, "xpu", None) is None:
        raise NotHere(f"this PyTorch build ({torch.__version__}) has no XPU")
    if not (count := torch.xpu.device_count()):
        raise NotHere(f"no Intel GPU is visible, or no driver{_selected_by(XPU_SELECTORS, environ)}")
    found = []
    for i in range(count):
        properties = torch.xpu.get_device_properties(i)
        dtypes = BOTH_DTYPES if properties.has_fp64 else ("float32",)
        found.append(_entry(f"xpu:{i}", properties.name, properties.total_memory, dtypes))
    return found


def describe(torch: Any, environ: Mapping[str, str], system: str) -> dict[str, Any]:
    """Return what this torch sees: its version, the accelerators that are here, and why others are not."""
    lookups: dict[str, Callable[[], Found]] = {
        "cuda": lambda: cuda_devices(torch, environ),
        "mps": lambda: mps_devices(torch, system),
        "xpu": lambda: xpu_devices(torch, environ),
    }
    present: Found = []
    absent = []
    for kind, look_up in lookups.items():
        try:
            present += look_up()
        except Exception as error:  # one broken driver must not hide the other devices
            absent.append({"kind": kind, "reason": first_sentence(error)})
    return {"version": str(torch.__version__), "present": present, "absent": absent}


def device_name(device: str) -> str | None:
    """Return what an accelerator is called, from the loaded torch; None for the cpu."""
    kind = device.partition(":")[0]
    if kind == "cpu":
        return None
    if kind == "mps":
        return "Apple GPU"
    name: str = sys.modules["torch"].get_device_module(kind).get_device_name(device)
    return name


def accelerator_facts(device: str) -> dict[str, Any]:
    """Return memory, versions, capability, clocks and state of an accelerator; nothing for the cpu."""
    ask = {"cuda": _cuda, "mps": _mps, "xpu": _xpu}.get(device.partition(":")[0])
    return ask(device) if ask else {}


def _cuda(device: str) -> dict[str, Any]:
    torch = sys.modules["torch"]
    properties: Any = tell(all=lambda: torch.cuda.get_device_properties(device)).get("all")
    variables = {
        name: recorded(variable, os.environ[variable])
        for name, variable in VARIABLES.items()
        if variable in os.environ
    }
    return variables | tell(
        memory_bytes=lambda: properties.total_memory,
        multiprocessors=lambda: properties.multi_processor_count,
        compute_capability=lambda: f"{properties.major}.{properties.minor}",
        l2_cache_bytes=lambda: properties.L2_cache_size,
        max_clock_mhz=lambda: properties.clock_rate // 1000,
        runtime=lambda: torch.version.hip or torch.version.cuda,
        driver=lambda: _driver(torch._C._cuda_getDriverVersion()),
        allocator=lambda: torch.cuda.memory.get_allocator_backend(),
        cudnn=lambda: torch.backends.cudnn.version(),
        cudnn_enabled=lambda: torch.backends.cudnn.enabled,
        cudnn_benchmark=lambda: torch.backends.cudnn.benchmark,
        cudnn_deterministic=lambda: torch.backends.cudnn.deterministic,
        # the next three need the package nvidia-ml-py
        clock_mhz=lambda: torch.cuda.clock_rate(device),
        temperature_c=lambda: torch.cuda.temperature(device),
        power_w=lambda: torch.cuda.power_draw(device) / 1000,
    )


def _driver(number: int) -> str:
    """Return the newest CUDA that the driver can serve: 12040 is 12.4."""
    return f"{number // 1000}.{number % 1000 // 10}"


def _mps(device: str) -> dict[str, Any]:
    torch = sys.modules["torch"]
    return tell(memory_bytes=lambda: torch.mps.recommended_max_memory())


def _xpu(device: str) -> dict[str, Any]:
    xpu = sys.modules["torch"].xpu
    properties: Any = tell(all=lambda: xpu.get_device_properties(device)).get("all")
    return tell(
        memory_bytes=lambda: properties.total_memory,
        driver=lambda: properties.driver_version,
        multiprocessors=lambda: properties.gpu_subslice_count,
    )


def _selected_by(selectors: tuple[str, ...], environ: Mapping[str, str]) -> str:
    """Return the variables that choose devices, as they are set."""
    chosen = [f"{name}={environ[name]}" for name in selectors if name in environ]
    return f" ({', '.join(chosen)})" if chosen else ""


def _entry(device: str, name: str, memory_bytes: int, dtypes: tuple[str, ...]) -> dict[str, Any]:
    return {
        "id": device,
        "kind": device.partition(":")[0],
        "name": name,
        "memory_bytes": int(memory_bytes),
        "dtypes": list(dtypes),
    }
