"""Variants ``numpy-masked`` and ``numpy-packed``: sequences of different lengths in one batch.

Of x (T, B, I), sequence n has ``lengths[n]`` steps, from 1 to T; what x holds after its end is padding.
Its y_hat is V h of its own last step, where its dL/dh starts on the way back. Two ways to this:

* masked: every step computes the whole batch. What a sequence's state becomes after its end is not used, and
  dL/dh is zero there;
* packed: the batch is sorted, the longest sequence first, and a step computes only the sequences that are not
  over, which are the first rows. PyTorch calls this packing.

A cell's own file (rnn_lengths.py, gru_lengths.py, lstm_lengths.py) has the recurrence, with a number of rows
that may fall from step to step: the steps of gru.py and lstm.py, asked for one at a time.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from impl_numpy import gru_lengths, lstm_lengths, rnn_lengths
from impl_numpy.contract import bind
from impl_numpy.rnn import Array, Params, output


class Order(NamedTuple):
    """The order of the sequences, and for t = 1 .. T those that a step computes, and those that end there."""

    order: Any  # an index of B sequences, as the two below of those in order
    rows: list[slice]
    ends: list[Any]


def masked(lengths: Array, n_steps: int) -> Order:
    """Every step computes all sequences, in the order in which they are given."""
    by_length = np.argsort(lengths)
    bounds = np.searchsorted(lengths[by_length], np.arange(1, n_steps + 2)).tolist()
    ends = [by_length[first:after] for first, after in pairwise(bounds)]
    return Order(slice(None), [slice(None)] * n_steps, ends)


def packed(lengths: Array, n_steps: int) -> Order:
    """Sort the longest first: step t computes the first rows, of the sequences of t steps or more."""
    order = np.argsort(-lengths, kind="stable")
    counts = np.searchsorted(-lengths[order], -np.arange(1, n_steps + 2), side="right").tolist()
    return Order(order, [slice(n) for n in counts[:-1]], [slice(after, n) for n, after in pairwise(counts)])


@dataclass(frozen=True, slots=True)
class ByLength:
    """The functions of a reference, for sequences of lengths that every call reads anew."""

    cell: ModuleType
    arrange: Callable[[Array, int], Order]

    def predict(self, params: Params, x: Array, *, lengths: Array, **options: str) -> Array:
        """y_hat (B, O), keeping nothing on the way."""
        order, rows, ends = self.arrange(lengths, len(x))
        h_end = np.empty((x.shape[1], params["V"].shape[1]), x.dtype)  # (B, H)
        for _ in _ending(self.cell.steps(params, x[:, order], rows, **options), ends, h_end):
            pass
        y_hat = np.empty((len(h_end), len(params["V"])), x.dtype)
        y_hat[order] = output(params, h_end)  # (B, O)
        return y_hat

    def loss_and_grads(
        self, params: Params, x: Array, y: Array, *, lengths: Array, delta: float, **options: str
    ) -> tuple[Array, Params]:
        """Mean Huber loss (0-d) and its gradient by BPTT, a dict like ``params``."""
        order, rows, ends = self.arrange(lengths, len(x))
        h_end = np.empty((x.shape[1], params["V"].shape[1]), x.dtype)  # (B, H)
        cache = list(_ending(self.cell.steps(params, x[:, order], rows, **options), ends, h_end))
        e = output(params, h_end) - y[order]  # (B, O)
        e_clipped = np.clip(e, -delta, delta)
        loss = np.mean(e_clipped * (e - e_clipped / 2))

        dy_hat = e_clipped / e.size  # (B, O)
        grads = {name: np.zeros_like(p) for name, p in params.items()}
        grads["V"] += dy_hat.T @ h_end
        if "bV" in params:
            grads["bV"] += dy_hat.sum(axis=0)
        for x_n, h_before, du, dw in self.cell.back(params, cache, ends, dy_hat @ params["V"], **options):
            grads["U"] += du.T @ x_n  # u_t = U x_t + bU, and w_t = W h_{t-1} + bW
            grads["W"] += dw.T @ h_before
            if "bU" in params:
                db = du.sum(axis=0)
                grads["bU"] += db
                grads["bW"] += db if dw is du else dw.sum(axis=0)
        return loss, grads


def _ending(steps: Iterator[Any], ends: list[Any], h_end: Array) -> Iterator[Any]:
    """Yield the steps; write the states of the sequences that end in one to ``h_end``."""
    for (step, h), end in zip(steps, ends, strict=True):
        h_end[end] = h[end]
        yield step


CELLS = (rnn_lengths, gru_lengths, lstm_lengths)
rnn_masked, gru_masked, lstm_masked = (partial(bind, ByLength(cell, masked)) for cell in CELLS)
rnn_packed, gru_packed, lstm_packed = (partial(bind, ByLength(cell, packed)) for cell in CELLS)
