"""The progress display: what runs, and how long is left."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn

from bench.records.record import Decision, Entry, Plan
from bench.reporting import words

EVERY_S = 10.0  # between two lines of block 0 where standard error is no terminal


def _name(block: int, blocks: int) -> str:
    """What a block does, in words."""
    if block == 0:
        return "checking results and finding how long a call takes"
    return f"block {block} of {blocks}"


class Display:
    """A bar over all entries of all blocks; a line a block where standard error is no terminal."""

    def __init__(self, plan: Plan, bar: Progress) -> None:
        self._bar = bar
        self._plan = plan
        self._blocks = plan.blocks
        self._titles = {arm.id: arm.title for arm in plan.arms}
        self._begun = self._said_at = time.monotonic()
        self._entries = sum(len(group.entries) for group in plan.groups)
        self._task = bar.add_task("starting", total=self._entries * (plan.blocks + 1), left="")
        self._done = 0
        self._counted_from: tuple[float, int] | None = None
        self._left_out: set[str] = set()

    def starting(self, block: int, blocks: int) -> None:
        """A block's workers are being started."""
        self._blocks = blocks
        self._done = block * self._entries
        if block >= 1 and self._counted_from is None:
            self._counted_from = (time.monotonic(), self._done)
        name = _name(block, blocks)
        left = self._left()
        if not self._bar.console.is_terminal:
            self._bar.console.print(f"{name}{f', {left}' if left else ''}", highlight=False)
        self._bar.update(
            self._task,
            description=f"{name}: starting fresh processes",
            completed=self._done,
            total=self._entries * (blocks + 1),
            left=left,
        )

    def measuring(self, block: int, entry: Entry) -> None:
        """An entry is about to take its burst."""
        self._done += 1
        text = f"{_name(block, self._blocks)}, entry {self._done - block * self._entries} of {self._entries}"
        if not self._bar.console.is_terminal and block == 0 and self._is_time():
            self._bar.console.print(text, highlight=False)
        self._bar.update(
            self._task,
            description=f"{text}: {escape(f'{entry.group}, {self._titles[entry.arm]}')}",
            completed=self._done,
            left=self._left(),
        )

    def decided(self, decision: Decision) -> None:
        """Say what the time budget drops."""
        new = [name for name in words.dropped(self._plan, decision) if name not in self._left_out]
        why = f"The whole plan would take {decision.predicted_s:.0f} s; to stay within the budget, "
        if self._counted_from is not None:  # block 0 decided earlier
            why = "A block takes longer than block 0 had promised; to stay within the budget, from here on "
        if new:
            self._bar.console.print(f"{why}these are left out: {', '.join(new)}.", highlight=False)
        self._left_out |= set(new)

    def _is_time(self) -> bool:
        """Whether a line is due where every entry would be too many."""
        now = time.monotonic()
        due = now - self._said_at >= EVERY_S
        self._said_at = now if due else self._said_at
        return due

    def _left(self) -> str:
        if self._counted_from is None:
            return ""
        since, entries = self._counted_from
        if self._done <= entries:
            return ""
        per_entry_s = (time.monotonic() - since) / (self._done - entries)
        total = self._entries * (self._blocks + 1)
        plan, spent_s = self._plan, time.monotonic() - self._begun
        most_s = plan.budget_s if plan.budget_rule == "hold" and plan.budget_s is not None else math.inf
        left_s = min(per_entry_s * (total - self._done), max(0.0, most_s - spent_s))
        return f"about {left_s:.0f} s left"


@contextmanager
def show_progress(plan: Plan) -> Iterator[Display]:
    """A display on standard error for the time of a run."""
    console = Console(stderr=True)
    columns = (
        BarColumn(bar_width=24),
        TextColumn("{task.fields[left]:>18}"),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield Display(plan, bar)
