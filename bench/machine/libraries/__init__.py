"""Register the libraries of the variants: NumPy, PyTorch and those of users.

This module imports none of them.
"""

import gc
import os
import sys
from collections.abc import Mapping
from typing import Any

from bench.machine.errors import UserError
from bench.machine.libraries.library import BLAS, NEUTRAL, NUMPY, Library, Move, NumPy, Ramp, known
from bench.machine.libraries.torch_library import TORCH, PyTorch

__all__ = [
    "ACCELERATORS", "BLAS", "LIBRARIES", "NEUTRAL", "NUMPY", "TORCH", "Library", "Move", "NumPy", "PyTorch",
    "Ramp", "changed_state", "introduce", "known", "library", "limit_threads", "process_state", "register",
    "wrong_library",
]  # fmt: skip

LIBRARIES: dict[str, Library] = {NUMPY.name: NUMPY, TORCH.name: TORCH}
# kinds of device, besides the cpu, that a library may compute on
ACCELERATORS = tuple(dict.fromkeys(kind for lib in LIBRARIES.values() for kind in lib.accelerators))
_DISPLAY_ONLY: dict[str, Library] = {}  # label and colours of libraries that this process does not load


def register(new: Library) -> Library:
    """Add a library, so that ``library`` finds it; return it.

    Raises:
        UserError: another library has that name.
    """
    if LIBRARIES.setdefault(new.name, new) != new:
        raise UserError(f"the library {new.name!r} is declared already, as {library(new.name).label}")
    return new


def introduce(name: str, label: str, colour: str, dark_colour: str) -> None:
    """Register label and colours of a user's library that this process does not load."""
    _DISPLAY_ONLY.setdefault(name, Library(name, label, colour, dark_colour))


def library(name: str) -> Library:
    """Return the library of a name; an unknown library gets the name as its label."""
    return LIBRARIES.get(name) or _DISPLAY_ONLY.get(name) or Library(name, name)


def limit_threads(n: int) -> None:
    """Limit the thread pools of every loaded library to ``n`` threads."""
    for lib in LIBRARIES.values():
        if lib.loaded:
            lib.limit_threads(n)


def wrong_library(name: str) -> str:
    """Return an error text if another library was imported, else an empty text."""
    expected = library(name)
    for lib in LIBRARIES.values():
        if lib.name != name and lib.loaded and not lib.everywhere:
            return f"is a {expected.label} variant, but imported {lib.name}"
    return ""


def process_state(name: str) -> dict[str, Any]:
    """Return the process settings by which a variant could change its own or others' speed.

    Includes affinity, priority, garbage collection, tracing and the settings of the library.
    """
    return (
        {
            "garbage collection": gc.isenabled(),
            "thresholds of garbage collection": gc.get_threshold(),
            "tracing": sys.gettrace() is not None or sys.getprofile() is not None,
            "switch interval": sys.getswitchinterval(),
        }
        | known(
            affinity=lambda: sorted(os.sched_getaffinity(0)),
            priority=lambda: os.getpriority(os.PRIO_PROCESS, 0),
            scheduling=lambda: os.sched_getscheduler(0),
        )
        | library(name).state()
    )


def changed_state(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Describe which process settings changed; empty if none."""
    return ", ".join(
        f"{name.replace('_', ' ')} was {value}, is {after.get(name)}"
        for name, value in before.items()
        if after.get(name) != value
    )
