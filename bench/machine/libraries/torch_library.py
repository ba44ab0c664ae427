"""PyTorch as the harness sees it: threads, float32 precision, the wait for a device, and what it tells.

Methods run in a process that has imported torch; the main process, which has not, calls ``missing``,
``why_not_compile`` and ``find_accelerators_unloaded`` alone.
"""

import importlib.util
import os
import platform
import re
import runpy
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

from bench.machine.clock import no_wait
from bench.machine.libraries.library import SUBNORMAL, Library, Move, Ramp, Wait, tell
from bench.machine.libraries.torch_compiler import why_not_compile
from bench.machine.libraries.torch_devices import accelerator_facts, describe, device_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
STATE = (
    "threads", "interop_threads", "flushes_subnormals", "precision", "deterministic_algorithms", "grad_mode",
    "mkldnn",
)  # fmt: skip


class PyTorch(Library):
    """PyTorch, on the CPU and on accelerators."""

    __slots__ = ()
    pins: ClassVar[Mapping[str, str]] = {
        "MKL_CBWR": "MKL's kernels",
        "MKL_ENABLE_INSTRUCTIONS": "MKL's kernels",
        "ATEN_CPU_CAPABILITY": "PyTorch's loops",
        "DNNL_MAX_CPU_ISA": "oneDNN's kernels",
        "ONEDNN_MAX_CPU_ISA": "oneDNN's kernels",
    }
    low_precision: ClassVar[tuple[str, ...]] = (
        "NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "ONEDNN_DEFAULT_FPMATH_MODE",
        "DNNL_DEFAULT_FPMATH_MODE",
    )  # fmt: skip
    blocking: ClassVar[tuple[str, ...]] = ("CUDA_LAUNCH_BLOCKING",)

    def limit_threads(self, n: int) -> None:
        """Limit all thread pools of the process and torch's own to ``n`` threads."""
        super().limit_threads(n)
        torch = sys.modules["torch"]
        torch.set_num_threads(n)  # its MKL is linked statically, where threadpoolctl cannot see it
        with suppress(RuntimeError):  # may be set once, before the first use; the facts tell what holds
            torch.set_num_interop_threads(n)

    def set_ieee_precision(self) -> dict[str, str]:
        """Set every float32 precision switch to IEEE; return what they say afterwards."""
        for holder in _switch_holders().values():
            holder.fp32_precision = "ieee"
        return self.precision()

    def precision(self) -> dict[str, str]:
        """Return what every float32 precision switch says: ieee, tf32, bf16 or none (unset)."""
        return {name: str(holder.fp32_precision) for name, holder in _switch_holders().items()}

    def facts(self) -> dict[str, Any]:
        """Return version, threads, BLAS, features of the processor, switches and build."""
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
            "precision": self.precision(),
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

    def state(self) -> dict[str, Any]:
        """Return threads, precision, modes and defaults of the process."""
        torch, facts = sys.modules["torch"], self.facts()
        return tell(
            default_dtype=lambda: str(torch.get_default_dtype()),
            default_device=lambda: str(torch.get_default_device()),
            inference_mode=torch.is_inference_mode_enabled,
            cudnn_benchmark=lambda: torch.backends.cudnn.benchmark,
        ) | {name: facts[name] for name in STATE if name in facts}

    def synchroniser(self, device: str) -> Wait:
        """Return what waits for exactly this device; the work of the cpu is done when a call returns."""
        kind = device.partition(":")[0]
        if kind == "cpu":
            return no_wait
        import torch

        if kind == "mps":  # there is only one, and its synchronise takes no device
            return torch.mps.synchronize
        synchronize: Callable[[str], None] = torch.get_device_module(kind).synchronize
        return partial(synchronize, device)

    def mover(self, device: str) -> Move | None:
        """Return what copies a NumPy array to the device; None for the cpu."""
        if device.partition(":")[0] == "cpu":
            return None
        import torch

        return partial(torch.tensor, device=device)

    def place(self, array: "NDArray[Any]", device: str) -> Any:
        """Return a contiguous copy of a NumPy array as a tensor on ``device``."""
        import numpy as np
        import torch

        return torch.tensor(np.ascontiguousarray(array), device=device)

    def write(self, held: Any, array: "NDArray[Any]") -> None:
        """Write numbers into a tensor."""
        held.detach().copy_(self.place(array, "cpu"))

    def as_numpy(self, held: Any) -> "NDArray[Any]":
        """Return the numbers of a tensor, from wherever it is."""
        array: NDArray[Any] = held.detach().cpu().numpy()
        return array

    @contextmanager
    def operations(self, dtype: str, device: str) -> Iterator[tuple[Any, Ramp] | None]:
        """Yield torch and its ``linspace`` on the device; nothing is kept for gradients meanwhile."""
        import torch

        with torch.inference_mode():
            yield torch, partial(torch.linspace, -1, 1, dtype=getattr(torch, dtype), device=device)

    def device_facts(self, device: str) -> dict[str, Any]:
        """Return name, memory, versions, capability, clocks and state of an accelerator."""
        return {"device_name": device_name(device)} | accelerator_facts(device)

    def device_identity(self, device: str) -> dict[str, Any]:
        """Return the ``uuid`` by which nvidia-smi knows a device."""
        if device.partition(":")[0] != "cuda":
            return {}
        properties = sys.modules["torch"].cuda.get_device_properties
        return tell(uuid=lambda: f"GPU-{properties(device).uuid}")

    def find_accelerators(self) -> dict[str, Any]:
        """Look for accelerators with the loaded torch."""
        return describe(sys.modules["torch"], os.environ, platform.system())

    def find_accelerators_unloaded(self) -> dict[str, Any] | None:
        """Read from torch's files that its build knows no accelerator; None where it may know one.

        Saves the second that importing torch takes; whether it can be imported shows later, then.
        """
        spec = importlib.util.find_spec(self.module)
        version = Path(spec.origin).with_name("version.py") if spec and spec.origin else None
        if version is None or not version.is_file() or platform.system() == "Darwin":
            return None
        built = SimpleNamespace(**runpy.run_path(str(version)))
        if built.cuda or built.hip or built.xpu:
            return None
        torch = SimpleNamespace(__version__=built.__version__, version=built)
        return describe(torch, os.environ, platform.system())

    def why_not_compile(self, device: str) -> str | None:
        """Return what torch.compile lacks here, and what mends it; None where nothing is missing."""
        return why_not_compile(device)

    def computes_elsewhere(self, call: Callable[[], object]) -> str:
        """Return why ``call`` does not compute with torch, or nothing.

        The catalogue's variants spend 20 to 99 % of a call within torch's operations, as its own profiler
        sees them, the least at the smallest sizes.
        """
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


def _mkldnn(backend: Any) -> bool:
    return bool(backend.is_available() and getattr(backend, "enabled", True))


def _switch_holders() -> dict[str, Any]:
    """Return the objects whose fp32_precision can be set, by name; a torch build may lack some."""
    holders = {}
    for name in PRECISION_SWITCHES:
        holder: Any = sys.modules["torch"]
        for part in name.split(".")[1:]:
            holder = getattr(holder, part, None)
        if hasattr(holder, "fp32_precision"):
            holders[name] = holder
    return holders


TORCH = PyTorch(
    name="torch",
    label="PyTorch",
    colour="#C04E00",
    dark_colour="#ff9a5c",
    module="torch",
    upgrade="pip install --upgrade torch  (its wheels use what the processor has)",
    accelerators=("cuda", "mps", "xpu"),
)
