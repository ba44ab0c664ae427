"""Where the time of a call goes: shares, lower bounds, prices, in runs with exact numbers."""

from collections.abc import Callable

import limit_runs
import pytest
from limit_runs import BATCHED, BLOCKS, CALL_NS, CELL, INPLACE, PASS_A_NS, PRODUCT_FLOPS_A_NS
from reports import write_run

from bench.analysis.summary import summarise
from bench.analysis.time_split import KINDS, Limit, Limits, Prices, difference, limits
from bench.machine.errors import UserError
from bench.records.journal import load_run
from bench.records.record import Arm, Primitive, Rates
from bench.records.run import Run
from bench.workload import rnn
from bench.workload.catalog import counted
from bench.workload.cell import CELLS
from bench.workload.operations import Kernel, Operation, each, nn, nt, tn
from bench.workload.rnn import RNN


def taken_apart(run: Run) -> Limits:
    apart = limits(summarise(run))
    return apart


def limit_of(run: Run, arm: str) -> Limit:
    return next(limit for limit in taken_apart(run).entries if limit.arm.id == arm)


def shares(limit: Limit) -> dict[str, float]:
    return {kind: part.share.estimate for kind, part in limit.parts.items()}


def priced(limit: Limit) -> tuple[float, float]:
    """What the products and the passes of an entry cost beyond being called, worked out from its formula."""
    count = counted(limit.arm.spec, limit.entry.case)
    products = [op for op in count.operations if op.kernel.is_product]
    passes = [op for op in count.operations if not op.kernel.is_product]
    return (
        sum((op.flops - 2 * op.times) / PRODUCT_FLOPS_A_NS for op in products),
        sum((op.flops - op.times) / PASS_A_NS for op in passes),
    )


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("arm", [BATCHED, CELL, INPLACE])
def test_the_parts_of_an_entry_are_exact_and_make_up_its_time(arm, cell):
    time_us = limit_runs.TIMES_US[arm] * (1 if cell == "rnn" else 10)  # gates are work
    run = limit_runs.run(limit_runs.plan(cell=cell), times={arm: [time_us] * BLOCKS})
    limit, time_ns, dispatch = limit_of(run, arm), 1000 * time_us, 1000 * limit_runs.ALONE_US[arm]
    products, passes = priced(limit)
    assert tuple(limit.parts) == KINDS
    assert limit.time_ns == time_ns
    expected = [dispatch, products, passes, time_ns - dispatch - products - passes]
    assert [part.time_ns for part in limit.parts.values()] == pytest.approx(expected, rel=1e-3)
    assert sum(shares(limit).values()) == pytest.approx(1)
    assert limit.overlaps == ()
    assert min(expected) > 0
    assert 0 < limit.bound.time_ns < time_ns


def test_a_price_that_counts_the_call_again_is_noticed(monkeypatch):
    """Dispatch counted twice: once as itself, once within the price of every operation."""
    right = limit_of(limit_runs.run(), BATCHED)
    twice = lambda self, one: one.times * CALL_NS + one.flops / PRODUCT_FLOPS_A_NS  # noqa: E731
    monkeypatch.setattr(Prices, "extra_ns", twice)
    wrong = limit_of(limit_runs.run(), BATCHED)
    assert shares(wrong)["products"] > shares(right)["products"] + 0.05
    assert shares(wrong)["products"] * 1e5 != pytest.approx(priced(right)[0], rel=0.05)


def test_a_formula_with_one_product_less_moves_the_share(monkeypatch):
    right = limit_of(limit_runs.run(), BATCHED)
    product, honest = nn(128, 32, 32), rnn.numpy_batched
    without = lambda case: [one for one in honest(case) if one.kernel != product.kernel]  # noqa: E731
    monkeypatch.setattr(rnn, "numpy_batched", without)
    wrong = limit_of(limit_runs.run(), BATCHED)
    missing = 6 * (product.flops - 2) / PRODUCT_FLOPS_A_NS
    assert (shares(right)["products"] - shares(wrong)["products"]) * 1e5 == pytest.approx(missing, rel=1e-3)


def test_a_share_is_the_median_over_blocks_and_taken_within_a_block():
    alone = [20.0, 22.0, 24.0, 26.0, 28.0, 34.0, 40.0]
    part = limit_of(limit_runs.run(alone={BATCHED: alone}), BATCHED).parts["dispatch"]
    assert (part.share.estimate, *part.share.limits) == pytest.approx((0.26, 0.20, 0.40))
    assert part.time_ns == pytest.approx(26_000)
    few = limit_of(limit_runs.run(alone={BATCHED: alone}, blocks=3), BATCHED).parts["dispatch"]
    assert (few.share.estimate, *few.share.limits) == (pytest.approx(0.22), None, None)
    drift = [1.0, 3.0, 1.0, 1.0, 3.0, 1.0, 1.0]  # of the whole machine: no share changes
    slow = limit_runs.run(times={BATCHED: [100 * d for d in drift]}, alone={BATCHED: [40 * d for d in drift]})
    share = limit_of(slow, BATCHED).parts["dispatch"].share
    assert (share.low, share.high) == pytest.approx((0.4, 0.4))


def test_parts_that_exceed_the_whole_are_scaled_to_it_and_that_is_told():
    limit = limit_of(limit_runs.run(times={CELL: [300.0] * BLOCKS}), CELL)
    sum_ns = 336_000 + sum(priced(limit))
    assert limit.overlaps == pytest.approx([sum_ns / 300_000 - 1] * BLOCKS, rel=1e-3)
    assert limit.blocks == BLOCKS
    assert shares(limit)["dispatch"] == pytest.approx(336_000 / sum_ns, rel=1e-3)
    assert shares(limit)["rest"] == 0
    assert sum(shares(limit).values()) == pytest.approx(1)
    assert min(shares(limit).values()) >= 0


def test_block_0_says_nothing():
    def slow_at_first(rates: Rates) -> Rates:
        slow = [limit_runs.replace(one, n_calls=1) for one in rates.primitives]  # a thousand times slower
        return rates if rates.block else limit_runs.replace(rates, primitives=slow)

    calls = taken_apart(limit_runs.with_rates(limit_runs.run(), slow_at_first)).libraries[0].call_ns
    assert (calls.estimate, *calls.limits) == (CALL_NS,) * 3
    only_block_0 = limit_runs.with_rates(limit_runs.run(), lambda rates: None if rates.block else rates)
    assert list(limit_of(only_block_0, CELL).parts) == ["dispatch", "rest"]
    assert taken_apart(only_block_0).libraries == ()


def slower(factor: int, where: Callable[[Kernel, Arm], bool]) -> Run:
    """A run in which some operations take so many times as long."""
    return limit_runs.run(
        priced=lambda kernel, arm: limit_runs.price(kernel, arm) * (factor if where(kernel, arm) else 1)
    )


def test_the_lower_bound_is_the_needed_work_at_the_best_rates_of_the_entrys_own_library():
    limit = limit_of(limit_runs.run(), CELL)
    work = RNN.count_needed(limit.entry.case)
    peak = 2 * 512**3 / (CALL_NS + 2 * 512**3 / PRODUCT_FLOPS_A_NS)
    tanh = (1 << 20) / (CALL_NS + (1 << 20) / PASS_A_NS)
    expected = work.product_flops / peak + work.activations / tanh
    assert (limit.bound.time_ns, limit.bound.by) == (pytest.approx(expected, rel=1e-3), "arithmetic")
    assert limit.bound.efficiency.estimate == pytest.approx(expected / 400_000, rel=1e-3)

    slow_torch = slower(3, lambda kernel, arm: arm.library == "torch")
    own, other = limit_of(slow_torch, CELL).bound, limit_of(slow_torch, BATCHED).bound
    assert own.time_ns == pytest.approx(3 * other.time_ns, rel=1e-3)


def test_where_moving_the_bytes_takes_longer_that_is_the_lower_bound():
    limit = limit_of(slower(1000, lambda kernel, arm: kernel.name == "copy"), CELL)
    copied = RNN.bytes_needed(limit.entry.case) / limit_runs.BYTES_A_NS
    assert (limit.bound.time_ns, limit.bound.by) == (pytest.approx(1000 * copied, rel=1e-3), "memory")


def test_the_difference_of_two_entries_is_split_into_their_parts():
    run = limit_runs.run()
    parts = difference(limit_of(run, CELL), limit_of(run, BATCHED))
    assert (parts["dispatch"], sum(parts.values())) == pytest.approx((296_000, 300_000))


def test_what_has_no_formula_or_a_product_without_a_price_has_dispatch_and_everything_else(monkeypatch):
    def lacking(rates: Rates) -> Rates:
        kept = [one for one in rates.primitives if one.kernel.size != (128, 32, 32)]
        return limit_runs.replace(rates, primitives=kept)

    unpriced = limit_of(limit_runs.with_rates(limit_runs.run(), lacking), BATCHED)
    assert list(unpriced.parts) == ["dispatch", "rest"]
    limit_runs.without_formula(monkeypatch, "torch-cell")
    limit = limit_of(limit_runs.run(), CELL)
    assert shares(limit) == pytest.approx({"dispatch": 0.84, "rest": 0.16})
    assert limit.count is None
    assert limit.bound is not None
    assert difference(limit, limit_of(limit_runs.run(), BATCHED)) is None


@pytest.mark.parametrize(("cell", "parts"), [("gru", KINDS), ("lstm", ("dispatch", "rest"))])
def test_nn_lstm_is_one_call_of_a_library_and_has_dispatch_and_everything_else(cell, parts):
    limit = limit_of(limit_runs.run(limit_runs.plan("torch-layer", cell=cell)), "torch-layer@cpu x1")
    assert tuple(limit.parts) == parts
    assert limit.bound is not None


def test_several_threads_have_times_and_nothing_more_twins_nothing_quick_runs_no_limits():
    run = limit_runs.run(limit_runs.plan("torch-cell", threads=(1, 2)))
    several = [limit for limit in taken_apart(run).entries if limit.arm.threads == 2]
    assert {limit.arm.variant for limit in several} == {"numpy-batched", "torch-cell"}
    for limit in several:
        assert (limit.parts, limit.bound) == ({}, None)
        assert limit.count is not None
        assert limit.time_ns > 0
    assert [limit.arm.id for limit in taken_apart(limit_runs.run()).entries] == [BATCHED, CELL, INPLACE]
    assert limits(summarise(limit_runs.run(limit_runs.plan("numpy-inplace", quick=True)))) is None


def test_a_probe_that_failed_is_told():
    run = limit_runs.with_rates(
        limit_runs.run(),
        lambda rates: (
            limit_runs.without_primitives(rates) if rates.arm == CELL and rates.block > 4 else rates
        ),
    )
    assert taken_apart(run).troubles == {(CELL, "no memory"): [5, 6, 7]}
    assert limit_of(run, CELL).parts["products"].share.limits == (None, None)  # 4 blocks are left


def test_what_the_libraries_can_do_by_themselves():
    numpy, torch = taken_apart(limit_runs.run()).libraries
    assert (numpy.arm.id, torch.arm.id) == (BATCHED, CELL)
    assert numpy.call_ns.estimate == pytest.approx(CALL_NS, rel=1e-3)
    rates = {kernel: rate.estimate for kernel, rate in numpy.rates.items()}
    assert max(rates, key=lambda kernel: rates[kernel] * kernel.is_product).size == (512, 512, 512)
    flops = 2 * 128 * 6 * 32
    (small,) = (rate for kernel, rate in rates.items() if kernel.size == (128, 6, 32))
    assert small == pytest.approx(flops / (CALL_NS + flops / 250), rel=1e-3)
    assert (1, 1, 1) not in {kernel.size for kernel in rates}
    (copied,) = (rate for kernel, rate in rates.items() if kernel.name == "copy")
    assert copied == pytest.approx(limit_runs.BYTES_A_NS, rel=0.01)


@pytest.mark.parametrize(
    ("name", "size"), [("product", (2, 3)), ("product", ()), ("tanh", ()), ("add", (1, 2))]
)
def test_a_basic_operation_of_no_size_is_refused(tmp_path, name, size):
    whole = limit_runs.run()
    rates = limit_runs.replace(whole.rates[-1], primitives=[Primitive(Kernel(name, size), 1, [7])])
    with pytest.raises(UserError, match="is no size of its basic operation"):
        load_run(write_run(tmp_path, [whole.plan, rates]))


def prices_of(ns: dict[Kernel, float]) -> Prices:
    timed = [limit_runs.primitive(kernel, each_ns) for kernel, each_ns in ns.items()]
    return Prices(Rates(1, BATCHED, limit_runs.plan().probes[0].case, timed))


def product(*size: int, **form: object) -> Kernel:
    return Kernel("product", size, **form)


@pytest.mark.parametrize(
    ("n", "extra"),
    [(1, 0), (100, 50), (50, 50 * 49 / 99), (300, 50 + 100 * 200 / 400), (500, 150), (5000, 1500)],
)
def test_a_pass_costs_what_lies_between_the_sizes_that_were_timed(n, extra):
    own = prices_of({Kernel("add", (1,)): 400, Kernel("add", (100,)): 450, Kernel("add", (500,)): 550})
    assert own.extra_ns(each("add", n, times=3)) == pytest.approx(3 * extra)


def test_a_form_that_was_not_timed_has_the_price_of_a_plainer_one_and_none_is_below_0():
    own = prices_of({
        product(1, 1, 1): 100, product(2, 3, 4): 150, product(1, 1, 1, stored="NT"): 100,
        product(2, 3, 4, stored="NT"): 190, Kernel("tanh", (1,)): 10, Kernel("tanh", (4,)): 50,
        Kernel("add", (1,)): 400, Kernel("add", (9,)): 390, product(1, 2, 1): 70,
    })  # fmt: skip
    for operation, extra_ns in (
        (nt(2, 3, 4), 90),
        (Operation(product(2, 3, 4, stored="NT", into=True)), 90),
        (tn(2, 3, 4), 50),
        (Operation(Kernel("tanh", (4,), into=True)), 40),
        (nn(2, 3, 5), None),
        (each("exp", 4), None),
        (each("add", 9), 0),  # measured quicker than on one number
        (nn(1, 2, 1), 0),
    ):
        assert own.extra_ns(operation) == extra_ns


def test_the_best_rate_is_that_of_any_size_and_form():
    forms = {product(1, 1, 1): 100, product(2, 3, 4, stored="TN", into=True): 12, Kernel("tanh", (8,)): 2}
    own = prices_of(forms)
    assert own.best(("product",)) == own.best(("tanh", "exp")) == pytest.approx(4)
    assert own.best(("exp",)) is None
