"""The plan: groups of entries, each against its baseline, declared before the first value.

A group is a table: entries that are neighbours in time in every block. The baseline is the cell's own, on
the CPU with the same thread count; its twin is the A/A control, whose ratio to it is the noise floor. Beside
the tables stand

* ``ladder``: from the tutorial's NumPy program to its PyTorch program, one change at a time. Branches lead to
  what is on no way from the one to the other: a workspace that is allocated once, and compiled code.
* ``compiled``: the main case by compiled code.
* ``dispatch``: the main case with one sample, one feature, one hidden unit and one output. It makes the same
  calls on arrays that cost nothing, so its time is what the calls themselves cost.
* probes, which have a worker time the basic operations of its library.
"""

import dataclasses
import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from msgspec.structs import replace

import bench
from bench.analysis.statistics import ALPHA, MIN_BLOCKS, blocks_needed
from bench.machine.devices import Devices, resolve
from bench.machine.errors import UserError
from bench.machine.gates import LIMITS
from bench.measure.messages import ProbeJob
from bench.measure.primitives import wanted
from bench.proof.tolerance import too_small_for_float32
from bench.records.record import (
    MAX_BLOCKS,
    SCHEMA,
    Arm,
    BudgetRule,
    Entry,
    Group,
    Missing,
    OwnLibrary,
    Pair,
    PairKind,
    Plan,
    Probe,
    Rung,
)  # fmt: skip
from bench.workload import catalog
from bench.workload.case import LAYOUTS, TASKS, Case, Shape, sine_case
from bench.workload.cell import find_cell
from bench.workload.options import RunOptions

MARGIN = 0.02
PRECISION = 0.01  # half-width of a headline's log ratio at which a run may stop early
ROUNDS, LEAST_ROUNDS, QUICK_ROUNDS = 30, 10, 15  # of a block; fewer where a time budget asks for it
HELD_ROUNDS = 7  # where a budget holds, at least: of slow calls three values
LADDER_BLOCKS = 6  # enough for an interval of each factor, and for the claim's verdict
LIMITS_BLOCKS = 6  # of dispatch and probes
SIZES: dict[str, tuple[int, ...]] = {  # the primer's
    "seq_len": (6,), "batch": (128,), "features": (), "hidden": (32,), "outputs": (8,),
}  # fmt: skip
GRID_SIZES = SIZES | {
    "batch": (1, 4, 16, 32, 64, 128), "features": (6,), "hidden": (8, 32, 128, 512, 1024, 2048),
}  # fmt: skip
# in the order of their importance; the first is the main one, which every arm takes part in
PRIMER_WORK = (
    ("train_step", "positional"),
    ("train_step", "sequence"),
    ("train_step", "single_step"),
    ("gradient", "positional"),
    ("forward", "positional"),
)


@dataclass(frozen=True, slots=True)
class Preset:
    """What is measured where nothing else is asked for."""

    roles: tuple[catalog.Role, ...]  # of variants that take the whole batch at once; () for every variant
    blocks: int  # counted ones
    budget_s: float | None = None  # less than what is promised: devices are found, and the report is drawn


# The default leaves the slow variants, which loop over the batch, to the ladder. Where a size is the
# question, as in a grid, how each library is usually written and its fastest forms suffice.
PRESETS = {
    "quick": Preset(("as_written", "fastest", "tutorial"), 3),
    "primer": Preset(("as_written", "fastest", "tutorial", "plain"), 10, 104.0),
    "grid": Preset(("as_written", "fastest"), 8, 585.0),
    "full": Preset((), 20),
}


def variants_of(preset: str) -> tuple[str, ...]:
    """Return the names of the variants that a preset measures."""
    roles = PRESETS[preset].roles
    return tuple(variant.name for variant in (catalog.by_role(*roles) if roles else catalog.VARIANTS))


@dataclass(frozen=True, slots=True)
class Exactly:
    """The cases and arms of a refinement, whatever options and preset would choose."""

    cases: tuple[Case, ...]
    arms: tuple[Arm, ...] = ()  # those that options and preset choose, where there are none


def make_plan(
    asked: RunOptions,
    devices: Devices,
    cpus: int,
    *,
    run: str,
    started_utc: str,
    command: list[str],
    budget_rule: BudgetRule | None = None,
    exactly: Exactly | None = None,
) -> Plan:
    """Turn what is asked for into a declared plan, on a machine with these devices and so many processors.

    A budget that is asked for is kept or refused, unless ``budget_rule`` says otherwise.

    Raises:
        UserError: a device that is absent, options that contradict each other, nothing to measure, or too few
            blocks for the verdicts of a table.
    """
    planner = _Planner(asked, devices, cpus, exactly)
    main_arms, side_arms = planner.choose_arms()
    groups = [planner.table(case, side_arms if n else main_arms) for n, case in enumerate(planner.cases())]
    arms, rungs = planner.arms, list[Rung]()
    if asked.preset == "grid":
        groups = _fewer_twins(groups, arms.values())
    if planner.standard:
        ladder, rungs = planner.ladder()
        groups.append(ladder)
    if planner.standard and asked.preset == "primer" and not asked.quick:
        compiled, branch = planner.compiled(groups[0].entries[0].case)
        groups, rungs = [*groups, compiled], [*rungs, *branch]
    if not any(comparisons(group, arms.values()) for group in groups):
        reasons = "; ".join(dict.fromkeys(each.reason for each in planner.missing)) or "no variant was chosen"
        raise UserError(f"nothing to measure: {reasons}")

    asks_why = not asked.quick and asked.preset != "grid"
    probes = planner.probes(groups[0]) if asks_why else []
    if probes:
        groups.append(planner.dispatch(groups[0]))
    groups = [group for group in groups if group.entries]
    used = {entry.arm for group in groups for entry in group.entries}
    used_arms = [arm for arm in arms.values() if arm.id in used]
    preset = "quick" if asked.quick else asked.preset
    budget_s = PRESETS[preset].budget_s if asked.budget is None and not planner.customised else asked.budget
    return Plan(
        schema=SCHEMA,
        run=run,
        version=bench.__version__,
        started_utc=started_utc,
        command=command,
        preset="custom" if planner.customised and preset not in ("quick", "grid") else preset,
        seed=secrets.randbelow(1 << 32) if asked.seed is None else asked.seed,
        blocks=_blocks(asked, preset, groups, arms.values()),
        rounds=QUICK_ROUNDS if asked.quick else ROUNDS,
        verdicts=not asked.quick,
        margin=MARGIN,
        budget_s=budget_s,
        arms=used_arms,
        groups=groups,
        pairs=[*_pairs(groups, arms), *_claim(rungs)],
        missing=planner.missing,
        gates=dict(LIMITS),
        precision=None if asked.quick else PRECISION,
        ladder=rungs,
        probes=probes,
        isolate=asked.isolate,
        budget_rule=budget_rule or ("aim" if asked.budget is None else "refuse"),
        libraries=[OwnLibrary.of(name) for name in catalog.own_libraries(arm.spec for arm in used_arms)],
    )


class _Planner:
    """Chooses cases and arms, and makes the groups; ``missing`` is what cannot be measured, and why."""

    def __init__(self, asked: RunOptions, devices: Devices, cpus: int, exactly: Exactly | None) -> None:
        self.asked, self.devices, self.cpus, self._exactly = asked, devices, cpus, exactly
        self.ids, absent = resolve(asked.device or ["all"], devices)
        self.accelerators = [device for device in self.ids if device != "cpu"]
        self.missing = [Missing(each.kind, each.reason) for each in absent]
        self.arms: dict[str, Arm] = {arm.id: arm for arm in exactly.arms} if exactly else {}
        usual = GRID_SIZES if asked.preset == "grid" else SIZES
        self.sizes = {name: getattr(asked, name) or sizes for name, sizes in usual.items()}
        chosen = (asked.variant, asked.task, asked.layout, asked.threads, exactly)
        settings = (asked.activation, asked.dtype, asked.split)
        other_sizes = asked.preset != "grid" and self.sizes != SIZES  # a grid is one of any sizes
        # whether the work differs from the preset's, so that its claim and time budget do not apply
        self.customised = any(chosen) or other_sizes or settings != ("tanh", "float32", "random")
        self.standard = not self.customised and asked.preset != "grid"  # the tutorial's work at its own size

    def cases(self) -> list[Case]:
        """Return the cases, the main one first: tasks and layouts as asked or of the preset, at every size.

        Raises:
            UserError: options that contradict each other or this machine.
        """
        asked = self.asked
        if self._exactly:
            return list(self._exactly.cases)
        if self.sizes["features"] and asked.layout:
            raise UserError(
                "--features makes random data of any shape, which has no --layout: give one of the two"
            )
        if too_many := [threads for threads in asked.threads if threads > self.cpus]:
            raise UserError(
                f"--threads {too_many[0]}: this machine has {self.cpus} usable processors, and more "
                "threads than that would compete for them"
            )
        work: Sequence[tuple[str, str]] = PRIMER_WORK[:1] if asked.quick else PRIMER_WORK
        if not self.standard or (asked.preset == "full" and not asked.quick):
            first = None if asked.preset == "full" and not asked.quick else 1
            work = list(product(asked.task or TASKS[:first], asked.layout or LAYOUTS[:first]))
        common: dict[str, Any] = {
            "dtype": asked.dtype,
            "activation": asked.activation,
            "split": asked.split,
            "seed": asked.seed or 0,
            "cell": catalog.cell_of(asked.variant),
        }
        lengths, batches, features, hidden, outputs = self.sizes.values()
        chosen: list[Case] = []
        for (task, layout), T, B, H, O in product(work, lengths, batches, hidden, outputs):  # noqa: E741
            for I in features:  # noqa: E741  (the project's letters)
                chosen.append(Case(task, Shape(T, B, I, H, O), "sequence", data="random", **common))
            if not features:
                chosen.append(sine_case(task, layout, window=T, batch=B, hidden=H, outputs=O, **common))
        return list(dict.fromkeys(chosen))

    def choose_arms(self) -> tuple[list[Arm], list[Arm]]:
        """Return the arms of the main case, and of the others: those without all-thread arms."""
        if self._exactly and self._exactly.arms:
            return list(self._exactly.arms), list(self._exactly.arms)
        asked = self.asked
        variants = asked.variant or variants_of("quick" if asked.quick else asked.preset)
        accelerated = asked.variant or variants_of("primer" if asked.quick else asked.preset)
        if "cpu" in self.ids:
            for threads in asked.threads or (1,):
                self._add(variants, "cpu", threads)
        for device in self.accelerators:
            kind = next(each.kind for each in self.devices.present if each.id == device)
            able = [spec for spec in accelerated if kind in catalog.find(spec).devices]
            if able or not self.arms:
                self._add(able or accelerated, device, self.cpus)
        side = list(self.arms.values())
        if asked.quick or not self.standard or self.cpus == 1 or "cpu" not in self.ids:
            return side, side
        # as usually written, and the baseline's library at its fastest, also on all threads
        home = catalog.find(catalog.BASELINE).library
        chosen = catalog.by_role("as_written", "fastest")
        all_threads = [v.name for v in chosen if v.role == "as_written" or v.library == home]
        self._add(variants if asked.preset == "full" else all_threads, "cpu", self.cpus, twin=False)
        everything = list(self.arms.values())
        return everything, everything if asked.preset == "full" else side

    def _add(self, specs: Iterable[str], device: str, threads: int, *, twin: bool = True) -> None:
        """Add the baseline at that thread count, its twin, and the variants on the device."""
        baseline = find_cell(catalog.cell_of(self.asked.variant)).baseline
        self.arm(baseline, "cpu", threads)
        if twin:
            self.arm(baseline, "cpu", threads, twin=True)
        for spec in specs:
            self.arm(spec, device, threads)

    def arm(self, spec: str, device: str = "cpu", threads: int = 1, *, twin: bool = False) -> Arm:
        """Return the arm of a variant in its place, which is one of the plan's from now on.

        Raises:
            UserError: two variants of one name.
        """
        variant = catalog.find(spec)
        name = f"{variant.name}@{device} x{threads}" + (" twin" if twin else "")
        new = Arm(name, spec, variant.name, variant.library, device, threads, twin, variant.known_wrong)
        arm = self.arms.setdefault(name, new)
        if arm.spec != spec:
            raise UserError(f"{arm.spec} and {spec} are both called {arm.variant!r}: rename one")
        return arm

    def table(self, case: Case, arms: Iterable[Arm]) -> Group:
        """Return the entries of one case; what an arm does not support joins ``missing`` with the reason."""
        name = _group_name(case)
        entries: list[Entry] = []
        for arm in arms:
            own = f"{name} | {arm.id}"
            if reason := self._why_not(arm, case):
                self.missing.append(Missing(own, reason, arm.library))
                continue
            baseline = f"{name} | {catalog.find(find_cell(case.cell).baseline).name}@cpu x{arm.threads}"
            entries.append(Entry(own, name, arm.id, case, None if own == baseline else baseline))
        return Group(name, entries)

    def _why_not(self, arm: Arm, case: Case) -> str | None:
        """Return why an arm cannot compute a case here; None where it can."""
        if arm.device in self.devices.without_float64 and (
            case.dtype == "float64" or too_small_for_float32(case)
        ):
            return f"{arm.device} has no float64, which this case, or its proof, needs"
        missing = self.devices.missing.get(arm.library)
        return missing or catalog.find(arm.spec).unsupported(case, arm.device)

    def ladder(self) -> tuple[Group, list[Rung]]:
        """Return the ladder and its rungs from top to bottom; empty without PyTorch or the CPU.

        A quick run leaves rungs out; what changed there joins what changes at the next one. The last program
        on the way has a rung on every accelerator as well.
        """
        group = Group("ladder", [], None if self.asked.preset == "full" else LADDER_BLOCKS, "ladder")
        libraries = {catalog.find(step.variant).library for step in catalog.LADDER}
        if libraries & self.devices.missing.keys() or "cpu" not in self.ids:
            return group, []
        rungs: list[Rung] = []

        def add(arm: Arm, step: catalog.Step, above: str | None, change: str, *, branch: bool) -> str:
            case = sine_case(
                "train_step",
                step.layout,
                dtype=step.dtype,
                activation=step.activation,
                seed=self.asked.seed or 0,
            )
            own = f"ladder | {arm.id} {case.layout} {case.dtype} {case.activation}"  # on more than one rung
            group.entries.append(Entry(own, "ladder", arm.id, case, None))
            rungs.append(Rung(own, above, change, branch))
            return own

        places: dict[int, str] = {}  # of those in LADDER that are taken
        passed: list[str] = []
        above: str | None = None
        last = max(place for place, step in enumerate(catalog.LADDER) if step.branches_from is None)
        for place, step in enumerate(catalog.LADDER):
            branch = step.branches_from is not None
            passed.append(step.change)
            if self.asked.quick and catalog.find(step.variant).role not in ("as_written", "tutorial"):
                passed = [] if branch else passed
                continue
            start = above if step.branches_from is None else places[step.branches_from]
            places[place] = add(self.arm(step.variant), step, start, "; ".join(passed), branch=branch)
            passed, above = [], above if branch else places[place]
            for device in self.accelerators if place == last else ():
                there = self.arm(step.variant, device, self.cpus)
                add(there, step, places[place], f"on {device}", branch=True)
        return group, rungs

    def compiled(self, case: Case) -> tuple[Group, list[Rung]]:
        """Return the main case by compiled code, beside its baseline and the same operations uncompiled."""
        (plain,), (compiled,) = catalog.by_role("plain"), catalog.by_role("compiled")
        arms = [self.arm(spec) for spec in (catalog.BASELINE, plain.name, compiled.name)]
        ids = [f"compiled | {arm.id}" for arm in arms]
        reason = self._why_not(arms[2], case) if "cpu" in self.ids else "the CPU was not asked for"
        if reason:
            self.missing.append(Missing(ids[2], reason, arms[2].library))
            return Group("compiled", []), []
        baselines = (None, None, ids[0])
        entries = [
            Entry(own, "compiled", arm.id, case, baseline)
            for own, arm, baseline in zip(ids, arms, baselines, strict=True)
        ]
        rung = Rung(ids[2], ids[1], "compiled", branch=True)
        return Group("compiled", entries, LADDER_BLOCKS, "compiled"), [rung]

    def dispatch(self, main: Group) -> Group:
        """Return an entry for every arm of the main group that makes the same number of calls at any size.

        Arrays of one number are proved in float64, so a device without it has none.
        """
        entries = []
        for entry in main.entries:
            arm, case = self.arms[entry.arm], entry.case
            same_calls = not catalog.find(arm.spec).loops_over_batch
            if _is_probed(arm) and same_calls and arm.device not in self.devices.without_float64:
                one = Shape(case.shape.T, 1, 1, 1, 1)
                tiny = dataclasses.replace(case, shape=one, layout="sequence", data="random")
                entries.append(Entry(f"dispatch | {arm.id}", "dispatch", arm.id, tiny, None))
        return Group("dispatch", entries, LIMITS_BLOCKS, "dispatch")

    def probes(self, main: Group) -> list[Probe]:
        """Return one for each library in each place: one thread of the CPU, and every accelerator."""
        chosen: dict[tuple[str, str], Arm] = {}
        for arm in (self.arms[entry.arm] for entry in main.entries):
            if _is_probed(arm):
                chosen.setdefault((arm.library, arm.device), arm)
        return [Probe(arm.id, main.entries[0].case, LIMITS_BLOCKS) for arm in chosen.values()]


def _is_probed(arm: Arm) -> bool:
    """Return whether it is one in whose place a library is timed: no twin, and on the CPU one thread."""
    return not arm.twin and (arm.device != "cpu" or arm.threads == 1)


def probing(plan: Plan, groups: Iterable[Group], block: int) -> list[Probe]:
    """Return the probes that take part in a block of these groups: their arms have workers there."""
    present = {entry.arm for group in groups for entry in group.entries}
    return [
        probe
        for probe in plan.probes
        if probe.arm in present and (probe.blocks is None or block <= probe.blocks)
    ]


def probe_job(plan: Plan, probe: Probe) -> ProbeJob:
    """Return what to time: whatever the plan's variants of that library ask it for."""
    (own,) = (arm for arm in plan.arms if arm.id == probe.arm)
    specs = dict.fromkeys(arm.spec for arm in plan.arms if arm.library == own.library)
    return ProbeJob(own.device, probe.case.dtype, wanted(probe.case, specs))


def active(groups: Iterable[Group], block: int) -> list[Group]:
    """Return the groups that take part in a counted block."""
    return [group for group in groups if group.blocks is None or block <= group.blocks]


def without(group: Group, arms: Collection[str]) -> Group:
    """Leave out a group's entries of these arms, given by their ids."""
    return replace(group, entries=[entry for entry in group.entries if entry.arm not in arms])


def _without_twins(group: Group, arms: Iterable[Arm]) -> Group:
    return without(group, {arm.id for arm in arms if arm.twin})


def comparisons(group: Group, arms: Iterable[Arm]) -> int:
    """Count the verdicts that a table asks for: its entries with a baseline; the twin is the control."""
    return sum(entry.baseline is not None for entry in _without_twins(group, arms).entries)


def fewest_blocks(groups: Iterable[Group], arms: Collection[Arm]) -> int:
    """Count the blocks below which some family of verdicts, a table or all twins, could not reach one."""
    twins = sum(len(group.entries) - len(_without_twins(group, arms).entries) for group in groups)
    families = [comparisons(group, arms) for group in groups if group.blocks is None]
    return max(MIN_BLOCKS, blocks_needed(twins, ALPHA), *map(blocks_needed, families))


def least_blocks(plan: Plan, groups: Iterable[Group]) -> int:
    """Count the blocks that are measured whatever the time budget: what verdicts need, or one."""
    return fewest_blocks(groups, plan.arms) if plan.verdicts and plan.budget_rule != "hold" else 1


def _group_name(case: Case) -> str:
    """Return task and layout, and the shape where it is not the primer's."""
    if case.data == "random":
        return f"{case.task} random {case.shape}"
    name = f"{case.task} {case.layout}"
    return name if case.shape == sine_case(case.task, case.layout).shape else f"{name} {case.shape}"


def _fewer_twins(groups: Sequence[Group], arms: Collection[Arm]) -> list[Group]:
    """Keep a twin in three tables, of least, middling and most work: more would ask for more blocks."""
    by_work = sorted(
        (group for group in groups if group.entries), key=lambda group: group.entries[0].case.shape.work
    )
    kept = {by_work[place].name for place in (0, len(by_work) // 2, -1)} if by_work else set()
    return [group if group.name in kept else _without_twins(group, arms) for group in groups]


def _pairs(groups: Sequence[Group], arms: dict[str, Arm]) -> list[Pair]:
    """Return the headlines known before block 0: twins, compiled code, as written for the main task."""
    main_task = groups[0].entries[0].case.task

    def kind(group: Group, entry: Entry) -> PairKind | None:
        if arms[entry.arm].twin:
            return "twin"
        if group.kind == "compiled":
            return "compiled"
        role = catalog.find(arms[entry.arm].spec).role
        return "as_written" if role == "as_written" and entry.case.task == main_task else None

    return [
        Pair(own, entry.id, entry.baseline)
        for group in groups
        for entry in group.entries
        if entry.baseline is not None and (own := kind(group, entry))
    ]


def _claim(rungs: Iterable[Rung]) -> list[Pair]:
    """Return the tutorial's claim: the last rung on the way over the first one. Different work."""
    way = [rung.entry for rung in rungs if not rung.branch]
    return [Pair("claim", way[-1], way[0])] if len(way) > 1 else []


def _blocks(asked: RunOptions, preset: str, groups: Sequence[Group], arms: Collection[Arm]) -> int:
    """Return the counted blocks; refuse a number at which a table could never reach a verdict."""
    if asked.blocks is not None and asked.blocks > MAX_BLOCKS:
        raise UserError(f"--blocks {asked.blocks}: a run has at most {MAX_BLOCKS}")
    needed = 1 if asked.quick else fewest_blocks(groups, arms)
    if asked.blocks is None:
        return max(PRESETS[preset].blocks, needed)
    if asked.blocks < needed:
        family = max(comparisons(group, arms) for group in groups)
        raise UserError(
            f"a table of {family} comparisons needs {needed} blocks for a verdict, not {asked.blocks}; "
            "give more --blocks, choose fewer variants, or take --quick for times without verdicts"
        )
    return asked.blocks
