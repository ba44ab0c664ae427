"""How fast a library is by itself: what its probe timed in each block, and what follows from that.

Below, t(op, size) is the time of a call. What an operation costs beyond being called is ::

    extra(op, size) = t(op, size) - t(op, 1)

for a product of the size itself, for a pass linear between the sizes that were timed, and beyond the largest
in proportion to the elements. An operation whose form was not timed has the price of the plain one.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from bench.analysis.operations import INTO, ITEMSIZE, PRODUCT, TRANSCENDENTAL, Operation, flops, plain
from bench.analysis.statistics import median_interval
from bench.records.record import Arm, Probe, Rates
from bench.records.run import Run
from bench.workload.case import Case

Size = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A median over blocks; the limits are order statistics, None with fewer than 6 blocks."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Speed:
    """One operation: ``rate`` is flops, elements or bytes a nanosecond."""

    name: str
    size: Size
    rate: Estimate


@dataclass(frozen=True, slots=True)
class Library:
    """What the probe of one arm found over the counted blocks."""

    arm: Arm
    case: Case  # whose sizes these are
    call_ns: Estimate | None  # of a call that has nothing to do
    products: tuple[Speed, ...]  # GFLOP/s, those of 1 x 1 left out
    activations: tuple[Speed, ...]  # 10^9 elements a second, those of 1 element left out
    copy: Speed | None  # GB/s, read and written, of the largest copy

    @property
    def peak(self) -> Speed | None:
        """The product with the best rate."""
        return max(self.products, key=lambda speed: speed.rate.value, default=None)


class Prices:
    """What the operations of a library took in one block, in nanoseconds a call."""

    def __init__(self, rates: Rates) -> None:
        self.ns: dict[str, dict[Size, float]] = {}
        for one in rates.primitives:
            self.ns.setdefault(one.name, {})[tuple(one.size)] = median(one.elapsed_ns) / one.n_calls

    def extra_ns(self, operation: Operation) -> float | None:
        """What an operation costs beyond being called, all times together; None where that is not known."""
        for form in _forms(operation.name):
            known = self.ns.get(form, {})
            smallest = known.get((1,) * len(operation.size))
            if smallest is None or len(known) < 2:
                continue
            if not operation.is_product:
                return operation.times * _between(known, operation.size[0])
            if operation.size in known:
                return operation.times * max(0.0, known[operation.size] - smallest)
        return None

    def best(self, kinds: Sequence[str]) -> float | None:
        """The best rate at any size among operations of these kinds: flops a nanosecond."""
        rates = [
            flops(name, size) / ns
            for name, by_size in self.ns.items()
            if plain(name) in kinds
            for size, ns in by_size.items()
        ]
        return max(rates, default=None)


def prices(run: Run) -> dict[tuple[str, str], dict[int, Prices]]:
    """By library and device, then by counted block."""
    arms, made = run.arms, dict[tuple[str, str], dict[int, Prices]]()
    for rates in run.rates:
        if rates.block >= 1 and rates.primitives:
            arm = arms[rates.arm]
            made.setdefault((arm.library, arm.device), {})[rates.block] = Prices(rates)
    return made


def libraries(run: Run) -> tuple[Library, ...]:
    """One for each probe that has values, in the plan's order."""
    by_place = prices(run)
    made = []
    for probe in run.plan.probes:
        arm = run.arms[probe.arm]
        if blocks := by_place.get((arm.library, arm.device)):
            made.append(_library(arm, probe, list(blocks.values())))
    return tuple(made)


def estimate(values: Iterable[float]) -> Estimate:
    """The median of some blocks' values, and its 95 % interval."""
    found = median_interval(list(values))
    return Estimate(found.estimate, *((found.low, found.high) if found.finite else (None, None)))


def _library(arm: Arm, probe: Probe, blocks: Sequence[Prices]) -> Library:
    times: dict[tuple[str, Size], list[float]] = {}
    for block in blocks:
        for name, by_size in block.ns.items():
            for size, ns in by_size.items():
                times.setdefault((name, size), []).append(ns)

    def speeds(kinds: Sequence[str], work: Callable[[str, Size], int]) -> tuple[Speed, ...]:
        """Those of a kind at more than one number: work a nanosecond."""
        return tuple(
            Speed(name, size, estimate(work(name, size) / one for one in ns))
            for (name, size), ns in times.items()
            if plain(name) in kinds and set(size) - {1}
        )

    itemsize = ITEMSIZE[probe.case.dtype]
    copies = speeds(("copy",), lambda name, size: 2 * itemsize * size[0])
    calls = [estimate(ns) for (name, _), ns in times.items() if name == "call"]
    return Library(
        arm=arm,
        case=probe.case,
        call_ns=calls[0] if calls else None,
        products=speeds((PRODUCT,), flops),
        activations=speeds(TRANSCENDENTAL, flops),
        copy=max(copies, key=lambda one: one.size, default=None),
    )


def _forms(name: str) -> dict[str, None]:
    """The name, then plainer ones."""
    return dict.fromkeys((name, name.removesuffix(INTO), plain(name)))


def _between(known: dict[Size, float], n: int) -> float:
    """What a pass over n elements costs beyond one over 1 element."""
    sizes = sorted(size[0] for size in known if size[0] >= 1)
    extras = [max(0.0, known[(size,)] - known[(1,)]) for size in sizes]
    if n > sizes[-1]:
        return extras[-1] * n / sizes[-1]
    return float(np.interp(n, sizes, extras))
