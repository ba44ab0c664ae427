"""The child process that imports torch and tells which accelerators it sees; see device.py.

It replies with one JSON object: ``torch_version``, ``present`` and ``absent``; or no version and
``torch_missing``.
"""

import json
import os
import platform
from collections.abc import Callable, Mapping
from typing import Any

from bench.machine.lifeline import replies

BOTH_DTYPES = ("float32", "float64")
CUDA_SELECTORS = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
XPU_SELECTORS = ("ZE_AFFINITY_MASK", "ONEAPI_DEVICE_SELECTOR")

Found = list[dict[str, Any]]


class NotHere(Exception):
    """Why a kind of device is absent."""


def cuda_devices(torch: Any, environ: Mapping[str, str]) -> Found:
    """Every visible CUDA (or ROCm) device.

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
    """The GPU of an Apple machine, which has no float64.

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
    """Every visible Intel GPU; not all of them have float64.

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
    """What this torch sees: the accelerators that are present, and why the other kinds are absent."""
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
            absent.append({"kind": kind, "reason": _first_sentence(error)})
    return {
        "torch_version": str(torch.__version__),
        "present": present,
        "absent": absent,
    }


def main() -> None:
    """Reply with what torch sees; that it cannot be imported is an answer too."""
    with replies() as send:
        try:
            import torch
        except (ImportError, OSError) as error:  # OSError: one of its shared libraries is missing
            if isinstance(error, ModuleNotFoundError) and error.name == "torch":
                reason = "PyTorch is not installed"
            else:
                reason = f"PyTorch cannot be imported: {_first_sentence(error)}"
            answer: dict[str, Any] = {"torch_version": None, "torch_missing": reason}
        else:
            answer = describe(torch, os.environ, platform.system())
        send(json.dumps(answer).encode())


def _selected_by(selectors: tuple[str, ...], environ: Mapping[str, str]) -> str:
    """The variables that choose devices, as they are set."""
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


def _first_sentence(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].split(". ")[0].rstrip(".") if lines else type(error).__name__


if __name__ == "__main__":
    main()
