"""The plan: what is declared before the first value, and what block 0 decides of it."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from bursts import burst
from declared import declare, machine
from msgspec.structs import replace

from bench.machine.devices import Absent
from bench.machine.errors import UserError
from bench.measure.budget import Costs, decide, trimmed
from bench.measure.plan import MIN_HELD_ROUNDS, ROUNDS, comparisons
from bench.records.record import Burst, Decision, Group, Missing, Plan
from bench.workload.case import Shape

MAIN = "train_step positional"
WITHOUT_TORCH = machine(missing={"torch": "PyTorch is not installed"})
GPU = machine("cuda:0")


def names(plan: Plan) -> list[str]:
    return [group.name for group in plan.groups]


def arms(group: Group) -> list[str]:
    return [entry.arm for entry in group.entries]


def pairs(plan: Plan) -> list[tuple[str, str]]:
    return [(pair.kind, pair.entry) for pair in plan.pairs]


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled code can be made here."""
    monkeypatch.setattr("bench.machine.libraries.torch_library.why_not_compile", lambda device: None)


@pytest.mark.usefixtures("compiler")
def test_the_default_run_holds_the_declared_groups_and_arms() -> None:
    default = declare()
    assert names(default) == [
        MAIN, "train_step sequence", "train_step single_step", "gradient positional", "forward positional",
        "ladder", "compiled", "dispatch",
    ]  # fmt: skip
    assert "numpy-batched@cpu x1 twin" in arms(default.groups[0])
    all_threads = {"numpy-batched@cpu x2", "numpy-inplace@cpu x2", "torch-layer@cpu x2"}
    assert all_threads < set(arms(default.groups[0]))
    side = [arm for group in default.groups[1:5] for arm in arms(group)]
    assert not any(slow in arm for arm in side for slow in ("published", "loop", "compile"))
    assert all(" x2" not in arm for group in default.groups[1:] for arm in arms(group))
    assert (default.blocks, default.budget_s, default.verdicts) == (10, 104, True)
    headlines = pairs(default)
    for entry in (
        f"{MAIN} | torch-layer@cpu x1",
        f"{MAIN} | torch-layer@cpu x2",
        "train_step sequence | torch-layer@cpu x1",
    ):
        assert ("as_written", entry) in headlines
    assert headlines.count(("twin", f"{MAIN} | numpy-batched@cpu x1 twin")) == 1
    assert {"claim", "compiled"} < set(dict(headlines))


def test_every_entry_is_compared_with_the_baseline_of_its_thread_count() -> None:
    default = declare()
    threads = {arm.id: arm.threads for arm in default.arms}
    for group in default.groups[:5]:
        ids = {entry.id for entry in group.entries}
        for entry in group.entries:
            baseline = f"{group.name} | numpy-batched@cpu x{threads[entry.arm]}"
            assert entry.baseline == (None if entry.id == baseline else baseline)
            assert baseline in ids
    main = default.groups[0]
    assert comparisons(main, default.arms) == len([e for e in main.entries if e.baseline]) - 1  # no twin


def test_a_quick_run_has_three_blocks_and_no_verdicts() -> None:
    quick = declare(quick=True)
    assert (quick.blocks, quick.verdicts, quick.precision) == (3, False, None)
    assert names(quick) == [MAIN, "ladder"]


def test_sizes_make_a_group_each_with_headlines_of_their_task_and_drop_the_ladder() -> None:
    custom = declare("torch-layer", hidden=(16, 64), task=("forward",))
    sizes = [f"forward positional T6 B128 I6 H{H} O8" for H in (16, 64)]
    assert names(custom) == [*sizes, "dispatch"]
    counts = Counter(arm for group in custom.groups[:2] for arm in arms(group))
    assert counts == {"numpy-batched@cpu x1": 2, "numpy-batched@cpu x1 twin": 2, "torch-layer@cpu x1": 2}
    assert custom.budget_s is None
    written = [entry for kind, entry in pairs(custom) if kind == "as_written"]
    assert written == [f"{name} | torch-layer@cpu x1" for name in sizes]


def test_features_ask_for_random_data_of_that_shape() -> None:
    group, dispatch = declare(features=(3,), seq_len=(5,), batch=(7,)).groups
    assert {entry.case.data for entry in group.entries} == {"random"}
    assert group.entries[0].case.shape == Shape(T=5, B=7, I=3, H=32, O=8)
    assert dispatch.entries[0].case.shape == Shape(T=5, B=1, I=1, H=1, O=1)


def test_an_accelerator_is_compared_with_numpy_on_all_threads() -> None:
    both = declare(devices=GPU)
    entries = {entry.arm: entry for entry in both.groups[0].entries}
    assert entries["torch-layer@cuda:0 x2"].baseline == f"{MAIN} | numpy-batched@cpu x2"
    assert ("as_written", f"{MAIN} | torch-layer@cuda:0 x2") in pairs(both)
    assert not any(arm.startswith("numpy") and "cuda" in arm for arm in entries)
    alone = declare(devices=GPU, device=("cuda:0",))
    assert "numpy-batched@cpu x2" in arms(alone.groups[0])
    assert "ladder" not in names(alone)


def test_what_cannot_be_measured_is_missing_with_the_reason() -> None:
    (missing,) = declare("torch-layer", "torch-manual", activation="sigmoid").missing
    assert missing.what == f"{MAIN} | torch-layer@cpu x1"
    assert "does not support activation sigmoid" in missing.reason

    numpy_only = declare(devices=WITHOUT_TORCH)
    assert {arm.library for arm in numpy_only.arms} == {"numpy"}
    assert "PyTorch is not installed" in {each.reason for each in numpy_only.missing}

    absent = declare(devices=machine(absent=[Absent("cuda", "no such device")]))
    assert Missing("cuda", "no such device") in absent.missing

    double = declare(devices=machine("mps:0", dtypes=("float32",)), dtype="float64")
    assert {each.reason for each in double.missing} == {
        "mps:0 has no float64, which this case, or its proof, needs"
    }
    assert not any("mps" in arm.id for arm in double.arms)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"variant": ("torch-layer",), "devices": WITHOUT_TORCH},
            "nothing to measure: PyTorch is not installed",
        ),
        (
            {"variant": ("numpy-batched",), "devices": machine(absent=[Absent("cuda", "no such device")])},
            "nothing to measure: numpy-batched is what others are compared with; choose another variant",
        ),
        ({"blocks": 6}, r"comparisons needs \d+ blocks for a verdict, not 6"),
        ({"features": (3,), "layout": ("positional",)}, "--features makes random data"),
        ({"threads": (99,)}, "this machine has 2 usable processors"),
        ({"preset": "cells", "cell": "gru"}, "--preset=cells measures every cell, .*; leave --cell out"),
        ({"preset": "cells", "activation": "relu"}, "--preset=cells .*; leave --activation out"),
    ],
)
def test_what_contradicts_itself_or_the_machine_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        declare(**options)


def test_the_full_preset_stays_full_with_other_options() -> None:
    full = declare(preset="full", dtype="float64")
    assert names(full)[9:] == ["dispatch"]
    assert full.blocks == 20


@pytest.mark.usefixtures("compiler")
def test_compiled_code_has_a_group_of_its_own_in_fewer_blocks() -> None:
    default = declare()
    compiled = default.groups[-2]
    assert compiled.blocks == 6
    assert arms(compiled) == ["numpy-batched@cpu x1", "torch-autograd@cpu x1", "torch-compile@cpu x1"]
    assert {entry.case for entry in compiled.entries} == {default.groups[0].entries[0].case}


def test_without_a_compiler_the_default_run_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    reason = "no C++ compiler found"
    monkeypatch.setattr("bench.machine.libraries.torch_library.why_not_compile", lambda device: reason)
    default = declare()
    assert "compiled" not in names(default)
    assert any(reason in each.reason for each in default.missing)


# ---- several cells

CELLS = "cells train_step positional"
USUAL_AND_FASTEST = {"numpy-batched", "numpy-inplace", "torch-layer", "torch-inplace"}


def test_the_cells_have_a_table_each_and_one_that_compares_each_variant_with_itself_on_the_rnn() -> None:
    plan = declare(preset="cells")
    assert names(plan) == [MAIN, f"gru {MAIN}", f"lstm {MAIN}", CELLS]
    assert (plan.preset, plan.blocks, plan.budget_s, plan.verdicts) == ("cells", 10, 104, True)
    *tables, together = plan.groups
    arms_of = {arm.id: arm for arm in plan.arms}
    assert {arms_of[arm].variant for arm in arms(together)} == USUAL_AND_FASTEST
    entries = {entry.id: entry for entry in together.entries}
    compared = [(entry, entries[entry.baseline]) for entry in together.entries if entry.baseline]
    assert len(compared) == 2 * len(USUAL_AND_FASTEST)
    for entry, baseline in compared:
        assert (entry.arm, entry.case.cell) != (baseline.arm, baseline.case.cell)
        assert (entry.arm, baseline.case.cell) == (baseline.arm, "rnn")
    measured = {(entry.arm, entry.case) for table in tables for entry in table.entries}
    assert {(entry.arm, entry.case) for entry in together.entries} < measured  # nothing is measured twice
    assert [kind for kind, _ in pairs(plan)].count("cell") == len(compared)
    biases = {entry.case.cell: entry.case.bias for entry in together.entries}
    assert biases == {"rnn": False, "gru": True, "lstm": True}


@pytest.mark.parametrize(
    ("options", "together", "of_each"),
    [
        ({"quick": True}, 1, 4),
        ({"devices": WITHOUT_TORCH}, 1, 2),
        ({"devices": GPU, "device": ("cuda:0",)}, 1, 3),
        ({"devices": GPU}, 1, 7),
        ({"hidden": (32, 128), "bias": True}, 2, 4),
        ({"threads": (1, 2)}, 1, 8),
    ],
)
def test_the_cells_are_compared_wherever_and_at_whatever_size(
    options: dict[str, Any], together: int, of_each: int
) -> None:
    plan = declare(preset="cells", **options)
    groups = [group for group in plan.groups if group.kind == "cells"]
    assert [len(group.entries) for group in groups] == [3 * of_each] * together
    assert plan.verdicts != options.get("quick", False)
    assert {entry.case.bias for entry in groups[0].entries if entry.case.cell == "rnn"} == {"bias" in options}


# ---- what block 0 decides


def took(arm: str, microseconds: int, group: str = MAIN) -> Burst:
    """A burst of block 0 with one value."""
    return burst(0, f"{group} | {arm}", [microseconds * 1000])


def decided(plan: Plan, bursts: Sequence[Burst] = (), cost_s: float = 0.1) -> Decision:
    """The decision; a value or a proof took so long to ask for, and what is not told ran for 1 ms a call."""
    entries = [entry for group in plan.groups for entry in group.entries]
    told = {each.entry for each in bursts}
    slower = [took(entry.arm, 1000, entry.group) for entry in entries if entry.id not in told]
    seconds = dict.fromkeys((entry.id for entry in entries), cost_s)
    seconds |= dict.fromkeys((each.entry for each in (*bursts, *slower)), cost_s)
    return decide(
        plan, [*bursts, *slower] if cost_s else bursts, Costs(10.0, 1.0, False, {}, {}, seconds, seconds)
    )


def test_a_budget_that_suffices_drops_nothing_and_a_short_one_is_refused() -> None:
    decision = decided(declare(budget=10_000.0))
    assert (decision.blocks, decision.rounds) == (10, ROUNDS)
    assert decision.dropped_groups == decision.dropped_arms == []
    with pytest.raises(UserError, match="--budget 60s cannot be kept: the least for this plan is about"):
        decided(declare(budget=60.0))


SIDE_TABLES = ["train_step sequence", "train_step single_step", "gradient positional", "forward positional"]


def test_an_aim_far_beyond_what_fits_leaves_out_side_tables_from_the_last_then_all_threads() -> None:
    plan = declare(devices=GPU)
    least = decided(replace(plan, budget_s=1e9), cost_s=0.01)
    assert least.dropped_groups == least.dropped_arms == []
    left_out: list[list[str]] = []
    for budget_s in range(120, 10, -5):
        decision = decided(replace(plan, budget_s=budget_s), cost_s=0.01)
        left_out.append(decision.dropped_groups + decision.dropped_arms)
        assert decision.dropped_groups == SIDE_TABLES[4 - len(decision.dropped_groups) :]
        assert not decision.dropped_arms or decision.dropped_groups == SIDE_TABLES
        main, *_ = trimmed(plan.groups, decision)
        kept = {entry.id for entry in main.entries}
        assert all(entry.baseline in kept for entry in main.entries if entry.baseline)
    assert {len(names) for names in left_out} >= {0, 1, 2, 3, 4, 6}
    assert left_out[-1][4:] == ["numpy-inplace@cpu x2", "torch-layer@cpu x2"]  # the GPU needs the baseline
    assert "torch-layer@cuda:0 x2" in {entry.arm for entry in main.entries}
    assert {group.kind for group in trimmed(plan.groups, decision)} >= {"table", "ladder", "dispatch"}


def test_an_aim_leaves_out_no_size_of_a_grid_and_no_cell() -> None:
    for plan in (declare(preset="grid"), declare(preset="cells")):
        assert decided(replace(plan, budget_s=1.0)).dropped_groups == []


def test_a_budget_that_holds_leaves_out_what_is_in_no_pair_and_is_ended_by_its_time() -> None:
    plan = declare(budget=11.0, budget_rule="hold")
    decision = decided(plan)
    assert {"numpy-batched@cpu x2", "numpy-inplace@cpu x2", "torch-layer@cpu x2"} <= set(
        decision.dropped_arms
    )
    assert (decision.blocks, decision.rounds) == (plan.blocks, MIN_HELD_ROUNDS)


def test_a_budget_leaves_an_accelerator_its_baseline_and_the_rival_that_block_0_found() -> None:
    plan = declare(devices=GPU, budget=1.0, budget_rule="hold")
    (main, *_) = trimmed(plan.groups, decided(plan))
    kept = {entry.id for entry in main.entries}
    assert kept
    assert all(entry.baseline in kept for entry in main.entries if entry.baseline)
    times = {"numpy-inplace@cpu x2": 60, "numpy-inplace@cpu x1": 70, "torch-inplace@cuda:0 x2": 30}
    dropped = decided(plan, [took(arm, us) for arm, us in times.items()]).dropped_arms
    assert "numpy-inplace@cpu x2" not in dropped
    assert "torch-layer@cpu x2" in dropped


def rivals(plan: Plan, times: dict[str, int]) -> dict[str, str]:
    """The fastest forms by block 0: arm over arm."""
    found = decided(plan, [took(arm, us) for arm, us in times.items()], cost_s=0.0).pairs
    assert {pair.kind for pair in found} == {"best"}
    return {pair.entry.partition("| ")[2]: pair.baseline.partition("| ")[2] for pair in found}


def test_best_against_best_takes_the_fastest_form_of_each_library_in_block_0() -> None:
    times = {"numpy-batched@cpu x1": 100, "numpy-inplace@cpu x1": 70, "torch-layer@cpu x1": 360}
    times |= {"torch-inplace@cpu x1": 170, "numpy-batched@cpu x1 twin": 1}  # a twin is never a contestant
    assert rivals(declare(), times) == {"torch-inplace@cpu x1": "numpy-inplace@cpu x1"}


def test_an_accelerators_rival_is_numpy_with_whatever_number_of_threads_is_fastest() -> None:
    times = {"numpy-batched@cpu x2": 60, "numpy-inplace@cpu x1": 70, "torch-inplace@cpu x1": 170,
             "torch-inplace@cuda:0 x2": 30, "torch-layer@cuda:0 x2": 40}  # fmt: skip
    on_cpu = {"torch-inplace@cpu x1": "numpy-inplace@cpu x1"}
    plan = declare(devices=GPU)
    assert rivals(plan, times) == on_cpu | {"torch-inplace@cuda:0 x2": "numpy-batched@cpu x2"}
    del times["numpy-batched@cpu x2"]  # as if it came to no steady time
    assert rivals(plan, times) == on_cpu | {"torch-inplace@cuda:0 x2": "numpy-inplace@cpu x1"}
