"""Plan a run: declare the groups of entries, each with its baseline, before the first sample.

A group is a table; its entries are timed shortly after each other in every block. The baseline is the cell's
own variant, on the CPU with the same thread count. The A/A control ("twin") is a second copy of the baseline;
the ratio of the two is the noise floor. There are also:

* ``ladder``: from the tutorial's NumPy program to its PyTorch program, one change at a time. Branches lead to
  programs that are not on this way: a workspace that is allocated once, and compiled code. The tutorial's
  claim is about its RNN: another cell, or biases, have the ladder without the claim.
* ``compiled``: the main case, run by compiled code.
* ``cells``: every cell but the RNN, with the RNN of the same arm as baseline: what another cell costs.
* ``dispatch``: the main case with one batch sample, feature, hidden unit and output. It makes the same calls
  on arrays that cost nothing. So its time is the cost of the calls themselves.
* probes: a worker times the basic operations of its library.
"""

import dataclasses
import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
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
from bench.workload.case import DEFAULT_CELL, LAYOUTS, TASKS, Case, Shape, sine_case
from bench.workload.cell import CELLS, find_cell
from bench.workload.options import RunOptions, changed, spelled

MARGIN = 0.02  # EQUIVALENT: the ratio lies within 2 % of 1
PRECISION = 0.01  # half-width of a headline's log ratio at which a run may stop early
ROUNDS, LEAST_ROUNDS, QUICK_ROUNDS = 30, 10, 15  # per block; fewer to fit a time budget
MIN_HELD_ROUNDS = 7  # minimum for the budget rule "hold": enough for three samples of slow calls
LADDER_BLOCKS = 6  # enough for an interval of each factor, and for the claim's verdict
LIMITS_BLOCKS = 6  # for dispatch and probes
SIZES: dict[str, tuple[int, ...]] = {  # the primer's
    "seq_len": (6,), "batch": (128,), "features": (), "hidden": (32,), "outputs": (8,),
}  # fmt: skip
TUTORIAL_CELL = {"cell": DEFAULT_CELL, "bias": False, "activation": "tanh"}  # of the claim
GRID_SIZES = SIZES | {
    "batch": (1, 4, 16, 32, 64, 128), "features": (6,), "hidden": (8, 32, 128, 512, 1024, 2048),
}  # fmt: skip
# in order of importance; all arms take part in the first, the main work
PRIMER_WORK = (
    ("train_step", "positional"),
    ("train_step", "sequence"),
    ("train_step", "single_step"),
    ("gradient", "positional"),
    ("forward", "positional"),
)


@dataclass(frozen=True, slots=True)
class Preset:
    """Hold what is measured if the user asks for nothing else."""

    roles: tuple[catalog.Role, ...]  # of variants that compute the whole batch at once; (): every variant
    blocks: int  # counted blocks
    budget_s: float | None = None  # less than the promised time, as finding devices and reporting take time


# The default measures the slow variants, which loop over the batch, only in the ladder. In a grid, which
# compares sizes, each library's usual form and its fastest forms suffice.
PRESETS = {
    "quick": Preset(("as_written", "fastest", "tutorial"), 3),
    "primer": Preset(("as_written", "fastest", "tutorial", "plain"), 10, 104.0),
    "grid": Preset(("as_written", "fastest"), 8, 585.0),
    "full": Preset((), 20),
    "cells": Preset(("as_written", "fastest"), 10, 104.0),
}


def variants_of(preset: str, *, lengths: bool = False) -> tuple[str, ...]:
    """Return the names of the variants that a preset measures; or those of different ``lengths``."""
    if lengths:
        return tuple(variant.name for variant in catalog.LENGTHS)
    roles = PRESETS[preset].roles
    return tuple(variant.name for variant in (catalog.by_role(*roles) if roles else catalog.VARIANTS))


@dataclass(frozen=True, slots=True)
class FixedChoice:
    """Hold the cases and arms of a refinement, which replace those from options and preset."""

    cases: tuple[Case, ...]
    arms: tuple[Arm, ...] = ()  # if empty, options and preset choose the arms


def make_plan(
    asked: RunOptions,
    devices: Devices,
    cpus: int,
    *,
    run: str,
    started_utc: str,
    command: list[str],
    budget_rule: BudgetRule | None = None,
    exactly: FixedChoice | None = None,
) -> Plan:
    """Declare the plan for these options, on a machine with these devices and ``cpus`` processors.

    A budget from the user is kept or refused, unless ``budget_rule`` sets another rule.

    Raises:
        UserError: a device is absent, options contradict each other, nothing can be measured, or there are
            too few blocks for the verdicts of a table.
    """
    planner = _Planner(asked, devices, cpus, exactly)
    cases = planner.cases()
    main_arms, side_arms = planner.choose_arms(catalog.baseline_of(cases[0]))
    groups = [planner.table(case, side_arms if n else main_arms) for n, case in enumerate(cases)]
    arms, rungs = planner.arms, list[Rung]()
    if asked.preset == "grid":
        groups = _fewer_twins(groups, arms.values())
    if asked.preset == "cells":
        groups += planner.cells(groups)
    if planner.standard:
        ladder, rungs = planner.ladder()
        groups.append(ladder)
    if planner.standard and asked.preset == "primer" and not asked.quick:
        compiled, branch = planner.compiled(groups[0].entries[0].case)
        groups, rungs = [*groups, compiled], [*rungs, *branch]
    if not any(comparisons(group, arms.values()) for group in groups):
        # an absent device is no reason where there is another, and names no variant
        of_variants = [missing for missing in planner.missing if missing.library]
        reasons = dict.fromkeys(missing.reason for missing in of_variants or planner.missing)
        if arms and not of_variants:
            names = ", ".join(dict.fromkeys(arm.variant for arm in arms.values()))
            reasons = {f"{names} is what others are compared with; choose another variant as well": None}
        raise UserError(f"nothing to measure: {'; '.join(reasons) or 'no variant was chosen'}")

    explains = not asked.quick and asked.preset not in ("grid", "cells")
    probes = planner.probes(groups[0]) if explains else []
    if probes:
        groups.append(planner.dispatch(groups[0]))
    groups = [group for group in groups if group.entries]
    used_ids = {entry.arm for group in groups for entry in group.entries}
    used_arms = [arm for arm in arms.values() if arm.id in used_ids]
    preset = "quick" if asked.quick else asked.preset
    budget_s = PRESETS[preset].budget_s if asked.budget is None and not planner.customised else asked.budget
    return Plan(
        schema=SCHEMA,
        run=run,
        version=bench.__version__,
        started_utc=started_utc,
        command=command,
        preset="custom" if planner.customised and preset not in ("quick", "grid", "cells") else preset,
        seed=secrets.randbelow(1 << 32) if asked.seed is None else asked.seed,
        blocks=_counted_blocks(asked, preset, groups, arms.values()),
        rounds=QUICK_ROUNDS if asked.quick else ROUNDS,
        verdicts=not asked.quick,
        margin=MARGIN,
        budget_s=budget_s,
        arms=used_arms,
        groups=groups,
        pairs=[
            *_headlines(groups, arms),
            *_packed(groups, arms),
            *(_claim(rungs) if planner.claimed else []),
        ],
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
    """Choose cases and arms, and make the groups; ``missing`` lists what cannot be measured, with reasons."""

    def __init__(self, asked: RunOptions, devices: Devices, cpus: int, exactly: FixedChoice | None) -> None:
        self.asked, self.devices, self.cpus, self._exactly = asked, devices, cpus, exactly
        self.ids, absent = resolve(asked.device or ["all"], devices)
        self.accelerators = [device for device in self.ids if device != "cpu"]
        self.missing = [Missing(device.kind, device.reason) for device in absent]
        self.arms: dict[str, Arm] = {arm.id: arm for arm in exactly.arms} if exactly else {}
        default_sizes = GRID_SIZES if asked.preset == "grid" else SIZES
        self.sizes = {name: getattr(asked, name) or sizes for name, sizes in default_sizes.items()}
        chosen = (asked.variant, asked.task, asked.layout, asked.threads, asked.lengths, exactly)
        self.cell_settings = catalog.cell_settings(
            asked.variant, cell=asked.cell, bias=asked.bias, activation=asked.activation
        )
        cell = find_cell(self.cell_settings["cell"])
        settings = (self.cell_settings["activation"], asked.dtype, asked.split)
        other_sizes = asked.preset != "grid" and self.sizes != SIZES  # a grid may have any sizes
        # true if the work differs from the preset, whose claim and time budget then do not apply
        self.customised = any(chosen) or other_sizes or settings != (cell.activations[0], "float32", "random")
        # the tutorial's work at its own size
        self.standard = not self.customised and asked.preset not in ("grid", "cells")
        self.claimed = self.standard and self.cell_settings == TUTORIAL_CELL

    def cases(self) -> list[Case]:
        """Return the cases, main case first: all tasks and layouts, of the user or the preset, at every size.

        Raises:
            UserError: the options contradict each other or this machine.
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
            n_first = None if asked.preset == "full" and not asked.quick else 1
            # lengths are of sequences, one value a step; the other layouts spread a window over its features
            layouts = ("sequence",) if asked.lengths else LAYOUTS[:n_first]
            work = list(product(asked.task or TASKS[:n_first], asked.layout or layouts))
        seq_lens, batches, features, hidden, outputs = self.sizes.values()
        cases: list[Case] = []
        for cell, (task, layout), T, B, H, O, shortest in product(  # noqa: E741
            self._settings(), work, seq_lens, batches, hidden, outputs, self._shortest(seq_lens)
        ):
            common = cell | {"dtype": asked.dtype, "split": asked.split, "seed": asked.seed or 0}
            common |= {"shortest": shortest}
            for I in features:  # noqa: E741  (the project's letters)
                cases.append(Case(task, Shape(T, B, I, H, O), "sequence", data="random", **common))
            if not features:
                cases.append(sine_case(task, layout, window=T, batch=B, hidden=H, outputs=O, **common))
        return list(dict.fromkeys(cases))

    def _settings(self) -> list[dict[str, Any]]:
        """Return the fields ``cell``, ``bias`` and ``activation`` of the cases: of all cells, or of one.

        Raises:
            UserError: all cells were asked for together with one of them, with an activation, or with
                variants of a user's cell.
        """
        if self.asked.preset != "cells":
            return [self.cell_settings]
        if chosen := {"cell", "activation"}.intersection(changed(self.asked)):
            raise UserError(
                "--preset=cells measures every cell, each with its usual activation; leave "
                f"{' and '.join(map(spelled, sorted(chosen)))} out"
            )
        if (own_cell := self.cell_settings["cell"]) not in CELLS:
            raise UserError(
                f"--preset=cells measures {', '.join(CELLS)}, not {own_cell}; choose variants of these"
            )
        return [catalog.cell_settings((), cell=cell, bias=self.asked.bias) for cell in CELLS]

    def _shortest(self, seq_lens: Sequence[int]) -> list[int | None]:
        """Return the shortest length of each spread that was asked for.

        Raises:
            UserError: the longest sequence of a spread has more or fewer than T steps.
        """
        for spread, T in product(self.asked.lengths, seq_lens):
            if spread.longest != T:
                raise UserError(
                    f"--lengths {spread}: the longest sequence must have the {T} steps of --seq-len {T}; "
                    f"give --seq-len {spread.longest} as well, or lengths up to {T}"
                )
        return [spread.shortest for spread in self.asked.lengths] or [None]

    def cells(self, tables: Sequence[Group]) -> list[Group]:
        """Return a group for every table of the RNN, with the same arms on the other cells."""
        groups = []
        for table in tables:
            case = table.entries[0].case
            if case.cell != DEFAULT_CELL:
                continue
            work = [dataclasses.replace(case, **settings) for settings in self._settings()]
            name = f"cells {table.name}"
            entries = [
                Entry(
                    f"{name} | {work_case.cell} {arm.id}",
                    name,
                    arm.id,
                    work_case,
                    f"{name} | {case.cell} {arm.id}" if work_case != case else None,
                )
                for arm in (self.arms[entry.arm] for entry in table.entries)
                if not arm.twin
                for work_case in work
                if self._why_not(arm, work_case) is None
            ]
            groups.append(Group(name, entries, kind="cells"))
        return groups

    def choose_arms(self, baseline: str) -> tuple[list[Arm], list[Arm]]:
        """Return the arms of the main case, and of the other cases, which have no all-thread arms."""
        if self._exactly and self._exactly.arms:
            return list(self._exactly.arms), list(self._exactly.arms)
        asked = self.asked
        quick = asked.quick and asked.preset != "cells"
        lengths = bool(asked.lengths)
        variants = asked.variant or variants_of("quick" if quick else asked.preset, lengths=lengths)
        accelerated = asked.variant or variants_of("primer" if quick else asked.preset, lengths=lengths)
        if asked.peers and ("cpu" not in self.ids or 1 not in (asked.threads or (1,))):
            raise UserError("--peers are measured on the CPU with one thread: give --threads 1 as well")
        if "cpu" in self.ids:
            for threads in asked.threads or (1,):
                specs = (baseline, *variants)
                peers = catalog.peers(specs) if asked.peers and threads == 1 else ()
                self._add_arms((*specs, *peers), "cpu", threads)
        for device in self.accelerators:
            kind = next(present.kind for present in self.devices.present if present.id == device)
            supported = [spec for spec in accelerated if kind in catalog.find(spec).devices]
            if supported or not self.arms:
                self._add_arms((baseline, *(supported or accelerated)), device, self.cpus)
        side_arms = list(self.arms.values())
        if asked.quick or not self.standard or self.cpus == 1 or "cpu" not in self.ids:
            return side_arms, side_arms
        # on all threads also: usual forms, and the fastest forms of the baseline's library
        home = catalog.find(catalog.BASELINE).library
        variants_by_role = catalog.by_role("as_written", "fastest")
        all_threads = [
            variant.name
            for variant in variants_by_role
            if variant.role == "as_written" or variant.library == home
        ]
        usual = variants if asked.preset == "full" else all_threads
        self._add_arms((baseline, *usual), "cpu", self.cpus, twin=False)
        all_arms = list(self.arms.values())
        return all_arms, all_arms if asked.preset == "full" else side_arms

    def _add_arms(self, specs: Sequence[str], device: str, threads: int, *, twin: bool = True) -> None:
        """Add variants; the first is the baseline, on the CPU, with its A/A control if ``twin``."""
        baseline, *specs = specs
        self.arm(baseline, "cpu", threads)
        if twin:
            self.arm(baseline, "cpu", threads, twin=True)
        for spec in specs:
            self.arm(spec, device, threads)

    def arm(self, spec: str, device: str = "cpu", threads: int = 1, *, twin: bool = False) -> Arm:
        """Return the arm of a variant on a device with threads; add the arm to the plan.

        Raises:
            UserError: two variants have the same name.
        """
        return add_arm(self.arms, catalog.find(spec), spec, device, threads, twin=twin)

    def table(self, case: Case, arms: Iterable[Arm]) -> Group:
        """Return the entries of a case; add an arm that cannot compute it to ``missing``, with the reason."""
        name = _group_name(case)
        entries: list[Entry] = []
        for arm in arms:
            entry_id = f"{name} | {arm.id}"
            if reason := self._why_not(arm, case):
                self.missing.append(Missing(entry_id, reason, arm.library))
                continue
            baseline = f"{name} | {catalog.find(catalog.baseline_of(case)).name}@cpu x{arm.threads}"
            entries.append(Entry(entry_id, name, arm.id, case, None if entry_id == baseline else baseline))
        return Group(name, entries)

    def _why_not(self, arm: Arm, case: Case) -> str | None:
        """Return why an arm cannot compute a case here, or None."""
        if arm.device in self.devices.without_float64 and (
            case.dtype == "float64" or too_small_for_float32(case)
        ):
            return f"{arm.device} has no float64, which this case, or its proof, needs"
        missing = self.devices.missing.get(arm.library)
        return missing or catalog.find(arm.spec).unsupported(case, arm.device)

    def ladder(self) -> tuple[Group, list[Rung]]:
        """Return the ladder and its rungs from top to bottom; empty without PyTorch or the CPU.

        A quick run leaves out rungs; the change of such a rung is added to the next rung. The last program of
        the main way also has a rung on every accelerator.
        """
        group = Group("ladder", [], None if self.asked.preset == "full" else LADDER_BLOCKS, "ladder")
        libraries = {catalog.find(step.variant).library for step in catalog.LADDER}
        if libraries & self.devices.missing.keys() or "cpu" not in self.ids:
            return group, []
        rungs: list[Rung] = []

        def add(arm: Arm, step: catalog.Step, above: str | None, change: str, *, branch: bool) -> str:
            case = self.step_case(step)
            # the id has the case's settings, because an arm may have several rungs
            entry_id = f"ladder | {arm.id} {case.layout} {case.dtype} {case.activation}"
            group.entries.append(Entry(entry_id, "ladder", arm.id, case, None))
            rungs.append(Rung(entry_id, above, change, branch))
            return entry_id

        entry_ids: dict[int, str] = {}  # entry ids by index in LADDER, of the rungs that are taken
        changes: list[str] = []
        above: str | None = None
        last_index = max(index for index, step in enumerate(catalog.LADDER) if step.branches_from is None)
        for index, step in enumerate(catalog.LADDER):
            branch = step.branches_from is not None
            if catalog.find(step.variant).unsupported(self.step_case(step), "cpu"):
                continue
            changes = [*changes, step.change] if entry_ids or not index else [step.first]
            if self.asked.quick and catalog.find(step.variant).role not in ("as_written", "tutorial"):
                changes = [] if branch else changes
                continue
            rung_above = above if step.branches_from is None else entry_ids[step.branches_from]
            entry_ids[index] = add(
                self.arm(step.variant), step, rung_above, "; ".join(changes), branch=branch
            )
            changes, above = [], above if branch else entry_ids[index]
            for device in self.accelerators if index == last_index else ():
                accelerated = self.arm(step.variant, device, self.cpus)
                add(accelerated, step, entry_ids[index], f"on {device}", branch=True)
        return group, rungs

    def step_case(self, step: catalog.Step) -> Case:
        """Return the case of a rung of the ladder, for the planned cell."""
        settings = self.cell_settings | {"activation": step.activation, "dtype": step.dtype}
        return sine_case("train_step", step.layout, seed=self.asked.seed or 0, **settings)

    def compiled(self, case: Case) -> tuple[Group, list[Rung]]:
        """Return the main case by compiled code, the same operations uncompiled, and the baseline."""
        (plain,), (compiled,) = catalog.by_role("plain"), catalog.by_role("compiled")
        arms = [self.arm(spec) for spec in (catalog.BASELINE, plain.name, compiled.name)]
        ids = [f"compiled | {arm.id}" for arm in arms]
        reason = self._why_not(arms[2], case) if "cpu" in self.ids else "the CPU was not asked for"
        if reason:
            self.missing.append(Missing(ids[2], reason, arms[2].library))
            return Group("compiled", []), []
        baselines = (None, None, ids[0])
        entries = [
            Entry(entry_id, "compiled", arm.id, case, baseline)
            for entry_id, arm, baseline in zip(ids, arms, baselines, strict=True)
        ]
        rung = Rung(ids[2], ids[1], "compiled", branch=True)
        return Group("compiled", entries, LADDER_BLOCKS, "compiled"), [rung]

    def dispatch(self, main: Group) -> Group:
        """Return an entry for each arm of the main group whose number of calls does not depend on the size.

        The proof of arrays with one number needs float64, so devices and variants without it have no entry.
        """
        entries = []
        for entry in main.entries:
            arm, case = self.arms[entry.arm], entry.case
            variant = catalog.find(arm.spec)
            provable = "float64" in variant.dtypes and arm.device not in self.devices.without_float64
            if _is_probed(arm) and not variant.loops_over_batch and provable:
                tiny_shape = Shape(case.shape.T, 1, 1, 1, 1)
                tiny_case = dataclasses.replace(case, shape=tiny_shape, layout="sequence", data="random")
                entries.append(Entry(f"dispatch | {arm.id}", "dispatch", arm.id, tiny_case, None))
        return Group("dispatch", entries, LIMITS_BLOCKS, "dispatch")

    def probes(self, main: Group) -> list[Probe]:
        """Return a probe for each library at each place: one thread of the CPU, and every accelerator."""
        chosen: dict[tuple[str, str], Arm] = {}
        for arm in (self.arms[entry.arm] for entry in main.entries):
            if _is_probed(arm):
                chosen.setdefault((arm.library, arm.device), arm)
        return [Probe(arm.id, main.entries[0].case, LIMITS_BLOCKS) for arm in chosen.values()]


def add_arm(
    arms: dict[str, Arm],
    variant: catalog.Variant,
    spec: str,
    device: str,
    threads: int,
    *,
    twin: bool = False,
) -> Arm:
    """Return the arm of a variant on a device with threads, which is added to ``arms`` by its id.

    Raises:
        UserError: two variants have the same name.
    """
    arm_id = f"{variant.name}@{device} x{threads}" + (" twin" if twin else "")
    new = Arm(
        arm_id, spec, variant.name, variant.library, device, threads, twin, variant.known_wrong, variant.peer
    )
    arm = arms.setdefault(arm_id, new)
    if arm.spec != spec:
        raise UserError(f"{arm.spec} and {spec} are both called {arm.variant!r}: rename one")
    return arm


def _is_probed(arm: Arm) -> bool:
    """Return whether the arm stands for a probed place: no A/A control, and on the CPU one thread."""
    return not arm.twin and (arm.device != "cpu" or arm.threads == 1)


def probing(plan: Plan, groups: Iterable[Group], block: int) -> list[Probe]:
    """Return the probes that take part in a block; only arms of these groups have workers in the block."""
    arm_ids = {entry.arm for group in groups for entry in group.entries}
    return [
        probe
        for probe in plan.probes
        if probe.arm in arm_ids and (probe.blocks is None or block <= probe.blocks)
    ]


def probe_job(plan: Plan, probe: Probe) -> ProbeJob:
    """Return the job of a probe: time all operations of the plan's variants of the probe's library."""
    (probed_arm,) = (arm for arm in plan.arms if arm.id == probe.arm)
    specs = dict.fromkeys(arm.spec for arm in plan.arms if arm.library == probed_arm.library)
    return ProbeJob(probed_arm.device, probe.case.dtype, wanted(probe.case, specs))


def active(groups: Iterable[Group], block: int) -> list[Group]:
    """Return the groups that take part in a counted block."""
    return [group for group in groups if group.blocks is None or block <= group.blocks]


def without(group: Group, arms: Collection[str]) -> Group:
    """Return the group without the entries of these arms; ``arms`` holds ids."""
    return replace(group, entries=[entry for entry in group.entries if entry.arm not in arms])


def _without_twins(group: Group, arms: Iterable[Arm]) -> Group:
    return without(group, {arm.id for arm in arms if arm.twin})


def comparisons(group: Group, arms: Iterable[Arm]) -> int:
    """Count the verdicts of a table that are judged together, of libraries or of peers, without control."""
    peers = {arm.id: arm.peer for arm in arms if not arm.twin}
    judged = [peers[entry.arm] for entry in group.entries if entry.baseline and entry.arm in peers]
    return max(judged.count(True), judged.count(False))


def min_blocks_for_verdicts(groups: Iterable[Group], arms: Collection[Arm]) -> int:
    """Return the minimum number of blocks with which each family (table, or all twins) can get verdicts."""
    n_twins = sum(len(group.entries) - len(_without_twins(group, arms).entries) for group in groups)
    n_verdicts = [comparisons(group, arms) for group in groups if group.blocks is None]
    return max(MIN_BLOCKS, blocks_needed(n_twins, ALPHA), *map(blocks_needed, n_verdicts))


def min_blocks_of_plan(plan: Plan, groups: Iterable[Group]) -> int:
    """Return the minimum number of blocks, whatever the budget: as many as verdicts need, or one."""
    return min_blocks_for_verdicts(groups, plan.arms) if plan.verdicts and plan.budget_rule != "hold" else 1


def _group_name(case: Case) -> str:
    """Return task and layout; add the shape if it is not the primer's."""
    cell = "" if case.cell == DEFAULT_CELL else f"{case.cell} "
    if case.data == "random":
        return f"{cell}{case.task} random {case.size}"
    name = f"{cell}{case.task} {case.layout}"
    return name if case.size == sine_case(case.task, case.layout).size else f"{name} {case.size}"


def _fewer_twins(groups: Sequence[Group], arms: Collection[Arm]) -> list[Group]:
    """Keep the A/A control in three tables, of least, median and most work: more would need more blocks."""
    by_work = sorted(
        (group for group in groups if group.entries), key=lambda group: group.entries[0].case.shape.work
    )
    kept_names = {by_work[index].name for index in (0, len(by_work) // 2, -1)} if by_work else set()
    return [group if group.name in kept_names else _without_twins(group, arms) for group in groups]


def _headlines(groups: Sequence[Group], arms: dict[str, Arm]) -> list[Pair]:
    """Return the headlines known before block 0: A/A controls, compiled, as written for the main task."""
    main_task = groups[0].entries[0].case.task

    def kind(group: Group, entry: Entry) -> PairKind | None:
        if arms[entry.arm].twin:
            return "twin"
        if group.kind == "compiled":
            return "compiled"
        if group.kind == "cells":
            return "cell"
        role = catalog.find(arms[entry.arm].spec).role
        return "as_written" if role == "as_written" and entry.case.task == main_task else None

    return [
        Pair(pair_kind, entry.id, entry.baseline)
        for group in groups
        for entry in group.entries
        if entry.baseline is not None and (pair_kind := kind(group, entry))
    ]


def _packed(groups: Iterable[Group], arms: Mapping[str, Arm]) -> Iterator[Pair]:
    """Pair packed sequences with masked ones of the same library, threads and device, in every table."""
    for group in (group for group in groups if group.kind == "table"):
        placed = {
            (arm.spec, arm.device, arm.threads): entry.id
            for entry in group.entries
            if not (arm := arms[entry.arm]).twin
        }
        for (spec, device, threads), packed in placed.items():
            if masked := placed.get((catalog.MASKED.get(spec, ""), device, threads)):
                yield Pair("packed", packed, masked)


def _claim(rungs: Iterable[Rung]) -> list[Pair]:
    """Return the pair of the tutorial's claim: last and first rung of the main way; their work differs."""
    main_way = [rung.entry for rung in rungs if not rung.branch]
    return [Pair("claim", main_way[-1], main_way[0])] if len(main_way) > 1 else []


def _counted_blocks(asked: RunOptions, preset: str, groups: Sequence[Group], arms: Collection[Arm]) -> int:
    """Return the number of counted blocks.

    Raises:
        UserError: too many blocks, or too few for the verdicts of some table.
    """
    if asked.blocks is not None and asked.blocks > MAX_BLOCKS:
        raise UserError(f"--blocks {asked.blocks}: a run has at most {MAX_BLOCKS}")
    n_needed = 1 if asked.quick else min_blocks_for_verdicts(groups, arms)
    if asked.blocks is None:
        return max(PRESETS[preset].blocks, n_needed)
    if asked.blocks < n_needed:
        largest = max(comparisons(group, arms) for group in groups)
        raise UserError(
            f"a table of {largest} comparisons needs {n_needed} blocks for a verdict, not {asked.blocks}; "
            "give more --blocks, choose fewer variants, or take --quick for times without verdicts"
        )
    return asked.blocks
