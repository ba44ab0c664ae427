"""``rnnbench compare``: what changed between two runs is found, and what did not is not."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import simulated
from declared import declare
from grids import records_of
from journals import example_environment, example_records
from msgspec.structs import replace
from reports import BASE, BEST_NUMPY, BEST_TORCH, TWIN, USUAL, around, with_ratios, write_run

from bench.analysis import verdict
from bench.analysis.regression import Change, Changes, compare_runs
from bench.analysis.statistics import holm
from bench.analysis.verdict import judge, measured
from bench.cli.main import main
from bench.records.journal import FILE_NAME, load_run
from bench.records.record import AnyRecord, Burst, Decision, Environment, Worker
from bench.records.run import Run, make_run
from bench.reporting.changes import notes_after, notes_before, table

SCATTER = np.random.Generator(np.random.PCG64(11)).normal(0, 0.004, (2, 10))
LATER = example_records(seed=7)
EARLIER = example_records(seed=5)


def ratio(centre: float, side: int) -> list[float]:
    """Log ratios of ten blocks, scattered by 0.4 %, the old (0) and the new run (1) differently."""
    return around(centre, SCATTER[side])


def at(run: list[AnyRecord], logs: dict[str, list[float]]) -> Run:
    return make_run(with_ratios(run, logs))


def compared(old: dict[str, float], new: dict[str, float], **options: Any) -> Changes:
    """Two runs in which entries have these ratios to their baselines."""
    then = at(EARLIER, {entry: ratio(centre, 0) for entry, centre in old.items()})
    now = at(LATER, {entry: ratio(centre, 1) for entry, centre in new.items()})
    return compare_runs(then, now, **options)


def row(changes: Changes, name: str) -> Change:
    return next(change for change in changes.rows if change.name == name)


def baseline(changes: Changes) -> Change:
    return next(change for change in changes.baselines if change.name == BASE)


def slowed(records: Sequence[AnyRecord], factor: float, entry: str | None = None) -> list[AnyRecord]:
    """All bursts of a run, or of an entry, take that much longer."""
    return [
        replace(record, elapsed_ns=[round(value * factor) for value in record.elapsed_ns])
        if isinstance(record, Burst) and entry in (None, record.entry)
        else record
        for record in records
    ]


def on(
    records: Sequence[AnyRecord], *, facts: dict[str, Any] | None = None, **machine: Any
) -> list[AnyRecord]:
    """The same run with other facts about its machine, and ``facts`` that its workers tell."""
    return [
        replace(record, machine=record.machine | machine)
        if isinstance(record, Environment)
        else replace(record, facts=record.facts | (facts or {}))
        if isinstance(record, Worker)
        else record
        for record in records
    ]


def change(old: Sequence[float], new: Sequence[float], family: int = 1, **options: Any) -> Change:
    """The first of so many changes alike that are judged together."""
    drafts = [measured(Change(name=str(n)), old, new) for n in range(family)]
    return judge(drafts, 0.02, **options)[0]


# what is found


def test_a_known_change_is_found_with_its_size_and_nothing_else_is():
    old, new = (
        {USUAL: 3.6, BEST_TORCH: 1.7, BEST_NUMPY: 0.77},
        {USUAL: 3.816, BEST_TORCH: 1.7, BEST_NUMPY: 0.7},
    )
    changes = compared(old, new)
    slower = row(changes, USUAL)
    assert slower.low < 1.06 < slower.high
    assert (slower.old_value, slower.new_value) == pytest.approx((3.6, 3.816), rel=0.005)
    words = {one.name: one.verdict for one in changes.rows}
    assert (words.pop(USUAL), words.pop(BEST_NUMPY), words[BEST_TORCH]) == ("SLOWER", "FASTER", "EQUIVALENT")
    assert not {"SLOWER", "FASTER"} & set(words.values())


def test_drift_of_the_whole_machine_is_no_change_but_is_told_and_shows_in_absolute_times():
    then, now = make_run(EARLIER), make_run(slowed(EARLIER, 1.10))
    changes, absolute = compare_runs(then, now), compare_runs(then, now, absolute=True)
    assert {one.verdict for one in changes.rows} <= {"EQUIVALENT", "UNRESOLVED"}
    assert all(abs(one.ratio - 1) < 1e-4 for one in changes.rows if one.ratio)
    drift = baseline(changes)
    assert (drift.verdict, drift.ratio) == ("NONE", pytest.approx(1.10, rel=1e-3))
    assert (row(absolute, USUAL).verdict, row(absolute, USUAL).ratio) == (
        "SLOWER",
        pytest.approx(1.1, rel=1e-3),
    )
    assert row(absolute, BASE).old_value == pytest.approx(drift.old_value)
    # a slower baseline moves every ratio to it, and its own time says why
    slower = compare_runs(then, make_run(slowed(EARLIER, 1.2, BASE)))
    assert (row(slower, USUAL).ratio, baseline(slower).ratio) == pytest.approx((1 / 1.2, 1.2), rel=1e-3)


def test_unresolved_says_what_could_have_been_seen_or_why_a_clear_difference_is_none():
    wide = np.random.Generator(np.random.PCG64(3)).normal(0, 0.05, (2, 10))
    noisy = change(wide[0], wide[1] + 0.02)
    assert noisy.verdict == "UNRESOLVED"
    assert 0.03 < noisy.detectable < 0.3
    assert noisy.blocks_needed > 10
    assert f"{100 * noisy.detectable:.2g} % could have been seen" in noisy.reason
    # one wild block: Welch's interval stands beside the exact one
    wild = change([*np.linspace(0, 0.008, 9), 3.0], np.linspace(0.05, 0.058, 10))
    assert (wild.p_holm <= 0.05, wild.verdict) == (True, "UNRESOLVED")
    assert "Welch" in wild.reason
    # where its own interval leaves out 1
    old, new = np.arange(8) * 0.01, np.arange(8) * 0.01 + 0.045  # p of 0.005 alone
    alone, among = change(old, new), change(old, new, family=30)
    assert (alone.verdict, among.verdict) == ("SLOWER", "UNRESOLVED")
    assert among.reason.startswith("its own 95 % interval leaves out 1, but p = ")
    assert " among 30 comparisons is above the 0.05; a difference of " in among.reason
    assert among.reason.endswith(" blocks in each")


# what gets no verdict


def test_what_a_run_gives_no_verdict_on_has_its_word_and_its_reason():
    quick = make_run(example_records(quick=True))
    assert {one.verdict for one in compare_runs(quick, quick).rows} == {"NONE"}
    usual = row(compare_runs(quick, make_run(EARLIER)), USUAL)
    assert (usual.ratio is None, usual.reason) == (False, "old run: a quick run gives no verdict")
    changes = compare_runs(make_run(EARLIER), make_run(example_records(broken=True)))
    wrong, late = row(changes, BEST_TORCH), row(changes, "train_step sequence | torch-autograd@cpu x1")
    assert (wrong.verdict, wrong.ratio) == ("INVALID", None)
    assert wrong.reason.startswith("new run: disagrees")
    assert (late.verdict, late.ratio) == ("MISSING", None)


def test_what_a_time_budget_left_out_of_a_run_is_one_line_and_no_row():
    groups = ["train_step sequence", "forward positional"]
    later: list[AnyRecord] = []
    for record in example_records(seed=2):
        if isinstance(record, Decision):
            record = replace(record, dropped_groups=groups)
        gone = isinstance(record, Burst) and record.entry.partition(" | ")[0] in groups
        later += [] if gone else [record]
    changes = compare_runs(make_run(EARLIER), make_run(later))
    left_out = [one for one in changes.rows if one.group in groups]
    assert {one.verdict for one in left_out} == {"MISSING"}
    assert table(changes).row_count == len(changes.rows) - len(left_out) > 0
    assert (
        "Not in the table, left out of a run to keep within the time budget: "
        f"{len(left_out)} comparisons of train_step sequence and forward positional"
    ) in list(notes_after(changes))
    assert not any("Not in the table" in said for said in notes_after(compared({}, {})))


def test_a_twin_that_differs_or_changed_between_the_runs_judges_nothing():
    """Each run by itself may take its twin for the original, and both cannot be right beside each other."""
    scatter = np.linspace(-0.01, 0.01, 10)
    for moved, warning in (
        (0.006, "the A/A control failed: the same code was measured twice in both runs"),
        (0.03, "the A/A control of the old run differs by more than chance"),
        (0.2, "the old run gives no verdict by itself: the A/A control failed"),
    ):
        old, new = (
            at(records, {TWIN: list(sign * (scatter + moved))})
            for records, sign in ((EARLIER, 1), (LATER, -1))
        )
        changes = compare_runs(old, new)
        assert changes.warning.startswith(warning)
        assert {one.verdict for one in changes.rows if one.ratio is not None} == {"INVALID"}
    old, new = at(EARLIER, {TWIN: list(scatter)}), at(LATER, {TWIN: list(-scatter)})
    assert compare_runs(old, new).warning == ""


def test_only_what_both_hold_on_the_same_case_is_compared():
    plan, *rest = LATER
    wider = {
        entry.case: dataclasses.replace(entry.case, shape=dataclasses.replace(entry.case.shape, H=64))
        for group in plan.groups
        if group.name.startswith("forward")
        for entry in group.entries
    }
    groups = [
        replace(group, entries=[replace(one, case=wider.get(one.case, one.case)) for one in group.entries])
        for group in plan.groups
    ]
    changes = compare_runs(make_run(EARLIER), make_run([replace(plan, groups=groups), *rest]))
    assert not any(one.name.startswith("forward") for one in changes.rows)
    (moved,) = (
        name for name in changes.only_new if name.startswith("forward positional | torch-layer@cpu x1")
    )
    assert "H64" in moved
    assert len(changes.only_old) == len(changes.only_new) > 5


def test_entries_without_a_baseline_are_named_and_compared_in_absolute_times():
    changes, absolute = (
        compare_runs(make_run(EARLIER), make_run(LATER), absolute=absolute) for absolute in (False, True)
    )
    assert changes.without_baseline
    assert not set(changes.without_baseline) & {one.name for one in changes.rows}
    assert set(changes.without_baseline) <= {one.name for one in absolute.rows}
    assert not absolute.without_baseline


# regressions


@pytest.mark.parametrize(
    ("factor", "regressed"), [(1.0, False), (1.045, False), (1.055, True), (1.3, True), (0.7, False)]
)
def test_a_regression_is_proved_only_beyond_the_limit(factor, regressed):
    changes = compared({USUAL: 3.6}, {USUAL: 3.6 * factor}, limit=0.05)
    assert [one.name for one in changes.regressions] == [USUAL] * regressed
    assert not compared({USUAL: 3.6}, {USUAL: 3.6 * factor}).regressions


def test_slower_and_significant_is_no_proof_of_a_regression_beyond_the_limit():
    """The mutant: an exit code by the verdict and the estimate alone."""
    noise = np.random.Generator(np.random.PCG64(5)).normal(0, 0.02, (2, 10))
    noise -= np.median(noise, axis=1, keepdims=True)
    slower = change(noise[0], noise[1] + np.log(1.06), limit=0.05)
    assert (slower.verdict, slower.regressed) == ("SLOWER", False)
    assert slower.ratio > 1.05
    # and it is adjusted for all entries
    old, new = [0.00, 0.01, 0.02, 0.03, 0.04, 0.05], [0.10, 0.11, 0.12, 0.095, 0.105, 0.115]
    assert change(old, new, limit=0.05).regressed
    assert not change(old, new, family=100, limit=0.05).regressed


# two runs of the same code


def false_words(finds: Callable[[np.ndarray, np.ndarray], bool], tables: int) -> float:
    """The share of tables with a false word: the same code twice, a machine 7 % slower the second time."""
    draw = simulated.generator(21)
    old = simulated.simulate(draw, tables, drift=simulated.wave(0.05))
    new = simulated.simulate(draw, tables, drift=simulated.ramp(0.05)) + 0.07
    return float(np.mean([finds(*pair) for pair in zip(old, new, strict=True)]))


def words_of(old: np.ndarray, new: np.ndarray) -> bool:
    """Whether a table with these samples (rows, n) has a word that says there is a change."""
    drafts = [measured(Change(name=str(n)), *pair) for n, pair in enumerate(zip(old, new, strict=True))]
    return any(one.verdict in ("FASTER", "SLOWER") for one in judge(drafts, 0.02))


def by_ratios(old: np.ndarray, new: np.ndarray) -> bool:
    """What compare does with values (blocks, arms, values): a baseline, its twin, the rows of the table."""
    return words_of(*(simulated.log_ratios(values[np.newaxis])[0, 1:] for values in (old, new)))


def pooled(old: np.ndarray, new: np.ndarray) -> bool:
    """The mutant that takes every value for an independent one."""
    logs = [np.moveaxis(values[:, 2:] - values[:, :1], 1, 0).reshape(8, -1) for values in (old, new)]
    return words_of(*logs)


def in_absolute_times(old: np.ndarray, new: np.ndarray) -> bool:
    return words_of(*(np.median(values, axis=2).T[2:] for values in (old, new)))


def test_two_runs_of_the_same_code_get_a_false_word_in_one_table_of_twenty_at_most():
    assert false_words(by_ratios, 300) <= 0.05


def test_pooled_values_or_drift_in_the_times_would_be_found_out():
    assert false_words(pooled, 100) > 0.15
    assert false_words(in_absolute_times, 20) > 0.9


def test_without_holm_there_would_be_more_than_one_in_twenty(monkeypatch):
    monkeypatch.setattr(verdict, "holm", lambda p_values: list(p_values))
    assert holm([0.02, 0.04]) != [0.02, 0.04]
    assert false_words(by_ratios, 300) > 0.10


# environments


@pytest.mark.parametrize(
    ("there", "clause"),
    [
        ({"governor": "powersave"}, "governor: performance, now powersave"),
        ({"cgroup_quota": 1.5}, "cgroup quota"),
        ({"usable_cpus": 1}, "usable cpus"),
        ({"facts": {"kernel": "Haswell"}}, "kernel: SkylakeX, now Haswell"),  # as the workers tell it
        ({"facts": {"threads": 8}}, "threads: 1, now 8"),
    ],
)
def test_another_environment_is_told_and_there_is_no_verdict_unless_asked_for(there, clause):
    then, now = make_run(EARLIER), make_run(slowed(on(LATER, **there), 1.3, USUAL))
    changes = compare_runs(then, now)
    assert any(clause in condition for condition in changes.conditions)
    assert changes.warning == "the environment changed"
    assert {one.verdict for one in changes.rows if one.ratio is not None} == {"NONE"}
    assert row(compare_runs(then, now, any_environment=True), USUAL).verdict == "SLOWER"


def test_another_version_is_what_people_compare():
    packages = {"rnnbench": "0.2.0", "numpy": "2.5.0", "torch": "2.13.0"}
    newer = on(LATER, packages=packages, commit="b" * 40, facts={"version": "2.5.0"})
    changes = compare_runs(make_run(on(EARLIER, commit="a" * 40)), make_run(slowed(newer, 1.3, USUAL)))
    assert changes.conditions == ()
    assert "packages numpy: 2.4.6, now 2.5.0" in changes.versions
    assert f"commit: {'a' * 40}, now {'b' * 40}" in changes.versions
    assert not any(clause.startswith("numpy version") for clause in changes.versions)  # said once
    assert row(changes, USUAL).verdict == "SLOWER"


def test_a_variable_that_reaches_the_workers_now_is_a_change():
    kept = replace(example_environment(), kept={"MALLOC_ARENA_MAX": "1"})
    records = [kept if isinstance(record, Environment) else record for record in LATER]
    changes = compare_runs(make_run(EARLIER), make_run(records))
    assert changes.conditions == ("variable MALLOC_ARENA_MAX: none, now 1",)


def test_other_bytes_of_the_same_case_are_told():
    alone = USUAL.replace("x1", "x2")  # which stands in one table
    records = [
        replace(record, digest="aa" * 32) if getattr(record, "entry", "") == alone else record
        for record in LATER
    ]
    assert compare_runs(make_run(EARLIER), make_run(LATER)).versions == ()
    (told,) = compare_runs(make_run(EARLIER), make_run(records)).versions
    assert told.startswith("inputs: other bytes for 1 of ")


# the command


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs on disk: old, the same again, one in which torch-layer is 20 % slower, one of another machine."""
    folder = tmp_path_factory.mktemp("saved")
    with mock.patch("os.fsync"):  # thousands of records
        write_run(folder / "old", EARLIER)
        write_run(folder / "same", LATER)
        write_run(folder / "slower", slowed(LATER, 1.2, USUAL))
        write_run(folder / "elsewhere", on(LATER, processor="Other \x1b[31mCPU"))
    return folder


def test_the_exit_code_is_1_for_a_proved_regression_alone(saved, capsys):
    old, same, slower = (str(saved / name) for name in ("old", "same", "slower"))
    assert main(["compare", old, same, "--fail-slower", "5%"]) == 0
    assert "No regression over 5 % is proved" in capsys.readouterr().out
    assert main(["compare", old, slower, "--fail-slower", "5%"]) == 1
    printed = capsys.readouterr().out
    assert "REGRESSION proved, over 5 % slower: train_step positional | torch-layer@cpu x1: 1.20" in printed
    assert main(["compare", old, slower, "--fail-slower", "40%"]) == 0
    assert main(["compare", old, slower]) == 0


def test_one_sentence_says_it_all_first_and_json_holds_the_same(saved, capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)  # pytest-xdist sets it, and a row would be several lines
    command = ["compare", str(saved / "old"), str(saved / "slower")]
    main(command)
    first, *rest = capsys.readouterr().out.splitlines()
    assert "1 slower" in first
    assert "most of all train_step positional | torch-layer@cpu x1, 1.20" in first
    assert rest[0].startswith("In absolute time 7 baselines took 0.98")
    assert any("SLOWER" in line and "torch-layer@cpu x1" in line for line in rest)
    assert any(
        line.startswith("No baseline beside it, so no ratio to compare: 19 measurements of") for line in rest
    )
    assert main([*command, "--json", "--fail-slower", "5 %"]) == 1
    tree = json.loads(capsys.readouterr().out, parse_constant=lambda text: pytest.fail(text))
    assert (tree["regressions"], tree["unit"], tree["limit"]) == ([USUAL], "ratio", 0.05)
    (usual,) = (one for one in tree["rows"] if one["name"] == USUAL)
    assert (usual["verdict"], usual["old_samples"], usual["new_samples"]) == ("SLOWER", 10, 10)
    assert usual["regressed"]
    assert usual["low"] < usual["change"] < usual["high"]


def test_different_machines_are_refused_unless_asked_for(saved, capsys):
    command = ["compare", str(saved / "old"), str(saved / "elsewhere")]
    assert main(command) == 2
    assert "different machines (processor)" in capsys.readouterr().err
    assert main([*command, "--any-machine"]) == 0
    printed = capsys.readouterr().out
    assert "DIFFERENT MACHINES: processor" in printed
    assert "\x1b" not in printed
    assert main(["compare", str(saved / "old"), str(saved / "nowhere")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_run_is_not_compared_with_itself_nor_with_a_copy_that_was_cut_off(saved, tmp_path, capsys):
    lines = (saved / "old" / FILE_NAME).read_bytes().splitlines(keepends=True)
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / FILE_NAME).write_bytes(b"".join(lines[:-40]))
    for copy in (saved / "old", tmp_path / "cut"):
        assert main(["compare", str(saved / "old"), str(copy), "--fail-slower", "5%"]) == 3
        printed = capsys.readouterr()
        assert (printed.out, printed.err.count("\n")) == ("", 1)
        assert printed.err.endswith(f"{saved / 'old'} and {copy} are the same run\n")


def test_a_gate_does_not_pass_with_an_entry_that_has_no_answer(saved, tmp_path, capsys):
    write_run(tmp_path / "new", example_records(seed=7, broken=True))
    assert main(["compare", str(saved / "old"), str(tmp_path / "new"), "--fail-slower", "300%"]) == 3
    assert f"there is no answer for {BEST_TORCH}" in capsys.readouterr().err


def test_what_the_baselines_did_is_called_drift_only_where_nothing_else_changed():
    def told(**facts: Any) -> str:
        changes = compare_runs(make_run(EARLIER), make_run(on(LATER, **facts)), any_environment=True)
        return next(text for text in notes_before(changes) if text.startswith("In absolute time"))

    assert told().endswith(
        "Its code and libraries are the same, so the machine drifted; no ratio below contains this."
    )
    assert "or the baseline itself changed" in told(python="CPython 3.12.1")
    assert "or the baseline itself changed" in told(governor="powersave")
    assert told(processor="Other").endswith(". It is another machine.")


def test_runs_of_different_cells_compare_nothing_and_say_so(tmp_path, capsys):
    folders = []
    for name, options in (("rnn", {}), ("gru", {"cell": "gru"}), ("biased", {"bias": True})):
        plan = declare(quick=True, **options)
        folders.append(str(write_run(tmp_path / name, records_of(plan, lambda arm, case: 1e5))))
    changes = [compare_runs(*map(load_run, map(Path, (folders[0], other)))) for other in folders]
    assert [bool(one.rows) for one in changes] == [True, False, False]
    assert [one.warning.partition(", the new run of ")[2] for one in changes[1:]] == [
        "gru with biases",
        "rnn with biases",
    ]
    assert main(["compare", *folders[:2]]) == 3
    out = capsys.readouterr()
    assert "hold nothing that compares: the old run is of rnn without biases, the new run of gru" in out.out
    assert "nothing was compared: the two have nothing in common that compares: the old run is" in out.err
