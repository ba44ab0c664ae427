"""The plots show the numbers that they were given, where a log axis has them."""

import warnings
import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from bench.reporting.plots import Mark, colour_of, dot_plot, draw

NUMPY = Mark(
    "numpy-batched", "numpy", "CPU", 100e3, 98e3, 103e3, (99e3, 100e3, 101e3), "baseline", baseline=True
)
TORCH = Mark("torch-layer", "torch", "CPU", 365e3, 360e3, 371e3, (364e3, 366e3), "3.65 [3.60, 3.70]")
WRONG = Mark("numpy-published", "numpy", "CPU", 27e6, text="270", hollow=True)
MARKS = (NUMPY, TORCH, WRONG)


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_every_row_has_its_dot_interval_blocks_label_and_numbers_in_its_librarys_colour() -> None:
    figure = dot_plot(MARKS)
    lines = figure.axes[0].get_lines()
    dots = [line for line in lines if line.get_marker() == "o" and line.get_markersize() == 6]
    assert figure.axes[0].get_xscale() == "log"
    assert [float(np.asarray(dot.get_xdata())[0]) for dot in dots] == [mark.time_ns for mark in MARKS]
    colours = [to_hex(str(dot.get_color())) for dot in dots]
    assert colours == [colour_of(mark.library).lower() for mark in MARKS]
    assert [dot.get_markerfacecolor() == "white" for dot in dots] == [mark.hollow for mark in MARKS]
    drawn = {tuple(np.asarray(line.get_xdata(), dtype=float)) for line in lines}
    assert {(98e3, 103e3), (99e3, 100e3, 101e3), (100e3, 100e3)} < drawn  # the last is the baseline's line
    assert (365e3, 365e3) not in drawn
    assert {"torch-layer", "365 µs", "3.65 [3.60, 3.70]", "27.0 ms", "baseline"} < set(texts(figure))


@pytest.mark.parametrize(
    ("marks", "fewest"),
    [((NUMPY,), 1), ((WRONG,), 1), ((NUMPY, TORCH), 2), (MARKS, 2), ((Mark("x", "", "", 1e10), NUMPY), 2)],
)
def test_every_axis_has_ticks_and_holds_all_it_shows(marks: tuple[Mark, ...], fewest: int) -> None:
    axes = dot_plot(marks).axes[0]
    low, high = axes.get_xlim()
    assert sum(low <= tick <= high for tick in axes.get_xticks()) >= fewest
    assert all(low < time < high for mark in marks for time in (mark.time_ns, *mark.blocks_ns))


def test_sections_are_named_where_there_are_several() -> None:
    elsewhere = Mark("torch-layer", "torch", "cuda:0", 400e3)
    assert "cuda:0" in texts(dot_plot((NUMPY, elsewhere)))
    assert "CPU" not in texts(dot_plot(MARKS))


def test_the_same_marks_give_the_same_bytes_whatever_the_user_configured() -> None:
    first = draw(dot_plot(MARKS))
    with mpl.rc_context(
        {"font.size": 30, "svg.hashsalt": None, "savefig.facecolor": "red", "axes.grid": True}
    ):
        assert draw(dot_plot(MARKS)) == first
    assert draw(dot_plot((NUMPY, TORCH))) != first
    assert b"<dc:date>" not in first["svg"]


def test_any_text_can_be_drawn() -> None:
    names = ("$x_1$ <b> & --> ]]>", "\x00\x07\n\u202e", "名前", "n" * 500)
    marks = [Mark(name, "numpy", name, 1e3 * (1 + n), text=name) for n, name in enumerate(names)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        files = draw(dot_plot(marks))
    ET.fromstring(files["svg"])
    assert max(map(len, texts(dot_plot(marks)))) <= 64
