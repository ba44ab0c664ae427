"""Start a child process: tie its life to its parent's, then run a module.

``python -P -m bench.machine.lifeline MODULE ARGUMENTS``. ``RNNBENCH_LIFELINE`` holds the parent's process id
and the reading end of a pipe that the parent keeps open. On Linux, the kernel kills the child when the parent
dies, even if the child is stopped or in compiled code. Elsewhere, a thread waits for the pipe's end.
"""

import os
import runpy
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

VARIABLE = "RNNBENCH_LIFELINE"  # "PID of the parent:descriptor of the pipe"
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def main() -> None:
    """Tie this process to its parent and run the module that the arguments name."""
    tie(os.environ.pop(VARIABLE))
    module = sys.argv[1]
    del sys.argv[1]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def tie(lifeline: str) -> None:
    """End this process when its parent ends; exit now if the parent has already ended."""
    parent, _, pipe = lifeline.partition(":")
    if not die_with_parent():
        threading.Thread(target=_wait_for_end, args=(int(pipe),), daemon=True).start()
    if os.getppid() != int(parent):
        os._exit(1)


def die_with_parent(*, adopt: bool = True) -> bool:
    """Ask the kernel to kill this process when its parent dies; return whether that worked.

    ``adopt``: a descendant whose own parent has ended becomes a child of this process, and ends with it.
    """
    with suppress(OSError, AttributeError, ImportError):
        import ctypes

        if sys.platform == "linux":
            kernel = ctypes.CDLL(None)
            kernel.prctl(PR_SET_CHILD_SUBREAPER, int(adopt), 0, 0, 0)
            return bool(kernel.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL)) == 0)
    return False


def _wait_for_end(pipe: int) -> None:
    """Kill this process's group once no process holds the other end of the pipe."""
    os.read(pipe, 1)
    with suppress(OSError):
        if os.getpgrp() == os.getpid():
            os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


@contextmanager
def replies() -> Iterator[Callable[[bytes], None]]:
    """Take over standard output: yield a function that sends the parent a line; redirect prints to stderr."""
    with os.fdopen(os.dup(1), "wb") as pipe:
        os.dup2(2, 1)  # a variant's prints must not look like replies

        def send(line: bytes) -> None:
            pipe.write(line + b"\n")
            pipe.flush()

        yield send


if __name__ == "__main__":
    main()
