"""The child processes of ``rnnbench verify``; each loads one library.

``python -m bench.verification.child expect FOLDER`` checks the reference by differences of its own loss and
computes what it expects of every case. ``... prove FOLDER JOB`` proves variants. Rows go one by one into a
file, so that they survive a process that dies.
"""

import sys
from pathlib import Path
from typing import TextIO

import msgspec

from bench import catalog, data, proof
from bench.case import Case, Shape
from bench.errors import describe_error
from bench.library import limit_threads, set_ieee_precision
from bench.proof import gradcheck
from bench.proof.agreement import compare
from bench.results.record import Check, Status
from bench.verification.cases import reference_cases

REFERENCE = "reference"  # the name of the rows about the reference itself


class Row(msgspec.Struct, frozen=True, omit_defaults=True):
    """One variant on one case; ``errors`` and ``tolerances`` by quantity, null where there is no number."""

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
    reason: str = ""


class Job(msgspec.Struct, frozen=True):
    """What a child proves: for variants of one library, on one device, cases by their number."""

    library: str
    device: str
    work: list[tuple[str, int]]  # a variant's name or module:object, a case; all of a variant in a row
    rows: str  # the file to write, a row for each piece of work


def claims_wrongly(row: Row) -> bool:
    """Whether the row shows something that claims to be right and is not, or could not be shown to be."""
    return row.status not in ("ok", "known_wrong", "missing")


def wrongly_accused(row: Row) -> bool:
    """Whether a gradient that is known to be wrong turned out right."""
    within = all(e is not None and e <= row.tolerances[name] for name, e in row.errors.items())
    return row.status == "known_wrong" and within


def main() -> None:
    """Run as told by the command line."""
    what, folder = sys.argv[1], Path(sys.argv[2])
    cases = msgspec.json.decode((folder / "cases.json").read_bytes(), type=list[Case])
    if what == "expect":
        with (folder / "reference.jsonl").open("w", encoding="utf-8") as rows:
            expect(folder, cases, rows)
    else:
        job = msgspec.json.decode((folder / sys.argv[3]).read_bytes(), type=Job)
        with (folder / job.rows).open("w", encoding="utf-8") as rows:
            prove(folder, cases, job, rows)


def expect(folder: Path, cases: list[Case], rows: TextIO) -> None:
    """Check the reference, then write inputs and expected results of each case."""
    for case in reference_cases():
        _write(rows, _reference_row(case))
    for number, case in enumerate(cases):
        batch = data.make(case)
        batch.save(folder / f"inputs{number}.npz")
        proof.expected(case, batch).save(folder / f"expected{number}.npz")


def prove(folder: Path, cases: list[Case], job: Job, rows: TextIO) -> None:
    """Prove the job's variants one after the other and write a row for each case."""
    for spec, number in job.work:
        variant, case = catalog.find(spec), cases[number]
        bind = _load(variant)
        batch = data.Batch.load(folder / f"inputs{number}.npz")
        expected = proof.Expected.load(folder / f"expected{number}.npz")
        wrong = variant.known_wrong
        try:
            checks = proof.prove(bind, case, batch, expected, device=job.device, known_wrong=wrong)
        except Exception as error:  # a variant may raise anything; the other cases go on
            reason = describe_error(error, variant.target)
            row = make_row(variant, job.device, case, [], "crashed", reason)
        else:
            status = proof.status(checks, known_wrong=wrong)
            row = make_row(variant, job.device, case, checks, status, proof.failures(checks))
        _write(rows, row)


def make_row(
    variant: catalog.Variant, device: str, case: Case, checks: list[Check], status: Status, reason: str
) -> Row:
    """A row of all that has an error, and of the questions that failed."""
    worst: dict[str, Check] = {}
    for check in checks:
        if check.tolerance == 0 and check.passed:
            continue
        name = check.what.removesuffix(proof.KNOWN_WRONG)
        if name not in worst or check.error > worst[name].error:
            worst[name] = check
    return Row(
        variant=variant.name,
        library=variant.library,
        device=device,
        dtype=case.dtype,
        task=case.task,
        layout=case.layout,
        activation=case.activation,
        shape=case.shape,
        errors={
            name: check.error if check.error < sys.float_info.max else None for name, check in worst.items()
        },
        tolerances={name: check.tolerance for name, check in worst.items()},
        status=status,
        reason=reason,
    )


def _reference_row(case: Case) -> Row:
    """The reference's gradient by hand against the two by differences."""
    batch = data.make(case)
    grads = catalog.reference("numpy").loss_and_grads(
        batch.params, batch.x, batch.y, activation=case.activation, delta=case.delta
    )[1]
    checks = []
    for how, found, tolerance in (
        ("complex step", gradcheck.complex_step(case, batch), gradcheck.COMPLEX_TOLERANCE),
        ("central differences", gradcheck.central_differences(case, batch), gradcheck.CENTRAL_TOLERANCE),
    ):
        checks += [
            compare(f"d{name}, {how}", grads[name], found[name], tolerance, "float64") for name in grads
        ]
    target = f"{catalog.reference('numpy').__name__}:loss_and_grads"
    reference = catalog.Variant(REFERENCE, "numpy", target, "")
    return make_row(reference, "cpu", case, checks, proof.status(checks), proof.failures(checks))


def _load(variant: catalog.Variant) -> proof.Bind:
    """The variant's ``bind``, its library at one thread and, for torch, at IEEE precision."""
    try:
        bind = variant.load()
    except Exception as error:  # importing runs the variant's own code
        sys.exit(describe_error(error, variant.target))
    if variant.library == "torch":
        limit_threads(1)
        set_ieee_precision()
    elif "torch" in sys.modules:
        raise RuntimeError(f"{variant.name} is a NumPy variant, but imported torch")
    return bind


def _write(rows: TextIO, row: Row) -> None:
    rows.write(msgspec.json.encode(row).decode() + "\n")
    rows.flush()


if __name__ == "__main__":
    main()
