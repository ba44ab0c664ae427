"""Find the devices and libraries of this machine, why others are absent, and the state of accelerators.

Child processes do the search: the main process imports no library, and a driver that crashes on import
crashes only the child.
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
# fields asked of nvidia-smi, and their names among the facts
SMI_FIELDS = {
    "driver_version": "driver_version", "temperature.gpu": "temperature_c", "power.draw": "power_w",
    "power.limit": "power_limit_w", "clocks.sm": "clock_mhz", "clocks.max.sm": "max_clock_mhz",
    "clocks_throttle_reasons.active": "throttle_reasons", "persistence_mode": "persistence",
    "mig.mode.current": "mig", "memory.used": "memory_used_mib",
}  # fmt: skip
OWN_MEMORY_BYTES = 2 << 30  # more than a torch process takes for its own context
ChildSetup = tuple[Library, list[str], Mapping[str, str]]  # with the arguments and the environment of a child


@dataclass(frozen=True, slots=True)
class Devices:
    """Hold all devices, the cpu first.

    ``versions``: of the libraries that searched for accelerators. ``missing``: why a library cannot be used
    here. Both are by library name.
    """

    present: tuple[Device, ...]
    absent: tuple[Absent, ...]
    versions: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def without_float64(self) -> tuple[str, ...]:
        """Return the ids of the devices that cannot compute in float64."""
        return tuple(device.id for device in self.present if "float64" not in device.dtypes)


def find_devices(*, timeout_seconds: float = PROBE_SECONDS, quickly: bool = False) -> Devices:
    """Search for accelerators in a child for each library; if the child dies or hangs, only the cpu is left.

    ``quickly`` saves the import of torch (a second) if torch's files say that the build supports no GPU. A
    failing import then shows later. On Windows, which cannot run such children, returns the cpu alone.
    """
    if os.name == "nt":
        return find_cpu()
    inventories = {}
    for lib in _with_accelerators():
        inventory = lib.find_accelerators_unloaded() if quickly else None
        inventories[lib] = inventory or _ask([(lib, [], os.environ)], timeout_seconds)[0]
    return _devices(inventories)


def find_cpu() -> Devices:
    """Return the cpu alone, without importing a library: a failing import shows later."""
    return _devices(
        {lib: Inventory(missing=reason) for lib in _with_accelerators() if (reason := lib.missing())}
    )


def resolve(requested: Sequence[str], devices: Devices) -> tuple[list[str], list[Absent]]:
    """Turn "cpu", "cuda" (all of that kind), "cuda:1" and "all" into ids of devices that are here.

    Returns:
        The ids in the requested order, each once; and, for "all", the kinds that are absent.

    Raises:
        UserError: a requested device is not here, or its kind does not exist.
    """
    ids: list[str] = []
    for request in requested:
        matching = [device.id for device in devices.present if request in ("all", device.kind, device.id)]
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
    """Ask every library, in parallel and in a worker's environment; return the inventories by library name.

    With variables ``pins``, which a run drops, NumPy is asked a second time: its facts then tell which
    ``pinned_kernel`` its BLAS chooses with them. ``devices``: the accelerators to describe; None for all.
    """
    requests = [*((lib, ()) for lib in LIBRARIES.values()), *([(NUMPY, pins)] if pins else [])]
    inventories = _ask(
        [(lib, [str(threads)], worker_environment(threads, keep=keep).variables) for lib, keep in requests],
        seconds,
    )
    pinned = inventories.pop() if pins else Inventory()
    by_name = dict(zip(LIBRARIES, inventories, strict=True))
    by_name[NUMPY.name].facts["pinned_kernel"] = pinned.facts.get("kernel")
    for inventory in inventories:
        for device in list(inventory.devices):
            state = inventory.devices.pop(device)
            if devices is None or device in devices:
                inventory.devices[device] = with_nvidia_smi(state)
    return by_name


def with_nvidia_smi(facts: Mapping[str, Any], command: Sequence[str] = ("nvidia-smi",)) -> dict[str, Any]:
    """Return a device's facts with the present state, if nvidia-smi tells; without the uuid."""
    public_facts = {name: fact for name, fact in facts.items() if name != "uuid"}
    if not facts.get("uuid"):
        return public_facts
    query = f"--id={facts['uuid']}", f"--query-gpu={','.join(SMI_FIELDS)}", "--format=csv,noheader,nounits"
    output = (program_output([*command, *query], SMI_SECONDS) or b"").decode(errors="replace")
    words = [word.strip() for word in output.split(",")]
    if len(words) != len(SMI_FIELDS):
        return public_facts
    state = known(**{name: _number(word) for name, word in zip(SMI_FIELDS.values(), words, strict=True)})
    state |= known(driver_version=words[0])  # text, even if it looks like a number
    memory_taken = known(
        memory_taken_bytes=lambda: max(0, int(state["memory_used_mib"] * 2**20) - OWN_MEMORY_BYTES)
    )
    return public_facts | state | memory_taken


def _with_accelerators() -> list[Library]:
    """Return the libraries that support accelerators."""
    return [lib for lib in LIBRARIES.values() if lib.accelerators]


def _ask(asked: Sequence[ChildSetup], seconds: float) -> list[Inventory]:
    """Return the inventory of each library, asked in parallel; a late or failing library is missing."""
    with ExitStack() as stack:
        children = [
            stack.enter_context(Child(PROBE, [lib.name, *arguments], environment, deadline_s=seconds))
            for lib, arguments, environment in asked
        ]
        return [_inventory(child, lib) for child, (lib, _, _) in zip(children, asked, strict=True)]


def _inventory(child: Child, own: Library) -> Inventory:
    try:
        inventory: Inventory = child.receive(Inventory)
    except ChildError as error:
        slow = error.status == "timeout"
        why = f"took more than {child.deadline_s:g} s" if slow else f"failed: {child.explain(error)}"
        return Inventory(missing=f"importing {own.label} {why}")
    return inventory


def _devices(inventories: Mapping[Library, Inventory]) -> Devices:
    """Join the cpu and the accelerators that each library found."""
    cpu = Device("cpu", "cpu", host.processor_name(), host.memory_bytes(), ("float32", "float64"))
    absent: list[Absent] = []
    for lib, inventory in inventories.items():
        missing = [Absent(kind, inventory.missing) for kind in lib.accelerators]
        absent += missing if inventory.missing else inventory.absent
    return Devices(
        present=(cpu, *(device for inventory in inventories.values() for device in inventory.present)),
        absent=tuple(absent),
        versions={lib.name: inventory.version for lib, inventory in inventories.items() if inventory.version},
        missing={lib.name: inventory.missing for lib, inventory in inventories.items() if inventory.missing},
    )


def _not_here(request: str, devices: Devices) -> str:
    kind = request.partition(":")[0]
    reasons = {absent.kind: f": {absent.reason}" for absent in devices.absent}
    present_ids = ", ".join(device.id for device in devices.present)
    if kind not in (kinds := ("cpu", *ACCELERATORS)):
        hint = did_you_mean(kind, (name for name in kinds if name[0] == kind[:1].lower()))  # a GPU is no CPU
        return f"no device is called {request!r}{hint}; here there is: {present_ids}; or ask for all"
    return f"no device {request!r} here{reasons.get(kind, '')}; there is: {present_ids}"


def _number(word: str) -> Any:
    """Return a word as a number if possible; None if the word says that the value is not available."""
    if word.startswith("[") or word in ("", "N/A"):
        return None
    for kind in (int, float, lambda text: int(text, 16)):
        with suppress(ValueError):
            return kind(word)
    return word
