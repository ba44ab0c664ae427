"""The most memory that a process held, asked from within it."""

import inspect


def peak_megabytes() -> float:
    """Since the program began: ``ru_maxrss`` of a child would begin with what its parent holds."""
    import re
    import resource
    import sys
    from pathlib import Path

    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(found[1]) * 1024 / 1e6
    return (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
    )


# of a program that is given to a child as text: prints the peak as its last word
PRINT_PEAK = f"{inspect.getsource(peak_megabytes)}\nprint('peak', peak_megabytes())\n"
