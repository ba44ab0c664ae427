"""What no run writes: a journal can be sealed well, fit its records' bounds, and still contradict itself.

Whoever reads a run may rely on what is checked here: names stand for what is there, sizes and times are
possible ones, and facts about the machine are of the kind that is known. What a name looks like is anybody's
choice: whoever shows one makes it printable.
"""

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from bench.machine.errors import UserError
from bench.machine.libraries import LIBRARIES
from bench.records.record import MOST, Entry, Pair
from bench.records.run import Measured, Run
from bench.workload.case import ACTIVATIONS, DTYPES, LAYOUTS, SPLITS, TASKS, Case

# the fields of a case that choose among names
CHOICES = {
    "task": TASKS, "layout": LAYOUTS, "dtype": DTYPES, "activation": ACTIVATIONS, "split": SPLITS,
    "data": ("sine", "random"),
}  # fmt: skip
PASSED = ("ok", "known_wrong")  # no status of a failure
# facts that are worked with, and what they are; others are only shown
COUNTS = ("cpus", "usable_cpus", "physical_cores", "memory_bytes")
TABLES = ("packages", "precision")
TEXTS = ("processor", "device_name")


def refuse_contradictions(run: Run, path: Path) -> None:
    """Raise UserError where the run of this journal contradicts itself."""
    for problem in _contradictions(run):
        raise UserError(f"{path} contradicts itself: {problem}; the file was edited or is damaged")


def of_case(case: Case) -> Iterator[str]:
    """Yield what makes a case none that can be measured."""
    for field, known in CHOICES.items():
        if getattr(case, field) not in known:
            yield f"no {field} is called {shown(getattr(case, field))}"
    sizes = {letter: getattr(case.shape, letter) for letter in "TBIHO"}
    if not 1 <= min(sizes.values()) <= max(sizes.values()) <= MOST:
        yield f"a shape of {sizes}"
    if not (case.lr > 0 and case.delta > 0):
        yield f"a learning rate of {case.lr:g} and a cutoff of {case.delta:g}"


def of_facts(facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield facts about a machine or a library that are of another kind than those that are worked with."""
    for names, kind in ((TABLES, dict), (TEXTS, str)):
        for name in names:
            if not isinstance(facts.get(name), kind | None):
                yield f"{name} is {shown(facts[name])}"
    for name in COUNTS:
        value = facts.get(name, 0)
        if value is not None and (not isinstance(value, int) or value < 0):
            yield f"{name} is {shown(value)}"


def shown(value: object) -> str:
    """Return a value as a message shows it."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _contradictions(run: Run) -> Iterator[str]:
    """Yield what is wrong, the first cause first: later checks rely on those before them."""
    for message, find in RULES:
        yield from (message.format(shown(value)) for value in find(run))
    yield from chain.from_iterable(own.problems() for own in run.plan.libraries)
    cases = [entry.case for entry in run.entries.values()]
    cases += [probe.case for probe in run.plan.probes] + [rates.case for rates in run.rates]
    cases += [conditions.case for conditions in run.conditions]
    yield from chain.from_iterable(map(of_case, dict.fromkeys(cases)))
    facts = [environment.machine for environment in run.environments]
    yield from chain.from_iterable(map(of_facts, [*facts, *(worker.facts for worker in run.workers)]))


# what is said, and what of a run it is said of
RULES: tuple[tuple[str, Callable[[Run], Iterable[object]]], ...] = (
    ("the plan has no entry{0:.0}", lambda run: () if run.entries else ("",)),
    ("two arms are called {}", lambda run: _twice(arm.id for arm in run.plan.arms)),
    ("two groups are called {}", lambda run: _twice(group.name for group in run.plan.groups)),
    ("two entries are called {}", lambda run: _twice(entry.id for entry in _entries(run))),
    (
        "no library is called {}",
        lambda run: _unknown((arm.library for arm in run.plan.arms), _libraries(run)),
    ),
    (
        "an entry stands in the group {}, which is not its own",
        lambda run: (
            group.name
            for group in run.plan.groups
            if any(entry.group != group.name for entry in group.entries)
        ),
    ),
    ("the plan has no entry {}", lambda run: _unknown(_entry_names(run), run.entries)),
    ("the plan has no arm {}", lambda run: _unknown(_arm_names(run), run.arms)),
    (
        "{} is its own baseline",
        lambda run: (
            *(entry.id for entry in _entries(run) if entry.id == entry.baseline),
            *(pair.entry for pair in _pairs(run) if pair.entry == pair.baseline),
        ),
    ),
    ("block {} is after the last of the run", lambda run: _blocks_beyond(run)),
    (
        "it was extended more than once, or before its block 0 was over{0:.0}",
        lambda run: run.extensions[1:] if run.decision else run.extensions,
    ),
    (
        "it was extended to {} blocks, no more than before",
        lambda run: (one.blocks for one in run.extensions if one.blocks <= one.before),
    ),
    ("two bursts are {} (entry, block)", lambda run: _twice((one.entry, one.block) for one in run.bursts)),
    (
        "values whose rounds are not told, for {}",
        lambda run: (
            one.entry
            for one in run.bursts
            if not len(one.elapsed_ns) == len(set(one.rounds)) == len(one.rounds) == len(one.places)
        ),
    ),
    (
        "values of which some tell how long they waited, for {}",
        lambda run: (one.entry for one in run.bursts if len(one.waited_ns) not in (0, len(one.elapsed_ns))),
    ),
    (
        "{} is no size of its basic operation",
        lambda run: (
            list(one.kernel.size)
            for rates in run.rates
            for one in rates.primitives
            if len(one.kernel.size) != (3 if one.kernel.is_product else 1)
        ),
    ),
    (
        "a failure has the status {}",
        lambda run: (one.status for one in run.failures if one.status in PASSED),
    ),
)


def _libraries(run: Run) -> set[str]:
    return {*LIBRARIES, *(own.name for own in run.plan.libraries)}


def _entries(run: Run) -> Iterator[Entry]:
    """Yield the plan's entries, also those of one name."""
    return chain.from_iterable(group.entries for group in run.plan.groups)


def _pairs(run: Run) -> list[Pair]:
    return [*run.plan.pairs, *(run.decision.pairs if run.decision else [])]


def _entry_names(run: Run) -> Iterator[str | None]:
    """Yield all names of entries that the run uses."""
    yield from (burst.entry for burst in run.bursts)
    yield from (failure.entry for failure in run.failures)
    yield from chain.from_iterable((pair.entry, pair.baseline) for pair in _pairs(run))
    yield from (entry.baseline for entry in run.entries.values())
    yield from chain.from_iterable((rung.entry, rung.above) for rung in run.plan.ladder)


def _arm_names(run: Run) -> Iterator[str]:
    """Yield all names of arms that the run uses."""
    yield from (entry.arm for entry in run.entries.values())
    yield from (probe.arm for probe in run.plan.probes)
    yield from (rates.arm for rates in run.rates)
    yield from chain.from_iterable(worker.arms for worker in run.workers)


def _unknown(names: Iterable[str | None], known: Collection[str]) -> Iterator[str]:
    return (name for name in dict.fromkeys(names) if name is not None and name not in known)


def _twice(names: Iterable[Hashable]) -> Iterator[object]:
    return (name for name, times in Counter(names).items() if times > 1)


def _blocks_beyond(run: Run) -> Iterator[int]:
    most = max([run.plan.blocks, *(one.blocks for one in run.extensions)])
    measured: list[Measured] = [*run.workers, *run.bursts, *run.rates, *run.failures]
    return (block for block in sorted({one.block for one in measured}) if block > most)
