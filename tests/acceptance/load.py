"""Other programs that keep processors busy meanwhile."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

LOOP = """
import sys, time
on_s, off_s = map(float, sys.argv[1:])
print(flush=True)
while True:
    until = time.monotonic() + on_s
    while time.monotonic() < until:
        pass
    time.sleep(off_s)
"""
STEADY, BURSTS = (1.0, 0.0), (0.3, 0.7)  # seconds busy, seconds asleep
LOADS = {"quiet": (), "one": (STEADY,), "two": (STEADY, STEADY), "bursts": (BURSTS,)}
TITLES = {
    "quiet": "a machine that does nothing else",
    "one": "one busy loop beside it",
    "two": "two busy loops beside it",
    "bursts": "a loop beside it that is busy for 0.3 s and sleeps for 0.7 s",
}


@contextmanager
def load(name: str) -> Iterator[None]:
    """Run the loops of ``LOADS[name]``, and end them."""
    command = [sys.executable, "-c", LOOP]
    loops = [
        subprocess.Popen([*command, *map(str, seconds)], stdout=subprocess.PIPE) for seconds in LOADS[name]
    ]
    try:
        for loop in loops:
            assert loop.stdout is not None
            loop.stdout.readline()
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.communicate()
