"""Plans as a run declares them, on a machine with two processors."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.machine.devices import Absent, Device, Devices
from bench.measure.plan import FixedChoice, make_plan
from bench.records.record import BudgetRule, Plan
from bench.workload.options import RunOptions

CPU = Device("cpu", "cpu", "a processor", None, ("float32", "float64"))
CPU_ONLY = Devices((CPU,), ())


def machine(
    *accelerators: str,
    missing: Mapping[str, str] | None = None,
    absent: Sequence[Absent] = (),
    dtypes: tuple[str, ...] = ("float32", "float64"),
) -> Devices:
    """A machine with these accelerators, which compute in these dtypes; why it lacks others, or a library."""
    devices = (Device(each, each.partition(":")[0], "a device", 1, dtypes) for each in accelerators)
    return Devices((CPU, *devices), tuple(absent), {}, dict(missing or {}))


def declare(
    *variants: str,
    devices: Devices = CPU_ONLY,
    run: str = "test",
    command: Sequence[str] = ("rnnbench",),
    started_utc: str = "2026-01-02T03:04:05+00:00",
    budget_rule: BudgetRule | None = None,
    exactly: FixedChoice | None = None,
    **options: Any,
) -> Plan:
    """The plan of a run of these variants and options."""
    asked = RunOptions(**{"variant": variants, "seed": 1} | options)
    return make_plan(
        asked,
        devices,
        2,
        run=run,
        started_utc=started_utc,
        command=list(command),
        budget_rule=budget_rule,
        exactly=exactly,
    )


def small_plan(*variants: str, blocks: int = 1, batch: tuple[int, ...] = (4,), **options: Any) -> Plan:
    """A quick plan of small cases."""
    small = {"quick": True, "batch": batch, "hidden": (4,), "blocks": blocks, "seed": 3}
    return declare(*variants, **small | options)
