"""The plan's ladder, dispatch table, probes and grid: what is declared so that a run can say why."""

from dataclasses import fields, replace
from typing import Any

import pytest
from declared import declare, machine
from journals import example_plan

from bench.analysis.statistics import blocks_needed
from bench.measure.plan import GRID_SIZES, comparisons, min_blocks_for_verdicts
from bench.records.record import Entry, Group, Plan
from bench.workload import catalog
from bench.workload.case import Case, Shape

NO_TORCH = machine(missing={"torch": "PyTorch is not installed"})


def changed(plan: Plan, one: Entry, other: Entry) -> set[str]:
    """In what two entries differ. Layout and shape are one thing, as a layout makes its shape."""
    left, right = ({arm.id: arm for arm in plan.arms}[entry.arm] for entry in (one, other))
    differ = {f.name for f in fields(Case) if getattr(one.case, f.name) != getattr(other.case, f.name)}
    differ = {"work" if name in ("layout", "shape") else name for name in differ}
    if (left.device, left.threads) != (right.device, right.threads):
        differ.add("place")
    return differ | ({"variant"} if left.variant != right.variant else set())


def steps(plan: Plan) -> dict[str, set[str]]:
    """Every rung's change, and in what it differs from the rung above."""
    entries = {entry.id: entry for group in plan.groups for entry in group.entries}
    return {
        rung.change: changed(plan, entries[rung.entry], entries[rung.above])
        for rung in plan.ladder
        if rung.above
    }


def of_kind(plan: Plan, kind: str) -> list[Group]:
    return [group for group in plan.groups if group.kind == kind]


@pytest.mark.parametrize(
    ("options", "first"),
    [
        ({}, "as published: one sample at a time, sigmoid, float64"),
        ({"quick": True}, "as published: one sample at a time, sigmoid, float64"),
        ({"cell": "gru"}, "one sample at a time, float64"),
        ({"cell": "gru", "quick": True}, "the whole batch at once, float64"),
    ],
)
def test_the_first_rung_says_what_it_is_whatever_a_cell_or_a_quick_run_leaves_out(
    options: dict[str, Any], first: str
) -> None:
    assert declare(**options).ladder[0].change == first


@pytest.fixture(scope="module")
def default() -> Plan:
    return example_plan()


def test_every_rung_differs_from_the_one_above_in_exactly_one_thing(
    default: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert steps(default) == {
        "tanh": {"activation"},
        "the exact gradient": {"variant"},
        "the whole batch at once": {"variant"},
        "float32": {"dtype"},
        "the same by PyTorch": {"variant"},
        "autograd": {"variant"},
        "modules and an optimizer": {"variant"},
        "less work: 1 recurrent step instead of 6": {"work"},
        "a workspace allocated once": {"variant"},
        "a layer: all steps in one call": {"variant"},
        "compiled": {"variant"},
    }
    without_tanh = tuple(step for step in catalog.LADDER if step.change != "tanh")
    monkeypatch.setattr(catalog, "LADDER", tuple(replace(step, branches_from=None) for step in without_tanh))
    assert steps(example_plan())["the exact gradient"] == {"variant", "activation"}  # it would be noticed


def test_the_way_leads_from_one_program_to_the_other_without_a_gap(default: Plan) -> None:
    (group,) = of_kind(default, "ladder")
    entries = {entry.id: entry for entry in group.entries}
    assert len(entries) == len(group.entries)
    assert group.blocks == blocks_needed(1)
    assert of_kind(declare(preset="full"), "ladder")[0].blocks is None
    way = [rung for rung in default.ladder if not rung.branch]
    assert [rung.above for rung in way] == [None, *(rung.entry for rung in way[:-1])]
    ends = [entries[way[place].entry] for place in (0, -1)]
    assert [(e.arm, e.case.dtype, e.case.activation, e.case.layout) for e in ends] == [
        ("numpy-published@cpu x1", "float64", "sigmoid", "positional"),
        ("torch-cell@cpu x1", "float32", "tanh", "single_step"),
    ]
    assert {entry.baseline for entry in group.entries} == {None}
    (claim,) = (pair for pair in default.pairs if pair.kind == "claim")
    assert (claim.baseline, claim.entry) == tuple(end.id for end in ends)


def test_a_branch_begins_at_an_entry_of_its_own_group(default: Plan) -> None:
    groups = {entry.id: group.name for group in default.groups for entry in group.entries}
    branches = [rung for rung in default.ladder if rung.branch]
    assert all(rung.above and groups[rung.entry] == groups[rung.above] for rung in branches)
    assert {groups[rung.entry] for rung in branches} == {"ladder", "compiled"}


def test_a_quick_run_leaves_rungs_out_and_joins_what_changes_there(default: Plan) -> None:
    quick = example_plan(quick=True)
    assert {rung.entry for rung in quick.ladder} < {rung.entry for rung in default.ladder}
    assert [rung.change for rung in quick.ladder] == [
        "as published: one sample at a time, sigmoid, float64",
        "tanh",
        "the exact gradient; the whole batch at once",
        "float32",
        "the same by PyTorch; autograd; modules and an optimizer",
        "less work: 1 recurrent step instead of 6",
        "a layer: all steps in one call",
    ]
    way = [rung for rung in quick.ladder if not rung.branch]
    assert [rung.above for rung in way[1:]] == [rung.entry for rung in way[:-1]]


@pytest.mark.parametrize(
    ("options", "first"),
    [
        ({"cell": "gru"}, "one sample at a time, float64"),
        ({"cell": "lstm", "bias": False}, "one sample at a time, float64"),
        ({"bias": True}, "one sample at a time, float64"),
        ({"cell": "gru", "quick": True}, "the whole batch at once, float64"),
    ],
)
def test_another_cell_has_the_rungs_that_exist_for_it_and_no_claim(
    default: Plan, options: dict[str, object], first: str
) -> None:
    plan = declare(**options)
    assert {group.name for group in plan.groups} >= {"ladder"}
    way = [rung for rung in plan.ladder if not rung.branch]
    assert way[0].change == first
    known = (example_plan(quick=True) if "quick" in options else default).ladder
    assert {rung.change for rung in plan.ladder[1:]} < {rung.change for rung in known}
    assert "claim" not in [pair.kind for pair in plan.pairs]
    cases = {(entry.case.cell, entry.case.bias) for group in plan.groups for entry in group.entries}
    assert cases == {(options.get("cell", "rnn"), options.get("bias", True))}


@pytest.mark.parametrize(
    "options",
    [
        {"devices": NO_TORCH},
        {"devices": machine("cuda:0"), "device": ("cuda:0",)},
        {"hidden": (64,)},
        {"preset": "grid"},
    ],
)
def test_there_is_no_ladder_without_pytorch_or_the_cpu_or_of_other_work(options: dict[str, object]) -> None:
    plan = declare(**options)
    assert not of_kind(plan, "ladder")
    assert not [rung for rung in plan.ladder if not rung.branch]
    assert "claim" not in [pair.kind for pair in plan.pairs]


def test_an_accelerator_has_a_rung_for_the_last_programs_own_work_and_a_probe() -> None:
    plan = example_plan(with_gpu=True)
    (rung,) = (rung for rung in plan.ladder if rung.change == "on cuda:0")
    assert (rung.entry, rung.branch) == ("ladder | torch-cell@cuda:0 x2 single_step float32 tanh", True)
    assert steps(plan)["on cuda:0"] == {"place"}
    arms = {arm.id: arm for arm in plan.arms}
    assert "torch-cell@cuda:0 x2" in arms

    probed = [arms[probe.arm] for probe in plan.probes]  # each library once in each place
    places = [(arm.library, arm.device) for arm in probed]
    assert places == [("numpy", "cpu"), ("torch", "cpu"), ("torch", "cuda:0")]
    assert not any(arm.twin or (arm.device == "cpu" and arm.threads > 1) for arm in probed)
    main = plan.groups[0].entries[0].case
    assert {(probe.case, probe.blocks) for probe in plan.probes} == {(main, 6)}


def test_dispatch_is_the_main_work_on_arrays_of_one_number(default: Plan) -> None:
    (group,) = of_kind(default, "dispatch")
    main = default.groups[0].entries[0].case
    one = Shape(main.shape.T, 1, 1, 1, 1)
    settings = {(e.case.shape, e.case.task, e.case.dtype, e.baseline) for e in group.entries}
    assert settings == {(one, main.task, main.dtype, None)}
    arms = {arm.id: arm for arm in default.arms}
    main_arms = [arms[entry.arm] for entry in default.groups[0].entries]
    expected = [arm.id for arm in main_arms if not arm.twin and arm.threads == 1]
    assert [entry.arm for entry in group.entries] == expected
    assert group.blocks == 6


def test_what_loops_over_samples_or_cannot_be_proved_has_no_dispatch_of_its_own() -> None:
    (group,) = of_kind(declare("numpy-loop", "numpy-inplace"), "dispatch")
    assert [entry.arm for entry in group.entries] == ["numpy-batched@cpu x1", "numpy-inplace@cpu x1"]
    for dtypes, expected in ((("float32", "float64"), True), (("float32",), False)):
        (group,) = of_kind(declare(devices=machine("mps:0", dtypes=dtypes)), "dispatch")
        assert any("@mps:0" in entry.arm for entry in group.entries) is expected
        assert any("@cpu" in entry.arm for entry in group.entries)


@pytest.mark.parametrize("options", [{"quick": True}, {"preset": "grid"}], ids=["quick", "grid"])
def test_a_quick_run_and_a_grid_do_not_ask_why(options: dict[str, object]) -> None:
    plan = declare(**options)
    assert not plan.probes
    assert not of_kind(plan, "dispatch")


def test_a_grid_has_a_table_for_every_size_three_twins_and_verdicts_in_eight_blocks() -> None:
    grid = declare(preset="grid")
    shapes = {(group.entries[0].case.shape.H, group.entries[0].case.shape.B) for group in grid.groups}
    assert len(grid.groups) == len(shapes) == len(GRID_SIZES["hidden"]) * len(GRID_SIZES["batch"]) == 36
    twins = [entry.case.shape for group in grid.groups for entry in group.entries if "twin" in entry.arm]
    assert len(twins) == 3
    assert {(8, 1), (2048, 128)} < {(shape.H, shape.B) for shape in twins}
    assert (
        min_blocks_for_verdicts(grid.groups, grid.arms) <= grid.blocks == 8 < blocks_needed(36)
    )  # a twin in every table
    assert {comparisons(group, grid.arms) for group in grid.groups} == {3}
    kinds = [pair.kind for pair in grid.pairs]
    assert (kinds.count("as_written"), len(kinds), grid.ladder) == (36, 36 + 3, [])
