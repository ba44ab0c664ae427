"""The verb ``verify``: prove what is asked for, and print what came out."""

import sys
from collections.abc import Sequence

import msgspec

from bench.api.options import VerifyOptions
from bench.machine.devices import Absent, find_devices, resolve
from bench.proof.child import Row, claims_wrongly
from bench.proof.verify import verify
from bench.workload import catalog


def main(args: VerifyOptions) -> int:
    """Verify what is asked for; return 1 if anything that claims to be right is not.

    Returns 3 where a variant that was asked for by name could not be proved on anything.

    Raises:
        UserError: a variant or device that is not there.
    """
    rows, absent = prove(args, "all")
    if args.json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(rows), indent=1).decode() + "\n")
    else:
        from bench.reporting import verify_table  # rich, needed from here on

        verify_table.show(rows, absent)
    if any(claims_wrongly(row) for row in rows):
        return 1
    proved = {row.variant for row in rows if row.status != "missing"}
    return 3 if args.variant and any(row.variant not in proved for row in rows) else 0


def prove(args: VerifyOptions, device: str) -> tuple[list[Row], Sequence[Absent]]:
    """Prove what is asked for, every variant unless some are named, on ``device`` where none is asked for.

    Returns:
        The rows, and what is not there of the devices.

    Raises:
        UserError: a variant or device that is not there.
    """
    machine = find_devices()
    devices, absent = resolve(args.device or [device], machine)
    specs = args.variant or [variant.name for variant in catalog.VARIANTS]

    from bench.reporting.display import verify_progress  # rich, needed from here on

    with verify_progress() as progress:
        return verify(specs, devices, machine=machine, progress=progress), absent
