"""The verb ``check``: is this machine, as it stands, fit for timing; and what mends it where it is not."""

import argparse
import dataclasses
import json
import time
from collections.abc import Sequence

from bench.machine import gates, host
from bench.machine.audit.finding import LEVELS, Finding, Level, note
from bench.machine.audit.findings import audit
from bench.machine.audit.probing import Probed, probe_libraries
from bench.machine.audit.variables import PINS
from bench.machine.device import find_devices, resolve
from bench.machine.environ import speed_variables, worker_environment

SAMPLE_S = 0.5
HEADINGS: dict[Level, str] = {
    "unfair": "Unfair to one library",
    "unstable": "Makes times unstable",
    "note": "Good to know",
}
COLOURS: dict[Level, str] = {"unfair": "red", "unstable": "yellow", "note": "cyan"}


def main(args: argparse.Namespace) -> int:
    """Audit and print; return 1 if something is unfair on this machine as it stands, else 0.

    Raises:
        UserError: a device that is asked for is absent.
    """
    wanted = None
    if args.device and "all" not in args.device:
        accelerators = [device for device in args.device if device != "cpu"]
        wanted = resolve(accelerators, find_devices())[0] if accelerators else []
    findings = audit_here(wanted)
    if args.json:
        print(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=2))
    else:
        show(findings)
    return 1 if any(finding.level == "unfair" for finding in findings) else 0


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


def show(findings: Sequence[Finding]) -> None:
    """Print the findings for people, the worst first, and one sentence at the end."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False)
    for level in LEVELS:
        here = [finding for finding in findings if finding.level == level]
        if here:
            console.print(f"\n[bold {COLOURS[level]}]{HEADINGS[level]}[/]")
        for finding in here:
            console.print(f"  {finding.topic}: {escape(finding.what)}", soft_wrap=not console.is_terminal)
            console.print(f"    [dim]->[/] {escape(finding.mend)}", soft_wrap=not console.is_terminal)
    console.print(f"\n{sentence(findings)}", soft_wrap=not console.is_terminal)


def sentence(findings: Sequence[Finding]) -> str:
    """What it comes to."""
    unfair, unstable = (sum(finding.level == level for finding in findings) for level in LEVELS[:2])
    if unfair:
        return f"{_count(unfair).capitalize()} unfair here: mend that before you believe a comparison."
    if unstable:
        return f"Nothing is unfair here; {_count(unstable)} unstable, so intervals will be wider."
    return "This machine is fit for timing."


def _count(number: int) -> str:
    return "one thing is" if number == 1 else f"{number} things are"


def _kernels(probed: Probed) -> tuple[str, str] | None:
    free = probed.libraries.get("numpy", {}).get("kernel")
    return (probed.pinned_kernel, free) if probed.pinned_kernel and free else None
