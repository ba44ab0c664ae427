"""Show the progress of a run, a verification or a training, and the time left.

A terminal has a bar, a notebook one line that is rewritten in place. Elsewhere (output to a file, say) some
lines are printed, or none.
"""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from bench.machine import terminal
from bench.records.record import Decision, Entry, Plan
from bench.reporting import words

if TYPE_CHECKING:
    from bench.records.stream import Declaration
    from bench.records.training import Settings

LINE_INTERVAL_S = 10.0  # between two lines of block 0 without a terminal
TRAINING_LINES = 5  # of each variant, after the first line, without a terminal
BLOCK_0_TEXT = "checking results and finding how long a call takes"


class Screen:
    """Show progress: ``update`` replaces the current state, ``line`` prints a lasting line."""

    def __init__(self, bar: Progress, write: Callable[[str], None] | None = None) -> None:
        self.watched = bar.console.is_terminal
        self._bar = bar
        self._write = write
        self._task = bar.add_task("", total=None, left="")

    def update(self, text: str, done: int | None = None, total: int | None = None, left: str = "") -> None:
        """Show the current state."""
        self._bar.update(self._task, description=escape(text), completed=done, total=total, left=left)
        if self._write is not None:
            self._write(" · ".join(filter(None, (text, left))))

    def line(self, text: str) -> None:
        """Print a lasting line."""
        self._bar.console.print(text, markup=False, highlight=False, soft_wrap=not self.watched)


def in_notebook() -> bool:
    """Return whether this process shows its outputs in a notebook."""
    return "IPython" in sys.modules and Console().is_jupyter


@contextmanager
def screen(*, lines: bool = True, stderr: bool = True) -> Iterator[Screen]:
    """Provide a screen; on leaving, only the printed lines remain, and ``lines=False`` prints none."""
    notebook = in_notebook()
    console = terminal.console(stderr=stderr)
    console.quiet = notebook or not (lines or console.is_terminal)
    rest = Column(ratio=1, no_wrap=True, overflow="ellipsis")  # a long name costs neither bar nor time left
    columns = (
        BarColumn(bar_width=24), TextColumn("{task.fields[left]:>18}"),
        TextColumn("{task.description}", table_column=rest),
    )  # fmt: skip
    hidden = notebook or not console.is_terminal
    with Progress(*columns, console=console, transient=True, expand=True, disable=hidden) as bar:
        if not notebook:
            yield Screen(bar)
            return
        from IPython.display import display  # every notebook has IPython; this package does not depend on it

        handle = display({"text/plain": ""}, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        yield Screen(bar, lambda text: handle.update({"text/plain": text}, raw=True))
        handle.update({"text/plain": ""}, raw=True)


class RunProgress:
    """Show a run's progress: all entries of all blocks on one bar; without a terminal, a line per block."""

    def __init__(self, plan: Plan, screen: Screen) -> None:
        self._plan = plan
        self._screen = screen
        self._blocks = plan.blocks
        self._titles = {arm.id: arm.title for arm in plan.arms}
        self._begun = self._printed = time.monotonic()
        self._entries = sum(len(group.entries) for group in plan.groups)
        self._done = 0
        self._counted_from: tuple[float, int] | None = None  # time and entries done when block 1 began
        self._left_out: set[str] = set()

    def starting(self, block: int, blocks: int) -> None:
        """Show that a block's workers are starting."""
        self._blocks = blocks
        self._done = block * self._entries
        if block >= 1 and self._counted_from is None:
            self._counted_from = (time.monotonic(), self._done)
        name, left = self._block_name(block), self._time_left()
        if not self._screen.watched:
            self._screen.line(f"{name}{f', {left}' if left else ''}")
        self._update(f"{name}: starting fresh processes", left)

    def measuring(self, block: int, entry: Entry) -> None:
        """Show that an entry's timing begins."""
        self._done += 1
        number = self._done - block * self._entries
        text = f"{self._block_name(block)}, entry {number} of {self._entries}"
        now = time.monotonic()
        if not self._screen.watched and block == 0 and now - self._printed >= LINE_INTERVAL_S:
            self._printed = now
            self._screen.line(text)
        self._update(f"{text}: {entry.group}, {self._titles[entry.arm]}", self._time_left())

    def decided(self, decision: Decision) -> None:
        """Print which tables and arms the time budget drops."""
        new = [name for name in words.dropped(self._plan, decision) if name not in self._left_out]
        why = f"The whole plan would take {decision.predicted_s:.0f} s; to stay within the budget, "
        if self._plan.budget_rule == "hold":  # with a budget of that length some would be left out again
            why = "To stay within the budget (a longer one includes them), "
        if self._counted_from is not None:  # block 0 is over, so this is a later decision
            why = "A block takes longer than block 0 had promised; to stay within the budget, from here on "
        if new:
            self._screen.line(f"{why}these are left out: {', '.join(new)}.")
        self._left_out |= set(new)

    def _update(self, text: str, left: str) -> None:
        self._screen.update(text, self._done, self._entries * (self._blocks + 1), left)

    def _block_name(self, block: int) -> str:
        return BLOCK_0_TEXT if block == 0 else f"block {block} of {self._blocks}"

    def _time_left(self) -> str:
        """Return the time left as text; empty until an entry of block 1 is done."""
        start, entries = self._counted_from or (0.0, self._done)
        if self._done <= entries:
            return ""
        now, plan = time.monotonic(), self._plan
        entry_s = (now - start) / (self._done - entries)
        budget_s = plan.budget_s if plan.budget_rule == "hold" and plan.budget_s is not None else math.inf
        n_left = self._entries * (self._blocks + 1) - self._done
        return f"about {min(entry_s * n_left, max(0.0, budget_s - (now - self._begun))):.0f} s left"


@contextmanager
def run_progress(plan: Plan, *, lines: bool = True) -> Iterator[RunProgress]:
    """Show a run's progress until the context ends."""
    with screen(lines=lines) as display:
        yield RunProgress(plan, display)


class SweepProgress:
    """Show what each host measures: a line for each host; without a terminal, a line for each event."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._lines: dict[str, TaskID] = {}  # by host

    def now(self, host: str, text: str) -> None:
        """Show what a host does, and for how long."""
        if host not in self._lines:
            self._lines[host] = self._bar.add_task("", total=None)
        self._bar.reset(self._lines[host], description=escape(f"{host}: {text}"))
        if not self._bar.console.is_terminal:
            self.line(host, text)

    def line(self, host: str, text: str) -> None:
        """Print a lasting line about a host."""
        console = self._bar.console
        console.print(f"{host}: {text}", markup=False, highlight=False, soft_wrap=not console.is_terminal)


@contextmanager
def sweep_progress() -> Iterator[SweepProgress]:
    """Show the progress of a sweep until the context ends."""
    console = terminal.console(stderr=True)
    columns = (TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield SweepProgress(bar)


@contextmanager
def stream_progress(
    declaration: "Declaration", *, lines: bool = True
) -> Iterator[Callable[[int, str], None]]:
    """Show a stream's progress; call the result with a block and what happens in it.

    Without a terminal, a line per block is printed, if ``lines``.
    """
    last_block = 0
    with screen(lines=lines) as display:

        def tell(block: int, text: str) -> None:
            nonlocal last_block
            name = f"block {block} of {declaration.blocks}"
            if block > last_block and not display.watched:
                display.line(name)
            last_block = block
            display.update(f"{name}: {text}", block - 1, declaration.blocks)

        yield tell


@contextmanager
def verify_progress() -> Iterator[Callable[[int, int], None]]:
    """Show a verification's progress; call the result with the proofs done and the proofs in all."""
    with screen(lines=False) as display:
        display.update("computing the reference")
        yield lambda done, total: display.update(f"{done} of {total} proofs", done, total)


@contextmanager
def train_progress(
    settings: "Settings", *, lines: bool = True
) -> Iterator[Callable[[str, int, float], None]]:
    """Show a training's progress; call the result with variant, epoch and loss at every report.

    With ``lines``, print every report in a terminal, and a few for each variant elsewhere.
    """
    width, epochs = max(map(len, settings.variants)), settings.epochs
    due: dict[str, int] = {}  # variant -> the next epoch to print
    with screen(lines=lines, stderr=False) as display:

        def tell(variant: str, epoch: int, loss: float) -> None:
            display.update(f"{variant} · epoch {epoch} · loss {loss:.4e}", epoch, epochs)
            if not lines or epoch < due.get(variant, 0):
                return
            if not display.watched:
                due[variant] = (TRAINING_LINES * epoch // epochs + 1) * epochs // TRAINING_LINES
            display.line(f"{variant:{width}}  epoch {epoch:{len(str(epochs))}}  loss {loss:.4e}")

        yield tell
