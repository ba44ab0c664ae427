"""List all built-in variants. Tests and timing use this same list, so no variant is timed without a proof.

Only this file and the cell in ``rnn`` refer to ``impl_numpy`` and ``impl_torch``; ``load`` imports them.
"""

import functools
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Literal, Protocol

import msgspec

from bench.machine.errors import UserError, check_arguments, did_you_mean, place_of
from bench.machine.libraries import ACCELERATORS, introduce, library
from bench.workload.case import ACTIVATIONS, DEFAULT_CELL, DTYPES, LAYOUTS, TASKS, Case
from bench.workload.operations import Count

# as_written: the usual way to write the cell in this library; fastest: a candidate for the library's fastest
# form; tutorial: a program of the tutorial; plain: the reference's operations; compiled: compiled code;
# other: any other variant
Role = Literal["as_written", "fastest", "tutorial", "plain", "compiled", "other"]
DESCRIBING_SECONDS = 60  # a first import of torch from a slow disk can take most of a minute


class Bound(Protocol):
    """Define what ``bind`` returns: a task bound to its arrays; only ``call`` is timed.

    Every call must read the arrays again. If the harness cannot write into the library's arrays, the object
    also has ``feed(x, y)``, which receives NumPy arrays and copies them to the inputs of the next calls.
    """

    @property
    def call(self) -> Callable[[], object]:
        """Return the function that runs the task, without waiting for the device."""

    @property
    def reset(self) -> Callable[[], None]:
        """Return the function that resets the parameters to their initial values."""

    @property
    def result(self) -> Callable[[], dict[str, Any]]:
        """Return the function for the last call's NumPy arrays: y_hat; loss, dU, dW, dV; or loss, U, W, V."""


@dataclass(frozen=True, slots=True)
class Variant:
    """Describe one implementation of the recurrence, and the cases it supports."""

    name: str
    library: str  # name of the only library that its worker may load
    target: str  # module:attribute of its function ``bind``
    summary: str
    devices: tuple[str, ...] = ("cpu",)  # device kinds
    tasks: tuple[str, ...] = TASKS
    layouts: tuple[str, ...] = LAYOUTS
    dtypes: tuple[str, ...] = DTYPES
    activations: tuple[str, ...] = ACTIVATIONS
    cell: str = DEFAULT_CELL  # the name of a built-in cell, or module:object of a user's cell
    wrong_gradients: tuple[str, ...] = ()  # parameters whose published gradient is known to be wrong
    role: Role = "other"
    operations: str = ""  # module:function that counts the library operations of a call; empty if unknown
    loops_over_batch: bool = False  # the number of library calls depends on the batch size or on H
    autograd: bool = False  # the library computes the gradient by automatic differentiation
    compiles: bool = False  # ``bind`` compiles, which needs a compiler and some seconds
    own: bool = False  # a user's variant, not one of the catalogue
    own_library: str = ""  # module:object of a user's library; empty for a built-in library

    @property
    def alone(self) -> bool:
        """Return whether the variant needs a separate worker: compiled code, or any code of a user."""
        return self.compiles or self.own

    @property
    def known_wrong(self) -> bool:
        """Return whether the variant's gradient is known to be wrong."""
        return bool(self.wrong_gradients)

    def unsupported(self, case: Case, device: str) -> str | None:
        """Return why this variant cannot run the case on the device, or None if the case is supported."""
        kind = device.partition(":")[0]
        for what, value, supported in (
            ("device", kind, self.devices),
            ("task", case.task, self.tasks),
            ("layout", case.layout, self.layouts),
            ("dtype", case.dtype, self.dtypes),
            ("activation", case.activation, self.activations),
            ("cell", case.cell, (self.cell,)),
        ):
            if value not in supported and (what, case.data) != ("layout", "random"):
                return f"{self.name} does not support {what} {value} (it does: {', '.join(supported)})"
        if self.compiles and (reason := library(self.library).why_not_compile(device)):
            return f"{self.name} cannot compile: {reason}"
        return None

    def count(self, case: Case) -> Count | None:
        """Count the operations of one call; None if the variant has no counting function.

        On an accelerator ``torch-layer`` is a single call of a device library with the same matrix products.
        """
        if not self.operations:
            return None
        return Count.of(resolve_name(self.operations)(case), case.dtype)

    def load(self) -> Callable[..., Bound]:
        """Import the variant's library and return ``bind``, with checks of its arguments and its result.

        The returned function raises TypeError if the variant's ``bind`` returns no ``Bound``.
        """
        library(self.library).load()  # here, since a user's variant might never import its library
        module, _, attribute = self.target.partition(":")
        variant_bind = attrgetter(attribute)(import_module(module))  # any file name, as in `01-fast:mine`

        def bind(*arrays: Any, **options: Any) -> Bound:
            check_arguments(variant_bind, *arrays, **options)
            bound: Bound = variant_bind(*arrays, **options)
            functions: dict[str, Any] = {
                name: getattr(bound, name, None) for name in ("call", "reset", "result")
            }
            if missing := ", ".join(name for name, function in functions.items() if not callable(function)):
                kind = f"{type(bound).__name__}, not a Bound: it has no function {missing}"
                raise TypeError(f"bind returned {kind}{place_of(variant_bind)}")
            for function in functions.values():
                check_arguments(function)
            return bound

        return bind


def _torch(name: str, target: str, summary: str, **more: Any) -> Variant:
    """Make a PyTorch variant, for the CPU and all accelerators."""
    return Variant(name, "torch", f"impl_torch.{target}", summary, ("cpu", *ACCELERATORS), **more)


def _counted_by(function: str) -> str:
    """Return ``module:function`` of a counting function in ``bench.workload.rnn``."""
    return f"bench.workload.rnn:{function}"


# fmt: off
VARIANTS = (
    Variant("numpy-published", "numpy", "impl_numpy.contract:published",
        "the tutorial's recursion, per sample; its gradient is known to be wrong",
        role="tutorial", loops_over_batch=True, wrong_gradients=("U", "W"),
        operations=_counted_by("numpy_published")),
    Variant("numpy-loop", "numpy", "impl_numpy.contract:loop",
        "exact BPTT, one sample at a time",
        loops_over_batch=True, operations=_counted_by("numpy_loop")),
    Variant("numpy-batched", "numpy", "impl_numpy.contract:batched",
        "exact BPTT over the batch: the reference and the baseline",
        role="as_written", operations=_counted_by("numpy_batched")),
    Variant("numpy-inplace", "numpy", "impl_numpy.inplace:bind",
        "the same in a workspace allocated once",
        role="fastest", operations=_counted_by("numpy_inplace")),
    _torch("torch-autograd", "contract:autograd",
        "the same operations on tensors, autograd",
        role="plain", autograd=True, operations=_counted_by("torch_autograd")),
    _torch("torch-cell", "modules:cell",
        "nn.RNNCell unrolled, Linear, HuberLoss, SGD",
        role="tutorial", autograd=True, activations=("tanh",), operations=_counted_by("torch_cell")),
    _torch("torch-layer", "modules:layer",
        "nn.RNN, Linear, HuberLoss, SGD",
        role="as_written", autograd=True, activations=("tanh",), operations=_counted_by("torch_layer")),
    _torch("torch-manual", "contract:manual",
        "the hand-derived gradient on tensors: no autograd",
        operations=_counted_by("torch_manual")),
    _torch("torch-inplace", "inplace:bind",
        "the same in a workspace allocated once",
        role="fastest", operations=_counted_by("torch_inplace")),
    _torch("torch-compile", "compiled:bind",
        "loss, gradient and update as one compiled graph",
        role="compiled", compiles=True),
)
# fmt: on
BASELINE = "numpy-batched"
RENAMED = {"torch-rnn": "torch-layer"}  # a name holds for every cell


@dataclass(frozen=True, slots=True)
class Step:
    """Describe a rung of the ladder: a variant on the tutorial's training step.

    ``change`` names the difference from the rung above. The case is the default ``sine_case`` with the
    dtype, activation and layout of this rung.
    """

    variant: str
    change: str
    dtype: str = "float32"
    activation: str = "tanh"
    layout: str = "positional"
    branches_from: int | None = None  # a side branch: index of the rung to compare with; None: the rung above


# from the tutorial's NumPy program to its PyTorch program; the last three rungs are side branches
LADDER = (
    Step(
        "numpy-published",
        "as published: one sample at a time, sigmoid, float64",
        dtype="float64",
        activation="sigmoid",
    ),
    Step("numpy-published", "tanh", dtype="float64"),
    Step("numpy-loop", "the exact gradient", dtype="float64"),
    Step("numpy-batched", "the whole batch at once", dtype="float64"),
    Step("numpy-batched", "float32"),
    Step("torch-manual", "the same by PyTorch"),
    Step("torch-autograd", "autograd"),
    Step("torch-cell", "modules and an optimizer"),
    Step("torch-cell", "less work: 1 recurrent step instead of 6", layout="single_step"),
    Step("numpy-inplace", "a workspace allocated once", branches_from=4),
    Step("torch-inplace", "a workspace allocated once", branches_from=5),
    Step("torch-layer", "nn.RNN: all steps in one call", branches_from=7),
)


def by_role(*roles: Role) -> tuple[Variant, ...]:
    """Return the variants of these roles that compute the whole batch at once, in the catalogue's order."""
    return tuple(v for v in VARIANTS if v.role in roles and not v.loops_over_batch)


def by_name(name: str) -> Variant | None:
    """Return the catalogue's variant with this name; None for other names, which saved files may contain."""
    return next((variant for variant in VARIANTS if variant.name == name), None)


def counted(spec: str, case: Case) -> Count | None:
    """Count the operations of one call; None for a user's variant or without a counting function."""
    variant = by_name(spec)
    return None if variant is None else variant.count(case)


class Description(msgspec.Struct, omit_defaults=True):
    """Hold a child's answer about a user's variant: the variant, or an error message."""

    variant: Variant | None = None
    shown: tuple[str, str, str] | None = None  # label, colour and dark colour of a user's library
    error: str = ""


def listed(spec: str) -> Variant | None:
    """Return the catalogue's variant with this name; None for ``module:object``.

    Raises:
        UserError: unknown name.
    """
    if (variant := by_name(spec)) is not None:
        return variant
    if ":" not in spec:
        names = [variant.name for variant in VARIANTS]
        new_name = RENAMED.get(spec)
        suggestion = f"; it is called {new_name} now" if new_name else did_you_mean(spec, names)
        choices = f"there are: {', '.join(names)}; or module:object for your own"
        raise UserError(f"no variant {spec!r}{suggestion}; {choices}")
    return None


def find(spec: str) -> Variant:
    """Return the catalogue's variant with this name, or the user's variant ``module:object``.

    The object needs ``name``, ``library`` ("numpy", "torch", or ``module:object`` of a user's library) and
    ``bind``. Optional attributes are ``devices``, ``tasks``, ``layouts``, ``dtypes`` and ``activations``
    (fewer than all), another ``cell``, and a ``summary``. The module is imported in a child process, so that
    the user's code cannot affect this process.

    Raises:
        UserError: unknown name, module or object, or an object without a required attribute.
    """
    return listed(spec) or _describe_in_child(spec, Path.cwd())


def cell_of(specs: Iterable[str]) -> str:
    """Return the cell that all these variants compute; for no variants, the RNN.

    Raises:
        UserError: no such variant, or variants of different cells, which cannot be compared.
    """
    cells = {find(spec).cell: spec for spec in specs}
    if len(cells) > 1:
        (cell, variant), (other_cell, other_variant) = list(cells.items())[:2]
        raise UserError(
            f"{variant} computes the cell {cell}, {other_variant} the cell {other_cell}, which no run "
            "compares: choose variants of one cell"
        )
    return next(iter(cells), DEFAULT_CELL)


def own_libraries(specs: Iterable[str]) -> list[str]:
    """Return the user's libraries that these variants use, each once."""
    variants = map(find, specs)
    return list(dict.fromkeys(variant.library for variant in variants if variant.own_library))


@functools.cache
def _describe_in_child(spec: str, folder: Path) -> Variant:
    """Return a user's variant as described by a child process, cached by name and current folder."""
    from bench.machine.child import Child, ChildError  # here: workers import this module and need no child

    if "\0" in spec:
        raise UserError(f"cannot load the variant {spec!r}: it holds a zero byte")
    with Child("bench.workload.describe", [spec], os.environ, deadline_s=DESCRIBING_SECONDS) as child:
        try:
            answer: Description = child.receive(Description)
        except ChildError as error:
            outcome = (
                f"took more than {DESCRIBING_SECONDS} s" if error.status == "timeout" else f"failed: {error}"
            )
            raise UserError(
                f"cannot load the variant {spec!r}: importing it {outcome}; try it by itself: "
                f"python -c 'import {spec.partition(':')[0]}'"
            ) from None
    if answer.variant is None:
        raise UserError(answer.error)
    if answer.shown is not None:
        introduce(answer.variant.library, *answer.shown)
    return answer.variant
