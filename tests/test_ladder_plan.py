"""The plan's ladder, dispatch table, probes and grid: what is declared so that a run can say why."""

from dataclasses import fields, replace

import pytest
from journals import example_plan
from test_plan import plan

from bench.analysis.statistics import blocks_needed
from bench.measure.plan import comparisons, fewest_blocks
from bench.measure.preset import GRID_SIZES
from bench.records.record import Arm, Entry, Plan
from bench.workload import catalog
from bench.workload.case import Case, Shape

PLACE = ("device", "threads")


def changed(declared: Plan, one: Entry, other: Entry) -> set[str]:
    """In what two entries differ. Layout and shape are one thing, as a layout makes its shape."""
    arms = {arm.id: arm for arm in declared.arms}
    names = [field.name for field in fields(Case)]
    found = {name for name in names if getattr(one.case, name) != getattr(other.case, name)}
    made = {"work" if name in ("layout", "shape") else name for name in found}
    if any(getattr(arms[one.arm], name) != getattr(arms[other.arm], name) for name in PLACE):
        made.add("place")
    return made | ({"variant"} if arms[one.arm].variant != arms[other.arm].variant else set())


def steps(declared: Plan) -> list[tuple[str, set[str]]]:
    """Every rung's change, and in what it differs from the rung above."""
    entries = {entry.id: entry for group in declared.groups for entry in group.entries}
    return [
        (rung.change, changed(declared, entries[rung.entry], entries[rung.above]))
        for rung in declared.ladder
        if rung.above
    ]


@pytest.fixture(scope="module")
def default() -> Plan:
    return example_plan()


def test_every_rung_differs_from_the_one_above_in_exactly_one_thing(default: Plan) -> None:
    assert {change: "/".join(sorted(what)) for change, what in steps(default)} == {
        "tanh": "activation",
        "the exact gradient": "variant",
        "the whole batch at once": "variant",
        "float32": "dtype",
        "the same by PyTorch": "variant",
        "autograd": "variant",
        "modules and an optimizer": "variant",
        "less work: 1 recurrent step instead of 6": "work",
        "a workspace allocated once": "variant",
        "nn.RNN: all steps in one call": "variant",
        "compiled": "variant",
    }
    assert all(len(what) == 1 for _, what in steps(default))


def test_two_changes_at_once_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    without_tanh = tuple(step for step in catalog.LADDER if step.change != "tanh")
    monkeypatch.setattr(catalog, "LADDER", tuple(replace(step, branches_from=None) for step in without_tanh))
    assert ("the exact gradient", {"variant", "activation"}) in steps(example_plan())


def test_the_way_leads_from_one_program_to_the_other_without_a_gap(default: Plan) -> None:
    way = [rung for rung in default.ladder if not rung.branch]
    assert way[0].above is None
    assert [rung.above for rung in way[1:]] == [rung.entry for rung in way[:-1]]
    (group,) = (group for group in default.groups if group.kind == "ladder")
    entries = {entry.id: entry for entry in group.entries}
    assert len(entries) == len(group.entries)
    first, last = entries[way[0].entry], entries[way[-1].entry]
    assert (first.arm, first.case.dtype, first.case.activation, first.case.layout) == (
        *("numpy-published@cpu x1", "float64", "sigmoid", "positional"),
    )
    assert (last.arm, last.case.dtype, last.case.activation, last.case.layout) == (
        *("torch-cell@cpu x1", "float32", "tanh", "single_step"),
    )
    assert {entry.baseline for entry in group.entries} == {None}
    (claim,) = (pair for pair in default.pairs if pair.kind == "claim")
    assert (claim.entry, claim.baseline) == (last.id, first.id)


def test_a_branch_begins_at_an_entry_of_its_own_group(default: Plan) -> None:
    groups = {entry.id: group.name for group in default.groups for entry in group.entries}
    branches = [rung for rung in default.ladder if rung.branch]
    assert all(rung.above and groups[rung.entry] == groups[rung.above] for rung in branches)
    assert {groups[rung.entry] for rung in branches} == {"ladder", "compiled"}


def test_the_ladder_takes_part_in_as_many_blocks_as_a_verdict_needs(default: Plan) -> None:
    (group,) = (group for group in default.groups if group.kind == "ladder")
    assert group.blocks == blocks_needed(1)
    assert next(g for g in plan(preset="full").groups if g.kind == "ladder").blocks is None


def test_a_quick_run_leaves_rungs_out_and_joins_what_changes_there(default: Plan) -> None:
    quick = example_plan(quick=True)
    whole = {rung.entry for rung in default.ladder}
    assert {rung.entry for rung in quick.ladder} < whole
    assert [rung.change for rung in quick.ladder] == [
        "as published: one sample at a time, sigmoid, float64",
        "tanh",
        "the exact gradient; the whole batch at once",
        "float32",
        "the same by PyTorch; autograd; modules and an optimizer",
        "less work: 1 recurrent step instead of 6",
        "nn.RNN: all steps in one call",
    ]
    way = [rung for rung in quick.ladder if not rung.branch]
    assert [rung.above for rung in way[1:]] == [rung.entry for rung in way[:-1]]


def test_there_is_no_ladder_without_pytorch_or_the_cpu_or_of_other_work() -> None:
    for wishes in (
        {"missing_libraries": {"torch": "PyTorch is not installed"}},
        {"devices": ("cuda:0",)},
        {"hidden": (64,)},
        {"preset": "grid"},
    ):
        declared = plan(**wishes)
        assert "ladder" not in [group.kind for group in declared.groups]
        assert not [rung for rung in declared.ladder if not rung.branch]
        assert "claim" not in [pair.kind for pair in declared.pairs]


def test_an_accelerator_has_a_rung_for_the_last_programs_own_work() -> None:
    declared = example_plan(with_gpu=True)
    rung = next(rung for rung in declared.ladder if rung.change == "on cuda:0")
    assert rung.entry == "ladder | torch-cell@cuda:0 x2 single_step float32 tanh"
    assert rung.branch
    assert ("on cuda:0", {"place"}) in steps(declared)
    assert "torch-cell@cuda:0 x2" in {arm.id for arm in declared.arms}


def test_dispatch_is_the_main_work_on_arrays_of_one_number(default: Plan) -> None:
    (group,) = (group for group in default.groups if group.kind == "dispatch")
    main = default.groups[0].entries[0].case
    assert {entry.case.shape for entry in group.entries} == {Shape(main.shape.T, 1, 1, 1, 1)}
    settings = {(entry.case.task, entry.case.dtype, entry.baseline) for entry in group.entries}
    assert settings == {(main.task, main.dtype, None)}
    assert [entry.arm for entry in group.entries] == [
        entry.arm
        for entry in default.groups[0].entries
        if not entry.arm.endswith(" twin") and entry.arm.endswith(" x1")
    ]
    assert group.blocks == 6


def test_what_loops_over_samples_has_no_dispatch_of_its_own() -> None:
    declared = plan(variants=("numpy-loop", "numpy-inplace"))
    dispatch = next(group for group in declared.groups if group.kind == "dispatch")
    assert [entry.arm for entry in dispatch.entries] == ["numpy-batched@cpu x1", "numpy-inplace@cpu x1"]


def test_a_device_without_float64_has_no_dispatch_that_could_be_proved() -> None:
    for devices, expected in (((), True), (("mps:0",), False)):
        declared = plan(devices=("cpu", "mps:0"), no_float64=devices)
        dispatch = next(group for group in declared.groups if group.kind == "dispatch")
        assert any("@mps:0" in entry.arm for entry in dispatch.entries) is expected
        assert any("@cpu" in entry.arm for entry in dispatch.entries)


def test_each_library_is_probed_once_in_each_place() -> None:
    declared = example_plan(with_gpu=True)
    arms = {arm.id: arm for arm in declared.arms}

    def places(arm: Arm) -> tuple[str, str]:
        return arm.library, arm.device

    probed = [arms[probe.arm] for probe in declared.probes]
    assert [places(arm) for arm in probed] == [("numpy", "cpu"), ("torch", "cpu"), ("torch", "cuda:0")]
    assert not any(arm.twin or (arm.device == "cpu" and arm.threads > 1) for arm in probed)
    assert {probe.case for probe in declared.probes} == {declared.groups[0].entries[0].case}
    assert {probe.blocks for probe in declared.probes} == {6}


@pytest.mark.parametrize("wishes", [{"quick": True}, {"preset": "grid"}], ids=["quick", "grid"])
def test_a_quick_run_and_a_grid_do_not_ask_why(wishes: dict[str, object]) -> None:
    declared = plan(**wishes)
    assert not declared.probes
    assert "dispatch" not in [group.kind for group in declared.groups]


def test_a_grid_has_a_table_for_every_size_three_twins_and_verdicts_in_eight_blocks() -> None:
    grid = plan(preset="grid", **GRID_SIZES)
    shapes = {(group.entries[0].case.shape.H, group.entries[0].case.shape.B) for group in grid.groups}
    assert len(grid.groups) == len(shapes) == 36
    twins = [entry.case.shape for group in grid.groups for entry in group.entries if "twin" in entry.arm]
    assert len(twins) == 3
    assert {(8, 1), (2048, 128)} < {(shape.H, shape.B) for shape in twins}
    assert grid.blocks == 8
    assert grid.blocks >= fewest_blocks(grid.groups, grid.arms)
    assert {comparisons(group, grid.arms) for group in grid.groups} == {3}
    written = [pair for pair in grid.pairs if pair.kind == "as_written"]
    assert len(written) == 36
    assert len(grid.pairs) == 36 + 3
    assert not grid.ladder


def test_a_twin_in_every_table_of_a_grid_would_ask_for_more_blocks() -> None:
    assert blocks_needed(36) > 8 >= blocks_needed(3)
