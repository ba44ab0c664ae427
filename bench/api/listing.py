"""Run the commands ``devices`` and ``variants``: list the devices and the variants that can be timed."""

from dataclasses import asdict, fields
from typing import Any

from bench.api import options
from bench.machine import terminal
from bench.machine.devices import Device, find_devices
from bench.machine.errors import UserError
from bench.machine.libraries import LIBRARIES, library
from bench.machine.wording import full_stop, listing, one_line
from bench.workload import catalog
from bench.workload.case import ACTIVATIONS, DTYPES, LAYOUTS, TASKS
from bench.workload.catalog import Variant
from bench.workload.cell import CELLS
from bench.workload.peers.libraries import EXTRA
from bench.workload.plugins import Plugin, installed

LISTING_SECONDS = 20.0  # in which a plug-in tells what it is: its import, perhaps that of PyTorch


def devices_main(args: options.DevicesOptions) -> int:
    """Print each device with name, memory and dtypes, and the reason why a device is absent."""
    from rich.markup import escape
    from rich.table import Table

    devices = find_devices()
    if args.json:
        terminal.print_json(asdict(devices))
        return 0
    table = Table("device", "name", "memory", "dtypes", title="Devices of this machine")
    for device in devices.present:
        table.add_row(device.id, escape(device.name), memory(device), ", ".join(device.dtypes))
    for absent in devices.absent:
        table.add_row(absent.kind, escape(f"absent: {absent.reason}"), style="dim")
    terminal.console().print(table)
    for reason in devices.missing.values():
        usable = listing([item.label for item in LIBRARIES.values() if item.name not in devices.missing])
        terminal.say(full_stop(f"{usable} variants alone can run: {reason}"))
    for name, version in devices.versions.items():
        cpu_libraries = listing([item.label for item in LIBRARIES.values() if not item.accelerators])
        note = f"As {library(name).label} {version} sees it; {cpu_libraries} uses the cpu only."
        terminal.say(note)
    return 0


def variants_main(args: options.VariantsOptions) -> int:
    """Print the catalogue, the user's variants named by ``args.variant``, peers, and those of packages.

    A plug-in that cannot be used, and a peer that is not installed, is a line below the table.

    Raises:
        UserError: a user's variant cannot be loaded.
    """
    from rich.markup import escape
    from rich.table import Table

    user_variants = [catalog.find(spec) for spec in args.variant]
    plugged, refusals = plugged_in()
    reasons = {peer: catalog.why_no_peer(peer) for peer in catalog.PEERS}
    offered = [(variant, plugin.origin) for plugin, variant in plugged.items()]
    offered += [(peer, "rnnbench[peers], also by --peers") for peer, reason in reasons.items() if not reason]
    if absent := [peer.name for peer, reason in reasons.items() if reason]:
        refusals.append(f"For {listing(absent)}: {EXTRA}")
    variants = dict.fromkeys([*catalog.VARIANTS, *catalog.LENGTHS, *user_variants])
    if args.json:
        records = [_record(variant) for variant in variants]
        records += [_record(variant) | {"package": package} for variant, package in offered]
        terminal.print_json(records)
        for refusal in refusals:
            terminal.say(refusal, stderr=True)
        return 0
    columns = (
        "variant",
        "what it is",
        "devices",
        "limits",
        *["package, runs where it is named"][: len(offered)],
    )
    table = Table(*columns, title=f"What can be timed, of the cells {listing(list(CELLS))}")
    for variant in variants:
        table.add_row(*map(escape, _cells(variant)), style="yellow" if variant.known_wrong else "")
    for variant, package in offered:
        table.add_row(*map(escape, (*_cells(variant), package)))
    console = terminal.console()
    console.print(table)
    for refusal in refusals:
        console.print(refusal, style="red", markup=False, highlight=False, soft_wrap=not console.is_terminal)
    return 0


def plugged_in() -> tuple[dict[Plugin, Variant], list[str]]:
    """Return the variants of installed packages, and why the others of them cannot be used, a line each."""
    variants: dict[Plugin, Variant] = {}
    refusals: dict[str, None] = {}  # two entry points of a package may have one
    for plugin in installed():
        try:
            variants[plugin] = catalog.find_plugin(plugin, deadline_s=LISTING_SECONDS)
        except UserError as error:
            refusals[one_line(error)] = None
    return variants, [*refusals]


def _cells(variant: Variant) -> tuple[str, str, str, str]:
    """Return the cells of a variant's row."""
    return variant.name, variant.summary or "your own", ", ".join(variant.devices), limits(variant)


def _record(variant: Variant) -> dict[str, Any]:
    """Return a variant for JSON, with the names of its cells."""
    record = {field.name: getattr(variant, field.name) for field in fields(variant)}
    return record | {"cells": list(variant.cells), "known_wrong": variant.known_wrong}


def memory(device: Device) -> str:
    """Return the memory as text in GiB, empty if unknown."""
    return "" if device.memory_bytes is None else f"{device.memory_bytes / 2**30:.1f} GiB"


def limits(variant: Variant) -> str:
    """Return what the variant does not support, and its cells unless it has all of them."""
    limited = [] if variant.cells.keys() >= CELLS.keys() else [f"{listing(list(variant.cells))} alone"]
    limited += [] if True in variant.biases else ["no biases"]
    limited += [] if False in variant.lengths else ["with --lengths alone"]
    choices = {
        "task": (TASKS, variant.tasks),
        "layout": (LAYOUTS, variant.layouts),
        "dtype": (DTYPES, variant.dtypes),
        "activation": (ACTIVATIONS, variant.activations),
    }
    limited += [
        f"no {what} {name}" for what, (names, valid) in choices.items() for name in names if name not in valid
    ]
    return ", ".join(limited)
