"""Run the ``verify`` command: prove variants, and print the results."""

import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from bench.api.options import VerifyOptions
from bench.gradients.proved import Diagnosis, diagnose_proved
from bench.machine.devices import Absent, find_devices, resolve
from bench.proof.child import Row, proof_failed
from bench.proof.verify import verify
from bench.workload import catalog
from bench.workload.case import WITHOUT_GRADIENT


def main(args: VerifyOptions) -> int:
    """Prove variants and print the results; return 1 if a variant that claims to be right is wrong.

    Return 3 if a variant named by the user could not be proved on any device.

    Raises:
        UserError: a variant or device does not exist.
    """
    rows, absent, diagnoses = prove(args, "all")
    if args.json:
        records = [_record(row, diagnoses) for row in rows]
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(records), indent=1).decode() + "\n")
    else:
        from bench.reporting import verify_table  # rich, needed from here on

        verify_table.show(rows, absent, diagnoses)
    if any(proof_failed(row) for row in rows):
        return 1
    proved = {row.variant for row in rows if row.status != "missing"}
    return 3 if args.variant and any(row.variant not in proved for row in rows) else 0


def _record(row: Row, diagnoses: Sequence[Diagnosis]) -> dict[str, Any]:
    """Return a row for JSON; one with a wrong gradient also holds the findings that explain it."""
    explains = (
        diagnosis.findings
        for diagnosis in diagnoses
        if row.status in ("disagrees", "known_wrong")
        and row.task not in WITHOUT_GRADIENT
        and (row.variant, row.device, row.cell) == (diagnosis.variant, diagnosis.device, diagnosis.cell)
    )
    findings = next(explains, None)
    record: dict[str, Any] = msgspec.to_builtins(row)
    return record | ({"findings": findings} if findings else {})


def prove(args: VerifyOptions, device: str) -> tuple[list[Row], Sequence[Absent], list[Diagnosis]]:
    """Prove the variants in ``args`` (default: all) on the devices in ``args`` (default: ``device``).

    Returns:
        The rows of the result, the absent devices, and what explains wrong gradients.

    Raises:
        UserError: a variant or device does not exist.
    """
    machine = find_devices()
    devices, absent = resolve(args.device or [device], machine)
    specs = args.variant or [variant.name for variant in (*catalog.VARIANTS, *catalog.LENGTHS)]

    from bench.reporting.display import verify_progress  # rich, needed from here on

    with verify_progress() as progress:
        diagnoses: list[Diagnosis] = []
        rows = verify(
            specs, devices, machine=machine, cells=args.cell, bias=args.bias,
            progress=progress, done=lambda job: diagnoses.extend(diagnose_proved(job)),
        )  # fmt: skip
        return rows, absent, diagnoses
