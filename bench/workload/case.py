"""Describe the work to be timed: shapes, layouts and cases. A case is the same for every variant."""

from dataclasses import dataclass, replace
from typing import Any

from bench.machine.errors import UserError

TASKS = ("train_step", "gradient", "forward")
# beside them: a call is one step, of the next sample and the state that the call before left
STREAM = "stream"
WITHOUT_GRADIENT = ("forward", STREAM)
LARGEST_SEED = 2**63 - 1  # result files cannot store a larger seed
LAYOUTS = ("positional", "sequence", "single_step")
DTYPES = ("float32", "float64")
ACTIVATIONS = ("tanh", "sigmoid", "relu")
SPLITS = ("random", "tail")
DEFAULT_CELL = "rnn"


@dataclass(frozen=True, slots=True)
class Shape:
    """Hold the sizes of a net: T steps, batch B, I features, H hidden units, O outputs."""

    T: int
    B: int
    I: int  # noqa: E741  (this project writes I for features)
    H: int
    O: int  # noqa: E741  (this project writes O for outputs)

    @property
    def work(self) -> int:
        """Return T B H^2: for large H the time of a call is about proportional to this number."""
        return self.T * self.B * self.H**2

    def __str__(self) -> str:
        return f"T{self.T} B{self.B} I{self.I} H{self.H} O{self.O}"


@dataclass(frozen=True, slots=True)
class Case:
    """Describe one computation to time.

    ``data`` is ``sine`` (windows of a sine wave in one of the layouts) or ``random`` (any shape).
    ``seed`` seeds the data and the initial parameters. The training step uses ``lr`` (learning rate) and
    ``delta`` (the Huber cutoff). ``cell`` is the name of a built-in cell, or ``module:object`` of a user's
    cell; ``bias`` says whether it has biases. Of the task ``stream``, T is the number of samples: each call
    receives the next one. ``shortest`` is the length of the shortest sequence where they have different
    lengths, from there to T; y_hat is V h of each one's own last step.
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
    bias: bool = False
    shortest: int | None = None  # None: all sequences have T steps

    @property
    def lengths(self) -> str:
        """Return the shortest and the longest length as ``--lengths`` takes them, "10:100"; empty without."""
        return "" if self.shortest is None else f"{self.shortest}:{self.shape.T}"

    @property
    def size(self) -> str:
        """Return the shape, and the lengths if they differ: "T100 B64 I1 H64 O8 lengths 10:100"."""
        return f"{self.shape} lengths {self.lengths}" if self.lengths else str(self.shape)

    def __str__(self) -> str:
        cell = "" if self.cell == DEFAULT_CELL else f"{self.cell} · "
        bias = " · bias" if self.bias else ""
        return f"{cell}{self.task} · {self.layout} · {self.dtype} · {self.activation}{bias} · {self.size}"

    def with_task(self, task: str) -> "Case":
        """Return the same case with another task."""
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
    """Make a case on sine windows.

    The defaults are those of the tutorial: 6 values in, 8 out, a batch of 128 windows, H = 32.
    ``others`` are the case's other fields, for example ``dtype`` and ``seed``.

    Raises:
        UserError: a size below 1.
    """
    sizes = {"seq-len": window, "batch": batch, "hidden": hidden, "outputs": outputs}
    for name, size in sizes.items():
        if size < 1:
            raise UserError(f"--{name} must be 1 or more, not {size}")
    steps_and_features = {
        "single_step": (1, window),
        "positional": (window, window),
        "sequence": (window, 1),
    }
    steps, features = steps_and_features[layout]
    shape = Shape(T=steps, B=batch, I=features, H=hidden, O=outputs)
    return Case(task, shape, layout, **others)
