"""Compare NumPy and PyTorch for a recurrent net on this machine: which is faster, how much, how sure, why.

In a notebook: ``verify``, ``check_gradients``, ``run``, ``advise``, ``stream``, ``train``, ``report``
and ``load``, imported on first use; ``load_torch`` and ``to_torch`` exchange parameters with PyTorch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.api.functions import advise, check_gradients, load, report, run, stream, train, verify
    from bench.machine.errors import UserError
    from bench.training.torch_names import load_torch, to_torch

__version__ = "0.1.0"

# No submodule may have one of these names: importing the submodule would replace the function.
_API = {
    "verify": "bench.api.functions",
    "run": "bench.api.functions",
    "train": "bench.api.functions",
    "stream": "bench.api.functions",
    "report": "bench.api.functions",
    "advise": "bench.api.functions",
    "check_gradients": "bench.api.functions",
    "load": "bench.api.functions",
    "load_torch": "bench.training.torch_names",
    "to_torch": "bench.training.torch_names",
    "UserError": "bench.machine.errors",
}
__all__ = [
    "UserError",
    "advise",
    "check_gradients",
    "load",
    "load_torch",
    "report",
    "run",
    "stream",
    "to_torch",
    "train",
    "verify",
]


if not TYPE_CHECKING:  # which would take any name to be there

    def __getattr__(name: str) -> Any:
        if name not in _API:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(_API[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
