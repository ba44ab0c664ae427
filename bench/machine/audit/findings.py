"""The audit: all rules over what is known about a machine. The same for ``check`` and for every journal."""

from collections.abc import Iterable, Mapping
from typing import Any

from bench.machine.audit.finding import LEVELS, Finding
from bench.machine.audit.libraries import audit_device, audit_libraries
from bench.machine.audit.state import (
    audit_clock_speed,
    audit_kernel,
    audit_load,
    audit_python,
    audit_sample,
    audit_threads,
)
from bench.machine.audit.variables import audit_dropped, audit_kept, audit_shell


def audit(
    facts: Mapping[str, Any],
    *,
    threads: int,
    dropped: Mapping[str, str] | None = None,
    kept: Mapping[str, str] | None = None,
    shell: Mapping[str, str] | None = None,
    libraries: Mapping[str, Mapping[str, Any]] | None = None,
    devices: Mapping[str, Mapping[str, Any]] | None = None,
    kernels: tuple[str, str] | None = None,
    sample: Mapping[str, float] | None = None,
) -> list[Finding]:
    """What is unfair or unstable, the worst first; rules without their facts stay silent.

    Args:
        facts: of the machine, as ``machine.describe`` gives them.
        threads: the most that an arm has.
        dropped, kept: variables that bear on speed and do not, or do, reach the workers.
        shell: variables that bear on speed as they are set now.
        libraries: facts of a process with ``threads`` threads, by library.
        devices: facts of accelerators, by their id.
        kernels: of NumPy's BLAS with the variables that are dropped, and without.
        sample: what the gates read over a moment in which nothing was asked of the machine.
    """
    found = [
        *audit_dropped(dropped or {}, kernels),
        *audit_kept(kept or {}),
        *audit_shell(shell or {}),
        *audit_threads(facts, threads),
        *audit_libraries(facts, libraries or {}, threads),
        *audit_load(facts),
        *audit_sample(sample or {}),
        *audit_clock_speed(facts),
        *audit_kernel(facts),
        *audit_python(facts),
    ]
    for device, state in (devices or {}).items():
        found += audit_device(device, state)
    return sorted(found, key=lambda finding: LEVELS.index(finding.level))


def banners(findings: Iterable[Finding]) -> list[str]:
    """What a report says above its numbers: clauses without a full stop, with what mends them."""
    return [
        finding.what if finding.level == "note" else f"{finding.what}. To mend it: {finding.mend}"
        for finding in findings
        if finding.banner
    ]


def warnings(
    facts: Mapping[str, Any], dropped: Mapping[str, str], kept: Mapping[str, str], threads: int
) -> list[str]:
    """What a reader of the numbers should know about the state of this machine: the audit's findings."""
    return banners(audit(facts, dropped=dropped, kept=kept, threads=threads))
