"""List all built-in variants. Tests and timing use this same list, so no variant is timed without a proof.

Only this file and the cells in ``rnn``, ``gru`` and ``lstm`` refer to ``impl_numpy`` and ``impl_torch``;
``load`` imports them.
"""

import functools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import version
from operator import attrgetter
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Literal, Protocol

import msgspec

from bench.machine.errors import UserError, check_arguments, did_you_mean, place_of
from bench.machine.libraries import ACCELERATORS, NUMPY, TORCH, introduce, library
from bench.machine.wording import listing
from bench.workload.case import ACTIVATIONS, DEFAULT_CELL, DTYPES, LAYOUTS, STREAM, TASKS, Case
from bench.workload.cell import CELLS, find_cell
from bench.workload.objects import file_digest
from bench.workload.operations import Count
from bench.workload.peers.libraries import EXTRA
from bench.workload.plugins import Plugin, installed

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
        """Return the function that resets parameters to their initial values, a stream's state to zero."""

    @property
    def result(self) -> Callable[[], dict[str, Any]]:
        """Return the function for the last call's NumPy arrays: y_hat; or loss, and dp or p by parameter."""


@dataclass(frozen=True, slots=True)
class Implementation:
    """Name the code of a variant for one cell."""

    target: str  # module:attribute of its function ``bind``
    operations: str = ""  # module:function that counts the library operations of a call; empty if unknown


@dataclass(frozen=True, slots=True)
class Variant:
    """Describe one way to implement a recurrence, and the cases it supports."""

    name: str
    library: str  # name of the only library that its worker may load
    # by the name of a built-in cell, or module:object of a user's cell
    cells: Mapping[str, Implementation] = field(hash=False)
    summary: str
    devices: tuple[str, ...] = ("cpu",)  # device kinds
    tasks: tuple[str, ...] = TASKS  # unless it says so, a user's variant does not stream
    layouts: tuple[str, ...] = LAYOUTS
    dtypes: tuple[str, ...] = DTYPES
    activations: tuple[str, ...] = ACTIVATIONS
    biases: tuple[bool, ...] = (False, True)  # without, with
    lengths: tuple[bool, ...] = (False,)  # sequences of T steps each, of different lengths
    wrong_gradients: tuple[str, ...] = ()  # parameters whose published gradient is known to be wrong
    role: Role = "other"
    loops_over_batch: bool = False  # the number of library calls depends on the batch size or on H
    autograd: bool = False  # the library computes the gradient by automatic differentiation
    compiles: bool = False  # ``bind`` compiles, which needs a compiler and some seconds
    peer: bool = False  # of a library beside NumPy and PyTorch: measured on request, and never a headline
    own: bool = False  # a user's variant, not one of the catalogue
    own_library: str = ""  # module:object of a user's or a peer's library; empty for a built-in library

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
            ("cell", case.cell, tuple(self.cells)),
            ("activation", case.activation, self.activations),
        ):
            if value not in supported and (what, case.data) != ("layout", "random"):
                return f"{self.name} does not support {what} {value} (it does: {', '.join(supported)})"
        if case.bias not in self.biases:
            hint = "; set its attribute bias = True if it does, or give --no-bias" if self.own else ""
            return f"{self.name} does not support a cell {'with' if case.bias else 'without'} biases{hint}"
        if (case.shortest is not None) not in self.lengths:
            hint = "; give --lengths" if True in self.lengths else ""
            kind = "all of one length" if case.shortest is None else "of different lengths"
            return f"{self.name} does not support sequences {kind}{hint}"
        if self.peer and (reason := why_no_peer(self)):
            return reason
        if self.compiles and (reason := library(self.library).why_not_compile(device)):
            return f"{self.name} cannot compile: {reason}"
        return None

    def count(self, case: Case) -> Count | None:
        """Count the operations of one call; None of a stream, or if the variant has no counting function.

        On an accelerator ``torch-layer`` is a single call of a device library with the same matrix products.
        """
        implementation = self.cells.get(case.cell)
        if implementation is None or not implementation.operations or case.task == STREAM:
            return None
        return Count.of(resolve_name(implementation.operations)(case), case.dtype)

    def load(self, cell: str = DEFAULT_CELL) -> Callable[..., Bound]:
        """Import the variant's library and return ``bind`` for a cell, which checks arguments and result.

        The returned function raises TypeError if the variant's ``bind`` returns no ``Bound``.
        """
        library(self.library).load()  # here, since a user's variant might never import its library
        module, _, attribute = self.cells[cell].target.partition(":")
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


def _everywhere(target: str, operations: str = "") -> dict[str, Implementation]:
    """Name the code for every built-in cell: ``{}`` in the target stands for the cell's name.

    ``operations`` is the counting function in each cell's module.
    """
    return {
        cell: Implementation(target.format(cell), operations and f"bench.workload.{cell}:{operations}")
        for cell in CELLS
    }


def _rnn(target: str, operations: str = "") -> dict[str, Implementation]:
    """Name the code of a variant for the RNN alone."""
    return {DEFAULT_CELL: _everywhere(target, operations)[DEFAULT_CELL]}


def _torch(name: str, cells: Mapping[str, Implementation], summary: str, **more: Any) -> Variant:
    """Make a PyTorch variant, for the CPU and all accelerators."""
    return Variant(name, "torch", cells, summary, ("cpu", *ACCELERATORS), **more)


def _peer(
    name: str, library_name: str, cells: Mapping[str, Implementation], summary: str, **more: Any
) -> Variant:
    """Make a variant of a peer's library."""
    own = f"bench.workload.peers.libraries:{library_name.upper()}"
    return Variant(name, library_name, cells, summary, compiles=True, peer=True, own_library=own, **more)


WITH_STREAM = (*TASKS, STREAM)
# fmt: off
# measured beside VARIANTS where --peers asks for them; their libraries come with rnnbench[peers]
PEERS = (
    _peer("jax-jit", "jax", _everywhere("bench.workload.peers.jax_scan:{}"),
        "a scan over the steps, its gradient and update compiled by XLA", autograd=True, tasks=WITH_STREAM),
    _peer("numba-loop", "numba", _everywhere("bench.workload.peers.numba_loop:{}"),
        "loops over preallocated arrays, compiled; products by SciPy's BLAS", tasks=WITH_STREAM),
    _peer("onnxruntime-layer", "onnxruntime", _everywhere("bench.workload.peers.onnx_session:{}"),
        "nn.RNN, GRU or LSTM and Linear, exported from PyTorch",
        tasks=("forward",), dtypes=("float32",), activations=("tanh", "relu")),
)
# of sequences of different lengths alone: measured in place of VARIANTS where --lengths asks for them
LENGTHS = (
    Variant("numpy-masked", "numpy", _everywhere("impl_numpy.lengths:{}_masked"),
        "all steps of the whole batch, each h at its sequence's own last step",
        role="as_written", lengths=(True,)),
    Variant("numpy-packed", "numpy", _everywhere("impl_numpy.lengths:{}_packed"),
        "sorted by length, a step computes the sequences that are not over", role="fastest", lengths=(True,)),
    _torch("torch-packed", _everywhere("impl_torch.modules:{}_packed"),
        "torch-layer on packed sequences, pack_padded_sequence",
        role="as_written", autograd=True, activations=("tanh", "relu"), lengths=(True,)),
    _torch("torch-masked", _everywhere("impl_torch.modules:{}_masked"),
        "torch-layer on all steps, each h at its sequence's own last step",
        role="fastest", autograd=True, activations=("tanh", "relu"), lengths=(True,)),
)
MASKED = {"numpy-packed": "numpy-masked", "torch-packed": "torch-masked"}  # what packing replaces
VARIANTS = (
    Variant("numpy-published", "numpy", _rnn("impl_numpy.contract:rnn_published", "numpy_published"),
        "the tutorial's recursion, per sample; its gradient is known to be wrong",
        role="tutorial", loops_over_batch=True, wrong_gradients=("U", "W"), biases=(False,)),
    Variant("numpy-loop", "numpy", _everywhere("impl_numpy.contract:{}_loop", "numpy_loop"),
        "exact BPTT, one sample at a time", loops_over_batch=True),
    Variant("numpy-batched", "numpy", _everywhere("impl_numpy.contract:{}_batched", "numpy_batched"),
        "exact BPTT over the batch: the reference and the baseline", role="as_written", tasks=WITH_STREAM),
    Variant("numpy-inplace", "numpy", _everywhere("impl_numpy.{}_inplace:bind", "numpy_inplace"),
        "the same in a workspace allocated once", role="fastest", tasks=WITH_STREAM),
    _torch("torch-autograd", _everywhere("impl_torch.contract:{}_autograd", "torch_autograd"),
        "the same operations on tensors, autograd", role="plain", autograd=True, tasks=WITH_STREAM),
    _torch("torch-cell", _everywhere("impl_torch.modules:{}_cell", "torch_cell"),
        "nn.RNNCell, GRUCell or LSTMCell unrolled, Linear, HuberLoss, SGD",
        role="tutorial", autograd=True, activations=("tanh", "relu"), tasks=WITH_STREAM),
    # in float32 nn.LSTM is one call on a CPU, mkldnn_rnn_layer, whose operations cannot be counted
    _torch("torch-layer", _everywhere("impl_torch.modules:{}_layer", "torch_layer") | {
        "lstm": Implementation("impl_torch.modules:lstm_layer")},
        "nn.RNN, GRU or LSTM, Linear, HuberLoss, SGD",
        role="as_written", autograd=True, activations=("tanh", "relu"), tasks=WITH_STREAM),
    _torch("torch-manual", _everywhere("impl_torch.contract:{}_manual", "torch_manual"),
        "the hand-derived gradient on tensors: no autograd"),
    _torch("torch-inplace", _everywhere("impl_torch.{}_inplace:bind", "torch_inplace"),
        "the same in a workspace allocated once", role="fastest", tasks=WITH_STREAM),
    _torch("torch-compile", _everywhere("impl_torch.compiled:{}"),
        "loss, gradient and update as one compiled graph", role="compiled", compiles=True, tasks=WITH_STREAM),
    # on an accelerator it would wait for the device at every turn of the loop
    Variant("torch-compile-loop", "torch", _everywhere("impl_torch.compiled_loop:{}"),
        "forward as a compiled loop that compiles as fast for any T", compiles=True, tasks=("forward",)),
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
    first: str = ""  # in place of ``change`` where the rungs above do not exist for a cell


# from the tutorial's NumPy program to its PyTorch program; the last three rungs are side branches. A cell
# has those rungs whose variant and activation it has
LADDER = (
    Step(
        "numpy-published",
        "as published: one sample at a time, sigmoid, float64",
        dtype="float64",
        activation="sigmoid",
    ),
    Step("numpy-published", "tanh", dtype="float64"),
    Step("numpy-loop", "the exact gradient", dtype="float64", first="one sample at a time, float64"),
    Step(
        "numpy-batched",
        "the whole batch at once",
        dtype="float64",
        first="the whole batch at once, float64",
    ),
    Step("numpy-batched", "float32"),
    Step("torch-manual", "the same by PyTorch"),
    Step("torch-autograd", "autograd"),
    Step("torch-cell", "modules and an optimizer"),
    Step("torch-cell", "less work: 1 recurrent step instead of 6", layout="single_step"),
    Step("numpy-inplace", "a workspace allocated once", branches_from=4),
    Step("torch-inplace", "a workspace allocated once", branches_from=5),
    Step("torch-layer", "a layer: all steps in one call", branches_from=7),
)


def by_role(*roles: Role) -> tuple[Variant, ...]:
    """Return the variants of these roles that compute the whole batch at once, in the catalogue's order."""
    return tuple(v for v in VARIANTS if v.role in roles and not v.loops_over_batch)


def baseline_of(case: Case) -> str:
    """Return the variant that others are compared with on this case."""
    return find_cell(case.cell).baseline if case.shortest is None else LENGTHS[0].name


def by_name(name: str) -> Variant | None:
    """Return the catalogue's variant or peer with this name; None for others, which saved files may have."""
    return next((variant for variant in (*VARIANTS, *LENGTHS, *PEERS) if variant.name == name), None)


def counted(spec: str, case: Case) -> Count | None:
    """Count the operations of one call; None for a user's variant or without a counting function."""
    variant = by_name(spec)
    return None if variant is None else variant.count(case)


class Description(msgspec.Struct, omit_defaults=True):
    """Hold a child's answer about a user's variant: the variant, or an error message."""

    variant: Variant | None = None
    shown: tuple[str, str, str] | None = None  # label, colour and dark colour of a user's library
    error: str = ""


def listed(spec: str) -> Variant | Plugin | None:
    """Return the catalogue's variant or peer, else the plug-in, of this name; None for ``module:object``.

    Raises:
        UserError: unknown name.
    """
    if (variant := by_name(spec)) is not None:
        return variant
    if ":" in spec:
        return None
    plugins = {plugin.name: plugin for plugin in installed()}
    if spec in plugins:
        return plugins[spec]
    names = [*(variant.name for variant in (*VARIANTS, *LENGTHS, *PEERS)), *plugins]
    new_name = RENAMED.get(spec)
    suggestion = f"; it is called {new_name} now" if new_name else did_you_mean(spec, names)
    choices = f"there are: {', '.join(names)}; or module:object for your own"
    raise UserError(f"no variant {spec!r}{suggestion}; {choices}")


def find(spec: str) -> Variant:
    """Return the variant with this name in the catalogue or of a plug-in, or the user's ``module:object``.

    The object needs ``name``, ``library`` ("numpy", "torch", or ``module:object`` of a user's library) and
    ``bind``. Optional attributes are ``devices``, ``tasks``, ``layouts``, ``dtypes`` and ``activations``
    (fewer than all), another ``cell``, ``bias = True`` if it also computes a cell with biases, ``lengths =
    True`` if also sequences of different lengths, and a ``summary``. The module is imported in a child
    process, so that the user's code cannot affect this process.

    Raises:
        UserError: unknown name, module or object, or an object without a required attribute.
    """
    found = listed(spec)
    if isinstance(found, Plugin):
        return find_plugin(found)
    if found is not None and found.peer:
        shown = resolve_name(found.own_library)
        introduce(shown.name, shown.label, shown.colour, shown.dark_colour)
    return found or _describe_in_child(spec, Path.cwd())


def why_no_peer(peer: Variant) -> str | None:
    """Return what is not installed of a peer's library, and how to install it; None if it is all there."""
    reason: str | None = resolve_name(peer.own_library).missing()
    return reason


def peers(beside: Iterable[str]) -> tuple[str, ...]:
    """Return the names of all peers, to measure ``beside`` variants of NumPy and PyTorch.

    Raises:
        UserError: a library of both has no variant, so that a peer would be the answer; or the library of a
            peer is not installed: the others can be named each.
    """
    if lacking_both := {NUMPY.name, TORCH.name} - {find(spec).library for spec in beside}:
        label = library(min(lacking_both)).label
        raise UserError(f"--peers are compared with NumPy and PyTorch: give a --variant of {label} as well")
    if lacking := [peer for peer in PEERS if why_no_peer(peer)]:
        labels = listing([resolve_name(peer.own_library).label for peer in lacking])
        here = next((peer.name for peer in PEERS if peer not in lacking), "")
        other = f"; or name what is here, as --variant {here}" if here else ""
        raise UserError(f"--peers: {labels} cannot be used: {EXTRA}{other}")
    return tuple(peer.name for peer in PEERS)


def find_plugin(plugin: Plugin, *, deadline_s: float = DESCRIBING_SECONDS) -> Variant:
    """Return the variant of a plug-in, as described by a child process.

    Raises:
        UserError: another plug-in has the same name; or the entry point is malformed, its variant cannot be
            loaded, or the variant has another name.
    """
    try:
        if twins := [other.origin for other in installed() if other.name == plugin.name and other != plugin]:
            if twins[0] == plugin.origin:
                raise UserError("two entry points have this name: rename one")
            raise UserError(f"{twins[0]} has one of this name, too: rename one, or uninstall it")
        if ":" in plugin.name or ":" not in plugin.target:
            raise UserError(f'write its entry point as NAME = "module:object", not {plugin.target!r}')
        variant = _describe_in_child(plugin.target, Path.cwd(), deadline_s)
        if variant.name != plugin.name:
            raise UserError(f"its variant is called {variant.name!r}: give variant and entry point one name")
    except UserError as error:
        raise UserError(f"the plug-in {plugin.name!r} of {plugin.origin}: {error}") from None
    return variant


def plugin_versions(specs: Iterable[str]) -> dict[str, str]:
    """Return the packages whose plug-ins are among these variants, with their versions."""
    wanted = {spec for spec in specs if ":" not in spec and by_name(spec) is None}
    plugins = installed() if wanted else ()  # they are searched in all installed packages
    return {plugin.package: plugin.version for plugin in plugins if plugin.name in wanted}


def origin(spec: str) -> str:
    """Return what tells a user's code, a plug-in or a peer from that elsewhere; empty if it is not here."""
    if ":" in spec:
        return file_digest(spec)
    if peer := next((peer for peer in PEERS if peer.name == spec), None):
        return "" if why_no_peer(peer) else version(peer.library)
    return next((plugin.origin for plugin in installed() if plugin.name == spec), "")


def cell_of(specs: Sequence[str], asked: str | None = None) -> str:
    """Return the cell ``asked`` for, else the first cell that all these variants compute.

    Raises:
        UserError: no such variant or cell, or variants of different cells, which cannot be compared.
    """
    if asked is not None:
        find_cell(asked)
        return asked
    shared = list(find(specs[0]).cells if specs else CELLS)
    for spec in specs:
        cells = find(spec).cells
        if not cells.keys() & set(shared):
            raise UserError(
                f"{specs[0]} computes the cell {shared[0]}, {spec} the cell {next(iter(cells))}, which no "
                "run compares: choose variants of one cell"
            )
        shared = [cell for cell in shared if cell in cells]
    return shared[0]


def cell_settings(
    specs: Sequence[str], *, cell: str | None, bias: bool | None, activation: str | None = None
) -> dict[str, Any]:
    """Return the fields ``cell``, ``bias`` and ``activation`` of a case; None means the usual value.

    Raises:
        UserError: no such variant or cell, variants of different cells, or a cell without what is asked for.
    """
    name = cell_of(specs, cell)
    found = find_cell(name)
    activation = activation or found.activations[0]
    if activation not in found.activations:
        raise UserError(
            f"--activation {activation}: the cell {name} has no such activation; it has "
            f"{', '.join(found.activations)}"
        )
    if bias and not found.biases:
        raise UserError(f"--bias: the cell {name} has no biases; leave it out")
    return {"cell": name, "bias": found.bias if bias is None else bias, "activation": activation}


def own_libraries(specs: Iterable[str]) -> list[str]:
    """Return the user's libraries that these variants use, each once."""
    variants = map(find, specs)
    return list(dict.fromkeys(variant.library for variant in variants if variant.own_library))


@functools.cache
def _describe_in_child(spec: str, folder: Path, deadline_s: float = DESCRIBING_SECONDS) -> Variant:
    """Return a user's variant as described by a child process, cached by name and current folder."""
    from bench.machine.child import Child, ChildError  # here: workers import this module and need no child

    if "\0" in spec:
        raise UserError(f"cannot load the variant {spec!r}: it holds a zero byte")
    with Child("bench.workload.describe", [spec], os.environ, deadline_s=deadline_s) as child:
        try:
            answer: Description = child.receive(Description)
        except ChildError as error:
            outcome = f"took more than {deadline_s:g} s" if error.status == "timeout" else f"failed: {error}"
            raise UserError(
                f"cannot load the variant {spec!r}: importing it {outcome}; try it by itself: "
                f"python -c 'import {spec.partition(':')[0]}'"
            ) from None
    if answer.variant is None:
        raise UserError(answer.error)
    if answer.shown is not None:
        introduce(answer.variant.library, *answer.shown)
    return answer.variant
