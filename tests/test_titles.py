"""Results of one page that are of one kind: their titles name what tells them apart, and nothing else."""

import re
from pathlib import Path
from typing import Any

import pytest
from declared import declare
from grids import records_of
from msgspec.structs import replace
from reports import write_run
from trainings import write_training

from bench.cli.main import main
from bench.reporting.section import Article, Hero
from bench.reporting.titles import aspects, told_apart
from bench.workload.case import sine_case


def write(name: str, day: int, **sizes: Any) -> None:
    options = {"batch": (4,), "hidden": (8,), "features": (6,), "threads": (1,)} | sizes
    plan = declare("numpy-batched", "torch-layer", quick=True, **options)
    plan = replace(plan, started_utc=f"2026-01-0{day}T00:00:00+00:00", run=name)
    write_run(Path("results") / name, records_of(plan, lambda arm, case: 1000.0))


def test_runs_of_one_kind_are_told_apart_on_the_page_in_its_contents_and_on_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write("first", 1)
    write("second", 2, hidden=(64, 256))
    write("third", 3, hidden=(64, 256))
    write_training(Path("results/training"), {"numpy-inplace": (1e-2, 5e-3)})
    assert main(["report", "results"]) == 0
    html = Path("results/report/report.html").read_text()
    narrow, wide = "A quick run: hidden 8", "A quick run: hidden 64 and 256"
    assert re.findall("<h2>(A .*)</h2>", html) == [wide, wide, narrow, "A training"]
    contents = html.partition('<nav class="contents"')[2].partition("</nav>")[0]
    assert re.findall("<p><a .*?>(.*?)</a></p>", contents) == [
        f"{wide} · third", f"{wide} · second", narrow, "A training",
    ]  # fmt: skip
    printed = capsys.readouterr().out.splitlines()
    for line in ("results/third: hidden 64 and 256", "results/first: hidden 8", "results/training"):
        assert line in printed
    text = Path("results/report/report.md").read_text()
    assert f"## {narrow} · first" in text


def test_what_is_equal_or_of_another_kind_is_not_named() -> None:
    def article(kind: str, *cases: Any) -> Article:
        return Article("", kind, "", "", Hero(""), (), (), (), aspects=aspects(cases))

    one, other = sine_case("forward", "sequence"), sine_case("forward", "sequence", dtype="float64")
    both = article("A", one, other)
    told = told_apart([article("A", one), both, article("A", one), article("B", one)])
    assert [shown.title for shown in told] == ["A: float32, tanh", "A: float32, tanh and float64, tanh",
                                               "A: float32, tanh", "B"]  # fmt: skip
    assert [shown.title for shown in told_apart([both, both])] == ["A", "A"]
