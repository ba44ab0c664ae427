"""What a run measures to say why: the same calls on next to nothing, and the library's own speed.

``dispatch``, a group: the main case with one sample, one feature, one hidden unit and one output. It makes
the same calls on arrays that cost nothing, so its time is what the calls themselves cost. A probe has a
worker time the basic operations of its library, at the sizes of the main case and at their best.
"""

from collections.abc import Collection, Iterable
from dataclasses import replace

from bench.measure.messages import ProbeJob
from bench.records.record import Arm, Entry, Group, Plan, Probe
from bench.workload import catalog
from bench.workload.case import Case, Shape
from bench.workload.cell import find_cell
from bench.workload.operations import CALL, COPY, ITEMSIZE, PRODUCT, TRANSCENDENTAL, Kernel

LIMITS_BLOCKS = 6
PEAK_PRODUCT, PEAK_ELEMENTS, PEAK_COPY = Kernel(PRODUCT, (512, 512, 512)), 1 << 20, 1 << 24


def dispatch_case(case: Case) -> Case:
    """The same steps over arrays of one number each."""
    return replace(case, shape=Shape(case.shape.T, 1, 1, 1, 1), layout="sequence", data="random")


def dispatch_group(main: Group, arms: dict[str, Arm], no_float64: Collection[str] = ()) -> Group:
    """An entry for every arm of the main group that takes the same number of calls at any size.

    Arrays of one number are proved in float64, so a device without it has none.
    """
    entries = []
    for entry in main.entries:
        arm = arms[entry.arm]
        if arm.twin or catalog.find(arm.spec).loops_over_batch or (arm.device == "cpu" and arm.threads > 1):
            continue
        if arm.device in no_float64:
            continue
        entries.append(Entry(f"dispatch | {arm.id}", "dispatch", arm.id, dispatch_case(entry.case), None))
    return Group("dispatch", entries, LIMITS_BLOCKS, "dispatch")


def probes(main: Group, arms: dict[str, Arm]) -> list[Probe]:
    """One for each library in each place: one thread of the CPU, and every accelerator."""
    chosen: dict[tuple[str, str], Arm] = {}
    for entry in main.entries:
        arm = arms[entry.arm]
        if not arm.twin and (arm.device != "cpu" or arm.threads == 1):
            chosen.setdefault((arm.library, arm.device), arm)
    return [Probe(arm.id, main.entries[0].case, LIMITS_BLOCKS) for arm in chosen.values()]


def probing(asked: Iterable[Probe], groups: Iterable[Group], block: int) -> list[Probe]:
    """The probes that take part in a block of these groups: their arms have workers there."""
    present = {entry.arm for group in groups for entry in group.entries}
    return [
        probe for probe in asked if probe.arm in present and (probe.blocks is None or block <= probe.blocks)
    ]


def probe_job(plan: Plan, probe: Probe) -> ProbeJob:
    """What to time: whatever the plan's variants of that library ask it for."""
    arms = {arm.id: arm for arm in plan.arms}
    own = arms[probe.arm]
    specs = dict.fromkeys(arm.spec for arm in plan.arms if arm.library == own.library)
    return ProbeJob(own.device, probe.case.dtype, wanted(probe.case, specs))


def wanted(case: Case, specs: Iterable[str]) -> list[Kernel]:
    """List the operations that the formulas of these variants count, at their sizes and at 1; then the peaks.

    Passes are timed at B H, B O and H H elements; those over other numbers follow from these. Written in
    place they are timed at B H alone. A copy is timed that moves as many bytes as a call has to.
    """
    s = case.shape
    variants = [catalog.find(spec) for spec in specs]
    counts = [variant.count(case) for variant in variants if not variant.loops_over_batch]
    kernels = [operation.kernel for count in counts if count for operation in count.operations]
    chosen = [Kernel(CALL, (0,))]
    for kernel in kernels:
        if kernel.is_product:
            chosen += [kernel, kernel.at(1, 1, 1)]
    for form in dict.fromkeys(kernel.at() for kernel in kernels if not kernel.is_product):
        sizes = (1, s.B * s.H) if form.into else (1, s.B * s.O, s.H * s.H, s.B * s.H)
        chosen += [form.at(n) for n in sizes]
    chosen.append(PEAK_PRODUCT)
    names = dict.fromkeys(kernel.name for kernel in kernels if kernel.name in TRANSCENDENTAL)
    chosen += [Kernel(name, (PEAK_ELEMENTS,)) for name in names or ("tanh",)]
    moved = find_cell(case.cell).bytes_needed(case) // ITEMSIZE[case.dtype]
    chosen += [Kernel(COPY, (n,)) for n in (1, max(1, moved // 2), PEAK_COPY)]
    return list(dict.fromkeys(chosen))
