"""Hold what the sealed sets of wrong gradients share: labels, and how edits of a source make a function.

The sets themselves, sealed_a.py and sealed_b.py, are written before the diagnosis and without it; whoever
writes the diagnosis does not open them. sealed_nets.py holds the right nets whose sources they edit.
"""

import inspect
import itertools
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import impl_numpy
from bench.gradients.finding import Kind

Edit = tuple[str, str]  # old, which occurs once, and new
LossAndGrads = Callable[..., tuple[Any, dict[str, Any]]]
FOLDER = Path(impl_numpy.__file__).parent


@dataclass(frozen=True)
class Wrong:
    """Hold a function with wrong gradients, and what a right diagnosis of it says.

    Attributes:
        name: unique within a set.
        cell: "rnn", "gru" or "lstm", whose parameters ``function`` takes; else the name of a net.
        kinds: the kinds that a careful teacher would call right; empty where nothing may be named.
        lines: left sides of the reference's line in which the mistake is, any of them; empty where no
            line can be meant.
        function: of (params, x, y, delta=...) for a cell, of (params, *data) for a net.
        edits: of the reference's source; empty for others.
    """

    name: str
    cell: str
    kinds: frozenset[Kind]
    lines: tuple[str, ...]
    function: LossAndGrads
    edits: tuple[Edit, ...] = ()


def applied(source: str, edits: Sequence[Edit]) -> str:
    """Return a source with its edits; ``ValueError`` where one does not fit."""
    for old, new in edits:
        if source.count(old) != 1:
            raise ValueError(f"{old!r} occurs {source.count(old)} times")
        source = source.replace(old, new)
    return source


def edited(cell: str, edits: Sequence[Edit]) -> LossAndGrads:
    """Return ``loss_and_grads`` of a cell's reference with edits of its source."""
    before, name, after = (FOLDER / f"{cell}.py").read_text(encoding="utf-8").partition("def loss_and_grads")
    source = before + name + applied(after, edits)
    module = ModuleType(f"wrong_{cell}")
    exec(compile(source, f"{cell}.py with {edits}", "exec"), module.__dict__)
    return module.loss_and_grads


def changed_function(function: LossAndGrads, edits: Sequence[Edit]) -> LossAndGrads:
    """Return a function with edits of its own source."""
    source = applied(textwrap.dedent(inspect.getsource(function)), edits)
    names = dict(function.__globals__)
    exec(compile(source, f"{function.__name__} with {edits}", "exec"), names)
    return names[function.__name__]


def single(cell: str, name: str, kinds: str, lines: str, *edits: Edit) -> Wrong:
    """Return a mistake as edits of a reference; kinds and lines are names with spaces between."""
    return labelled(f"{cell}: {name}", cell, kinds, lines, edited(cell, edits), edits)


def labelled(
    name: str, cell: str, kinds: str, lines: str, function: LossAndGrads, edits: tuple[Edit, ...] = ()
) -> Wrong:
    """Return a wrong gradient with the labels in these texts."""
    return Wrong(
        name, cell, frozenset(Kind[kind] for kind in kinds.split()), tuple(lines.split()), function, edits
    )


def wrong(cell: str, name: str, *edits: Edit) -> Wrong:
    """Return an edit that is no mistake anyone knows: nothing may be named."""
    return single(cell, name, "", "", *edits)


def student(cell: str, function: LossAndGrads, name: str, kinds: str, lines: str, *edits: Edit) -> Wrong:
    """Return a mistake as edits of a function that somebody else wrote."""
    title = f"{function.__name__}: {name}"
    return labelled(title, cell, kinds, lines, changed_function(function, edits))


def net(function: LossAndGrads, name: str, kinds: str, *edits: Edit) -> Wrong:
    """Return a mistake in another architecture."""
    return student(function.__name__, function, name, kinds, "", *edits)


def pairs(singles: Iterable[Wrong], count: int, seed: int) -> list[Wrong]:
    """Return two mistakes of a cell at once, drawn by a seed; what fits either of the two is right."""
    generator = np.random.default_rng(seed)
    every = [pair for pair in itertools.combinations(singles, 2) if pair[0].cell == pair[1].cell]
    found: list[Wrong] = []
    for number in generator.permutation(len(every)):
        one, other = every[number]
        try:
            function = edited(one.cell, one.edits + other.edits)
        except ValueError:  # both change one line
            continue
        name = f"{one.name} AND {other.name.partition(': ')[2]}"
        lines = one.lines + other.lines if one.lines and other.lines else ()
        found.append(Wrong(name, one.cell, one.kinds | other.kinds, lines, function, one.edits + other.edits))
        if len(found) == count:
            break
    return found


def rounded(cell: str, seed: int) -> Wrong:
    """Return a right gradient, summed over the samples in another order, with noise of rounding: 1e-13."""
    exact = edited(cell, ())

    def function(params: Any, x: Any, y: Any, delta: float = np.inf) -> tuple[Any, dict[str, Any]]:
        generator = np.random.default_rng(seed)
        order = generator.permutation(len(y))
        parts = [exact(params, x[:, n : n + 1], y[n : n + 1], delta=delta) for n in order]
        sums = {name: sum(grads[name] for _, grads in parts) / len(y) for name in params}
        return sum(loss for loss, _ in parts) / len(y), {
            name: grad * (1 + 1e-13 * generator.standard_normal(grad.shape)) for name, grad in sums.items()
        }

    return Wrong(f"{cell}: right, order and noise {seed}", cell, frozenset(), (), function)


def with_noise(cell: str, parameter: str, size: float, seed: int) -> Wrong:
    """Return a gradient with noise of a relative size added to one parameter."""
    exact = edited(cell, ())

    def function(params: Any, x: Any, y: Any, delta: float = np.inf) -> tuple[Any, dict[str, Any]]:
        loss, grads = exact(params, x, y, delta=delta)
        noise = np.random.default_rng(seed).standard_normal(grads[parameter].shape)
        return loss, grads | {parameter: grads[parameter] + size * np.abs(grads[parameter]).max() * noise}

    return Wrong(f"{cell}: noise {size} on {parameter} {seed}", cell, frozenset(), (), function)
