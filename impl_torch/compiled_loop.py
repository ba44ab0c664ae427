"""Variant ``torch-compile-loop``: forward as a compiled loop, whose graph does not grow with T.

Differs from compiled.py in that not every step is in the graph: ``while_loop`` repeats the code of ``STEPS``
steps, which share what a turn of the loop costs, and what is left of the sequence follows it. So T = 256 is
as soon compiled as T = 16. For one sample, h W^T is products and sums, which become one kernel with the
activation, without a call of the library.

Source: the documentation of ``torch.while_loop``, a prototype in PyTorch 2.13, without a gradient.
"""

from functools import partial

import torch
from torch import Tensor
from torch._higher_order_ops.while_loop import while_loop
from torch.nn.functional import linear

from impl_torch.compiled import FORWARD, CompiledBound, compile_by, compiled, zero_state
from impl_torch.contract import to_arrays
from impl_torch.rnn import Params

STEPS = 5  # of a turn of the loop; fewer than the tutorial's 6, which therefore loops as well


def merged(h: Tensor, W: Tensor, bias: Tensor | None = None) -> Tensor:
    """h W^T + bias, (1, G), of one sample h (1, H)."""
    product = (h[:, None, :] * W).sum(dim=2)  # (1, G, H), summed over H
    return product if bias is None else product + bias


def forward(params: Params, x: Tensor, *, cell: str, **options: str) -> Tensor:
    """y_hat (B, O)."""
    T, B, _ = x.shape
    n_turns = (T - 1) // STEPS
    advance = partial(FORWARD[cell], product=merged if B == 1 else linear, **options)

    def is_left(t: Tensor, *state: Tensor) -> Tensor:
        return t < n_turns * STEPS

    def turn(t: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        _, after = advance(params, x.index_select(0, t + torch.arange(STEPS)), state)
        return t + STEPS, *after

    state = zero_state(params, x, cell)
    if n_turns:
        _, *looped = while_loop(is_left, turn, (torch.zeros((), dtype=torch.int64), *state))
        state = tuple(looped)
    y_hat, _ = advance(params, x[n_turns * STEPS :], state)
    return y_hat


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
