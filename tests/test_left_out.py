"""What the time budget left out is named in one line, and fills no table; words are told at the end."""

from pathlib import Path

import pytest
from journals import POSITIONAL, example_records
from msgspec.structs import replace
from reports import Reader, write_run

from bench.records.record import AnyRecord, Burst, Decision, Failure
from bench.records.run import make_run
from bench.reporting.build import build_report
from bench.reporting.chapters import chapters, times
from bench.reporting.view import RunView, view
from bench.workload.catalog import VARIANTS

GROUPS = ["train_step sequence", "gradient positional"]
ARMS = ["numpy-batched@cpu x2", "numpy-inplace@cpu x2", "torch-rnn@cpu x2"]


def shortened(*extra: AnyRecord, groups: list[str] = GROUPS, arms: list[str] = ARMS) -> list[AnyRecord]:
    """The example, some of its tables and arms dropped by block 0's decision."""
    records: list[AnyRecord] = []
    for record in example_records():
        if isinstance(record, Decision):
            record = replace(record, dropped_groups=groups, dropped_arms=arms)
        counted = isinstance(record, Burst) and record.block >= 1
        gone = counted and (record.entry.partition(" | ")[0] in groups or record.entry.endswith(tuple(arms)))
        records += [] if gone else [record]
    return [*records[:-1], *extra, records[-1]]


@pytest.fixture(scope="module")
def short() -> RunView:
    return view(make_run(shortened()))


def test_dropped_tables_and_places_are_one_line_in_plain_names(short: RunView) -> None:
    section = times(short.tables)
    assert section is not None
    assert section.lead == (
        "Not timed in this run, to keep within the time budget: 2 threads, sequence input and gradient.",
    )
    assert [part.title for part in section.parts] == [
        "Training step, positional input",
        "Training step, single_step input",
        "Forward pass, positional input",
        "Training step, positional input, compiled",
    ]
    rows = [row for part in section.parts for table in part.tables for row in table.rows]
    cells = [cell.text for row in rows for cell in row]
    assert "CPU, one thread" in cells
    assert "CPU, 2 threads" not in cells
    whole = times(view(make_run(example_records())).tables)
    assert whole is not None
    assert whole.lead == ()


def test_what_crashed_keeps_its_row_of_dashes() -> None:
    entry = f"{POSITIONAL} | torch-cell@cpu x1"
    kept = [one for one in shortened() if not (isinstance(one, Burst) and one.entry == entry)]
    crash = [Failure(block, entry, "crashed", "ended with code 11") for block in range(11)]
    section = times(view(make_run([*kept[:-1], *crash, kept[-1]])).tables)
    assert section is not None
    rows = {row[0].text: row for row in section.parts[0].tables[0].rows}
    assert (rows["torch-cell"][1].text, rows["torch-cell"][3].text) == ("–", "crashed")


def test_dropped_comparisons_and_twins_are_counted_and_not_listed(short: RunView) -> None:
    (sure,) = (section for section in chapters(short) if section.id == "sure")
    declared, noise = (part.tables[0] for part in sure.parts)
    assert [row[-1].text for row in declared.rows].count("MISSING") == 0
    left = len(short.headlines) - len(declared.rows)
    assert left == 3
    assert f"; {left} were left out to save time." in sure.lead[0]
    assert f" {len(declared.rows)} comparisons that were run are decided" in sure.lead[0]
    assert not any("dropped" in row[1].text for row in noise.rows)
    assert not any(name in row[0].text for row in noise.rows for name in GROUPS)


def test_a_comparison_that_crashed_is_still_missing() -> None:
    entry = f"{POSITIONAL} | torch-rnn@cpu x1"
    kept = [one for one in shortened() if not (isinstance(one, Burst) and one.entry == entry)]
    crash = [Failure(block, entry, "crashed", "ended with code 11") for block in range(11)]
    shown = view(make_run([*kept[:-1], *crash, kept[-1]]))
    assert "the others: MISSING 1; 3 were left out to save time." in shown.sure[0]
    (sure,) = (section for section in chapters(shown) if section.id == "sure")
    assert [row[-1].text for row in sure.parts[0].tables[0].rows].count("MISSING") == 1


def test_words_and_variants_of_the_page_are_told_in_a_closed_fold(short: RunView) -> None:
    (fold,) = short.glossary.folds
    told = dict(fold.pairs)
    summaries = {variant.name: variant.summary for variant in VARIANTS}
    assert told["torch-rnn"] == summaries["torch-rnn"]
    assert {"baseline", "A/A control", "block", "dispatch", "rung", "noise floor", "MISSING"} <= told.keys()
    assert "positional input" in told
    assert told.keys() & summaries.keys() == {arm.variant for arm in make_run(shortened()).plan.arms}


def test_words_are_on_the_page_as_text(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", shortened())
    text = " ".join(Reader(build_report([folder], None).read_text(encoding="utf-8")).text.split())
    assert "Words on this page" in text
    assert "Not timed in this run, to keep within the time budget: 2 threads," in text
