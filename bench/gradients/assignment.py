"""Grade a student's forward pass and gradient by hand: cases, expected results, points and findings.

A point for each result of each case: ``y_hat``, ``loss``, and the gradient of every parameter. The expected
results are the reference's, computed here, and never given to the process that runs the student's file.
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec
import numpy as np

from bench.gradients import submission
from bench.gradients.diagnosis import diagnose
from bench.gradients.finding import Finding
from bench.gradients.student import Settings
from bench.gradients.submission import Answer
from bench.gradients.trial import Trial
from bench.machine.errors import UserError
from bench.machine.files import scratch_folder
from bench.machine.wording import listing, printable, short
from bench.proof.tolerance import Array
from bench.workload.case import Case, Shape
from bench.workload.cell import find_cell
from bench.workload.data import Batch, random_batch

SEED = 15
# all sizes of a case differ, so that a transposed array has another shape; T = 1 has no recurrence, T = 2 one
# sample, in which a sum over the batch is a mean
SHAPES = (
    Shape(T=1, B=4, I=2, H=5, O=3), Shape(T=2, B=1, I=3, H=5, O=4), Shape(T=3, B=5, I=2, H=6, O=4),
    Shape(T=6, B=5, I=3, H=7, O=2),
)  # fmt: skip
# float64 code is within 1e-13, in any order of its sums; float32 is off by 1e-8 and more, and so are
# gradients by differences
TOLERANCE = 1e-10
FORWARD_TOLERANCE = 1e-5  # for y_hat and loss; beyond this they are wrong even if computed in float32
LIBRARIES = ("torch", "tensorflow", "jax", "autograd")  # these differentiate by themselves


class Mark(msgspec.Struct, frozen=True):
    """Hold the point of one result in one case.

    Attributes:
        result: "y_hat", "loss" or a gradient as "dW".
        steps: length of the sequences of the case, T.
        points: 1 or 0.
        error: |given - expected| / |expected|; None if nothing usable was given.
        problem: why nothing usable was given.
    """

    result: str
    steps: int
    points: int
    error: float | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """Hold a case with what a submission gave for it, and the right results."""

    shape: Shape
    batch: Batch
    given: Answer
    expected: Mapping[str, Array]

    def mark(self, result: str) -> Mark:
        """Return the point of a result, by its error."""
        if result not in self.given.arrays:
            return Mark(result, self.shape.T, 0, None, self.given.problems.get(result, "not reached"))
        error = Trial(self.expected, self.given.arrays, TOLERANCE).error(result)
        return Mark(result, self.shape.T, int(error <= TOLERANCE), error)

    @property
    def forward_is_right(self) -> bool:
        """Return whether the gradients can be those of the right forward pass, maybe in float32."""
        errors = [self.mark(result).error for result in ("y_hat", "loss")]
        return any(error is not None and error <= FORWARD_TOLERANCE for error in errors)


class Grade(msgspec.Struct, frozen=True):
    """Hold the points of a submission, and what went wrong.

    Attributes:
        submission: name of the file.
        assignment: name of the cell.
        points: the sum of all points.
        most: the most points that can be had.
        tolerance: the largest error of a result that gets its point.
        problems: what went wrong, a line each.
        findings: the mistakes that explain the wrong gradients.
        marks: result by result, case by case.
        printed: the end of what the submission printed.
    """

    submission: str
    assignment: str
    points: int
    most: int
    tolerance: float
    problems: list[str]
    findings: list[Finding]
    marks: list[Mark]
    printed: str

    @property
    def exit_code(self) -> int:
        """Return 0 for full points, 3 if nothing could be graded, else 1."""
        if self.points == self.most:
            return 0
        return 1 if any(mark.error is not None for mark in self.marks) else 3


def grade(path: Path, cell: str, *, time_s: float, memory_bytes: int) -> Grade:
    """Run a student's file in a process of its own, and grade what its functions return.

    Raises:
        UserError: there is no such Python file.
        OSError: the process cannot be started, or the disk is full.
    """
    if path.suffix != ".py":
        raise UserError(f"{path} is no Python file: its name must end in .py")
    if not path.is_file():
        raise UserError(f"there is no file {path}; check the name and the folder you stand in")
    batches = [random_batch(case) for case in cases(cell)]
    withheld = {module.partition(".")[0] for module in find_cell(cell).references.values()}.union(LIBRARIES)
    with scratch_folder("grade") as folder:
        settings = Settings(os.fsencode(path.resolve()), str(folder), time_s, memory_bytes, withheld)
        outcome = submission.run(batches, settings)
    missing = [Answer({}, {}, [])] * (len(batches) - len(outcome.answers))
    answered = [
        Answered(shape, batch, given, expected(batch, cell))
        for shape, batch, given in zip(SHAPES, batches, outcome.answers + missing, strict=True)
    ]
    marks = [one.mark(result) for result in answered[0].expected for one in answered]
    return Grade(
        submission=short(path.name),
        assignment=cell,
        points=sum(one.points for one in marks),
        most=len(marks),
        tolerance=TOLERANCE,
        problems=list(filter(None, [outcome.problem, *problems(answered)])),
        findings=findings(answered, cell),
        marks=marks,
        printed=printable(outcome.printed),
    )


def cases(cell: str) -> list[Case]:
    """Return the cases of an assignment, always the same."""
    return [
        Case("gradient", shape, dtype="float64", data="random", seed=SEED, cell=cell, bias=True)
        for shape in SHAPES
    ]


def expected(batch: Batch, cell: str) -> dict[str, Array]:
    """Return the right results: ``y_hat``, the loss mean (y_hat - y)^2 / 2, and its gradients."""
    reference, options = find_cell(cell).reference(), find_cell(cell).options("tanh")
    y_hat = reference.predict(batch.params, batch.x, **options)
    loss, grads = reference.loss_and_grads(batch.params, batch.x, batch.y, delta=math.inf, **options)
    return {"y_hat": y_hat, "loss": loss, **{f"d{name}": grad for name, grad in grads.items()}}


def problems(answered: Sequence[Answered]) -> list[str]:
    """Return what went wrong, each text once: the first problem of a result, then what else is to be said."""
    first, others, dtypes = dict[str, str](), list[str](), dict[str, str]()
    for one in answered:
        for result, text in one.given.problems.items():
            first.setdefault(result, f"T = {one.shape.T}: {text}")
        for result, array in one.given.arrays.items():
            if array.dtype.kind == "f" and array.dtype != np.float64:
                dtypes[result] = str(array.dtype)
        others += one.given.notes
    if dtypes:
        names = listing(list(dtypes), len(dtypes))
        others.append(f"{min(dtypes.values())} comes back for {names}: compute in float64")
    if lengths := [str(one.shape.T) for one in answered if one.given.arrays and not one.forward_is_right]:
        others.append(
            f"y_hat and loss are wrong for T = {listing(lengths)}: mend the forward pass first, since the "
            "gradients are compared with those of the right one"
        )
    return list(dict.fromkeys([*first.values(), *others]))


def findings(answered: Sequence[Answered], cell: str) -> list[Finding]:
    """Return the mistakes that explain the wrong gradients; none if the forward pass is wrong."""
    usable = [one for one in answered if one.given.arrays]
    names = [
        name for name in answered[0].batch.params if all(f"d{name}" in one.given.arrays for one in usable)
    ]
    if not usable or not names or not all(one.forward_is_right for one in usable):
        return []
    trials = [
        Trial(
            exact={name: one.expected[f"d{name}"] for name in names},
            given={name: np.asarray(one.given.arrays[f"d{name}"], dtype=np.float64) for name in names},
            tolerance=TOLERANCE,
            sizes=asdict(one.shape),
            batch=one.batch,
        )
        for one in usable
    ]
    return diagnose(trials, cell)
