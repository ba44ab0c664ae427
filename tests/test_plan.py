"""The plan: what is declared before the first value."""

from collections import Counter
from collections.abc import Sequence

import pytest
from bursts import burst as burst_of

from bench.machine.errors import UserError
from bench.measure.budget import decide, trimmed
from bench.measure.costs import Costs
from bench.measure.plan import HELD_ROUNDS, ROUNDS, comparisons, make_plan
from bench.measure.preset import Wishes
from bench.records.record import Burst, Missing, Plan
from bench.workload.case import Shape


def plan(**wishes: object) -> Plan:
    """A plan of the wishes, on a machine with two processors."""
    wished = Wishes(all_threads=2, seed=1, **wishes)  # type: ignore[arg-type]
    return make_plan(wished, run="test", started_utc="2026-01-01T00:00:00+00:00", command=["rnnbench"])


def test_the_default_run_holds_the_declared_groups_and_arms():
    default = plan()

    assert [group.name for group in default.groups] == [
        "train_step positional",
        "train_step sequence",
        "train_step single_step",
        "gradient positional",
        "forward positional",
        "ladder",
        "compiled",
        "dispatch",
    ]
    main = [entry.arm for entry in default.groups[0].entries]
    assert "numpy-batched@cpu x1 twin" in main
    assert {"numpy-batched@cpu x2", "numpy-inplace@cpu x2", "torch-rnn@cpu x2"} < set(main)
    side = [entry.arm for group in default.groups[1:5] for entry in group.entries]
    assert not any(slow in arm for arm in side for slow in ("published", "loop", "compile"))
    assert all(" x2" not in entry.arm for group in default.groups[1:] for entry in group.entries)
    assert default.blocks == 10
    assert default.budget_s == 104
    assert default.verdicts


def test_every_entry_is_compared_with_the_baseline_of_its_thread_count():
    for group in plan().groups[:5]:
        ids = {entry.id for entry in group.entries}
        for entry in group.entries:
            threads = entry.arm.split(" x")[1].split()[0]
            baseline = f"{group.name} | numpy-batched@cpu x{threads}"
            assert entry.baseline == (None if entry.id == baseline else baseline)
            assert baseline in ids


def test_the_headline_pairs_are_declared_before_block_0():
    sides = [(pair.kind, pair.entry) for pair in plan().pairs]

    assert ("as_written", "train_step positional | torch-rnn@cpu x1") in sides
    assert ("as_written", "train_step positional | torch-rnn@cpu x2") in sides
    assert ("as_written", "train_step sequence | torch-rnn@cpu x1") in sides
    assert "claim" in dict(sides)
    assert sides.count(("twin", "train_step positional | numpy-batched@cpu x1 twin")) == 1


def test_a_quick_run_has_three_blocks_and_no_verdicts():
    quick = plan(quick=True)

    assert quick.blocks == 3
    assert not quick.verdicts
    assert [group.name for group in quick.groups] == ["train_step positional", "ladder"]


def test_sizes_make_one_group_each_and_drop_the_ladder():
    custom = plan(hidden=(16, 64), tasks=("forward",), variants=("torch-rnn",))

    assert [group.name for group in custom.groups] == [
        "forward positional T6 B128 I6 H16 O8",
        "forward positional T6 B128 I6 H64 O8",
        "dispatch",
    ]
    arms = Counter(entry.arm for group in custom.groups[:2] for entry in group.entries)
    assert arms == {"numpy-batched@cpu x1": 2, "numpy-batched@cpu x1 twin": 2, "torch-rnn@cpu x1": 2}
    assert custom.budget_s is None


def test_features_ask_for_random_data_of_that_shape():
    group, dispatch = plan(features=(3,), seq_len=(5,), batch=(7,)).groups

    assert {entry.case.data for entry in group.entries} == {"random"}
    assert group.entries[0].case.shape == Shape(T=5, B=7, I=3, H=32, O=8)
    assert dispatch.entries[0].case.shape == Shape(T=5, B=1, I=1, H=1, O=1)


def test_an_accelerator_is_compared_with_numpy_on_all_threads():
    with_gpu = plan(devices=("cpu", "cuda:0"))
    entries = {entry.arm: entry for entry in with_gpu.groups[0].entries}

    assert entries["torch-rnn@cuda:0 x2"].baseline == "train_step positional | numpy-batched@cpu x2"
    there = "train_step positional | torch-rnn@cuda:0 x2"
    assert ("as_written", there) in [(pair.kind, pair.entry) for pair in with_gpu.pairs]
    assert not any(arm.startswith("numpy") and "cuda" in arm for arm in entries)


def test_an_accelerator_alone_still_gets_its_baseline():
    only_gpu = plan(devices=("cuda:0",))
    arms = {entry.arm for entry in only_gpu.groups[0].entries}

    assert "numpy-batched@cpu x2" in arms
    assert "ladder" not in [group.kind for group in only_gpu.groups]


def test_what_a_variant_does_not_support_is_missing_with_the_reason():
    sigmoid = plan(activation="sigmoid", variants=("torch-rnn", "torch-manual"))

    (missing,) = sigmoid.missing
    assert missing.what == "train_step positional | torch-rnn@cpu x1"
    assert "does not support activation sigmoid" in missing.reason


def test_without_torch_the_numpy_rows_still_run():
    numpy_only = plan(missing_libraries={"torch": "PyTorch is not installed"})

    assert {arm.library for arm in numpy_only.arms} == {"numpy"}
    assert any(item.reason == "PyTorch is not installed" for item in numpy_only.missing)


def test_nothing_to_measure_is_said():
    with pytest.raises(UserError, match="nothing to measure: PyTorch is not installed"):
        plan(variants=("torch-rnn",), missing_libraries={"torch": "PyTorch is not installed"})


def test_absent_devices_asked_for_with_all_are_in_the_plan():
    missing = Missing("cuda", "no such device")
    assert missing in plan(missing=(missing,)).missing


def test_too_few_blocks_for_a_table_are_refused_with_the_number_it_needs():
    with pytest.raises(UserError, match=r"comparisons needs \d+ blocks for a verdict, not 6"):
        plan(blocks=6)


def decided(budget_s: float | None, bursts: Sequence[Burst] = (), **wishes: object):
    """The decision for the default plan under a budget; by default every value of block 0 took a tenth of a
    second to ask for.
    """
    declared = plan(budget_s=budget_s, **wishes)
    entries = [entry.id for group in declared.groups for entry in group.entries]
    slower = [burst(entry, 1000) for entry in entries if entry not in {one.entry for one in bursts}]
    costs = Costs(10.0, 1.0, False, {}, {}, dict.fromkeys(entries, 0.1), dict.fromkeys(entries, 0.1))
    return declared, decide(declared, [*bursts, *slower], costs)


def test_a_budget_that_suffices_drops_nothing():
    _, decision = decided(10_000.0)

    assert (decision.blocks, decision.rounds) == (10, ROUNDS)
    assert not decision.dropped_groups
    assert not decision.dropped_arms


def test_a_short_budget_is_refused_and_drops_no_table():
    with pytest.raises(UserError, match="--budget 60s cannot be kept: the least for this plan is about"):
        decided(60.0, budget_rule="refuse")


def test_a_budget_that_holds_leaves_out_what_is_in_no_pair_and_is_ended_by_its_time():
    declared, decision = decided(11.0, budget_rule="hold")

    assert {"numpy-batched@cpu x2", "numpy-inplace@cpu x2", "torch-rnn@cpu x2"} <= set(decision.dropped_arms)
    assert (decision.blocks, decision.rounds) == (declared.blocks, HELD_ROUNDS)


def test_a_budget_leaves_an_accelerator_its_baseline():
    declared, decision = decided(1.0, devices=("cpu", "cuda:0"), budget_rule="hold")
    (main, *_) = trimmed(declared.groups, decision)

    kept = {entry.id for entry in main.entries}
    assert kept
    assert all(entry.baseline in kept for entry in main.entries if entry.baseline)
    assert "torch-rnn@cpu x2" in decision.dropped_arms


def burst(entry: str, microseconds: int) -> Burst:
    """A burst of block 0 with one value."""
    return burst_of(0, entry, [microseconds * 1000])


def costs_of(bursts: Sequence[Burst]) -> Costs:
    """What these took beside their values: nothing."""
    none = dict.fromkeys((one.entry for one in bursts), 0.0)
    return Costs(1.0, 1.0, False, {}, {}, none, none)


def test_best_against_best_takes_the_fastest_form_of_each_library_in_block_0():
    declared = plan()
    times = {"numpy-batched": 100, "numpy-inplace": 70, "torch-rnn": 360, "torch-inplace": 170}
    bursts = [burst(f"train_step positional | {name}@cpu x1", us) for name, us in times.items()]
    bursts.append(burst("train_step positional | numpy-batched@cpu x1 twin", 1))  # never a contestant
    (pair,) = decide(declared, bursts, costs_of(bursts)).pairs

    assert pair.kind == "best"
    assert pair.entry == "train_step positional | torch-inplace@cpu x1"
    assert pair.baseline == "train_step positional | numpy-inplace@cpu x1"


def test_an_accelerators_rival_is_numpy_with_whatever_number_of_threads_is_fastest():
    declared = plan(devices=("cpu", "cuda:0"))
    times = {"numpy-batched@cpu x2": 60, "numpy-inplace@cpu x1": 70, "torch-inplace@cpu x1": 170,
             "torch-inplace@cuda:0 x2": 30, "torch-rnn@cuda:0 x2": 40}  # fmt: skip
    bursts = [burst(f"train_step positional | {arm}", us) for arm, us in times.items()]
    found = {}
    for where in ("numpy-batched@cpu x2", "numpy-inplace@cpu x1"):
        pairs = decide(declared, bursts, costs_of(bursts)).pairs
        found[where] = {pair.entry.partition("| ")[2]: pair.baseline.partition("| ")[2] for pair in pairs}
        bursts = [
            one for one in bursts if "numpy-batched" not in one.entry
        ]  # as if it came to no steady time

    assert all(rivals["torch-inplace@cuda:0 x2"] == where for where, rivals in found.items())
    assert all(rivals["torch-inplace@cpu x1"] == "numpy-inplace@cpu x1" for rivals in found.values())


def test_the_twin_is_no_comparison():
    declared = plan()
    group = declared.groups[0]
    with_baseline = [entry for entry in group.entries if entry.baseline]

    assert comparisons(group, declared.arms) == len(with_baseline) - 1


def test_other_tasks_have_their_headlines_too():
    forward = plan(tasks=("forward",), hidden=(16, 64))

    written = [pair.entry for pair in forward.pairs if pair.kind == "as_written"]
    assert written == [
        "forward positional T6 B128 I6 H16 O8 | torch-rnn@cpu x1",
        "forward positional T6 B128 I6 H64 O8 | torch-rnn@cpu x1",
    ]


def test_the_full_preset_stays_full_with_other_wishes():
    full = plan(preset="full", dtype="float64")

    assert [group.name for group in full.groups[9:]] == ["dispatch"]
    assert full.blocks == 20


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"features": (3,), "layouts": ("positional",)}, "--features makes random data"),
        ({"threads": (99,)}, "this machine has 2 usable processors"),
    ],
)
def test_wishes_that_contradict_are_refused(wishes, message):
    with pytest.raises(UserError, match=message):
        plan(**wishes)


def test_a_device_without_float64_misses_the_cases_that_need_it():
    double = plan(devices=("cpu", "mps:0"), no_float64=("mps:0",), dtype="float64")

    assert {item.reason for item in double.missing} == {
        "mps:0 has no float64, which this case, or its proof, needs"
    }
    assert not any("mps" in arm.id for arm in double.arms)


def test_compiled_code_has_a_group_of_its_own_in_fewer_blocks(monkeypatch):
    monkeypatch.setattr("bench.machine.libraries.torch_library.why_not_compile", lambda device: None)
    default = plan()
    compiled = default.groups[-2]

    assert compiled.blocks == 6
    assert [entry.arm for entry in compiled.entries] == [
        "numpy-batched@cpu x1",
        "torch-autograd@cpu x1",
        "torch-compile@cpu x1",
    ]
    assert {entry.case for entry in compiled.entries} == {default.groups[0].entries[0].case}
    assert "compiled" in [pair.kind for pair in default.pairs]
    assert "compiled" not in [group.kind for group in plan(quick=True).groups]


def test_without_a_compiler_the_default_run_says_so(monkeypatch):
    monkeypatch.setattr(
        "bench.machine.libraries.torch_library.why_not_compile", lambda device: "no C++ compiler found"
    )
    default = plan()

    assert "compiled" not in [group.kind for group in default.groups]
    assert any("no C++ compiler found" in item.reason for item in default.missing)


def test_a_budget_leaves_an_accelerator_the_rival_that_block_0_found():
    times = {"numpy-inplace@cpu x2": 60, "numpy-inplace@cpu x1": 70, "torch-inplace@cuda:0 x2": 30}
    bursts = [burst(f"train_step positional | {arm}", us) for arm, us in times.items()]
    _, decision = decided(1.0, bursts, devices=("cpu", "cuda:0"), budget_rule="hold")

    assert "numpy-inplace@cpu x2" not in decision.dropped_arms
    assert "torch-rnn@cpu x2" in decision.dropped_arms
