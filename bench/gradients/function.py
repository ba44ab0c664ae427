"""Call a user's ``loss_and_grads(params, *data)``: guard its inputs, and refuse a result of another form."""

import copy
import inspect
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stdout
from functools import partial
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from bench.machine.errors import UserError, check_arguments, describe_error
from bench.machine.wording import listing, short
from bench.proof.tolerance import Array, error_between, norm

Arrays = dict[str, Array]
ADVICE = "name each gradient as its parameter"
REPEATABLE = {8: 1e-9, 4: 1e-4}  # itemsize -> the largest relative difference between two equal calls


class Guarded:
    """Call a function on copies of its inputs; every error is a ``UserError`` of one line.

    Attributes:
        name: of the function, for messages.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        if not callable(function):
            raise UserError(
                f"{what_is(function)} is no function: pass loss_and_grads itself, without calling it"
            )
        self._function, inner = function, function
        while isinstance(inner, partial):
            inner = inner.func
        self.name: str = getattr(inner, "__name__", what_is(inner))
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
        with np.errstate(all="ignore"), redirect_stdout(io.StringIO()):  # or it prints thousands of times
            result = self.attempt(lambda: self._function(params, *data))
        return np.asarray(result[0]).reshape(())[()]

    def __call__(self, params: Mapping[str, Array], data: tuple[Any, ...]) -> tuple[Any, Arrays]:
        """Return the loss and the gradients, in the dtypes that the function gives them.

        Raises:
            UserError: the function raises an error, changes its inputs, or its result has another form.
        """
        inputs = (dict(params), data)
        given = _copied(inputs)
        result = self.result(*given)
        before, after = (self._bytes(*one) for one in (inputs, given))
        if changed := [label for label in before if before[label] != after.get(label)]:
            place = self._place_of_change(*inputs)
            advice = f"work on a copy, {changed[0]}.copy()"
            raise UserError(f"{self.name} changes {listing(changed)} in place{place}: {advice}")
        loss, grads = as_pair(result, self.name)
        loss = as_loss(loss, self.name)
        found = {name: gradient_in(grads, name, params) for name in params}
        if others := sorted(map(str, grads.keys() - params.keys())):
            names = short(", ".join(params))
            raise UserError(f"there is a gradient of {short(others[0])}, but of {names}: {ADVICE}")
        return loss, found

    def steady(self, params: Mapping[str, Array], data: tuple[Any, ...]) -> tuple[Any, Arrays]:
        """Return the result of a call, after a second call on the same inputs gave the same.

        Raises:
            UserError: as of a call, or the two calls differ.
        """
        loss, grads = self(params, data)
        self.loss(params, data)  # not on a copy: of random numbers, a copy would give the same again
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

        def call() -> Any:
            check_arguments(self._function, params, *data)
            return self._function(params, *data)

        return self.attempt(call)

    def attempt(self, action: Callable[[], Any]) -> Any:
        """Return what an action with the function returns; its errors are a ``UserError`` of one line."""
        try:
            return action()
        except UserError:
            raise
        except (Exception, SystemExit) as error:
            raise UserError(f"{self.name} fails: {describe_error(error, self._module)}") from error

    def _bytes(self, params: Mapping[str, Array], data: tuple[Any, ...]) -> dict[str, bytes]:
        named = [("params", params), *((self.label(number), one) for number, one in enumerate(data))]
        return {label: array.tobytes() for name, value in named for label, array in arrays_in(value, name)}

    def _place_of_change(self, params: Mapping[str, Array], data: tuple[Any, ...]) -> str:
        """Return where the function changes its inputs, `` (mine.py, line 3, in f)``, as far as known."""
        given = _copied((dict(params), data))
        for _, array in arrays_in(given, ""):
            array.flags.writeable = False
        try:
            self.result(*given)
        except UserError as error:
            _, opening, place = str(error).rpartition(" (")
            return opening + place if place.endswith(")") else ""
        return ""


def as_pair(result: Any, function: str) -> tuple[Any, Mapping[str, Any]]:
    """Return the loss and the gradients that a function returned.

    Raises:
        UserError: it returned something else.
    """
    if not isinstance(result, tuple | list) or len(result) != 2:
        what = f"{len(result)} values" if isinstance(result, tuple | list) else what_is(result)
        raise UserError(f"{function} returns {what}, not (loss, grads): the loss, and a dict of gradients")
    if not isinstance(result[1], Mapping):
        advice = f"{function} must return a dict, name -> gradient"
        raise UserError(f"the gradients are {what_is(result[1])}: {advice}")
    return result[0], result[1]


def as_loss(loss: Any, function: str) -> Any:
    """Return the loss as a number, of the dtype that it has.

    Raises:
        UserError: it is no finite real number.
    """
    array = _as_array(loss)
    advice = f"{function} must return one real number as the loss"
    if array.dtype.kind not in "fiu":
        what = "complex" if array.dtype.kind == "c" else what_is(loss)
        raise UserError(f"the loss is {what}: {advice}")
    if array.size != 1:
        raise UserError(f"the loss has shape {array.shape}: {advice}; take its mean or its sum")
    if not np.isfinite(array).all():
        raise UserError(f"the loss is {array.item()}: {advice}; try smaller parameters or inputs")
    return array.reshape(())[()]


def gradient_in(grads: Mapping[str, Any], name: str, params: Mapping[str, Array]) -> Array:
    """Return the gradient of a parameter, a copy.

    Raises:
        UserError: there is none, or it is no array of floats of this shape.
    """
    if name not in grads:
        missing = listing([name for name in params if name not in grads])
        others = f"but of {short(', '.join(map(str, grads)))}" if grads else "and no other"
        raise UserError(f"there is no gradient of {missing}, {others}: {ADVICE}")
    array, shape = as_floats(grads[name], f"d{name}", params[name].shape), params[name].shape
    if array.shape != shape:
        raise UserError(f"d{name} has shape {array.shape}, not {shape}{hint(array.shape, shape)}")
    return array


def as_floats(value: Any, what: str, shape: tuple[int, ...]) -> Array:
    """Return a copy of an array that a function returned: it may use its arrays again.

    Raises:
        UserError: it is no array of floats.
    """
    array = _as_array(value)
    if array.dtype.kind != "f":
        is_array = isinstance(value, np.ndarray) or array.dtype.kind != "O"
        found = f"of dtype {array.dtype}" if is_array else what_is(value)
        zeros = "; zeros if nothing depends on it" if value is None else ""
        raise UserError(f"{what} is {found}: it must be an array of floats, of shape {shape}{zeros}")
    return np.array(array)


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


def arrays_in(value: Any, label: str, seen: set[int] | None = None) -> Iterator[tuple[str, Array]]:
    """Yield the arrays in a value, in lists, dicts and objects too, each with its place: ``params['W']``."""
    seen = set() if seen is None else seen
    if isinstance(value, np.ndarray):
        yield label, value
    elif id(value) not in seen and not isinstance(value, ModuleType | FunctionType | type):
        seen.add(id(value))
        if isinstance(value, dict | list | tuple):
            pairs = value.items() if isinstance(value, dict) else enumerate(value)
            parts = [(f"[{key!r}]", one) for key, one in pairs]
        else:
            names = [*getattr(value, "__dict__", ()), *getattr(type(value), "__slots__", ())]
            parts = [(f".{name}", getattr(value, name, None)) for name in names]
        for place, one in parts:
            yield from arrays_in(one, label + place, seen)


def convert(change: Callable[[Array], Any], value: Any) -> Any:
    """Return the value with each of its arrays changed, in lists and dicts too; all else is the same."""
    if isinstance(value, np.ndarray):
        return change(value)
    if isinstance(value, dict):
        changed = copy.copy(value)  # of its own type
        changed.update({key: convert(change, one) for key, one in value.items()})
        return changed
    if isinstance(value, tuple) and hasattr(value, "_make"):  # a named one
        return value._make(convert(change, one) for one in value)
    return type(value)(convert(change, one) for one in value) if type(value) in (list, tuple) else value


def _copied(value: Any) -> Any:
    try:
        return copy.deepcopy(value)
    except Exception:  # something in it cannot be copied
        return convert(np.copy, value)


def as_params(params: Any) -> Arrays:
    """Return the parameters as a dict of arrays of floats.

    Raises:
        UserError: they are none.
    """
    if not isinstance(params, Mapping) or not params:
        raise UserError(f"params is {what_is(params)}: it must be a dict, name -> array, and not empty")
    if others := [name for name in params if not isinstance(name, str)]:
        raise UserError(f"params has the name {short(repr(others[0]))}: names must be texts, as 'W'")
    arrays = {
        name: np.asarray(value if isinstance(value, np.ndarray | np.generic | int | float) else None)
        for name, value in params.items()
    }
    for name, array in arrays.items():
        if array.dtype.kind != "f":
            found = what_is(params[name]) if array.dtype.kind == "O" else f"of dtype {array.dtype}"
            raise UserError(f"params[{name!r}] is {found}: it must be a NumPy array of floats")
        if not np.isfinite(array).all() or not array.size:
            raise UserError(f"params[{name!r}] is {'not finite' if array.size else 'empty'}: pass numbers")
    return arrays


def _as_array(value: Any) -> Array:
    try:
        return np.asarray(value)
    except Exception:  # a ragged list, or an object with an opinion of its own
        return np.array(None)


def what_is(value: object) -> str:
    """Return what a value is, in a message: "None", "a list"."""
    return "None" if value is None else f"a {type(value).__name__}"
