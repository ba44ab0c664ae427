"""Variants ``torch-cell``, ``torch-layer`` and two more: modules and an optimizer, as PyTorch users write it.

Differ from rnn.py, gru.py and lstm.py in using the library's own parts: ``nn.RNNCell``, ``nn.GRUCell`` or
``nn.LSTMCell`` unrolled in a Python loop; or ``nn.RNN``, ``nn.GRU`` or ``nn.LSTM``, which take all steps in
one call; then ``nn.Linear``, ``nn.HuberLoss``, ``optim.SGD``. ``torch-cell`` on the layout ``single_step``
is the PyTorch tutorial's program. nn.RNN knows tanh and relu only, so the sigmoid is not supported here.

``torch-packed`` and ``torch-masked`` are ``torch-layer`` for sequences of different lengths, see
``impl_numpy/lengths.py``: packed by the library; or all steps of the whole batch, of which h is taken at each
sequence's own last step.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from impl_torch.contract import Bound, to_arrays
from impl_torch.rnn import Params

# a parameter's name here -> its name in a ``Model``; in a layer _l0 follows
NAMES = {
    "U": "rnn.weight_ih", "W": "rnn.weight_hh", "V": "linear.weight",
    "bU": "rnn.bias_ih", "bW": "rnn.bias_hh", "bV": "linear.bias",
}  # fmt: skip
State = Tensor | tuple[Tensor, Tensor] | None  # h, of an LSTM h and c; None stands for zeros


class Model(nn.Module):
    """A recurrent part of the library, then a linear layer on h_T."""

    def __init__(self, part: Callable[..., nn.Module], sizes: tuple[int, int, int], **options: Any) -> None:
        """``sizes`` are I, H and O; ``options`` are those of the ``part``, a cell or a layer."""
        super().__init__()
        features, hidden, outputs = sizes
        self.rnn = part(features, hidden, **options)
        self.linear = nn.Linear(hidden, outputs, bias=options["bias"])


class CellModel(Model):
    """A cell applied T times, then a linear layer on h_T."""

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State]:
        """(T, B, I) -> (B, O), and the state after the last step, (B, H) each."""
        for x_t in x:
            state = self.rnn(x_t, state)
        return self.linear(state[0] if isinstance(state, tuple) else state), state


class LayerModel(Model):
    """A layer over the whole sequence, then a linear layer on h_T."""

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State]:
        """(T, B, I) -> (B, O), and the state after the last step, (1, B, H) each."""
        _, state = self.rnn(x, state)
        h = state[0] if isinstance(state, tuple) else state
        return self.linear(h[0]), state


class PackedModel(Model):
    """A layer over packed sequences of ``lengths`` (B,), then a linear layer on h of their last steps."""

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, State]:
        """(T, B, I) -> (B, O), and the state after the last steps, (1, B, H) each."""
        _, state = self.rnn(pack_padded_sequence(x, lengths, enforce_sorted=False))
        h = state[0] if isinstance(state, tuple) else state
        return self.linear(h[0]), state


class MaskedModel(Model):
    """A layer over all steps of the batch, then a linear layer on h of the sequences' last steps."""

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, State]:
        """(T, B, I) -> (B, O), and the state after step T, (1, B, H) each."""
        hs, state = self.rnn(x)  # (T, B, H)
        return self.linear(hs[lengths - 1, torch.arange(len(lengths))]), state


def named_weights(model: Model) -> dict[str, Tensor]:
    """The model's parameters under the contract's names."""
    weights = {name.removesuffix("_l0"): weight for name, weight in model.named_parameters()}
    return {name: weights[theirs] for name, theirs in NAMES.items() if theirs in weights}


def bind(
    model_class: type[Model],
    part: Callable[..., nn.Module],
    task: str,
    params: Params,
    x: Tensor,
    y: Tensor,
    *,
    delta: float,
    lr: float,
    activation: str | None = None,
    lengths: Tensor | None = None,
) -> Bound:
    """Build model, loss and optimizer where x is, load ``params`` and return the ``Bound``.

    ``part`` is the library's cell or layer; only the RNN has an ``activation``, and only sequences of
    different lengths ``lengths`` (B,), which stay on the CPU.
    """
    options: dict[str, Any] = {} if activation is None else {"nonlinearity": activation}
    sizes = params["U"].shape[1], params["W"].shape[1], len(params["V"])
    model = model_class(part, sizes, bias="bU" in params, **options).to(x)
    weights = named_weights(model)
    loss_function = nn.HuberLoss(delta=delta)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    last: dict[str, Tensor] = {}
    state: State = None
    inputs = (x,) if lengths is None else (x, lengths)

    def forward() -> None:
        with torch.inference_mode():
            last["y_hat"], _ = model(*inputs)

    def stream() -> None:
        nonlocal state
        with torch.inference_mode():
            last["y_hat"], state = model(x, state)

    def gradient() -> None:
        optimizer.zero_grad()
        y_hat, _ = model(*inputs)
        loss = loss_function(y_hat, y)
        loss.backward()
        last["loss"] = loss

    def train_step() -> None:
        gradient()
        optimizer.step()

    def reset() -> None:
        nonlocal state
        state = None
        with torch.no_grad():
            for name, weight in weights.items():
                weight.copy_(params[name])

    def result() -> dict[str, NDArray[Any]]:
        if task in ("forward", "stream"):
            return to_arrays(last)
        if task == "train_step":
            return to_arrays(last | weights)
        grads = {f"d{name}": torch.zeros_like(w) if w.grad is None else w.grad for name, w in weights.items()}
        return to_arrays(last | grads)

    reset()
    calls = {"forward": forward, "gradient": gradient, "train_step": train_step, "stream": stream}
    return Bound(calls[task], reset, result)


rnn_cell, gru_cell, lstm_cell = (
    partial(bind, CellModel, part) for part in (nn.RNNCell, nn.GRUCell, nn.LSTMCell)
)
LAYERS = (nn.RNN, nn.GRU, nn.LSTM)
rnn_layer, gru_layer, lstm_layer = (partial(bind, LayerModel, part) for part in LAYERS)
rnn_packed, gru_packed, lstm_packed = (partial(bind, PackedModel, part) for part in LAYERS)
rnn_masked, gru_masked, lstm_masked = (partial(bind, MaskedModel, part) for part in LAYERS)
