"""Every trick is noticed by the check that is there for it, and nothing honest by any."""

import math
import random
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from trial import reasons
from tricks import TRICKS, Bound, asynchronous, honest
from worlds import MS, US, World

from bench.measure.honesty import (
    deferred,
    linear,
    probe_wanted,
    round_trip,
    shortest_call_ns,
    too_fast,
    unasked,
)
from bench.measure.primitives import make_call
from bench.records.record import Primitive
from bench.workload.case import TASKS, Case, Shape, sine_case
from bench.workload.cell import CELLS, find_cell
from bench.workload.operations import Kernel
from bench.workload.rnn import RNN

SHAPE = Shape(T=3, B=4, I=3, H=5, O=2)
N_CALLS = 60  # more than the 50 of some tricks


def slowed(bind: Callable[..., Bound], world: World, call_ns: float, result_ns: float = 0) -> Any:
    """The same variant, whose calls take time on the virtual clock."""

    def bind_slowed(*arrays: Any, **options: Any) -> Bound:
        bound = bind(*arrays, **options)

        def call() -> None:
            world.spend(call_ns)
            bound.call()

        def result() -> dict[str, Any]:
            world.spend(result_ns)
            return bound.result()

        return Bound(call, bound.reset, result)

    return bind_slowed


class Postponing:
    """A pool whose threads get to their work when somebody waits for it: the latest that they can."""

    def __init__(self, threads: int) -> None:
        assert threads == 1

    def submit(self, work: Callable[[], object]) -> SimpleNamespace:
        return SimpleNamespace(result=work)


NOTICED = {  # by which check, in which tasks
    "worked out in bind": {"results": TASKS},
    "kept by content": {"linear": TASKS},
    "kept for 3 calls": {"linear": TASKS, "results": ("train_step",)},
    "worked out in result": {"deferred": TASKS, "unasked": TASKS},
    "left to a thread": {"deferred": TASKS},
    "nothing after 50 calls": {"results": TASKS},
    "nothing 50 calls after new inputs": {"linear": TASKS, "results": ("train_step",)},
    "nothing after the first call": {"results": TASKS},
}


def tried(library: str, task: str, trick: str = "") -> dict[str, str]:
    """What is said of a trick around an honest variant of 160 us a call; without one, of that variant."""
    world = World()
    bind = slowed(partial(honest, library), world, 160 * US, result_ns=5 * US)
    if trick:
        bind = partial(TRICKS[trick], bind)
        bind = partial(bind, pool=Postponing) if TRICKS[trick] is asynchronous else bind
    case = Case(task, SHAPE, "positional", "float64", data="random", delta=0.5)
    return reasons(
        slowed(bind, world, 1 * US), library, case, n_calls=N_CALLS, clock=world.clock, work_clock=world.clock
    )


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("trick", [*TRICKS, ""])
def test_a_trick_is_noticed_by_the_check_for_it_and_nothing_honest_by_any(
    library: str, task: str, trick: str
) -> None:
    pytest.importorskip(library)
    accusers = set(tried(library, task, trick))
    assert accusers >= {check for check, tasks in NOTICED.get(trick, {}).items() if task in tasks}
    assert bool(accusers) == bool(trick)


# linear, by itself


def shape_of(world: World, cost: Callable[[int, int], float]) -> tuple[Callable[[], None], ...]:
    """Call, feed and reset; ``cost`` in ns, by the number of calls since new inputs and since reset."""
    since = {"fed": 0, "reset": 0}

    def call() -> None:
        world.spend(cost(since["fed"], since["reset"]))
        since["fed"] += 1
        since["reset"] += 1

    def feed() -> None:
        since["fed"] = 0

    def reset() -> None:
        since["reset"] = 0

    return call, feed, reset


def no_wait_of_ours() -> None:
    """Another function than the clock's own: there is a device."""


def accused(world: World, *functions: Callable[[], None], n_calls: int = 300, **options: Any) -> str:
    return linear(*functions, n_calls, clock=world.clock, **options)


@pytest.mark.parametrize(
    ("cost", "told"),
    [
        (lambda fed, reset: 160 * US, ""),
        (
            lambda fed, reset: 160 * US if fed == 0 else 1.5 * US,
            "a call alone takes 160 us, one of 300 in a row 2.0 us: results are kept, not computed",
        ),
        (lambda fed, reset: (160 + 200 * (fed == 0)) * US, ""),  # caches are cold after a feed
        (lambda fed, reset: 5 * US + 20 * US * (fed == 0), ""),
        (lambda fed, reset: 160 * US if fed % 3 == 0 else 1 * US, "the next one"),
        (lambda fed, reset: 160 * US if fed < 2 else 1 * US, "one of 300 in a row 2.1 us"),
        (lambda fed, reset: 160 * US if fed < 290 else 1 * US, "2 calls take 320 us, 2 after 300 others 2.0"),
        (lambda fed, reset: 160 * US if fed == reset else 2 * US, "the same once more 600 us"),
        (lambda fed, reset: 160 * US if fed < 50 else 1 * US, "one of 300 in a row 28 us"),
        (lambda fed, reset: 30 * MS if fed < 50 else 1 * US, "though 300 make a value"),
    ],
)  # fmt: skip
def test_calls_that_stop_computing_are_noticed_with_their_figures(
    cost: Callable[[int, int], float], told: str
) -> None:
    world = World()
    reason = accused(world, *shape_of(world, cost))
    assert told in reason
    assert bool(told) == bool(reason)
    # where every value is one call, there is nothing to see
    assert accused(world, *shape_of(world, lambda fed, reset: 1 / 0), n_calls=1) == ""


@pytest.mark.parametrize(("call_ms", "calls"), [(0.01, 47), (1, 47), (10, 35), (25, 20)])
def test_slow_calls_are_made_less_often(call_ms: float, calls: int) -> None:
    world, seen = World(), []

    def cost(fed: int, reset: int) -> float:
        seen.append(fed)
        return call_ms * MS

    assert accused(world, *shape_of(world, cost), n_calls=2) == ""
    assert len(seen) == calls


def test_a_change_of_the_machine_in_the_midst_is_no_trick() -> None:
    """All calls alone were made at half the speed, a pair at the whole."""
    world, rounds = World(), []

    def cost(fed: int, reset: int) -> float:
        rounds.append(fed)
        return 320 * US if len(rounds) < 28 else 160 * US  # 2 + 8 x 3 + 1 calls, then the last pair

    assert accused(world, *shape_of(world, cost)) == ""
    assert len(rounds) == 2 * (2 + 9 * 3 + 3 * (300 + 2 + 300))  # it was looked at twice


def test_a_thousand_honest_variants_on_a_machine_full_of_noise_are_not_accused() -> None:
    found = [reason for seed in range(1000) if (reason := on_a_noisy_machine(random.Random(seed)))]
    assert found == []


def on_a_noisy_machine(rng: random.Random) -> str:
    """Heavy tails in a tenth of the calls, others that stop it for up to 10 ms, a clock rate that doubles."""
    world = World()
    call_ns, cold_ns = math.exp(rng.uniform(math.log(5 * US), math.log(2 * MS))), rng.uniform(0, 8 * US)
    phase = {"factor": 1.0, "until": 0.0}

    def cost(fed: int, reset: int) -> float:
        if world.now >= phase["until"]:
            phase["factor"] = rng.choice([1, 2])
            phase["until"] = world.now + rng.expovariate(1 / (10 * MS))
        noise = rng.paretovariate(1.2) if rng.random() < 0.1 else rng.uniform(1, 1.1)
        stopped = rng.uniform(0, 10 * MS) if rng.random() < call_ns / (50 * MS) else 0
        return phase["factor"] * (call_ns * noise + cold_ns * (fed == 0)) + stopped

    n_calls = math.ceil(5.5 * MS / call_ns)
    return accused(world, *shape_of(world, cost), n_calls=n_calls)


def on_a_device(launch: float, work: float, latency: float, *, keeps: bool = False) -> str:
    """Calls that are launched and queued; a feed is launched too."""
    world, fed = World(latency=latency), []

    def call() -> None:
        kept = keeps and not fed
        fed.clear()
        world.spend(US if kept else launch, 0 if kept else work)

    def feed() -> None:
        fed.append(True)
        world.spend(10 * US, 2 * US)

    n_calls = max(2, math.ceil(5.5 * MS / max(launch, work)))
    return accused(world, call, feed, no_wait_of_ours, n_calls=n_calls, synchronise=world.synchronise)


def test_calls_that_overlap_on_an_accelerator_are_not_accused() -> None:
    rng = random.Random(0)
    for _ in range(300):
        launch, work = (math.exp(rng.uniform(math.log(3 * US), math.log(2 * MS))) for _ in range(2))
        assert on_a_device(launch, work, rng.uniform(5 * US, 400 * US)) == ""


@pytest.mark.parametrize("work", [1 * US, 100 * US, 2 * MS])
def test_a_result_that_is_kept_on_an_accelerator_is_noticed(work: float) -> None:
    assert "results are kept" in on_a_device(150 * US, work, 20 * US, keeps=True)


# the others


@pytest.mark.parametrize(
    ("first_us", "second_us", "call_us", "told"),
    [
        (
            [165] * 5,
            [5] * 5,
            0.1,
            "result() takes 165 us, and 160 us less when asked again: work is left to it,",
        ),
        ([2] * 5, [2] * 5, 100, ""),
        ([900] * 5, [900] * 5, 30, ""),  # a copy from a device, waiting included
        ([5, 5000, 5, 9000, 5], [5] * 5, 30, ""),  # the machine was busy twice
        ([104] * 5, [5] * 5, 5, ""),
        ([500] * 5, [20] * 5, 1000, ""),
    ],
)
def test_work_left_to_result_is_told_and_copying_is_none(
    first_us: list[int], second_us: list[int], call_us: float, told: str
) -> None:
    reason = deferred([n * US for n in first_us], [n * US for n in second_us], call_us * US)
    assert told in reason
    assert bool(told) == bool(reason)


def test_a_result_without_a_call_is_told_by_its_numbers() -> None:
    inputs, last = [1.0, 2.0], dict[str, float]()
    call, now = lambda: last.update(loss=inputs[0]), lambda: {"loss": inputs[0]}
    assert unasked(call, inputs.reverse, no_wait_of_ours, lambda: last) == ""
    assert "which no call has seen" in unasked(call, inputs.reverse, no_wait_of_ours, now)
    inputs[:] = 2 * [0.0]  # whatever the inputs, the result is the same
    assert unasked(call, inputs.reverse, no_wait_of_ours, now) == ""


CASE = sine_case("gradient", "positional")  # 6 x 128 x 6 x 32 x 8
FLOPS = 2 * 128 * (2 * 6 * 6 * 32 + 3 * 5 * 32 * 32 + 3 * 32 * 8)


def test_no_call_is_quicker_than_half_of_its_products_at_the_best_rate_seen() -> None:
    primitives = [
        # 100 and 50 flops a ns, then 100
        Primitive(Kernel("product", (512, 512, 512)), 10, [2 * 512**3 // 10, 2 * 512**3 // 5]),
        Primitive(Kernel("product", (128, 32, 32), "NT", into=True), 100, [2 * 128 * 32 * 32]),
        Primitive(Kernel("tanh", (1 << 20,)), 1, [1]),  # no product
    ]
    assert RNN.count_needed(CASE).product_flops == FLOPS
    assert shortest_call_ns(CASE, primitives) == pytest.approx(FLOPS / 100, rel=1e-6)
    assert too_fast(CASE, 0.51 * FLOPS / 100, primitives) == ""
    assert too_fast(CASE, 0.49 * FLOPS / 100, primitives) == (
        "a call takes 23 us, but its matrix products 47 us at the best rate that its library has shown here: "
        "they are not computed in the call"
    )
    # where no product was timed, nothing is
    assert too_fast(CASE, 1e-9, [Primitive(Kernel("tanh", (1 << 20,)), 1, [1])]) == ""


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("layout", ["positional", "single_step"])
@pytest.mark.parametrize("cell", CELLS)
def test_a_probe_asks_for_products_that_can_be_called_and_for_each_once(
    task: str, layout: str, cell: str
) -> None:
    np = pytest.importorskip("numpy")
    case = sine_case(task, layout, batch=3, hidden=4, outputs=2, cell=cell)
    wanted = probe_wanted(case)
    assert wanted[0] == Kernel("product", (512, 512, 512))
    assert len(set(wanted)) == len(wanted)
    for kernel in wanted[1:]:
        assert make_call(np, partial(np.linspace, -1, 1), kernel)().shape == kernel.size[::2]
    gates = find_cell(cell).gates * 4
    assert wanted[-1] == Kernel("product", (gates, 3 * case.shape.T, 4), "TN")  # dL/dW of all steps


def test_a_value_longer_than_its_own_request_is_a_clock_that_lies() -> None:
    assert round_trip(5 * MS, 1 * MS, 6 * MS) == ""
    assert round_trip(5 * MS + 1, 1 * MS, 6 * MS) == (
        "its value took 5,000 us by its own clock, but the whole request 5,000 us: "
        "something is wrong with the clock of its process"
    )
