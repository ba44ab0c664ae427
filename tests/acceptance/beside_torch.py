"""``numpy-batched`` in a process that has loaded torch: what its import does to NumPy (T20).

It calls itself a torch variant, since in a NumPy worker the harness refuses it.
"""

from types import SimpleNamespace

import torch

from impl_numpy import contract

assert torch.get_num_threads() >= 1  # it is there, and that is all it has to do

variant = SimpleNamespace(name="beside_torch", library="torch", bind=contract.batched)
