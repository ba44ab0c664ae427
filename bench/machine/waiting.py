"""Before a run: say that the machine is busy, and wait until it is quiet where that is asked."""

import sys
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.text import Text

from bench.machine import busy
from bench.machine.busy import MOMENT_S, WINDOW_S, Usage
from bench.machine.units import seconds
from bench.machine.wording import one_line

Say = Callable[[str], object]


def complain(text: str) -> None:
    """Print a line on standard error."""
    print(f"rnnbench: {one_line(text)}", file=sys.stderr, flush=True)


def look_around(wait_s: float | None, say: Say = complain) -> dict[str, Any]:
    """Say in a line what else runs, having waited ``wait_s`` at most for its end; return it for the journal.

    Raises:
        KeyboardInterrupt: a signal ended the waiting.
    """
    usage, waited_s = (busy.look(MOMENT_S), None) if wait_s is None else wait(wait_s, say)
    if usage is None:
        return {}
    if not usage.quiet and waited_s is None:
        say(
            f"the machine is busy: {usage.clause}. Times will scatter; to wait for its end: --wait-quiet 5min"
        )
    # names of programs may tell about a person, and stay out of it
    facts = {"others_cpus": round(usage.others, 2), "waited_s": waited_s}
    return {name: fact for name, fact in facts.items() if fact is not None}


def wait(
    most_s: float, say: Say = complain, clock: Callable[[], float] = time.monotonic
) -> tuple[Usage | None, float]:
    """Wait until others are quiet, ``most_s`` at most; return what was seen last and the seconds it took."""
    begun, console = clock(), Console(stderr=True)
    usage = busy.look(min(WINDOW_S, most_s))
    if usage is None or usage.quiet:
        return usage, round(clock() - begun, 1)
    told = f"waiting until the machine is quiet, at most {seconds(most_s)}"
    if not console.is_terminal:
        say(f"{told}: {usage.clause}")
    with console.status(told) as status:
        while (left_s := most_s - (clock() - begun)) > 0 and (seen := busy.look(min(WINDOW_S, left_s))):
            usage = seen
            if usage.quiet:
                break
            status.update(Text(one_line(f"{told} ({left_s:.0f} s left): {usage.clause}")))
    waited_s = round(clock() - begun, 1)
    if usage.quiet:
        say(f"the machine is quiet after {seconds(waited_s)}")
    else:
        say(f"the machine is still busy after {seconds(waited_s)}, measuring all the same: {usage.clause}")
    return usage, waited_s
