"""The child process that imports one library and tells what it finds, as one JSON object.

``python -m bench.machine.probe LIBRARY [THREADS]``: accelerators; with a number of threads also the facts of
a process that is set up as a worker is. Needs the standard library alone before it imports the other.
"""

import json
import sys
from dataclasses import asdict, replace

from bench.machine.libraries import library
from bench.machine.libraries.library import Inventory, Library
from bench.machine.lifeline import replies


def probe(asked: Library, threads: int | None = None) -> Inventory:
    """Import the library and look around.

    With ``threads`` the inventory has the library's facts (``default_precision`` is of before that is set),
    and those of accelerators with the ``uuid`` by which a vendor's tool knows them.
    """
    try:
        asked.load()
    except (ImportError, OSError) as error:  # OSError: one of its shared libraries is missing
        return Inventory(missing=asked.why_missing(error))
    if threads is None:
        return asked.find_accelerators()
    default = {"default_precision": precision} if (precision := asked.precision()) else {}
    asked.prepare(threads)
    inventory = asked.find_accelerators()
    devices = {
        device.id: asked.device_facts(device.id) | {"uuid": asked.device_uuid(device.id)}
        for device in inventory.present
    }
    return replace(inventory, facts=asked.facts() | default, devices=devices)


if __name__ == "__main__":
    with replies() as send:
        send(json.dumps(asdict(probe(library(sys.argv[1]), *map(int, sys.argv[2:])))).encode())
