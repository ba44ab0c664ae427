"""The verbs ``devices`` and ``variants``: where can be timed, and what."""

from typing import TYPE_CHECKING

from bench.api import options
from bench.machine.devices import Device, find_devices
from bench.machine.libraries import LIBRARIES, library
from bench.machine.wording import full_stop, listing
from bench.workload import catalog
from bench.workload.case import ACTIVATIONS, DTYPES, LAYOUTS, TASKS
from bench.workload.catalog import Variant

if TYPE_CHECKING:
    from rich.console import Console

LEAST_WIDTH = 60  # in less, as COLUMNS=0 asks for, a table shows nothing


def devices_main(args: options.DevicesOptions) -> int:
    """Print every device with name, memory and dtypes, and why an absent one is absent."""
    from rich.markup import escape
    from rich.table import Table

    devices = find_devices()
    table = Table("device", "name", "memory", "dtypes", title="Devices of this machine")
    for device in devices.present:
        table.add_row(device.id, escape(device.name), memory(device), ", ".join(device.dtypes))
    for absent in devices.absent:
        table.add_row(absent.kind, escape(f"absent: {absent.reason}"), style="dim")
    console = _console()
    console.print(table)
    for reason in devices.missing.values():
        usable = listing([each.label for each in LIBRARIES.values() if each.name not in devices.missing])
        console.print(full_stop(f"{usable} variants alone can run: {reason}"), markup=False)
    for name, version in devices.versions.items():
        others = listing([each.label for each in LIBRARIES.values() if not each.accelerators])
        seen = f"As {library(name).label} {version} sees it; {others} uses the cpu only."
        console.print(seen, markup=False)
    return 0


def variants_main(args: options.VariantsOptions) -> int:
    """Print the catalogue, and the user's own variants that ``args.variant`` names.

    Raises:
        UserError: one of those cannot be loaded.
    """
    from rich.markup import escape
    from rich.table import Table

    own = [catalog.find(spec) for spec in args.variant]
    variants = dict.fromkeys([*catalog.VARIANTS, *own])
    table = Table("variant", "what it is", "devices", "limits", title="What can be timed")
    for variant in variants:
        cells = (variant.name, variant.summary, ", ".join(variant.devices), limits(variant))
        table.add_row(*map(escape, cells), style="yellow" if variant.known_wrong else "")
    _console().print(table)
    return 0


def memory(device: Device) -> str:
    """Return the memory in GiB, as people say it."""
    return "" if device.memory_bytes is None else f"{device.memory_bytes / 2**30:.1f} GiB"


def _console() -> "Console":
    """Return standard output, wide enough for a table."""
    from rich.console import Console

    console = Console()
    console.width = max(console.width, LEAST_WIDTH)
    return console


def limits(variant: Variant) -> str:
    """Return which tasks, layouts, dtypes and activations the variant does not support."""
    choices = {
        "task": (TASKS, variant.tasks),
        "layout": (LAYOUTS, variant.layouts),
        "dtype": (DTYPES, variant.dtypes),
        "activation": (ACTIVATIONS, variant.activations),
    }
    return ", ".join(
        f"no {what} {name}" for what, (names, has) in choices.items() for name in names if name not in has
    )
