"""Training: what is timed, what both libraries do from one start, and how each way to fail is told."""

import csv
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from acceptance.plans import mutated
from faults.runs import PROJECT, TESTS
from trainings import MS, settings

import bench
from bench.cli.main import main
from bench.machine.errors import UserError
from bench.records.training import Point, Start, read_records
from bench.training import TrainResult, child, load_params, load_result, predict, save_params, train
from bench.training.child import Job, Step, why_diverged
from bench.training.result import huber
from bench.training.setup import prepare
from bench.training.train import MAX_FRAMES, frames, reports, run_training
from bench.workload import catalog, data
from bench.workload.binding import bind_case
from bench.workload.case import sine_case
from bench.workload.cell import find_cell
from bench.workload.rnn import RNN

SMALL: dict[str, Any] = {"hidden": 5, "batch": 12, "dtype": "float64"}
TWO = ("numpy-inplace", "torch-layer")

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch


def quiet(variant: str, epoch: int, loss: float) -> None:
    """Nobody listens."""


def run_small(folder: Path, *variants: str, **options: Any) -> TrainResult:
    """Train without drawing and read it back."""
    run_training(settings(*variants, **{**SMALL, "epochs": 200, **options}), folder, quiet)
    return load_result(folder)


# the child


class Tally:
    """A variant that counts its calls, and a clock that only its training steps move."""

    def __init__(self) -> None:
        self.now = self.calls = 0
        self._bind = catalog.find("numpy-batched").load()

    def bind(self, task: str, *arrays: Any, **options: Any) -> Any:
        bound = self._bind(task, *arrays, **options)

        def call() -> None:
            self.calls += task == "train_step"
            self.now += 7 if task == "train_step" else 10**9  # would show if it were inside the clock
            bound.call()

        def result() -> Any:
            self.now += 10**9
            return bound.result()

        return SimpleNamespace(call=call, reset=bound.reset, result=result)


@pytest.fixture
def job(tmp_path: Path, monkeypatch: Patch) -> Job:
    monkeypatch.delitem(sys.modules, "torch", raising=False)  # as in a child of its own
    prepared = prepare(settings(**SMALL))
    prepared.train.save(tmp_path / "train.npz")
    prepared.test.save(tmp_path / "test.npz")
    paths = [str(tmp_path / f"{name}.npz") for name in ("train", "test", "params")]
    return Job("numpy-batched", "cpu", prepared.case, prepared.scaling, *paths)


def steps() -> Iterator[str]:
    for epoch in (1, 10, 20, 25):
        yield msgspec.json.encode(Step(epoch, predict=epoch in (1, 25), last=epoch == 25)).decode()


def test_only_training_steps_are_inside_the_clock(job: Job, monkeypatch: Patch) -> None:
    tally = Tally()
    counting = catalog.Variant("counting", "numpy", {}, "")
    monkeypatch.setattr(child, "load_variant", lambda spec: counting)
    monkeypatch.setattr(catalog.Variant, "load", lambda self, cell: tally.bind)
    points = []
    for record in child.serve(job, steps(), time_ns=lambda: tally.now):
        tally.now += 10**9  # the parent prints, draws, thinks
        points += [record] if isinstance(record, Point) else []

    assert tally.calls == 25
    assert [point.elapsed_ns for point in points] == [7, 70, 140, 175]
    assert [point.y_hat is not None for point in points] == [True, False, False, True]
    x_test = data.Batch.load(job.test).x
    assert np.array(points[-1].y_hat) == pytest.approx(predict(load_params(job.params), x_test), abs=1e-14)


# the parent


def test_frames_are_few_and_reach_from_the_first_report_to_the_last() -> None:
    for chosen in (settings(), settings(epochs=1), settings(epochs=150), settings(every=1)):
        epochs = reports(chosen)
        predicted = frames(epochs)
        assert (predicted[0], predicted[-1], epochs[-1]) == (1, chosen.epochs, chosen.epochs)
        assert len(predicted) <= MAX_FRAMES
        assert set(predicted) <= set(epochs)
    assert len(reports(settings())) == 201


class FakeChild(nullcontext["FakeChild"]):
    """A child that takes 700 ms to start and read its data, by a clock of its own."""

    now = 0

    def __init__(self, *arguments: object, **options: object) -> None:
        FakeChild.now += 700 * MS
        super().__init__(self)

    def receive(self, expected: object) -> Start:
        return Start("numpy-loop", "numpy", "cpu", False, 0, {})

    def ask(self, message: object, expected: object) -> Point:
        return Point(1, 1.0, MS)


RECEIVES = "            start: Start = child.receive("


@pytest.mark.parametrize("mutant", [False, True], ids=["as it is", "a clock that starts with the training"])
def test_the_clock_of_a_training_starts_before_its_data_are_touched(
    job: Job, monkeypatch: Patch, mutant: bool
) -> None:
    monkeypatch.setattr(train, "Child", FakeChild)
    monkeypatch.setattr(train, "time", SimpleNamespace(perf_counter_ns=lambda: FakeChild.now))
    run = train.train_variant
    if mutant:
        run = mutated(run, RECEIVES, f"            started = time.perf_counter_ns()\n{RECEIVES}")
    lines: list[Any] = []
    run(job, "numpy-loop", settings(epochs=1), lines.append, quiet)
    assert (lines[0].startup_ns == 700 * MS) is not mutant


@pytest.mark.parametrize(
    ("loss", "why"),
    [
        (math.inf, "loss or parameters are not finite"),
        (math.nan, "loss or parameters are not finite"),
        (101.0, "the loss is 101"),
        (100.0, ""),
        (-1.0, "the loss is -1"),
    ],
)
def test_a_loss_diverges_that_is_no_loss_or_too_large(loss: float, why: str) -> None:
    assert why_diverged(np.array(loss), {"W": np.zeros(1)}, 100.0) == why
    assert (
        why_diverged(np.array(1.0), {"W": np.array([loss, np.inf])}, 100.0)
        == "loss or parameters are not finite"
    )


def test_a_variant_that_crashes_is_told_and_the_next_one_trains(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.chdir(TESTS)
    result = run_small(tmp_path / "t", "faults.variants:device_lost", "numpy-batched")
    assert [stop.status for stop in result.stops] == ["crashed", "complete"]
    assert re.search(
        r"RuntimeError: device error.* \(faults/variants.py, line \d+, in _device", result.summary()
    )
    assert [(run.variant, len(run.epochs)) for run in result.runs] == [
        ("device-lost", 0),
        ("numpy-batched", 3),
    ]
    assert result.status == "partial"


def test_control_c_keeps_what_was_trained_and_draws_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "train", *(f"--variant={name}" for name in TWO)]
    command += ["--epochs", "10000000", "--out", "t"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    running = subprocess.Popen(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(PROJECT)}, text=True, **pipes
    )
    file = tmp_path / "t" / "training.jsonl"
    while running.poll() is None and not (file.exists() and file.read_text().count('"point"') > 4):
        time.sleep(0.05)  # the last point may not be on the disk yet, and is cut off then
    running.send_signal(signal.SIGINT)
    printed, errors = running.communicate(timeout=60)

    assert running.returncode == 130, errors
    assert "Not started: torch-layer." in printed
    result = load_result(tmp_path / "t")
    assert result.status == "interrupted"
    assert len(result.runs[0].epochs) > 3
    assert {path.name for path in (tmp_path / "t").iterdir()} >= {
        "animation.gif",
        "losses.csv",
        "report.html",
    }


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"series": "nowhere.csv", "column": "x"}, "cannot read nowhere.csv"),
        ({"series": "short.csv", "column": "y"}, "no column 'y'; its columns are: x"),
        ({"series": "short.csv"}, "windows of 14 need at least 16"),
        ({"series": "short.csv", "column": "x", "batch": 5}, "leave --batch out"),
        ({"column": "x"}, "column is about a CSV file; give that too"),
        ({"missing": "drop"}, "missing is about a CSV file; give that too"),
        ({"load": "other.npz"}, r"U is \(3, 6\), but these settings need \(5, 6\)"),
        (
            {"load": "other.npz", "bias": True},
            "other.npz holds the parameters without biases; give --no-bias",
        ),
        ({"load": "other.npz", "cell": "gru"}, "of the cell rnn, not gru; give --cell=rnn"),
        ({"load": "lstm.npz"}, "of the cell lstm, not rnn; give --cell=lstm"),
        (
            {"load": "lstm.npz", "cell": "lstm", "bias": False},
            "the parameters with biases; give --bias as well",
        ),
        ({"cell": "transformer"}, "no cell 'transformer'; there are: rnn, gru, lstm; or module:object"),
        ({"cell": "gru", "activation": "relu"}, "--activation relu: the cell gru has no such activation"),
        (
            {"variant": ("numpy-published",), "bias": True},
            "does not support a cell with biases; leave it out",
        ),
        ({"variant": ("torch-rnn",)}, "no variant 'torch-rnn'; it is called torch-layer now"),
        ({"lr": -1.0}, "--lr must be a number above 0"),
        ({"delta": float("nan")}, "--delta must be a number above 0"),
        ({"target": 0.0}, "--target must be a number above 0"),
        ({"variant": ("numpy-inplac",)}, "no variant 'numpy-inplac'"),
        ({"variant": ("numpy-loop", "numpy-loop")}, "asked for twice"),
        ({"variant": ("torch-layer",), "activation": "sigmoid"}, "does not support activation sigmoid"),
        ({"out": "."}, "already holds a training; choose another --out"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: Patch, options: dict[str, Any], refusal: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("short.csv").write_text("x\n1\n2\n3\n")
    Path("training.jsonl").write_text("precious")
    np.savez("other.npz", U=np.ones((3, 6)), W=np.ones((3, 3)), V=np.ones((8, 3)))
    biases = {"bU": np.ones(20), "bW": np.ones(20), "bV": np.ones(8)}
    np.savez("lstm.npz", U=np.ones((20, 6)), W=np.ones((20, 5)), V=np.ones((8, 5)), **biases)
    variants, out = options.pop("variant", ("numpy-inplace",)), Path(options.pop("out", "t"))
    with pytest.raises(UserError, match=refusal):
        run_training(settings(*variants, hidden=5, **options), out, quiet)
    assert not Path("t").exists()
    assert Path("training.jsonl").read_text() == "precious"


# what comes out


def test_the_curve_is_that_of_the_reference(tmp_path: Path) -> None:
    result = run_small(tmp_path / "t", epochs=30, every=10)
    batch = data.make(sine_case("train_step", "positional", hidden=5, batch=12, dtype="float64"))
    params, losses = batch.params, []
    for _ in range(30):
        loss, params = RNN.reference("numpy").sgd_step(params, batch.x, batch.y)
        losses.append(float(loss))

    (run,) = result.runs
    assert run.epochs.tolist() == [1, 10, 20, 30]
    assert run.losses == pytest.approx([losses[epoch - 1] for epoch in run.epochs], rel=1e-12)
    assert run.params["W"] == pytest.approx(params["W"], abs=1e-12)
    e = run.test_predictions - result.truth
    assert (run.rmse, run.huber) == pytest.approx((np.sqrt(np.mean(e**2)), huber(e, 0.025)), rel=1e-12)
    start = next(record for record in read_records(tmp_path / "t") if isinstance(record, Start))
    assert (start.variant, start.library, start.device) == ("numpy-inplace", "numpy", "cpu")
    assert start.facts["threads"] == 1


def test_either_library_goes_on_where_the_other_stopped_and_their_curves_are_one(tmp_path: Path) -> None:
    whole = run_small(tmp_path / "whole", *TWO)
    first = run_small(tmp_path / "first", epochs=100)
    start = str(first.folder / "params" / "numpy-inplace.npz")
    second = run_small(tmp_path / "second", "torch-layer", epochs=100, load=start)

    assert whole.difference is not None
    assert whole.difference.largest < 1e-9
    assert second.runs[0].losses[-1] == pytest.approx(whole.runs[0].losses[-1], rel=1e-9)
    for name, p in whole.runs[0].params.items():
        assert second.runs[0].params[name] == pytest.approx(p, rel=1e-9, abs=1e-9)
    assert second.runs[0].losses[-1] != pytest.approx(first.runs[0].losses[-1], rel=1e-3)


@pytest.mark.parametrize(
    "options",
    [
        {"cell": "gru"},
        {"cell": "gru", "bias": False},
        {"cell": "lstm"},
        {"cell": "lstm", "bias": False},
        {"activation": "relu", "bias": True},
    ],
    ids=str,
)
def test_every_variant_goes_on_where_another_stopped(tmp_path: Path, options: dict[str, Any]) -> None:
    pytest.importorskip("torch")
    file = tmp_path / "params.npz"
    first = prepare(settings(**SMALL, **options))
    params, cell = first.train.params, find_cell(first.case.cell)
    assert ("bU" in params) is first.case.bias
    for variant in catalog.VARIANTS:
        if variant.known_wrong or variant.compiles:
            continue
        load = str(file) if file.exists() else None
        prepared = prepare(settings(variant.name, load=load, **SMALL, **options))
        bind = variant.load(prepared.case.cell)
        binding = bind_case(bind, variant.library, prepared.case, prepared.train, "cpu")
        binding.bound.call()
        result = binding.result()
        save_params(file, {name: result[name] for name in params})
        loss, params = cell.reference().sgd_step(
            params, first.train.x, first.train.y, **cell.options(first.case.activation)
        )
        assert float(result["loss"]) == pytest.approx(float(loss), rel=1e-9), variant.name
    for name, p in load_params(file, first.case.cell).items():
        assert p == pytest.approx(params[name], rel=1e-9, abs=1e-12)


def test_a_cell_is_trained_from_the_command_line_and_named_wherever_it_is_told(
    tmp_path: Path, capsys: Capture
) -> None:
    small = ["--variant", "numpy-inplace", "--cell", "lstm", "--hidden", "4", "--epochs", "3"]
    paths = ["--out", f"{tmp_path}/t", "--save", f"{tmp_path}/p.npz"]
    assert main(["train", *small, *paths]) == 0
    assert " of an LSTM was reached by numpy-inplace in " in capsys.readouterr().out
    assert set(load_params(tmp_path / "p.npz", "lstm")) == {"U", "W", "V", "bU", "bW", "bV"}
    result = load_result(tmp_path / "t")
    assert (result.header.settings.cell, result.header.settings.bias) == ("lstm", True)
    assert set(result.runs[0].moved) == set(result.header.parameters) == set(result.runs[0].params)
    page = (tmp_path / "t" / "report.md").read_text()
    assert page.startswith("# NumPy or PyTorch for this LSTM?")
    assert "an LSTM, positional input, hidden 4, float32;" in page


def test_time_to_a_target_starts_with_the_process(tmp_path: Path) -> None:
    (run,) = run_small(tmp_path / "t", target=1.0).runs
    never = run_small(tmp_path / "never", target=1e-12)

    assert run.epochs_to_target == 1
    assert run.time_to_target_s == run.first_epoch_s == run.startup_s + (run.first_call_s or 0.0)
    assert run.startup_s > 0.01  # an interpreter does not start faster
    assert never.runs[0].time_to_target_s is None
    assert "did not reach a loss of 1.00e-12 in 200 epochs" in never.summary()


def test_a_series_is_trained_standardised_and_told_in_its_own_units(tmp_path: Path) -> None:
    values = 1000 + 50 * np.sin(np.arange(80) / 3)
    (tmp_path / "mine.csv").write_text("day,level\n" + "".join(f"{n},{v}\n" for n, v in enumerate(values)))
    result = bench.train(
        "numpy-inplace", series=tmp_path / "mine.csv", column="level", epochs=300, lr=0.5, out=tmp_path / "t"
    )

    (run,), header = result.runs, result.header
    assert header.split == "tail"
    assert result.truth[-1] == pytest.approx(values[-9:-1])  # the last window is left out, as on the sine
    train_rows = np.lib.stride_tricks.sliding_window_view(values, 14)[:-1][: -len(result.truth) - 7]
    assert (header.mean, header.scale) == pytest.approx((train_rows.mean(), train_rows.std()))
    assert np.abs(run.test_predictions - 1000).max() < 100
    assert run.rmse is not None
    assert run.rmse < header.naive_rmse
    assert sorted(path.name for path in (tmp_path / "t" / "pictures").iterdir())[-1] == "epoch-300.png"


def test_losses_are_there_as_csv_and_in_the_terminal(tmp_path: Path, capsys: Capture) -> None:
    arguments = ["--variant", "numpy-inplace", "--hidden", "4", "--epochs", "250", "--out", f"{tmp_path}/t"]
    assert main(["train", *arguments, "--save", f"{tmp_path}/p.npz"]) == 0

    rows = list(csv.DictReader((tmp_path / "t" / "losses.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "100", "200", "250"]
    (run,) = load_result(tmp_path / "t").runs
    assert [float(row["loss"]) for row in rows] == run.losses.tolist()
    assert f"numpy-inplace  epoch 200  loss {run.losses[2]:.4e}" in capsys.readouterr().out
    assert load_params(tmp_path / "p.npz")["W"].tobytes() == run.params["W"].tobytes()


def test_a_training_that_was_cut_off_can_still_be_read(tmp_path: Path) -> None:
    run_small(tmp_path)
    file = tmp_path / "training.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-2]) + lines[-2][:20])

    result = load_result(file)
    assert result.status == "interrupted"
    assert result.runs[0].epochs.tolist() == [1, 100]
    assert "it was cut off" in result.summary()
