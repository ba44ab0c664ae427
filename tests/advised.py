"""For the tests of ``advise``: what it would measure, made up. No processor, no clock."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from journals import example_environment, example_records
from msgspec.structs import replace

from bench.api.advise import Timer, advise, declare
from bench.api.options import AdviseOptions
from bench.cli.main import build_parser
from bench.cli.parser import options_from
from bench.machine.devices import Absent, Device, Devices
from bench.records.record import AnyRecord, Burst, Decision, End, Pair, Plan, Worker

CPU = Device("cpu", "cpu", "a processor", None, ("float32", "float64"))
CPU_ONLY = Devices((CPU,), (Absent("cuda", "no such device"),))
NO_TORCH = Devices((CPU,), (), missing={"torch": "PyTorch is not installed"})
SMALL = ("--hidden", "64", "--batch", "1", "--seq-len", "100", "--task", "forward", "--seed", "7")
BASE_NS = 20_000  # a call of numpy-batched
START_NS = {"numpy": 200_000_000, "torch": 1_700_000_000}
# log ratios to numpy-batched in ten blocks
STILL = (0.0, 0.001, -0.001, 0.002, -0.002, 0.0005, -0.0005, 0.0015, -0.0015, 0.0)
WILD = (0.2, -0.2, 0.15, -0.1, 0.05, -0.15, 0.1, -0.05, 0.12, -0.11)
Logs = Mapping[str, Sequence[float]]
NUMPY_AHEAD: Logs = {"numpy-inplace": [math.log(0.8) + x for x in STILL], "torch-layer": [math.log(4.0)] * 10,
                     "torch-inplace": [math.log(2.4) - x for x in STILL]}  # fmt: skip


def arguments(*words: str) -> AdviseOptions:
    """The arguments of ``rnnbench advise``."""
    options: AdviseOptions = options_from(build_parser().parse_args(["advise", *words]), AdviseOptions)
    return options


def declared(*words: str) -> Plan:
    """The plan of the arguments; nothing is looked for."""
    args = arguments(*SMALL, *words)
    return declare(args, Timer(args.budget, clock=lambda: 0.0))[1]


def measured(
    plan: Plan,
    logs: Logs = NUMPY_AHEAD,
    *,
    blocks: int = 10,
    twin: Sequence[float] = STILL,
    calls: Mapping[str, float] | None = None,
    reason: str = "10 blocks were measured",
    stopped_by: Literal["user", "signal"] | None = None,
) -> list[AnyRecord]:
    """The records of a run of the plan. ``calls``: by library, the share of its time that dispatch is."""
    template = next(record for record in example_records() if isinstance(record, Burst))
    arms = {arm.id: arm for arm in plan.arms}
    made: list[AnyRecord] = [plan, example_environment()]
    for block in range(blocks + 1):
        place = max(0, block - 1)
        made += [
            Worker(START_NS[arm.library], {"threads": 1}, block=block, name=arm.id, arms=[arm.id], pid=1)
            for arm in plan.arms
        ]
        for entry in (entry for group in plan.groups for entry in group.entries):
            arm = arms[entry.arm]
            log = twin[place] if arm.twin else logs.get(arm.variant, (0.0,) * 10)[place]
            ns = BASE_NS * math.exp(log)
            if entry.group == "dispatch":
                if calls is None:
                    continue
                ns *= calls[arm.library]
            fields: dict[str, Any] = {"block": block, "entry": entry.id, "status": "ok", "n_calls": 1000}
            fields["rewarm_calls"] = 100
            elapsed_ns = [round(1000 * ns)] * len(template.rounds)
            made.append(replace(template, **fields, elapsed_ns=elapsed_ns, first_call_ns=1, flags=[]))
        if block == 0:
            made.append(Decision(_pairs(plan), 25.0, blocks, plan.rounds, [], []))
    return [*made, End("complete", reason, 24.0, "2026-01-02T03:05:42+00:00", 0.0, stopped_by)]


def _pairs(plan: Plan) -> list[Pair]:
    """Block 0's choice, as the runner makes it."""
    ids = {entry.arm.partition("@")[0]: entry.id for entry in plan.groups[0].entries}
    if "torch-inplace" not in ids:
        return []
    return [Pair("best", ids["torch-inplace"], ids["numpy-inplace"])]


class Simulated:
    """Stands in for the runner: writes what ``measured`` makes up, given ``options``."""

    options: ClassVar[dict[str, Any]] = {}

    def __init__(self, plan: Plan, write: Any, progress: Any, **given: Any) -> None:
        self._plan, self._write = plan, write

    def run(self) -> End:
        """All records but the first two, which are written already."""
        records = measured(self._plan, **self.options)[2:]
        for record in records:
            self._write(record)
        end = records[-1]
        assert isinstance(end, End)
        return end


__all__ = ["Simulated", "advise", "arguments", "declared", "measured"]
