"""Labels of a plot lie on no line, on no other label and on no mark, and near their points."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from bench.reporting.plots import draw
from bench.reporting.sections import breakeven_plot
from bench.reporting.sections.breakeven_plot import Crossing, Line, cost_plot
from bench.reporting.sections.label_places import Label, Place, places

MS, US = 1e6, 1e3
LINES = [
    Line("numpy-batched", "numpy", 140 * MS, 168 * US),
    Line("numpy-inplace", "numpy", 139 * MS, 139 * US),
    Line("torch-rnn", "torch", 2_070 * MS, 714 * US),
    Line("torch-autograd", "torch", 1_200 * MS, 570 * US),
    Line("torch-compile", "torch", 17_900 * MS, 253 * US),
    Line("numpy-published", "numpy", 192 * MS, 42.5 * MS),
    Line("numpy-loop", "numpy", 166 * MS, 10.5 * MS),
]


def crossing(one: int, other: int) -> Crossing:
    early, late = LINES[one], LINES[other]
    steps = (late.fixed_ns - early.fixed_ns) / (early.step_ns - late.step_ns)
    total_ns = early.fixed_ns + steps * early.step_ns
    text = f"{steps:.0f} steps [{0.85 * steps:.0f}, {1.1 * steps:.0f}]"
    return Crossing(steps, 0.85 * steps, 1.1 * steps, total_ns, text)


PAIRS = [(5, 2), (6, 2), (5, 3), (6, 3), (5, 4), (3, 4)]  # four of them within a finger's breadth


def drawn(crossings: Sequence[Crossing]) -> tuple[Any, list[Bbox]]:
    """The axes, and where the numbers of the crossings stand."""
    figure = cost_plot(LINES, crossings, "step")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    (axes,) = figure.axes
    texts = [one for one in axes.texts if isinstance(one, Annotation) and "steps" in one.get_text()]
    return axes, [Text.get_window_extent(one, canvas.get_renderer()) for one in texts]  # without leaders


def hidden(crossings: Sequence[Crossing]) -> list[str]:
    """What labels lie on, or where they leave the axes."""
    axes, boxes = drawn(crossings)
    assert len(boxes) == len(crossings)
    found = [f"labels {one} and {other}" for (one, a), (other, b) in combinations(enumerate(boxes), 2)
             if a.overlaps(b)]  # fmt: skip
    for number, box in enumerate(boxes):
        corners = [axes.bbox.contains(x, y) for x, y in box.get_points()]
        found += [] if all(corners) else [f"label {number} outside"]
        for line in axes.lines:
            points = axes.transData.transform(np.column_stack(line.get_data()))
            if box.count_contains(points):
                found.append(f"label {number} on a line")
    return found


@pytest.mark.parametrize("count", range(1, len(PAIRS) + 1))
def test_numbers_of_up_to_six_crossings_lie_on_nothing(count: int) -> None:
    crossings = [crossing(*pair) for pair in PAIRS[:count]]
    assert hidden(crossings) == []
    assert draw(cost_plot(LINES, crossings, "step")) == draw(cost_plot(LINES, crossings, "step"))


def test_numbers_beside_their_points_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def beside(labels: Sequence[Label], *_: object) -> list[Place]:
        return [Place(one.x + 7 + one.width / 2, one.y - 11, None) for one in labels]

    monkeypatch.setattr(breakeven_plot, "places", beside)
    found = hidden([crossing(*pair) for pair in PAIRS])
    assert any(one.startswith("labels") for one in found)
    assert any(one.endswith("on a line") for one in found)


def test_a_crossing_beyond_the_axes_has_no_number() -> None:
    far = Crossing(3e9, None, None, 3e9 * 168 * US, "3 000 000 000 steps")
    _, boxes = drawn([crossing(5, 2), far])
    assert len(boxes) == 1


EMPTY = np.empty((0, 2))


def test_a_free_point_has_its_label_beside_it_and_no_leader() -> None:
    (place,) = places([Label(200, 100, 200, 200, 60, 8)], (400, 300), EMPTY)
    assert place.end is None
    assert abs(place.y - 100) < 25
    assert abs(place.x - 200) < 60


def test_a_crowded_point_has_a_leader_to_the_edge_of_its_label() -> None:
    wall = np.array([(x, y) for x in range(100, 301, 2) for y in range(50, 151, 2)], dtype=float)
    (place,) = places([Label(200, 100, 200, 200, 60, 8)], (400, 300), wall)
    assert place.end is not None
    assert not (70 < place.x < 330 and 46 < place.y < 154)
    assert abs(place.end[0] - place.x) <= 30 + 1e-9
    assert abs(place.end[1] - place.y) <= 4 + 1e-9


def test_without_a_free_place_there_is_one_all_the_same() -> None:
    label = Label(20, 10, 20, 20, 60, 8)
    assert len(places([label, label], (50, 12), np.array([(20.0, 10.0)]))) == 2


def test_leaders_run_through_no_other_label() -> None:
    row = [Label(180 + 8.0 * n, 100, 180 + 8.0 * n, 180 + 8.0 * n, 70, 8) for n in range(6)]
    found = places(row, (400, 300), EMPTY)
    for number, (label, place) in enumerate(zip(row, found, strict=True)):
        if place.end is None:
            continue
        for other in (one for one in found if one is not place):
            for share in np.linspace(0, 1, 50):
                x = label.x + share * (place.end[0] - label.x)
                y = label.y + share * (place.end[1] - label.y)
                assert not (abs(x - other.x) < 35 and abs(y - other.y) < 4), (number, other)
