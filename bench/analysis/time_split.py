"""Split the time of a call into parts, find its lower bound, and show the speeds of each library.

For an entry of the main table with time t, in each counted block ::

    dispatch     time of the same calls on arrays of one number each, measured as a separate entry
    products     sum over the matrix products of their costs beyond the call itself
    elementwise  the same sum over the elementwise passes
    rest         t minus these parts: autograd's work on arrays, copies, zeros, cache misses

The first three are measured by themselves. If their sum exceeds t, they are scaled to t; ``overlaps`` is the
excess. A share is the median over blocks.

Let t(op, size) be the time of a call as the library's probe measured it in that block. Beyond the call
itself, an operation costs ::

    extra(op, size) = t(op, size) - t(op, 1)

For a product, only its exact size is used. For a pass, the cost is linear between the timed sizes, and beyond
the largest one proportional to the number of elements. An operation whose form was not timed costs as much
as the plain form.

No call can be faster than ::

    lower bound = max(needed product flops / best product rate + needed activations / best activation rate,
                      the time of a copy that moves the bytes that must be read and written)

with the best rates of the entry's own library at any size in that block. Efficiency is the lower bound
divided by t.
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
from bench.workload.cell import built_in_cell
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
    """Hold the results of one arm's probe over the counted blocks.

    ``rates`` are per nanosecond: flops of products, elements of tanh or exp passes (both without single
    numbers), and bytes of the largest copy, read and written.
    """

    arm: Arm
    call_ns: Interval | None  # time of a call that does nothing
    rates: dict[Kernel, Interval]


class Prices:
    """Hold the times of a library's operations in one block, in nanoseconds per call."""

    def __init__(self, rates: Rates) -> None:
        self.ns = {
            primitive.kernel: median(primitive.elapsed_ns) / primitive.n_calls
            for primitive in rates.primitives
        }
        self._by_form: dict[Kernel, dict[Size, float]] = {}
        for kernel, ns in self.ns.items():
            self._by_form.setdefault(kernel.at(), {})[kernel.size] = ns

    def extra_ns(self, operation: Operation) -> float | None:
        """Return the total cost of an operation beyond its calls; None if unknown."""
        kernel = operation.kernel
        for form in _forms(kernel):
            ns_by_size = self._by_form.get(form, {})
            one_number_ns = ns_by_size.get((1,) * len(kernel.size))
            if one_number_ns is None or len(ns_by_size) < 2:
                continue
            if not kernel.is_product:
                return operation.times * _pass_extra_ns(ns_by_size, kernel.size[0])
            if kernel.size in ns_by_size:
                return operation.times * max(0.0, ns_by_size[kernel.size] - one_number_ns)
        return None

    def best(self, names: Sequence[str]) -> float | None:
        """Return the best rate of these operations at any size and in any form, in flops per nanosecond."""
        return max(
            (kernel.flops / ns for kernel, ns in self.ns.items() if kernel.name in names), default=None
        )


def prices(run: Run) -> dict[tuple[str, str], dict[int, Prices]]:
    """Return the prices by library and device, then by counted block."""
    by_library: dict[tuple[str, str], dict[int, Prices]] = {}
    for rates in run.rates:
        if rates.block >= 1 and rates.primitives:
            arm = run.arms[rates.arm]
            by_library.setdefault((arm.library, arm.device), {})[rates.block] = Prices(rates)
    return by_library


def _library_speeds(arm: Arm, probe: Probe, blocks: Iterable[Prices]) -> LibrarySpeeds:
    times: dict[Kernel, list[float]] = {}
    for block in blocks:
        for kernel, ns in block.ns.items():
            times.setdefault(kernel, []).append(ns)
    copy_bytes = 2 * ITEMSIZE[probe.case.dtype]  # per element: read and written
    largest_copy = max((kernel.size for kernel in times if kernel.name == COPY), default=())
    rates = {
        kernel: median_interval(
            [(copy_bytes if kernel.name == COPY else 1) * kernel.flops / ns for ns in kernel_ns]
        )
        for kernel, kernel_ns in times.items()
        if (kernel.name in (PRODUCT, *TRANSCENDENTAL) and set(kernel.size) - {1})
        or (kernel.name == COPY and kernel.size == largest_copy)
    }
    calls = [median_interval(kernel_ns) for kernel, kernel_ns in times.items() if kernel.name == CALL]
    return LibrarySpeeds(arm, calls[0] if calls else None, rates)


def _forms(kernel: Kernel) -> dict[Kernel, None]:
    """Return the form of an operation, then its plainer forms, each once."""
    return dict.fromkeys((kernel.at(), Kernel(kernel.name, (), kernel.stored), Kernel(kernel.name, ())))


def _pass_extra_ns(known: dict[Size, float], n: int) -> float:
    """Return the cost of a pass over n elements beyond a pass over one element."""
    sizes = sorted(size[0] for size in known if size[0] >= 1)
    extras = [max(0.0, known[(size,)] - known[(1,)]) for size in sizes]
    if n > sizes[-1]:
        return extras[-1] * n / sizes[-1]
    return float(np.interp(n, sizes, extras))


Kind = Literal["dispatch", "products", "elementwise", "rest"]
KINDS: tuple[Kind, ...] = ("dispatch", "products", "elementwise", "rest")


@dataclass(frozen=True, slots=True)
class Part:
    """Hold one part of an entry's time."""

    time_ns: float  # its share of the entry's time
    share: Interval


@dataclass(frozen=True, slots=True)
class Bound:
    """Hold the lower bound of an entry's time, and its share of the time."""

    time_ns: float
    by: Literal["arithmetic", "memory"]
    efficiency: Interval


@dataclass(frozen=True, slots=True)
class Limit:
    """Hold the time of one entry, split into parts."""

    entry: Entry
    arm: Arm
    time_ns: float  # median over all its counted blocks
    count: Count | None  # None: no formula for the variant
    parts: dict[Kind, Part]  # only dispatch and rest if operations lack a price; empty without dispatch
    overlaps: tuple[float, ...]  # excess of the sum of the parts, where it exceeds the time (0.05: 5 %)
    blocks: int  # number of blocks in which the time was split
    bound: Bound | None


@dataclass(frozen=True, slots=True)
class Limits:
    """Hold the time splits of a run's main table, and the speeds of its libraries."""

    entries: tuple[Limit, ...]  # of the main table, in its order
    libraries: tuple[LibrarySpeeds, ...]  # one per probe with values, in the plan's order
    troubles: dict[tuple[str, str], list[int]]  # (arm, reason) of a probe without values -> blocks


def limits(summary: Summary) -> Limits | None:
    """Split the times of the main table; return None if the run measured neither dispatch nor rates."""
    run, outcomes = summary.run, summary.outcomes
    dispatch_groups = [group for group in run.plan.groups if group.kind == "dispatch"]
    dispatch_ids = {entry.arm: entry.id for group in dispatch_groups for entry in group.entries}
    if not dispatch_ids and not run.plan.probes:
        return None
    library_prices = prices(run)
    entries = []
    for entry in (entry for group in run.plan.groups[:1] for entry in group.entries):
        arm, outcome = run.arms[entry.arm], outcomes[entry.id]
        if arm.twin or not outcome.medians:
            continue
        dispatch_ns = outcomes[dispatch_ids[arm.id]].medians if arm.id in dispatch_ids else {}
        arm_prices = library_prices.get((arm.library, arm.device), {}) if _probe_matches(arm) else {}
        entries.append(_limit(entry, arm, outcome.medians, dispatch_ns, arm_prices))
    probes = [(run.arms[probe.arm], probe) for probe in run.plan.probes]
    libraries = [
        _library_speeds(arm, probe, blocks.values())
        for arm, probe in probes
        if (blocks := library_prices.get((arm.library, arm.device)))
    ]
    troubles: dict[tuple[str, str], list[int]] = {}
    for rates in run.rates:
        if not rates.primitives:
            troubles.setdefault((rates.arm, rates.reason), []).append(rates.block)
    return Limits(tuple(entries), tuple(libraries), troubles)


def difference(slower: Limit, faster: Limit) -> dict[Kind, float] | None:
    """Return how many nanoseconds each part of ``slower`` takes longer than the same part of ``faster``.

    Return None if the two entries are not split into the same parts.
    """
    if not faster.parts or slower.parts.keys() != faster.parts.keys():
        return None
    return {kind: part.time_ns - faster.parts[kind].time_ns for kind, part in slower.parts.items()}


def _probe_matches(arm: Arm) -> bool:
    """Return whether the probe computes as the arm does: on the CPU, probes use one thread."""
    return arm.device != "cpu" or arm.threads == 1


def _limit(
    entry: Entry, arm: Arm, times: Mapping[int, float], alone: Mapping[int, float], own: Mapping[int, Prices]
) -> Limit:
    count, time_ns = counted(arm.spec, entry.case), median(times.values())
    shares: list[dict[Kind, float]] = []
    overlaps = []
    for block, parts_ns in _measured_parts(count, times, alone, own).items():
        total_ns = max(times[block], sum(parts_ns.values()))
        shares.append({kind: ns / total_ns for kind, ns in parts_ns.items()})
        shares[-1]["rest"] = 1 - sum(parts_ns.values()) / total_ns
        if total_ns > times[block]:
            overlaps.append(total_ns / times[block] - 1)
    parts, bound = _parts(shares, time_ns), _bound(entry.case, times, own)
    return Limit(entry, arm, time_ns, count, parts, tuple(overlaps), len(shares), bound)


def _measured_parts(
    count: Count | None, times: Mapping[int, float], alone: Mapping[int, float], own: Mapping[int, Prices]
) -> dict[int, dict[Kind, float]]:
    """Return the nanoseconds of all parts except the rest, by block.

    Either all returned blocks include products and elementwise passes, or none does.
    """
    priced: dict[int, dict[Kind, float]] = {}
    for block in times.keys() & alone.keys() & own.keys():
        if count is not None and (work := _operation_costs(count, own[block])):
            priced[block] = {"dispatch": alone[block], **work}
    return priced or {block: {"dispatch": alone[block]} for block in times.keys() & alone.keys()}


def _operation_costs(count: Count, own: Prices) -> dict[Kind, float] | None:
    """Return the costs of products and of passes beyond their calls; None if an operation lacks a price."""
    sums: dict[Kind, float] = {"products": 0.0, "elementwise": 0.0}
    for operation in count.operations:
        if (extra := own.extra_ns(operation)) is None:
            return None
        sums["products" if operation.kernel.is_product else "elementwise"] += extra
    return sums


def _parts(by_block: Sequence[Mapping[Kind, float]], time_ns: float) -> dict[Kind, Part]:
    """Combine the shares of all blocks, which have the same kinds of parts."""
    kinds = [kind for kind in KINDS if by_block and kind in by_block[0]]
    shares = {kind: median_interval([block_shares[kind] for block_shares in by_block]) for kind in kinds}
    return {kind: Part(share.estimate * time_ns, share) for kind, share in shares.items()}


def _bound(case: Case, times: Mapping[int, float], own: Mapping[int, Prices]) -> Bound | None:
    """Return the lower bound over the blocks whose probe has all rates; None without such a block."""
    common_blocks = times.keys() & own.keys()
    bounds = {block: bound for block in common_blocks if (bound := _minimum_ns(case, own[block]))}
    if not bounds:
        return None
    arithmetic, memory = (median(bound[index] for bound in bounds.values()) for index in (0, 1))
    efficiency = median_interval([max(bound) / times[block] for block, bound in bounds.items()])
    time_ns = median(max(bound) for bound in bounds.values())
    return Bound(time_ns, "arithmetic" if arithmetic >= memory else "memory", efficiency)


def _minimum_ns(case: Case, own: Prices) -> tuple[float, float] | None:
    """Return the minimum nanoseconds of arithmetic and of memory; None if a rate or the work is unknown."""
    if (cell := built_in_cell(case.cell)) is None or case.shortest is not None:
        return None
    work = cell.count_needed(case)
    product_rate, activation_rate = own.best((PRODUCT,)), own.best(TRANSCENDENTAL)
    memory = own.extra_ns(each(COPY, cell.bytes_needed(case) // work.itemsize // 2))
    if product_rate is None or activation_rate is None or memory is None:
        return None
    return work.product_flops / product_rate + work.activations / activation_rate, memory
