"""The work to be timed: shapes, layouts and cases. A case is equal for every variant."""

from dataclasses import dataclass, replace
from typing import Any

from bench.machine.errors import UserError

TASKS = ("train_step", "gradient", "forward")
LARGEST_SEED = 2**63 - 1  # that the files of results hold
LAYOUTS = ("positional", "sequence", "single_step")
DTYPES = ("float32", "float64")
ACTIVATIONS = ("tanh", "sigmoid")
SPLITS = ("random", "tail")
DEFAULT_CELL = "rnn"


@dataclass(frozen=True, slots=True)
class Shape:
    """What the RNN sees: T steps, batch B, I features, H hidden units, O outputs."""

    T: int
    B: int
    I: int  # noqa: E741  (the project's letter for features)
    H: int
    O: int  # noqa: E741  (and for outputs)

    @property
    def work(self) -> int:
        """Return T B H^2, to which the time of a call is about proportional where H is large."""
        return self.T * self.B * self.H**2

    def __str__(self) -> str:
        return f"T{self.T} B{self.B} I{self.I} H{self.H} O{self.O}"


@dataclass(frozen=True, slots=True)
class Case:
    """One piece of work.

    ``data`` is ``sine`` (windows of a sine wave in one of the layouts) or ``random`` (any shape).
    ``seed`` draws the data and the initial parameters, ``lr`` and ``delta`` (the Huber cutoff) are the
    training step's. ``cell`` is the name of a cell, or ``module:object`` of one's own.
    """

    task: str
    shape: Shape
    layout: str = "positional"
    dtype: str = "float32"
    activation: str = "tanh"
    data: str = "sine"
    split: str = "random"
    seed: int = 0
    lr: float = 0.1
    delta: float = 0.025
    cell: str = DEFAULT_CELL

    def __str__(self) -> str:
        cell = "" if self.cell == DEFAULT_CELL else f"{self.cell} · "
        return f"{cell}{self.task} · {self.layout} · {self.dtype} · {self.activation} · {self.shape}"

    def with_task(self, task: str) -> "Case":
        """Return the same work for another task."""
        return replace(self, task=task)


def sine_case(
    task: str,
    layout: str,
    *,
    window: int = 6,
    batch: int = 128,
    hidden: int = 32,
    outputs: int = 8,
    **others: Any,
) -> Case:
    """Make a case on sine windows; the defaults are the primer's: 6 values in, 8 out, 128 samples, H = 32.

    ``others`` are fields of the case beside its shape, as ``dtype`` and ``seed``.

    Raises:
        UserError: a size below 1.
    """
    sizes = {"seq-len": window, "batch": batch, "hidden": hidden, "outputs": outputs}
    for name, size in sizes.items():
        if size < 1:
            raise UserError(f"--{name} must be 1 or more, not {size}")
    laid_out = {"single_step": (1, window), "positional": (window, window), "sequence": (window, 1)}
    steps, features = laid_out[layout]
    shape = Shape(T=steps, B=batch, I=features, H=hidden, O=outputs)
    return Case(task, shape, layout, **others)
