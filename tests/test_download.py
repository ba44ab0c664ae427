"""The values that a page holds are the journal's, in a file that stays small and that no spreadsheet runs."""

import base64
import csv
import io
from dataclasses import replace as replaced

import pytest
from journals import example_records
from msgspec.structs import replace

from bench.analysis.outcome import Outcome, outcomes
from bench.analysis.summary import summarise
from bench.records.run import Run, make_run
from bench.reporting import download
from bench.reporting.download import download_section
from bench.reporting.facts import Facts
from bench.reporting.section import Section


@pytest.fixture(scope="module")
def default() -> Run:
    return make_run(example_records(quick=True))


def section_of(run: Run, found: dict[str, Outcome] | None = None) -> Section:
    found = outcomes(run) if found is None else found
    return download_section(Facts.of(run, summarise(run)), found, "")


def rows(section: Section) -> list[dict[str, str]]:
    """The file within the link."""
    (file,) = section.files
    head, _, content = file.href.partition(",")
    assert head == "data:text/csv;base64"
    return list(csv.DictReader(io.StringIO(base64.b64decode(content).decode())))


def test_every_value_is_there(default: Run) -> None:
    kept = rows(section_of(default))
    assert [(row["entry"], int(row["block"]), int(row["round"]), int(row["elapsed_ns"])) for row in kept] == [
        (burst.entry, burst.block, number, elapsed)
        for burst in default.bursts
        for number, elapsed in zip(burst.rounds, burst.elapsed_ns, strict=True)
    ]
    assert {int(row["n_calls"]) for row in kept} == {burst.n_calls for burst in default.bursts}
    assert section_of(default).files[0].name == "values.csv"


def test_too_many_values_are_medians_and_too_many_of_these_are_a_sentence(
    default: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "LARGEST", 10_000)
    section = section_of(default)
    found = outcomes(default)
    assert section.files[0].name == "medians.csv"
    assert len(rows(section)) == sum(len(outcome.medians) for outcome in found.values())
    one = rows(section)[0]
    assert float(one["median_ns"]) == pytest.approx(found[one["entry"]].medians[int(one["block"])], abs=0.05)
    monkeypatch.setattr(download, "LARGEST", 100)
    section = section_of(default)
    assert section.files == ()
    assert "values.csv" in section.lead[0]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t"])
def test_no_cell_is_a_formula_nor_breaks_its_line(default: Run, start: str) -> None:
    burst = default.bursts[0]
    hostile = replace(burst, entry=f'{start}SUM(A1),"\nnext')
    facts = replaced(Facts.of(default, summarise(default)), run=make_run([default.plan, hostile]))
    (row, *_) = rows(download_section(facts, {}, ""))
    assert row["entry"] == f"'{start}SUM(A1),\"\nnext"
