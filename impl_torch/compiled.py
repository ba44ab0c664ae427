"""Variant ``torch-compile``: loss, gradient and update as one compiled graph.

Differs from rnn.py, gru.py and lstm.py in that torch.compile turns a whole task into one graph
(``fullgraph``) for one set of shapes (``dynamic=False``), and generates its code: element-wise operations are
merged, the gradient is a function of the parameters (``torch.func``), so that the update belongs to the graph
as well. The input products of all steps are one matrix product. On the CPU the code around the kernels is C++
too: with the usual Python around them, an RNN's step of the primer's size takes a fifth longer.

``bind`` compiles, which takes seconds, and says how long in ``compile_ns``. What is compiled is kept for the
process and, where ``TORCHINDUCTOR_CACHE_DIR`` says, for the next one. Learning rate and Huber cutoff are
tensors: another value is no reason to compile again.
"""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
import torch._dynamo.config
import torch._dynamo.utils
from torch import Tensor
from torch.nn.functional import linear

from impl_torch.contract import Array, Bound, to_arrays
from impl_torch.rnn import ACTIVATIONS, Params

with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # of torch, about itself
    import torch._inductor.compile_fx  # here, since at first use its seconds would look like compilation

MOST_GRAPHS = 256  # of a task in one process: its different cells, shapes, dtypes, biases and activations
LOUD: dict[str, Any] = {
    "recompile_limit": MOST_GRAPHS,
    "accumulated_recompile_limit": MOST_GRAPHS,
    "fail_on_recompile_limit_hit": True,
    "suppress_errors": False,
}


@dataclass(frozen=True, slots=True)
class CompiledBound(Bound):
    """A bound task, and the time its ``bind`` spent compiling: hardly any where that was done before."""

    compile_ns: int


State = tuple[Tensor, ...]  # h, of an LSTM h and c, (B, H) each


Product = Callable[..., Tensor]  # of h (B, H), W (G, H) and a bias (G,) or None: h W^T + bias, (B, G)


def projected(params: Params, x: Tensor, cell: str) -> Tensor:
    """U x_t + bU of every step (T, B, G), and + bW, which only a GRU adds elsewhere."""
    b = params.get("bU")  # (G,)
    if b is not None and cell != "gru":
        b = b + params["bW"]
    return linear(x, params["U"], b)


def output(params: Params, state: State) -> Tensor:
    """y_hat (B, O) of the last h."""
    return linear(state[0], params["V"], params.get("bV"))


def rnn_steps(
    params: Params, u: Tensor, state: State, *, activation: str, product: Product = linear
) -> State:
    """The state of the RNN after the steps of ``u``, which is ``projected``."""
    act = ACTIVATIONS[activation]
    (h,) = state
    for u_t in u.unbind():  # (B, H)
        h = act(u_t + product(h, params["W"]))
    return (h,)


def gru_steps(params: Params, u: Tensor, state: State, *, product: Product = linear) -> State:
    """The state of the GRU after the steps of ``u``, which is ``projected``."""
    (h,) = state
    for u_t in u.unbind():  # (B, 3H)
        w_t = product(h, params["W"], params.get("bW"))
        (u_r, u_z, u_n), (w_r, w_z, w_n) = u_t.chunk(3, dim=1), w_t.chunk(3, dim=1)  # (B, H) each
        r, z = torch.sigmoid(u_r + w_r), torch.sigmoid(u_z + w_z)
        n = torch.tanh(u_n + r * w_n)
        h = n + z * (h - n)
    return (h,)


def lstm_steps(params: Params, u: Tensor, state: State, *, product: Product = linear) -> State:
    """The state of the LSTM after the steps of ``u``, which is ``projected``."""
    h, c = state
    for u_t in u.unbind():  # (B, 4H)
        a_i, a_f, a_g, a_o = (u_t + product(h, params["W"])).chunk(4, dim=1)  # (B, H) each
        c = torch.sigmoid(a_f) * c + torch.sigmoid(a_i) * torch.tanh(a_g)
        h = torch.sigmoid(a_o) * torch.tanh(c)
    return h, c


ADVANCE: dict[str, Callable[..., State]] = {"rnn": rnn_steps, "gru": gru_steps, "lstm": lstm_steps}


def zero_state(params: Params, x: Tensor, cell: str) -> State:
    """h_0 = 0, and of an LSTM c_0 = 0."""
    n_parts = 2 if cell == "lstm" else 1
    return tuple(x.new_zeros((x.shape[1], params["W"].shape[1])) for _ in range(n_parts))


def stream(params: Params, x: Tensor, state: State, *, cell: str, **options: str) -> tuple[Tensor, State]:
    """y_t (B, O) and the next call's state, from x_t, the one step in ``x``, and this call's state."""
    state = ADVANCE[cell](params, projected(params, x, cell), state, **options)
    return output(params, state), state


def forward(params: Params, x: Tensor, *, cell: str, **options: str) -> Tensor:
    """y_hat (B, O)."""
    y_hat, _ = stream(params, x, zero_state(params, x, cell), cell=cell, **options)
    return y_hat


def loss_of(params: Params, x: Tensor, y: Tensor, delta: Tensor, **options: str) -> Tensor:
    """Mean Huber loss (0-d), written out: the library's own takes no tensor as its cutoff."""
    e = forward(params, x, **options) - y
    e_clipped = torch.clip(e, -delta, delta)
    return torch.mean(e_clipped * (e - e_clipped / 2))


def gradient(params: Params, x: Tensor, y: Tensor, delta: Tensor, **options: str) -> tuple[Tensor, Params]:
    """The loss and its gradient, a dict like ``params``."""
    differentiate = torch.func.grad_and_value(loss_of)
    grads, loss = differentiate(params, x, y, delta, **options)
    return loss, grads


def train_step(
    params: Params, x: Tensor, y: Tensor, delta: Tensor, lr: Tensor, **options: str
) -> tuple[Tensor, Params]:
    """The loss, and the parameters after the update."""
    loss, grads = gradient(params, x, y, delta, **options)
    return loss, {name: p - lr * grads[name] for name, p in params.items()}


@cache
def compiled(function: Callable[..., Any], device_kind: str, threads: int) -> Callable[..., Any]:
    """``function`` compiled once for each set of shapes it meets; any break in its graph is an error.

    Code for the CPU is made for a number of threads, which therefore has to be part of every cache's key.
    Headers are not compiled beforehand: those would be kept outside the cache folder, and need openssl.
    """
    options: dict[str, str | int | bool | Callable[..., Any]] = {}
    if device_kind == "cpu":
        options = {"cpp_wrapper": True, "cpp_cache_precompile_headers": False, "cpp.threads": threads}
    return torch.compile(function, fullgraph=True, dynamic=False, options=options)


def bind(
    task: str,
    params: Params,
    x: Tensor,
    y: Tensor,
    *,
    delta: float,
    lr: float,
    **options: str,
) -> CompiledBound:
    """Compile ``task`` for these shapes where x is, unless this process has, and return its ``Bound``.

    ``options`` are the ``cell``, and the ``activation`` of an RNN.

    Raises:
        RuntimeError: torch.compile is switched off. Whatever keeps it from compiling is raised as it is.
    """
    delta_there, lr_there = (x.new_tensor(number) for number in (delta, lr))
    current = params
    state = zero = zero_state(params, x, options["cell"])
    last: dict[str, Tensor] = {}

    functions = {"forward": forward, "gradient": gradient, "train_step": train_step, "stream": stream}
    function = compiled(functions[task], x.device.type, torch.get_num_threads())

    def call_forward() -> None:
        last["y_hat"] = function(current, x, **options)

    def call_gradient() -> None:
        last["loss"], grads = function(current, x, y, delta_there, **options)
        last.update({f"d{name}": grad for name, grad in grads.items()})

    def call_train_step() -> None:
        nonlocal current
        last["loss"], current = function(current, x, y, delta_there, lr_there, **options)

    def call_stream() -> None:
        nonlocal state
        last["y_hat"], state = function(current, x, state, **options)

    def reset() -> None:
        nonlocal current, state
        current, state = params, zero

    def result() -> dict[str, Array]:
        return to_arrays(last | (current if task == "train_step" else {}))

    calls = {
        "forward": call_forward, "gradient": call_gradient, "train_step": call_train_step,
        "stream": call_stream,
    }  # fmt: skip
    compile_ns = compile_by(calls[task])
    reset()
    return CompiledBound(calls[task], reset, result, compile_ns)


def compile_by(call: Callable[[], object]) -> int:
    """Make the first call, which compiles, and return its time in nanoseconds.

    Beyond its limit of shapes, and after an error, torch would go on without compiling where it may.
    """
    started = time.perf_counter_ns()
    with torch._dynamo.config.patch(LOUD), torch._inductor.config.patch(compile_threads=1):
        call()
    if n_graphs() == 0:
        raise RuntimeError(
            "torch.compile is switched off; unset TORCH_COMPILE_DISABLE and TORCHDYNAMO_DISABLE"
        )
    return time.perf_counter_ns() - started


def n_graphs() -> int:
    """How many graphs this process has compiled or taken from the cache folder."""
    return int(torch._dynamo.utils.counters["stats"]["unique_graphs"])


rnn, gru, lstm = (partial(bind, cell=cell) for cell in ("rnn", "gru", "lstm"))
