"""Gradients of any function: right ones pass, wrong ones do not, and bad input is one line."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import bench
from bench.gradients.check import Verdict
from bench.gradients.exact import COMPLEX, DIFFERENCES

Arrays = dict[str, np.ndarray]
RNG = np.random.default_rng(5)
X, LABELS = RNG.normal(size=(7, 4)), RNG.integers(0, 3, 7)
MLP = {"W1": RNG.normal(size=(5, 4)), "b1": RNG.normal(size=5), "W2": RNG.normal(size=(3, 5))}


def softmax_loss(z: np.ndarray, labels: np.ndarray) -> tuple[Any, np.ndarray]:
    """The mean cross entropy of logits (N, K), and its gradient."""
    rows = np.arange(len(labels))
    q = np.exp(z - z.max(axis=1, keepdims=True))
    q = q / q.sum(axis=1, keepdims=True)
    dz = q.copy()
    dz[rows, labels] -= 1
    return -np.mean(np.log(q[rows, labels])), dz / len(labels)


def mlp(
    params: Arrays,
    x: np.ndarray,
    labels: np.ndarray,
    *,
    act: str = "tanh",
    on_loss: Callable[[Any], Any] = lambda loss: loss,
    on_grads: Callable[[Arrays], Any] = lambda grads: grads,
    on_h: Callable[[Any], Any] = lambda h: h,
) -> tuple[Any, Any]:
    """A layer and a softmax, with hooks that spoil it."""
    a = x @ params["W1"].T + params["b1"]
    h = on_h(np.tanh(a) if act == "tanh" else np.maximum(a, 0))
    loss, dz = softmax_loss(h @ params["W2"].T, labels)
    da = dz @ params["W2"] * ((1 - h * h) if act == "tanh" else (h > 0))
    return on_loss(loss), on_grads({"W1": da.T @ x, "b1": da.sum(axis=0), "W2": dz.T @ h})


def verdicts(check: Any) -> dict[str, str]:
    return {row.parameter: row.verdict for row in check.record.rows}


@pytest.mark.parametrize("act", ["tanh", "relu"])
def test_a_right_gradient_passes_by_complex_steps_and_one_entry_1e_8_off_does_not(act: str) -> None:
    check = bench.check_gradients(partial(mlp, act=act), MLP, X, LABELS)
    assert check.ok
    assert check
    assert check.record.method == COMPLEX
    assert all(row.error < 1e-14 and row.checked == row.entries for row in check.record.rows)

    def slightly(grads: Arrays) -> Arrays:
        grads["W1"][2, 3] += 1e-8 * np.abs(grads["W1"]).max()
        return grads

    check = bench.check_gradients(partial(mlp, act=act, on_grads=slightly), MLP, X, LABELS)
    assert verdicts(check) == {"W1": Verdict.WRONG, "b1": Verdict.RIGHT, "W2": Verdict.RIGHT}
    assert not check


@pytest.mark.parametrize(
    ("spoiled", "reason"),
    [
        ({"on_loss": float}, "ComplexWarning: Casting complex values to real"),
        ({"on_loss": abs}, "np.absolute is not analytic"),
        ({"on_h": lambda h: h.astype(float)}, "ComplexWarning: Casting complex values to real"),
        ({"on_h": lambda h: np.array([[float(v) for v in row] for row in h])}, "ComplexWarning: "),
        ({"on_loss": lambda loss: np.hypot(loss, 0)}, "TypeError: ufunc 'hypot' not supported"),
        ({"on_loss": lambda loss: loss.real}, "takes an absolute value, a real part or a conjugate"),
        ({"on_loss": lambda loss: np.linalg.norm(np.atleast_1d(loss))}, "np.norm drops the imaginary part"),
    ],
)
def test_why_complex_steps_cannot_be_used_is_said_with_its_place(spoiled: Any, reason: str) -> None:
    def slightly(grads: Arrays) -> Arrays:
        return {**grads, "W1": grads["W1"] * (1 + 1e-6)}

    check = bench.check_gradients(partial(mlp, **spoiled), MLP, X, LABELS)
    assert check.record.method == DIFFERENCES
    assert check.ok
    assert reason in check.record.reason
    assert ("(test_check_gradients.py, line" in check.record.reason) == ("a real part" not in reason)
    assert max(row.tolerance for row in check.record.rows) < 1e-7
    wrong = bench.check_gradients(partial(mlp, **spoiled, on_grads=slightly), MLP, X, LABELS)
    assert [name for name, verdict in verdicts(wrong).items() if verdict == Verdict.WRONG] == ["W1"]
