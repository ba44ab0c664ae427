"""A run as sections: tables, what was left out or failed, how sure it is, and how much of it is drawn."""

import dataclasses
from itertools import pairwise

import pytest
from acceptance.tools.big_journal import big_records
from journals import POSITIONAL, example_plan, example_records
from msgspec.structs import replace
from reports import TWIN, USUAL, Reader, around, run_with

from bench.machine import units
from bench.records.record import AnyRecord, Burst, Decision, End, Environment, Failure
from bench.records.run import Run, make_run
from bench.reporting import article
from bench.reporting.article import MOST_PLOTS, run_article
from bench.reporting.build import headline
from bench.reporting.section import Section, TextTable
from bench.reporting.tables import MOST_DOTS, spread, starts_table
from bench.workload.catalog import VARIANTS

GROUPS = ["train_step sequence", "gradient positional"]
ARMS = ["numpy-batched@cpu x2", "numpy-inplace@cpu x2", "torch-rnn@cpu x2"]
WORD = 3  # the column of the verdict in a table of times


def sections(run: Run) -> dict[str, Section]:
    """The sections of a run by their anchors."""
    return {section.id: section for section in run_article(run).sections}


def times(run: Run) -> list[TextTable]:
    """The tables of times."""
    section = sections(run)["times"]
    return [table for part in (section, *section.parts) for table in part.tables]


def verdicts(run: Run) -> set[str]:
    """All verdicts in the tables of times but those of the controls."""
    rows = [row for table in times(run) for row in table.rows]
    return {row[WORD].text for row in rows if "A/A control" not in row[0].note}


def shortened(*extra: AnyRecord, without: str = "") -> Run:
    """The example, of which block 0 dropped tables and arms; one entry is without values."""
    records: list[AnyRecord] = []
    for record in example_records():
        if isinstance(record, Decision):
            record = replace(record, dropped_groups=GROUPS, dropped_arms=ARMS)
        gone = isinstance(record, Burst) and (
            record.entry == without
            or (record.block >= 1 and record.entry.partition(" | ")[0] in GROUPS)
            or (record.block >= 1 and record.entry.endswith(tuple(ARMS)))
        )
        records += [] if gone else [record]
    return make_run([*records[:-1], *extra, records[-1]])


def crashed(variant: str) -> Run:
    """The shortened example in which one variant of the first table crashed in every block."""
    entry = f"{POSITIONAL} | {variant}@cpu x1"
    crashes = [Failure(block, entry, "crashed", "ended with code 11") for block in range(11)]
    return shortened(*crashes, without=entry)


@pytest.fixture(scope="module")
def short() -> dict[str, Section]:
    return sections(shortened())


# --- what a run as a whole says


def test_a_failed_control_takes_every_verdict_away() -> None:
    run = run_with({TWIN: around(1.2)})
    said = "No verdict: the A/A control failed: numpy-batched is the same code measured twice"
    first, second, *_ = headline(run).splitlines()
    assert first.startswith(said)
    assert "1.2" in first
    assert "measure again (--wait-quiet 10min)." in first
    assert "faster" not in second
    assert run_article(run).banners[0].startswith(said)
    assert verdicts(run) == {"", "INVALID"}
    assert sections(run)["sure"].lead[0].startswith("Not at all: no verdict is given")
    assert "INVALID" not in verdicts(run_with({TWIN: around(1)}))


def test_a_control_that_differs_a_little_leaves_verdicts_and_says_how_much_was_taken_off() -> None:
    run = run_with({TWIN: around(1.03)})
    (sentence,) = [text for text in sections(run)["sure"].lead if "taken off" in text]
    assert sentence.startswith("The A/A control, one code measured twice, differs by up to 3.1 %:")
    assert sentence.endswith("(--wait-quiet 10min).")
    assert "INVALID" not in verdicts(run)
    assert not any("taken off" in text for text in sections(run_with({TWIN: around(1)}))["sure"].lead)


def test_a_run_without_values_says_why() -> None:
    plan, environment = example_records()[:2]
    reason = "the worker ended with signal 9"
    failures = [Failure(0, e.id, "crashed", reason) for g in example_plan().groups for e in g.entries]
    run = make_run([plan, environment, *failures, End("partial", "all failed", 1.0, "")])
    assert "Nothing was measured\n" in headline(run)
    assert f"Why: {reason}." in headline(run)
    shown = sections(run)
    assert "ladder" not in shown
    assert not list(shown["times"].pictures)
    assert len(shown["failures"].tables[0].rows) == len(failures)


def test_a_plan_without_environment_still_gives_a_report() -> None:
    run = make_run([example_plan()])
    assert "an unknown processor" in headline(run)
    assert sections(run)["machine"].pairs == ()


def test_only_the_answer_why_where_it_turns_and_the_times_are_open(default_run: Run) -> None:
    opened = {section.id for section in run_article(default_run).sections if section.open}
    assert opened == {"limits", "crossover", "times"} & sections(default_run).keys()


def test_words_and_variants_of_the_page_are_told_in_a_closed_fold(short: dict[str, Section]) -> None:
    (fold,) = short["words"].folds
    told = dict(fold.pairs)
    summaries = {variant.name: variant.summary for variant in VARIANTS}
    assert told["torch-rnn"] == summaries["torch-rnn"]
    assert {"baseline", "A/A control", "block", "dispatch", "rung", "noise floor", "MISSING"} <= told.keys()
    assert "positional input" in told
    assert told.keys() & summaries.keys() == {arm.variant for arm in shortened().plan.arms}


# --- tables


def test_only_what_others_are_compared_with_is_called_the_baseline(default_run: Run) -> None:
    (compiled,) = (table for table in times(default_run) if "compiled" in table.caption)
    assert {row[0].text: (row[0].note, row[WORD].text != "") for row in compiled.rows} == {
        "numpy-batched": ("baseline", False),
        "torch-autograd": ("", False),
        "torch-compile": ("", True),
    }


def test_the_ladder_and_the_empty_calls_are_no_tables_of_times(default_run: Run) -> None:
    assert len(times(default_run)) == len(default_run.plan.groups) - 2
    declared = sections(default_run)["sure"].parts[0].tables[0]
    (claim,) = (row for row in declared.rows if row[0].text == "the tutorial's claim")
    assert claim[1].text == "different work"
    assert claim[2].note != "–"


def test_every_declared_comparison_says_how_much_it_varies(default_run: Run) -> None:
    table = sections(default_run)["sure"].parts[0].tables[0]
    (number,) = (n for n, column in enumerate(table.columns) if column.title == "Standard deviation")
    cells = [row[number] for row in table.rows]
    assert all(cell.text.endswith("%") for cell in cells)
    assert any(cell.note.startswith("of rounds ") for cell in cells)


def test_compiling_has_rows_of_its_own(default_run: Run) -> None:
    def rows(run: Run) -> dict[str, str]:
        table = starts_table(run)
        assert table is not None
        return {row[0].text: row[1].text for row in table.rows}

    cold = "torch-compile@cpu x1: compiling from nothing, block 0 (wall time)"
    assert [name for name in rows(default_run) if "compiling" in name] == [cold]
    compiled = tuple(
        replace(worker, compile_ns=9_000_000_000 if worker.block == 0 else 1_400_000_000)
        for worker in default_run.workers
        if "torch-rnn@cpu x1" in worker.arms
    )
    found = rows(dataclasses.replace(default_run, workers=compiled))
    assert found["torch-rnn@cpu x1: compiling from nothing, block 0 (wall time)"] == "9.00 s"
    assert found["torch-rnn@cpu x1: loading what was compiled (wall time)"] == "1.40 s"


# --- what the time budget left out


def test_what_the_budget_dropped_is_one_line_and_fills_no_table(
    short: dict[str, Section], default_run: Run
) -> None:
    (lead,) = short["times"].lead
    assert lead.startswith("Not timed in this run, to keep within the time budget (the whole plan would have")
    assert all(name in lead for name in GROUPS)
    assert "numpy-batched" in lead
    assert [part.title for part in short["times"].parts] == [
        "Training step, positional input",
        "Training step, single_step input",
        "Forward pass, positional input",
        "Training step, positional input, compiled",
    ]
    cells = [cell.text for part in short["times"].parts for row in part.tables[0].rows for cell in row]
    assert "CPU, one thread" in cells
    assert "CPU, 2 threads" not in cells
    assert sections(default_run)["times"].lead == ()


def test_what_crashed_keeps_its_row_of_dashes_and_its_comparison_is_missing() -> None:
    rows = {row[0].text: row for row in times(crashed("torch-cell"))[0].rows}
    assert (rows["torch-cell"][1].text, rows["torch-cell"][WORD].text) == ("–", "crashed")
    sure = sections(crashed("torch-rnn"))["sure"]
    assert "the others: MISSING 1; 3 were left out to save time." in sure.lead[0]
    assert [row[-1].text for row in sure.parts[0].tables[0].rows].count("MISSING") == 1


def test_dropped_comparisons_and_controls_are_counted_and_not_listed(short: dict[str, Section]) -> None:
    declared, noise = (part.tables[0] for part in short["sure"].parts[:2])
    assert [row[-1].text for row in declared.rows].count("MISSING") == 0
    assert "; 3 were left out to save time." in short["sure"].lead[0]
    assert f" {len(declared.rows)} comparisons that were run are decided" in short["sure"].lead[0]
    assert not any("dropped" in row[1].text for row in noise.rows)
    assert not any(name in row[0].text for row in noise.rows for name in GROUPS)


def test_what_was_left_out_is_on_the_page_as_text(default_run: Run) -> None:
    from bench.reporting import page
    from bench.reporting.build import content_of

    shown = run_article(shortened())
    images = {picture.stem: b"<svg/>" for picture in shown.pictures}
    text = " ".join(Reader(page.render_html(content_of([shown]), images)).text.split())
    assert "Words on this page" in text
    assert "Not timed in this run, to keep within the time budget" in text


# --- the environment


def test_the_audit_finds_wrong_threads_and_other_inputs(default_run: Run) -> None:
    (clean,) = sections(default_run)["machine"].lead
    assert "as asked for in all 62 workers" in clean
    assert "the same bytes" in clean
    records: list[AnyRecord] = []
    for number, record in enumerate(example_records()):
        if number == 2:
            record = replace(record, facts={"threads": 7})  # type: ignore[arg-type]
        if isinstance(record, Burst) and record.block == 3 and record.entry == USUAL:
            record = replace(record, digest="00")
        records.append(record)
    (dirty,) = sections(make_run(records))["machine"].lead
    assert "not as asked for in numpy@cpu x1" in dirty
    assert "NOT the same bytes" in dirty


def test_the_environment_says_what_was_set_dropped_and_kept(default_run: Run) -> None:
    shown = sections(default_run)["machine"]
    assert [note.partition(": ")[2] for note in shown.notes] == [
        "OMP_NUM_THREADS=1, OPENBLAS_NUM_THREADS=1.",
        "OPENBLAS_CORETYPE=Haswell.",
        "none.",
    ]
    assert [(row[0].text, row[3].text) for row in shown.tables[0].rows] == [
        ("NumPy", "SkylakeX"),
        ("PyTorch", "not told by the library"),
    ]
    empty = make_run([example_plan(), Environment({}, {}, {}, {}, [])])
    assert sections(empty)["machine"].tables == ()


# --- many tables, rows and blocks


def test_few_blocks_are_all_drawn_and_many_are_thinned_out_by_rank() -> None:
    few, many = [float(n) for n in range(MOST_DOTS)], [float(n) for n in range(1000)]
    assert spread(few[::-1]) == tuple(few[::-1])
    drawn = spread(many[::-1])
    assert (len(drawn), drawn[0], drawn[-1]) == (MOST_DOTS, 0.0, 999.0)
    gaps = {round(after - before) for before, after in pairwise(drawn)}
    assert gaps <= {20, 21}


def test_many_tables_are_one_that_sorts_without_plots() -> None:
    section = sections(make_run(list(big_records(shapes=MOST_PLOTS + 2, arms=3, blocks=6))))["times"]
    (table,) = section.tables
    assert len(table.rows) == 3 * (MOST_PLOTS + 2)
    assert len({row[0].text for row in table.rows}) == MOST_PLOTS + 2  # each says its size
    assert section.parts == ()
    assert not list(section.pictures)


def test_few_tables_have_a_plot_each_unless_they_have_too_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(list(big_records(shapes=MOST_PLOTS, arms=3, blocks=6)))
    section = sections(run)["times"]
    assert len(section.parts) == len(list(section.pictures)) == MOST_PLOTS
    assert section.lead == ()
    monkeypatch.setattr(article, "MOST_ROWS", 2)
    section = sections(run)["times"]
    assert not list(section.pictures)
    assert section.lead[0].startswith(f"No plot for {MOST_PLOTS} of {MOST_PLOTS} tables: ")


# --- numbers


@pytest.mark.parametrize(
    ("ns", "said"),
    [
        (99.6e3, "99.6 µs"),
        (999.96e3, "1.00 ms"),
        (0.5, "0.500 ns"),
        (27.04e6, "27.0 ms"),
        (2.5e11, "250 s"),
        (None, "–"),
    ],
)
def test_times_get_the_unit_that_fits(ns: float | None, said: str) -> None:
    assert units.duration(ns) == said


def test_ratios_near_one_keep_the_digits_that_tell_them_apart() -> None:
    ratios = {0.9964: "0.996", 1.0041: "1.004", 3.649: "3.65", 224.6: "225", 0.00444: "0.00444"}
    assert {ratio: units.ratio(ratio) for ratio in ratios} == ratios
    assert units.number(12345.6) == "12\u202f346"
    assert units.number(float("nan")) == "–"
    assert (units.percent(0.0123), units.percent(1.05)) == ("1.2 %", "105 %")
