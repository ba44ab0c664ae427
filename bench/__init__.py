"""rnnbench: NumPy or PyTorch for this RNN, on this machine: which, by how much, how sure, and why.

In a notebook: ``verify``, ``run``, ``advise``, ``train``, ``report`` and ``load``, loaded when they are used.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

# No submodule may have one of these names: importing it would put itself in the function's place.
_API = {
    "verify": "bench.api.functions",
    "run": "bench.api.functions",
    "train": "bench.api.functions",
    "report": "bench.api.functions",
    "advise": "bench.api.functions",
    "load": "bench.api.functions",
    "UserError": "bench.machine.errors",
}
__all__ = ["UserError", "advise", "load", "report", "run", "train", "verify"]


def __getattr__(name: str) -> Any:
    if name not in _API:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_API[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
