"""What a stream looks like: its page, its plot, its place among other results, and in a notebook."""

import json
import re
from dataclasses import replace
from html import unescape
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs
from reports import Reader, table_rows, write_run
from small_journal import small_records
from streams import write_stream
from trainings import FALL, write_training

import bench
from bench.analysis.tail import Tails, analyse
from bench.cli.main import main
from bench.machine.libraries import library
from bench.records.record import Failure
from bench.records.results import find_results, newest
from bench.records.stream import read_stream
from bench.reporting import plots
from bench.reporting.build import build_report
from bench.reporting.stream_plot import tail_plot
from bench.reporting.stream_tables import verdict_cell
from bench.reporting.streamed import StreamAnswer, answer_one, load_streamed
from bench.reporting.titles import told_apart

ARMS = ("numpy-batched", "numpy-inplace", "torch-layer")
HOSTILE = "ended: <script>alert(1)</script> | [x](y)"
FAILED = Failure(4, "torch-layer@cpu x1", "crashed", HOSTILE, [], "<b>printed</b>")


def calls(median: float, tail: float, n: int = 3000) -> list[float]:
    """2 in 100 calls take about ``tail`` more."""
    return [*[median] * (n - n // 50), *(median + tail * (1 + k / n) for k in range(n // 50))]


def example(folder: Path, *, rate: float | None = 1000.0, group: int = 1) -> Path:
    """The control explains the tail of NumPy's arms, not PyTorch's, which is late now and then."""
    times = {
        "numpy-batched": calls(12_000, 30_000), "numpy-inplace": calls(8000, 30_000),
        "torch-layer": calls(24_000, 1_200_000), "control": calls(24_000, 30_000),
    }  # fmt: skip
    return write_stream(folder, times, rate=rate, group=group, failures=[FAILED])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = example(tmp_path_factory.mktemp("stream"))
    build_report([folder], None)
    return folder


def tails_of(folder: Path) -> Tails:
    return analyse(read_stream(folder))


def test_the_page_has_the_sentence_on_top_and_needs_nothing_else(folder: Path) -> None:
    text = (folder / "report.html").read_text()
    page = Reader(text)
    claim = re.search(r'<p class="claim long">(.*?)</p>', text)
    assert claim
    assert unescape(claim[1]) == load_streamed(folder).sentence
    assert not re.search("https?:", text)
    assert HOSTILE in page.text
    assert "<b>printed" not in text
    assert len(page.all("script")) == 1
    (picture,) = page.all("img")
    assert "torch-layer p50 24.0 µs, p99 " in (picture["alt"] or "")


def test_streams_on_a_page_are_told_apart_by_how_they_were_fed_and_the_collector(folder: Path) -> None:
    stream = read_stream(folder)
    case = stream.declaration.case
    larger = replace(case, shape=replace(case.shape, T=64, H=1024))
    told = told_apart(
        [
            answer_one(analyse(replace(stream, declaration=declaration))).article("", "")
            for declaration in (
                stream.declaration,
                structs.replace(stream.declaration, pace="spin"),
                structs.replace(stream.declaration, collector=False, case=larger),
            )
        ]
    )
    on, sleeping = "garbage collection on, as in production", "at 1 kHz, sleeping meanwhile, as a server"
    assert [article.difference for article in told] == [
        f"hidden 32, {sleeping}, {on}",
        f"hidden 32, at 1 kHz, spinning meanwhile, as audio does, {on}",
        f"hidden 1024, {sleeping}, garbage collection off",
    ]


def test_the_tables_mark_what_the_machine_explains_and_hide_what_few_calls_cannot_tell(folder: Path) -> None:
    text = (folder / "report.md").read_text()
    rows = [[cell.strip() for cell in row] for row in table_rows(text)]
    service, response, ratios, causes = (n for n, row in enumerate(rows) if row[0] in ("Variant", "Compared"))
    assert rows[service] == ["Variant", "p50", "p99", "Longest"]
    assert rows[response][-1] == "Late"
    marked = {row[0].split()[0]: r"\*" in row[2] for row in rows[service + 2 : response]}
    assert marked == {"numpy-batched": True, "numpy-inplace": True, "torch-layer": False, "control": False}
    late = {row[0].split()[0]: row[-1] for row in rows[response + 2 : ratios]}
    assert late == {"numpy-batched": "0 %", "numpy-inplace": "0 %", "torch-layer": "2 %", "control": "0 %"}
    assert [row[1] for row in rows[ratios + 2 : causes]] == ["p50", "p99"] * 2
    assert "p99.9 needs 20 000 calls" in text


def test_a_verdict_stands_with_its_reason(folder: Path) -> None:
    ratio = replace(tails_of(folder).ratios[0], verdict="NONE", reason="it is the machine", machine=True)
    assert verdict_cell(ratio, quick=False).note == "it is the machine"
    quick = verdict_cell(ratio, quick=True)
    assert (quick.text, quick.note) == ("the machine", "")


@pytest.mark.parametrize("narrow", [False, True])
def test_an_arm_is_known_by_colour_and_dashes_and_its_title_stands_beside_it(
    folder: Path, narrow: bool
) -> None:
    figure = tail_plot(tails_of(folder), narrow=narrow)
    service, response = figure.axes
    figure.draw_without_rendering()
    assert bool(service.get_position().x0 == response.get_position().x0) is narrow
    for axes in figure.axes:
        curves = [line for line in axes.lines if line.get_drawstyle() == "steps-post"]
        colours = [plots.OTHER, *[library("numpy").colour] * 2, library("torch").colour]
        assert [curve.get_color() for curve in curves] == colours
        assert len({(curve.get_color(), curve.get_linestyle()) for curve in curves[1:]}) == len(ARMS)
        places = {text.get_text(): text.get_position()[1] for text in axes.texts}
        assert {*ARMS, "control", "p50", "p99"} == places.keys() - {"deadline 1 ms"}
        levels = sorted(places[title] for title in (*ARMS, "control"))
        assert all(high / low > 1.2 for low, high in pairwise(levels))
        dots = [line for line in axes.lines if line.get_marker() == "o"]
        assert {round(dot.get_ydata()[0], 6) for dot in dots} == {0.5, 0.01}
        assert all(abs(np.log(level / share)) > 0.15 for level in levels for share in (0.5, 0.01))
        crosses = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "x"]
        assert [curve.get_xdata()[-1] for curve in curves] == crosses


def test_a_curve_is_the_share_of_calls_that_took_longer(folder: Path) -> None:
    axes = tail_plot(tails_of(folder)).axes[0]
    slow = next(line for line in axes.lines if line.get_color() == library("torch").colour)
    times, shares = slow.get_xdata(), slow.get_ydata()
    given = np.array(calls(24_000, 1_200_000))
    for time in (100_000, 1_210_000, 1_230_000):
        assert float(shares[times <= time][-1]) == pytest.approx(np.mean(given > time), abs=2 / len(given))
    assert float(times[-1]) == given.max()


def test_a_deadline_is_drawn_where_it_is_near_and_groups_are_told(tmp_path: Path) -> None:
    near, far = (tail_plot(tails_of(example(tmp_path / f"{rate:g}", rate=rate))) for rate in (1000.0, 1.0))
    for figure, text, drawn in ((near, "deadline 1 ms", True), (far, "deadline 1 s →", False)):
        response = figure.axes[1]
        assert text in [one.get_text() for one in response.texts]
        assert any([*line.get_xdata()] == [1e6, 1e6] for line in response.lines) is drawn
    grouped = example(tmp_path / "grouped", rate=None, group=4)
    (axes,) = tail_plot(tails_of(grouped)).axes
    assert axes.get_xlabel() == "time of a call, mean of each 4"
    build_report([grouped], None)
    assert "3 000 groups of 4 calls" in (grouped / "report.md").read_text()


def test_streams_stand_beside_runs_and_trainings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    stream = example(Path("results/later/stream"))
    write_run(Path("results/run"), small_records())
    write_training(Path("results/training"), {"numpy-inplace": FALL})
    assert {head.path.name for head in find_results([Path("results")]).heads} == {"stream", "run", "training"}
    assert newest([stream.parent], print) == stream
    assert main(["report", "results", "--json"]) == 0
    kinds = {tree["kind"]: tree for tree in json.loads(capsys.readouterr().out)["results"]}
    assert kinds.keys() == {"run", "stream", "training"}
    assert kinds["stream"]["rows"][-1]["arm"] == "control"
    assert kinds["stream"]["answer"] == [kinds["stream"]["sentence"]]
    text = Path("results/report/report.md").read_text()
    assert text.index("## A quick run") < text.index("## One sample at") < text.index("## A training")
    for words in (["compare", "results/run", str(stream)], ["export", str(stream), "--to", "csv"]):
        assert main(words) == 2
        assert "is a stream, which has the percentiles of calls" in capsys.readouterr().err


def test_a_notebook_shows_a_stream(folder: Path) -> None:
    streamed = bench.load(folder)
    assert isinstance(streamed, StreamAnswer)
    shown = streamed._repr_html_()
    assert "<p>At 1 kHz PyTorch misses 2" in shown
    assert "data:image/svg+xml;base64," in shown
    assert "<script>" not in shown
