"""Runs in which everything that says why has an exact value: times, dispatch, and prices without noise."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from bursts import burst
from declared import declare
from msgspec.structs import replace

from bench.measure.plan import probe_job
from bench.records.record import AnyRecord, Arm, Burst, Plan, Primitive, Rates
from bench.records.run import Run, make_run
from bench.workload import catalog
from bench.workload.operations import Kernel

BLOCKS = 7  # a verdict for a table of two needs as many
BATCHED, CELL, INPLACE = "numpy-batched@cpu x1", "torch-cell@cpu x1", "numpy-inplace@cpu x1"
TIMES_US: dict[str, float] = {BATCHED: 100.0, CELL: 400.0, INPLACE: 80.0}
ALONE_US: dict[str, float] = {BATCHED: 40.0, CELL: 336.0, INPLACE: 20.0}
CALL_NS = 500.0  # of every operation at any size
PRODUCT_FLOPS_A_NS, PASS_A_NS, BYTES_A_NS = 250.0, 4.0, 16.0

Price = Callable[[Kernel, Arm], float]


def price(kernel: Kernel, arm: Arm) -> float:
    """Nanoseconds of one operation."""
    if kernel.name == "copy":
        return CALL_NS + 2 * 4 * kernel.flops / BYTES_A_NS
    return CALL_NS + kernel.flops / (PRODUCT_FLOPS_A_NS if kernel.is_product else PASS_A_NS)


def plan(*variants: str, **options: Any) -> Plan:
    """The tutorial's training step by a few variants."""
    return declare(*(variants or ("torch-cell", "numpy-inplace")), run="why", **options)


def run(
    declared: Plan | None = None,
    *,
    times: Mapping[str, Sequence[float]] | None = None,
    alone: Mapping[str, Sequence[float]] | None = None,
    priced: Price = price,
    blocks: int = BLOCKS,
) -> Run:
    """The journal of a plan; ``times`` and ``alone`` are microseconds by arm and block, if not the usual."""
    declared = plan() if declared is None else declared
    usual = {"dispatch": (ALONE_US, alone or {}), "": (TIMES_US, times or {})}
    records: list[AnyRecord] = [declared]
    arms = {arm.id: arm for arm in declared.arms}
    for block in range(blocks + 1):
        for entry in (entry for group in declared.groups for entry in group.entries):
            known, given = usual["dispatch" if entry.group == "dispatch" else ""]
            arm = entry.arm.removesuffix(" twin")
            us = given[arm][block - 1] if arm in given and block else known.get(arm, 50.0)
            records.append(_burst(block, entry.id, us))
        for probe in declared.probes:
            asked = probe_job(declared, probe).wanted
            timed = [primitive(kernel, priced(kernel, arms[probe.arm])) for kernel in asked]
            records.append(Rates(block, probe.arm, probe.case, timed))
    return make_run(records)


def with_rates(made: Run, change: Callable[[Rates], Rates | None]) -> Run:
    """The run with its rates changed, or taken out where there is None."""
    kept = tuple(rates for rates in map(change, made.rates) if rates is not None)
    return Run(**{name: getattr(made, name) for name in made.__dataclass_fields__} | {"rates": kept})


def without_primitives(rates: Rates, reason: str = "no memory") -> Rates:
    """A probe that failed."""
    return replace(rates, primitives=[], reason=reason)


def primitive(kernel: Kernel, ns: float) -> Primitive:
    """Three values of an operation, all the same."""
    return Primitive(kernel, 1000, [round(1000 * ns)] * 3)


def _burst(block: int, entry: str, us: float) -> Burst:
    """Five values, all the same."""
    return burst(block, entry, [math.floor(us * 1e6 + 0.5)] * 5, 1000)


def without_formula(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Have nobody count what a variant of the catalogue asks for."""
    variants = [
        dataclasses.replace(
            variant,
            cells={cell: dataclasses.replace(one, operations="") for cell, one in variant.cells.items()},
        )
        if variant.name == name
        else variant
        for variant in catalog.VARIANTS
    ]
    monkeypatch.setattr(catalog, "VARIANTS", tuple(variants))
