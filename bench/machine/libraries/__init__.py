"""The libraries that variants compute with, by name: NumPy, PyTorch, and what a variant of one's own brings.

Importing this loads none of them.
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
# kinds of device, other than the cpu, that a library may compute on
ACCELERATORS = tuple(dict.fromkeys(kind for each in LIBRARIES.values() for kind in each.accelerators))
_SHOWN: dict[str, Library] = {}  # of others, no more than how they are shown


def register(new: Library) -> Library:
    """Add a library, so that ``library`` finds it; return it.

    Raises:
        UserError: another library has that name.
    """
    if LIBRARIES.setdefault(new.name, new) != new:
        raise UserError(f"the library {new.name!r} is declared already, as {library(new.name).label}")
    return new


def introduce(name: str, label: str, colour: str, dark_colour: str) -> None:
    """Note how a library of somebody's own is shown, in a process that does not load it."""
    _SHOWN.setdefault(name, Library(name, label, colour, dark_colour))


def library(name: str) -> Library:
    """Return the library of a name; one that nobody has declared is called by its name."""
    return LIBRARIES.get(name) or _SHOWN.get(name) or Library(name, name)


def limit_threads(n: int) -> None:
    """Limit the thread pools of every library that is loaded to ``n`` threads."""
    for each in LIBRARIES.values():
        if each.loaded:
            each.limit_threads(n)


def wrong_library(name: str) -> str:
    """Return why this process cannot speak for the library of this name, or nothing."""
    own = library(name)
    for other in LIBRARIES.values():
        if other.name != name and other.loaded and not other.everywhere:
            return f"is a {own.label} variant, but imported {other.name}"
    return ""


def process_state(name: str) -> dict[str, Any]:
    """Return what a variant could change in its process, and thereby its speed or its rivals'.

    Processors allowed and priority, collection of garbage, tracing; and the library's own settings.
    """
    return (
        {
            "garbage collection": gc.isenabled(),
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
    """Return in words what of a process's state is no longer as it was; nothing where all is."""
    return ", ".join(
        f"{name.replace('_', ' ')} was {value}, is {after.get(name)}"
        for name, value in before.items()
        if after.get(name) != value
    )
