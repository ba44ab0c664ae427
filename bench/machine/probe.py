"""Import one library in a child process, and print its inventory as one JSON object.

``python -m bench.machine.probe LIBRARY [THREADS]``: print accelerators; with THREADS also the facts of a
process prepared like a worker. Use only the standard library until LIBRARY is imported.
"""

import json
import sys
from dataclasses import asdict, replace

from bench.machine.libraries import library
from bench.machine.libraries.library import Inventory, Library
from bench.machine.lifeline import replies


def probe(asked: Library, threads: int | None = None) -> Inventory:
    """Import the library and return its inventory.

    With ``threads``, also return the facts of the prepared library (``default_precision`` is read before
    preparing), and each accelerator's facts with its vendor ``uuid``.
    """
    try:
        asked.load()
    except (ImportError, OSError) as error:  # OSError: one of its shared libraries is missing
        return Inventory(missing=asked.why_missing(error))
    if threads is None:
        return asked.find_accelerators()
    default_precision = {"default_precision": precision} if (precision := asked.precision()) else {}
    asked.prepare(threads)
    inventory = asked.find_accelerators()
    devices = {
        device.id: asked.device_facts(device.id) | {"uuid": asked.device_uuid(device.id)}
        for device in inventory.present
    }
    return replace(inventory, facts=asked.facts() | default_precision, devices=devices)


if __name__ == "__main__":
    with replies() as send:
        send(json.dumps(asdict(probe(library(sys.argv[1]), *map(int, sys.argv[2:])))).encode())
