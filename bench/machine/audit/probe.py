"""The child that imports one library and tells what it finds; see probing.py.

Its arguments are ``LIBRARY THREADS``; it replies with one JSON object.
"""

import json
import os
import platform
import sys
from typing import Any

from bench.machine import device_probe
from bench.machine.device_facts import device_facts
from bench.machine.library import library_facts, limit_threads, precision, set_ieee_precision, tell
from bench.machine.lifeline import replies


def probe(library: str, threads: int) -> dict[str, Any]:
    """Facts of a library in a process that is set up as a worker is; with those of every accelerator.

    Returns:
        ``facts`` (of torch also ``default_precision``, before it is set) and ``devices`` by their id.
    """
    if library == "numpy":
        return {"facts": library_facts("numpy"), "devices": {}}
    import torch

    default = precision()
    limit_threads(threads)
    set_ieee_precision()
    found = device_probe.describe(torch, os.environ, platform.system())["present"]
    devices = {entry["id"]: entry | device_facts(entry["id"]) | _identity(entry["id"]) for entry in found}
    return {"facts": library_facts("torch") | {"default_precision": default}, "devices": devices}


def _identity(device: str) -> dict[str, Any]:
    """What nvidia-smi knows a device by; it stays out of every record."""
    properties = sys.modules["torch"].cuda.get_device_properties
    return tell(uuid=lambda: f"GPU-{properties(device).uuid}") if device.startswith("cuda") else {}


if __name__ == "__main__":
    with replies() as send:
        send(json.dumps(probe(sys.argv[1], int(sys.argv[2]))).encode())
