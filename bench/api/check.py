"""Run the ``check`` command: find what is unfair or unstable on this machine, and tell what helps."""

import dataclasses
from collections.abc import Sequence

from bench.api.options import CheckOptions
from bench.machine import terminal
from bench.machine.audit import LEVELS, Finding, Level, audit_here
from bench.machine.devices import find_devices, resolve

HEADINGS: dict[Level, str] = {
    "unfair": "[bold red]Unfair to one library[/]",
    "unstable": "[bold yellow]Makes times unstable[/]",
    "note": "[bold cyan]Good to know[/]",
}


def main(args: CheckOptions) -> int:
    """Audit the machine and print the findings; return 1 if anything is unfair now, else 0.

    Raises:
        UserError: a requested device is absent.
    """
    devices = None
    if args.device and "all" not in args.device:
        accelerators = [device for device in args.device if device != "cpu"]
        devices = resolve(accelerators, find_devices())[0] if accelerators else []
    findings = audit_here(devices)
    if args.json:
        terminal.print_json([dataclasses.asdict(finding) for finding in findings])
    else:
        show(findings)
    return 1 if any(finding.level == "unfair" for finding in findings) else 0


def show(findings: Sequence[Finding]) -> None:
    """Print the findings as text, the worst first, and a sentence at the end."""
    from rich.markup import escape

    console = terminal.console()
    for level in LEVELS:
        of_level = [finding for finding in findings if finding.level == level]
        if of_level:
            console.print(f"\n{HEADINGS[level]}")
        for finding in of_level:
            console.print(f"  {finding.topic}: {escape(finding.what)}", soft_wrap=not console.is_terminal)
            console.print(f"    [dim]->[/] {escape(finding.mend)}", soft_wrap=not console.is_terminal)
    console.print(f"\n{sentence(findings)}", soft_wrap=not console.is_terminal)


def sentence(findings: Sequence[Finding]) -> str:
    """Return the result of the audit in one sentence."""
    unfair, unstable = (sum(finding.level == level for finding in findings) for level in LEVELS[:2])
    if unfair:
        return f"{_count(unfair).capitalize()} unfair here: mend that before you believe a comparison."
    if unstable:
        return f"Nothing is unfair here; {_count(unstable)} unstable, so intervals will be wider."
    return "This machine is fit for timing."


def _count(number: int) -> str:
    return "one thing is" if number == 1 else f"{number} things are"
