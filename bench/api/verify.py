"""Run the ``verify`` command: prove variants, and print the results."""

import sys
from collections.abc import Sequence

import msgspec

from bench.api.options import VerifyOptions
from bench.machine.devices import Absent, find_devices, resolve
from bench.proof.child import Row, proof_failed
from bench.proof.verify import verify
from bench.workload import catalog


def main(args: VerifyOptions) -> int:
    """Prove variants and print the results; return 1 if a variant that claims to be right is wrong.

    Return 3 if a variant named by the user could not be proved on any device.

    Raises:
        UserError: a variant or device does not exist.
    """
    rows, absent = prove(args, "all")
    if args.json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(rows), indent=1).decode() + "\n")
    else:
        from bench.reporting import verify_table  # rich, needed from here on

        verify_table.show(rows, absent)
    if any(proof_failed(row) for row in rows):
        return 1
    proved = {row.variant for row in rows if row.status != "missing"}
    return 3 if args.variant and any(row.variant not in proved for row in rows) else 0


def prove(args: VerifyOptions, device: str) -> tuple[list[Row], Sequence[Absent]]:
    """Prove the variants in ``args`` (default: all) on the devices in ``args`` (default: ``device``).

    Returns:
        The rows of the result, and the absent devices.

    Raises:
        UserError: a variant or device does not exist.
    """
    machine = find_devices()
    devices, absent = resolve(args.device or [device], machine)
    specs = args.variant or [variant.name for variant in catalog.VARIANTS]

    from bench.reporting.display import verify_progress  # rich, needed from here on

    with verify_progress() as progress:
        rows = verify(specs, devices, machine=machine, cells=args.cell, bias=args.bias, progress=progress)
        return rows, absent
