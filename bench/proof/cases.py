"""What ``rnnbench verify`` checks: the tutorial's shape in all layouts, and the shapes where programs err.

Random data fill every component of x, whatever the layout, which is only a label there: the one that the
shape suggests. A variant that relied on the zeros of ``positional`` would fail on them.
"""

from dataclasses import replace
from itertools import product

from bench.proof.tolerance import too_small_for_float32
from bench.workload.case import ACTIVATIONS, DEFAULT_CELL, DTYPES, LAYOUTS, TASKS, Case, Shape, sine_case

# shape, layout, Huber cutoff: 0.5 puts errors on both sides of it, 0.025 all of them outside
RANDOM = (
    (Shape(T=1, B=9, I=5, H=7, O=3), "single_step", 0.5),
    (Shape(T=5, B=1, I=3, H=6, O=8), "positional", 0.025),
    (Shape(T=4, B=6, I=3, H=1, O=2), "positional", 0.5),
    (Shape(T=6, B=9, I=4, H=8, O=1), "positional", 0.5),
    (Shape(T=7, B=10, I=3, H=16, O=5), "positional", 0.5),
    (Shape(T=50, B=4, I=1, H=24, O=6), "sequence", 0.5),
    (Shape(T=500, B=2, I=1, H=12, O=8), "sequence", 0.025),
)
# the one of them that a variant which compiles is proved at: no two of its sizes are equal
ODD = RANDOM[4][0]
# for differences of the reference's own loss, a forward pass or two for every parameter
SMALL = (
    (Shape(T=1, B=3, I=2, H=4, O=2), "single_step", 0.5),
    (Shape(T=4, B=2, I=3, H=1, O=2), "positional", 0.025),
    (Shape(T=6, B=1, I=2, H=4, O=3), "positional", 0.5),
    (Shape(T=20, B=3, I=1, H=5, O=1), "sequence", 0.5),
)


def agreement_cases(cell: str = DEFAULT_CELL) -> list[Case]:
    """List every task, dtype and activation at every shape; shapes too small for float32 in float64 only."""
    cases = []
    for dtype, activation in product(DTYPES, ACTIVATIONS):
        cases += [
            sine_case(TASKS[0], layout, dtype=dtype, activation=activation, cell=cell) for layout in LAYOUTS
        ]
        cases += _random(RANDOM, dtype, activation, cell)
    cases = [case for case in cases if case.dtype == "float64" or not too_small_for_float32(case)]
    return [replace(case, task=task) for case in cases for task in TASKS]


def worth_compiling(case: Case) -> bool:
    """Return whether a variant that compiles, which takes seconds for every case, is proved on this one too.

    At the tutorial's size: the training step in every layout, and in one of them the other dtype and the
    other tasks. Then an odd shape of random data, in float64 with the sigmoid. The tests prove more.
    """
    if case.data == "random":
        return (case.shape, case.task, case.dtype, case.activation) == (
            ODD, "train_step", "float64", "sigmoid",
        )  # fmt: skip
    if case.activation != "tanh":
        return False
    if case.layout != "positional":
        return (case.task, case.dtype) == ("train_step", "float32")
    return case.task == "train_step" or case.dtype == "float32"


def reference_cases(cell: str = DEFAULT_CELL) -> list[Case]:
    """List small shapes on which the reference's gradient is checked by differences."""
    return [case for activation in ACTIVATIONS for case in _random(SMALL, "float64", activation, cell)]


def _random(
    shapes: tuple[tuple[Shape, str, float], ...], dtype: str, activation: str, cell: str
) -> list[Case]:
    return [
        Case("gradient", shape, layout, dtype, activation, data="random", delta=delta, cell=cell)
        for shape, layout, delta in shapes
    ]
