"""Every cell is the library's own, by hand and by autograd: PyTorch's layer and cell, to 1e-12."""

from typing import Any

import numpy as np
import pytest

from bench.proof.tolerance import error_between, norm
from bench.workload import data
from bench.workload.case import Case, Shape, sine_case
from bench.workload.cell import CELLS, find_cell

torch = pytest.importorskip("torch")
nn = torch.nn
OWN = {"rnn": (nn.RNN, nn.RNNCell), "gru": (nn.GRU, nn.GRUCell), "lstm": (nn.LSTM, nn.LSTMCell)}
ALIKE = [  # torch's RNN has no sigmoid
    (cell, activation)
    for cell in CELLS
    for activation in find_cell(cell).activations
    if activation != "sigmoid"
]


def own_module(module: Any, case: Case, params: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """A layer or a cell of torch with these parameters, and its parameters by our names."""
    options = {"nonlinearity": case.activation} if case.cell == "rnn" else {}
    own = module(case.shape.I, case.shape.H, bias=case.bias, **options).double()
    names = dict(zip(("U", "W", *(("bU", "bW") if case.bias else ())), own.parameters(), strict=True))
    with torch.no_grad():
        for name, weight in names.items():
            weight.copy_(params[name])
    return own, names


def each(change: Any, state: Any) -> Any:
    """``change`` of a state, of both of an LSTM, of none."""
    return (
        state if state is None else tuple(map(change, state)) if isinstance(state, tuple) else change(state)
    )


def last_h(own: Any, x: Any, state: Any) -> Any:
    """h_T (B, H) of a layer, or of a cell step by step."""
    if isinstance(own, nn.RNNBase):
        state = each(lambda s: s[0], own(x, each(lambda s: s[None], state))[1])  # layers come first
    else:
        for x_t in x:
            state = own(x_t, state)
    return state[0] if isinstance(state, tuple) else state


@pytest.mark.parametrize("given", [False, True], ids=["from zero", "from a state"])
@pytest.mark.parametrize("bias", [False, True], ids=["without biases", "with biases"])
@pytest.mark.parametrize(("cell", "activation"), ALIKE)
def test_a_cell_is_that_of_torch(cell: str, activation: str, bias: bool, given: bool) -> None:
    case = Case("gradient", Shape(7, 4, 3, 5, 2), "positional", "float64", activation, "random",
                delta=0.5, cell=cell, bias=bias)  # fmt: skip
    batch, options = data.make(case), find_cell(cell).options(case.activation)
    h_0, c_0 = np.random.default_rng(1).standard_normal((2, case.shape.B, case.shape.H))
    state = None if not given else (h_0, c_0) if cell == "lstm" else h_0
    tensors = {name: torch.tensor(p) for name, p in batch.params.items()}
    x, y = torch.tensor(batch.x), torch.tensor(batch.y)
    there = each(torch.tensor, state)

    by_hand, by_autograd = find_cell(cell).reference(), find_cell(cell).reference("torch")
    y_hat = by_hand.predict(batch.params, batch.x, state=state, **options)
    loss, grads = by_hand.loss_and_grads(batch.params, batch.x, batch.y, delta=0.5, state=state, **options)
    results = {"y_hat": y_hat, "loss": loss, **grads}
    assert np.array_equal(by_hand.forward(batch.params, batch.x, state=state, **options)[0], y_hat)

    loss, grads = by_autograd.loss_and_grads(tensors, x, y, delta=0.5, state=there, **options)
    theirs = [{"y_hat": by_autograd.predict(tensors, x, state=there, **options), "loss": loss, **grads}]
    for module in OWN[cell]:
        own, weights = own_module(module, case, tensors)
        weights |= {name: tensors[name].clone().requires_grad_() for name in ("V", "bV") if name in tensors}
        y_hat = nn.functional.linear(last_h(own, x, there), weights["V"], weights.get("bV"))
        loss = nn.functional.huber_loss(y_hat, y, delta=0.5)
        loss.backward()
        theirs.append({"y_hat": y_hat, "loss": loss, **{name: w.grad for name, w in weights.items()}})
    for other in theirs:
        assert other.keys() == results.keys()
        arrays = {name: value.detach().numpy() for name, value in other.items()}
        errors = {name: error_between(arrays[name], r, scale=norm(r)) for name, r in results.items()}
        assert max(errors.values()) <= 1e-12, errors


def test_a_given_state_changes_the_result() -> None:
    """Else a reference that left it out, and torch's likewise, would pass."""
    for cell in CELLS:
        batch = data.make(sine_case("gradient", "positional", batch=3, hidden=4, cell=cell, bias=True))
        ones = np.ones((3, 4), np.float32)
        states = [ones] if cell != "lstm" else [(ones, 0 * ones), (0 * ones, ones)]
        results = [
            find_cell(cell).reference().predict(batch.params, batch.x, state=s) for s in (None, *states)
        ]
        for number, result in enumerate(results):
            assert all(np.abs(result - other).max() > 1e-3 for other in results[:number])


@pytest.mark.parametrize(("cell", "activation"), ALIKE)
def test_the_gradients_of_the_hidden_states_are_those_of_autograd(cell: str, activation: str) -> None:
    case = Case("gradient", Shape(6, 4, 3, 5, 2), "positional", "float64", activation, "random",
                delta=0.5, cell=cell, bias=True)  # fmt: skip
    batch, found = data.make(case), find_cell(cell)
    params = {name: torch.tensor(p, requires_grad=True) for name, p in batch.params.items()}
    h_0, c_0 = torch.zeros((2, 4, 5), dtype=torch.float64).unbind()
    h_0.requires_grad_()
    state = (h_0, c_0) if cell == "lstm" else h_0
    reference = found.reference("torch")
    y_hat, cached = reference.forward(
        params, torch.tensor(batch.x), state=state, **found.options(case.activation)
    )
    hs = [h_0, *found.hidden_states(cached)]
    for array in (*hs[1:], y_hat):
        array.retain_grad()
    nn.functional.huber_loss(y_hat, torch.tensor(batch.y), delta=0.5).backward()

    _, cached = found.reference().forward(batch.params, batch.x, **found.options(case.activation))
    ours = list(
        found.hidden_gradients(
            batch.params, batch.x, cached, y_hat.grad.numpy(), **found.options(case.activation)
        )
    )
    for h, dh in zip(hs, reversed(ours), strict=True):
        assert error_between(dh, h.grad.numpy(), scale=norm(dh)) <= 1e-12
