"""A run as sections: tables, what was left out or failed, how sure it is, the environment, the values."""

import base64
import csv
import dataclasses
import io
from itertools import pairwise
from typing import Any

import pytest
from acceptance.tools.big_journal import big_records
from journals import POSITIONAL, example_plan, example_records
from msgspec.structs import replace
from reports import TWIN, USUAL, around, run_with

from bench.analysis.outcome import outcomes
from bench.analysis.summary import summarise
from bench.machine import units
from bench.records.record import AnyRecord, Burst, Decision, End, Environment, Failure
from bench.records.run import Run, make_run
from bench.reporting import download, tables
from bench.reporting.article import MAX_PLOTS, run_article
from bench.reporting.build import headline
from bench.reporting.environment import MOST, details, machine, say
from bench.reporting.facts import Facts
from bench.reporting.section import Section, TextTable
from bench.reporting.tables import MAX_DOTS, spread, starts_table
from bench.workload.catalog import VARIANTS

GROUPS = ["train_step sequence", "gradient positional"]
ARMS = ["numpy-batched@cpu x2", "numpy-inplace@cpu x2", "torch-layer@cpu x2"]
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


def shortened(*crashes: Failure) -> Run:
    """The example, of which block 0 dropped tables and arms; entries that crashed are without values."""
    records: list[AnyRecord] = []
    for record in example_records():
        if isinstance(record, Decision):
            record = replace(record, dropped_groups=GROUPS, dropped_arms=ARMS)
        group, _, arm = record.entry.partition(" | ") if isinstance(record, Burst) else ("", "", "")
        dropped = isinstance(record, Burst) and record.block >= 1 and (group in GROUPS or arm in ARMS)
        crashed = isinstance(record, Burst) and record.entry in {one.entry for one in crashes}
        records += [] if dropped or crashed else [record]
    return make_run([*records[:-1], *crashes, records[-1]])


def crashed(variant: str) -> Run:
    """The shortened example in which one variant of the first table crashed in every block."""
    entry = f"{POSITIONAL} | {variant}@cpu x1"
    return shortened(*(Failure(block, entry, "crashed", "ended with code 11") for block in range(11)))


@pytest.fixture(scope="module")
def short() -> dict[str, Section]:
    return sections(shortened())


@pytest.fixture(scope="module")
def shown(default_run: Run) -> dict[str, Section]:
    return sections(default_run)


# --- what a run as a whole says


def test_a_failed_control_takes_every_verdict_away_and_one_that_differs_a_little_says_how_much() -> None:
    run = run_with({TWIN: around(1.2)})
    no_verdict = "No verdict: the A/A control failed: numpy-batched is the same code measured twice"
    first, second, *_ = headline(run).splitlines()
    assert first.startswith(no_verdict)
    assert "1.2" in first
    assert "measure again (--wait-quiet 10min)." in first
    assert "faster" not in second
    assert run_article(run).banners[0].startswith(no_verdict)
    assert verdicts(run) == {"", "INVALID"}
    assert sections(run)["sure"].lead[0].startswith("Not at all: no verdict is given")
    for control, count in ((1.03, 1), (1, 0)):
        run = run_with({TWIN: around(control)})
        taken_off = [text for text in sections(run)["sure"].lead if "taken off" in text]
        assert len(taken_off) == count
        assert "INVALID" not in verdicts(run)
        for text in taken_off:
            assert text.startswith("The A/A control, one code measured twice, differs by up to 3.1 %:")
            assert text.endswith("(--wait-quiet 10min).")


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
    bare = make_run([example_plan()])
    assert "an unknown processor" in headline(bare)
    assert sections(bare)["machine"].pairs == ()


def test_only_the_answer_why_where_it_turns_and_the_times_are_open(
    shown: dict[str, Section], short: dict[str, Section]
) -> None:
    opened = {section.id for section in shown.values() if section.open}
    assert opened == {"limits", "crossover", "times"} & shown.keys()
    words, summaries = dict(short["words"].pairs), {variant.name: variant.summary for variant in VARIANTS}
    assert words["torch-layer"] == summaries["torch-layer"]
    terms = {"baseline", "A/A control", "block", "dispatch", "rung", "noise floor", "MISSING"}
    assert terms | {"positional input"} <= words.keys()
    assert words.keys() & summaries.keys() == {arm.variant for arm in shortened().plan.arms}


# --- tables


def test_only_what_others_are_compared_with_is_called_the_baseline(default_run: Run) -> None:
    (compiled,) = (table for table in times(default_run) if "compiled" in table.caption)
    assert {row[0].text: (row[0].note, row[WORD].text != "") for row in compiled.rows} == {
        "numpy-batched": ("baseline", False),
        "torch-autograd": ("", False),
        "torch-compile": ("", True),
    }
    # the ladder and the empty calls are no tables of times
    assert len(times(default_run)) == len(default_run.plan.groups) - 2


def test_every_declared_comparison_says_its_work_and_how_much_it_varies(shown: dict[str, Section]) -> None:
    table = shown["sure"].parts[0].tables[0]
    (number,) = (n for n, column in enumerate(table.columns) if column.title == "Standard deviation")
    cells = [row[number] for row in table.rows]
    assert all(cell.text.endswith("%") for cell in cells)
    assert any(cell.note.startswith("of rounds ") for cell in cells)
    (claim,) = (row for row in table.rows if row[0].text == "the tutorial's claim")
    assert claim[1].text == "different work"
    assert claim[2].note != "–"


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
        if "torch-layer@cpu x1" in worker.arms
    )
    starts = rows(dataclasses.replace(default_run, workers=compiled))
    assert starts["torch-layer@cpu x1: compiling from nothing, block 0 (wall time)"] == "9.00 s"
    assert starts["torch-layer@cpu x1: loading what was compiled (wall time)"] == "1.40 s"


# --- what the time budget left out


def test_what_the_budget_dropped_is_one_line_and_fills_no_table(
    short: dict[str, Section], shown: dict[str, Section]
) -> None:
    (lead,) = short["times"].lead
    assert lead.startswith("Not timed in this run, to keep within the time budget (the whole plan would have")
    assert all(name in lead for name in (*GROUPS, "numpy-batched"))
    assert [part.title for part in short["times"].parts] == [
        "Training step, positional input",
        "Training step, single_step input",
        "Forward pass, positional input",
        "Training step, positional input, compiled",
    ]
    cells = [cell.text for part in short["times"].parts for row in part.tables[0].rows for cell in row]
    assert "CPU, one thread" in cells
    assert "CPU, 2 threads" not in cells
    assert shown["times"].lead == ()
    declared, noise = (part.tables[0] for part in short["sure"].parts[:2])
    rows = len(declared.rows)
    counted = f"{rows} of {rows} comparisons are decided, FASTER or SLOWER; 3 were left out to save time."
    assert short["sure"].lead[0].startswith(counted)
    assert not [row for row in declared.rows if row[-1].text == "MISSING"]
    assert not [row for row in noise.rows if any(name in row[0].text for name in GROUPS)]


def test_a_table_that_was_left_out_is_not_shown_with_what_the_ladder_measured_of_it() -> None:
    name = "train_step single_step"
    records: list[AnyRecord] = []
    for record in example_records():
        if isinstance(record, Decision):
            record = replace(record, dropped_groups=[name])
        entry = record.entry if isinstance(record, Burst) and record.block else ""
        gone = entry.startswith(f"{name} | ") and "| torch-cell@" not in entry
        records += [] if gone else [record]
    run = make_run(records)
    titles = [part.title for part in sections(run)["times"].parts]
    assert "Training step, sequence input" in titles
    assert "Training step, single_step input" not in titles
    claim = summarise(run).headline("claim")
    assert claim is not None
    assert claim.verdict == "FASTER"


def test_what_crashed_keeps_its_row_of_dashes_and_its_comparison_is_missing() -> None:
    rows = {row[0].text: row for row in times(crashed("torch-cell"))[0].rows}
    assert (rows["torch-cell"][1].text, rows["torch-cell"][WORD].text) == ("–", "crashed")
    sure = sections(crashed("torch-layer"))["sure"]
    assert "; the others: MISSING 1; 3 were left out to save time." in sure.lead[0]
    assert [row[-1].text for row in sure.parts[0].tables[0].rows].count("MISSING") == 1


# --- the environment


def test_the_audit_finds_wrong_threads_and_other_inputs(shown: dict[str, Section]) -> None:
    (clean,) = shown["machine"].lead
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


def test_the_environment_says_what_was_set_dropped_and_kept(shown: dict[str, Section]) -> None:
    assert [note.partition(": ")[2] for note in shown["machine"].notes] == [
        "OMP_NUM_THREADS=1, OPENBLAS_NUM_THREADS=1.",
        "OPENBLAS_CORETYPE=Haswell.",
        "none.",
    ]
    assert [(row[0].text, row[3].text) for row in shown["machine"].tables[0].rows] == [
        ("NumPy", "SkylakeX"),
        ("PyTorch", "not told by the library"),
    ]
    empty = make_run([example_plan(), Environment({}, {}, {}, {}, [])])
    assert sections(empty)["machine"].tables == ()


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("swap_bytes", 2 << 30, "2.00 GiB"),
        ("swap_bytes", 0, "none"),
        ("steal_share", 0.05, "5 %"),
        ("temperature_c", 48, "48 °C"),
        ("timer", {"cost_ns": 140, "clock": "tsc"}, "cost 140 ns, clock tsc"),
        ("caches", {"L1d": "48K", "L2": None}, "L1d 48K"),
        ("mitigations", {"open": ["mds", "srso"]}, "open mds srso"),
        ("python_debug", False, "no"),
        ("governor", None, ""),
        ("microcode", "0x1", "0x1"),
    ],
)
def test_a_fact_is_said_with_its_unit(name: str, value: object, text: str) -> None:
    assert say(name, value) == text


def of_machine(facts: dict[str, Any]) -> Run:
    plan, _, *rest = example_records()
    return make_run([plan, Environment(facts, {}, {}, {}, []), *rest])


def test_every_fact_has_a_place_and_what_is_unknown_or_strange_breaks_nothing() -> None:
    facts = {"microcode": "0x1", "power": None, "container": "docker", "of_next_year": 7}
    pairs = (("Microcode", "0x1"), ("Container", "docker"), ("Of next year", "7"))
    assert details(of_machine(facts))["the machine"] == pairs
    clock = {"governor": "schedutil", "turbo": "on", "mhz": {"max": 3900, "cur": 2500}, "hypervisor": "KVM"}
    assert machine(clock) == (
        ("Clock speed", "governor schedutil; turbo on; at most 3900, now 2500 MHz"),
        ("Virtual machine", "KVM"),
    )
    long = {"microcode": {"a": {"b": "c" * 9999}}, "timer": "x" * 9999}
    strange = {"mhz": 7, "caches": [1, 2], "clocks": [], **long}
    shown = details(of_machine(strange))
    assert all(len(value) <= MOST for pairs in shown.values() for _, value in pairs)
    assert machine(strange) == ()


def test_a_library_tells_every_value_that_its_workers_read() -> None:
    run = of_machine({})
    odd = next(worker for worker in run.workers if run.arms[worker.arms[0]].library == "numpy")
    workers = tuple(replace(one, facts={"flushes_subnormals": one is odd}) for one in run.workers)
    shown = details(dataclasses.replace(run, workers=workers))
    assert shown["NumPy in its workers"] == (("Flushes subnormals", "yes / no"),)
    assert shown["PyTorch in its workers"] == (("Flushes subnormals", "no"),)


# --- the values as a file


def rows_of_file(section: Section) -> list[dict[str, str]]:
    """The file within the link."""
    assert section.file is not None
    head, _, content = section.file.href.partition(",")
    assert head == "data:text/csv;base64"
    return list(csv.DictReader(io.StringIO(base64.b64decode(content).decode())))


def test_the_file_holds_every_value_else_medians_else_there_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = make_run(example_records(quick=True))
    section, by_entry = sections(run)["values"], outcomes(run)
    assert section.file is not None
    assert section.file.name == "values.csv"
    assert [tuple(row.values()) for row in rows_of_file(section)] == [
        (burst.entry, *map(str, (burst.block, number, burst.n_calls, elapsed)))
        for burst in run.bursts
        for number, elapsed in zip(burst.rounds, burst.elapsed_ns, strict=True)
    ]
    monkeypatch.setattr(download, "LARGEST", 10_000)
    section = sections(run)["values"]
    assert section.file is not None
    assert section.file.name == "medians.csv"
    rows = rows_of_file(section)
    assert len(rows) == sum(len(outcome.medians) for outcome in by_entry.values())
    first = by_entry[rows[0]["entry"]].medians[int(rows[0]["block"])]
    assert float(rows[0]["median_ns"]) == pytest.approx(first, abs=0.05)
    monkeypatch.setattr(download, "LARGEST", 100)
    section = sections(run)["values"]
    assert section.file is None
    assert "values.csv" in section.lead[0]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t"])
def test_no_cell_is_a_formula_nor_breaks_its_line(default_run: Run, start: str) -> None:
    hostile = replace(default_run.bursts[0], entry=f'{start}SUM(A1),"\nnext')
    facts = Facts.of(default_run)
    facts = dataclasses.replace(facts, run=make_run([default_run.plan, hostile]))
    (row, *_) = rows_of_file(download.download_section(facts, ""))
    assert row["entry"] == f"'{start}SUM(A1),\"\nnext"


# --- many tables, rows and blocks


def test_few_blocks_are_all_drawn_and_many_are_thinned_out_by_rank() -> None:
    few, many = [float(n) for n in range(MAX_DOTS)], [float(n) for n in range(1000)]
    assert spread(few[::-1]) == tuple(few[::-1])
    drawn = spread(many[::-1])
    assert (len(drawn), drawn[0], drawn[-1]) == (MAX_DOTS, 0.0, 999.0)
    assert {round(after - before) for before, after in pairwise(drawn)} <= {20, 21}


def test_few_tables_have_a_plot_each_and_many_or_long_ones_none(monkeypatch: pytest.MonkeyPatch) -> None:
    section = sections(make_run(list(big_records(shapes=MAX_PLOTS + 2, arms=3, blocks=6))))["times"]
    (table,) = section.tables
    assert len(table.rows) == 3 * (MAX_PLOTS + 2)
    assert len({row[0].text for row in table.rows}) == MAX_PLOTS + 2  # each says its size
    assert (section.parts, list(section.pictures)) == ((), [])
    run = make_run(list(big_records(shapes=MAX_PLOTS, arms=3, blocks=6)))
    section = sections(run)["times"]
    assert len(section.parts) == len(list(section.pictures)) == MAX_PLOTS
    assert section.lead == ()
    monkeypatch.setattr(tables, "MAX_ROWS", 2)
    section = sections(run)["times"]
    assert not list(section.pictures)
    assert section.lead[0].startswith(f"No plot for {MAX_PLOTS} of {MAX_PLOTS} tables: ")


# --- numbers


def test_numbers_get_the_unit_and_the_digits_that_fit() -> None:
    times = {99.6e3: "99.6 µs", 999.96e3: "1.00 ms", 0.5: "0.500 ns", 27.04e6: "27.0 ms", 2.5e11: "250 s"}
    assert {ns: units.duration(ns) for ns in times} == times
    assert units.duration(None) == "–"
    ratios = {0.9964: "0.996", 1.0041: "1.004", 3.649: "3.65", 224.6: "225", 0.00444: "0.00444"}
    assert {ratio: units.ratio(ratio) for ratio in ratios} == ratios
    assert units.number(12345.6) == "12\u202f346"
    assert units.number(float("nan")) == "–"
    assert (units.percent(0.0123), units.percent(1.05)) == ("1.2 %", "105 %")
