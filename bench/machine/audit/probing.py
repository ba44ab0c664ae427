"""What libraries and accelerators are like in a worker, asked of children: nothing is imported here."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

from bench.machine.child import Child, ChildError
from bench.machine.environ import worker_environment

PROBE = "bench.machine.probe"
PROBE_SECONDS = 60.0
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
class Probed:
    """Facts by library and by accelerator; ``silent`` says why a library told nothing."""

    libraries: dict[str, dict[str, Any]] = field(default_factory=dict)
    devices: dict[str, dict[str, Any]] = field(default_factory=dict)
    silent: dict[str, str] = field(default_factory=dict)
    pinned_kernel: str | None = None  # that NumPy's BLAS chose with the variables that a run drops


def probe_libraries(threads: int, pins: Sequence[str] = (), *, seconds: float = PROBE_SECONDS) -> Probed:
    """Ask NumPy and torch, side by side, in a worker's environment; NumPy with the variables ``pins`` too."""
    asked: dict[str, tuple[str, Sequence[str]]] = {"numpy": ("numpy", ()), "torch": ("torch", ())}
    if pins:
        asked["pinned"] = ("numpy", pins)
    with ExitStack() as stack:
        children = {
            name: stack.enter_context(
                Child(PROBE, [library, str(threads)], worker_environment(threads, keep=keep).variables)
            )
            for name, (library, keep) in asked.items()
        }
        deadline = time.monotonic() + seconds
        answers = {name: _answer(child, deadline) for name, child in children.items()}
    pinned = answers.pop("pinned", None)
    found = {name: answer for name, answer in answers.items() if isinstance(answer, dict)}
    torch_devices = found.get("torch", {}).get("devices", {})
    return Probed(
        libraries={name: answer["facts"] for name, answer in found.items()},
        devices={device: with_nvidia_smi(facts) for device, facts in torch_devices.items()},
        silent={name: answer for name, answer in answers.items() if isinstance(answer, str)},
        pinned_kernel=pinned["facts"].get("kernel") if isinstance(pinned, dict) else None,
    )


def with_nvidia_smi(facts: Mapping[str, Any], command: Sequence[str] = ("nvidia-smi",)) -> dict[str, Any]:
    """The facts of a device with its present state, where nvidia-smi is there to tell; without its uuid."""
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
            told = {
                name: word if name == "driver_version" else _number(word)
                for name, word in zip(QUERY.values(), words, strict=True)
            }
            kept |= {name: value for name, value in told.items() if value is not None}
            if isinstance(used := kept.get("memory_used_mib"), int | float):
                kept["memory_taken_bytes"] = max(0, int(used * 2**20) - OWN_MEMORY)
    return kept


def _answer(child: Child, deadline: float) -> dict[str, Any] | str:
    """Return what the child tells, or why it does not."""
    try:
        answer: dict[str, Any] = child.receive(dict[str, Any], max(0.0, deadline - time.monotonic()))
    except ChildError as error:
        if error.status == "timeout":
            return "it took too long to import"
        child.stop()  # what it printed is whole from here on
        return f"{error}: {child.last_line()}"
    return answer.get("missing", answer)  # type: ignore[no-any-return]


def _number(word: str) -> Any:
    """A number where the word is one, None where it says that it is not available."""
    if word.startswith("[") or word in ("", "N/A"):
        return None
    for kind in (int, float, lambda text: int(text, 16)):
        with suppress(ValueError):
            return kind(word)
    return word
