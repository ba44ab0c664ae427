"""The child process that imports one library and tells what it finds, as one JSON object.

``python -m bench.machine.probe LIBRARY [THREADS]``: accelerators; with a number of threads also the facts of
a process that is set up as a worker is. Needs the standard library alone before it imports the other.
"""

import json
import sys
from typing import Any

from bench.machine.libraries import Library, library
from bench.machine.lifeline import replies


def probe(asked: Library, threads: int | None = None) -> dict[str, Any]:
    """Import the library and look around.

    Returns:
        ``missing`` where it cannot be imported; else ``version``, ``present`` and ``absent`` as
        ``find_accelerators`` has them, and with ``threads`` the library's ``facts`` (with its
        ``default_precision``, before that is set) and those of accelerators, by their id, in ``devices``.
    """
    try:
        asked.load()
    except (ImportError, OSError) as error:  # OSError: one of its shared libraries is missing
        return {"missing": asked.why_missing(error)}
    if threads is None:
        return asked.find_accelerators()
    default = {"default_precision": precision} if (precision := asked.precision()) else {}
    asked.prepare(threads)
    answer = asked.find_accelerators()
    devices = {
        entry["id"]: entry | asked.device_facts(entry["id"]) | asked.device_identity(entry["id"])
        for entry in answer["present"]
    }
    return answer | {"facts": asked.facts() | default, "devices": devices}


if __name__ == "__main__":
    with replies() as send:
        send(json.dumps(probe(library(sys.argv[1]), *map(int, sys.argv[2:]))).encode())
