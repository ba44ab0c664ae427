"""Variant ``torch-compile-loop``: forward as a compiled loop, whose graph does not grow with T.

Differs from compiled.py in that not every step is in the graph: ``while_loop`` repeats the code of up to
``MOST_STEPS`` steps, which share what a turn of the loop costs, and what is left of the sequence follows it.
So T = 256 is as soon compiled as T = 26. The input products of all steps are one product before the loop.
For one sample, h W^T is products and sums, which become one kernel with the activation, without a call of
the library.

Source: the documentation of ``torch.while_loop``, a prototype in PyTorch 2.13, without a gradient.
"""

from functools import partial

import torch
from torch import Tensor
from torch._higher_order_ops.while_loop import while_loop
from torch.nn.functional import linear

from impl_torch.compiled import ADVANCE, CompiledBound, compile_by, compiled, output, projected, zero_state
from impl_torch.contract import to_arrays
from impl_torch.rnn import Params

MOST_STEPS = 10  # of a turn of the loop


def merged(h: Tensor, W: Tensor, bias: Tensor | None = None) -> Tensor:
    """h W^T + bias, (1, G), of one sample h (1, H)."""
    product = (h[:, None, :] * W).sum(dim=2)  # (1, G, H), summed over H
    return product if bias is None else product + bias


def forward(params: Params, x: Tensor, *, cell: str, **options: str) -> Tensor:
    """y_hat (B, O)."""
    T, B, _ = x.shape
    n_steps = min(MOST_STEPS, (T - 1) // 2)  # from T = 3 on two turns or more, and a rest
    n_looped = (T - 1) // n_steps * n_steps if n_steps else 0
    u, state = projected(params, x, cell), zero_state(params, x, cell)  # (T, B, G)
    advance = partial(ADVANCE[cell], product=merged if B == 1 else linear, **options)

    def is_left(t: Tensor, *state: Tensor) -> Tensor:
        return t < n_looped

    def turn(t: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        return t + n_steps, *advance(params, u.index_select(0, t + torch.arange(n_steps)), state)

    if n_looped:
        _, *looped = while_loop(is_left, turn, (torch.zeros((), dtype=torch.int64), *state))
        state = tuple(looped)
    return output(params, advance(params, u[n_looped:], state))


def bind(
    task: str, params: Params, x: Tensor, y: Tensor, *, delta: float, lr: float, **options: str
) -> CompiledBound:
    """Compile ``forward``, the only task, for these shapes, unless this process has, and return a ``Bound``.

    ``options`` are the ``cell``, and the ``activation`` of an RNN.

    Raises:
        RuntimeError: torch.compile is switched off. Whatever keeps it from compiling is raised as it is.
    """
    function = compiled(forward, x.device.type, torch.get_num_threads())
    last: dict[str, Tensor] = {}

    def call() -> None:
        last["y_hat"] = function(params, x, **options)

    return CompiledBound(call, lambda: None, lambda: to_arrays(last), compile_by(call))


rnn, gru, lstm = (partial(bind, cell=cell) for cell in ("rnn", "gru", "lstm"))
