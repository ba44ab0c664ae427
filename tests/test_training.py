"""Training: what is timed, what both libraries do from one start, and how each way to fail is told."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

import bench
from bench.cli.main import main
from bench.machine.child import Child, ChildError
from bench.machine.errors import UserError
from bench.records.training import MAX_FRAMES, Job, Progress, Ready, Settings, Start, read_records
from bench.training import child, load_params, load_result, predict
from bench.training.curves import difference, huber
from bench.training.run import divergence, run_training
from bench.training.work import prepare
from bench.workload import catalog, data
from bench.workload.case import sine_case
from bench.workload.rnn import RNN

ROOT = Path(__file__).parents[1]
SMALL = {"hidden": 5, "batch": 12, "dtype": "float64"}


def quiet(variant: str, epoch: int, loss: float) -> None:
    """Nobody listens."""


def run_small(folder: Path, **changes):
    """Train without drawing and read it back."""
    variants = changes.pop("variants", ("numpy-inplace",))
    run_training(Settings(**{**SMALL, "epochs": 200, "variants": variants, **changes}), folder, quiet)
    return load_result(folder)


class Tally:
    """A variant that counts its calls, and a clock that only its training steps move."""

    def __init__(self) -> None:
        self.now = self.calls = 0
        self._bind = catalog.find("numpy-batched").load()

    def bind(self, task, params, x, y, **options):
        bound = self._bind(task, params, x, y, **options)
        tally = self

        class Bound:
            def call(self):
                if task == "train_step":
                    tally.calls += 1
                    tally.now += 7
                else:
                    tally.now += 10**9  # a second: would show if it were inside the clock
                bound.call()

            def reset(self):
                bound.reset()

            def result(self):
                tally.now += 10**9
                return bound.result()

        return Bound()


@pytest.fixture
def job(tmp_path):
    work = prepare(Settings(**SMALL))
    work.save(tmp_path / "inputs.npz")
    return Job(
        spec="numpy-batched", device="cpu", case=work.case, reports=[1, 10, 20, 25],
        frames=[1, 25], inputs=str(tmp_path / "inputs.npz"), params=str(tmp_path / "params.npz"),
    )  # fmt: skip


def test_only_training_steps_are_inside_the_clock(job, monkeypatch):
    monkeypatch.delitem(sys.modules, "torch", raising=False)  # as in a child of its own
    tally = Tally()
    counting = catalog.Variant("counting", "numpy", "", "")
    monkeypatch.setattr(child, "load_variant", lambda spec: counting)
    monkeypatch.setattr(catalog.Variant, "load", lambda self: tally.bind)

    times = []
    for message in child.serve(job, time_ns=lambda: tally.now):
        tally.now += 10**9  # the parent prints, draws, thinks
        times.append(getattr(message, "elapsed_ns", None))

    assert tally.calls == 25
    assert times == [None, 7, 70, 140, 175]


def test_the_child_tells_losses_at_every_report_and_predictions_at_frames(job, monkeypatch):
    monkeypatch.delitem(sys.modules, "torch", raising=False)  # as in a child of its own
    ready, *points = child.serve(job)

    assert isinstance(ready, Ready)
    assert [point.epoch for point in points] == [1, 10, 20, 25]
    assert [point.y_hat is not None for point in points] == [True, False, False, True]
    work = prepare(Settings(**SMALL))
    assert points[-1].y_hat == pytest.approx(predict(load_params(job.params), work.x_test), abs=1e-14)


def test_the_curve_is_that_of_the_reference(tmp_path):
    result = run_small(tmp_path / "t", epochs=30, every=10)
    batch = data.make(sine_case("train_step", "positional", hidden=5, batch=12, dtype="float64"))
    params, losses = batch.params, []
    for _ in range(30):
        loss, params = RNN.reference("numpy").sgd_step(params, batch.x, batch.y)
        losses.append(float(loss))

    run = result.runs[0]
    assert run.epochs.tolist() == [1, 10, 20, 30]
    assert run.losses == pytest.approx([losses[epoch - 1] for epoch in run.epochs], rel=1e-12)
    assert run.params["W"] == pytest.approx(params["W"], abs=1e-12)
    e = run.test_predictions - result.truth
    assert (run.rmse, run.huber) == pytest.approx((np.sqrt(np.mean(e**2)), huber(e, 0.025)), rel=1e-12)


def test_either_library_goes_on_where_the_other_stopped_and_their_curves_are_one(tmp_path):
    whole = run_small(tmp_path / "whole", variants=("numpy-inplace", "torch-rnn"))
    first = run_small(tmp_path / "first", epochs=100)
    start = str(first.folder / "params" / "numpy-inplace.npz")
    second = run_small(tmp_path / "second", epochs=100, variants=("torch-rnn",), load=start)

    assert whole.difference.largest < 1e-9
    assert second.runs[0].losses[-1] == pytest.approx(whole.runs[0].losses[-1], rel=1e-9)
    for name, p in whole.runs[0].params.items():
        assert second.runs[0].params[name] == pytest.approx(p, rel=1e-9, abs=1e-9)
    assert second.runs[0].losses[-1] != pytest.approx(first.runs[0].losses[-1], rel=1e-3)


def test_curves_that_part_are_seen_to_part(tmp_path):
    one, other = run_small(tmp_path / "a").runs + run_small(tmp_path / "b", lr=0.2).runs

    assert difference([one, other]).largest > 0.01
    assert difference([one, one]).largest == 0
    assert difference([one]) is None


def test_time_to_a_target_starts_with_the_process(tmp_path):
    result = run_small(tmp_path / "t", target=1.0)
    never = run_small(tmp_path / "never", target=1e-12)

    run = result.runs[0]
    assert run.epochs_to_target == 1
    assert run.time_to_target_s == run.startup_s + run.first_call_s
    assert run.startup_s > 0.01  # an interpreter does not start faster
    assert never.runs[0].time_to_target_s is None
    assert "did not reach a loss of 1.00e-12 in 200 epochs" in never.summary()


def test_a_series_is_trained_standardised_and_told_in_its_own_units(tmp_path):
    values = 1000 + 50 * np.sin(np.arange(80) / 3)
    (tmp_path / "mine.csv").write_text("day,level\n" + "".join(f"{n},{v}\n" for n, v in enumerate(values)))
    result = bench.train(
        "numpy-inplace",
        series=tmp_path / "mine.csv",
        column="level",
        epochs=300,
        lr=0.5,
        out=tmp_path / "t",
    )

    run, header = result.runs[0], result.header
    assert header.split == "tail"
    assert result.truth[-1] == pytest.approx(values[-9:-1])  # the last window is left out, as on the sine
    train_rows = np.lib.stride_tricks.sliding_window_view(values, 14)[:-1][: -len(result.truth) - 7]
    assert (header.mean, header.scale) == pytest.approx((train_rows.mean(), train_rows.std()))
    assert np.abs(run.test_predictions - 1000).max() < 100
    assert run.rmse < header.naive_rmse
    assert sorted(path.name for path in (tmp_path / "t" / "pictures").iterdir())[-1] == "epoch-300.png"


def test_divergence_is_said_with_epoch_and_learning_rate_and_keeps_what_was(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    arguments = ["--variant", "numpy-inplace", "--hidden", "4", "--epochs", "200", "--out", "t"]
    assert main(["train", "--lr", "1e9", *arguments]) == 3
    printed = capsys.readouterr().out
    assert "it diverged in epochs 2 to 100 at learning rate 1e+09" in printed
    assert load_result(Path("t")).runs[0].epochs.tolist() == [1]
    assert Path("t/report.html").exists()
    assert "diverged" in Path("t/report.md").read_text()


@pytest.mark.parametrize(
    ("loss", "first", "said"),
    [
        (None, 0.1, "not finite"),
        (101.0, 0.1, "rose to 101"),
        (99.0, 0.1, None),
        (5000.0, None, None),
        (float("nan"), 0.1, "rose"),
    ],
)
def test_a_loss_diverges_a_thousandfold_above_the_first(loss, first, said):
    found = divergence(Progress(200, loss, 1), first, 100, 0.5)

    assert found is None if said is None else said in found
    assert found is None or "epochs 101 to 200 at learning rate 0.5" in found


def test_a_variant_that_crashes_is_told_and_the_next_one_trains(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "import types\n"
        "def bind(*args, **options):\n    raise RuntimeError('no idea')\n"
        "bad = types.SimpleNamespace(name='bad', library='numpy', bind=bind)\n"
    )
    monkeypatch.chdir(tmp_path)
    result = run_small(Path("t"), variants=("mine:bad", "numpy-batched"))

    assert [stop.status for stop in result.stops] == ["crashed", "complete"]
    assert "RuntimeError: no idea (mine.py, line 3, in bind)." in result.summary()
    assert [run.variant for run in result.runs] == ["numpy-batched"]
    assert result.status == "partial"


def test_control_c_keeps_what_was_trained_and_draws_it(tmp_path):
    command = [sys.executable, "-m", "bench", "train", "--variant", "numpy-batched", "--variant", "torch-rnn"]
    command += ["--epochs", "10000000", "--out", "t"]
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    running = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    file = tmp_path / "t" / "training.jsonl"
    for _ in range(600):
        if file.exists() and file.read_text().count('"point"') > 3:
            break
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    printed, errors = running.communicate(timeout=60)

    assert running.returncode == 130, errors
    assert "Not started: torch-rnn." in printed
    result = load_result(tmp_path / "t")
    assert result.status == "interrupted"
    assert len(result.runs[0].epochs) > 3
    assert {"animation.gif", "losses.csv", "report.html"} <= {
        path.name for path in (tmp_path / "t").iterdir()
    }


def test_losses_are_there_as_csv_and_in_the_terminal(tmp_path, capsys):
    arguments = [
        "--hidden",
        "4",
        "--epochs",
        "250",
        "--save",
        str(tmp_path / "p.npz"),
        "--out",
        str(tmp_path / "t"),
    ]
    assert main(["train", "--variant", "numpy-inplace", *arguments]) == 0

    rows = list(csv.DictReader((tmp_path / "t" / "losses.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "100", "200", "250"]
    run = load_result(tmp_path / "t").runs[0]
    assert [float(row["loss"]) for row in rows] == run.losses.tolist()
    printed = capsys.readouterr().out
    assert f"numpy-inplace  epoch 200  loss {run.losses[2]:.4e}" in printed
    assert load_params(tmp_path / "p.npz")["W"].tobytes() == run.params["W"].tobytes()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"series": "nowhere.csv", "column": "x"}, "cannot read nowhere.csv"),
        ({"series": "short.csv", "column": "y"}, "no column 'y'; its columns are: x"),
        ({"series": "short.csv"}, "windows of 14 need at least 16"),
        ({"series": "short.csv", "column": "x"}, "windows of 14 need at least 16"),
        ({"series": "short.csv", "column": "x", "batch": 5}, "leave --batch out"),
        ({"column": "x"}, "column is about a CSV file; give that too"),
        ({"missing": "drop"}, "missing is about a CSV file; give that too"),
        ({"series": "short.csv", "decimal": ";"}, "decimal must be . or ,, not ';'"),
        ({"series": "short.csv", "missing": "guess"}, "missing must be error or drop or interpolate, not"),
        ({"load": "other.npz"}, r"U is \(3, 6\), but these settings need \(5, 6\)"),
        ({"lr": -1.0}, "--lr must be a number above 0"),
        ({"delta": float("nan")}, "--delta must be a number above 0"),
        ({"epochs": 0}, "--epochs must be 1 or more"),
        ({"variants": ("numpy-inplac",)}, "no variant 'numpy-inplac'"),
        ({"variants": ("numpy-loop", "numpy-loop")}, "asked for twice"),
        ({"variants": ("torch-rnn",), "activation": "sigmoid"}, "does not support activation sigmoid"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_written(tmp_path, monkeypatch, settings, said):
    monkeypatch.chdir(tmp_path)
    Path("short.csv").write_text("x\n1\n2\n3\n")
    np.savez("other.npz", U=np.ones((3, 6)), W=np.ones((3, 3)), V=np.ones((8, 3)))

    with pytest.raises(UserError, match=said):
        run_training(Settings(**{"hidden": 5, "variants": ("numpy-inplace",), **settings}), Path("t"), quiet)
    assert not Path("t").exists()


def test_a_folder_that_holds_a_training_is_refused(tmp_path):
    run_small(tmp_path, epochs=2)
    before = (tmp_path / "training.jsonl").read_bytes()

    with pytest.raises(UserError, match="already holds a training; choose another --out"):
        run_small(tmp_path, epochs=2)
    assert (tmp_path / "training.jsonl").read_bytes() == before


def test_a_training_that_was_cut_off_can_still_be_read(tmp_path):
    run_small(tmp_path)
    file = tmp_path / "training.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-2]) + lines[-2][:20])

    result = load_result(file)
    assert result.status == "interrupted"
    assert result.runs[0].epochs.tolist() == [1, 100]
    assert "it was cut off" in result.summary()


@pytest.mark.parametrize("content", [b"", b"{}\n", b"no json\n"])
def test_a_file_that_is_no_training_is_refused(tmp_path, content):
    (tmp_path / "training.jsonl").write_bytes(content)

    with pytest.raises(UserError, match=r"no training|damaged"):
        load_result(tmp_path)


def test_frames_are_few_and_reach_from_the_first_report_to_the_last():
    for settings in (Settings(), Settings(epochs=1), Settings(epochs=150), Settings(every=1)):
        assert settings.frames[0] == 1
        assert settings.frames[-1] == settings.epochs == settings.reports[-1]
        assert len(settings.frames) <= MAX_FRAMES
        assert set(settings.frames) <= set(settings.reports)
    assert len(Settings().reports) == 201


def test_a_child_that_dies_says_so(tmp_path):
    (tmp_path / "job.json").write_bytes(msgspec.json.encode({"spec": 1}))
    with (
        Child("bench.training.child", [str(tmp_path / "job.json")], dict(os.environ)) as dying,
        pytest.raises(ChildError, match="exit code 1"),
    ):
        dying.receive(Ready, 60)


def test_the_records_tell_library_and_threads(tmp_path):
    run_small(tmp_path, epochs=2)

    start = next(record for record in read_records(tmp_path) if isinstance(record, Start))
    assert (start.variant, start.library, start.device) == ("numpy-inplace", "numpy", "cpu")
    assert start.facts["threads"] == 1
