"""Find contradictions in a run: a journal with correct seals and values in range can still contradict itself.

After these checks a reader of a run may rely on three things: every name refers to something that exists,
sizes and times are possible, and facts about the machine have the expected types. A name may hold any
characters: code that shows a name makes the name printable.
"""

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from bench.machine.errors import UserError
from bench.machine.libraries import LIBRARIES
from bench.records.record import MOST, Burst, Count, Entry, Failure, OwnLibrary, Pair, Probe, Rates, Rung
from bench.records.run import Measured, Run
from bench.workload.case import ACTIVATIONS, DTYPES, LAYOUTS, SPLITS, TASKS, Case
from bench.workload.cell import CELLS, built_in_cell

# the fields of a case that hold one of a few names
ALLOWED_NAMES = {
    "task": TASKS, "layout": LAYOUTS, "dtype": DTYPES, "activation": ACTIVATIONS, "split": SPLITS,
    "data": ("sine", "random"),
}  # fmt: skip
STATUSES_WITH_VALUES = ("ok", "known_wrong")  # a failure has another status


class KnownFacts(msgspec.Struct, frozen=True):
    """Declare the types of the facts that rnnbench computes with; other facts may have any type."""

    cpus: Count | None = None
    usable_cpus: Count | None = None
    physical_cores: Count | None = None
    memory_bytes: Count | None = None
    packages: dict[str, Any] | None = None
    precision: dict[str, Any] | None = None
    processor: str | None = None
    device_name: str | None = None


def refuse_contradictions(path: Path, problems: Iterable[str]) -> None:
    """Raise UserError with the first problem of the file, if there is one."""
    for problem in problems:
        raise UserError(f"{path} contradicts itself: {problem}; the file was edited or is damaged")


def of_run(run: Run) -> Iterator[str]:
    """Yield the contradictions of a run in the order of the rules: later rules rely on the earlier ones."""
    plan, bursts, extensions = run.plan, run.bursts, run.extensions
    entries = [entry for group in plan.groups for entry in group.entries]
    known = run.entries
    pairs = run.pairs
    items_with_entry: list[Burst | Failure | Pair | Rung] = [*bursts, *run.failures, *pairs, *plan.ladder]
    items_with_baseline: list[Entry | Pair] = [*entries, *pairs]
    entry_names = chain(
        (item.entry for item in items_with_entry),
        (item.baseline for item in items_with_baseline),
        (rung.above for rung in plan.ladder),
    )
    items_with_case: list[Entry | Probe | Rates] = [*entries, *plan.probes, *run.rates]
    arm_names = chain((item.arm for item in items_with_case), *(worker.arms for worker in run.workers))
    last_block = max([plan.blocks, *(extension.blocks for extension in extensions)])
    items_in_blocks: list[Measured] = [*run.workers, *bursts, *run.rates, *run.failures]
    kernels = (primitive.kernel for rates in run.rates for primitive in rates.primitives)
    # (message, values that break the rule)
    rules: tuple[tuple[str, Iterable[object]], ...] = (
        ("the plan has no entry", () if entries else ("",)),
        ("two arms are called {}", _repeated(arm.id for arm in plan.arms)),
        ("two groups are called {}", _repeated(group.name for group in plan.groups)),
        ("two entries are called {}", _repeated(entry.id for entry in entries)),
        ("an entry stands in the group {}, which is not its own",
         (group.name for group in plan.groups for entry in group.entries if entry.group != group.name)),
        ("the plan has no entry {}", _unknown(entry_names, run.entries)),
        ("the plan has no arm {}", _unknown(arm_names, run.arms)),
        ("{} is its own baseline", (entry.id for entry in entries if entry.id == entry.baseline)),
        ("{} is its own baseline", (pair.entry for pair in pairs if pair.entry == pair.baseline)),
        ("the baseline of {} is not the same arm on another cell",
         (entry.id for group in plan.groups if group.kind == "cells" for entry in group.entries
          if entry.baseline is not None and not _of_another_cell(entry, known[entry.baseline]))),
        ("block {} is after the last of the run",
         (item.block for item in items_in_blocks if item.block > last_block)),
        ("it was extended more than once, or before its block 0 was over",
         extensions[1:] if run.decision else extensions),
        ("it was extended to {} blocks, no more than before",
         (extension.blocks for extension in extensions if extension.blocks <= extension.before)),
        ("two bursts are {} (entry, block)", _repeated((burst.entry, burst.block) for burst in bursts)),
        ("values whose rounds are not told, for {}",
         (burst.entry for burst in bursts if not _has_rounds_and_places(burst))),
        ("values of which some tell how long they waited, for {}",
         (burst.entry for burst in bursts if len(burst.waited_ns) not in (0, len(burst.elapsed_ns)))),
        ("{} is no size of its basic operation",
         (list(kernel.size) for kernel in kernels if len(kernel.size) != (3 if kernel.is_product else 1))),
        ("a failure has the status {}",
         (failure.status for failure in run.failures if failure.status in STATUSES_WITH_VALUES)),
    )  # fmt: skip
    for message, values in rules:
        yield from (message.format(quoted(value)) for value in values)
    yield from of_libraries((arm.library for arm in plan.arms), plan.libraries)
    for case in dict.fromkeys(
        chain((item.case for item in items_with_case), (condition.case for condition in run.conditions))
    ):
        yield from of_case(case)
    for facts in (
        *(environment.machine for environment in run.environments),
        *(worker.facts for worker in run.workers),
    ):
        yield from of_facts(facts)


def of_case(case: Case) -> Iterator[str]:
    """Yield the reasons why a case cannot be measured."""
    for field, allowed in ALLOWED_NAMES.items():
        if getattr(case, field) not in allowed:
            yield f"no {field} is called {quoted(getattr(case, field))}"
    if case.cell not in CELLS and ":" not in case.cell:  # module:object names a user's cell
        yield f"no cell is called {quoted(case.cell)}"
    elif (cell := built_in_cell(case.cell)) and case.activation not in cell.activations:
        yield f"the cell {case.cell} has no activation {quoted(case.activation)}"
    sizes = asdict(case.shape)
    if not 1 <= min(sizes.values()) <= max(sizes.values()) <= MOST:
        yield f"a shape of {sizes}"
    if not (case.lr > 0 and case.delta > 0):
        yield f"a learning rate of {case.lr:g} and a cutoff of {case.delta:g}"


def of_facts(facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield an error text for the first fact whose type differs from ``KnownFacts``, if there is one."""
    try:
        msgspec.convert(facts, KnownFacts)
    except msgspec.ValidationError as error:
        yield f"of the facts about a machine or a library, {error}"


def of_libraries(names: Iterable[str], own: Iterable[OwnLibrary]) -> Iterator[str]:
    """Yield a text for each library that is neither built in nor a user's library in ``own``."""
    for name in _unknown(names, {*LIBRARIES, *(library.name for library in own)}):
        yield f"no library is called {quoted(name)}"


def quoted(value: object) -> str:
    """Return a value as text for a message, at most 80 characters."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _has_rounds_and_places(burst: Burst) -> bool:
    """Return whether each value has its own round, and a place in this round."""
    return len(burst.elapsed_ns) == len(set(burst.rounds)) == len(burst.rounds) == len(burst.places)


def _of_another_cell(entry: Entry, baseline: Entry) -> bool:
    """Return whether the baseline is the same arm on another cell."""
    return entry.arm == baseline.arm and entry.case.cell != baseline.case.cell


def _unknown(names: Iterable[str | None], known: Collection[str]) -> Iterator[str]:
    return (name for name in dict.fromkeys(names) if name is not None and name not in known)


def _repeated(names: Iterable[Hashable]) -> Iterator[object]:
    return (name for name, count in Counter(names).items() if count > 1)
