"""Print the megabytes that this process held at most: after an import, and after five calls of a variant.

Arguments: variant, cell, task, T, B, I, H, O. A process of its own for each, as a peak never sinks.
"""

import json
import re
import sys
from pathlib import Path

from bench.machine.libraries import limit_threads
from bench.workload.binding import bind_case
from bench.workload.case import Case, Shape
from bench.workload.data import make
from bench.workload.own import load_variant


def peak_megabytes() -> float:
    """Return the most resident memory of this process, as Linux counts it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(kilobytes) * 1024 / 1e6


def main(name: str, cell: str, task: str, *sizes: str) -> None:
    """Import the variant's library, bind, call, and print both peaks."""
    variant = load_variant(name)
    bind = variant.load(cell)
    limit_threads(1)
    imported = peak_megabytes()
    case = Case(task, Shape(*map(int, sizes)), "sequence", data="random", cell=cell, bias=cell != "rnn")
    bound = bind_case(bind, variant.library, case, make(case), "cpu").bound
    for _ in range(5):
        bound.call()
    print(json.dumps([imported, peak_megabytes()]))


if __name__ == "__main__":
    main(*sys.argv[1:])
