"""A training as the page shows it: sentences, one row a variant, the plot and the animation."""

from dataclasses import dataclass
from pathlib import Path

from bench.reporting import plots, training_pictures, training_plots, units, words
from bench.results.files import write_atomic
from bench.training import sentences
from bench.training.curves import TrainRun
from bench.training.result import TrainResult, load_result


@dataclass(frozen=True, slots=True)
class Image:
    """A picture of the page; ``file`` is where it lies, seen from the page."""

    stem: str
    file: str
    alt: str


@dataclass(frozen=True, slots=True)
class TrainLine:
    """One variant."""

    name: str
    library: str
    marks: tuple[str, ...]
    to_target: str
    epochs_to_target: str
    startup: str
    first_call: str
    per_epoch: str
    final_loss: str
    rmse: str
    huber: str
    moved: str


@dataclass(frozen=True, slots=True)
class TrainingView:
    """One training."""

    name: str
    machine: str
    setting: str
    banners: tuple[str, ...]
    answer: tuple[str, ...]
    findings: tuple[str, ...]
    lines: tuple[TrainLine, ...]
    curves: Image | None
    animation: Image | None
    notes: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]


def training_view(path: Path, folder: Path, *, prefix: str = "") -> tuple[TrainingView, dict[str, bytes]]:
    """Turn a saved training into text, draw its images below ``folder``; return both, the images by stem.

    Raises:
        UserError: it cannot be read.
    """
    training = load_result(path)
    images: dict[str, bytes] = {}
    curves = animation = None
    told = [run for run in training.runs if len(run.losses)]
    if told:
        curves = Image(f"{prefix}loss", f"plots/{prefix}loss.svg", _describe_curves(training, told))
        files = plots.draw(training_plots.loss_plot(training))
        for kind, content in files.items():
            write_atomic(folder / "plots" / f"{curves.stem}.{kind}", content)
        images[curves.stem] = files["svg"]
    if any(run.frames for run in told):
        file = training_pictures.ANIMATION if training.folder == folder else f"plots/{prefix}animation.gif"
        animation = Image(f"{prefix}animation", file, _describe_animation(training))
        images[animation.stem] = _animation(training)
        write_atomic(folder / file, images[animation.stem])
    header = training.header
    view = TrainingView(
        name=training.folder.resolve().name,
        machine=words.machine(header.machine),
        setting=_setting(training),
        banners=tuple(sentences.troubles(training)),
        answer=tuple(sentences.answer(training)),
        findings=tuple(sentences.findings(training)),
        lines=tuple(_line(run) for run in training.runs),
        curves=curves,
        animation=animation,
        notes=tuple(_notes(training)),
        facts=tuple(_facts(training)),
    )
    return view, images


def _animation(training: TrainResult) -> bytes:
    """The one that was drawn beside the training, or a new one where that is gone."""
    made = training.folder / training_pictures.ANIMATION
    if made.exists():
        return made.read_bytes()
    return training_pictures.animation(training_pictures.Pictures(training))


def _line(run: TrainRun) -> TrainLine:
    lost = run.status == "diverged"  # what was before it says nothing about a trained model
    marks = ["known wrong gradient"] if run.known_wrong else []
    if run.status != "complete":
        marks.append(run.status)
    return TrainLine(
        name=run.variant if run.device == "cpu" else f"{run.variant} on {run.device}",
        library=run.library,
        marks=tuple(marks),
        to_target=units.NOTHING if run.time_to_target_s is None else units.seconds(run.time_to_target_s),
        epochs_to_target=units.NOTHING if run.epochs_to_target is None else units.whole(run.epochs_to_target),
        startup=units.seconds(run.startup_s),
        first_call=units.NOTHING if run.first_call_s is None else units.duration(run.first_call_s * 1e9),
        per_epoch=units.NOTHING if run.per_epoch_s is None else units.duration(run.per_epoch_s * 1e9),
        final_loss=sentences.loss(float(run.losses[-1])) if len(run.losses) else units.NOTHING,
        rmse=units.NOTHING if run.rmse is None or lost else units.number(run.rmse),
        huber=units.NOTHING if run.huber is None or lost else sentences.loss(run.huber),
        moved=units.NOTHING if lost or not run.moved else _moved(run.moved),
    )


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
    trained, tested = words.count(shape.B, "training window"), words.count(len(header.truth), "test window")
    return (
        f"{data}; {trained} of {chosen.window} values in and {chosen.horizon} out, {tested} ({header.split} "
        f"split); {chosen.layout} input, hidden {shape.H}, {chosen.activation}, {chosen.dtype}; full batch, "
        f"{words.count(chosen.epochs, 'epoch')}, learning rate {chosen.lr:g}, Huber cutoff {chosen.delta:g}, "
        f"seed {chosen.seed}{start}"
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
        f"Loss and target are looked at every {words.count(training.header.settings.every, 'epoch')}.",
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
    names = words.listing([sentences.name(run) for run in training.runs if run.frames])
    return f"Predictions of {names} over the truth of the test windows, from the first epoch to the last."
