"""Describe the user's variant named on the command line, in a child process of the command."""

import os
import sys
from contextlib import suppress

import msgspec

from bench.machine.errors import UserError
from bench.machine.libraries import library
from bench.machine.lifeline import replies
from bench.workload.catalog import Description
from bench.workload.cell import find_cell
from bench.workload.own import load_variant


def main() -> None:
    """Send a description of the variant named on the command line, then wait until the parent ends the child.

    The parent then also ends every process that the variant's module started.
    """
    with replies() as send:
        try:
            variant = load_variant(sys.argv[1])
            find_cell(next(iter(variant.cells)))  # here, in case the user's cell ends or blocks its process
            used = library(variant.library)
            display = (used.label, used.colour, used.dark_colour) if variant.own_library else None
            answer = Description(variant, display)
        except UserError as error:
            answer = Description(error=str(error))
        send(msgspec.json.encode(answer))
    with suppress(OSError):  # the variant's module may have closed standard input
        os.read(0, 1)
    os._exit(0)


if __name__ == "__main__":
    main()
