"""Where the time of a call goes, how little it could be, and how fast a library is by itself.

Per counted block, of an entry of the main table with time t ::

    dispatch     the time of the same calls on arrays of one number each, measured as an entry of its own
    products     sum over its matrix products of what they cost beyond being called
    elementwise  the same over its passes
    rest         t less these: autograd's work on arrays, copies, zeros, caches that others have filled

Each was measured by itself. Where they add up to more than t, they are scaled to t, and ``overlaps`` says by
how much they exceeded it. A share is the median over blocks.

With t(op, size), the time of a call as the library's probe took it in that block, an operation costs ::

    extra(op, size) = t(op, size) - t(op, 1)

beyond being called: a product at the size itself, a pass linear between the sizes that were timed, and
beyond the largest in proportion to the elements. An operation whose form was not timed has the price of the
plain one.

No call can be quicker than ::

    lower bound = max(needed product flops / best product rate + needed activations / best activation rate,
                      the time of a copy that moves the bytes that must be read and written)

with the best rates that the entry's own library showed at any size in that block. Efficiency is the lower
bound over t.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

import numpy as np

from bench.analysis.outcome import Outcome
from bench.analysis.statistics import Interval, median_interval
from bench.records.record import Arm, Entry, Probe, Rates
from bench.records.run import Run
from bench.workload.case import Case
from bench.workload.catalog import counted
from bench.workload.cell import house_cell
from bench.workload.operations import (
    CALL,
    COPY,
    ITEMSIZE,
    PRODUCT,
    TRANSCENDENTAL,
    Count,
    Kernel,
    Operation,
    Size,
    each,
)


@dataclass(frozen=True, slots=True)
class Speed:
    """One operation: ``rate`` is flops, elements or bytes a nanosecond."""

    kernel: Kernel
    rate: Interval


@dataclass(frozen=True, slots=True)
class LibrarySpeeds:
    """What the probe of one arm found over the counted blocks."""

    arm: Arm
    case: Case  # whose sizes these are
    call_ns: Interval | None  # of a call that has nothing to do
    products: tuple[Speed, ...]  # GFLOP/s, those of 1 x 1 left out
    activations: tuple[Speed, ...]  # 10^9 elements a second, those of 1 element left out
    copy: Speed | None  # GB/s, read and written, of the largest copy


class Prices:
    """What the operations of a library took in one block, in nanoseconds a call."""

    def __init__(self, rates: Rates) -> None:
        self.ns = {one.kernel: median(one.elapsed_ns) / one.n_calls for one in rates.primitives}
        self._by_form: dict[Kernel, dict[Size, float]] = {}
        for kernel, ns in self.ns.items():
            self._by_form.setdefault(kernel.at(), {})[kernel.size] = ns

    def extra_ns(self, operation: Operation) -> float | None:
        """Return what an operation costs beyond being called, all times together; None where unknown."""
        kernel = operation.kernel
        for form in _forms(kernel):
            known = self._by_form.get(form, {})
            smallest = known.get((1,) * len(kernel.size))
            if smallest is None or len(known) < 2:
                continue
            if not kernel.is_product:
                return operation.times * _between(known, kernel.size[0])
            if kernel.size in known:
                return operation.times * max(0.0, known[kernel.size] - smallest)
        return None

    def best(self, names: Sequence[str]) -> float | None:
        """Return the best rate of these operations at any size and in any form: flops a nanosecond."""
        return max((k.flops / ns for k, ns in self.ns.items() if k.name in names), default=None)


def prices(run: Run) -> dict[tuple[str, str], dict[int, Prices]]:
    """Return them by library and device, then by counted block."""
    by_place: dict[tuple[str, str], dict[int, Prices]] = {}
    for rates in run.rates:
        if rates.block >= 1 and rates.primitives:
            arm = run.arms[rates.arm]
            by_place.setdefault((arm.library, arm.device), {})[rates.block] = Prices(rates)
    return by_place


def libraries(run: Run) -> tuple[LibrarySpeeds, ...]:
    """Return one for each probe that has values, in the plan's order."""
    by_place = prices(run)
    probed = []
    for probe in run.plan.probes:
        arm = run.arms[probe.arm]
        if blocks := by_place.get((arm.library, arm.device)):
            probed.append(_library(arm, probe, list(blocks.values())))
    return tuple(probed)


def _library(arm: Arm, probe: Probe, blocks: Sequence[Prices]) -> LibrarySpeeds:
    times: dict[Kernel, list[float]] = {}
    for block in blocks:
        for kernel, ns in block.ns.items():
            times.setdefault(kernel, []).append(ns)

    def speeds(names: Sequence[str], work_of_flop: int = 1) -> tuple[Speed, ...]:
        """Return those of some names at more than one number: work a nanosecond."""
        return tuple(
            Speed(kernel, median_interval([work_of_flop * kernel.flops / time_ns for time_ns in ns]))
            for kernel, ns in times.items()
            if kernel.name in names and set(kernel.size) - {1}
        )

    copies = speeds((COPY,), 2 * ITEMSIZE[probe.case.dtype])  # read and written
    calls = [median_interval(ns) for kernel, ns in times.items() if kernel.name == CALL]
    return LibrarySpeeds(
        arm=arm,
        case=probe.case,
        call_ns=calls[0] if calls else None,
        products=speeds((PRODUCT,)),
        activations=speeds(TRANSCENDENTAL),
        copy=max(copies, key=lambda speed: speed.kernel.size, default=None),
    )


def _forms(kernel: Kernel) -> dict[Kernel, None]:
    """Return the form of an operation, then plainer ones."""
    return dict.fromkeys((kernel.at(), Kernel(kernel.name, (), kernel.stored), Kernel(kernel.name, ())))


def _between(known: dict[Size, float], n: int) -> float:
    """Return what a pass over n elements costs beyond one over 1 element."""
    sizes = sorted(size[0] for size in known if size[0] >= 1)
    extras = [max(0.0, known[(size,)] - known[(1,)]) for size in sizes]
    if n > sizes[-1]:
        return extras[-1] * n / sizes[-1]
    return float(np.interp(n, sizes, extras))


Kind = Literal["dispatch", "products", "elementwise", "rest"]
KINDS: tuple[Kind, ...] = ("dispatch", "products", "elementwise", "rest")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an entry's time."""

    kind: Kind
    time_ns: float  # its share of the entry's time
    share: Interval


@dataclass(frozen=True, slots=True)
class Bound:
    """The lower bound of an entry, and the share of its time that it is."""

    time_ns: float
    by: Literal["arithmetic", "memory"]
    efficiency: Interval


@dataclass(frozen=True, slots=True)
class Limit:
    """One entry taken apart."""

    entry: Entry
    arm: Arm
    time_ns: float  # median over all its counted blocks
    count: Count | None  # None: no formula
    parts: tuple[Part, ...]  # two where products and passes could not be priced; empty without dispatch
    overlaps: tuple[float, ...]  # of the blocks in which the parts exceed the whole: 0.05 for 5 %
    blocks: int  # in which it was taken apart
    bound: Bound | None

    def part(self, kind: Kind) -> Part | None:
        """Return its part of a kind."""
        return next((part for part in self.parts if part.kind == kind), None)

    @property
    def largest(self) -> Part | None:
        """Where most of its time goes."""
        return max(self.parts, key=lambda part: part.share.estimate, default=None)


@dataclass(frozen=True, slots=True)
class Limits:
    """Everything a run tells about why."""

    entries: tuple[Limit, ...]  # of the main table, in its order
    libraries: tuple[LibrarySpeeds, ...]
    troubles: tuple[
        tuple[str, str, tuple[int, ...]], ...
    ]  # a probe's arm, why it has no values, in which blocks


@dataclass(frozen=True, slots=True)
class Difference:
    """By how much one entry takes longer than another, and what of that lies in which part."""

    time_ns: float
    parts: dict[Kind, float]


def limits(run: Run, found: Mapping[str, Outcome]) -> Limits | None:
    """Take the main table apart; return None where the run measured neither dispatch nor rates."""
    dispatch = [group for group in run.plan.groups if group.kind == "dispatch"]
    calls = {entry.arm: entry.id for group in dispatch for entry in group.entries}
    if not calls and not run.plan.probes:
        return None
    by_place = prices(run)
    entries = []
    for entry in (entry for group in run.plan.groups[:1] for entry in group.entries):
        arm, outcome = run.arms[entry.arm], found[entry.id]
        if arm.twin or not outcome.medians:
            continue
        alone = found[calls[arm.id]].medians if arm.id in calls else {}
        own = by_place.get((arm.library, arm.device), {}) if _probed(arm) else {}
        entries.append(_limit(entry, arm, outcome.medians, alone, own))
    return Limits(tuple(entries), libraries(run), tuple(_troubles(run)))


def difference(slower: Limit, faster: Limit) -> Difference | None:
    """Return what lies between two entries; None where they were not taken apart into the same parts."""
    others = {part.kind: part.time_ns for part in faster.parts}
    if not others or [part.kind for part in slower.parts] != list(others):
        return None
    parts = {part.kind: part.time_ns - others[part.kind] for part in slower.parts}
    return Difference(slower.time_ns - faster.time_ns, parts)


def _probed(arm: Arm) -> bool:
    """Return whether a probe in its place computes as it does: with one thread on the CPU."""
    return arm.device != "cpu" or arm.threads == 1


def _limit(
    entry: Entry, arm: Arm, times: Mapping[int, float], alone: Mapping[int, float], own: Mapping[int, Prices]
) -> Limit:
    count, time_ns = counted(arm.spec, entry.case), median(times.values())
    shares: list[dict[Kind, float]] = []
    overlaps = []
    for block, times_ns in _measured(count, times, alone, own).items():
        whole = max(times[block], sum(times_ns.values()))
        shares.append({kind: ns / whole for kind, ns in times_ns.items()})
        shares[-1]["rest"] = 1 - sum(times_ns.values()) / whole
        if whole > times[block]:
            overlaps.append(whole / times[block] - 1)
    parts, bound = tuple(_parts(shares, time_ns)), _bound(entry.case, times, own)
    return Limit(entry, arm, time_ns, count, parts, tuple(overlaps), len(shares), bound)


def _measured(
    count: Count | None, times: Mapping[int, float], alone: Mapping[int, float], own: Mapping[int, Prices]
) -> dict[int, dict[Kind, float]]:
    """Return nanoseconds of all parts but the rest, by block, with products and passes in all or in none."""
    priced: dict[int, dict[Kind, float]] = {}
    for block in times.keys() & alone.keys() & own.keys():
        if count is not None and (found := _priced(count, own[block])):
            priced[block] = {"dispatch": alone[block], **found}
    return priced or {block: {"dispatch": alone[block]} for block in times.keys() & alone.keys()}


def _priced(count: Count, own: Prices) -> dict[Kind, float] | None:
    """Return what the products and passes cost beyond being called; None where one has no price."""
    sums: dict[Kind, float] = {"products": 0.0, "elementwise": 0.0}
    for one in count.operations:
        if (extra := own.extra_ns(one)) is None:
            return None
        sums["products" if one.kernel.is_product else "elementwise"] += extra
    return sums


def _parts(by_block: Sequence[Mapping[Kind, float]], time_ns: float) -> Iterable[Part]:
    """Yield shares by block, put together; the blocks have the same kinds."""
    for kind in KINDS:
        if shares := [shares[kind] for shares in by_block if kind in shares]:
            share = median_interval(shares)
            yield Part(kind, share.estimate * time_ns, share)


def _bound(case: Case, times: Mapping[int, float], own: Mapping[int, Prices]) -> Bound | None:
    """Return the lower bound over the blocks whose probe knows all that it takes."""
    found = {block: bounds for block in times.keys() & own.keys() if (bounds := _bounds(case, own[block]))}
    if not found:
        return None
    arithmetic, memory = (median(one[place] for one in found.values()) for place in (0, 1))
    efficiency = median_interval([max(bounds) / times[block] for block, bounds in found.items()])
    time_ns = median(max(bounds) for bounds in found.values())
    return Bound(time_ns, "arithmetic" if arithmetic >= memory else "memory", efficiency)


def _bounds(case: Case, own: Prices) -> tuple[float, float] | None:
    """Return the nanoseconds that arithmetic and memory take at least."""
    if (cell := house_cell(case.cell)) is None:
        return None
    work = cell.count_needed(case)
    product_rate, activation_rate = own.best((PRODUCT,)), own.best(TRANSCENDENTAL)
    memory = own.extra_ns(each(COPY, cell.bytes_needed(case) // work.itemsize // 2))
    if product_rate is None or activation_rate is None or memory is None:
        return None
    return work.product_flops / product_rate + work.activations / activation_rate, memory


def _troubles(run: Run) -> Iterable[tuple[str, str, tuple[int, ...]]]:
    """Yield probes that gave nothing, alike in arm and reason taken together."""
    alike: dict[tuple[str, str], list[int]] = {}
    for rates in run.rates:
        if not rates.primitives:
            alike.setdefault((rates.arm, rates.reason), []).append(rates.block)
    for (arm, reason), blocks in alike.items():
        yield arm, reason, tuple(blocks)
