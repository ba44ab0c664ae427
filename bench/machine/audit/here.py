"""The verb ``check``: is this machine, as it stands, fit for timing; and what mends it where it is not."""

import time
from collections.abc import Sequence

from bench.machine import gates, host
from bench.machine.audit.finding import Finding, Level, note
from bench.machine.audit.findings import audit
from bench.machine.audit.probing import Probed, probe_libraries
from bench.machine.audit.variables import PINS
from bench.machine.environ import speed_variables, worker_environment

SAMPLE_S = 0.5
HEADINGS: dict[Level, str] = {
    "unfair": "Unfair to one library",
    "unstable": "Makes times unstable",
    "note": "Good to know",
}
COLOURS: dict[Level, str] = {"unfair": "red", "unstable": "yellow", "note": "cyan"}


def audit_here(devices: Sequence[str] | None = None) -> list[Finding]:
    """Look at this machine, ask both libraries, and audit. ``devices``: accelerators; None for all."""
    before = gates.read()
    time.sleep(SAMPLE_S)
    sample = gates.between(before, gates.read(), alone=False)
    facts = host.describe()  # before the children start, which are a load of their own
    threads = host.usable_cpus()
    environment = worker_environment(threads)
    pins = [name for name in PINS if name in environment.dropped]
    probed = probe_libraries(threads, pins)
    findings = audit(
        facts,
        threads=threads,
        dropped=environment.dropped,
        kept=environment.kept,
        shell=speed_variables(),
        libraries=probed.libraries,
        devices={id: state for id, state in probed.devices.items() if devices is None or id in devices},
        kernels=_kernels(probed),
        sample=sample,
    )
    return findings + [
        note(library, f"nothing is known about {library}: {reason}", f"pip install {library}")
        for library, reason in probed.silent.items()
    ]


def _kernels(probed: Probed) -> tuple[str, str] | None:
    free = probed.libraries.get("numpy", {}).get("kernel")
    return (probed.pinned_kernel, free) if probed.pinned_kernel and free else None
