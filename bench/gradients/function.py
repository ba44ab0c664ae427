"""Call a user's ``loss_and_grads(params, *data)``: guard its inputs, and refuse a result of another form."""

import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from bench.machine.errors import UserError, check_arguments, describe_error, did_you_mean
from bench.machine.wording import listing, short
from bench.proof.tolerance import Array, error_between, norm

Gradients = dict[str, Array]
REPEATABLE = {8: 1e-9, 4: 1e-4}  # itemsize -> the largest relative difference between two equal calls


class Guarded:
    """Call a function on copies of its inputs; every error is a ``UserError`` of one line.

    Attributes:
        name: of the function, for messages.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        if not callable(function):
            raise UserError(
                f"{kind(function)} is no function: pass loss_and_grads itself, without calling it"
            )
        self._function, inner = function, function
        while isinstance(inner, partial):
            inner = inner.func
        self.name: str = getattr(inner, "__name__", kind(inner))
        self._module = str(getattr(inner, "__module__", ""))
        try:
            names = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):  # a function in C
            names = []
        self._names = [one.name for one in names if one.kind is not one.VAR_POSITIONAL][1:]

    def label(self, number: int) -> str:
        """Return the name of an argument after the parameters, from 0, as the function calls it."""
        return self._names[number] if number < len(self._names) else f"data[{number}]"

    def loss(self, params: Mapping[str, Array], data: tuple[Any, ...]) -> Any:
        """Return the loss alone, of inputs for which a call was right: maybe complex, maybe not finite."""
        with np.errstate(all="ignore"):
            result = self.result(params, data)
        return np.asarray(result[0]).reshape(())[()]

    def __call__(self, params: Mapping[str, Array], data: tuple[Any, ...]) -> tuple[Any, Gradients]:
        """Return the loss and the gradients, in the dtypes that the function gives them.

        Raises:
            UserError: the function raises an error, changes its inputs, or its result has another form.
        """
        inputs = (dict(params), data)
        given = convert(np.copy, inputs)
        result = self.result(*given)
        before, after = (self._digests(*one) for one in (inputs, given))
        if changed := [label for label in before if before[label] != after[label]]:
            place = self._place_of_change(*inputs)
            advice = f"work on a copy, {changed[0]}.copy()"
            raise UserError(f"{self.name} changes {listing(changed)} in place{place}: {advice}")
        if not isinstance(result, tuple | list) or len(result) != 2:
            what = f"{len(result)} values" if isinstance(result, tuple | list) else kind(result)
            raise UserError(
                f"{self.name} returns {what}, not (loss, grads): the loss, and a dict with the gradient of "
                f"each of {listing(list(params))}"
            )
        return self._loss(result[0]), self._gradients(result[1], params)

    def steady(self, params: Mapping[str, Array], data: tuple[Any, ...]) -> tuple[Any, Gradients]:
        """Return the result of a call, after a second call on the same inputs gave the same.

        Raises:
            UserError: as of a call, or the two calls differ.
        """
        loss, grads = self(params, data)
        again, others = self(params, data)
        first, second = {"the loss": loss, **grads}, {"the loss": again, **others}
        for name, value in first.items():
            if not np.isfinite(value).all():
                continue  # it is wrong anyway
            allowed = REPEATABLE[8 if np.asarray(value).itemsize >= 8 else 4]
            if (error := error_between(second[name], value, scale=norm(value))) > allowed:
                what = name if name == "the loss" else f"the gradient of {name}"
                raise UserError(
                    f"{self.name} is not deterministic: in two calls on the same inputs {what} differs by "
                    f"{error:.2g} of its size; seed its random numbers, and keep nothing between calls"
                )
        return loss, grads

    def result(self, params: Mapping[str, Any], data: tuple[Any, ...]) -> Any:
        """Return what the function returns; its errors are a ``UserError`` with the place in its code."""
        try:
            check_arguments(self._function, params, *data)
            return self._function(params, *data)
        except (Exception, SystemExit) as error:
            raise UserError(f"{self.name} fails: {describe_error(error, self._module)}") from error

    def _digests(self, params: Mapping[str, Array], data: tuple[Any, ...]) -> dict[str, str]:
        named = [("params", params), *((self.label(number), one) for number, one in enumerate(data))]
        return {
            label: hashlib.sha256(array.tobytes()).hexdigest()
            for name, value in named
            for label, array in arrays_in(value, name)
        }

    def _place_of_change(self, params: Mapping[str, Array], data: tuple[Any, ...]) -> str:
        """Return where the function changes its inputs, `` (mine.py, line 3, in f)``, as far as known."""
        try:
            self.result(*convert(_read_only, (dict(params), data)))
        except UserError as error:
            _, opening, place = str(error).rpartition(" (")
            return opening + place if place.endswith(")") else ""
        return ""

    def _loss(self, loss: Any) -> Any:
        array = _as_array(loss)
        advice = f"{self.name} must return one real number as the loss"
        if array.dtype.kind not in "fiu":
            what = "complex" if array.dtype.kind == "c" else kind(loss)
            raise UserError(f"the loss is {what}: {advice}")
        if array.size != 1:
            raise UserError(f"the loss has shape {array.shape}: {advice}; take its mean or its sum")
        if not np.isfinite(array).all():
            raise UserError(f"the loss is {array.item()}: {advice}; try smaller parameters or inputs")
        return array.reshape(())[()]

    def _gradients(self, grads: Any, params: Mapping[str, Array]) -> Gradients:
        if not isinstance(grads, Mapping):
            raise UserError(
                f"the gradients are {kind(grads)}: {self.name} must return a dict, name -> gradient"
            )
        for names, what in ((params.keys() - grads.keys(), "no"), (grads.keys() - params.keys(), "a")):
            for name in sorted(map(str, names)):
                others = ", ".join(map(str, grads if what == "no" else params)) or "nothing"
                hint = did_you_mean(name, map(str, grads)) if what == "no" else ""
                advice = "name each gradient as its parameter"
                found = f"{what} gradient of {short(name)}{hint}, but of {short(others)}"
                raise UserError(f"{self.name} returns {found}: {advice}")
        return {name: self._gradient(name, grads[name], p) for name, p in params.items()}

    def _gradient(self, name: str, grad: Any, parameter: Array) -> Array:
        what, shape = f"d{name}", parameter.shape
        if grad is None:
            raise UserError(
                f"{what} is None: return zeros of shape {shape} if the loss does not depend on {name}"
            )
        array = _as_array(grad)
        if array.dtype.kind != "f":
            found = kind(grad) if array.dtype.kind == "O" else f"of dtype {array.dtype}"
            raise UserError(f"{what} is {found}: it must be an array of floats, of shape {shape}")
        if array.shape != shape:
            raise UserError(f"{what} has shape {array.shape}, not {shape}{hint(array.shape, shape)}")
        return np.array(array)  # a copy: the function may use its arrays again


def hint(found: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """Return how an array of a wrong shape gets the right one, if one step leads there."""
    for axis in range(len(found)):
        if found[:axis] + found[axis + 1 :] == wanted and found[axis] != 1:
            return f": sum over the batch, axis {axis}"
    if found[::-1] == wanted:
        return ": transpose it"
    if np.prod(found) == np.prod(wanted):
        return ": reshape it"
    return ": it must have the shape of its parameter"


def arrays_in(value: Any, label: str) -> Iterator[tuple[str, Array]]:
    """Yield the arrays in a value, in lists and dicts too, each with its place, as ``params['W']``."""
    if isinstance(value, np.ndarray):
        yield label, value
    elif isinstance(value, dict | list | tuple):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from arrays_in(one, f"{label}[{key!r}]")


def convert(change: Callable[[Array], Any], value: Any) -> Any:
    """Return the value with each of its arrays changed, in lists and dicts too; all else is the same."""
    if isinstance(value, np.ndarray):
        return change(value)
    if type(value) is dict:
        return {key: convert(change, one) for key, one in value.items()}
    return type(value)(convert(change, one) for one in value) if type(value) in (list, tuple) else value


def as_params(params: Any) -> Gradients:
    """Return the parameters as a dict of arrays of floats.

    Raises:
        UserError: they are none.
    """
    if not isinstance(params, Mapping) or not params:
        raise UserError(f"params is {kind(params)}: it must be a dict, name -> array, and not empty")
    arrays = {
        name: np.asarray(value if isinstance(value, np.ndarray | np.generic | int | float) else None)
        for name, value in params.items()
    }
    for name, array in arrays.items():
        if array.dtype.kind != "f":
            found = kind(params[name]) if array.dtype.kind == "O" else f"of dtype {array.dtype}"
            raise UserError(f"params[{name!r}] is {found}: it must be a NumPy array of floats")
        if not np.isfinite(array).all() or not array.size:
            raise UserError(f"params[{name!r}] is {'not finite' if array.size else 'empty'}: pass numbers")
    return arrays


def _as_array(value: Any) -> Array:
    try:
        return np.asarray(value)
    except Exception:  # a ragged list, or an object with an opinion of its own
        return np.array(None)


def _read_only(array: Array) -> Array:
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def kind(value: object) -> str:
    """Return what a value is, in a message: "None", "a list"."""
    return "None" if value is None else f"a {type(value).__name__}"
