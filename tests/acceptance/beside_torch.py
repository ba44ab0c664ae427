"""``numpy-batched`` in a process that has loaded torch: what its import does to NumPy (T20).

It calls itself a torch variant, since in a NumPy worker the harness refuses it.
"""

from types import SimpleNamespace
from typing import Any

import torch

from impl_numpy import contract

assert torch.get_num_threads() >= 1  # it is there, and that is all it has to do


def bind(task: str, params: Any, x: Any, y: Any, **options: Any) -> contract.Bound:
    """The baseline on the memory of the tensors."""
    return contract.batched(task, {k: p.numpy() for k, p in params.items()}, x.numpy(), y.numpy(), **options)


variant = SimpleNamespace(name="beside_torch", library="torch", bind=bind)
