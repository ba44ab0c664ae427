"""Run the child process of ``rnnbench verify`` that proves one variant: ``FOLDER SPEC DEVICE``.

The child reads case numbers from standard input and replies with a row for each. Each variant has a separate
process, so no variant can affect another. Wrong gradients are written to the folder, for a diagnosis in the
parent (``bench.gradients.proved``).
"""

import hashlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from bench import proof
from bench.machine.errors import describe_error
from bench.machine.libraries import library, wrong_library
from bench.machine.lifeline import replies
from bench.proof.prove import large_rate
from bench.proof.tolerance import Array
from bench.records.record import Check, Status
from bench.workload.binding import Bind, bind_case
from bench.workload.case import Case, Shape
from bench.workload.catalog import Variant
from bench.workload.data import Batch
from bench.workload.own import load_variant

REFERENCE = "reference"  # the name of the rows about the reference itself
LONG = 50  # steps; the gradients of longer cases are not kept: shorter ones show the same mistakes
OF_CASE = ("dtype", "task", "layout", "activation", "shape", "cell", "bias", "lengths")  # fields of a row


class Row(msgspec.Struct, frozen=True, omit_defaults=True):
    """Hold the result of one variant on one case.

    ``errors`` and ``tolerances`` are by the name of the check; an error is None if not finite.
    """

    variant: str
    library: str
    device: str
    dtype: str
    task: str
    layout: str
    activation: str
    shape: Shape
    errors: dict[str, float | None]
    tolerances: dict[str, float]
    status: Status
    cell: str
    bias: bool
    reason: str = ""
    lengths: str = ""


def proof_failed(row: Row) -> bool:
    """Return whether the proof failed or was impossible; known wrong and unsupported cases do not count."""
    return row.status not in ("ok", "known_wrong", "missing")


def known_wrong_but_right(row: Row) -> bool:
    """Return whether a gradient that is known to be wrong proved to be right."""
    within_tolerance = all(
        error is not None and error <= row.tolerances[name] for name, error in row.errors.items()
    )
    return row.status == "known_wrong" and within_tolerance


def main() -> None:
    """Prove the variant named on the command line on the device, and send the rows as replies."""
    folder, spec, device = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    cases = msgspec.json.decode((folder / "cases.json").read_bytes(), type=list[Case])
    with replies() as send:
        for row in prove(folder, cases, spec, device, sys.stdin):
            send(msgspec.json.encode(row))


def prove(folder: Path, cases: list[Case], spec: str, device: str, numbers: Iterable[str]) -> Iterator[Row]:
    """Prove a variant on the cases with these numbers, and yield a row for each case."""
    variant = load_variant(spec)
    binds: dict[str, Bind] = {}  # by cell
    elsewhere: dict[tuple[str, str], str] = {}  # cell, task -> why it does not compute with its library
    for number in map(int, numbers):
        case = cases[number]
        batch = Batch.load(folder / f"inputs{number}.npz")
        expected = proof.Expected.load(folder / f"expected{number}.npz", batch.params)
        try:
            if case.cell not in binds:
                loaded = variant.load(case.cell)
                library(variant.library).prepare(threads=1)
                binds[case.cell] = loaded  # only now: an unprepared library would compute with other settings
            bind, kind = binds[case.cell], (case.cell, case.task)
            checks = proof.prove(
                bind, case, batch, expected,
                library=variant.library, device=device, known_wrong=variant.wrong_gradients,
            )  # fmt: skip
            if kind not in elsewhere:
                call = bind_case(bind, variant.library, case, batch, device).bound.call
                elsewhere[kind] = library(variant.library).computes_elsewhere(call)
            fault = wrong_library(variant.library) or elsewhere[kind]
            if case.shape.T < LONG and only_gradients_fail(checks, batch.params):
                file = given_file(folder, spec, device, number)
                with suppress(Exception):  # without them, there is only no diagnosis
                    keep(file, gradients(bind, variant.library, case, batch, expected, device))
        except BaseException as error:  # a variant may raise anything, or exit; the other cases continue
            reason = describe_error(error, variant.cells[case.cell].target)
            yield make_row(variant, device, case, [], "crashed", reason)
            continue
        status, reason = proof.status(checks, known_wrong=variant.known_wrong), proof.failures(checks)
        if fault:
            yield make_row(variant, device, case, checks, "invalid", f"{variant.name} {fault}")
        else:
            yield make_row(variant, device, case, checks, status, reason)


def only_gradients_fail(checks: Sequence[Check], parameters: Iterable[str]) -> bool:
    """Return whether gradients or updates are off, and all else is right: loss, shapes, reset, ..."""
    failed = [check for check in checks if not check.passed]
    numbers = {*parameters}
    return bool(failed) and all({check.what, check.quantity} & numbers for check in failed)


def gradients(
    bind: Bind, library: str, case: Case, batch: Batch, expected: proof.Expected, device: str
) -> dict[str, Array]:
    """Return the gradient of each parameter as a call gives it, or as the update of a training step says."""
    lr = large_rate(case, batch, expected)  # an update as large as the parameter keeps all its digits
    binding = bind_case(bind, library, replace(case, lr=lr), batch, device)
    binding.bound.call()
    result = binding.result()
    if case.task == "gradient":
        return {name: result[f"d{name}"] for name in batch.params}
    return {name: (p.astype(np.float64) - result[name]) / lr for name, p in batch.params.items()}


def keep(file: Path, grads: dict[str, Array]) -> None:
    """Write the gradients to a file, whole or not at all."""
    part = file.with_suffix(".part")
    with part.open("wb") as writer:
        np.savez(writer, allow_pickle=False, **grads)
    part.replace(file)


def given_file(folder: Path, spec: str, device: str, number: int) -> Path:
    """Return the file for the wrong gradients of a variant on a device and the case with this number."""
    job = hashlib.sha256(f"{device} {spec}".encode()).hexdigest()[:16]  # Windows takes no colon in a name
    return folder / f"given{number}-{job}.npz"


def make_row(
    variant: Variant, device: str, case: Case, checks: list[Check], status: Status, reason: str
) -> Row:
    """Make a row with the largest error of each check; passed yes/no checks are left out."""
    worst: dict[str, Check] = {}
    for check in checks:
        if check.tolerance == 0 and check.passed:
            continue
        if check.what not in worst or check.error > worst[check.what].error:
            worst[check.what] = check
    errors = {
        name: check.error if check.error < sys.float_info.max else None for name, check in worst.items()
    }
    return Row(
        **{name: getattr(case, name) for name in OF_CASE},
        variant=variant.name,
        library=variant.library,
        device=device,
        errors=errors,
        tolerances={name: check.tolerance for name, check in worst.items()},
        status=status,
        reason=reason,
    )


if __name__ == "__main__":
    main()
