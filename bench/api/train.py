"""Run the ``train`` command: build settings, show losses, report results."""

import datetime
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from pathlib import Path

import msgspec

from bench.api.options import EXIT_CODES, TrainOptions
from bench.machine.busy import Say, complain
from bench.machine.errors import UserError
from bench.machine.files import as_path, check_writable, refuse_target
from bench.machine.host_lock import host_lock
from bench.machine.signals import signals_held_back
from bench.machine.terminal import print_json, say
from bench.records.folder import display_path, drawing_report
from bench.records.results import PAGE
from bench.records.training import Settings
from bench.reporting.display import train_progress
from bench.reporting.trees import document, result_tree
from bench.training.params import save_params
from bench.training.result import TrainResult, load_result, params_file
from bench.training.train import Tell, run_training
from bench.workload import catalog
from bench.workload.options import as_words, changed

VARIANTS = ("numpy-inplace", "torch-layer")  # defaults
CSV_OPTIONS = ("column", "decimal", "encoding", "missing")


def main(args: TrainOptions) -> int:
    """Train as ``args`` say and write the report; return the exit code."""
    with redirect_stdout(sys.stderr) if args.json else nullcontext():
        result = train(args, _display, complain)
    page = result.folder / PAGE
    if args.json:
        print_json(document(page, [result_tree(result.folder, result, result.summary().splitlines())]))
    else:
        say(f"\n{result.summary()}\n\nReport: {display_path(page)}")
    return EXIT_CODES[result.status]


def train(
    args: TrainOptions, display: Callable[[Settings], AbstractContextManager[Tell]], say: Say
) -> TrainResult:
    """Train, draw the report, save the requested parameters, and return the result.

    Raises:
        UserError: an option or a file cannot be used, the folder already holds a training, or the host is in
            use and ``no_wait`` is set.
    """
    settings = make_settings(args)
    folder = as_path(args.out) if args.out else default_folder()
    paths = targets(args.save, settings.variants)
    words = ["rnnbench", "train", *as_words(args)]
    with host_lock(words, no_wait=args.no_wait, say=say), display(settings) as tell:
        run_training(settings, folder, tell, say, args.wait_quiet)
    draw(folder)
    result = load_result(folder)
    try:
        save(result, paths)
    except UserError as error:
        raise UserError(f"{error}; the parameters are in {folder / 'params'} all the same") from error
    return result


@contextmanager
def _display(settings: Settings) -> Iterator[Tell]:
    with train_progress(settings) as tell:
        yield tell
    print("\nDrawing ...", flush=True)


def default_folder() -> Path:
    """Return the path results/train-<time>."""
    return Path("results") / datetime.datetime.now().strftime("train-%Y-%m-%d-%H%M%S")


def draw(folder: Path) -> None:
    """Write plots, animation, losses.csv and the report of a saved training."""
    with drawing_report(folder):
        with signals_held_back():  # an interrupted import may raise anything, or nothing
            from bench.reporting.build import build_report  # jinja2 and matplotlib, needed from here on
            from bench.reporting.training_plots import draw_pictures

        result = load_result(folder)
        result.write_losses(folder / "losses.csv")
        draw_pictures(result, folder)
        build_report([folder], None)


def make_settings(args: TrainOptions) -> Settings:
    """Build the training settings from the options.

    Raises:
        UserError: an option requires a series, or does not fit a series.
    """
    if args.series is not None and args.batch:
        raise UserError("a series is trained on all its windows at once; leave --batch out")
    for name in CSV_OPTIONS:
        if args.series is None and name in changed(args):
            raise UserError(f"--{name} is about a CSV file; give that too: --series FILE.csv")
    names = [field.name for field in msgspec.structs.fields(Settings) if field.name != "variants"]
    return Settings(variants=args.variant or VARIANTS, **{name: getattr(args, name) for name in names})


def targets(path: str | None, specs: Sequence[str]) -> list[Path]:
    """Return the parameter file of each variant; with several variants, their names are added to the path.

    Raises:
        UserError: a file could not be written; this is checked before the training.
    """
    if not path:
        return []
    file = as_path(path)
    files = [file]
    try:
        refuse_target(file)
        if len(specs) > 1:
            names = [Path(params_file(catalog.find(spec).name)).stem for spec in specs]
            files = [file.with_name(f"{file.stem}-{name}{file.suffix or '.npz'}") for name in names]
        for target_file in files:
            check_writable(target_file)
    except OSError as error:
        raise UserError(f"cannot write {error.filename}: {error.strerror}; choose another --save") from error
    return files


def save(result: TrainResult, paths: Sequence[Path]) -> None:
    """Write each variant's parameters, if any; ``paths`` has one path per requested variant."""
    params_by_variant = {run.variant: run.params for run in result.runs}
    for stop, path in zip(result.stops, paths, strict=False):  # an interrupted training has fewer stops
        if params := params_by_variant.get(stop.variant):
            save_params(path, params)
            say(f"Parameters of {stop.variant}: {path}")
        else:
            say(f"No parameters of {stop.variant} were kept, so {path} was not written.")
