"""Variants with one fault each, for tests of the proof: it must kill them all, and only where they are wrong.

The mathematical ones are the reference's own source with one expression changed; the others wrap a ``Bound``.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import impl_numpy.rnn
from bench.workload.binding import Bind
from bench.workload.case import DEFAULT_CELL, TASKS
from impl_numpy.contract import Bound, bind

GRADIENT = ("gradient", "train_step")
CLIP = "np.clip(e, -delta, delta)"
FOLDER = Path(impl_numpy.rnn.__file__).parent


@dataclass(frozen=True)
class Mutant:
    """A fault, and the tasks in which it shows; in the others its results are right."""

    name: str
    bind: Bind
    tasks: tuple[str, ...] = TASKS
    library: str = "numpy"
    cell: str = DEFAULT_CELL
    bias: bool = False  # whether it is proved on a cell with biases


def changed(old: str, new: str, cell: str = DEFAULT_CELL) -> Bind:
    """A ``bind`` of a cell's reference with ``old``, which occurs once, replaced by ``new``."""
    source = (FOLDER / f"{cell}.py").read_text(encoding="utf-8")
    assert source.count(old) == 1, f"{old!r} occurs {source.count(old)} times in the reference"
    module = ModuleType("mutant")
    exec(compile(source.replace(old, new), f"{cell}.py with {new!r}", "exec"), module.__dict__)
    return partial(bind, module)


reference: Bind = partial(bind, impl_numpy.rnn)


def with_results(change: Callable[[dict[str, Any]], dict[str, Any]], of: Bind = reference) -> Bind:
    """The reference, or another, with its results changed on their way out."""

    def bind_changed(*args: Any, **options: Any) -> Bound:
        bound = of(*args, **options)
        return Bound(bound.call, bound.reset, lambda: change(dict(bound.result())))

    return bind_changed


def with_rate(change: Callable[[float], float]) -> Bind:
    """The reference with another learning rate than it is told."""
    return lambda *args, lr, **options: reference(*args, lr=change(lr), **options)


def without_reset(*args: Any, **options: Any) -> Bound:
    """Never goes back to the start."""
    return replace(reference(*args, **options), reset=lambda: None)


def stale(*args: Any, **options: Any) -> Bound:
    """Works once, and then hands out the first result for ever."""
    bound = reference(*args, **options)
    return replace(bound, call=cache(bound.call))


def late(*args: Any, **options: Any) -> Bound:
    """Hands out the result of the call before the last."""
    bound = reference(*args, **options)
    results: list[dict[str, Any]] = [{}]

    def call() -> None:
        bound.call()
        results.append(dict(bound.result()))

    return Bound(call, bound.reset, lambda: results[-2])


def keeping(library: str, expression: str, *changes: tuple[str, str]) -> Bind:
    """Uses ``kept``, computed of the inputs when it was bound, in every call."""
    folder = FOLDER.parent / f"impl_{library}"
    source = (folder / "rnn.py").read_text(encoding="utf-8")
    if library == "torch":  # autograd would miss what is kept: the gradient by hand, on the same forward pass
        source += (
            (folder / "rnn_manual.py").read_text(encoding="utf-8").replace("from impl_torch.rnn", "# from")
        )
    for old, new in changes:
        assert source.count(old) == 1, f"{old!r} occurs {source.count(old)} times in the source"
        source = source.replace(old, new)

    def bind_keeping(task: str, params: Any, x: Any, y: Any, **options: Any) -> Any:
        module = ModuleType("mutant")
        exec(compile(source, "keeping.py", "exec"), module.__dict__)
        vars(module)["kept"] = eval(expression, {"params": params, "x": x, "y": y})
        contract = importlib.import_module(f"impl_{library}.contract")
        return contract.bind(module, task, params, x, y, **options)

    return bind_keeping


def of_bind(library: str) -> tuple[Mutant, ...]:
    """Mutants that derive something from x or y in ``bind``; their first results are right."""
    clone = "copy" if library == "numpy" else "clone"
    products = ("for x_t in x:", "for x_t in kept:"), ("x_t @ U.T + h @ W.T", "x_t + h @ W.T")
    x_in_dU, y_in_e = ("da.T @ x[t - 1]", "da.T @ kept[t - 1]"), ("e = y_hat - y ", "e = y_hat - kept ")
    return (
        Mutant(f"{library}: x U^T kept", keeping(library, "x @ params['U'].T", *products), TASKS, library),
        Mutant(f"{library}: x kept for dU", keeping(library, f"x.{clone}()", x_in_dU), GRADIENT, library),
        Mutant(f"{library}: y kept", keeping(library, f"y.{clone}()", y_in_e), GRADIENT, library),
    )


def scribbling(task: str, params: Any, x: Any, y: Any, **options: Any) -> Bound:
    """Writes into its input after it has used it."""
    bound = reference(task, params, x, y, **options)

    def call() -> None:
        bound.call()
        y[-1, -1] = np.nextafter(y[-1, -1], np.inf)

    return replace(bound, call=call)


def updating_in_place(task: str, params: Any, x: Any, y: Any, **options: Any) -> Bound:
    """Trains the caller's own arrays."""
    bound = reference(task, params, x, y, **options)

    def call() -> None:
        bound.call()
        for name, p in params.items() if task == "train_step" else ():
            p[...] = bound.result()[name]

    return replace(bound, call=call)


def in_lower_precision(task: str, params: Any, x: Any, y: Any, **options: Any) -> Bound:
    """Computes with half the bits and hands out the dtype that was asked for."""
    lower = {"float64": np.float32, "float32": np.float16}[str(x.dtype)]
    arrays = {name: p.astype(lower) for name, p in params.items()}, x.astype(lower), y.astype(lower)
    bound = reference(task, *arrays, **options)
    return replace(bound, result=lambda: {k: v.astype(x.dtype) for k, v in bound.result().items()})


def last_entry_nan(result: dict[str, Any]) -> dict[str, Any]:
    """One NaN in the last array."""
    name, values = result.popitem()
    values = np.array(values)
    values.flat[-1] = np.nan
    return {**result, name: values}


def of_each(change: Callable[[Any], Any], *names: str) -> Bind:
    """The reference with every result changed, or those of these names."""
    return with_results(lambda r: {k: change(v) if k in (names or r) else v for k, v in r.items()})


def slightly(array: Any) -> Any:
    """0.05 % more."""
    return array * array.dtype.type(1.0005)


def of_cell(cell: str, faults: tuple[tuple[str, str, str, tuple[str, ...]], ...]) -> tuple[Mutant, ...]:
    """The reference of a cell with each of these faults, proved with biases."""
    return tuple(
        Mutant(f"{cell}: {name}", changed(old, new, cell), tasks, cell=cell, bias=True)
        for name, old, new, tasks in faults
    )


# name, what is replaced, by what, and the tasks in which it shows
DW_GRU = "dw = np.concatenate((da_r, da_z, da_n * r), axis=1)"
GRU = (
    # the forward pass
    ("reset gate before the product", "tanh(u_n + r * w_n)",
     "tanh(u_n + (r * h) @ W[-len(W) // 3 :].T + params['bW'][-len(W) // 3 :])", TASKS),
    ("candidate's bW not reset", "tanh(u_n + r * w_n)",
     "tanh(u_n + r * (w_n - params['bW'][-len(W) // 3 :]) + params['bW'][-len(W) // 3 :])", TASKS),
    ("reset gate ignored", "tanh(u_n + r * w_n)", "tanh(u_n + w_n)", TASKS),
    ("z and 1 - z exchanged", "h = (1 - z) * n + z * h", "h = z * n + (1 - z) * h", TASKS),
    ("gates in another order",
     "(u_r, u_z, u_n), (w_r, w_z, w_n) =", "(u_z, u_r, u_n), (w_z, w_r, w_n) =", TASKS),
    ("bW left out", 'w + params["bW"]', "w", TASKS),
    # the derivatives of the gates
    ("derivative of n left out", " * (1 - n * n)", "", GRADIENT),
    ("derivative of n at n", "(1 - n * n)", "(1 - np.tanh(n) ** 2)", GRADIENT),
    ("1 / (1 - n^2)", " * (1 - n * n)", " / (1 - n * n)", GRADIENT),
    ("derivative of r left out", " * (r * (1 - r))", "", GRADIENT),
    ("derivative of r at r", "(r * (1 - r))", "(sigmoid(r) * (1 - sigmoid(r)))", GRADIENT),
    ("derivative of z left out", " * (z * (1 - z))", "", GRADIENT),
    ("derivative of z taken of r", "(z * (1 - z))", "(r * (1 - r))", GRADIENT),
    # the ways back
    ("h handed back straight forgotten", "dh = dh * z + dw @ W", "dh = dw @ W", GRADIENT),
    ("h handed back through W forgotten", "dh = dh * z + dw @ W", "dh = dh * z", GRADIENT),
    ("h handed back with 1 - z", "dh = dh * z + dw @ W", "dh = dh * (1 - z) + dw @ W", GRADIENT),
    ("h handed back by dL/du", "dh = dh * z + dw @ W", "dh = dh * z + du @ W", GRADIENT),
    ("z and 1 - z exchanged in the gradient", "da_n = dh * (1 - z)", "da_n = dh * z", GRADIENT),
    ("z's gradient with the wrong sign", "(h_before - n)", "(n - h_before)", GRADIENT),
    ("z's gradient with the new h", "(h_before - n)", "(cache[t].h - n)", GRADIENT),
    ("r's gradient by h instead of W h", "da_n * w_n * (", "da_n * h_before * (", GRADIENT),
    ("r's gradient without bW", "da_n * w_n * (", "da_n * (h_before @ W[-len(W) // 3 :].T) * (", GRADIENT),
    ("gradient of W without r", DW_GRU, DW_GRU.replace(" * r", ""), GRADIENT),
    ("rows of the gradient in another order", DW_GRU, DW_GRU.replace("da_r, da_z", "da_z, da_r"), GRADIENT),
    ("h of the wrong step", "dw.T @ h_before", "dw.T @ cache[t].h", GRADIENT),
    ("x of the wrong step", "du.T @ x[t]", "du.T @ x[t - 1]", GRADIENT),
    ("first step skipped", "range(len(x) - 1, -1, -1)", "range(len(x) - 1, 0, -1)", GRADIENT),
    # the biases
    ("bW's gradient without r", "dw.sum(axis=0)", "du.sum(axis=0)", GRADIENT),
    ("bU's gradient of the first step only", 'grads["bU"] +=', 'grads["bU"] =', GRADIENT),
    ("bU's gradient of one sample only", "du.sum(axis=0)", "du[0]", GRADIENT),
    ("bW's gradient a mean over the batch", "dw.sum(axis=0)", "dw.mean(axis=0)", GRADIENT),
    ("bV's gradient a mean over the batch", "dy_hat.sum(axis=0)", "dy_hat.mean(axis=0)", GRADIENT),
)  # fmt: skip
DC = "dc = dc + dh * o * (1 - tanh_c * tanh_c)"
DA_LSTM = "(da_i, da_f, da_g, da_o)"
LSTM = (
    # the forward pass
    ("forget gate ignored", "c = f * c + i * g", "c = c + i * g", TASKS),
    ("input and forget gate exchanged", "c = f * c + i * g", "c = i * c + f * g", TASKS),
    ("1 - f for the input gate", "c = f * c + i * g", "c = f * c + (1 - f) * g", TASKS),
    ("c not squashed", "h = o * np.tanh(c)", "h = o * c", TASKS),
    ("c handed on squashed", "c = f * c + i * g", "c = np.tanh(f * c + i * g)", TASKS),
    ("candidate by a sigmoid", "np.tanh(a_g)", "sigmoid(a_g)", TASKS),
    ("gates in another order", "a_i, a_f, a_g, a_o =", "a_i, a_g, a_f, a_o =", TASKS),
    ("bW left out", 'params["bU"] + params["bW"] if', 'params["bU"] if', TASKS),
    # the derivatives of the gates
    ("derivative of i left out", " * (i * (1 - i))", "", GRADIENT),
    ("derivative of f left out", " * (f * (1 - f))", "", GRADIENT),
    ("derivative of g left out", " * (1 - g * g)", "", GRADIENT),
    ("derivative of o left out", " * (o * (1 - o))", "", GRADIENT),
    ("derivative of f taken of i", "(f * (1 - f))", "(i * (1 - i))", GRADIENT),
    ("derivative of o at o", "(o * (1 - o))", "(sigmoid(o) * (1 - sigmoid(o)))", GRADIENT),
    ("derivative of g at g", "(1 - g * g)", "(1 - np.tanh(g) ** 2)", GRADIENT),
    ("tanh of tanh(c)", "tanh_c = np.tanh(c)", "tanh_c = np.tanh(np.tanh(c))", GRADIENT),
    # the ways back
    ("derivative of tanh(c) left out", DC, "dc = dc + dh * o", GRADIENT),
    ("1 - c^2", DC, DC.replace("tanh_c * tanh_c", "c * c"), GRADIENT),
    ("1 / (1 - tanh(c)^2)", DC, DC.replace("* (1", "/ (1"), GRADIENT),
    ("output gate left out of c", DC, DC.replace(" * o", ""), GRADIENT),
    ("c not handed back", DC, DC.replace("dc + ", ""), GRADIENT),
    ("h not handed back", "dh = da @ W", "dh = 0 * dh", GRADIENT),
    ("c handed back whole", "dc = dc * f", "dc = dc", GRADIENT),
    ("c handed back by i", "dc = dc * f", "dc = dc * i", GRADIENT),
    ("i's gradient by i", "dc * g * (i", "dc * i * (i", GRADIENT),
    ("f's gradient with the new c", "dc * c_before", "dc * c", GRADIENT),
    ("f's gradient with h", "dc * c_before", "dc * h_before", GRADIENT),
    ("g's gradient by g", "dc * i * (1 - g", "dc * g * (1 - g", GRADIENT),
    ("o's gradient with c not squashed", "dh * tanh_c", "dh * c", GRADIENT),
    ("rows of the gradient in another order", DA_LSTM, "(da_i, da_g, da_f, da_o)", GRADIENT),
    ("h of the wrong step", "da.T @ h_before", "da.T @ cache[t].h", GRADIENT),
    ("x of the wrong step", "da.T @ x[t]", "da.T @ x[t - 1]", GRADIENT),
    ("first step skipped", "range(len(x) - 1, -1, -1)", "range(len(x) - 1, 0, -1)", GRADIENT),
    # the biases
    ("bU's gradient of the first step only", 'grads["bU"] += da', 'grads["bU"] = da', GRADIENT),
    ("bU's gradient of one sample only", "da.sum(axis=0)", "da[0]", GRADIENT),
    ("bU's gradient a mean over the batch", "da.sum(axis=0)", "da.mean(axis=0)", GRADIENT),
    ("bW's gradient zero", 'grads["bW"] += grads["bU"]', 'grads["bW"] += 0', GRADIENT),
    ("bV's gradient a mean over the batch", "dy_hat.sum(axis=0)", "dy_hat.mean(axis=0)", GRADIENT),
)  # fmt: skip
KEEPING = (*of_bind("numpy"), *of_bind("torch"))
MUTANTS = (
    # the forward pass
    Mutant("recurrence dropped", changed("x_t @ U.T + h @ W.T", "x_t @ U.T")),
    Mutant("W transposed forwards", changed("+ h @ W.T  #", "+ h @ W  #")),
    Mutant("time steps rolled", changed("for x_t in x:", "for x_t in np.roll(x, 1, axis=0):")),
    Mutant(
        "last step skipped forwards",
        changed("return output(params, hs[-1])", "return output(params, hs[-2])"),
        GRADIENT,
    ),
    Mutant("h_0 is one", changed("np.zeros((x.", "np.ones((x.")),
    # the loss
    Mutant("mean over the batch only", changed("e_clipped / e.size", "e_clipped / len(e)"), GRADIENT),
    Mutant("batch mean missing", changed("dy_hat = e_clipped / e.size", "dy_hat = e_clipped"), GRADIENT),
    Mutant("Huber quadratic everywhere", changed(CLIP, "e"), GRADIENT),
    Mutant("Huber linear everywhere", changed(CLIP, "delta * np.sign(e)"), GRADIENT),
    Mutant("Huber's sides exchanged", changed(CLIP, f"e + delta * np.sign(e) - {CLIP}"), GRADIENT),
    Mutant("error with the wrong sign", changed("e = y_hat - y  #", "e = y - y_hat  #"), GRADIENT),
    Mutant("loss without its half", changed("(e - e_clipped / 2)", "(e - e_clipped)"), GRADIENT),
    # the backward pass
    Mutant("recurrent term dropped", changed("dh = da @ W", "dh = 0 * dh"), GRADIENT),
    Mutant("1 - h, not 1 - h^2", changed("lambda h: 1 - h * h", "lambda h: 1 - h"), GRADIENT),
    Mutant("W transposed backwards", changed("dh = da @ W", "dh = da @ W.T"), GRADIENT),
    Mutant("h off by one", changed("da.T @ hs[t - 1]", "da.T @ hs[t]"), GRADIENT),
    Mutant("x off by one", changed("da.T @ x[t - 1]", "da.T @ x[t - 2]"), GRADIENT),
    Mutant("first step skipped", changed("range(len(x), 0, -1)", "range(len(x), 1, -1)"), GRADIENT),
    Mutant("last step skipped", changed("range(len(x), 0, -1)", "range(len(x) - 1, 0, -1)"), GRADIENT),
    Mutant("last not accumulated", changed("dW += ", "dW = "), GRADIENT),
    Mutant("dL/dh_T x 1.0005", changed("dy_hat @ V", "dy_hat @ V * V.dtype.type(1.0005)"), GRADIENT),
    Mutant("dV x 1.0005", changed("dy_hat.T @ hs[-1]", "dy_hat.T @ hs[-1] * V.dtype.type(1.0005)"), GRADIENT),
    Mutant("U's gradient zero", changed("dU += da.T @ x[t - 1]", "dU += 0"), GRADIENT),
    # the biases
    *(
        Mutant(name, changed(old, new), tasks, bias=True)
        for name, old, new, tasks in (
            ("bW left out", 'params["bU"] + params["bW"] if', 'params["bU"] if', TASKS),
            ("bV left out", 'return y_hat + params["bV"]', "return y_hat + 0 * y_hat", TASKS),
            ("bias's gradient of the first step only", "db += da", "db = da", GRADIENT),
            ("bias's gradient of one sample only", "da.sum(axis=0)", "da[0]", GRADIENT),
            ("bias's gradient a mean over the batch", "da.sum(axis=0)", "da.mean(axis=0)", GRADIENT),
            ("bV's gradient a mean over the batch", "dy_hat.sum(axis=0)", "dy_hat.mean(axis=0)", GRADIENT),
            ("bW's gradient zero", '"bW": db.copy()', '"bW": 0 * db', GRADIENT),
        )
    ),
    # the update
    Mutant("update with the wrong sign", with_rate(lambda lr: -lr), ("train_step",)),
    Mutant("learning rate x 1.0005", with_rate(lambda lr: 1.0005 * lr), ("train_step",)),
    Mutant("learning rate built in", with_rate(lambda lr: 0.1), ("train_step",)),
    Mutant("reset forgotten", without_reset, ("train_step",)),
    Mutant("works once only", stale),
    Mutant("result of the call before", late),
    # what it hands out
    Mutant("a NaN", with_results(last_entry_nan)),
    Mutant("half the precision", in_lower_precision),
    Mutant("float16 handed out", of_each(lambda v: v.astype(np.float16))),
    Mutant("transposed", of_each(lambda v: v.T.copy())),
    Mutant("a result missing", with_results(lambda r: dict(list(r.items())[:-1]))),
    Mutant("loss of shape (1,)", of_each(np.atleast_1d), GRADIENT),
    Mutant("y_hat x 1.0005", of_each(slightly, "y_hat"), ("forward",)),
    Mutant("loss x 1.0005", of_each(slightly, "loss"), GRADIENT),
    # what it does to others
    Mutant("writes into its inputs", scribbling),
    Mutant("trains the caller's arrays", updating_in_place, ("train_step",)),
    # what it keeps
    *KEEPING,
    # GRU and LSTM
    *of_cell("gru", GRU),
    *of_cell("lstm", LSTM),
)
