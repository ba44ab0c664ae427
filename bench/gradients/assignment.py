"""Grade a student's forward pass and gradient by hand: cases, expected results, points and findings.

A point for each result of each case: ``y_hat``, ``loss``, and the gradient of every parameter. The expected
results are the reference's, computed here, and never given to the process that runs the student's file.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from bench.gradients import submission
from bench.gradients.diagnosis import diagnose
from bench.gradients.finding import Finding
from bench.gradients.student import Settings
from bench.gradients.submission import Answer
from bench.gradients.trial import LEAST_SHARE, Trial
from bench.machine.errors import UserError
from bench.machine.files import scratch_folder
from bench.machine.wording import listing, printable, short
from bench.proof.tolerance import Array, error_between, norm
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
WITHHELD = ("torch", "tensorflow", "jax", "autograd")  # these differentiate by themselves


class Mark(msgspec.Struct, frozen=True):
    """Hold the point of one result in one case.

    Attributes:
        result: "y_hat", "loss" or a gradient as "dW".
        steps: length of the sequences of the case, T.
        points: 1 or 0.
        error: |given - expected| / |expected|; None if nothing usable was given.
        problem: why nothing usable was given, or what else is wrong with it.
    """

    result: str
    steps: int
    points: int
    error: float | None
    problem: str = ""


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
    code = {module.partition(".")[0] for module in find_cell(cell).references.values()}
    with scratch_folder("grade") as folder:
        settings = Settings(
            str(path.resolve()), str(folder), time_s, memory_bytes, frozenset({*code, *WITHHELD})
        )
        outcome = submission.run(batches, settings)
    answers = outcome.answers + [Answer({}, {}, [])] * (len(batches) - len(outcome.answers))
    expected = [results(batch, cell) for batch in batches]
    graded = list(zip(batches, answers, expected, strict=True))
    marks = [
        mark(result, given, wanted, len(batch.x)) for result in expected[0] for batch, given, wanted in graded
    ]
    return Grade(
        submission=short(path.name),
        assignment=cell,
        points=sum(one.points for one in marks),
        most=len(marks),
        tolerance=TOLERANCE,
        problems=list(filter(None, [outcome.problem, *problems(answers)])),
        findings=diagnose([trial(batch, given, wanted) for batch, given, wanted in graded], cell),
        marks=marks,
        printed=printable(outcome.printed),
    )


def cases(cell: str) -> list[Case]:
    """Return the cases of an assignment, always the same."""
    return [
        Case("gradient", shape, dtype="float64", data="random", seed=SEED, cell=cell, bias=True)
        for shape in SHAPES
    ]


def results(batch: Batch, cell: str) -> dict[str, Array]:
    """Return the expected results: ``y_hat``, the loss mean (y_hat - y)^2 / 2, and its gradients."""
    described, reference = find_cell(cell), find_cell(cell).reference()
    options = described.options("tanh")
    y_hat = reference.predict(batch.params, batch.x, **options)
    loss, grads = reference.loss_and_grads(batch.params, batch.x, batch.y, delta=math.inf, **options)
    return {"y_hat": y_hat, "loss": loss, **{f"d{name}": grad for name, grad in grads.items()}}


def mark(result: str, given: Answer, expected: Mapping[str, Array], steps: int) -> Mark:
    """Return the point of a result in a case, by its error."""
    if result not in given.arrays:
        return Mark(result, steps, 0, None, given.problems.get(result, "not reached"))
    # as in Trial.error: a gradient that is 0 is compared with the others
    total = norm(np.array([norm(array) for array in expected.values()]))
    scale = max(norm(expected[result]), LEAST_SHARE * total)
    error = error_between(given.arrays[result], expected[result], scale=scale)
    return Mark(result, steps, int(error <= TOLERANCE), error)


def problems(answers: Sequence[Answer]) -> list[str]:
    """Return what went wrong in the answers: a result's first problem, then notes, each text once."""
    first = dict[str, str]()
    for given, shape in zip(answers, SHAPES, strict=True):
        for result, text in given.problems.items():
            first.setdefault(result, f"T = {shape.T}: {text}")
    single = {
        result: str(array.dtype)
        for given in answers
        for result, array in given.arrays.items()
        if array.dtype.kind == "f" and array.dtype != np.float64
    }
    notes = [note for given in answers for note in given.notes]
    if single:
        notes.append(f"{listing(list(single), 8)}: {min(single.values())}, but float64 is asked for")
    return list(dict.fromkeys([*first.values(), *notes]))


def trial(batch: Batch, given: Answer, expected: Mapping[str, Array]) -> Trial:
    """Return the usable gradients of a case, beside the exact ones."""
    names = [name for name in batch.params if f"d{name}" in given.arrays]
    return Trial(
        exact={name: expected[f"d{name}"] for name in names},
        given={name: np.asarray(given.arrays[f"d{name}"], dtype=np.float64) for name in names},
        tolerance=TOLERANCE,
        sizes={"T": len(batch.x), "B": len(batch.y)},
        batch=batch,
    )
