"""The verb ``train``: settings from arguments, losses in the terminal, and what came out."""

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from bench.errors import UserError
from bench.printable import printable
from bench.results.folder import shown
from bench.training.params import save_params
from bench.training.result import TrainResult, load_result
from bench.training.run import default_folder, draw, run_training
from bench.training.work import BATCH, Settings

EXIT_CODES = {"complete": 0, "partial": 3, "interrupted": 130}


def main(args: argparse.Namespace) -> int:
    """Train as ``args`` say and draw it; return the exit code."""
    settings = make_settings(args)
    folder = Path(args.out) if args.out else default_folder()
    if args.save and not Path(args.save).resolve().parent.is_dir():
        raise UserError(f"--save {args.save}: there is no such folder; make it first")
    with Display(settings) as display:
        run_training(settings, folder, display.tell, note)
    print("\nDrawing ...", flush=True)
    page = draw(folder)
    result = load_result(folder)
    if args.save:
        save(result, Path(args.save))
    print(f"\n{result.summary()}\n\nReport: {shown(page)}")
    return EXIT_CODES[result.status]


def make_settings(args: argparse.Namespace) -> Settings:
    """The arguments as settings; what was not given keeps its default."""
    chosen = {name: getattr(args, name) for name in Settings.__struct_fields__ if name != "variants"}
    chosen["batch"] = args.batch or BATCH
    if args.variant:
        chosen["variants"] = tuple(args.variant)
    return Settings(**chosen)


def note(text: str) -> None:
    """Print what a person should know before the training on standard error."""
    print(f"rnnbench: {printable(text)}", file=sys.stderr, flush=True)


def save(result: TrainResult, path: Path) -> None:
    """Each variant's parameters; where there are several, their names become part of the file's."""
    runs = [run for run in result.runs if run.params]
    for run in runs:
        own = path if len(runs) == 1 else path.with_name(f"{path.stem}-{run.variant}{path.suffix or '.npz'}")
        save_params(own, run.params)
        print(f"Parameters of {run.variant}: {own}")


class Display:
    """A line for each report on standard output, and a bar below them in a terminal."""

    def __init__(self, settings: Settings) -> None:
        self._epochs = settings.epochs
        self._width = max(len(name) for name in settings.variants)
        self._console = Console(highlight=False)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed} of {task.total} epochs"),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def tell(self, variant: str, epoch: int, loss: float) -> None:
        """Print one report."""
        if variant not in self._tasks:
            self._tasks[variant] = self._bar.add_task(variant, total=self._epochs)
        self._bar.update(self._tasks[variant], completed=epoch)
        line = f"{variant:{self._width}}  epoch {epoch:{len(str(self._epochs))}}  loss {loss:.4e}"
        self._console.print(line, markup=False, soft_wrap=True)

    def __enter__(self) -> "Display":
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()
