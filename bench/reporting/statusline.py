"""Progress without a terminal: in a notebook one line that is rewritten in place, elsewhere nothing."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import Progress, TaskID

from bench.measure.block import Progress as RunProgress
from bench.records.record import Plan
from bench.reporting.progress import Display, show_progress


def in_notebook() -> bool:
    """Whether outputs are shown by a notebook."""
    return "IPython" in sys.modules and Console().is_jupyter


@contextmanager
def status_line() -> Iterator[Callable[[str], None]]:
    """A function that shows a text in the output of the notebook's cell, in place of the one before.

    In the end nothing is left of it.
    """
    from IPython.display import display  # in a notebook it is there; this package does not depend on it

    shown: Any = display({"text/plain": ""}, raw=True, display_id=True)  # type: ignore[no-untyped-call]
    yield lambda text: shown.update({"text/plain": text}, raw=True)
    shown.update({"text/plain": ""}, raw=True)


@contextmanager
def run_progress(plan: Plan) -> Iterator[RunProgress]:
    """A display for the time of a run: a bar on a terminal, a line in a notebook, elsewhere nothing."""
    if in_notebook():
        with status_line() as say:
            yield Display(plan, _Line(say))
    elif sys.stderr.isatty():
        with show_progress(plan) as display:
            yield display
    else:
        yield Display(plan, _Line(lambda text: None))


@contextmanager
def verify_progress() -> Iterator[Callable[[int, int], None]]:
    """The same for a verification: called with the number of proofs so far and in the end."""
    if in_notebook():
        with status_line() as say:
            say("computing the reference")
            yield lambda done, total: say(f"{done} of {total} proofs")
    else:
        from bench.reporting.verify_table import progress

        with progress() as show:
            yield show


@contextmanager
def train_progress() -> Iterator[Callable[[str, int, float], None]]:
    """The same for a training: called with variant, epoch and loss."""
    if in_notebook():
        with status_line() as say:
            yield lambda variant, epoch, loss: say(f"{variant} · epoch {epoch} · loss {loss:.4e}")
    else:
        yield lambda variant, epoch, loss: None


class _Line(Progress):
    """A bar that draws nothing: it passes its text on to ``say``."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(console=Console(quiet=True), disable=True)
        self._say = say

    def update(self, task_id: TaskID, **changes: Any) -> None:
        """As rich's."""
        super().update(task_id, **changes)
        task = self.tasks[task_id]
        self._say(" · ".join(filter(None, (task.description, task.fields["left"]))))
