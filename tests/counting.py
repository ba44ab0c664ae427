"""Counts what a variant really asks its library for, in the terms of ``bench.workload.operations``.

NumPy's arrays are of a class that sees every ufunc; torch's operations pass through a dispatch mode. What is
neither arithmetic nor known to be none is an error, so that nothing is overlooked.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import numpy as np

from bench.workload import catalog, data
from bench.workload.binding import bind_case
from bench.workload.case import Case
from bench.workload.cell import find_cell
from bench.workload.operations import PRODUCT, Kernel, Operation, Stored

Seen = list[Operation]

NUMPY_PASSES = {
    **dict.fromkeys(("add", "subtract", "negative"), "add"),
    **dict.fromkeys(
        ("multiply", "divide", "clip", "greater_equal", "greater", "maximum", "sign"), "multiply"
    ),
    "tanh": "tanh",
    "exp": "exp",
}
TORCH_PASSES = {
    **dict.fromkeys(("add", "add_", "sub", "rsub", "neg", "sum", "mean"), "add"),
    **dict.fromkeys(
        ("mul", "mul_", "div", "clamp", "addcmul", "lerp", "sign", "gt", "relu", "dot"), "multiply"
    ),
    **dict.fromkeys(("tanh_backward", "sigmoid_backward", "threshold_backward"), "multiply"),
    **dict.fromkeys(("huber_loss", "huber_loss_backward"), "multiply"),
    **dict.fromkeys(("tanh", "tanh_"), "tanh"),
    **dict.fromkeys(("sigmoid", "sigmoid_"), "sigmoid"),
}
TORCH_PRODUCTS = {"mm": 0, "addmm": 1, "bmm": 0, "addbmm": 1}  # place of the left operand
NO_ARITHMETIC = {
    "t", "permute", "transpose", "view", "_unsafe_view", "unbind", "select", "slice", "detach", "alias",
    "expand", "unsqueeze", "squeeze", "as_strided", "split", "unsafe_split",  # views
    "zeros", "zeros_like", "new_zeros", "ones_like", "zero_", "fill_", "empty_like", "new_empty",  # fills
    "stack", "cat", "clone", "copy_", "select_backward", "_to_copy",  # copies
    "_record_function_enter_new", "_record_function_exit",  # what a profiler would be told
}  # fmt: skip


def run(spec: str, case: Case) -> Seen:
    """Every operation of one call of a variant of the catalogue."""
    variant, batch = catalog.find(spec), data.make(case)
    if variant.library == "torch":
        return _torch_operations(bind_case(variant.load(case.cell), "torch", case, batch, "cpu").bound.call)
    options = {"delta": case.delta, "lr": case.lr, **find_cell(case.cell).options(case.activation)}
    bind = variant.load(case.cell)
    with _counting_numpy() as seen:
        params = {name: p.view(Counted) for name, p in batch.params.items()}
        bound = bind(case.task, params, batch.x.view(Counted), batch.y.view(Counted), **options)
        seen.clear()
        bound.call()
    return seen


class Counted(np.ndarray):
    """An array that tells ``seen`` about every operation on more than one number."""

    __array_priority__ = 1.0  # what np.concatenate makes of such arrays is one, too
    seen: Seen = []  # noqa: RUF012  (one for all arrays, on purpose)

    def __array_ufunc__(self, ufunc, method, *inputs, out=(), **options):  # type: ignore[no-untyped-def]
        bare = [_bare(one) for one in inputs]
        given = {"out": tuple(_bare(one) for one in out)} if out else {}
        result = getattr(ufunc, method)(*bare, **given, **options)
        if ufunc is np.matmul:
            left, right = bare
            times = max(len(one) if one.ndim == 3 else 1 for one in bare)  # a matrix a gate
            left, right = (one[0] if one.ndim == 3 else one for one in bare)
            n = right.shape[1] if right.ndim == 2 else 1
            size = (*left.shape, n)
            if 0 not in size:  # else it is a fill with zeros
                self.seen.append(Operation(Kernel(PRODUCT, size, _stored_as(left, right), bool(out)), times))
        else:
            self._note(NUMPY_PASSES[ufunc.__name__], [*bare, result], bool(out))
        return out[0] if out else _counted(result)

    def dot(self, right, out):  # type: ignore[no-untyped-def]  # no ufunc
        return np.matmul(self, right, out=out)

    def __array_function__(self, func, types, args, kwargs):  # type: ignore[no-untyped-def]
        if func not in (np.where, np.outer):  # those that do not ask ufuncs with arrays of this class
            return super().__array_function__(func, types, args, kwargs)
        result = func(*map(_bare, args))
        self._note("multiply", [*map(_bare, args), result], False)
        return _counted(result)

    def _note(self, name: str, arrays: list[Any], into: bool) -> None:
        sizes = [np.size(one) for one in arrays]
        if (n := max(sizes)) > 1:
            self.seen.append(Operation(Kernel(name, (n,), into=into), arrays=sizes.count(n)))


def _torch_operations(call: Any) -> Seen:
    from torch import Tensor
    from torch.utils._python_dispatch import TorchDispatchMode

    seen: Seen = []

    class Counting(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            kwargs = kwargs or {}
            name = func.overloadpacket.__name__
            if name not in TORCH_PRODUCTS.keys() | TORCH_PASSES.keys() | NO_ARITHMETIC:
                with self:
                    result = func.decompose(*args, **kwargs)
                assert result is not NotImplemented, f"nobody knows what {func} costs"
                return result
            result = func(*args, **kwargs)
            into = "out" in kwargs
            if name in TORCH_PRODUCTS:
                left, right = args[TORCH_PRODUCTS[name] :][:2]
                stored = _stored(*(one.stride()[-2] < one.stride()[-1] for one in (left, right)))
                size, times = (*left.shape[-2:], right.shape[-1]), len(left) if left.ndim == 3 else 1
                if 0 not in size:
                    seen.append(Operation(Kernel(PRODUCT, size, stored, into), times))
            elif name in TORCH_PASSES:
                sizes = [one.numel() for one in (*args, result) if isinstance(one, Tensor)]
                if (n := max(sizes)) > 1:
                    kernel = Kernel(TORCH_PASSES[name], (n,), into=into)
                    seen.append(Operation(kernel, arrays=sizes.count(n)))
            return result

    with Counting():
        call()
    return seen


@contextmanager
def _counting_numpy() -> Iterator[Seen]:
    """Arrays that the workspace variants allocate are counted ones too."""
    from impl_numpy import gru_inplace, lstm_inplace, rnn_inplace, workspace

    class Counting:
        def __getattr__(self, name: str) -> Any:
            made = getattr(np, name)
            return (lambda *args: made(*args).view(Counted)) if name in ("empty", "ones", "zeros") else made

    Counted.seen = []
    with ExitStack() as patches:
        for module in (rnn_inplace, gru_inplace, lstm_inplace, workspace):
            patches.enter_context(mock.patch.object(module, "np", Counting()))
        yield Counted.seen


def _stored_as(left: Any, right: Any) -> Stored:
    return _stored(*(one.ndim == 2 and one.strides[0] < one.strides[1] for one in (left, right)))


def _stored(left_transposed: bool, right_transposed: bool) -> Stored:
    assert not (left_transposed and right_transposed)
    return "TN" if left_transposed else "NT" if right_transposed else "NN"


def _bare(one: Any) -> Any:
    return one.view(np.ndarray) if isinstance(one, Counted) else one


def _counted(result: Any) -> Any:
    return result.view(Counted) if isinstance(result, np.ndarray) else result
