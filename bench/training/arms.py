"""Which variant trains where."""

from dataclasses import dataclass

from bench.machine.device import find_devices, resolve
from bench.machine.errors import UserError
from bench.records.training import Settings
from bench.training.work import Work
from bench.workload import catalog


@dataclass(frozen=True, slots=True)
class Arm:
    """A variant on its device."""

    spec: str
    variant: catalog.Variant
    device: str


def choose_arms(settings: Settings, work: Work) -> list[Arm]:
    """Find variants and devices; a variant that knows the CPU only stays there.

    Raises:
        UserError: no such variant or device, one twice, or one that does not support the settings.
    """
    devices = ["cpu"]
    if settings.device != "cpu":
        devices, _ = resolve([settings.device], find_devices())
    if len(devices) != 1:
        raise UserError(f"--device {settings.device} is {', '.join(devices)}; training takes one")
    arms: list[Arm] = []
    for spec in settings.variants:
        variant = catalog.find(spec)
        kind = devices[0].partition(":")[0]
        arm = Arm(spec, variant, devices[0] if kind in variant.devices else "cpu")
        for task in ("train_step", "forward"):
            if reason := variant.unsupported(work.case.with_task(task), arm.device):
                raise UserError(f"{reason}; leave it out or choose another")
        if any(variant.name == other.variant.name for other in arms):
            raise UserError(f"{variant.name} is asked for twice; it would do the same again")
        arms.append(arm)
    if all(arm.device != devices[0] for arm in arms):
        raise UserError(f"no variant of these runs on {devices[0]}; add one that does (rnnbench variants)")
    return arms
