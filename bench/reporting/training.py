"""Build the article on a training: which variant reached the target first, the curves, what was learned."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench.machine import units, wording
from bench.machine.files import write_atomic
from bench.records.folder import run_name
from bench.reporting import environment, words
from bench.reporting.section import Article, Cell, Drawing, Fields, Hero, Image, Section, text_table
from bench.reporting.titles import aspects
from bench.reporting.training_plots import ANIMATION, Pictures, loss_plot
from bench.training.result import TrainResult, TrainRun, describe_curves, facts, loss, troubles

CURVES_CAPTION = "Both axes are logarithmic; the clock starts with each process."
ANIMATION_CAPTION = (
    "Predictions over the truth of the test windows, from the first epoch to the last, and again."
)
TIMING = (
    "Each variant trains in a process of its own, with one thread, one after the other, from the same start "
    "and the same bytes.",
    "Start-up is the time until the first call: interpreter, library, data, binding and compiling. The time "
    "to the target contains it. The clock pauses at reports: losses are read, predictions are kept.",
)


def training_article(
    result: TrainResult, folder: Path, anchor: str, *, prefix: str = ""
) -> tuple[Article, dict[str, bytes]]:
    """Return the article on a saved training, and its animation by stem, also written below ``folder``."""
    images: dict[str, bytes] = {}
    article = Article(
        anchor=anchor,
        kind=f"A training{words.of_cell(result.header.case)}",
        cells=(words.named_cell(result.header.case),),
        name=run_name(result.folder),
        machine=words.machine(result.header.machine),
        hero=_hero(result),
        banners=tuple(troubles(result)),
        warnings=(),
        sections=tuple(_sections(result, folder, prefix, images)),
        summary=(result.summary(),),
        aspects=aspects([result.header.case]),
    )
    return article, images


def _hero(result: TrainResult) -> Hero:
    """Say which variant reached the target first, start-up included; one process each gives no verdict."""
    sentences = dict[str, str]()
    for topic, sentence in facts(result):
        sentences[topic] = " ".join(filter(None, (sentences.get(topic), sentence)))
    if not result.reached:
        return Hero(
            "No target was reached", facts=(*sentences.items(), ("What was trained", _setting(result)))
        )
    times = [(run.title, units.seconds(s).replace(" ", "\u00a0")) for run, s in result.reached]
    (title, time), *later_times = times
    later_texts = wording.listing([f"{title} in {time}" for title, time in later_times])
    return Hero(
        f"{title} reached the target loss in {time}{', ' if later_texts else ''}{later_texts}",
        "no verdict",
        small=(f"a loss of {loss(result.target or 0.0)}", "one process each", "start-up included"),
        facts=tuple(sentences.items()),
    )


def _sections(result: TrainResult, folder: Path, prefix: str, images: dict[str, bytes]) -> Iterator[Section]:
    """Yield the curves with the table, the animation, which is drawn here, and the notes on timing."""
    curves = Drawing(f"{prefix}loss", _describe(result), partial(loss_plot, result), CURVES_CAPTION)
    yield Section(
        id="training",
        title="How long does training take, start to finish?",
        drawings=(curves,) if result.learned else (),
        tables=(text_table("Training", FIELDS, result.runs),),
        notes=(_setting(result),),
    )
    if titles := [run.title for run in result.runs if run.frames]:
        stem, name = f"{prefix}animation", f"plots/{prefix}{ANIMATION}"
        saved = result.folder / ANIMATION
        images[stem] = saved.read_bytes() if saved.is_file() else Pictures(result).animation()
        file = ANIMATION if result.folder == folder else name
        write_atomic(folder / file, images[stem])
        alt = f"Predictions of {wording.listing(titles)} over the truth of the test windows, epoch by epoch."
        image = Image(stem, alt, file, ANIMATION_CAPTION)
        yield Section(id="pictures", title="What does it learn, epoch by epoch?", drawings=(image,))
    header = result.header
    variables = ", ".join(f"{name}={value}" for name, value in header.environment.items())
    pairs = (*environment.machine(header.machine), ("Set for the processes", variables))
    pairs = (*pairs, ("Started", header.started_utc))
    yield Section(id="timed", title="How was the training timed?", notes=TIMING, pairs=pairs, open=False)


def _duration_cell(s: float | None) -> Cell:
    return Cell.of(s, lambda seconds: units.duration(seconds * 1e9))


def _variant_cell(run: TrainRun) -> Cell:
    remarks = ["known wrong gradient"] * run.known_wrong + [run.status] * (run.status != "complete")
    name = run.variant if run.device == "cpu" else f"{run.variant} on {run.device}"
    return Cell(name, ", ".join(remarks), library=run.library)


def _distances(run: TrainRun) -> str:
    distances = [f"{name} {units.percent(value)}" for name, value in run.moved.items() if value is not None]
    return ", ".join(distances) * _has_model(run)


def _has_model(run: TrainRun) -> bool:
    """Return whether the training has a model to judge; a diverged training has none."""
    return run.status != "diverged"


FIELDS: Fields[TrainRun] = {
    "Variant": _variant_cell,
    "To the target": lambda run: Cell.of(run.time_to_target_s, units.seconds),
    "Epochs to it": lambda run: Cell.of(run.epochs_to_target, lambda epochs: units.whole(round(epochs))),
    "Start-up": lambda run: Cell.of(run.startup_s, units.seconds),
    "First call": lambda run: _duration_cell(run.first_call_s),
    "An epoch": lambda run: _duration_cell(run.per_epoch_s),
    "Loss at the end": lambda run: Cell.of(float(run.losses[-1]) if len(run.losses) else None, loss),
    "Test RMSE": lambda run: Cell.of(run.rmse, units.number) if _has_model(run) else "",
    "Test Huber": lambda run: Cell.of(run.huber, loss) if _has_model(run) else "",
    "Moved from the start": _distances,
}


def _setting(result: TrainResult) -> str:
    """Return what was trained, in one line."""
    header, config = result.header, result.header.settings
    source = "The tutorial's sine"
    if config.series is not None:
        source = f"Column {config.column} of {Path(config.series).name}, standardised on its training windows"
    start = "" if config.load is None else f", from the parameters in {Path(config.load).name}"
    return (
        f"{source}; {wording.count(header.shape.B, 'training window')} of {config.window} values in and "
        f"{config.horizon} out, {wording.count(len(header.truth), 'test window')} ({header.split} split); "
        f"{words.a_cell(header.case)}, {config.layout} input, hidden {config.hidden}, "
        f"{words.numbers(header.case)}; full batch, "
        f"{wording.count(config.epochs, 'epoch')}, learning rate {config.lr:g}, Huber cutoff "
        f"{config.delta:g}, seed {config.seed}{start}; a report every {config.every}."
    )


def _describe(result: TrainResult) -> str:
    """Return the numbers of the plot in words."""
    curves = "; ".join(
        f"{run.title} from {loss(run.losses[0])} to {loss(run.losses[-1])} in "
        f"{units.seconds(run.startup_s + run.seconds[-1])}"
        for run in result.learned
    )
    return f"Training loss over epochs and over the wall clock: {curves}. {describe_curves(result)}".rstrip()
