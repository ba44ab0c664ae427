"""A training as the page shows it: who was there first, one row a variant, the plot and the animation."""

from collections.abc import Callable, Iterator
from pathlib import Path

from bench.machine import units, wording
from bench.machine.files import write_atomic
from bench.records.folder import run_name
from bench.reporting import plots, training_pictures, training_plots, words
from bench.reporting.section import Article, Cell, Column, Hero, Image, Section, TextTable
from bench.training import sentences
from bench.training.curves import TrainRun
from bench.training.result import TrainResult, load_result

COLUMNS = (
    Column("Variant"),
    *(Column(title, number=True) for title in (
        "To the target", "Epochs to it", "Start-up", "First call", "An epoch", "Loss at the end", "Test RMSE",
        "Test Huber",
    )),
    Column("Moved from the start", number=True),
)  # fmt: skip
CURVES = (
    "Left, the loss over epochs: exact gradients give one curve, whatever the library. Right, the same over "
    "the wall clock from the start of each process. Both axes are logarithmic."
)
ANIMATED = (
    "Green is the truth of the test windows, red the prediction at that epoch. It goes round; closing this "
    "section stops it, and where the system asks for less motion the page shows its end instead."
)


def training_article(
    path: Path, folder: Path, anchor: str, *, prefix: str = ""
) -> tuple[Article, dict[str, bytes]]:
    """Turn a saved training into text, draw its images below ``folder``; return both, the images by stem.

    Raises:
        UserError: it cannot be read.
    """
    training = load_result(path)
    told = [run for run in training.runs if len(run.losses)]
    images: dict[str, bytes] = {}
    curves: tuple[Image, ...] = ()
    pictures: tuple[Image, ...] = ()
    if told:
        curves = (_curves(training, told, folder, prefix, images),)
    if any(run.frames for run in told):
        pictures = (_pictures(training, folder, prefix, images),)
    article = Article(
        anchor=anchor,
        kind="A training",
        name=run_name(training.folder),
        machine=words.machine(training.header.machine),
        hero=_hero(training),
        banners=tuple(sentences.troubles(training)),
        warnings=(),
        sections=tuple(_sections(training, curves, pictures)),
    )
    return article, images


def _curves(
    training: TrainResult, told: list[TrainRun], folder: Path, prefix: str, images: dict[str, bytes]
) -> Image:
    """Draw the losses into their files and into ``images``."""
    stem = f"{prefix}loss"
    files = plots.draw(training_plots.loss_plot(training))
    for kind, content in files.items():
        write_atomic(folder / "plots" / f"{stem}.{kind}", content)
    images[stem] = files["svg"]
    return Image(stem, _describe_curves(training, told), f"plots/{stem}.svg", CURVES)


def _pictures(training: TrainResult, folder: Path, prefix: str, images: dict[str, bytes]) -> Image:
    """The animation, beside the page and in ``images``."""
    stem = f"{prefix}animation"
    file = training_pictures.ANIMATION if training.folder == folder else f"plots/{stem}.gif"
    images[stem] = _animation(training)
    write_atomic(folder / file, images[stem])
    return Image(stem, _describe_animation(training), file, ANIMATED)


def _hero(training: TrainResult) -> Hero:
    """Who was there first, start-up included; there is no verdict, since each had one process."""
    told = sentences.answer(training)
    there = [run for run in training.runs if run.time_to_target_s is not None]
    there.sort(key=lambda run: run.time_to_target_s or 0.0)
    if not there:
        said = " ".join(told) or f"{_setting(training)}."
        return Hero("No target was reached", facts=(("What was trained", said),))
    first, *rest = told
    name, time = sentences.name(there[0]), _target_time(there[0])
    later = [f"{sentences.name(run)} in {_target_time(run)}" for run in there[1:]]
    return Hero(
        f"{name} reached the target loss in {time}" + (f", {wording.listing(later)}" if later else ""),
        "no verdict",
        sure=("one process each", "start-up and first call included"),
        facts=(
            ("To the same loss", first),
            *((about, said) for about, said in (("What else it showed", " ".join(rest)),) if said),
        ),
    )


def _target_time(run: TrainRun) -> str:
    """Seconds from the start of its process, never broken from their unit."""
    return units.seconds(run.time_to_target_s or 0.0).replace(" ", "\u00a0")


def _sections(
    training: TrainResult, curves: tuple[Image, ...], pictures: tuple[Image, ...]
) -> Iterator[Section]:
    """The curves and the table, the pictures, how it was timed."""
    table = TextTable("Training", COLUMNS, tuple(_row(run) for run in training.runs))
    yield Section(
        id="training",
        title="How long does training take, start to finish?",
        lead=tuple(sentences.findings(training)),
        drawings=curves,
        tables=(table,),
        notes=(f"{_setting(training)}.",),
    )
    if pictures:
        yield Section(id="pictures", title="What does it learn, epoch by epoch?", drawings=pictures)
    yield Section(
        id="timed",
        title="How was the training timed?",
        notes=tuple(_notes(training)),
        pairs=tuple(_facts(training)),
    )


def _animation(training: TrainResult) -> bytes:
    """The one that was drawn beside the training, or a new one where that is gone."""
    made = training.folder / training_pictures.ANIMATION
    if made.is_file():
        return made.read_bytes()
    return training_pictures.animation(training_pictures.Pictures(training))


def _row(run: TrainRun) -> tuple[Cell, ...]:
    lost = run.status == "diverged"  # what was before it says nothing about a trained model
    marks = ["known wrong gradient"] if run.known_wrong else []
    if run.status != "complete":
        marks.append(run.status)
    name = run.variant if run.device == "cpu" else f"{run.variant} on {run.device}"
    last = float(run.losses[-1]) if len(run.losses) else None
    rmse, huber = (None, None) if lost else (run.rmse, run.huber)
    return (
        Cell(name, note=", ".join(marks), library=run.library),
        _number(run.time_to_target_s, units.seconds),
        _number(run.epochs_to_target, lambda epochs: units.whole(round(epochs))),
        _number(run.startup_s, units.seconds),
        _number(run.first_call_s, lambda s: units.duration(s * 1e9)),
        _number(run.per_epoch_s, lambda s: units.duration(s * 1e9)),
        _number(last, sentences.loss),
        _number(rmse, units.number),
        _number(huber, sentences.loss),
        Cell(units.NOTHING if lost or not run.moved else _moved(run.moved)),
    )


def _number(value: float | None, say: Callable[[float], str]) -> Cell:
    """A number as a cell that sorts by it."""
    return Cell(units.NOTHING) if value is None else Cell(say(value), value=value)


def _moved(moved: dict[str, float]) -> str:
    return ", ".join(f"{name} {units.percent(far)}" for name, far in moved.items())


def _setting(training: TrainResult) -> str:
    """What was trained, in one line."""
    header, chosen = training.header, training.header.settings
    shape = header.shape
    if chosen.series is None:
        data = "The tutorial's sine"
    else:
        data = f"Column {chosen.column} of {Path(chosen.series).name}, standardised on its training windows"
    start = "" if chosen.load is None else f", from the parameters in {Path(chosen.load).name}"
    trained, tested = (
        wording.count(shape.B, "training window"),
        wording.count(len(header.truth), "test window"),
    )
    return (
        f"{data}; {trained} of {chosen.window} values in and {chosen.horizon} out, {tested} ({header.split} "
        f"split); {chosen.layout} input, hidden {shape.H}, {chosen.activation}, {chosen.dtype}; full batch, "
        f"{wording.count(chosen.epochs, 'epoch')}, learning rate {chosen.lr:g}, Huber cutoff "
        f"{chosen.delta:g}, seed {chosen.seed}{start}"
    )


def _notes(training: TrainResult) -> list[str]:
    """What the times contain."""
    return [
        "Every variant trains in a process of its own, with one thread, one after the other, from the same "
        "start and the same bytes.",
        "Start-up runs from the start of the process until the first call: interpreter, library, data, "
        "binding (torch-compile compiles here). Time to the target contains it, and the first call, but not "
        "what happens at a report (reading the loss, predicting, saving), for which the training waits. "
        "Drawing comes after all of it.",
        "That is stricter than MLPerf's rule, by which the clock starts before anything touches the data: "
        "here it starts before the process does. It is laxer in one thing: MLPerf's clock never pauses, and "
        "this one does at reports. The series is cut into windows, the same for all, before any clock "
        "starts.",
        f"Loss and target are looked at every {wording.count(training.header.settings.every, 'epoch')}.",
    ]


def _facts(training: TrainResult) -> list[tuple[str, str]]:
    """Machine and libraries, and where the files are."""
    machine = training.header.machine
    packages = machine.get("packages") or {}
    found = [
        ("Processor", machine.get("processor")),
        ("System", " ".join(str(machine[key]) for key in ("system", "architecture") if machine.get(key))),
        ("Python", machine.get("python")),
        ("Packages", ", ".join(f"{name} {version}" for name, version in packages.items())),
        ("Set for the processes", ", ".join(f"{k}={v}" for k, v in training.header.environment.items())),
        ("Started", training.header.started_utc),
    ]
    return [(name, str(value)) for name, value in found if value]


def _describe_curves(training: TrainResult, runs: list[TrainRun]) -> str:
    """The plot's numbers in words."""
    each = "; ".join(
        f"{sentences.name(run)} from {sentences.loss(float(run.losses[0]))} to "
        f"{sentences.loss(float(run.losses[-1]))} in {units.seconds(run.startup_s + float(run.seconds[-1]))}"
        for run in runs
    )
    return f"Training loss over epochs and over the wall clock: {each}. {sentences.curves(training)}".rstrip()


def _describe_animation(training: TrainResult) -> str:
    names = wording.listing([sentences.name(run) for run in training.runs if run.frames])
    return f"Predictions of {names} over the truth of the test windows, from the first epoch to the last."
