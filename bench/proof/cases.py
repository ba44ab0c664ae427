"""List the cases of ``rnnbench verify``: the tutorial's shape in all layouts, and shapes prone to errors.

Random data fill every component of x; their layout is only a label that fits the shape. A variant that
relied on the zeros of ``positional`` would fail on random data.
"""

from dataclasses import replace
from itertools import product
from typing import Any

from bench.proof.tolerance import too_small_for_float32
from bench.workload.case import DEFAULT_CELL, DTYPES, LAYOUTS, STREAM, TASKS, Case, Shape, sine_case
from bench.workload.catalog import cell_settings
from bench.workload.cell import find_cell

# shape, layout, Huber cutoff: with 0.5 the errors lie on both sides of the cutoff, with 0.025 all outside
RANDOM = (
    (Shape(T=1, B=9, I=5, H=7, O=3), "single_step", 0.5),
    (Shape(T=5, B=1, I=3, H=6, O=8), "positional", 0.025),
    (Shape(T=4, B=6, I=3, H=1, O=2), "positional", 0.5),
    (Shape(T=6, B=9, I=4, H=8, O=1), "positional", 0.5),
    (Shape(T=7, B=10, I=3, H=16, O=5), "positional", 0.5),
    (Shape(T=50, B=4, I=1, H=24, O=6), "sequence", 0.5),
    (Shape(T=500, B=2, I=1, H=12, O=8), "sequence", 0.025),
)
ALL_SIZES_DIFFER = RANDOM[4:5]
STREAMED = (RANDOM[1][0], RANDOM[4][0], RANDOM[5][0])  # B = 1, the shape of no two equal sizes, 50 steps
LONG = 500  # steps, the slowest shape by far
# with their shortest length: several sequences of a length, a single sequence, no padding, 50 steps
LENGTHS = ((RANDOM[4], 2), (RANDOM[1], 2), (RANDOM[4], RANDOM[4][0].T), (RANDOM[5], 1))
COMPILE_SHAPE = RANDOM[4][0]  # the only random shape for variants that compile
COMPILED = (  # layouts and tasks
    ("positional", "train_step"), ("positional", "forward"), ("sequence", "train_step"),
    ("single_step", "gradient"),
)  # fmt: skip
# small shapes for gradients by differences, which take one or two forward passes per parameter
SMALL = (
    (Shape(T=1, B=3, I=2, H=4, O=2), "single_step", 0.5),
    (Shape(T=4, B=2, I=3, H=1, O=2), "positional", 0.025),
    (Shape(T=6, B=1, I=2, H=4, O=3), "positional", 0.5),
    (Shape(T=12, B=3, I=1, H=4, O=1), "sequence", 0.5),
)


def agreement_cases(cell: str = DEFAULT_CELL, bias: bool | None = None) -> list[Case]:
    """List all tasks and dtypes for every shape, streams for ``STREAMED``; too small shapes only in float64.

    Only the cell's first activation is proved for every random shape. Unless ``bias`` is given, two shapes
    are also proved with the biases that the cell usually has not, or without those that it has.

    Raises:
        UserError: no such cell, or biases for a cell without any.
    """
    found, cases = find_cell(cell), list[Case]()
    usual = cell_settings((), cell=cell, bias=bias)["bias"]
    for dtype in DTYPES:
        for activation in found.activations:
            settings: dict[str, Any] = {"dtype": dtype, "activation": activation, "cell": cell, "bias": usual}
            first = activation == found.activations[0]
            cases += [sine_case(TASKS[0], layout, **settings) for layout in LAYOUTS]
            cases += _random_cases(RANDOM if first else ALL_SIZES_DIFFER, **settings)
            cases += _of_lengths(LENGTHS if first else LENGTHS[:1], **settings)
            if first and bias is None and found.biases:
                settings["bias"] = not usual
                cases.append(sine_case(TASKS[0], LAYOUTS[0], **settings))
                cases += _random_cases(ALL_SIZES_DIFFER, **settings)
                cases += _of_lengths(LENGTHS[:1], **settings)
    cases = [case for case in cases if case.dtype == "float64" or not too_small_for_float32(case)]
    return [
        replace(case, task=task)
        for case in cases
        for task in (*TASKS, STREAM)
        if (case.shape.T < LONG or task != "train_step")  # the update does not depend on the length
        and ((case.shape in STREAMED and case.shortest is None) or task != STREAM)
    ]


def worth_compiling(case: Case, bias: bool | None = None) -> bool:
    """Return whether this case is proved for variants that compile, which takes seconds per case.

    Proved at the tutorial's size in float32: every layout, and every task in one of them. Also proved:
    ``COMPILE_SHAPE`` with random data in float64: its stream, and a training step for the other activations
    and the other choice of biases.
    Where one choice was asked for (``bias``), all this is proved with it. The tests prove more.
    """
    if case.shortest is not None:  # no variant that compiles supports it
        return False
    cell = find_cell(case.cell)
    usual = (case.activation, case.bias) == (cell.activations[0], cell.bias if bias is None else bias)
    if case.data == "random":
        proved = {STREAM: usual, "train_step": not usual or bias is not None}
        return proved.get(case.task, False) and (case.shape, case.dtype) == (COMPILE_SHAPE, "float64")
    return usual and case.dtype == "float32" and (case.layout, case.task) in COMPILED


def reference_cases(cell: str = DEFAULT_CELL) -> list[Case]:
    """List small cases on which the reference's gradient is checked by differences."""
    found = find_cell(cell)
    return [
        case
        for activation, bias in product(found.activations, (False, True) if found.biases else (False,))
        for case in _random_cases(SMALL, dtype="float64", activation=activation, cell=cell, bias=bias)
    ]


def _of_lengths(chosen: tuple[tuple[tuple[Shape, str, float], int], ...], **settings: Any) -> list[Case]:
    """List cases of sequences of different lengths."""
    return [
        case for shape, shortest in chosen for case in _random_cases((shape,), shortest=shortest, **settings)
    ]


def _random_cases(shapes: tuple[tuple[Shape, str, float], ...], **settings: Any) -> list[Case]:
    """List cases of random data for these shapes, each with its layout and Huber cutoff."""
    return [
        Case("gradient", shape, layout, data="random", delta=delta, **settings)
        for shape, layout, delta in shapes
    ]
