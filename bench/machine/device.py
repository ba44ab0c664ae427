"""Devices: which there are, and why the others are absent.

Found in a child process, so that the main process never imports torch and a driver that crashes on
import crashes there.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.machine.child import Child, ChildError
from bench.machine.errors import UserError, did_you_mean
from bench.machine.libraries import TORCH

ACCELERATORS = TORCH.accelerators
PROBE = "bench.machine.probe"
PROBE_SECONDS = 120  # a first import of torch from a slow disk can take most of a minute


@dataclass(frozen=True, slots=True)
class Device:
    """A device that is here. ``id`` is what torch calls it: cpu, cuda:0, cuda:1, mps:0, xpu:0."""

    id: str
    kind: str
    name: str
    memory_bytes: int | None
    dtypes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Absent:
    """A kind of device that is not here, and why."""

    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class Devices:
    """All devices, the cpu first. Where torch is missing NumPy alone can run."""

    present: tuple[Device, ...]
    absent: tuple[Absent, ...]
    torch_version: str | None
    torch_missing: str | None = None


def find_devices(*, timeout_seconds: float = PROBE_SECONDS) -> Devices:
    """Ask a child process. One that dies, hangs or lacks torch leaves the cpu, for NumPy alone.

    On Windows, where there are no children, it is the cpu alone.
    """
    if os.name == "nt":
        return find_cpu()
    answer: dict[str, Any]
    with Child(PROBE, [TORCH.name], os.environ) as child:
        try:
            answer = child.receive(dict[str, Any], timeout_seconds)
        except ChildError as error:
            if error.status == "timeout":
                return _numpy_only(f"importing PyTorch took more than {timeout_seconds:g} s")
            child.stop()  # what it printed is whole from here on
            return _numpy_only(f"importing PyTorch failed: {error}: {child.last_line()}")
    if "missing" in answer:
        return _numpy_only(answer["missing"])
    return _as_devices(answer)


def find_devices_quickly(*, timeout_seconds: float = PROBE_SECONDS) -> Devices:
    """As ``find_devices``, but without the second that importing torch takes where its build knows no GPU.

    Whether it can be imported shows later, then.
    """
    if answer := TORCH.find_accelerators_unloaded():
        return _as_devices(answer)
    return find_devices(timeout_seconds=timeout_seconds)


def find_cpu() -> Devices:
    """The cpu alone, without the seconds that importing torch takes; whether that works shows later."""
    if reason := TORCH.missing():
        return _numpy_only(reason)
    return Devices((_cpu(),), (), None)


def resolve(requested: Sequence[str], found: Devices) -> tuple[list[str], list[Absent]]:
    """Turn "cpu", "cuda" (all of that kind), "cuda:1" and "all" into ids of devices that are here.

    Returns:
        The ids in the order asked for, each once; and, for "all", the kinds that are absent.

    Raises:
        UserError: a device was asked for by name and is not here, or there is no such kind.
    """
    ids: list[str] = []
    missing: list[Absent] = []
    for request in requested:
        wanted = [d.id for d in found.present if request in ("all", d.kind, d.id)]
        if request == "all":
            missing = list(found.absent)
        if not wanted:
            raise UserError(_not_here(request, found))
        ids += wanted
    return list(dict.fromkeys(ids)), missing


def _as_devices(answer: dict[str, Any]) -> Devices:
    present = [Device(**entry | {"dtypes": tuple(entry["dtypes"])}) for entry in answer["present"]]
    absent = [Absent(**entry) for entry in answer["absent"]]
    return Devices((_cpu(), *present), tuple(absent), answer["version"])


def _cpu() -> Device:
    from bench.machine import host

    return Device("cpu", "cpu", host.processor_name(), host.memory_bytes(), ("float32", "float64"))


def _numpy_only(reason: str) -> Devices:
    return Devices((_cpu(),), tuple(Absent(kind, reason) for kind in ACCELERATORS), None, reason)


def _not_here(request: str, found: Devices) -> str:
    kind = request.partition(":")[0]
    reasons = {absent.kind: f": {absent.reason}" for absent in found.absent}
    here = ", ".join(device.id for device in found.present)
    if kind not in (kinds := ("cpu", *ACCELERATORS)):
        near = did_you_mean(kind, (one for one in kinds if one[0] == kind[:1].lower()))  # a GPU is no CPU
        return f"no device is called {request!r}{near}; here there is: {here}; or ask for all"
    return f"no device {request!r} here{reasons.get(kind, '')}; there is: {here}"
