"""What a training looks like: pictures, animation, plot, sentences and its place on the page."""

import io
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from journals import example_records
from PIL import Image
from reports import write_run
from trainings import EPOCHS, FALL, write_training

from bench.cli.main import main
from bench.machine.libraries import library
from bench.reporting import page, training_plots
from bench.reporting.build import build_report
from bench.training import load_result
from bench.training.result import describe_curves

TWO = {"numpy-inplace": FALL, "torch-layer": FALL}
MOST_WORDS = 350  # of prose on the page of a training


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = {"numpy-inplace": FALL, "torch-layer": [loss * (1 + 1e-12) for loss in FALL]}
    folder = write_training(tmp_path_factory.mktemp("training"), runs)
    training_plots.draw_pictures(load_result(folder), folder)
    build_report([folder], None)
    return folder


# pictures


def test_there_is_a_picture_for_every_kept_epoch(folder: Path) -> None:
    names = sorted(path.name for path in (folder / "pictures").iterdir())
    assert names == [f"epoch-{epoch:03}.png" for epoch in EPOCHS]
    first, last = (np.asarray(Image.open(folder / "pictures" / names[n]).convert("RGB")) for n in (0, -1))
    assert first.shape == last.shape
    assert (first != last).any()


def test_the_pictures_are_red_over_green_within_the_tutorials_limits(folder: Path) -> None:
    pictures = training_plots.Pictures(load_result(folder))
    axes = pictures.figure.axes
    assert [panel.get_title() for panel in axes] == ["numpy-inplace", "torch-layer"]
    assert [panel.title.get_color() for panel in axes] == [
        library(name).colour for name in ("numpy", "torch")
    ]
    assert all(panel.get_ylim() == training_plots.SINE_LIMITS for panel in axes)
    truth, prediction = axes[0].lines[:2]
    assert truth.get_color() == training_plots.TRUTH
    assert prediction.get_color() == training_plots.PREDICTION
    ends = [line.get_xdata()[[0, -1]].tolist() for line in axes[0].lines[::2]]
    assert all(later[0] - earlier[1] == 1 + training_plots.GAP for earlier, later in pairwise(ends))


def test_the_animation_is_small_has_at_most_sixty_frames_and_ends_in_its_still(folder: Path) -> None:
    moving = (folder / "animation.gif").read_bytes()
    assert len(moving) < training_plots.MAX_BYTES
    with Image.open(io.BytesIO(moving)) as frames, Image.open(io.BytesIO(page.last_frame(moving))) as still:
        assert 4 <= frames.n_frames <= 60
        first = np.asarray(frames.convert("RGB"))
        frames.seek(frames.n_frames - 1)
        assert np.array_equal(np.asarray(still), np.asarray(frames.convert("RGB")))
        assert not np.array_equal(np.asarray(still), first)


def test_an_animation_that_is_too_large_is_drawn_coarser(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fine = (folder / "animation.gif").stat().st_size
    monkeypatch.setattr(training_plots, "MAX_BYTES", fine - 1)
    assert len(training_plots.Pictures(load_result(folder)).animation()) < fine


def test_the_losses_stand_below_each_other_on_a_narrow_screen(folder: Path) -> None:
    for narrow in (False, True):
        left, right = training_plots.loss_plot(load_result(folder), narrow=narrow).axes
        assert [line.get_label() for line in left.lines[:2]] == ["numpy-inplace", "torch-layer"]
        assert bool(left.get_position().x0 == right.get_position().x0) is narrow


def test_the_pictures_of_a_cell_name_it(tmp_path: Path) -> None:
    result = load_result(write_training(tmp_path, TWO, cell="lstm", bias=False, frames=1))
    left, _ = training_plots.loss_plot(result).axes
    assert left.get_xlabel() == "epochs of an LSTM without biases"
    (heading,) = (text.get_text() for text in training_plots.Pictures(result).figure.texts)
    assert heading == "epoch 1 of an LSTM without biases"


# sentences


LATER = "The first epoch of {} ends 1.50 s later than {}'s"
LEVEL = LATER + "; its epochs are shorter, and it is level after 301 ep"
NEVER = LATER + ", and its epochs are longer: it never catches up."
PAIR = ("torch-layer", "numpy-inplace")
WRONG = {"numpy-published": (1e-2, 6e-3, 5e-3, 4e-3), "numpy-inplace": FALL}
PARTED = {"numpy-inplace": FALL, "torch-layer": (1e-2, 5e-3, 3e-3, 1e-3)}
UNCHANGED = "W did not change in torch-cell: a single step has nothing to remember"
# losses, options, and what is said, or else is not
SENTENCES: list[tuple[dict[str, Any], dict[str, Any], str, bool]] = [
    (TWO, {"first_s": (0.2, 1.7), "epoch_s": (0.010, 0.005)}, LEVEL.format(*PAIR), True),
    (TWO, {"first_s": (0.2, 1.7), "epoch_s": (0.001, 0.005)}, NEVER.format(*PAIR), True),
    (TWO, {"first_s": (1.7, 0.2), "epoch_s": (0.001, 0.006)}, LEVEL.format(*reversed(PAIR)), True),
    ({"numpy-inplace": FALL, "numpy-loop": FALL}, {}, "first epoch", False),  # of one library
    (TWO, {}, "A loss of 1.05e-03 was reached by numpy-inplace in 0.400 s and torch-layer in 5.40 s", True),
    (TWO, {}, "Start-up took numpy-inplace 0.100 s and torch-layer 2.10 s; then an epoch took 1.00 ms", True),
    (PARTED, {}, "the curves part: largest difference 50 % of the loss, at epoch 200", True),
    (
        WRONG, {}, "After 300 epochs numpy-published, whose gradient is wrong, is at a loss of 4.00e-03, "
        "numpy-inplace at 1.00e-03.", True,
    ),
    (WRONG, {}, "the curves", False),  # a wrong gradient is no disagreement of the exact ones
    ({"torch-cell": FALL}, {"layout": "single_step"}, UNCHANGED, True),
    ({"torch-cell": FALL}, {"layout": "positional"}, UNCHANGED, False),
    ({"numpy-inplace": ()}, {}, "Nothing was trained far enough", True),
    (TWO, {"cell": "gru"}, "A loss of 1.05e-03 of a GRU was reached by", True),
    (TWO, {"bias": True}, "A loss of 1.05e-03 of an RNN with biases was reached by", True),
    (TWO, {"cell": "rnn", "bias": False}, " of an? (RNN|cell)", False),
]  # fmt: skip


@pytest.mark.parametrize("case", SENTENCES)
def test_a_training_says_what_happened_and_no_more(
    tmp_path: Path, case: tuple[dict[str, Any], dict[str, Any], str, bool]
) -> None:
    runs, options, text, said = case
    summary = load_result(write_training(tmp_path, runs, **options)).summary()
    assert bool(re.search(text, summary, re.IGNORECASE)) is said


# the page


def test_the_page_holds_the_animation_and_needs_nothing_else(folder: Path) -> None:
    text = (folder / "report.html").read_text()
    assert "<h2>How long does training take, start to finish?</h2>" in text
    assert not re.search("https?:", text)
    assert "(animation.gif)" in (folder / "report.md").read_text()
    notebook = load_result(folder)._repr_html_()
    assert "<p>A loss of 1.05e-03 was reached by" in notebook
    assert all("data:image/gif;base64," in shown for shown in (text, notebook))
    assert describe_curves(load_result(folder)).endswith(
        "lie on each other: largest difference 1.0e-12 of the loss"
    )


def test_the_page_of_a_training_says_it_in_few_words(tmp_path: Path) -> None:
    runs = {"numpy-published": FALL, "numpy-inplace": FALL, "torch-layer": FALL}
    write_training(tmp_path, runs, layout="single_step", first_s=(0.1, 0.2, 0.3), epoch_s=(0.1, 0.2, 0.3))
    build_report([tmp_path], None)
    text = (tmp_path / "report.md").read_text()
    prose = [line for line in text.splitlines() if not line.startswith(("|", "#", "!"))]
    assert len(" ".join(prose).split()) <= MOST_WORDS


@pytest.mark.usefixtures("unrendered")
def test_a_run_and_a_training_make_one_page_with_the_training_last(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "run", example_records())
    assert main(["report", str(folder), str(run), "--out", str(tmp_path / "both")]) == 0

    text = (tmp_path / "both" / "report.html").read_text()
    first, then = ">What is in these numbers, and what is not?</h3>", ">How was the training timed?</h3>"
    assert text.index(first) < text.index(then)
    moving = (tmp_path / "both" / "plots" / "1-animation.gif").read_bytes()
    assert moving == (folder / "animation.gif").read_bytes()
    assert "plots/1-animation.gif" in (tmp_path / "both" / "report.md").read_text()
    assert "was reached by numpy-inplace" in capsys.readouterr().out


def test_a_training_is_drawn_again_from_its_file_alone(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "training.jsonl").write_bytes((folder / "training.jsonl").read_bytes())
    build_report([tmp_path / "training.jsonl"], None)
    for name in ("animation.gif", "plots/loss.svg"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
    pointless = write_training(tmp_path / "pointless", {"numpy-inplace": ()})
    training_plots.draw_pictures(load_result(pointless), pointless)
    build_report([pointless], None)
    assert "No target was reached" in (pointless / "report.html").read_text()
