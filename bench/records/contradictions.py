"""What no run writes: a journal can be sealed well, fit its records' bounds, and still contradict itself.

Whoever reads a run may rely on what is checked here: names stand for what is there, sizes and times are
possible ones, and facts about the machine are of the kind that is known. What a name looks like is anybody's
choice: whoever shows one makes it printable.
"""

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from bench.machine.errors import UserError
from bench.machine.libraries import LIBRARIES
from bench.records.record import MOST, Burst, Count, Entry, Failure, OwnLibrary, Pair, Probe, Rates, Rung
from bench.records.run import Measured, Run
from bench.workload.case import ACTIVATIONS, DTYPES, LAYOUTS, SPLITS, TASKS, Case

# the fields of a case that choose among names
CHOICES = {
    "task": TASKS, "layout": LAYOUTS, "dtype": DTYPES, "activation": ACTIVATIONS, "split": SPLITS,
    "data": ("sine", "random"),
}  # fmt: skip
PASSED = ("ok", "known_wrong")  # no status of a failure


class KnownFacts(msgspec.Struct, frozen=True):
    """Facts about a machine or a library that are worked with; others are only quoted, whatever they are."""

    cpus: Count | None = None
    usable_cpus: Count | None = None
    physical_cores: Count | None = None
    memory_bytes: Count | None = None
    packages: dict[str, Any] | None = None
    precision: dict[str, Any] | None = None
    processor: str | None = None
    device_name: str | None = None


def refuse_contradictions(path: Path, problems: Iterable[str]) -> None:
    """Raise UserError with the first of the problems of a file, where there is one."""
    for problem in problems:
        raise UserError(f"{path} contradicts itself: {problem}; the file was edited or is damaged")


def of_run(run: Run) -> Iterator[str]:
    """Yield what is wrong with a run, the first cause first: later rules rely on those before them."""
    plan, bursts, extensions = run.plan, run.bursts, run.extensions
    entries = [entry for group in plan.groups for entry in group.entries]
    pairs = run.pairs
    used: list[Burst | Failure | Pair | Rung] = [*bursts, *run.failures, *pairs, *plan.ladder]
    compared: list[Entry | Pair] = [*entries, *pairs]
    names = chain(
        (item.entry for item in used),
        (item.baseline for item in compared),
        (rung.above for rung in plan.ladder),
    )
    held: list[Entry | Probe | Rates] = [*entries, *plan.probes, *run.rates]
    arms = chain((item.arm for item in held), *(worker.arms for worker in run.workers))
    last_block = max([plan.blocks, *(extension.blocks for extension in extensions)])
    measured: list[Measured] = [*run.workers, *bursts, *run.rates, *run.failures]
    kernels = (primitive.kernel for rates in run.rates for primitive in rates.primitives)
    # what is wrong, and of what: nothing, where all is right
    rules: tuple[tuple[str, Iterable[object]], ...] = (
        ("the plan has no entry", () if entries else ("",)),
        ("two arms are called {}", _twice(arm.id for arm in plan.arms)),
        ("two groups are called {}", _twice(group.name for group in plan.groups)),
        ("two entries are called {}", _twice(entry.id for entry in entries)),
        ("an entry stands in the group {}, which is not its own",
         (group.name for group in plan.groups for entry in group.entries if entry.group != group.name)),
        ("the plan has no entry {}", _unknown(names, run.entries)),
        ("the plan has no arm {}", _unknown(arms, run.arms)),
        ("{} is its own baseline", (entry.id for entry in entries if entry.id == entry.baseline)),
        ("{} is its own baseline", (pair.entry for pair in pairs if pair.entry == pair.baseline)),
        ("block {} is after the last of the run", (m.block for m in measured if m.block > last_block)),
        ("it was extended more than once, or before its block 0 was over",
         extensions[1:] if run.decision else extensions),
        ("it was extended to {} blocks, no more than before",
         (extension.blocks for extension in extensions if extension.blocks <= extension.before)),
        ("two bursts are {} (entry, block)", _twice((burst.entry, burst.block) for burst in bursts)),
        ("values whose rounds are not told, for {}",
         (burst.entry for burst in bursts if not _has_rounds(burst))),
        ("values of which some tell how long they waited, for {}",
         (burst.entry for burst in bursts if len(burst.waited_ns) not in (0, len(burst.elapsed_ns)))),
        ("{} is no size of its basic operation",
         (list(call.size) for call in kernels if len(call.size) != (3 if call.is_product else 1))),
        ("a failure has the status {}", (end.status for end in run.failures if end.status in PASSED)),
    )  # fmt: skip
    for message, values in rules:
        yield from (message.format(quoted(value)) for value in values)
    yield from of_libraries((arm.library for arm in plan.arms), plan.libraries)
    for case in dict.fromkeys(
        chain((item.case for item in held), (counts.case for counts in run.conditions))
    ):
        yield from of_case(case)
    for facts in (
        *(environment.machine for environment in run.environments),
        *(worker.facts for worker in run.workers),
    ):
        yield from of_facts(facts)


def of_case(case: Case) -> Iterator[str]:
    """Yield what makes a case none that can be measured."""
    for field, known in CHOICES.items():
        if getattr(case, field) not in known:
            yield f"no {field} is called {quoted(getattr(case, field))}"
    sizes = {letter: getattr(case.shape, letter) for letter in "TBIHO"}
    if not 1 <= min(sizes.values()) <= max(sizes.values()) <= MOST:
        yield f"a shape of {sizes}"
    if not (case.lr > 0 and case.delta > 0):
        yield f"a learning rate of {case.lr:g} and a cutoff of {case.delta:g}"


def of_facts(facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield a fact about a machine or a library that is of another kind than those that are worked with."""
    try:
        msgspec.convert(facts, KnownFacts)
    except msgspec.ValidationError as error:
        yield f"of the facts about a machine or a library, {error}"


def of_libraries(names: Iterable[str], own: Iterable[OwnLibrary]) -> Iterator[str]:
    """Yield that a library is neither one of this program's nor one of the user's ``own``."""
    for name in _unknown(names, {*LIBRARIES, *(library.name for library in own)}):
        yield f"no library is called {quoted(name)}"


def quoted(value: object) -> str:
    """Return a value as a message shows it."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _has_rounds(burst: Burst) -> bool:
    """Return whether each value has a place, and a round of its own."""
    return len(burst.elapsed_ns) == len(set(burst.rounds)) == len(burst.rounds) == len(burst.places)


def _unknown(names: Iterable[str | None], known: Collection[str]) -> Iterator[str]:
    return (name for name in dict.fromkeys(names) if name is not None and name not in known)


def _twice(names: Iterable[Hashable]) -> Iterator[object]:
    return (name for name, times in Counter(names).items() if times > 1)
