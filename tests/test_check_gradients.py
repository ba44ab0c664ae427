"""Gradients of any function: right ones pass, wrong ones do not, and bad input is one line."""

import warnings
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import bench
from bench.gradients.check import Verdict
from bench.gradients.exact import COMPLEX, DIFFERENCES
from bench.gradients.finding import Kind
from bench.gradients.trials import Axes

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


def test_what_a_function_prints_is_not_heard_in_every_call(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.check_gradients(partial(mlp, on_loss=lambda loss: print("called") or loss), MLP, X, LABELS)
    assert 1 <= capsys.readouterr().out.count("called") <= 4


@pytest.mark.parametrize(
    ("spoiled", "reason"),
    [
        ({"on_loss": float}, "ComplexWarning: Casting complex values to real"),
        ({"on_loss": abs}, "np.absolute drops a part"),
        ({"on_h": lambda h: h.astype(float)}, "ComplexWarning: Casting complex values to real"),
        ({"on_h": lambda h: np.array([[float(v) for v in row] for row in h])}, "ComplexWarning: "),
        ({"on_loss": lambda loss: np.hypot(loss, 0)}, "TypeError: ufunc 'hypot' not supported"),
        ({"on_loss": lambda loss: loss.real}, "takes an absolute value, a real part or a conjugate"),
        ({"on_loss": lambda loss: np.linalg.norm(np.atleast_1d(loss))}, "np.norm drops a part"),
    ],
)
def test_why_complex_steps_cannot_be_used_is_said_with_its_place(spoiled: Any, reason: str) -> None:
    def slightly(grads: Arrays) -> Arrays:
        return {**grads, "W1": grads["W1"] * (1 + 1e-6)}

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as a user may have said
        check = bench.check_gradients(partial(mlp, **spoiled), MLP, X, LABELS)
    assert check.record.method == DIFFERENCES
    assert check.ok
    assert reason in check.record.reason
    assert ("(test_check_gradients.py, line" in check.record.reason) == ("a real part" not in reason)
    assert max(row.tolerance for row in check.record.rows) < 1e-7
    wrong = bench.check_gradients(partial(mlp, **spoiled, on_grads=slightly), MLP, X, LABELS)
    assert [name for name, verdict in verdicts(wrong).items() if verdict == Verdict.WRONG] == ["W1"]


def test_an_array_made_like_the_data_is_no_reason_against_complex_steps() -> None:
    def layered(params: Arrays, x: np.ndarray) -> tuple[Any, Arrays]:
        z = np.zeros_like(x)
        z[:] = x * params["w"]
        return np.sum(z**2), {"w": 2 * np.sum(z * x, axis=0)}

    check = bench.check_gradients(layered, {"w": np.ones(4)}, X)
    assert (check.ok, check.record.method, check.record.reason) == (True, COMPLEX, "")


def test_complex_steps_are_given_up_where_differences_find_another_slope() -> None:
    def hidden(params: Arrays, x: np.ndarray) -> tuple[Any, Arrays]:  # one entry in forty is not analytic
        w = params["w"]
        grads = np.where(w.real > 0, x, 0) + (np.arange(40) == 3)
        return np.sum(np.where(w.real > 0, w * x, 0)) + np.abs(w[3]), {"w": grads}

    w = np.where(np.arange(40) < 20, 1.0, 0.0)  # kinks, so that no direction can be compared
    check = bench.check_gradients(hidden, {"w": w}, np.arange(1.0, 41.0))
    assert check.record.reason == "they disagree with differences at w[3]"
    assert verdicts(check) == {"w": Verdict.RIGHT}
    assert check.record.rows[0].checked == 20


def worst(check: Any) -> float:
    return max(row.error for row in check.record.rows)


def test_entries_at_a_kink_are_left_out_counted_and_not_accused() -> None:
    def kinked(params: Arrays, x: np.ndarray, wrong: float) -> tuple[Any, Arrays]:
        a = params["w"] * x  # 0 where w is
        return np.sum(np.maximum(a, 0)), {"w": np.where(a > 0, x, 0) * (1 + wrong)}

    w, x = {"w": np.array([0.0, 1.0, -1.0, 0.0, 2.0])}, np.ones(5)
    for function in (kinked, lambda *args: (float(kinked(*args)[0]), kinked(*args)[1])):
        check = bench.check_gradients(function, w, x, 0.0)
        [row] = check.record.rows
        assert check.ok
        assert (row.checked, row.entries) == (3, 5)
        assert any("2 of the entries" in note for note in check.record.notes)
        assert not bench.check_gradients(function, w, x, 1e-3).ok
    for slope, verdict in ((0.0, Verdict.RIGHT), (0.5, Verdict.RIGHT), (1.1, Verdict.NOT_CHECKED)):
        check = bench.check_gradients(
            lambda *args, g=slope: (kinked(*args)[0], {"w": np.full(3, g)}),
            {"w": np.zeros(3)},
            np.ones(3),
            0.0,
        )
        assert verdicts(check) == {"w": verdict}
    sampled = bench.check_gradients(kinked, {"w": np.repeat([0.0, 1.0], 20)}, np.ones(40), 0.0, entries=30)
    assert sampled.ok  # along its direction complex steps are wrong


def test_differences_of_a_large_loss_allow_for_its_rounding_and_no_more() -> None:
    def offset(params: Arrays, x: np.ndarray, factor: float) -> tuple[Any, Arrays]:
        return float(1e5 + np.sum(x * params["w"] ** 2) / 2), {"w": factor * x * params["w"]}

    w, x = {"w": np.linspace(1, 2, 5)}, np.full(5, 1e-2)
    right, wrong = (bench.check_gradients(offset, w, x, factor) for factor in (1.0, 1.1))
    assert right.ok
    assert worst(right) > 1e-6
    assert not wrong.ok
    lost = bench.check_gradients(offset, w, 1e-9 * x, 1.1)
    assert verdicts(lost) == {"w": Verdict.NOT_CHECKED}
    assert lost.record.notes == ("Not checked is what is too small beside the rounding errors of the loss.",)


def test_of_many_entries_a_sample_is_checked_and_a_direction_in_which_all_take_part() -> None:
    assert bench.check_gradients(mlp, MLP, X, LABELS, entries=6).ok
    seen = set()
    for place in np.ndindex(5, 4):

        def one_entry_off(grads: Arrays, place: tuple[int, ...] = place) -> Arrays:
            grads["W1"][place] += 0.1
            return grads

        check = bench.check_gradients(partial(mlp, on_grads=one_entry_off), MLP, X, LABELS, entries=6)
        seen.add((verdicts(check)["W1"], check.record.rows[0].checked))
    assert seen == {(Verdict.WRONG, 2)}


def test_a_gradient_of_zero_is_compared_on_the_scale_of_all_of_them() -> None:
    def shifted(params: Arrays, x: np.ndarray, labels: np.ndarray) -> tuple[Any, Arrays]:
        loss, dz = softmax_loss(x @ params["W"].T + params["c"], labels)  # no softmax depends on c
        return loss, {"W": dz.T @ x, "c": np.sum(dz)}

    params = {"W": MLP["W1"][:3], "c": np.array(0.3)}
    grads = shifted(params, X, LABELS)[1]
    assert 0 < abs(grads["c"]) < 1e-15  # else nothing is tested
    assert bench.check_gradients(shifted, params, X, LABELS).ok
    off = bench.check_gradients(
        lambda *args: (shifted(*args)[0], shifted(*args)[1] | {"c": np.array(1e-12)}), params, X, LABELS
    )
    assert verdicts(off) == {"W": Verdict.RIGHT, "c": Verdict.WRONG}


def wrong_beside(params: Arrays, offset: float, scale: float, on_loss: Any) -> tuple[Any, Arrays]:
    w = params["w"]
    return on_loss(np.sum(w * w) * scale + offset), {"w": -2 * w * scale}


@pytest.mark.parametrize(("on_loss", "verdict"), [(np.sum, Verdict.WRONG), (float, Verdict.NOT_CHECKED)])
def test_a_gradient_too_small_beside_the_loss_is_wrong_by_complex_steps_and_else_not_checked(
    on_loss: Any, verdict: Verdict
) -> None:
    check = bench.check_gradients(wrong_beside, {"w": np.array([0.3, 0.4])}, 1e15, 0.1, on_loss)
    assert verdicts(check) == {"w": verdict}


@pytest.mark.parametrize("on_loss", [np.sum, float])
@pytest.mark.parametrize("size", [1e-4, 1e-6, 1e-8])
def test_a_tiny_parameter_under_a_logarithm_is_no_kink_and_not_float32(on_loss: Any, size: float) -> None:
    def log(params: Arrays, factor: float) -> tuple[Any, Arrays]:
        return on_loss(np.sum(np.log(params["v"]))), {"v": factor / params["v"]}

    right, wrong = (bench.check_gradients(log, {"v": np.array([size, 2 * size])}, f) for f in (1.0, 2.0))
    assert (right.ok, right.record.notes) == (True, ())
    assert right.record.method == (COMPLEX if on_loss is np.sum else DIFFERENCES)
    assert verdicts(wrong) == {"v": Verdict.WRONG}


def test_a_function_may_refuse_parameters_that_are_far_away() -> None:
    def log(params: Arrays, x: np.ndarray) -> tuple[Any, Arrays]:
        if (params["s"].real < 0).any():
            raise ValueError("no logarithm of these")
        return np.sum(x * np.log(params["s"])), {"s": x / params["s"]}

    assert bench.check_gradients(log, {"s": np.full(9, 0.5)}, np.ones(9)).ok


def test_beside_a_kink_a_slope_between_those_on_both_sides_is_not_right() -> None:
    def beside(params: Arrays, x: np.ndarray) -> tuple[Any, Arrays]:
        return float(np.abs(params["w"]) @ x) + 1e6, {"w": np.zeros(3)}

    assert verdicts(bench.check_gradients(beside, {"w": np.full(3, 1e-7)}, np.ones(3))) == {
        "w": Verdict.NOT_CHECKED
    }


def test_complex_steps_that_nothing_confirms_are_not_used() -> None:
    def steep(params: Arrays, x: np.ndarray) -> tuple[Any, Arrays]:
        return np.abs(params["w"] * x).sum(), {"w": 2 * x}

    check = bench.check_gradients(steep, {"w": np.zeros(3)}, X[0, :3])
    assert (check.record.method, verdicts(check)) == (DIFFERENCES, {"w": Verdict.NOT_CHECKED})
    assert "no place was found" in check.record.reason


@pytest.mark.parametrize(
    "penalty",
    [lambda w: np.linalg.norm(w) ** 2, lambda w: np.real(np.vdot(w, w)), lambda w: np.sum(np.abs(w) ** 2)],
)
def test_a_small_part_that_complex_steps_drop_is_no_mistake(penalty: Any) -> None:
    def decayed(params: Arrays, x: np.ndarray, labels: np.ndarray, factor: float) -> tuple[Any, Arrays]:
        loss, grads = mlp(params, x, labels)
        W1 = params["W1"]
        return loss + 1e-7 * penalty(W1), grads | {"W1": grads["W1"] + 2e-7 * factor * np.real(W1)}

    right, wrong = (bench.check_gradients(decayed, MLP, X, LABELS, factor) for factor in (1.0, 10.0))
    assert (right.ok, right.record.method) == (True, DIFFERENCES)
    assert verdicts(wrong)["W1"] == Verdict.WRONG


def test_where_differences_prove_nothing_a_dropped_part_is_looked_for() -> None:
    def flat(params: Arrays, x: np.ndarray) -> tuple[Any, Arrays]:
        return np.real(np.sum(x * params["w"] ** 2)) + 1e8, {"w": 2 * x * params["w"]}

    check = bench.check_gradients(flat, {"w": np.full(3, 1e-2)}, np.full(3, 1e-7))
    assert verdicts(check) == {"w": Verdict.NOT_CHECKED}


def test_near_an_optimum_float64_is_not_taken_for_float32() -> None:
    def squares(params: Arrays, x: np.ndarray, factor: float) -> tuple[Any, Arrays]:
        e = x @ params["w"] - x @ np.ones(4) - 1e-7
        return np.mean(e**2), {"w": factor * 2 / len(e) * e @ x}

    right, wrong = (bench.check_gradients(squares, {"w": np.ones(4)}, X, factor) for factor in (1, 1.001))
    assert (right.ok, right.record.notes) == (True, ())
    assert not wrong


def test_in_float32_a_gradient_of_zero_is_rounding() -> None:
    def centred(params: Arrays, x: np.ndarray) -> tuple[Any, Arrays]:
        a = x @ params["w"] + params["b"]
        e = a - a.mean() - x[:, 0] / 2
        de = 2 * (e - e.mean())
        return np.sum(e**2), {"w": de @ x, "b": np.sum(de)}

    for seed in range(8):
        x = np.random.default_rng(seed).normal(size=(128, 3)).astype(np.float32)
        check = bench.check_gradients(
            centred, {"w": np.array([0.51, 0, 0], np.float32), "b": np.float32(0.3)}, x
        )
        assert check, repr(check)


def test_two_swapped_entries_of_a_large_gradient_are_wrong() -> None:
    def swapped(params: Arrays, x: np.ndarray, place: int) -> tuple[Any, Arrays]:
        grad = 2 * x * params["w"]
        grad[[place, place + 1]] = grad[[place + 1, place]]
        return np.sum(x * params["w"] ** 2), {"w": grad}

    w, x = {"w": RNG.normal(size=3000)}, RNG.normal(size=3000)
    assert [bench.check_gradients(swapped, w, x, 300 * n, entries=20).ok for n in range(6)] == [False] * 6


@pytest.mark.filterwarnings("ignore:the matrix subclass")
@pytest.mark.parametrize("kind", [np.asmatrix, np.ma.masked_invalid])
def test_data_keep_their_class(kind: Any) -> None:
    def of_class(params: Arrays, x: Any) -> tuple[Any, Arrays]:
        e = np.asarray(x * x - params["A"])
        return np.square(e).sum(), {"A": -2 * e}

    assert bench.check_gradients(of_class, {"A": np.eye(3)}, kind(RNG.normal(size=(3, 3)))).ok


def test_what_can_be_done_about_a_wrong_gradient_without_a_name_is_said() -> None:
    noise = RNG.normal(size=(3, 4))

    def linear(params: Arrays, x: np.ndarray, rate: float, kept: bool) -> tuple[Any, Arrays]:
        return rate * (1.0 if kept else np.sum(x @ params["w"].T)), {"w": noise}

    for axes, kept in ((None, False), (("BI", None, None), False), (None, True)):
        notes = bench.check_gradients(linear, {"w": np.ones((3, 4))}, X, 0.5, kept, axes=axes).record.notes
        assert any("axes=" in note for note in notes) == (axes is None)
        assert any("does not change with w: is it computed" in note for note in notes) == kept


def test_axes_that_nobody_gave_are_dropped_where_they_may_be_wrong() -> None:
    def batch_first(params: Arrays, x: np.ndarray, y: np.ndarray) -> tuple[Any, Arrays]:
        return recurrent(params, x.transpose(1, 0, 2), y, loss="softmax", wrong="not handed back")

    generator = np.random.default_rng(3)
    shapes = {"U": (5, 2), "W": (5, 5), "V": (3, 5)}
    params = {name: generator.normal(size=shape) / 2 for name, shape in shapes.items()}
    x, y = generator.normal(size=(4, 4, 2)), generator.normal(size=(4, 3))
    check = bench.check_gradients(batch_first, params, x, y)
    assert not check.record.findings
    assert any("axes=" in note for note in check.record.notes)
    assert bench.check_gradients(batch_first, params, x, y, axes=("BTI", "BO")).record.findings


def test_gradients_that_cancel_to_nothing_are_right() -> None:
    def even(params: Arrays, x: np.ndarray) -> tuple[Any, Arrays]:
        e = x - params["m"]
        return np.mean(e**2), {"m": -2 * np.mean(e), "n": np.array(0.0)}

    x = RNG.normal(size=9)
    assert even({"m": np.mean(x)}, x)[1]["m"] != 0
    assert bench.check_gradients(even, {"m": np.mean(x), "n": 1.0}, x).ok


def single(arrays: Arrays) -> Arrays:
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def test_float32_is_checked_on_float64_copies_and_then_compared_with_them() -> None:
    check = bench.check_gradients(mlp, single(MLP), X.astype(np.float32), LABELS)
    assert check.ok
    assert worst(check) < 1e-14
    assert any("own precision are at most" in note for note in check.record.notes)

    def lost(params: Arrays, x: np.ndarray) -> tuple[Any, Arrays]:
        big = x.dtype.type(1e5)  # float32 loses w beside it
        return np.sum(x * params["w"] ** 2) / 2, {"w": x * ((params["w"] + big) - big)}

    w = {"w": np.array([0.1, 0.2, 0.3], np.float32)}
    check = bench.check_gradients(lost, w, np.ones(3, np.float32))
    assert verdicts(check) == {"w": Verdict.WRONG}
    assert any("right in float64, but 1.3e-02 off in float32" in note for note in check.record.notes)


@pytest.mark.parametrize("factor", [1.0, 1.02])
def test_what_computes_in_float32_in_any_case_is_told_so_and_compared_with_what_that_allows(
    factor: float,
) -> None:
    def inside(params: Arrays, x: np.ndarray, labels: np.ndarray, cast: bool) -> tuple[Any, Arrays]:
        loss, grads = mlp(single(params), x.astype(np.float32) if cast else x, labels)
        return loss, grads | {"W1": grads["W1"] * factor}

    for cast in (True, False):  # what comes back is float32, or float64 with the noise of float32
        check = bench.check_gradients(inside, MLP, X, LABELS, cast)
        assert any("computes in float32" in note for note in check.record.notes)
        assert verdicts(check)["W1"] == (Verdict.RIGHT if factor == 1 else Verdict.WRONG), repr(check)
        assert {verdicts(check)[name] for name in ("b1", "W2")} == {Verdict.RIGHT}


def spoil(on_grads: Callable[[Arrays], Any]) -> Any:
    return partial(mlp, on_grads=on_grads)


class Buffer:
    """What a function wrongly adds to in all calls."""

    total = np.zeros(5)

    def __call__(self, grads: Arrays) -> Arrays:
        self.total += grads["b1"]
        return grads | {"b1": self.total}


def changes_data(params: Arrays, x: np.ndarray, labels: np.ndarray) -> Any:
    x -= 1
    return mlp(params, x, labels)


def changes_params(params: Arrays, lists: list[np.ndarray], labels: np.ndarray) -> Any:
    result = mlp(params, lists[0], labels)
    params["W2"] *= 0.9
    lists[0][0] = 1
    return result


def pops(params: Arrays, x: np.ndarray, labels: np.ndarray) -> Any:
    return mlp({"W1": params.pop("W1"), **params}, x, labels)


def rebinds(params: Arrays, lists: list[np.ndarray], labels: np.ndarray) -> Any:
    lists[0] = lists[0] - 1
    return mlp(params, lists[0], labels)


def changes_parts(params: Arrays, parts: Any, labels: np.ndarray) -> Any:
    array = parts["x"] if isinstance(parts, dict) else parts.x
    array -= 1
    return mlp(params, array, labels)


class Data:
    """An object that holds an array."""

    def __init__(self, x: np.ndarray) -> None:
        self.x = x


def draws(params: Arrays, generator: Any, labels: np.ndarray) -> Any:
    return mlp(params, X + generator.normal(), labels)


BAD_CALLS: list[tuple[Any, Any, str]] = [
    (changes_data, X, r"changes x in place \(test_check_gradients.py, line \d+, in changes_data\): work on"),
    (changes_params, [X], r"changes params\['W2'\] and lists\[0\] in place \(test_.*: work on a copy, par"),
    (pops, X, r"changes params\['W1'\] in place: work on a copy"),
    (rebinds, [X], r"changes lists\[0\] in place: work on a copy"),
    (changes_parts, OrderedDict(x=X), r"changes parts\['x'\] in place \(test_check"),
    (changes_parts, namedtuple("Pair", "x")(X), r"changes parts\[0\] in place \(test_check"),
    (changes_parts, Data(X), r"changes parts.x in place \(test_check"),
    (draws, np.random.default_rng(1), r"is not deterministic: in two calls .*; seed its random numbers"),
    (lambda p, x, y: 1 / 0, X, r"fails: ZeroDivisionError: division by zero \(test_check_gradients.py, line"),
    (lambda p, x: 1, X, r"fails: TypeError: cannot call <lambda>: too many positional arguments"),
    (lambda p, x, y: 0.5, X, r"returns a float, not \(loss, grads\)"),
    (lambda p, x, y: (1, 2, 3), X, r"returns 3 values, not \(loss, grads\)"),
    (spoil(lambda g: None), X, r"the gradients are None: mlp must return a dict"),
    (spoil(lambda g: {}), X, r"no gradient of W1, b1 and W2, and no other: name each"),
    (spoil(lambda g: {f"d{n}": a for n, a in g.items()}), X, r"W1, b1 and W2, but of dW1, db1, dW2: "),
    (spoil(lambda g: g | {"b2": g["b1"]}), X, r"a gradient of b2, but of W1, b1, W2: name each"),
    (spoil(lambda g: g | {"b1": None}), X, r"db1 is None: it must be an array.*, of shape \(5,\); zeros if"),
    (spoil(lambda g: g | {"b1": "x"}), X, r"db1 is of dtype <U1: it must be an array of floats, of shape"),
    (spoil(lambda g: g | {"b1": [[1], 2]}), X, r"db1 is a list: it must be an array of floats"),
    (spoil(lambda g: g | {"b1": np.ones(5, int)}), X, r"db1 is of dtype int64: it must be an array of flo"),
    (spoil(lambda g: g | {"b1": g["b1"] + 0j}), X, r"db1 is of dtype complex128: it must be an array"),
    (
        spoil(lambda g: g | {"b1": np.tile(g["b1"], (4, 1))}), X,
        r"db1 has shape \(4, 5\), not \(5,\): sum over the batch, axis 0",
    ),
    (spoil(lambda g: g | {"W1": g["W1"].T}), X, r"dW1 has shape \(4, 5\), not \(5, 4\): transpose it"),
    (spoil(lambda g: g | {"b1": g["b1"][None]}), X, r"db1 has shape \(1, 5\), not \(5,\): reshape it"),
    (spoil(lambda g: g | {"b1": g["b1"][:2]}), X, r"db1 has shape \(2,\), not \(5,\): it must have"),
    (partial(mlp, on_loss=lambda _: None), X, r"the loss is None: mlp must return one real number"),
    (partial(mlp, on_loss=lambda _: "1"), X, r"the loss is a str: mlp must return one real number"),
    (partial(mlp, on_loss=lambda x: x + 0j), X, r"the loss is complex: mlp must return one real number"),
    (partial(mlp, on_loss=lambda x: x * np.ones(4)), X, r"the loss has shape \(4,\): .* take its mean or"),
    (partial(mlp, on_loss=lambda x: x * np.nan), X, r"the loss is nan: mlp must return one real number"),
    (spoil(Buffer()), X, r"in two calls on the same inputs the gradient of b1 differs by 2 of its size"),
    (0.5, X, r"a float is no function: pass loss_and_grads itself"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "x", "said"), BAD_CALLS)
def test_a_function_that_cannot_be_checked_gets_one_line_that_says_what_to_do(
    function: Any, x: Any, said: str
) -> None:
    x_before, params_before = X.copy(), {name: p.copy() for name, p in MLP.items()}
    with pytest.raises(bench.UserError, match=said) as caught:
        bench.check_gradients(function, MLP, x, LABELS)
    assert "\n" not in str(caught.value)
    assert (x_before == X).all()
    assert all((MLP[name] == p).all() for name, p in params_before.items())


def in_place(params: Any, x: Any) -> Any:
    a = params["w"].exp()
    loss = (a * a).sum()
    a += 1
    return loss


@pytest.mark.parametrize(
    ("params", "options", "said"),
    [
        ([1.0], {}, r"params is a list: it must be a dict, name -> array, and not empty"),
        ({}, {}, r"and not empty"),
        ({"w": np.ones(3, int)}, {}, r"params\['w'\] is of dtype int64: it must be a NumPy array of floats"),
        ({"w": [np.ones(2), np.ones(3)]}, {}, r"params\['w'\] is a list: it must be a NumPy array of floats"),
        ({"w": [1.0, 2.0]}, {}, r"params\['w'\] is a list: it must be a NumPy array of floats"),
        ({"w": np.array([1, np.nan])}, {}, r"params\['w'\] is not finite: pass numbers"),
        ({"w": np.ones(0)}, {}, r"params\['w'\] is empty"),
        ({0: np.ones(3)}, {}, r"params has the name 0: names must be texts"),
        ({"w": np.ones(3)}, {"axes": 5}, r"axes=5: give a text for each of x, as"),
        ({"w": np.ones(3)}, {"axes": ("t", "b")}, "axes=.*: give a text for each of x, as"),
        ({"w": np.ones(3)}, {"axes": (None,)}, r"axes=\(None,\) do not fit x of shape"),
        ({"w": np.ones(3)}, {"entries": 0}, r"entries=0: give the number of entries"),
        ({"w": np.ones(3)}, {"axes": ("TBI", "BO")}, r"axes=\('TBI', 'BO'\): give a text for each of x, as"),
        (
            {"w": np.ones(3)},
            {"axes": ["TB"]},
            r"axes=\['TB'\] do not fit x of shape \(3,\): give a letter for",
        ),
        (
            {"w": np.ones(3)},
            {"twin": lambda p, x: 0.5},
            r"the twin <lambda> returns a float: it must return the",
        ),
        (
            {"w": np.ones(3)},
            {"twin": lambda p, x: p["w"].sum().detach()},
            r"does not depend on its parameters",
        ),
        ({"w": np.ones(3)}, {"twin": in_place}, r"the twin in_place fails: RuntimeError: one of the"),
        ({"w": np.ones(3)}, {"twin": lambda p, x: p["v"]}, r"<lambda> fails: KeyError: 'v' \(test_check_"),
    ],
)
def test_inputs_that_cannot_be_used_get_one_line(params: Any, options: Any, said: str) -> None:
    def linear(params: Arrays, x: np.ndarray) -> tuple[Any, Arrays]:
        return np.sum(params["w"] * x), {"w": x}

    if "twin" in options:
        pytest.importorskip("torch")
    with pytest.raises(bench.UserError, match=said) as caught:
        bench.check_gradients(linear, params, np.ones(3), **options)
    assert "\n" not in str(caught.value)


def test_a_function_may_print_use_its_arrays_again_and_give_scalars_and_numbers(capsys: Any) -> None:
    buffer = np.zeros(3)

    def chatty(params: Arrays, x: np.ndarray, rate: float) -> tuple[Any, Arrays]:
        print("loss")
        buffer[:] = 2 * rate * np.real(params["w"]) * x
        return [rate * np.sum(params["w"] ** 2 * x) + params["c"] ** 2], {
            "w": buffer,
            "c": 2 * params["c"].real,
        }

    assert bench.check_gradients(chatty, {"w": np.ones(3), "c": 0.5}, np.arange(3.0), 0.1).ok
    assert "loss" in capsys.readouterr().out


@pytest.mark.parametrize("entries", [2000, 6])
def test_a_gradient_that_is_no_number_is_wrong_and_said(entries: int) -> None:
    def lost(grads: Arrays) -> Arrays:
        grads["W2"][0] = np.array([np.nan, np.inf, -np.inf, np.nan, np.inf])
        return grads

    check = bench.check_gradients(partial(mlp, on_grads=lost), MLP, X, LABELS, entries=entries)
    assert verdicts(check)["W2"] == Verdict.WRONG
    assert all(np.isfinite(row.tolerance) for row in check.record.rows)
    assert "Of the gradient of W2, 5 of 15 entries are infinite or not a number." in check.record.notes


def torch_mlp(params: Any, x: Any, labels: Any, *, factor: float = 1.0) -> Any:
    import torch

    h = torch.tanh(x @ params["W1"].T + params["b1"])
    return factor * torch.nn.functional.cross_entropy(h @ params["W2"].T, labels)


def test_a_twin_in_pytorch_is_compared_too() -> None:
    pytest.importorskip("torch")
    check = bench.check_gradients(mlp, MLP, X, LABELS, twin=torch_mlp)
    assert check.ok
    assert all(row.autograd < 1e-14 for row in check.record.rows)
    assert bench.check_gradients(mlp, MLP, X[:, ::-1], LABELS[::-1], twin=torch_mlp).ok
    half = spoil(lambda grads: grads | {"W1": grads["W1"] / 2})
    check = bench.check_gradients(half, MLP, X, LABELS, twin=torch_mlp)
    assert [round(row.autograd, 3) for row in check.record.rows] == [0.5, 0, 0]
    assert "off autograd" in repr(check)

    def detached(params: Any, x: Any, labels: Any) -> Any:
        return torch_mlp(params | {"b1": params["b1"].detach()}, x, labels)

    check = bench.check_gradients(mlp, MLP, X, LABELS, twin=detached)
    assert check.ok
    assert check.record.notes == ("Autograd finds another gradient of b1: does the twin detach something?",)
    check = bench.check_gradients(mlp, MLP, X, LABELS, twin=partial(torch_mlp, factor=2))
    assert check.record.notes[0].startswith("The twin computes something else, a loss of ")
    assert check.record.rows[0].autograd is None


def recurrent(
    params: Arrays, x: np.ndarray, y: np.ndarray, *, loss: str, wrong: str = ""
) -> tuple[Any, Arrays]:
    """A tanh RNN of the suite's shapes with losses that are not the suite's, and mistakes."""
    U, W, V = params["U"], params["W"], params["V"]
    hs = [np.zeros((x.shape[1], len(W)))]
    for x_t in x:
        hs.append(np.tanh(x_t @ U.T + hs[-1] @ W.T))
    z = hs[-1] @ V.T
    if loss == "softmax":
        total, dz = softmax_loss(z, np.argmax(y, axis=1))
    else:  # the mean absolute error, without complex numbers
        total, dz = np.mean(np.abs(z - y)), np.sign(z - y).real / y.size
    grads = {"U": np.zeros_like(U), "W": np.zeros_like(W), "V": dz.T @ hs[-1]}
    dh = dz @ V
    for t in range(len(x), 0, -1):
        da = dh * (1 - hs[t] ** 2)
        grads["U"] += da.T @ x[t - 1]
        grads["W"] += da.T @ hs[t if wrong == "h_t for h_{t-1}" else t - 1]
        dh = da @ W * (wrong != "not handed back")
    if wrong == "sum":
        grads = {name: grad * x.shape[1] for name, grad in grads.items()}
    return total, grads


@pytest.mark.parametrize("loss", ["softmax", "absolute"])
@pytest.mark.parametrize(
    ("wrong", "kind", "names"),
    [
        ("not handed back", Kind.NOT_HANDED_BACK, ("U", "W")),
        ("h_t for h_{t-1}", Kind.OFF_BY_ONE, ("W",)),
        ("sum", Kind.CONSTANT, ("U", "W", "V")),
        ("", None, ()),
    ],
)
def test_a_cell_of_the_suite_with_another_loss_gets_its_mistake_named(
    loss: str, wrong: str, kind: Kind | None, names: tuple[str, ...]
) -> None:
    generator = np.random.default_rng(3)
    params = {
        name: generator.normal(size=shape) / 2
        for name, shape in {"U": (5, 2), "W": (5, 5), "V": (3, 5)}.items()
    }
    x, y = generator.normal(size=(6, 8, 2)), generator.normal(size=(8, 3))  # more samples than hidden units
    check = bench.check_gradients(partial(recurrent, loss=loss, wrong=wrong), params, x, y)
    found = check.record.findings
    assert {(one.kind, one.parameters) for one in found} == ({(kind, names)} if kind else set())
    assert all("T = 1, 2, 3 and 6" in one.evidence for one in found)
    assert check.record.method == (COMPLEX if loss == "softmax" else DIFFERENCES)


TAGGER = (
    {name: RNG.normal(size=shape) / 2 for name, shape in {"A": (5, 2), "R": (5, 5), "K": (3, 5)}.items()},
    RNG.normal(size=(4, 6, 2)),
    RNG.integers(0, 3, (4, 6)),
)


def tagger(params: Arrays, x: np.ndarray, labels: np.ndarray, *, wrong: str = "") -> tuple[Any, Arrays]:
    """A tanh RNN with a softmax at every step, its loss the mean over steps and batch; batch first."""
    A, R, K = params["A"], params["R"], params["K"]
    hs = [np.zeros((len(x), len(R)))]
    for t in range(x.shape[1]):
        hs.append(np.tanh(x[:, t] @ A.T + hs[-1] @ R.T))
    grads = {name: np.zeros_like(p) for name, p in params.items()}
    total, dh_next = 0.0, np.zeros_like(hs[0])
    for t in range(x.shape[1], 0, -1):
        loss, dz = softmax_loss(hs[t] @ K.T, labels[:, t - 1])
        total, dz = total + loss / x.shape[1], dz / (1 if wrong == "sum over T" else x.shape[1])
        grads["K"] += dz.T @ hs[t]
        da = (dz @ K + dh_next) * (1 - hs[t] ** 2)
        grads["A"] += da.T @ x[:, t - 1] * (wrong != "first step" or t > 1)
        grads["R"] += da.T @ hs[t - 1]
        dh_next = da @ R * (wrong != "not handed back")
    if wrong == "sign":
        grads["A"] = -grads["A"]
    return total, grads


@pytest.mark.parametrize(
    ("wrong", "kind", "names", "said"),
    [
        ("sum over T", Kind.CONSTANT, ("A", "R", "K"), "the sum over the steps is taken where the mean"),
        (
            "not handed back",
            Kind.ACROSS_STEPS,
            ("A", "R"),
            "something between steps is wrong: what one hands back",
        ),
        ("sign", Kind.SIGN, ("A",), "the sign is turned"),
        ("first step", Kind.STEP_LEFT_OUT, ("A",), "the first step is left out"),
        ("", None, (), ""),
    ],
)
def test_the_mistake_of_any_net_is_named_by_its_signs_where_the_axes_have_names(
    wrong: str, kind: Kind | None, names: tuple[str, ...], said: str
) -> None:
    check = bench.check_gradients(partial(tagger, wrong=wrong), *TAGGER, axes=("BTI", "BT"))
    assert {(one.kind, one.parameters) for one in check.record.findings} == (
        {(kind, names)} if kind else set()
    )
    assert all(said in one.mistake for one in check.record.findings)
    assert check.ok == (not wrong)


def test_one_step_alone_leaves_targets_and_words_as_they_are() -> None:
    x, y, words = np.ones((2, 3, 1)), np.ones((2, 3)), np.ones((3, 2), int)
    alone = Axes(("BTI", "BT")).alone((x, y), 2)
    assert alone is not None
    assert (alone[0][:, :, 0].tolist(), alone[1].tolist()) == ([[0, 1, 0]] * 2, y.tolist())
    assert Axes(("TB", "BTI")).alone((words, x), 2) is None
    assert Axes(("B",)).alone((y,), 1) is None
