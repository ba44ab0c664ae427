"""The child processes of ``rnnbench verify``.

With the arguments ``FOLDER expect`` one checks the reference by differences of its own loss, computes what it
expects of every case, and replies with all rows at once. With ``FOLDER prove SPEC DEVICE`` one proves a
variant, case by case as their numbers come in; so nothing that a variant does to its process reaches another.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from msgspec import structs

from bench import proof
from bench.machine.errors import describe_error
from bench.machine.libraries import library, wrong_library
from bench.machine.lifeline import replies
from bench.proof import gradcheck
from bench.proof.cases import reference_cases
from bench.records.record import Check, Status
from bench.workload import catalog, data
from bench.workload.binding import Bind, bind_case
from bench.workload.case import Case, Shape
from bench.workload.cell import find_cell
from bench.workload.own_variant import load_variant

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
    cell: str
    reason: str = ""


def claims_wrongly(row: Row) -> bool:
    """Return whether what claims to be right is not, or could not be shown to be."""
    return row.status not in ("ok", "known_wrong", "missing")


def wrongly_accused(row: Row) -> bool:
    """Return whether a gradient that is known to be wrong turned out right."""
    within = all(e is not None and e <= row.tolerances[name] for name, e in row.errors.items())
    return row.status == "known_wrong" and within


def main() -> None:
    """Do what the command line names, and send the results as replies."""
    folder, what = Path(sys.argv[1]), sys.argv[2]
    cases = msgspec.json.decode((folder / "cases.json").read_bytes(), type=list[Case])
    with replies() as send:
        if what == "expect":
            send(msgspec.json.encode(expect(folder, cases)))
        else:
            for row in prove(folder, cases, sys.argv[3], sys.argv[4], sys.stdin):
                send(msgspec.json.encode(row))


def expect(folder: Path, cases: list[Case]) -> list[Row]:
    """Write inputs and expected results of each case; return rows that check the reference itself."""
    cells = dict.fromkeys(case.cell for case in cases)
    rows = [_reference_row(case) for cell in cells for case in reference_cases(cell)]
    for number, case in enumerate(cases):
        batch = data.make(case)
        batch.save(folder / f"inputs{number}.npz")
        proof.expected(case, batch).save(folder / f"expected{number}.npz")
    return rows


def prove(folder: Path, cases: list[Case], spec: str, device: str, numbers: Iterable[str]) -> Iterator[Row]:
    """Prove a variant on the cases whose numbers come in, and yield a row for each."""
    variant = load_variant(spec)
    bind: Bind | None = None
    elsewhere: dict[str, str] = {}  # by task, why it is not the library's computation
    for number in map(int, numbers):
        case = cases[number]
        batch = data.Batch.load(folder / f"inputs{number}.npz")
        expected = proof.Expected.load(folder / f"expected{number}.npz", batch.params)
        try:
            bind = bind or _load(variant)
            checks = proof.prove(
                bind,
                case,
                batch,
                expected,
                library=variant.library,
                device=device,
                known_wrong=variant.wrong_gradients,
            )
            if case.task not in elsewhere:
                call = bind_case(bind, variant.library, case, batch, device).bound.call
                elsewhere[case.task] = library(variant.library).computes_elsewhere(call)
            reason = wrong_library(variant.library) or elsewhere[case.task]
        except BaseException as error:  # a variant may raise anything, or leave; the other cases go on
            yield make_row(variant, device, case, [], "crashed", describe_error(error, variant.target))
            continue
        if reason:
            yield make_row(variant, device, case, checks, "invalid", f"{variant.name} {reason}")
        else:
            status = proof.status(checks, known_wrong=variant.known_wrong)
            yield make_row(variant, device, case, checks, status, proof.failures(checks))


def make_row(
    variant: catalog.Variant, device: str, case: Case, checks: list[Check], status: Status, reason: str
) -> Row:
    """Make a row of all that has an error, and of the questions that failed."""
    worst: dict[str, Check] = {}
    for check in checks:
        if check.tolerance == 0 and check.passed:
            continue
        if check.what not in worst or check.error > worst[check.what].error:
            worst[check.what] = check
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
        cell=case.cell,
        reason=reason,
    )


def _reference_row(case: Case) -> Row:
    """Return how far the reference's gradient is from those by differences, by the way these are made."""
    checks = gradcheck.check_reference(case)
    target = f"{find_cell(case.cell).references['numpy']}:loss_and_grads"
    status, reason = proof.status(checks), proof.failures(checks)
    by_way = [structs.replace(check, what=check.what.partition(", ")[2]) for check in checks]
    return make_row(catalog.Variant(REFERENCE, "numpy", target, ""), "cpu", case, by_way, status, reason)


def _load(variant: catalog.Variant) -> Bind:
    """Return the variant's ``bind``, its library at one thread and at IEEE precision."""
    try:
        bind = variant.load()
    except BaseException as error:  # importing runs the variant's own code
        sys.exit(describe_error(error, variant.target))
    library(variant.library).prepare(threads=1)
    return bind


if __name__ == "__main__":
    main()
