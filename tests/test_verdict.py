"""Verdicts are those of the method, and nothing that is wrong, missing or unsure gets a better one."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
from journals import POSITIONAL, example_plan, example_records
from msgspec.structs import replace

from bench.analysis.outcome import count_outliers, outcomes
from bench.analysis.statistics import holm, rank_interval
from bench.analysis.verdict import Comparison, Judgement, judge_run
from bench.measure.plan import LEAST_ROUNDS
from bench.records.record import AnyRecord, Burst, Decision, Entry, Failure, Group, Pair
from bench.records.run import Run, make_run

BASE, TWIN, RIVAL, THIRD = (
    f"{POSITIONAL} | {arm}@cpu x1" + twin
    for arm, twin in (
        ("numpy-batched", ""),
        ("numpy-batched", " twin"),
        ("numpy-inplace", ""),
        ("torch-rnn", ""),
    )
)
CLAIM = "ladder | torch-cell@cpu x1 single_step float32 tanh"


def edited(change: Callable[[Burst], AnyRecord | None], **options: object) -> Run:
    """The example run, every burst replaced by what ``change`` makes of it; None leaves it out."""
    made = [change(record) if isinstance(record, Burst) else record for record in example_records(**options)]
    return make_run([record for record in made if record is not None])


def small_run(ratios: dict[str, list[float]], **options: object) -> Run:
    """A run of the positional table: each entry's time is its ratio times the baseline's, block by block.

    ``ratios`` names entries; block 0 is added with nonsense, since it must not count.
    """
    plan = example_plan(blocks=max(map(len, ratios.values())))
    kept = [entry for entry in plan.groups[0].entries if entry.id in ratios or entry.id == BASE]
    only = {"groups": [Group(POSITIONAL, kept)], "pairs": [], "missing": [], "ladder": [], "probes": []}
    plan = replace(plan, **only, **options)
    template = next(record for record in example_records() if isinstance(record, Burst))
    records: list[AnyRecord] = [plan]
    for block in range(plan.blocks + 1):
        drift = 1 + 0.3 * math.sin(block)  # common to a block, so it must cancel
        for entry in kept:
            ratio = ([1.0] * plan.blocks if entry.id == BASE else ratios[entry.id])[block - 1 : block]
            if block == 0 or ratio:
                elapsed = int(1e9 * (drift * ratio[0] if block else 17.0))
                rounds = {"rounds": [0, 1, 2], "places": [0, 0, 0]}
                common = {"block": block, "entry": entry.id, "status": "ok", "n_calls": 10}
                records.append(
                    replace(template, **common, elapsed_ns=[elapsed, elapsed, 3 * elapsed // 2], **rounds)
                )
    return make_run(records)


def around(center: float, spread: float = 0.01, n: int = 10, seed: int = 0) -> list[float]:
    noise = np.random.Generator(np.random.PCG64(seed)).normal(0, spread, n)
    return [float(value) for value in center * np.exp(noise)]


def row(run: Run, entry: str = RIVAL) -> Comparison:
    return judge_run(run).rows[entry]


def words(judgement: Judgement) -> set[str]:
    return {made.verdict for made in judgement.rows.values() if not made.twin}


def test_the_ratio_is_entry_over_baseline_with_the_interval_of_the_log_ratios() -> None:
    ratios = around(0.8)
    made = row(small_run({RIVAL: ratios}))
    interval = rank_interval(np.log(ratios))
    assert (made.ratio, made.low, made.high) == pytest.approx(
        tuple(math.exp(x) for x in (interval.estimate, interval.low, interval.high)), rel=1e-6
    )
    assert (made.blocks, made.verdict) == (10, "FASTER")
    assert made.low < made.ratio < made.high < 1


def test_twice_the_time_is_slower_and_half_the_time_is_faster() -> None:
    slower, faster = row(small_run({RIVAL: around(2.0)})), row(small_run({RIVAL: around(0.5)}))
    assert (slower.verdict, faster.verdict) == ("SLOWER", "FASTER")
    assert slower.ratio == pytest.approx(2.0, rel=0.01)


def test_block_zero_is_never_counted() -> None:
    made = row(small_run({RIVAL: [1.1] * 10}))
    assert made.ratio == pytest.approx(1.1, rel=1e-6)
    assert made.blocks == 10


def test_the_same_within_the_margin_is_equivalent_and_a_real_but_tiny_difference_is_said() -> None:
    same = row(small_run({RIVAL: around(1.0, 0.005)}))
    tiny = row(small_run({RIVAL: around(1.01, 0.001)}))
    assert (same.verdict, tiny.verdict) == ("EQUIVALENT", "EQUIVALENT")
    assert "real" not in same.reason
    assert "real, though that small" in tiny.reason
    assert row(small_run({RIVAL: around(1.01, 0.001)}, margin=0.005)).verdict == "SLOWER"


def test_equivalence_asks_for_the_interval_of_90_percent_not_of_95() -> None:
    made = row(small_run({RIVAL: [1.025, 1.001, 1.002, 0.999, 0.998, 1.003]}))
    assert made.high > 1.02
    assert made.verdict == "EQUIVALENT"


def test_too_noisy_is_unresolved_and_says_what_could_have_been_seen_and_what_it_would_take() -> None:
    made = row(small_run({RIVAL: around(1.0, 0.05)}))
    assert made.verdict == "UNRESOLVED"
    assert 0.03 < made.detectable < 0.15
    assert made.blocks_needed > 20
    assert f"about {made.blocks_needed} blocks" in made.reason
    wider = row(small_run({RIVAL: around(1.0, 0.10)}))
    assert wider.detectable > 1.5 * made.detectable
    assert wider.blocks_needed > 2 * made.blocks_needed


def test_below_six_blocks_there_is_no_verdict_but_a_ratio() -> None:
    made = row(small_run({RIVAL: around(3.0, n=5)}))
    assert (made.verdict, made.p, made.low) == ("NONE", None, None)
    assert made.ratio == pytest.approx(3.0, rel=0.02)
    assert "5 of the 6 blocks" in made.reason
    assert row(small_run({RIVAL: around(3.0, n=6)})).verdict == "SLOWER"


def test_a_quick_run_gives_no_verdict_however_many_blocks_it_has() -> None:
    made = row(small_run({RIVAL: around(3.0)}, verdicts=False))
    assert (made.verdict, made.p_holm) == ("NONE", None)
    assert "quick" in made.reason
    assert words(judge_run(make_run(example_records(quick=True)))) == {"NONE"}


def test_p_is_adjusted_over_the_table_without_its_twin() -> None:
    judgement = judge_run(
        small_run({TWIN: around(1.0), RIVAL: around(1.5), THIRD: around(1.02, 0.02, seed=3)})
    )
    rivals = [judgement.rows[RIVAL], judgement.rows[THIRD]]
    assert [made.p_holm for made in rivals] == holm([made.p for made in rivals])
    assert [made.family for made in rivals] == [2, 2]
    assert judgement.rows[TWIN].family == 1


def test_a_difference_that_alone_would_count_is_not_enough_in_a_large_table() -> None:
    alone = row(small_run({RIVAL: [1.04 + 0.001 * i for i in range(6)]}))
    assert alone.verdict == "SLOWER"
    names = [entry.id for entry in example_plan().groups[0].entries if entry.id.endswith("x1")]
    others = {name: [1.5 + 0.001 * i for i in range(6)] for name in names if name not in (BASE, RIVAL)}
    made = row(small_run(others | {RIVAL: [1.04 + 0.001 * i for i in range(6)]}))
    assert (made.p, made.verdict) == (alone.p, "UNRESOLVED")
    assert "needs 8 blocks for a verdict, not 6" in made.reason
    assert made.detectable is None


def test_a_missing_burst_drops_its_block_from_its_own_pairs_only() -> None:
    def without(burst: Burst) -> Burst | None:
        return None if (burst.entry, burst.block) == (RIVAL, 4) else burst

    whole, cut = judge_run(make_run(example_records())), judge_run(edited(without))
    assert cut.rows[RIVAL].blocks == 9
    assert cut.rows[RIVAL].log_ratios == whole.rows[RIVAL].log_ratios[:3] + whole.rows[RIVAL].log_ratios[4:]
    assert cut.rows[THIRD].log_ratios == whole.rows[THIRD].log_ratios


def test_blocks_are_paired_by_number_not_by_place() -> None:
    def holes(burst: Burst) -> Burst | None:
        return None if (burst.entry, burst.block) in {(RIVAL, 1), (BASE, 10)} else burst

    assert row(edited(holes)).blocks == 8


def test_one_failed_proof_takes_the_entry_out_and_its_time_with_it() -> None:
    def disagree(burst: Burst) -> AnyRecord:
        if (burst.entry, burst.block) == (RIVAL, 7):
            return Failure(7, RIVAL, "disagrees", "dW is off")
        return burst

    judgement = judge_run(edited(disagree))
    made = judgement.rows[RIVAL]
    assert (made.verdict, made.ratio, made.p) == ("INVALID", None, None)
    assert "dW is off" in made.reason
    assert judgement.rows[THIRD].verdict == "SLOWER"
    best = next(pair for pair in judgement.headlines if pair.kind == "best")
    assert best.verdict == "INVALID"  # numpy-inplace is its baseline
    assert "its baseline: disagrees" in best.reason


@pytest.mark.parametrize("status", ["crashed", "timeout", "missing"])
def test_an_entry_that_never_ran_is_missing_with_its_reason(status: str) -> None:
    def fail(burst: Burst) -> AnyRecord | None:
        if burst.entry != RIVAL:
            return burst
        return Failure(0, RIVAL, status, "no such luck") if burst.block == 0 else None

    made = row(edited(fail))
    assert (made.verdict, made.ratio) == ("MISSING", None)
    assert made.reason == f"{status}, no such luck"


def test_without_its_baseline_a_row_is_missing() -> None:
    made = row(edited(lambda burst: None if burst.entry == BASE else burst))
    assert made.verdict == "MISSING"
    assert made.reason.startswith("its baseline: not reached")


def test_what_the_budget_dropped_says_so() -> None:
    group = "train_step sequence"
    run = edited(lambda burst: None if burst.block and burst.entry.startswith(group) else burst)
    assert isinstance(run.decision, Decision)
    found = outcomes(
        make_run([run.plan, replace(run.decision, dropped_groups=[group]), *run.bursts, *run.failures])
    )
    assert {found[entry].status for entry in found if entry.startswith(group)} == {"dropped"}
    assert "time budget" in found[f"{group} | torch-rnn@cpu x1"].reason


def test_other_inputs_make_a_comparison_invalid_where_the_work_is_said_to_be_the_same() -> None:
    def other(burst: Burst) -> Burst:
        return replace(burst, digest="ab" * 32) if burst.entry in (RIVAL, CLAIM) else burst

    judgement = judge_run(edited(other))
    assert judgement.rows[RIVAL].verdict == "INVALID"
    assert "same inputs" in judgement.rows[RIVAL].reason
    claim = next(made for made in judgement.headlines if made.entry == CLAIM)
    assert (claim.verdict, claim.same_work) == ("FASTER", False)


def test_a_twin_that_differs_takes_the_verdicts_from_the_whole_run() -> None:
    def slow(burst: Burst) -> Burst:
        return replace(burst, elapsed_ns=[2 * t for t in burst.elapsed_ns]) if burst.entry == TWIN else burst

    judgement = judge_run(edited(slow))
    assert words(judgement) == {made.verdict for made in judgement.headlines} == {"INVALID"}
    assert "the A/A control failed: numpy-batched is the same code" in judgement.control.failure
    assert "--wait-quiet" in judgement.control.mend
    assert judgement.rows[RIVAL].ratio is not None  # times are shown, words are not
    assert judge_run(make_run(example_records())).control.failure == ""


@pytest.mark.parametrize(
    ("twin", "rival", "word", "about"),
    [
        (1.005, 1.15, "SLOWER", ""),  # smaller than any difference that counts
        (1.03, 1.15, "SLOWER", ""),
        (1.03, 0.85, "FASTER", ""),
        (1.03, 1.02, "UNRESOLVED", "% is what the A/A control may differ by"),
        (1.03, 0.98, "UNRESOLVED", "% is what the A/A control may differ by"),
        (1.03, 1.001, "UNRESOLVED", "% is what the A/A control may differ by"),  # no equivalence either
        (1.06, 1.15, "INVALID", "the A/A control failed"),
    ],
)
def test_what_the_twin_differs_by_beyond_chance_is_taken_off_every_ratio(
    twin: float, rival: float, word: str, about: str
) -> None:
    judgement = judge_run(small_run({TWIN: around(twin, 0.001), RIVAL: around(rival, 0.001)}))
    p = judgement.twins[0].p_holm
    assert p is not None
    assert p < 0.05  # the difference is real
    assert judgement.rows[RIVAL].verdict == word
    assert about in judgement.rows[RIVAL].reason
    assert "would need about" not in judgement.rows[RIVAL].reason  # blocks do not take it away
    honest = judge_run(small_run({TWIN: around(1.0), RIVAL: around(rival, 0.001)}))
    assert honest.rows[RIVAL].verdict != "UNRESOLVED"  # so that it is the twin that decides


def test_a_twin_with_too_few_values_is_no_control_and_is_not_said_to_be_absent() -> None:
    alone = small_run({TWIN: [1.0, 1.0], RIVAL: around(2.0)})
    judgement = judge_run(alone)
    assert judgement.twins[0].ratio is not None
    assert judgement.control.failure.startswith(
        "the A/A control, the same code measured twice, has no result: 2 of"
    )
    assert judgement.rows[RIVAL].verdict == "INVALID"


def test_honest_twins_let_nearly_every_run_through_and_the_noise_floor_is_their_width() -> None:
    failed = 0
    for seed in range(60):
        run = small_run({TWIN: around(1.0, seed=seed), RIVAL: around(2.0, seed=seed + 1000)})
        judgement = judge_run(run)
        failed += bool(judgement.control.failure)
        low, high = judgement.rows[TWIN].low, judgement.rows[TWIN].high
        assert judgement.control.floors[POSITIONAL] == pytest.approx(max(high, 1 / low) - 1)
    assert failed <= 7  # 3 expected; more than 7 in fewer than one run in a hundred


def test_a_difference_smaller_than_the_noise_floor_says_so() -> None:
    made = row(small_run({TWIN: around(1.0, 0.05, seed=5), RIVAL: around(1.025, 0.001)}))
    assert made.verdict == "SLOWER"
    assert "less than the noise floor" in made.reason
    assert row(small_run({TWIN: around(1.0, 0.005), RIVAL: around(1.5)})).reason == ""


def test_a_known_wrong_gradient_is_marked_however_fast() -> None:
    def quick(burst: Burst) -> Burst:
        if burst.entry != THIRD:
            return burst
        return replace(burst, status="known_wrong", elapsed_ns=[1 + t // 10**6 for t in burst.elapsed_ns])

    made = judge_run(edited(quick)).rows[THIRD]
    assert made.verdict == "FASTER"
    assert made.known_wrong


def test_headlines_have_the_verdict_of_their_row_and_the_others_are_judged_among_their_group() -> None:
    judgement = judge_run(make_run(example_records()))
    by_kind = {made.kind: made for made in reversed(judgement.headlines)}  # the first of each
    written = by_kind["as_written"]
    assert written.p_holm == judgement.rows[written.entry].p_holm
    assert written.family == judgement.rows[written.entry].family == 7
    best = by_kind["best"]
    assert (best.arm.id, best.baseline_arm.id, best.family) == (
        "torch-inplace@cpu x1",
        "numpy-inplace@cpu x1",
        1,
    )
    assert best.ratio == pytest.approx(171 / 77, rel=0.03)
    claim = by_kind["claim"]
    assert (claim.same_work, claim.baseline_known_wrong, claim.verdict) == (False, True, "FASTER")
    assert claim.ratio == pytest.approx(124 / (27000 * 1.04 * 1.02), rel=0.03)
    assert not any(made.twin for made in judgement.headlines)
    assert len(judgement.twins) == 5


def test_headlines_that_are_no_rows_are_adjusted_for_within_their_group_alone() -> None:
    more = Pair("best", THIRD, RIVAL)
    run = edited(lambda burst: burst)
    assert run.decision is not None
    decided = dataclasses.replace(run, decision=replace(run.decision, pairs=[*run.decision.pairs, more]))
    best = {made.entry: made for made in judge_run(decided).headlines if made.kind == "best"}
    assert {entry: made.family for entry, made in best.items()} == {
        f"{POSITIONAL} | torch-inplace@cpu x1": 2,
        "train_step sequence | torch-inplace@cpu x1": 1,
        "train_step single_step | torch-inplace@cpu x1": 1,
        THIRD: 2,
    }
    assert best[THIRD].p_holm == pytest.approx(2 * best[THIRD].p)


def test_a_pair_of_one_run_has_the_true_ratio_in_its_interval_as_often_as_it_says() -> None:
    hits = total = 0
    for seed in range(12):
        for entry, made in judge_run(make_run(example_records(seed=seed))).rows.items():
            if entry.startswith("forward") and not made.twin:
                total += 1
                truth = {"numpy-inplace": 0.77, "torch-rnn": 3.65, "torch-cell": 4.31, "torch-autograd": 3.58}
                truth |= {"torch-inplace": 1.71}
                hits += made.low <= truth[made.arm.variant] <= made.high
    assert hits / total >= 0.88


def test_an_empty_run_is_all_missing_and_no_error() -> None:
    plan = example_plan()
    judgement = judge_run(make_run([plan]))
    assert words(judgement) == {"MISSING"}
    assert set(judgement.rows) == {e.id for group in plan.groups for e in group.entries if e.baseline}


def test_a_declared_pair_with_another_baseline_than_the_rows_is_not_the_row() -> None:
    plan = example_plan()
    pair = Pair("best", RIVAL, THIRD)
    run = make_run([replace(plan, pairs=[pair]), *example_records()[1:]])
    made = next(made for made in judge_run(run).headlines if (made.entry, made.baseline) == (RIVAL, THIRD))
    assert made.ratio == pytest.approx(77 / 365, rel=0.03)
    assert isinstance(run.entries[RIVAL], Entry)


def test_outliers_are_counted_not_removed() -> None:
    assert count_outliers([1.0, 1.01, 1.02, 1.03, 9.0]) == 1
    assert count_outliers([1.0, 1.01, 1.02, 1.03, 1.04]) == 0
    assert count_outliers([1.0, 1.01, 1.02, 1.03, 1.061]) == 1  # the mark is 1.03 + 1.5 * 0.02
    assert count_outliers([1.0, 1.01, 1.02, 1.03, 1.059]) == 0
    assert count_outliers([1.0, 50.0, 100.0]) == 0
    run = edited(lambda b: replace(b, elapsed_ns=[10**7] * (len(b.rounds) - 1) + [10**12]))
    found = outcomes(run)[RIVAL]
    assert (found.outliers, found.values) == (10, 10 * LEAST_ROUNDS)


def test_a_run_that_was_cut_off_early_says_how_many_blocks_a_verdict_needs() -> None:
    for blocks in (3, 5):
        short = small_run({TWIN: [1.0] * blocks, RIVAL: around(2.0)[: blocks + 1]})  # cut within a block
        assert judge_run(short).control.failure == f"{blocks} of the 6 blocks that the shortest verdict needs"
