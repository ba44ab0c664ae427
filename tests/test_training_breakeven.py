"""What starting costs a training: when a later start is made up for, and where its clock begins."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from acceptance.plans import mutated

from bench.records.training import SCHEMA, Header, Job, Point, Progress, Ready, Settings, Start, Stop
from bench.training import run as training_run
from bench.training.curves import Training, make_run
from bench.training.sentences import answer
from bench.workload.case import Shape, sine_case

MS = 1_000_000


def training_of(*runs: tuple[str, float, float]) -> Training:
    """A training of 300 epochs: variant, seconds until its first epoch is done, seconds an epoch."""
    settings = Settings(variants=tuple(name for name, _, _ in runs), epochs=300)
    header = Header(
        schema=SCHEMA, started_utc="2026-01-01T00:00:00+00:00", settings=settings,
        shape=Shape(6, 128, 6, 32, 8),
        split="tail", mean=0.0, scale=1.0, truth=[[0.0]], naive_rmse=0.3, machine={}, environment={},
    )  # fmt: skip
    epochs = (1, 100, 200, 300)
    made = []
    for name, first_s, epoch_s in runs:
        start = Start(name, name.partition("-")[0], "cpu", "published" in name, round(first_s * 1e9) - MS, {})
        points = [Point(n, 1.0 / n, round(MS + (n - 1) * epoch_s * 1e9)) for n in epochs]
        made.append(make_run(header, start, points, Stop(name, "complete"), {}, 0.005))
    return Training(header, tuple(made), tuple(Stop(run.variant, "complete") for run in made), 0.005)


LEVEL = (
    "{} has its first epoch done 1.50 s later than {} and, at its shorter epoch, is level with it after 301"
)
NEVER = "{} has its first epoch done 1.50 s later than {}, and an epoch takes it longer: it never catches up."
PAIR = ("torch-rnn", "numpy-inplace")


@pytest.mark.parametrize(
    ("numpy", "torch", "said"),
    [
        ((0.2, 0.010), (1.7, 0.005), LEVEL.format(*PAIR)),
        ((0.2, 0.001), (1.7, 0.005), NEVER.format(*PAIR)),
        ((1.7, 0.001), (0.2, 0.006), LEVEL.format(*reversed(PAIR))),
    ],
)
def test_a_training_says_when_the_later_start_is_made_up_for(
    numpy: tuple[float, float], torch: tuple[float, float], said: str
) -> None:
    assert said in " ".join(answer(training_of(("numpy-inplace", *numpy), ("torch-rnn", *torch))))


def test_variants_of_one_library_have_no_break_even() -> None:
    told = " ".join(answer(training_of(("numpy-inplace", 0.2, 0.001), ("numpy-loop", 0.3, 0.005))))
    assert "first epoch" not in told


class FakeChild:
    """A child that takes 700 ms to start and read its data, by a clock of its own."""

    now = 0

    def __init__(self, *arguments: object, **options: object) -> None:
        FakeChild.now += 700 * MS

    def __enter__(self) -> "FakeChild":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def receive(self, expected: object, deadline_s: float) -> Ready:
        return Ready("cpu", {})

    def ask(self, message: object, expected: object, deadline_s: float) -> Progress:
        return Progress(1, 1.0, MS)


RECEIVES = "            ready: Ready = child.receive("


@pytest.mark.parametrize("mutant", [False, True], ids=["as it is", "a clock that starts with the training"])
def test_the_clock_of_a_training_starts_before_its_data_are_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mutant: bool
) -> None:
    monkeypatch.setattr(training_run, "Child", FakeChild)
    monkeypatch.setattr(training_run, "time", SimpleNamespace(perf_counter_ns=lambda: FakeChild.now))
    train_one = training_run._train_one
    if mutant:
        train_one = mutated(train_one, RECEIVES, f"            started = time.perf_counter_ns()\n{RECEIVES}")
    written: list[Any] = []
    writer: Any = SimpleNamespace(write=written.append)
    arm: Any = SimpleNamespace(variant=SimpleNamespace(name="numpy-loop", library="numpy", known_wrong=False))
    case = sine_case("train_step", "positional")
    job = Job("numpy-loop", "cpu", case, [1], [1], "inputs", str(tmp_path / "none.npz"))
    work: Any = SimpleNamespace(params={})
    train_one(arm, job, tmp_path / "job.json", work, writer, lambda *told: None, {})
    assert (written[0].startup_ns == 700 * MS) is not mutant
