"""Read the wrong gradients that a child kept, beside the exact ones: the material of a diagnosis.

Arrays are compared in this process, which never runs a variant's code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.machine.arrays import read_arrays
from bench.proof.child import LONG, Row, given_file
from bench.proof.reference import Expected
from bench.proof.tolerance import Array
from bench.workload.case import Case
from bench.workload.data import Batch


@dataclass(frozen=True, slots=True)
class Given:
    """Hold the gradients that a variant gave on a case, and the exact ones, float64.

    Attributes:
        row: the result of the proof.
        case: the case that was proved.
        batch: the inputs of the case.
        exact: parameter name -> the reference's gradient.
        given: parameter name -> the variant's gradient; the exact one where the proof found it right.
    """

    row: Row
    case: Case
    batch: Batch
    exact: dict[str, Array]
    given: dict[str, Array]


def read_given(
    folder: Path, spec: str, device: str, cases: Sequence[Case], rows: Mapping[int, Row]
) -> list[Given]:
    """Return the gradients of the proved cases of a variant with wrong ones, else nothing.

    ``rows`` are by the number of the case. Only one task counts, ``gradient`` if there is one, and of the
    dtypes float64, if the variant and the device have both.

    Raises:
        OSError: a file cannot be read.
        ValueError: a file does not hold what ``child`` writes.
    """
    files = {number: given_file(folder, spec, device, number) for number in rows}
    if not any(file.exists() for file in files.values()):
        return []
    backward = [number for number, row in rows.items() if row.status != "missing" and row.task != "forward"]
    task = min(rows[number].task for number in backward)
    dtype = max(rows[number].dtype for number in backward)
    found = []
    for number in backward:
        row, case = rows[number], cases[number]
        right = row.status == "ok"
        if (row.task, row.dtype) != (task, dtype) or case.shape.T >= LONG:
            continue
        if not right and not (row.status in ("disagrees", "known_wrong") and files[number].exists()):
            continue  # more than the gradients is wrong
        batch = Batch.load(folder / f"inputs{number}.npz").astype("float64")
        exact = Expected.load(folder / f"expected{number}.npz", batch.params).grads
        given = exact if right else read_arrays(files[number], exact)
        found.append(Given(row, case, batch, exact, {name: g.astype("float64") for name, g in given.items()}))
    return found
