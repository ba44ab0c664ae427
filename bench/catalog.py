"""The one list of variants. Tests and timing iterate it, so nothing can be timed unproved.

The only file that knows ``impl_numpy`` and ``impl_torch``, and it imports them only in ``load``.
"""

import importlib
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from bench.case import ACTIVATIONS, DTYPES, LAYOUTS, TASKS, Case
from bench.errors import UserError, describe_error, did_you_mean
from bench.toolchain import why_not_compile

ACCELERATORS = ("cuda", "mps", "xpu")


class Bound(Protocol):
    """A task bound to its arrays. ``call`` alone is timed; a torch one also tells its ``device``."""

    @property
    def call(self) -> Callable[[], object]:
        """The work, without waiting for the device."""

    @property
    def reset(self) -> Callable[[], None]:
        """Parameters back to the start."""

    @property
    def result(self) -> Callable[[], dict[str, Any]]:
        """NumPy arrays of the last call: y_hat; loss dU dW dV; or loss U W V."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One implementation of the recurrence, and what it supports."""

    name: str
    library: str  # numpy or torch: decides which library its worker may load
    target: str  # module:attribute of its bind
    summary: str
    devices: tuple[str, ...] = ("cpu",)  # device kinds
    tasks: tuple[str, ...] = TASKS
    layouts: tuple[str, ...] = LAYOUTS
    dtypes: tuple[str, ...] = DTYPES
    activations: tuple[str, ...] = ACTIVATIONS
    known_wrong: bool = False  # a published gradient that is known to be wrong for T > 1
    compiles: bool = False  # its bind compiles: it needs a compiler, and seconds

    def unsupported(self, case: Case, device: str) -> str | None:
        """Why this variant cannot run the case on the device, or None where it can."""
        kind = device.partition(":")[0]
        for what, value, supported in (
            ("device", kind, self.devices),
            ("task", case.task, self.tasks),
            ("layout", case.layout, self.layouts),
            ("dtype", case.dtype, self.dtypes),
            ("activation", case.activation, self.activations),
        ):
            if value not in supported and (what, case.data) != ("layout", "random"):
                return f"{self.name} does not support {what} {value} (it does: {', '.join(supported)})"
        if self.compiles and (reason := why_not_compile(device)):
            return f"{self.name} cannot compile: {reason}"
        return None

    def load(self) -> Callable[..., Bound]:
        """Import the variant's library and return its ``bind``, which raises where it makes no ``Bound``."""
        module, _, attribute = self.target.partition(":")
        own = attrgetter(attribute)(importlib.import_module(module))

        def bind(*arrays: Any, **options: Any) -> Bound:
            bound: Bound = own(*arrays, **options)
            lacks = [name for name in ("call", "reset", "result") if not callable(getattr(bound, name, None))]
            if lacks:
                kind = type(bound).__name__
                raise TypeError(f"bind returned {kind}, not a Bound: it has no function {', '.join(lacks)}")
            return bound

        return bind


def _torch(name: str, target: str, summary: str, **limits: Any) -> Variant:
    return Variant(name, "torch", f"impl_torch.{target}", summary, ("cpu", *ACCELERATORS), **limits)


# fmt: off
VARIANTS = (
    Variant("numpy-published", "numpy", "impl_numpy.contract:published", "the tutorial's recursion, per sample; its gradient is known to be wrong", known_wrong=True),  # noqa: E501
    Variant("numpy-loop", "numpy", "impl_numpy.contract:loop", "exact BPTT, one sample at a time"),
    Variant("numpy-batched", "numpy", "impl_numpy.contract:batched", "exact BPTT over the batch: the reference and the baseline"),  # noqa: E501
    Variant("numpy-inplace", "numpy", "impl_numpy.inplace:bind", "the same in a workspace allocated once"),
    _torch("torch-autograd", "contract:autograd", "the same operations on tensors, autograd"),
    _torch("torch-cell", "modules:cell", "nn.RNNCell unrolled, Linear, HuberLoss, SGD", activations=("tanh",)),  # noqa: E501
    _torch("torch-rnn", "modules:rnn", "nn.RNN, Linear, HuberLoss, SGD", activations=("tanh",)),
    _torch("torch-manual", "contract:manual", "the hand-derived gradient on tensors: no autograd"),
    _torch("torch-inplace", "inplace:bind", "the same in a workspace allocated once"),
    _torch("torch-compile", "compiled:bind", "loss, gradient and update as one compiled graph", compiles=True),  # noqa: E501
)
# fmt: on
BASELINE = "numpy-batched"


def find(spec: str) -> Variant:
    """The variant of a name in the catalogue, or of ``module:object`` for one of the user's own.

    The object needs ``name``, ``library`` ("numpy" or "torch") and ``bind``; it may narrow ``devices``,
    ``tasks``, ``layouts``, ``dtypes`` and ``activations``, and say more in ``summary``.

    Raises:
        UserError: unknown name, module or object, or an object without what is needed.
    """
    for variant in VARIANTS:
        if variant.name == spec:
            return variant
    if ":" not in spec:
        names = ", ".join(variant.name for variant in VARIANTS)
        near = did_you_mean(spec, (variant.name for variant in VARIANTS))
        raise UserError(f"no variant {spec!r}{near}; there are: {names}; or module:object for your own")

    module_name, _, attribute = spec.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # the installed command does not look where the user stands
    try:
        own = attrgetter(attribute)(importlib.import_module(module_name))
    except Exception as error:  # importing runs the user's own code, which may raise anything
        reason = describe_error(error, module_name)
        if isinstance(error, AttributeError) and module_name in sys.modules:
            reason += did_you_mean(attribute, vars(sys.modules[module_name]))
        raise UserError(f"cannot load the variant {spec!r}: {reason}") from error
    missing = [needed for needed in ("name", "library", "bind") if not hasattr(own, needed)]
    if missing:
        raise UserError(f"{spec!r} is no variant: it lacks {', '.join(missing)}")
    if own.library not in ("numpy", "torch"):
        raise UserError(f"{spec!r}: library must be 'numpy' or 'torch', not {own.library!r}")
    if any(variant.name == own.name for variant in VARIANTS):
        raise UserError(f"{spec!r}: the name {own.name!r} is taken; choose another")
    optional = ("devices", "tasks", "layouts", "dtypes", "activations")
    limits: dict[str, Any] = {name: _names(getattr(own, name)) for name in optional if hasattr(own, name)}
    summary = getattr(own, "summary", "your own")
    return Variant(own.name, own.library, f"{module_name}:{attribute}.bind", summary, **limits)


def _names(value: str | Iterable[str]) -> tuple[str, ...]:
    """One name or several, as a tuple: in a bare string every part of a name would count as a name."""
    return (value,) if isinstance(value, str) else tuple(value)


def reference(library: str) -> ModuleType:
    """The module that holds the reference contract of ``numpy`` or ``torch``."""
    return importlib.import_module(f"impl_{library}.rnn")
