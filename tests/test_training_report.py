"""What a training looks like: pictures, animation, plot, sentences and its place on the page."""

import io
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from journals import example_records
from PIL import Image
from reports import write_run

from bench.cli.main import main
from bench.records.training import SCHEMA, Header, Point, Settings, Start, Stop, Writer
from bench.reporting import page, training_pictures
from bench.reporting.build import build_report
from bench.training import load_result
from bench.training.sentences import curves, sentences
from bench.training.work import prepare

EPOCHS = [1, 100, 200, 300]
FALL = (1e-2, 5e-3, 2e-3, 1e-3)


def write_training(folder: Path, runs: dict[str, tuple], *, frames: int = 4, **changes) -> Path:
    """A training whose losses are given, with predictions that come closer to the truth."""
    settings = Settings(variants=tuple(runs), epochs=300, **changes)
    work = prepare(settings)
    moved = {"U": 0.1, "W": 0.0 if work.case.shape.T == 1 else 0.2, "V": 0.3}
    with Writer(folder) as writer:
        writer.write(
            Header(
                schema=SCHEMA, started_utc="2026-01-01T00:00:00+00:00", settings=settings,
                shape=work.case.shape,
                split="random", mean=0.0, scale=1.0, truth=work.truth.tolist(), naive_rmse=0.3,
                machine={"processor": "a processor", "cpus": 2}, environment={"OMP_NUM_THREADS": "1"},
            )
        )  # fmt: skip
        for n, (variant, losses) in enumerate(runs.items()):
            library = variant.partition("-")[0]
            writer.write(Start(variant, library, "cpu", "published" in variant, 10**8 * (1 + 20 * n), {}))
            for place, loss in enumerate(losses):
                y_hat = work.truth * (1 - loss) if place < frames else None
                elapsed_ns = round(10**6 * (1 + 10 * n) * (1 + 100 * place))
                writer.write(
                    Point(EPOCHS[place], loss, elapsed_ns, None if y_hat is None else y_hat.tolist())
                )
            writer.write(Stop(variant, "complete", moved=moved))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    runs = {"numpy-inplace": FALL, "torch-rnn": tuple(loss * (1 + 1e-12) for loss in FALL)}
    folder = write_training(tmp_path_factory.mktemp("training"), runs)
    training_pictures.draw_pictures(load_result(folder), folder)
    build_report([folder], None)
    return folder


def test_there_is_a_picture_for_every_kept_epoch(folder):
    names = sorted(path.name for path in (folder / "pictures").iterdir())
    assert names == ["epoch-001.png", "epoch-100.png", "epoch-200.png", "epoch-300.png"]
    first, last = (np.asarray(Image.open(folder / "pictures" / names[n]).convert("RGB")) for n in (0, -1))
    assert first.shape == last.shape
    assert (first != last).any()


def test_the_pictures_are_red_over_green_within_the_tutorials_limits(folder):
    pictures = training_pictures.Pictures(load_result(folder))
    axes = pictures.figure.axes
    assert [panel.get_title() for panel in axes] == ["numpy-inplace", "torch-rnn"]
    assert all(panel.get_ylim() == (-1.1, 1.1) for panel in axes)
    truth, prediction = axes[0].lines[:2]
    assert (truth.get_color(), prediction.get_color()) == (
        training_pictures.TRUTH,
        training_pictures.PREDICTION,
    )
    ends = [line.get_xdata()[[0, -1]].tolist() for line in axes[0].lines[::2]]
    assert all(later[0] - earlier[1] == 1 + training_pictures.GAP for earlier, later in pairwise(ends))


def test_the_animation_is_small_and_has_at_most_sixty_frames(folder):
    path = folder / "animation.gif"
    with Image.open(path) as gif:
        assert 4 <= gif.n_frames <= 60
    assert path.stat().st_size < 2_000_000


def test_an_animation_that_is_too_large_is_drawn_coarser(folder, tmp_path, monkeypatch):
    fine = (folder / "animation.gif").stat().st_size
    monkeypatch.setattr(training_pictures, "MAX_BYTES", fine - 1)
    assert len(training_pictures.animation(training_pictures.Pictures(load_result(folder)))) < fine


def test_the_plot_says_that_the_curves_lie_on_each_other_and_by_how_much(folder, tmp_path):
    told = curves(load_result(folder))
    assert told == "the curves lie on each other: largest difference 1.0e-12 of the loss"

    apart = {"numpy-inplace": FALL, "torch-rnn": (1e-2, 5e-3, 3e-3, 1e-3)}
    told = curves(load_result(write_training(tmp_path, apart)))
    assert told == "the curves part: largest difference 50 % of the loss, at epoch 200"


def test_the_page_holds_the_animation_and_needs_nothing_else(folder):
    text = (folder / "report.html").read_text()
    assert 'src="data:image/gif;base64,' in text
    assert "<h2>How long does training take, start to finish?</h2>" in text
    assert not re.search("https?:", text)
    text = (folder / "report.md").read_text()
    assert "(animation.gif)" in text
    assert (folder / "plots" / "loss.svg").exists()


def test_a_still_of_the_animation_is_its_last_frame(folder):
    moving = (folder / "animation.gif").read_bytes()
    with Image.open(io.BytesIO(moving)) as frames, Image.open(io.BytesIO(page.last_frame(moving))) as still:
        first = np.asarray(frames.convert("RGB"))
        frames.seek(frames.n_frames - 1)
        assert np.array_equal(np.asarray(still), np.asarray(frames.convert("RGB")))
        assert not np.array_equal(np.asarray(still), first)


def test_times_contain_start_up_and_first_call_and_tell_them_apart(folder):
    text = "\n".join(sentences(load_result(folder)))
    assert "a loss of 1.05e-03 was reached by numpy-inplace in 0.401 s and torch-rnn in 5.41 s" in text
    assert "numpy-inplace 0.100 s and 1.00 ms and torch-rnn 2.10 s and 11.0 ms" in text


@pytest.mark.parametrize(
    ("last", "said"), [(4e-3, "4.00 times as high"), (1e-3, "the same"), (5e-4, "lower by a factor of 2.00")]
)
def test_what_the_published_gradient_does_is_told_as_it_is(tmp_path, last, said):
    runs = {"numpy-published": (1e-2, 6e-3, 5e-3, last), "numpy-inplace": FALL}
    told = [
        line
        for line in sentences(load_result(write_training(tmp_path, runs)))
        if "published gradient" in line
    ]
    assert len(told) == 1
    assert f"numpy-inplace with the exact gradient at 1.00e-03: {said}." in told[0]
    assert f"higher of the two in {3 if last > 1e-3 else 2} of 4 reports" in told[0]


def test_a_wrong_gradient_is_no_disagreement_of_the_exact_ones(tmp_path):
    runs = {"numpy-published": (1e-2, 1e-2, 1e-2, 1e-2), "numpy-inplace": FALL}
    assert load_result(write_training(tmp_path, runs)).difference is None


@pytest.mark.parametrize(("layout", "said"), [("single_step", True), ("positional", False)])
def test_learning_without_memory_is_told_where_it_happens(tmp_path, layout, said):
    told = " ".join(sentences(load_result(write_training(tmp_path, {"torch-cell": FALL}, layout=layout))))
    assert ("W did not change at all in torch-cell" in told) is said
    assert ("without memory; the loss went from 1.00e-02 to 1.00e-03" in told) is said


def test_a_run_and_a_training_make_one_page_with_the_training_last(folder, tmp_path, capsys):
    run = write_run(tmp_path / "run", example_records())
    assert main(["report", str(folder), str(run), "--out", str(tmp_path / "both")]) == 0

    text = (tmp_path / "both" / "report.html").read_text()
    first, then = ">What is in these numbers, and what is not?</h3>", ">How was the training timed?</h3>"
    assert text.index(first) < text.index(then)
    assert (tmp_path / "both" / "plots" / "1-animation.gif").read_bytes() == (
        folder / "animation.gif"
    ).read_bytes()
    assert "plots/1-animation.gif" in (tmp_path / "both" / "report.md").read_text()
    assert "was reached by numpy-inplace" in capsys.readouterr().out


def test_a_training_is_drawn_again_from_its_file_alone(folder, tmp_path):
    (tmp_path / "training.jsonl").write_bytes((folder / "training.jsonl").read_bytes())
    build_report([tmp_path / "training.jsonl"], None)
    assert (tmp_path / "animation.gif").read_bytes() == (folder / "animation.gif").read_bytes()
    assert (tmp_path / "plots" / "loss.svg").read_bytes() == (folder / "plots" / "loss.svg").read_bytes()


def test_a_training_without_a_single_point_still_has_a_page(tmp_path):
    write_training(tmp_path, {"numpy-inplace": ()})
    training_pictures.draw_pictures(load_result(tmp_path), tmp_path)
    build_report([tmp_path], None)
    assert "Nothing was trained far enough" in (tmp_path / "report.html").read_text()


def test_a_notebook_shows_sentences_and_the_animation(folder):
    shown = load_result(folder)._repr_html_()
    assert "<p>From the start of its process" in shown
    assert "data:image/gif;base64," in shown
