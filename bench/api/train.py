"""The verb ``train``: settings from arguments, losses in the terminal, and what came out."""

import datetime
from collections.abc import Sequence
from pathlib import Path

from bench.api.options import TrainOptions
from bench.machine.errors import UserError
from bench.machine.files import as_path, check_writable, refuse_target
from bench.machine.waiting import Say, complain
from bench.records.folder import drawing_report, shown
from bench.records.training import BATCH, Settings
from bench.reporting.display import train_progress
from bench.training.curves import file_name
from bench.training.params import save_params
from bench.training.result import TrainResult, load_result
from bench.training.run import Tell, run_training
from bench.workload import catalog

EXIT_CODES = {"complete": 0, "partial": 3, "interrupted": 130}


def main(args: TrainOptions) -> int:
    """Train as ``args`` say and draw it; return the exit code."""
    settings = make_settings(args)
    folder = as_path(args.out) if args.out else default_folder()
    paths = targets(args.save, settings.variants)
    with train_progress(settings) as tell:
        run_training(settings, folder, tell, complain, args.wait_quiet)
    print("\nDrawing ...", flush=True)
    page = draw(folder)
    result = load_result(folder)
    try:
        save(result, paths)
    except UserError as error:
        raise UserError(f"{error}; the parameters are in {folder / 'params'} all the same") from error
    print(f"\n{result.summary()}\n\nReport: {shown(page)}")
    return EXIT_CODES[result.status]


def train(
    settings: Settings, out: str | None, tell: Tell, say: Say = complain, wait_quiet: float | None = None
) -> TrainResult:
    """Train, draw it all into ``out`` and return what came out.

    Raises:
        UserError: settings that make no sense, a file that cannot be used, or a folder that holds a training.
    """
    folder = as_path(out) if out else default_folder()
    run_training(settings, folder, tell, say, wait_quiet)
    draw(folder)
    return load_result(folder)


def default_folder() -> Path:
    """results/train-<time>."""
    return Path("results") / datetime.datetime.now().strftime("train-%Y-%m-%d-%H%M%S")


def draw(folder: Path) -> Path:
    """Pictures, animation, losses.csv and the report of a saved training; return the report."""
    with drawing_report(folder):
        from bench.reporting.build import build_report  # jinja2 and matplotlib, needed from here on
        from bench.reporting.training_pictures import draw_pictures

        result = load_result(folder)
        result.write_losses(folder / "losses.csv")
        draw_pictures(result, folder)
        return build_report([folder], None)


def make_settings(args: TrainOptions) -> Settings:
    """The arguments as settings; what was not given keeps its default."""
    chosen = {name: getattr(args, name) for name in Settings.__struct_fields__ if name != "variants"}
    chosen["batch"] = args.batch or BATCH
    if args.variant:
        chosen["variants"] = tuple(args.variant)
    return Settings(**chosen)


def targets(save: str | None, specs: Sequence[str]) -> list[Path]:
    """The file for the parameters of each variant; with several, their names become part of the file's.

    Raises:
        UserError: one of them could not be written, which is better known before the training.
    """
    if not save:
        return []
    path = as_path(save)
    try:
        refuse_target(path)
        paths = [path]
        if len(specs) > 1:
            names = [Path(file_name(catalog.find(spec).name)).stem for spec in specs]
            paths = [path.with_name(f"{path.stem}-{name}{path.suffix or '.npz'}") for name in names]
        for own in paths:
            check_writable(own)
    except OSError as error:
        raise UserError(f"cannot write {error.filename}: {error.strerror}; choose another --save") from error
    return paths


def save(result: TrainResult, paths: Sequence[Path]) -> None:
    """Write the parameters of each variant that has any; ``paths`` are those of all that were asked for."""
    kept = {run.variant: run.params for run in result.runs}
    for stop, path in zip(result.stops, paths, strict=False):  # not all were tried where it was interrupted
        if params := kept.get(stop.variant):
            save_params(path, params)
            print(f"Parameters of {stop.variant}: {path}")
        else:
            print(f"No parameters of {stop.variant} were kept, so {path} was not written.")
