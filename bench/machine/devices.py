"""Devices and libraries as a process of ours finds them: which are here, why others are not, and their state.

All is asked of child processes, so that the main process imports no library, and a driver that crashes on
import crashes there.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

from bench.machine import host
from bench.machine.child import Child, ChildError, program_output
from bench.machine.environ import worker_environment
from bench.machine.errors import UserError, did_you_mean
from bench.machine.libraries import ACCELERATORS, LIBRARIES, NUMPY
from bench.machine.libraries.library import Absent as Absent
from bench.machine.libraries.library import Device as Device
from bench.machine.libraries.library import Inventory, Library, known

PROBE = "bench.machine.probe"
PROBE_SECONDS = 120.0  # a first import of torch from a slow disk can take most of a minute
CHECK_SECONDS = 60.0
SMI_SECONDS = 10.0
# what nvidia-smi is asked for, and what the facts call it
QUERY = {
    "driver_version": "driver_version", "temperature.gpu": "temperature_c", "power.draw": "power_w",
    "power.limit": "power_limit_w", "clocks.sm": "clock_mhz", "clocks.max.sm": "max_clock_mhz",
    "clocks_throttle_reasons.active": "throttle_reasons", "persistence_mode": "persistence",
    "mig.mode.current": "mig", "memory.used": "memory_used_mib",
}  # fmt: skip
OWN_MEMORY = 2 << 30  # a torch process's own context takes less
Asking = tuple[Library, list[str], Mapping[str, str]]  # with the arguments and the environment of its child


@dataclass(frozen=True, slots=True)
class Devices:
    """All devices, the cpu first.

    ``versions`` are those of the libraries that looked for accelerators; ``missing`` tells why a library
    cannot be used here. Both by the library's name.
    """

    present: tuple[Device, ...]
    absent: tuple[Absent, ...]
    versions: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def without_float64(self) -> tuple[str, ...]:
        """Return ids of the devices that cannot compute in float64."""
        return tuple(device.id for device in self.present if "float64" not in device.dtypes)


def find_devices(*, timeout_seconds: float = PROBE_SECONDS, quickly: bool = False) -> Devices:
    """Ask a child for each library that knows accelerators; one that dies or hangs leaves the cpu.

    ``quickly`` saves the second that importing torch takes where its files tell that its build knows no GPU;
    whether it can be imported shows later, then. On Windows, which has no children, it is the cpu alone.
    """
    if os.name == "nt":
        return find_cpu()
    inventories = {}
    for each in _searching():
        unloaded = each.find_accelerators_unloaded() if quickly else None
        inventories[each] = unloaded or _ask([(each, [], os.environ)], timeout_seconds)[0]
    return _devices(inventories)


def find_cpu() -> Devices:
    """Return the cpu alone, without the seconds that importing takes; whether that works shows later."""
    return _devices({each: Inventory(missing=reason) for each in _searching() if (reason := each.missing())})


def resolve(requested: Sequence[str], devices: Devices) -> tuple[list[str], list[Absent]]:
    """Turn "cpu", "cuda" (all of that kind), "cuda:1" and "all" into ids of devices that are here.

    Returns:
        The ids in the order asked for, each once; and, for "all", the kinds that are absent.

    Raises:
        UserError: a device was asked for by name and is not here, or there is no such kind.
    """
    ids: list[str] = []
    for request in requested:
        matching = [d.id for d in devices.present if request in ("all", d.kind, d.id)]
        if not matching:
            raise UserError(_not_here(request, devices))
        ids += matching
    return list(dict.fromkeys(ids)), list(devices.absent) if "all" in requested else []


def probe_libraries(
    threads: int,
    pins: Sequence[str] = (),
    *,
    devices: Collection[str] | None = None,
    seconds: float = CHECK_SECONDS,
) -> dict[str, Inventory]:
    """Ask every library, side by side, in a worker's environment; return what each tells, by its name.

    With the variables ``pins``, which a run drops, NumPy is asked as well: its facts tell which
    ``pinned_kernel`` its BLAS chooses then. ``devices``: the accelerators to tell of; None for all.
    """
    asked = [*((each, ()) for each in LIBRARIES.values()), *([(NUMPY, pins)] if pins else [])]
    inventories = _ask(
        [(each, [str(threads)], worker_environment(threads, keep=keep).variables) for each, keep in asked],
        seconds,
    )
    pinned = inventories.pop() if pins else Inventory()
    by_name = dict(zip(LIBRARIES, inventories, strict=True))
    by_name[NUMPY.name].facts["pinned_kernel"] = pinned.facts.get("kernel")
    for each in inventories:
        for device in list(each.devices):
            state = each.devices.pop(device)
            if devices is None or device in devices:
                each.devices[device] = with_nvidia_smi(state)
    return by_name


def with_nvidia_smi(facts: Mapping[str, Any], command: Sequence[str] = ("nvidia-smi",)) -> dict[str, Any]:
    """Return the facts of a device with its present state, where nvidia-smi can tell; without its uuid."""
    kept = {name: fact for name, fact in facts.items() if name != "uuid"}
    if not facts.get("uuid"):
        return kept
    query = f"--id={facts['uuid']}", f"--query-gpu={','.join(QUERY)}", "--format=csv,noheader,nounits"
    printed = (program_output([*command, *query], SMI_SECONDS) or b"").decode(errors="replace")
    words = [word.strip() for word in printed.split(",")]
    if len(words) != len(QUERY):
        return kept
    state = known(**{name: _number(word) for name, word in zip(QUERY.values(), words, strict=True)})
    state |= known(driver_version=words[0])  # which is text, also where it looks like a number
    taken = known(memory_taken_bytes=lambda: max(0, int(state["memory_used_mib"] * 2**20) - OWN_MEMORY))
    return kept | state | taken


def _searching() -> list[Library]:
    """Return the libraries that know accelerators."""
    return [each for each in LIBRARIES.values() if each.accelerators]


def _ask(asked: Sequence[Asking], seconds: float) -> list[Inventory]:
    """Ask a child for each library, side by side; one that is not done in time, or fails, is missing."""
    with ExitStack() as stack:
        children = [
            stack.enter_context(Child(PROBE, [own.name, *arguments], environment, deadline_s=seconds))
            for own, arguments, environment in asked
        ]
        return [_inventory(child, own) for child, (own, _, _) in zip(children, asked, strict=True)]


def _inventory(child: Child, own: Library) -> Inventory:
    try:
        inventory: Inventory = child.receive(Inventory)
    except ChildError as error:
        slow = error.status == "timeout"
        why = f"took more than {child.deadline_s:g} s" if slow else f"failed: {child.explain(error)}"
        return Inventory(missing=f"importing {own.label} {why}")
    return inventory


def _devices(inventories: Mapping[Library, Inventory]) -> Devices:
    """Join the cpu and what each library has found."""
    cpu = Device("cpu", "cpu", host.processor_name(), host.memory_bytes(), ("float32", "float64"))
    absent: list[Absent] = []
    for own, each in inventories.items():
        absent += [Absent(kind, each.missing) for kind in own.accelerators] if each.missing else each.absent
    return Devices(
        present=(cpu, *(device for each in inventories.values() for device in each.present)),
        absent=tuple(absent),
        versions={own.name: each.version for own, each in inventories.items() if each.version},
        missing={own.name: each.missing for own, each in inventories.items() if each.missing},
    )


def _not_here(request: str, devices: Devices) -> str:
    kind = request.partition(":")[0]
    reasons = {absent.kind: f": {absent.reason}" for absent in devices.absent}
    here = ", ".join(device.id for device in devices.present)
    if kind not in (kinds := ("cpu", *ACCELERATORS)):
        near = did_you_mean(kind, (each for each in kinds if each[0] == kind[:1].lower()))  # a GPU is no CPU
        return f"no device is called {request!r}{near}; here there is: {here}; or ask for all"
    return f"no device {request!r} here{reasons.get(kind, '')}; there is: {here}"


def _number(word: str) -> Any:
    """Return a number where the word is one, None where it says that it is not available."""
    if word.startswith("[") or word in ("", "N/A"):
        return None
    for kind in (int, float, lambda text: int(text, 16)):
        with suppress(ValueError):
            return kind(word)
    return word
