"""The one list of variants. Tests and timing iterate it, so nothing can be timed unproved.

Only this file and the cell in ``rnn`` know ``impl_numpy`` and ``impl_torch``; ``load`` imports them.
"""

import functools
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Literal, Protocol

import msgspec

from bench.machine.errors import UserError, check_arguments, did_you_mean, place_of
from bench.machine.libraries import ACCELERATORS, introduce, library
from bench.workload.case import ACTIVATIONS, DEFAULT_CELL, DTYPES, LAYOUTS, TASKS, Case
from bench.workload.operations import Count

# of all that computes a cell: how each library is usually written; a candidate for its fastest form; one of
# the tutorial's own programs; the reference's plain operations; compiled code; or one for its own sake
Role = Literal["as_written", "fastest", "tutorial", "plain", "compiled", "other"]
DESCRIBING_SECONDS = 60  # a first import of torch from a slow disk can take most of a minute


class Bound(Protocol):
    """A task bound to its arrays, which every call reads anew; ``call`` alone is timed.

    One whose library cannot have numbers written into its arrays has ``feed(x, y)`` as well: it gets NumPy
    arrays, and copies them to where its calls read.
    """

    @property
    def call(self) -> Callable[[], object]:
        """Does the work, without waiting for the device."""

    @property
    def reset(self) -> Callable[[], None]:
        """Puts the parameters back to the start."""

    @property
    def result(self) -> Callable[[], dict[str, Any]]:
        """Returns NumPy arrays of the last call: y_hat; loss and dU dW dV; or loss and U W V."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One implementation of the recurrence, and what it supports."""

    name: str
    library: str  # the name of the one that its worker may load
    target: str  # module:attribute of its bind
    summary: str
    devices: tuple[str, ...] = ("cpu",)  # device kinds
    tasks: tuple[str, ...] = TASKS
    layouts: tuple[str, ...] = LAYOUTS
    dtypes: tuple[str, ...] = DTYPES
    activations: tuple[str, ...] = ACTIVATIONS
    cell: str = DEFAULT_CELL  # the name of a cell, or module:object of one's own
    wrong_gradients: tuple[str, ...] = ()  # parameters whose published gradient is known to be wrong
    role: Role = "other"
    operations: str = ""  # module:function that counts what a call asks its library for, if anybody has
    loops_over_batch: bool = False  # how many calls it makes of its library depends on the batch, or on H
    autograd: bool = False  # its gradient is its library's, by automatic differentiation
    compiles: bool = False  # its bind compiles: it needs a compiler, and seconds
    own: bool = False  # of the user's own, not of the catalogue
    own_library: str = ""  # module:object of its library, where that is the user's own

    @property
    def alone(self) -> bool:
        """Return whether it needs a worker of its own: it compiles, or may do anything to its process."""
        return self.compiles or self.own

    @property
    def known_wrong(self) -> bool:
        """Return whether its gradient is known to be wrong."""
        return bool(self.wrong_gradients)

    def unsupported(self, case: Case, device: str) -> str | None:
        """Return why this variant cannot run the case on the device, or None where it can."""
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
        """Count what one call does; None where nobody has written a formula.

        On an accelerator ``torch-rnn`` is one call of a library of the device, which makes the same products.
        """
        if not self.operations:
            return None
        return Count.of(resolve_name(self.operations)(case), case.dtype)

    def load(self) -> Callable[..., Bound]:
        """Import the variant's library and return its ``bind``, which raises where it makes no ``Bound``."""
        library(self.library).load()  # a variant of one's own may not import what it says it uses
        own = resolve_name(self.target)

        def bind(*arrays: Any, **options: Any) -> Bound:
            check_arguments(own, *arrays, **options)
            bound: Bound = own(*arrays, **options)
            parts: dict[str, Any] = {name: getattr(bound, name, None) for name in ("call", "reset", "result")}
            if lacks := ", ".join(name for name, function in parts.items() if not callable(function)):
                kind = f"{type(bound).__name__}, not a Bound: it has no function {lacks}"
                raise TypeError(f"bind returned {kind}{place_of(own)}")
            for function in parts.values():
                check_arguments(function)
            return bound

        return bind


def _torch(name: str, target: str, summary: str, **more: Any) -> Variant:
    return Variant(name, "torch", f"impl_torch.{target}", summary, ("cpu", *ACCELERATORS), **more)


def _counted(function: str) -> str:
    return f"bench.workload.rnn:{function}"


# fmt: off
VARIANTS = (
    Variant("numpy-published", "numpy", "impl_numpy.contract:published",
        "the tutorial's recursion, per sample; its gradient is known to be wrong",
        role="tutorial", loops_over_batch=True, wrong_gradients=("U", "W"),
        operations=_counted("numpy_published")),
    Variant("numpy-loop", "numpy", "impl_numpy.contract:loop",
        "exact BPTT, one sample at a time",
        loops_over_batch=True, operations=_counted("numpy_loop")),
    Variant("numpy-batched", "numpy", "impl_numpy.contract:batched",
        "exact BPTT over the batch: the reference and the baseline",
        role="as_written", operations=_counted("numpy_batched")),
    Variant("numpy-inplace", "numpy", "impl_numpy.inplace:bind",
        "the same in a workspace allocated once",
        role="fastest", operations=_counted("numpy_inplace")),
    _torch("torch-autograd", "contract:autograd",
        "the same operations on tensors, autograd",
        role="plain", autograd=True, operations=_counted("torch_autograd")),
    _torch("torch-cell", "modules:cell",
        "nn.RNNCell unrolled, Linear, HuberLoss, SGD",
        role="tutorial", autograd=True, activations=("tanh",), operations=_counted("torch_cell")),
    _torch("torch-rnn", "modules:rnn",
        "nn.RNN, Linear, HuberLoss, SGD",
        role="as_written", autograd=True, activations=("tanh",), operations=_counted("torch_rnn")),
    _torch("torch-manual", "contract:manual",
        "the hand-derived gradient on tensors: no autograd",
        operations=_counted("torch_manual")),
    _torch("torch-inplace", "inplace:bind",
        "the same in a workspace allocated once",
        role="fastest", operations=_counted("torch_inplace")),
    _torch("torch-compile", "compiled:bind",
        "loss, gradient and update as one compiled graph",
        role="compiled", compiles=True),
)
# fmt: on
BASELINE = "numpy-batched"


@dataclass(frozen=True, slots=True)
class Step:
    """A rung of the ladder: a variant on the tutorial's training step, and what changed from the rung above.

    The case is that of ``sine_case`` but for what is given here.
    """

    variant: str
    change: str
    dtype: str = "float32"
    activation: str = "tanh"
    layout: str = "positional"
    branches_from: int | None = None  # the place of the rung above, where that is no neighbour: a branch


# from the tutorial's NumPy program to its PyTorch program; then what lies on no way from one to the other
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
    Step("torch-rnn", "nn.RNN: all steps in one call", branches_from=7),
)


def by_role(*roles: Role) -> tuple[Variant, ...]:
    """Return the variants of these roles that take the whole batch at once, in the catalogue's order."""
    return tuple(v for v in VARIANTS if v.role in roles and not v.loops_over_batch)


def by_name(name: str) -> Variant | None:
    """Return the catalogue's variant of this name; None for any other, as saved files may hold."""
    return next((variant for variant in VARIANTS if variant.name == name), None)


def counted(spec: str, case: Case) -> Count | None:
    """Count what one call of a variant of the catalogue does; None for others, and without a formula."""
    variant = by_name(spec)
    return None if variant is None else variant.count(case)


class Description(msgspec.Struct, omit_defaults=True):
    """A child's answer about a user's own variant: the variant, or why it is none."""

    variant: Variant | None = None
    shown: tuple[str, str, str] | None = None  # label, colour and dark colour of a library of the user's own
    error: str = ""


def listed(spec: str) -> Variant | None:
    """Return the variant of a name in the catalogue; None for ``module:object``.

    Raises:
        UserError: unknown name.
    """
    if (variant := by_name(spec)) is not None:
        return variant
    if ":" not in spec:
        names = [variant.name for variant in VARIANTS]
        near = did_you_mean(spec, names)
        there_are = f"there are: {', '.join(names)}; or module:object for your own"
        raise UserError(f"no variant {spec!r}{near}; {there_are}")
    return None


def find(spec: str) -> Variant:
    """Return the variant of a name in the catalogue, or of ``module:object`` for one of the user's own.

    The object needs ``name``, ``library`` ("numpy", "torch", or ``module:object`` of one's own) and ``bind``;
    it may narrow ``devices``, ``tasks``, ``layouts``, ``dtypes`` and ``activations``, compute another
    ``cell``, and say more in ``summary``. Its module is imported in a child process, so that whatever it does
    is done there.

    Raises:
        UserError: unknown name, module or object, or an object without what is needed.
    """
    return listed(spec) or _described(spec, Path.cwd())


def cell_of(specs: Iterable[str]) -> str:
    """Return the cell that all these variants compute; the RNN where there are none.

    Raises:
        UserError: no such variant, or they compute different cells, which cannot be compared.
    """
    cells = {find(spec).cell: spec for spec in specs}
    if len(cells) > 1:
        (cell, variant), (other_cell, other) = list(cells.items())[:2]
        raise UserError(
            f"{variant} computes the cell {cell}, {other} the cell {other_cell}, which no run compares: "
            "choose variants of one cell"
        )
    return next(iter(cells), DEFAULT_CELL)


def own_libraries(specs: Iterable[str]) -> list[str]:
    """Return the libraries of these variants that are somebody's own, each once."""
    variants = map(find, specs)
    return list(dict.fromkeys(variant.library for variant in variants if variant.own_library))


@functools.cache
def _described(spec: str, folder: Path) -> Variant:
    """Ask a child, once for each place where the user stands."""
    from bench.machine.child import Child, ChildError  # workers, which import this module too, start no child

    if "\0" in spec:
        raise UserError(f"cannot load the variant {spec!r}: it holds a zero byte")
    with Child("bench.workload.own", [spec], os.environ, deadline_s=DESCRIBING_SECONDS) as child:
        try:
            answer: Description = child.receive(Description)
        except ChildError as error:
            how = (
                f"took more than {DESCRIBING_SECONDS} s" if error.status == "timeout" else f"failed: {error}"
            )
            raise UserError(
                f"cannot load the variant {spec!r}: importing it {how}; try it by itself: "
                f"python -c 'import {spec.partition(':')[0]}'"
            ) from None
    if answer.variant is None:
        raise UserError(answer.error)
    if answer.shown is not None:
        introduce(answer.variant.library, *answer.shown)
    return answer.variant
