"""The ladder: from the tutorial's NumPy program to its PyTorch program, one change at a time.

Its entries are one group, neighbours in time in every block, so that the way from each rung to the next is
taken within blocks. Side branches lead to what is on no way from the one program to the other: a
workspace that is allocated once, and compiled code.
"""

from collections.abc import Iterable

from bench.measure.preset import Wishes, make_arm
from bench.records.record import Arm, Entry, Group, Missing, Pair, Rung
from bench.workload import catalog
from bench.workload.case import Case, sine_case

LADDER_BLOCKS = 6  # enough for an interval of each factor, and for the claim's verdict
QUICK_ROLES = ("as_written", "tutorial")  # of what stands on the rungs that a quick run takes


def ladder_group(wishes: Wishes) -> tuple[Group, list[Rung], list[Arm]]:
    """The group, its rungs from top to bottom, and the arms it takes; empty without PyTorch or the CPU.

    A quick run leaves rungs out; what changed there joins what changes at the next one.
    """
    group = Group("ladder", [], None if wishes.preset == "full" else LADDER_BLOCKS, "ladder")
    libraries = {catalog.find(step.variant).library for step in catalog.LADDER}
    if libraries & wishes.missing_libraries.keys() or "cpu" not in wishes.devices:
        return group, [], []
    arms: dict[str, Arm] = {}
    rungs: list[Rung] = []
    places: dict[int, str] = {}  # of those in LADDER that are taken
    passed: list[str] = []
    above: str | None = None
    accelerators = [device for device in wishes.devices if device != "cpu"]
    last = max(place for place, step in enumerate(catalog.LADDER) if step.branches_from is None)
    for place, step in enumerate(catalog.LADDER):
        branch = step.branches_from is not None
        passed.append(step.change)
        if wishes.quick and catalog.find(step.variant).role not in QUICK_ROLES:
            passed = [] if branch else passed
            continue
        case = _case(step, wishes.seed or 0)
        arm = make_arm(step.variant, "cpu", 1)
        entry = _entry(arm, case)
        start = above if step.branches_from is None else places[step.branches_from]
        rungs.append(Rung(entry.id, start, "; ".join(passed), branch))
        group.entries.append(entry)
        arms[arm.id], places[place] = arm, entry.id
        passed, above = [], above if branch else entry.id
        for device in accelerators if place == last else ():
            there = make_arm(step.variant, device, wishes.all_threads)
            group.entries.append(_entry(there, case))
            arms[there.id] = there
            rungs.append(Rung(group.entries[-1].id, entry.id, f"on {device}", branch=True))
    return group, rungs, list(arms.values())


def claim(rungs: Iterable[Rung]) -> list[Pair]:
    """The tutorial's claim: the last rung on the way over the first one. Different work."""
    way = [rung.entry for rung in rungs if not rung.branch]
    return [Pair("claim", way[-1], way[0])] if len(way) > 1 else []


def compiled_group(case: Case, wishes: Wishes, missing: list[Missing]) -> tuple[Group, list[Rung], list[Arm]]:
    """The main case by compiled code, beside its baseline and the same operations without a compiler.

    Where nothing can be compiled, ``missing`` gets the reason.
    """
    (plain,), (compiled,) = catalog.by_role("plain"), catalog.by_role("compiled")
    arms = [make_arm(spec, "cpu", 1) for spec in (catalog.BASELINE, plain.name, compiled.name)]
    ids = [f"compiled | {arm.id}" for arm in arms]
    reason = wishes.missing_libraries.get(compiled.library) or compiled.unsupported(case, "cpu")
    if "cpu" not in wishes.devices:
        reason = "the CPU was not asked for"
    if reason is not None:
        missing.append(Missing(ids[2], reason, arms[2].library))
        return Group("compiled", []), [], []
    baselines = (None, None, ids[0])
    entries = [
        Entry(own, "compiled", arm.id, case, baseline)
        for own, arm, baseline in zip(ids, arms, baselines, strict=True)
    ]
    group = Group("compiled", entries, LADDER_BLOCKS, "compiled")
    return group, [Rung(ids[2], ids[1], "compiled", branch=True)], arms


def _case(step: catalog.Step, seed: int) -> Case:
    """Return the work of a rung."""
    return sine_case("train_step", step.layout, dtype=step.dtype, activation=step.activation, seed=seed)


def _entry(arm: Arm, case: Case) -> Entry:
    """One rung. Its case is in its id: a variant stands on more than one."""
    own = f"ladder | {arm.id} {case.layout} {case.dtype} {case.activation}"
    return Entry(own, "ladder", arm.id, case, None)
