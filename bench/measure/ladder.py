"""The ladder: from the tutorial's NumPy program to its PyTorch program, one change at a time.

Its entries are one group, neighbours in time in every block, so that the way from each rung to the next is
taken within blocks. Side branches lead to what is on no way from the one program to the other: a
workspace that is allocated once, and compiled code.
"""

from collections.abc import Iterable
from dataclasses import replace

from bench.measure.preset import COMPILED_VARIANT, Wishes, make_arm
from bench.records.record import Arm, Entry, Group, Missing, Pair, Rung
from bench.workload import catalog
from bench.workload.case import Case, sine_case

LADDER_BLOCKS = 6  # enough for an interval of each factor, and for the claim's verdict
QUICK_SKIPS = ("numpy-loop", "torch-manual", "torch-autograd", "numpy-inplace", "torch-inplace")

_PUBLISHED = sine_case("train_step", "positional", dtype="float64", activation="sigmoid")
_DOUBLE = replace(_PUBLISHED, activation="tanh")
_SINGLE = replace(_DOUBLE, dtype="float32")
_LESS_WORK = sine_case("train_step", "single_step")
# variant, case, change, and the place of the rung above where it is no neighbour: a branch
RUNGS: tuple[tuple[str, Case, str, int | None], ...] = (
    ("numpy-published", _PUBLISHED, "as published: one sample at a time, sigmoid, float64", None),
    ("numpy-published", _DOUBLE, "tanh", None),
    ("numpy-loop", _DOUBLE, "the exact gradient", None),
    ("numpy-batched", _DOUBLE, "the whole batch at once", None),
    ("numpy-batched", _SINGLE, "float32", None),
    ("torch-manual", _SINGLE, "the same by PyTorch", None),
    ("torch-autograd", _SINGLE, "autograd", None),
    ("torch-cell", _SINGLE, "modules and an optimizer", None),
    ("torch-cell", _LESS_WORK, "less work: 1 recurrent step instead of 6", None),
    ("numpy-inplace", _SINGLE, "a workspace allocated once", 4),
    ("torch-inplace", _SINGLE, "a workspace allocated once", 5),
    ("torch-rnn", _SINGLE, "nn.RNN: all steps in one call", 7),
)


def ladder_group(wishes: Wishes) -> tuple[Group, list[Rung], list[Arm]]:
    """The group, its rungs from top to bottom, and the arms it takes; empty without PyTorch or the CPU.

    A quick run leaves rungs out; what changed there joins what changes at the next one.
    """
    group = Group("ladder", [], None if wishes.preset == "full" else LADDER_BLOCKS, "ladder")
    if wishes.no_torch is not None or "cpu" not in wishes.devices:
        return group, [], []
    arms: dict[str, Arm] = {}
    rungs: list[Rung] = []
    places: dict[int, str] = {}  # of those in RUNGS that are taken
    passed: list[str] = []
    above: str | None = None
    accelerators = [device for device in wishes.devices if device != "cpu"]
    for place, (spec, work, change, branches_from) in enumerate(RUNGS):
        case = replace(work, seed=wishes.seed or 0)
        passed.append(change)
        if wishes.quick and spec in QUICK_SKIPS:
            if branches_from is not None:
                passed = []
            continue
        arm = make_arm(spec, "cpu", 1)
        entry = _entry(arm, case)
        branch = branches_from is not None
        start = places[branches_from] if branches_from is not None else above
        rungs.append(Rung(entry.id, start, "; ".join(passed), branch))
        group.entries.append(entry)
        arms[arm.id], places[place] = arm, entry.id
        passed, above = [], above if branch else entry.id
        if work == _LESS_WORK:
            for device in accelerators:
                there = make_arm(spec, device, wishes.all_threads)
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
    specs = (catalog.BASELINE, "torch-autograd", COMPILED_VARIANT)
    arms = [make_arm(spec, "cpu", 1) for spec in specs]
    ids = [f"compiled | {arm.id}" for arm in arms]
    reason = wishes.no_torch or catalog.find(COMPILED_VARIANT).unsupported(case, "cpu")
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


def _entry(arm: Arm, case: Case) -> Entry:
    """One rung. Its case is in its id: a variant stands on more than one."""
    own = f"ladder | {arm.id} {case.layout} {case.dtype} {case.activation}"
    return Entry(own, "ladder", arm.id, case, None)
