"""Devices and libraries as a process of ours finds them: which are here, why others are not, and their state.

All is asked of child processes, so that the main process imports no library, and a driver that crashes on
import crashes there.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

from bench.machine import host
from bench.machine.child import Child, ChildError
from bench.machine.environ import worker_environment
from bench.machine.errors import UserError, did_you_mean
from bench.machine.libraries import ACCELERATORS, LIBRARIES, NUMPY, Library

PROBE = "bench.machine.probe"
PROBE_SECONDS = 120.0  # a first import of torch from a slow disk can take most of a minute
CHECK_SECONDS = 60.0
# what nvidia-smi is asked for, and what the facts call it
QUERY = {
    "driver_version": "driver_version",
    "temperature.gpu": "temperature_c",
    "power.draw": "power_w",
    "power.limit": "power_limit_w",
    "clocks.sm": "clock_mhz",
    "clocks.max.sm": "max_clock_mhz",
    "clocks_throttle_reasons.active": "throttle_reasons",
    "persistence_mode": "persistence",
    "mig.mode.current": "mig",
    "memory.used": "memory_used_mib",
}
OWN_MEMORY = 2 << 30  # a torch process's own context takes less


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
        """Ids of the devices that cannot compute in float64."""
        return tuple(device.id for device in self.present if "float64" not in device.dtypes)


@dataclass(frozen=True, slots=True)
class Probed:
    """Facts by library and by accelerator; ``silent`` says why a library told nothing."""

    libraries: dict[str, dict[str, Any]] = field(default_factory=dict)
    devices: dict[str, dict[str, Any]] = field(default_factory=dict)
    silent: dict[str, str] = field(default_factory=dict)
    pinned_kernel: str | None = None  # that NumPy's BLAS chose with the variables that a run drops


def find_devices(*, timeout_seconds: float = PROBE_SECONDS, quickly: bool = False) -> Devices:
    """Ask a child for each library that knows accelerators; one that dies or hangs leaves the cpu.

    ``quickly`` saves the second that importing torch takes where its files tell that its build knows no GPU;
    whether it can be imported shows later, then. On Windows, which has no children, it is the cpu alone.
    """
    if os.name == "nt":
        return find_cpu()
    found = Devices((_cpu(),), ())
    for each in LIBRARIES.values():
        if each.accelerators:
            answer = each.find_accelerators_unloaded() if quickly else None
            found = _joined(found, each, answer or _ask(each, timeout_seconds))
    return found


def find_cpu() -> Devices:
    """Return the cpu alone, without the seconds that importing takes; whether that works shows later."""
    found = Devices((_cpu(),), ())
    for each in LIBRARIES.values():
        if each.accelerators and (reason := each.missing()):
            found = _joined(found, each, {"missing": reason})
    return found


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


def probe_libraries(threads: int, pins: Sequence[str] = (), *, seconds: float = CHECK_SECONDS) -> Probed:
    """Ask every library, side by side, in a worker's environment; NumPy with the variables ``pins`` too."""
    asked: dict[str, tuple[Library, Sequence[str]]] = {name: (each, ()) for name, each in LIBRARIES.items()}
    if pins:
        asked["pinned"] = (NUMPY, pins)
    with ExitStack() as stack:
        children = {
            name: stack.enter_context(
                Child(
                    PROBE,
                    [each.name, str(threads)],
                    worker_environment(threads, keep=keep).variables,
                    deadline_s=seconds,
                )
            )
            for name, (each, keep) in asked.items()
        }
        answers = {name: _answer(child) for name, child in children.items()}
    pinned = answers.pop("pinned", {})
    told = {name: answer for name, answer in answers.items() if "missing" not in answer}
    devices = {id: state for answer in told.values() for id, state in answer["devices"].items()}
    return Probed(
        libraries={name: answer["facts"] for name, answer in told.items()},
        devices={device: with_nvidia_smi(facts) for device, facts in devices.items()},
        silent={name: answer["missing"] for name, answer in answers.items() if name not in told},
        pinned_kernel=pinned.get("facts", {}).get("kernel"),
    )


def with_nvidia_smi(facts: Mapping[str, Any], command: Sequence[str] = ("nvidia-smi",)) -> dict[str, Any]:
    """Return the facts of a device with its present state, where nvidia-smi can tell; without its uuid."""
    kept = {name: value for name, value in facts.items() if name != "uuid"}
    if "uuid" not in facts:
        return kept
    asked = [*command, f"--id={facts['uuid']}", f"--query-gpu={','.join(QUERY)}"]
    with suppress(OSError, subprocess.SubprocessError):
        child = subprocess.run(
            [*asked, "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=10,
            check=True,
        )
        words = [word.strip() for word in child.stdout.strip().split(",")]
        if len(words) == len(QUERY):
            state = {
                name: word if name == "driver_version" else _number(word)
                for name, word in zip(QUERY.values(), words, strict=True)
            }
            kept |= {name: value for name, value in state.items() if value is not None}
            if isinstance(used := kept.get("memory_used_mib"), int | float):
                kept["memory_taken_bytes"] = max(0, int(used * 2**20) - OWN_MEMORY)
    return kept


def _ask(asked: Library, timeout_s: float) -> dict[str, Any]:
    """Ask a child what accelerators a library sees; return its answer, or why it is ``missing``."""
    with Child(PROBE, [asked.name], os.environ, deadline_s=timeout_s) as child:
        try:
            return child.receive(dict[str, Any])  # type: ignore[no-any-return]
        except ChildError as error:
            if error.status == "timeout":
                return {"missing": f"importing {asked.label} took more than {timeout_s:g} s"}
            return {"missing": f"importing {asked.label} failed: {child.explain(error)}"}


def _answer(child: Child) -> dict[str, Any]:
    """Return what a library's child tells, or why it is ``missing``."""
    try:
        return child.receive(dict[str, Any])  # type: ignore[no-any-return]
    except ChildError as error:
        slow = error.status == "timeout"
        return {"missing": "it took too long to import" if slow else child.explain(error)}


def _joined(found: Devices, asked: Library, answer: Mapping[str, Any]) -> Devices:
    """Return what is found, with the answer of one library more."""
    if "missing" in answer:
        absent = tuple(Absent(kind, answer["missing"]) for kind in asked.accelerators)
        missing = found.missing | {asked.name: answer["missing"]}
        return Devices(found.present, found.absent + absent, found.versions, missing)
    present = tuple(Device(**entry | {"dtypes": tuple(entry["dtypes"])}) for entry in answer["present"])
    absent = tuple(Absent(**entry) for entry in answer["absent"])
    versions = found.versions | {asked.name: answer["version"]}
    return Devices(found.present + present, found.absent + absent, versions, found.missing)


def _cpu() -> Device:
    return Device("cpu", "cpu", host.processor_name(), host.memory_bytes(), ("float32", "float64"))


def _not_here(request: str, found: Devices) -> str:
    kind = request.partition(":")[0]
    reasons = {absent.kind: f": {absent.reason}" for absent in found.absent}
    here = ", ".join(device.id for device in found.present)
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
