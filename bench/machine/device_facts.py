"""What a torch worker tells about the accelerator that it computes on, for the journal.

Whatever a driver, a build or a missing package cannot tell is left out; nothing here waits for the device.
"""

import os
import sys
from typing import Any

from bench.machine.environ import recorded
from bench.machine.library import device_name, tell

VARIABLES = {
    "module_loading": "CUDA_MODULE_LOADING",
    "launch_blocking": "CUDA_LAUNCH_BLOCKING",
    "cublas_workspace": "CUBLAS_WORKSPACE_CONFIG",
    "allocator_config": "PYTORCH_CUDA_ALLOC_CONF",
}


def device_facts(device: str) -> dict[str, Any]:
    """Name, memory, versions, capability, clocks and state of an accelerator, from the loaded torch.

    ``device_name`` is always there, and None for the cpu, of which the machine's facts tell.
    """
    kind = device.partition(":")[0]
    ask = {"cuda": _cuda, "mps": _mps, "xpu": _xpu}.get(kind)
    return {"device_name": device_name(device)} | (ask(device) if ask else {})


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
    """The newest CUDA that the driver can serve: 12040 is 12.4."""
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
