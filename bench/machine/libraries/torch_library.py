"""Describe PyTorch to the harness: threads, float32 precision, devices, the compiler and other facts.

Methods run in a process that has imported torch. The main process has not: it calls only ``missing``,
``why_not_compile`` and ``find_accelerators_unloaded``. Facts that a driver, a build or a missing package
cannot tell are left out. The search for accelerators does not wait for any accelerator's work.
"""

import importlib.util
import os
import platform
import re
import runpy
import shutil
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from operator import attrgetter
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

from bench.machine.clock import no_wait
from bench.machine.environ import recorded
from bench.machine.libraries.library import (
    SUBNORMAL,
    Absent,
    Device,
    Inventory,
    Library,
    Move,
    Ramp,
    first_sentence,
    known,
)  # fmt: skip

if TYPE_CHECKING:
    from numpy.typing import NDArray

# All switches that may let float32 work run below IEEE float32 (TF32, bfloat16). Each switch is set, since
# the general switch reaches only some backends. Only this interface is used: torch raises an error if its
# older interface (allow_tf32) is used, too.
PRECISION_SWITCHES = (
    "torch.backends", "torch.backends.cuda.matmul", "torch.backends.cudnn", "torch.backends.cudnn.conv",
    "torch.backends.cudnn.rnn", "torch.backends.mkldnn", "torch.backends.mkldnn.matmul",
    "torch.backends.mkldnn.conv", "torch.backends.mkldnn.rnn",
)  # fmt: skip
MIN_TORCH_SHARE = 0.1  # of a call's time
STATE_FACTS = (
    "threads", "interop_threads", "flushes_subnormals", "precision", "deterministic_algorithms", "grad_mode",
    "mkldnn",
)  # fmt: skip
# variables that choose devices, by kind of device
DEVICE_SELECTORS = {
    "cuda": ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"),
    "xpu": ("ZE_AFFINITY_MASK", "ONEAPI_DEVICE_SELECTOR"),
}
# facts of accelerators, by kind of device: attributes of the device's properties, then attributes of torch
PROPERTY_FACTS = {
    "cuda": {"memory_bytes": "total_memory", "multiprocessors": "multi_processor_count",
             "l2_cache_bytes": "L2_cache_size"},
    "xpu": {"memory_bytes": "total_memory", "multiprocessors": "gpu_subslice_count",
            "driver": "driver_version"},
}  # fmt: skip
TORCH_FACTS = {
    "cuda": {"allocator": "cuda.memory.get_allocator_backend", "cudnn": "backends.cudnn.version",
             "cudnn_enabled": "backends.cudnn.enabled", "cudnn_benchmark": "backends.cudnn.benchmark",
             "cudnn_deterministic": "backends.cudnn.deterministic"},
    "mps": {"memory_bytes": "mps.recommended_max_memory"},
}  # fmt: skip
CUDA_VARIABLES = {
    "module_loading": "CUDA_MODULE_LOADING", "launch_blocking": "CUDA_LAUNCH_BLOCKING",
    "cublas_workspace": "CUBLAS_WORKSPACE_CONFIG", "allocator_config": "PYTORCH_CUDA_ALLOC_CONF",
}  # fmt: skip
# the C++ compiler if CXX names none (PyTorch tries no other), and how to install it
COMPILERS = {
    "Darwin": ("clang++", "run xcode-select --install"),
    "Windows": ("cl", "install the C++ tools of Visual Studio and start from its developer prompt"),
}


class PyTorch(Library):
    """Describe PyTorch on the CPU and on accelerators."""

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
        torch.set_num_threads(n)  # torch's MKL is linked statically: threadpoolctl cannot see it
        with suppress(RuntimeError):  # works only once, before the first use; the facts tell the result
            torch.set_num_interop_threads(n)

    def set_ieee_precision(self) -> dict[str, str]:
        """Set every float32 precision switch to IEEE; return the switches' new values by name."""
        for switch in _switches().values():
            switch.fp32_precision = "ieee"
        return self.precision()

    def precision(self) -> dict[str, str]:
        """Return the value of every float32 precision switch by name: ieee, tf32, bf16 or none (unset)."""
        return {name: str(switch.fp32_precision) for name, switch in _switches().items()}

    def facts(self) -> dict[str, Any]:
        """Return version, threads, BLAS, processor features, switches and build."""
        import torch

        settings = dict(re.findall(r"(\w+)=([^,\s]+)", torch.__config__.show()))
        mkl = re.search(r"Math Kernel Library Version (\S+)-Product", torch.__config__.show())
        mkldnn: Any = torch.backends.mkldnn
        return {
            "version": str(torch.__version__),
            "threads": torch.get_num_threads(),
            "interop_threads": torch.get_num_interop_threads(),
            "blas": settings.get("BLAS_INFO", "unknown"),
            "blas_version": mkl[1] if mkl else None,
            "kernel": None,  # MKL does not report its kernel
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "cuda": torch.version.cuda,
            "precision": self.precision(),
        } | known(
            git=lambda: torch.version.git_version,
            debug=lambda: torch.version.debug,
            threading=lambda: re.findall(r"parallel backend: (.+)", torch.__config__.parallel_info())[0],
            mkldnn=lambda: "on" if mkldnn.is_available() and getattr(mkldnn, "enabled", True) else "off",
            deterministic_algorithms=torch.are_deterministic_algorithms_enabled,
            grad_mode=lambda: "on" if torch.is_grad_enabled() else "off",
            flushes_subnormals=lambda: float(torch.full((1,), SUBNORMAL) * 1) == 0.0,
            mps_fallback=os.environ.get("PYTORCH_ENABLE_MPS_FALLBACK"),
        )

    def state(self) -> dict[str, Any]:
        """Return the threads, precision, modes and defaults of the process."""
        torch, facts = sys.modules["torch"], self.facts()
        return known(
            default_dtype=lambda: str(torch.get_default_dtype()),
            default_device=lambda: str(torch.get_default_device()),
            inference_mode=torch.is_inference_mode_enabled,
            cudnn_benchmark=lambda: torch.backends.cudnn.benchmark,
        ) | {name: facts[name] for name in STATE_FACTS if name in facts}

    def synchroniser(self, device: str) -> Callable[[], None]:
        """Return a function that waits for exactly this device; the cpu needs no wait after a call."""
        kind = device.partition(":")[0]
        if kind == "cpu":
            return no_wait
        import torch

        if kind == "mps":  # one device only: its synchronise takes no device
            return torch.mps.synchronize
        return partial(torch.get_device_module(kind).synchronize, device)

    def mover(self, device: str) -> Move | None:
        """Return a function that copies a NumPy array to the device; None for the cpu."""
        if device == "cpu":
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
        """Return the numbers of a tensor on any device as a NumPy array."""
        array: NDArray[Any] = held.detach().cpu().numpy()
        return array

    @contextmanager
    def operations(self, dtype: str, device: str) -> Iterator[tuple[Any, Ramp] | None]:
        """Yield torch and its ``linspace`` on the device; nothing is recorded for gradients meanwhile."""
        import torch

        with torch.inference_mode():
            yield torch, partial(torch.linspace, -1, 1, dtype=getattr(torch, dtype), device=device)

    def device_facts(self, device: str) -> dict[str, Any]:
        """Return name, memory, versions, capability, clocks and state of an accelerator."""
        kind = device.partition(":")[0]
        if kind == "cpu":
            return {"device_name": None}
        torch = sys.modules["torch"]
        module = torch.get_device_module(kind)
        properties = known(all=lambda: module.get_device_properties(device)).get("all")
        return {"device_name": "Apple GPU" if kind == "mps" else module.get_device_name(device)} | known(
            **{
                name: partial(attrgetter(attribute), properties)
                for name, attribute in PROPERTY_FACTS.get(kind, {}).items()
            },
            **{
                name: partial(_read, torch, attribute)
                for name, attribute in TORCH_FACTS.get(kind, {}).items()
            },
            **(_cuda_facts(torch, device, properties) if kind == "cuda" else {}),
        )

    def device_uuid(self, device: str) -> str | None:
        """Return the id by which nvidia-smi knows a device."""
        properties = sys.modules["torch"].cuda.get_device_properties
        return known(uuid=lambda: f"GPU-{properties(device).uuid}").get("uuid")

    def find_accelerators(self) -> Inventory:
        """Search for accelerators with the loaded torch."""
        return find_accelerators(sys.modules["torch"], os.environ)

    def find_accelerators_unloaded(self) -> Inventory | None:
        """Return an inventory without accelerators if torch's files say that the build has none, else None.

        Saves the import of torch, which takes a second; a failing import then shows later.
        """
        spec = importlib.util.find_spec(self.module)
        version = Path(spec.origin).with_name("version.py") if spec and spec.origin else None
        if version is None or not version.is_file() or platform.system() == "Darwin":
            return None
        built = SimpleNamespace(**runpy.run_path(str(version)))
        if built.cuda or built.hip or built.xpu:
            return None
        return find_accelerators(SimpleNamespace(__version__=built.__version__, version=built), os.environ)

    def why_not_compile(self, device: str) -> str | None:
        """Return what torch.compile lacks here, and the remedy; None if nothing is missing."""
        return why_not_compile(device)

    def computes_elsewhere(self, call: Callable[[], object]) -> str:
        """Return why ``call`` does not compute with torch; empty if it does.

        By torch's own profiler, the catalogue's variants spend 20 to 99 % of a call in torch's operations;
        the share is lowest at the smallest sizes.
        """
        profile = sys.modules["torch"].autograd.profiler.profile
        share = 0.0
        for _ in range(3):  # keep the largest share: a busy machine may interrupt a call
            with profile(use_kineto=False) as profiled:  # kineto prints, and takes a second to start
                start_ns = time.perf_counter_ns()
                call()
                elapsed_ns = time.perf_counter_ns() - start_ns
            torch_ns = 1000 * sum(event.self_cpu_time_total for event in profiled.function_events)
            share = max(share, torch_ns / elapsed_ns)
        if share >= MIN_TORCH_SHARE:
            return ""
        return f"is a PyTorch variant, but PyTorch has {share:.0%} of its call: something else computes"


TORCH = PyTorch(
    name="torch",
    label="PyTorch",
    colour="#C04E00",
    dark_colour="#ff9a5c",
    module="torch",
    upgrade="pip install --upgrade torch  (its wheels use what the processor has)",
    accelerators=("cuda", "mps", "xpu"),
)


def _switches() -> dict[str, Any]:
    """Return the objects whose fp32_precision can be set, by name; a torch build may lack some."""
    namespace = SimpleNamespace(torch=sys.modules["torch"])
    switches = known(**{name: partial(attrgetter(name), namespace) for name in PRECISION_SWITCHES})
    return {name: switch for name, switch in switches.items() if hasattr(switch, "fp32_precision")}


class DeviceAbsent(Exception):
    """Report why a kind of device is absent."""


def find_accelerators(torch: Any, environ: Mapping[str, str]) -> Inventory:
    """Return the accelerators that this torch sees, and why other kinds are absent."""
    present: list[Device] = []
    absent: list[Absent] = []
    for kind in TORCH.accelerators:
        try:
            present += _find_mps(torch) if kind == "mps" else _find_gpus(torch, kind, environ)
        except Exception as error:  # one broken driver must not hide the other devices
            absent.append(Absent(kind, first_sentence(error)))
    return Inventory(str(torch.__version__), tuple(present), tuple(absent))


def _find_gpus(torch: Any, kind: str, environ: Mapping[str, str]) -> list[Device]:
    """Return every visible GPU of CUDA (or ROCm) or of Intel; not all Intel GPUs have float64.

    Raises:
        DeviceAbsent: there is none; the text says why. A broken driver raises torch's own error.
    """
    if not any(getattr(torch.version, name, None) for name in {"cuda": ("cuda", "hip")}.get(kind, (kind,))):
        raise DeviceAbsent(f"this PyTorch build ({torch.__version__}) has no {kind.upper()}")
    module = getattr(torch, kind)
    if not (count := module.device_count()):
        selectors = {name: environ[name] for name in DEVICE_SELECTORS[kind] if name in environ}
        selected = ", ".join(f"{name}={value}" for name, value in selectors.items())
        selected = f" ({selected})" if selected else ""
        if kind == "xpu":
            raise DeviceAbsent(f"no Intel GPU is visible, or no driver{selected}")
        for name, value in selectors.items():
            if value in ("", "-1"):
                raise DeviceAbsent(f"{name}={value!r} hides every device")
        module.init()  # raises an error that describes the driver's fault
        raise DeviceAbsent(f"no device is visible{selected}")
    devices = []
    for i in range(count):
        properties = module.get_device_properties(i)
        dtypes = ("float32", "float64") if kind == "cuda" or properties.has_fp64 else ("float32",)
        devices.append(Device(f"{kind}:{i}", kind, properties.name, int(properties.total_memory), dtypes))
    return devices


def _find_mps(torch: Any) -> list[Device]:
    """Return the GPU of an Apple machine, which has no float64.

    Raises:
        DeviceAbsent: there is none; the text says why.
    """
    if (system := platform.system()) != "Darwin":
        raise DeviceAbsent(f"it exists on macOS only, and this is {system}")
    if not torch.backends.mps.is_built():
        raise DeviceAbsent(f"this PyTorch build ({torch.__version__}) has no MPS")
    if not torch.backends.mps.is_available():
        raise DeviceAbsent("macOS offers PyTorch no Metal device (too old, or a virtual machine)")
    # mps:0 is torch's name for it
    return [
        Device("mps:0", "mps", "Apple GPU (Metal)", int(torch.mps.recommended_max_memory()), ("float32",))
    ]


def _read(torch: Any, name: str) -> Any:
    """Return an attribute of torch, or its result if the attribute is a function."""
    value = attrgetter(name)(torch)
    return value() if callable(value) else value


def _cuda_facts(torch: Any, device: str, properties: Any) -> dict[str, Any]:
    """Return further facts of a CUDA device; a function is to be called for its fact."""

    def driver() -> str:
        """Return the newest CUDA version that the driver supports: 12040 is 12.4."""
        number = torch._C._cuda_getDriverVersion()
        return f"{number // 1000}.{number % 1000 // 10}"

    return {
        **{
            name: recorded(variable, os.environ[variable])
            for name, variable in CUDA_VARIABLES.items()
            if variable in os.environ
        },
        "compute_capability": lambda: f"{properties.major}.{properties.minor}",
        "max_clock_mhz": lambda: properties.clock_rate // 1000,
        "runtime": lambda: torch.version.hip or torch.version.cuda,
        "driver": driver,
        # the next three need the package nvidia-ml-py
        "clock_mhz": lambda: torch.cuda.clock_rate(device),
        "temperature_c": lambda: torch.cuda.temperature(device),
        "power_w": lambda: torch.cuda.power_draw(device) / 1000,
    }


def why_not_compile(device: str) -> str | None:
    """Return what torch.compile lacks for the device besides PyTorch, and the remedy; None if nothing.

    The check compiles nothing.
    """
    kind = device.partition(":")[0]
    if kind == "mps":
        return None  # Metal compiles its own kernels
    if kind != "cpu" and importlib.util.find_spec("triton") is None:
        return "Triton is missing: install the build of PyTorch that is made for this device"
    default, remedy = COMPILERS.get(platform.system(), ("g++", "install g++"))
    compiler = os.environ.get("CXX") or default
    if shutil.which(compiler) is None:
        if compiler != default:
            return f"the C++ compiler that CXX names, {compiler}, is not there: install it, or unset CXX"
        alternative = next(filter(shutil.which, ("clang++", "g++")), None)
        return f"no C++ compiler {default} found: {f'set CXX={alternative}' if alternative else remedy}"
    # the two folders where PyTorch looks for Python's headers: this Python's, and the usual one
    scheme = "nt" if platform.system() == "Windows" else "posix_prefix"
    folders = sysconfig.get_path("include"), sysconfig.get_path("include", scheme=scheme)
    if not any((Path(folder) / "Python.h").is_file() for folder in folders):
        return "Python.h is missing: install python3-dev (python3-devel on Fedora)"
    return None
