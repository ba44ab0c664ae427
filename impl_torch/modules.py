"""Variants ``torch-cell`` and ``torch-layer``: modules and an optimizer, as PyTorch users write it.

Differ from rnn.py in using the library's own parts: ``nn.RNNCell`` unrolled in a Python loop, or
``nn.RNN``, which takes all steps in one call; then ``nn.Linear``, ``nn.HuberLoss``, ``optim.SGD``.
``torch-cell`` on the layout ``single_step`` is the PyTorch tutorial's program. nn.RNN knows tanh and
relu only, so the sigmoid is not supported here.
"""

from functools import partial
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from impl_torch.contract import Bound, to_arrays
from impl_torch.rnn import Params


class CellModel(nn.Module):
    """RNNCell applied T times from h_0 = 0, then a linear layer on h_T."""

    def __init__(self, features: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.rnn = nn.RNNCell(features, hidden, bias=False, nonlinearity="tanh")
        self.linear = nn.Linear(hidden, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(T, B, I) -> (B, O)."""
        h = None
        for x_t in x:
            h = self.rnn(x_t, h)  # (B, H); None stands for zeros
        y_hat: Tensor = self.linear(h)
        return y_hat


class LayerModel(nn.Module):
    """nn.RNN over the whole sequence, then a linear layer on h_T."""

    def __init__(self, features: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.rnn = nn.RNN(features, hidden, bias=False, nonlinearity="tanh")
        self.linear = nn.Linear(hidden, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(T, B, I) -> (B, O)."""
        _, h_last = self.rnn(x)  # (1, B, H)
        y_hat: Tensor = self.linear(h_last[0])
        return y_hat


def named_weights(model: nn.Module) -> dict[str, Tensor]:
    """The three matrices under the contract's names: both models hold them in the order U, W, V."""
    return dict(zip("UWV", model.parameters(), strict=True))


def bind(
    model_class: type[CellModel] | type[LayerModel],
    task: str,
    params: Params,
    x: Tensor,
    y: Tensor,
    *,
    activation: str,
    delta: float,
    lr: float,
) -> Bound:
    """Build model, loss and optimizer where x is, load ``params`` and return the ``Bound``."""
    hidden, features = params["U"].shape
    model = model_class(features, hidden, len(params["V"])).to(x)
    weights = named_weights(model)
    loss_function = nn.HuberLoss(delta=delta)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    last: dict[str, Tensor] = {}

    def forward() -> None:
        with torch.inference_mode():
            last["y_hat"] = model(x)

    def gradient() -> None:
        optimizer.zero_grad()
        loss = loss_function(model(x), y)
        loss.backward()
        last["loss"] = loss

    def train_step() -> None:
        gradient()
        optimizer.step()

    def reset() -> None:
        with torch.no_grad():
            for name, weight in weights.items():
                weight.copy_(params[name])

    def result() -> dict[str, NDArray[Any]]:
        if task == "forward":
            return to_arrays(last)
        if task == "train_step":
            return to_arrays(last | weights)
        grads = {f"d{name}": torch.zeros_like(w) if w.grad is None else w.grad for name, w in weights.items()}
        return to_arrays(last | grads)

    reset()
    calls = {"forward": forward, "gradient": gradient, "train_step": train_step}
    return Bound(calls[task], reset, result)


cell = partial(bind, CellModel)
layer = partial(bind, LayerModel)
