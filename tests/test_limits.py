"""Where the time of a call goes: shares, lower bounds, prices, in runs with exact numbers."""

from pathlib import Path

import limit_runs
import pytest
from limit_runs import BATCHED, BLOCKS, CALL_NS, CELL, INPLACE, PASS_A_NS, PRODUCT_FLOPS_A_NS
from reports import write_run

from bench.analysis.outcome import outcomes
from bench.analysis.time_split import Limit, Limits, Prices, difference, limits
from bench.machine.errors import UserError
from bench.records.journal import load_run
from bench.records.record import Primitive, Rates
from bench.records.run import Run
from bench.workload import rnn_operations
from bench.workload.catalog import counted
from bench.workload.operations import Kernel, Operation, Stored, each, nn, nt, tn
from bench.workload.rnn import RNN

KINDS = ["dispatch", "products", "elementwise", "rest"]


def taken_apart(run: Run) -> Limits:
    made = limits(run, outcomes(run))
    assert made is not None
    return made


def limit_of(run: Run, arm: str) -> Limit:
    return next(limit for limit in taken_apart(run).entries if limit.arm.id == arm)


def shares(limit: Limit) -> dict[str, float]:
    return {part.kind: part.share.estimate for part in limit.parts}


def priced(limit: Limit) -> tuple[float, float]:
    """What the products and the passes of an entry cost beyond being called, worked out from its formula."""
    count = counted(limit.arm.spec, limit.entry.case)
    assert count is not None
    one = 2 / PRODUCT_FLOPS_A_NS  # flops of a product of 1 x 1
    products = [op for op in count.operations if op.kernel.is_product]
    passes = [op for op in count.operations if not op.kernel.is_product]
    return (
        sum(op.flops / PRODUCT_FLOPS_A_NS - op.times * one for op in products),
        sum((op.flops - op.times) / PASS_A_NS for op in passes),
    )


@pytest.mark.parametrize("arm", [BATCHED, CELL, INPLACE])
def test_the_parts_of_an_entry_are_exact_and_make_up_its_time(arm: str) -> None:
    limit = limit_of(limit_runs.run(), arm)
    time_ns, dispatch = 1000 * limit_runs.TIMES_US[arm], 1000 * limit_runs.ALONE_US[arm]
    products, passes = priced(limit)

    assert [part.kind for part in limit.parts] == KINDS
    assert limit.time_ns == time_ns
    expected = [dispatch, products, passes, time_ns - dispatch - products - passes]
    assert [part.time_ns for part in limit.parts] == pytest.approx(expected, rel=1e-3)
    assert sum(shares(limit).values()) == pytest.approx(1)
    assert limit.overlaps == ()
    assert min(expected) > 0


def test_dispatch_is_what_the_same_calls_take_on_arrays_of_one_number() -> None:
    limit = limit_of(limit_runs.run(), CELL)
    assert shares(limit)["dispatch"] == pytest.approx(0.84)
    assert limit.largest == limit.part("dispatch")


def test_a_price_that_counts_the_call_again_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dispatch counted twice: once as itself, once within the price of every operation."""
    right = limit_of(limit_runs.run(), BATCHED)
    assert right.count is not None
    monkeypatch.setattr(
        Prices,
        "extra_ns",
        lambda self, one: one.times * (CALL_NS + one.flops / one.times / PRODUCT_FLOPS_A_NS),
    )
    wrong = limit_of(limit_runs.run(), BATCHED)
    assert shares(wrong)["products"] > shares(right)["products"] + 0.05
    assert shares(wrong)["products"] * 1e5 != pytest.approx(priced(right)[0], rel=0.05)


def test_a_formula_with_one_product_less_moves_the_share(monkeypatch: pytest.MonkeyPatch) -> None:
    right = limit_of(limit_runs.run(), BATCHED)
    product = nn(128, 32, 32)
    honest = rnn_operations.numpy_batched
    monkeypatch.setattr(
        rnn_operations,
        "numpy_batched",
        lambda case: [one for one in honest(case) if one.kernel != product.kernel],
    )
    wrong = limit_of(limit_runs.run(), BATCHED)
    missing = 6 * (product.flops - 2) / PRODUCT_FLOPS_A_NS
    assert (shares(right)["products"] - shares(wrong)["products"]) * 1e5 == pytest.approx(missing, rel=1e-3)


def test_shares_are_medians_over_blocks_with_their_interval() -> None:
    alone = [20.0, 22.0, 24.0, 26.0, 28.0, 34.0, 40.0]
    part = limit_of(limit_runs.run(alone={BATCHED: alone}), BATCHED).parts[0]
    assert (part.share.estimate, *part.share.limits) == pytest.approx((0.26, 0.20, 0.40))
    assert part.time_ns == pytest.approx(26_000)

    few = limit_of(limit_runs.run(alone={BATCHED: alone}, blocks=3), BATCHED).parts[0]
    assert (few.share.estimate, *few.share.limits) == (pytest.approx(0.22), None, None)


def test_a_share_is_taken_within_a_block() -> None:
    """The whole machine was three times slower in two blocks: no share changes."""
    drift = [1.0, 3.0, 1.0, 1.0, 3.0, 1.0, 1.0]
    slow = limit_runs.run(times={BATCHED: [100 * d for d in drift]}, alone={BATCHED: [40 * d for d in drift]})
    part = limit_of(slow, BATCHED).parts[0]
    assert (part.share.low, part.share.high) == pytest.approx((0.4, 0.4))


def test_parts_that_exceed_the_whole_are_scaled_to_it_and_that_is_told() -> None:
    limit = limit_of(limit_runs.run(times={CELL: [300.0] * BLOCKS}), CELL)
    products, passes = priced(limit)
    sum_ns = 336_000 + products + passes
    assert limit.overlaps == pytest.approx([sum_ns / 300_000 - 1] * BLOCKS, rel=1e-3)
    assert limit.blocks == BLOCKS
    assert shares(limit)["dispatch"] == pytest.approx(336_000 / sum_ns, rel=1e-3)
    assert shares(limit)["rest"] == 0
    assert sum(shares(limit).values()) == pytest.approx(1)
    assert all(part.share.estimate >= 0 for part in limit.parts)


def test_block_0_says_nothing() -> None:
    def slow_at_first(rates: Rates) -> Rates:
        slow = [limit_runs.replace(one, n_calls=1) for one in rates.primitives]  # a thousand times slower
        return rates if rates.block else limit_runs.replace(rates, primitives=slow)

    made = taken_apart(limit_runs.with_rates(limit_runs.run(), slow_at_first))
    calls = made.libraries[0].call_ns
    assert (calls.estimate, *calls.limits) == (CALL_NS,) * 3
    only_block_0 = limit_runs.with_rates(limit_runs.run(), lambda rates: None if rates.block else rates)
    assert [part.kind for part in limit_of(only_block_0, CELL).parts] == ["dispatch", "rest"]
    assert taken_apart(only_block_0).libraries == ()


def test_the_lower_bound_is_the_needed_work_at_the_librarys_best_rates() -> None:
    limit = limit_of(limit_runs.run(), CELL)
    work = RNN.count_needed(limit.entry.case)
    peak = 2 * 512**3 / (CALL_NS + 2 * 512**3 / PRODUCT_FLOPS_A_NS)
    tanh = (1 << 20) / (CALL_NS + (1 << 20) / PASS_A_NS)
    expected = work.product_flops / peak + work.activations / tanh
    assert limit.bound is not None
    assert limit.bound.time_ns == pytest.approx(expected, rel=1e-3)
    assert limit.bound.by == "arithmetic"
    assert limit.bound.efficiency.estimate == pytest.approx(expected / 400_000, rel=1e-3)


def test_where_moving_the_bytes_takes_longer_that_is_the_lower_bound() -> None:
    def slow_memory(kernel, arm):
        return limit_runs.price(kernel, arm) * (1000 if kernel.name == "copy" else 1)

    limit = limit_of(limit_runs.run(priced=slow_memory), CELL)
    assert limit.bound is not None
    assert limit.bound.by == "memory"
    copied = RNN.bytes_needed(limit.entry.case) / limit_runs.BYTES_A_NS
    assert limit.bound.time_ns == pytest.approx(1000 * copied, rel=1e-3)


def test_each_entry_is_measured_against_its_own_library() -> None:
    def slow_torch(kernel, arm):
        return limit_runs.price(kernel, arm) * (3 if arm.library == "torch" else 1)

    run = limit_runs.run(priced=slow_torch)
    bounds = {limit.arm.id: limit.bound for limit in taken_apart(run).entries}
    assert bounds[CELL].time_ns == pytest.approx(3 * bounds[BATCHED].time_ns, rel=1e-3)


def test_the_difference_of_two_entries_is_split_into_their_parts() -> None:
    run = limit_runs.run()
    cell, batched = limit_of(run, CELL), limit_of(run, BATCHED)
    made = difference(cell, batched)
    assert made is not None
    assert made.time_ns == pytest.approx(300_000)
    assert made.parts["dispatch"] == pytest.approx(296_000)
    assert sum(made.parts.values()) == pytest.approx(300_000)


def test_a_variant_without_a_formula_has_dispatch_and_everything_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limit_runs.without_formula(monkeypatch, "torch-cell")
    limit = limit_of(limit_runs.run(), CELL)
    assert {kind: round(share, 3) for kind, share in shares(limit).items()} == {
        "dispatch": 0.84,
        "rest": 0.16,
    }
    assert limit.count is None
    assert limit.bound is not None
    assert difference(limit, limit_of(limit_runs.run(), BATCHED)) is None


def test_a_product_whose_size_was_not_timed_has_no_price() -> None:
    def lacking(rates: Rates) -> Rates:
        kept = [one for one in rates.primitives if one.kernel.size != (128, 32, 32)]
        return limit_runs.replace(rates, primitives=kept)

    limit = limit_of(limit_runs.with_rates(limit_runs.run(), lacking), BATCHED)
    assert [part.kind for part in limit.parts] == ["dispatch", "rest"]


def test_entries_with_several_threads_have_times_and_nothing_more() -> None:
    run = limit_runs.run(limit_runs.plan("torch-cell", threads=(1, 2), all_threads=2))
    several = [limit for limit in taken_apart(run).entries if limit.arm.threads == 2]
    assert {limit.arm.variant for limit in several} == {"numpy-batched", "torch-cell"}
    for limit in several:
        assert (limit.parts, limit.bound, limit.largest) == ((), None, None)
        assert limit.count is not None
        assert limit.time_ns > 0


def test_the_twin_is_not_taken_apart() -> None:
    assert [limit.arm.id for limit in taken_apart(limit_runs.run()).entries] == [BATCHED, CELL, INPLACE]


def test_runs_that_measure_no_dispatch_have_no_limits() -> None:
    run = limit_runs.run(limit_runs.plan("numpy-inplace", quick=True))
    assert limits(run, outcomes(run)) is None


def test_a_probe_that_failed_is_told() -> None:
    run = limit_runs.with_rates(
        limit_runs.run(),
        lambda rates: (
            limit_runs.without_primitives(rates) if rates.arm == CELL and rates.block > 4 else rates
        ),
    )
    made = taken_apart(run)
    assert made.troubles == ((CELL, "no memory", (5, 6, 7)),)
    assert limit_of(run, CELL).parts[1].share.limits == (None, None)  # 4 blocks are left


def test_what_the_libraries_can_do_by_themselves() -> None:
    numpy, torch = taken_apart(limit_runs.run()).libraries
    assert (numpy.arm.id, torch.arm.id) == (BATCHED, CELL)
    assert numpy.call_ns is not None
    assert numpy.call_ns.estimate == pytest.approx(CALL_NS, rel=1e-3)
    best = max(numpy.products, key=lambda speed: speed.rate.estimate)
    assert best.kernel.size == (512, 512, 512)
    assert best.rate.estimate == pytest.approx(250, rel=0.01)
    small = next(one for one in numpy.products if one.kernel.size == (128, 6, 32))
    assert small.rate.estimate == pytest.approx(
        2 * 128 * 6 * 32 / (CALL_NS + 2 * 128 * 6 * 32 / 250), rel=1e-3
    )
    assert (1, 1, 1) not in {one.kernel.size for one in numpy.products}
    assert numpy.copy is not None
    assert numpy.copy.rate.estimate == pytest.approx(limit_runs.BYTES_A_NS, rel=0.01)


@pytest.mark.parametrize(
    ("name", "size"), [("product", (2, 3)), ("product", ()), ("tanh", ()), ("add", (1, 2))]
)
def test_a_basic_operation_of_no_size_is_refused(tmp_path: Path, name: str, size: tuple[int, ...]) -> None:
    made = limit_runs.run()
    rates = limit_runs.replace(made.rates[-1], primitives=[Primitive(Kernel(name, size), 1, [7])])
    with pytest.raises(UserError, match="is no size of its basic operation"):
        load_run(write_run(tmp_path, [made.plan, rates]))


def prices_of(ns: dict[Kernel, float]) -> Prices:
    timed = [limit_runs.primitive(kernel, each_ns) for kernel, each_ns in ns.items()]
    return Prices(Rates(1, BATCHED, limit_runs.plan().probes[0].case, timed))


def product(*size: int, stored: Stored = "NN", into: bool = False) -> Kernel:
    return Kernel("product", size, stored, into)


@pytest.mark.parametrize(
    ("n", "extra"),
    [(1, 0), (100, 50), (50, 50 * 49 / 99), (300, 50 + 100 * 200 / 400), (500, 150), (5000, 1500)],
)
def test_a_pass_costs_what_lies_between_the_sizes_that_were_timed(n: int, extra: float) -> None:
    own = prices_of({Kernel("add", (1,)): 400, Kernel("add", (100,)): 450, Kernel("add", (500,)): 550})
    assert own.extra_ns(each("add", n, times=3)) == pytest.approx(3 * extra)


def test_a_form_that_was_not_timed_has_the_price_of_a_plainer_one() -> None:
    own = prices_of({
        product(1, 1, 1): 100, product(2, 3, 4): 150, product(1, 1, 1, stored="NT"): 100,
        product(2, 3, 4, stored="NT"): 190, Kernel("tanh", (1,)): 10, Kernel("tanh", (4,)): 50,
    })  # fmt: skip
    assert own.extra_ns(nt(2, 3, 4)) == 90
    assert own.extra_ns(Operation(product(2, 3, 4, stored="NT", into=True))) == 90
    assert own.extra_ns(tn(2, 3, 4)) == 50
    assert own.extra_ns(Operation(Kernel("tanh", (4,), into=True))) == 40
    assert own.extra_ns(nn(2, 3, 5)) is None
    assert own.extra_ns(each("exp", 4)) is None


def test_an_operation_that_measured_quicker_than_on_one_number_costs_nothing() -> None:
    own = prices_of({
        Kernel("add", (1,)): 400, Kernel("add", (9,)): 390, product(1, 1, 1): 80, product(1, 2, 1): 70,
    })  # fmt: skip
    assert own.extra_ns(each("add", 9)) == 0
    assert own.extra_ns(nn(1, 2, 1)) == 0


def test_the_best_rate_is_that_of_any_size_and_form() -> None:
    own = prices_of(
        {product(1, 1, 1): 100, product(2, 3, 4, stored="TN", into=True): 12, Kernel("tanh", (8,)): 2}
    )
    assert own.best(("product",)) == pytest.approx(4)
    assert own.best(("tanh", "exp")) == pytest.approx(4)
    assert own.best(("exp",)) is None
