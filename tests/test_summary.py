"""The summary says of a run what its journal says: times, proofs, what failed, how it ended."""

import subprocess
import sys

import numpy as np
import pytest
from journals import DIGEST, LOOP, POSITIONAL, example_plan, example_records
from msgspec.structs import replace
from reports import CLAIM_OLD

from bench.analysis.summary import Row, Summary, summarise
from bench.records.record import Burst, Check, End
from bench.records.run import make_run

BASE = f"{POSITIONAL} | numpy-batched@cpu x1"


def row_of(summary: Summary, entry: str) -> Row:
    return next(row for table in summary.tables for row in table.rows if row.entry.id == entry)


@pytest.fixture(scope="module")
def whole() -> Summary:
    return summarise(make_run(example_records()))


@pytest.fixture(scope="module")
def broken() -> Summary:
    return summarise(make_run(example_records(broken=True)))


def test_tables_and_rows_follow_the_plan(whole: Summary) -> None:
    plan = example_plan()
    assert [table.name for table in whole.tables] == [group.name for group in plan.groups]
    for table, group in zip(whole.tables, plan.groups, strict=True):
        assert [row.entry.id for row in table.rows] == [entry.id for entry in group.entries]


def test_a_rows_times_are_those_of_its_bursts(whole: Summary) -> None:
    records = [record for record in example_records() if isinstance(record, Burst) and record.entry == BASE]
    medians = [np.median(r.elapsed_ns) / r.n_calls for r in records if r.block >= 1]
    row = row_of(whole, BASE)
    assert row.median_ns == pytest.approx(np.median(medians))
    assert (row.low_ns, row.high_ns) == (sorted(medians)[1], sorted(medians)[-2])  # n = 10 at 97.9 %
    assert row.samples_per_second == pytest.approx(128 / (np.median(medians) * 1e-9))
    assert (row.blocks, row.status) == (10, "ok")


def test_a_baseline_has_no_comparison_and_the_others_have_theirs(whole: Summary) -> None:
    for table in whole.tables:
        for row in table.rows:
            planned = next(e for g in example_plan().groups for e in g.entries if e.id == row.entry)
            assert (row.comparison is None) == (planned.baseline is None)
            if row.comparison is not None:
                assert (row.comparison.entry, row.comparison.baseline) == (row.entry, planned.baseline)


def test_the_worst_check_is_the_one_nearest_to_its_tolerance_and_known_errors_stand_apart(
    whole: Summary,
) -> None:
    right, published = row_of(whole, BASE), row_of(whole, CLAIM_OLD)
    assert (right.proof, right.known_wrong) == ("passed", None)
    assert right.worst == Check("update U", 1e-5 / 16, 1e-5, True, quantity="U")
    assert (published.proof, published.status) == ("known wrong", "known_wrong")
    assert published.known_wrong is not None
    assert published.known_wrong.error == 0.31
    assert published.worst is not None
    assert published.worst.passed


def test_a_question_that_failed_is_worse_than_any_error() -> None:
    records = example_records(quick=True)
    checks = [
        Check("dU", 5.0, 1e-5, False),
        Check("dV is finite", 1.0, 0.0, False),
        Check("same", 0.0, 0.0, True),
    ]
    edited = [
        replace(record, checks=checks) if isinstance(record, Burst) and record.entry == BASE else record
        for record in records
    ]
    row = row_of(summarise(make_run(edited)), BASE)
    assert row.worst is not None
    assert (row.proof, row.worst.what) == ("failed", "dV is finite")


def test_the_first_twin_gives_the_noise_floor(whole: Summary) -> None:
    twin = whole.twins[0]
    assert twin.entry == f"{BASE} twin"
    assert whole.floor == pytest.approx(max(twin.high, 1 / twin.low) - 1)
    assert whole.control == ""


def test_headlines_are_found_by_their_kind(whole: Summary) -> None:
    for kind, ratio in (("as_written", 3.65), ("best", 171 / 77), ("claim", 124 / 28642)):
        headline = whole.headline(kind)
        assert headline is not None
        assert headline.ratio == pytest.approx(ratio, rel=0.03)
    assert whole.headline("twin") is None


def test_a_broken_run_names_every_trouble_once(broken: Summary) -> None:
    assert [(trouble.status, trouble.blocks) for trouble in broken.troubles] == [
        ("timeout", (0,)),
        ("disagrees", (0,)),
        ("crashed", (2,)),
    ]
    assert "Segmentation fault" in broken.troubles[2].stderr
    assert broken.disagrees
    assert (broken.state, broken.ending) == ("interrupted", "stopped by the user")
    wrong = row_of(broken, f"{POSITIONAL} | torch-inplace@cpu x1")
    assert (wrong.status, wrong.proof, wrong.median_ns, wrong.samples_per_second) == (
        "disagrees",
        "failed",
        None,
        None,
    )
    crashed = row_of(broken, LOOP)
    assert (crashed.status, crashed.blocks) == ("ok", 5)
    assert "crashed in 1 of 6 blocks" in crashed.reason
    hung = row_of(broken, "train_step sequence | torch-autograd@cpu x1")
    assert (hung.status, hung.proof, hung.comparison.verdict) == ("timeout", "not proved", "MISSING")


def test_a_whole_run_has_no_trouble(whole: Summary) -> None:
    assert (whole.troubles, whole.disagrees, whole.state, whole.blocks) == ((), False, "complete", 10)
    assert [item.what for item in whole.missing] == ["cuda"]
    assert 0 < whole.outliers < whole.values


def test_a_quick_run_has_times_but_neither_intervals_nor_verdicts() -> None:
    summary = summarise(make_run(example_records(quick=True)))
    row = row_of(summary, BASE)
    assert row.median_ns is not None
    assert (row.low_ns, row.high_ns, summary.floor, summary.verdicts) == (None, None, None, False)
    assert {made.verdict for made in summary.headlines} == {"NONE"}


def test_wherever_a_run_was_cut_off_its_summary_can_be_made() -> None:
    records = [record for record in example_records(quick=True, with_gpu=True) if not isinstance(record, End)]
    for length in range(1, len(records), 7):
        summary = summarise(make_run(records[:length]))
        assert (summary.state, summary.seconds) == ("interrupted", None)
        assert any("cut off" in warning for warning in summary.warnings)


def test_the_summary_is_always_the_same(whole: Summary) -> None:
    assert summarise(make_run(example_records())) == whole
    assert len(DIGEST) == 64


def test_answers_need_neither_torch_nor_pandas_nor_scipy() -> None:
    code = (
        "import sys, bench.analysis.summary, bench.records.formats.pytest_benchmark;"
        "print([name for name in ('torch', 'pandas', 'scipy', 'matplotlib') if name in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout.strip() == "[]"
