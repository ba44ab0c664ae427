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

from bench.analysis.statistics import Interval, median_interval
from bench.analysis.summary import Summary
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
class LibrarySpeeds:
    """What the probe of one arm showed over the counted blocks.

    ``rates`` are flops, elements or bytes a nanosecond: of products and of passes of tanh or exp over more
    than one number, and of the largest copy, read and written.
    """

    arm: Arm
    call_ns: Interval | None  # of a call that has nothing to do
    rates: dict[Kernel, Interval]


class Prices:
    """What the operations of a library took in one block, in nanoseconds a call."""

    def __init__(self, rates: Rates) -> None:
        self.ns = {
            primitive.kernel: median(primitive.elapsed_ns) / primitive.n_calls
            for primitive in rates.primitives
        }
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


def _library(arm: Arm, probe: Probe, blocks: Iterable[Prices]) -> LibrarySpeeds:
    times: dict[Kernel, list[float]] = {}
    for block in blocks:
        for kernel, ns in block.ns.items():
            times.setdefault(kernel, []).append(ns)
    moved = 2 * ITEMSIZE[probe.case.dtype]  # bytes of an element that is copied
    largest_copy = max((kernel.size for kernel in times if kernel.name == COPY), default=())
    rates = {
        kernel: median_interval([(moved if kernel.name == COPY else 1) * kernel.flops / ns for ns in own])
        for kernel, own in times.items()
        if (kernel.name in (PRODUCT, *TRANSCENDENTAL) and set(kernel.size) - {1})
        or (kernel.name == COPY and kernel.size == largest_copy)
    }
    calls = [median_interval(own) for kernel, own in times.items() if kernel.name == CALL]
    return LibrarySpeeds(arm, calls[0] if calls else None, rates)


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
    parts: dict[Kind, Part]  # two where products and passes could not be priced; empty without dispatch
    overlaps: tuple[float, ...]  # of the blocks in which the parts exceed the whole: 0.05 for 5 %
    blocks: int  # in which it was taken apart
    bound: Bound | None


@dataclass(frozen=True, slots=True)
class Limits:
    """Everything a run tells about why."""

    entries: tuple[Limit, ...]  # of the main table, in its order
    libraries: tuple[LibrarySpeeds, ...]  # of each probe that has values, in the plan's order
    troubles: dict[tuple[str, str], list[int]]  # a probe's arm and why it has no values: in which blocks


def limits(summary: Summary) -> Limits | None:
    """Take the main table apart; return None where the run measured neither dispatch nor rates."""
    run, known = summary.run, summary.outcomes
    dispatch = [group for group in run.plan.groups if group.kind == "dispatch"]
    calls = {entry.arm: entry.id for group in dispatch for entry in group.entries}
    if not calls and not run.plan.probes:
        return None
    by_place = prices(run)
    entries = []
    for entry in (entry for group in run.plan.groups[:1] for entry in group.entries):
        arm, outcome = run.arms[entry.arm], known[entry.id]
        if arm.twin or not outcome.medians:
            continue
        alone = known[calls[arm.id]].medians if arm.id in calls else {}
        own = by_place.get((arm.library, arm.device), {}) if _probed(arm) else {}
        entries.append(_limit(entry, arm, outcome.medians, alone, own))
    probes = [(run.arms[probe.arm], probe) for probe in run.plan.probes]
    libraries = [
        _library(arm, probe, blocks.values())
        for arm, probe in probes
        if (blocks := by_place.get((arm.library, arm.device)))
    ]
    troubles: dict[tuple[str, str], list[int]] = {}
    for rates in run.rates:
        if not rates.primitives:
            troubles.setdefault((rates.arm, rates.reason), []).append(rates.block)
    return Limits(tuple(entries), tuple(libraries), troubles)


def difference(slower: Limit, faster: Limit) -> dict[Kind, float] | None:
    """Return by how many nanoseconds each part of one entry is longer than the other's.

    None where they were not taken apart into the same parts.
    """
    if not faster.parts or slower.parts.keys() != faster.parts.keys():
        return None
    return {kind: part.time_ns - faster.parts[kind].time_ns for kind, part in slower.parts.items()}


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
    parts, bound = _parts(shares, time_ns), _bound(entry.case, times, own)
    return Limit(entry, arm, time_ns, count, parts, tuple(overlaps), len(shares), bound)


def _measured(
    count: Count | None, times: Mapping[int, float], alone: Mapping[int, float], own: Mapping[int, Prices]
) -> dict[int, dict[Kind, float]]:
    """Return nanoseconds of all parts but the rest, by block, with products and passes in all or in none."""
    priced: dict[int, dict[Kind, float]] = {}
    for block in times.keys() & alone.keys() & own.keys():
        if count is not None and (work := _priced(count, own[block])):
            priced[block] = {"dispatch": alone[block], **work}
    return priced or {block: {"dispatch": alone[block]} for block in times.keys() & alone.keys()}


def _priced(count: Count, own: Prices) -> dict[Kind, float] | None:
    """Return what the products and passes cost beyond being called; None where one has no price."""
    sums: dict[Kind, float] = {"products": 0.0, "elementwise": 0.0}
    for operation in count.operations:
        if (extra := own.extra_ns(operation)) is None:
            return None
        sums["products" if operation.kernel.is_product else "elementwise"] += extra
    return sums


def _parts(by_block: Sequence[Mapping[Kind, float]], time_ns: float) -> dict[Kind, Part]:
    """Put the shares of all blocks together, which have the same kinds."""
    kinds = [kind for kind in KINDS if by_block and kind in by_block[0]]
    shares = {kind: median_interval([shares[kind] for shares in by_block]) for kind in kinds}
    return {kind: Part(share.estimate * time_ns, share) for kind, share in shares.items()}


def _bound(case: Case, times: Mapping[int, float], own: Mapping[int, Prices]) -> Bound | None:
    """Return the lower bound over the blocks whose probe knows all that it takes."""
    shared = times.keys() & own.keys()
    bounds = {block: bound for block in shared if (bound := _least_ns(case, own[block]))}
    if not bounds:
        return None
    arithmetic, memory = (median(bound[place] for bound in bounds.values()) for place in (0, 1))
    efficiency = median_interval([max(bound) / times[block] for block, bound in bounds.items()])
    time_ns = median(max(bound) for bound in bounds.values())
    return Bound(time_ns, "arithmetic" if arithmetic >= memory else "memory", efficiency)


def _least_ns(case: Case, own: Prices) -> tuple[float, float] | None:
    """Return the nanoseconds that arithmetic and memory take at least; None where the probe lacks a rate."""
    if (cell := house_cell(case.cell)) is None:
        return None
    work = cell.count_needed(case)
    product_rate, activation_rate = own.best((PRODUCT,)), own.best(TRANSCENDENTAL)
    memory = own.extra_ns(each(COPY, cell.bytes_needed(case) // work.itemsize // 2))
    if product_rate is None or activation_rate is None or memory is None:
        return None
    return work.product_flops / product_rate + work.activations / activation_rate, memory
