"""Two files of another tool: what takes longer in the new one.

pyperf starts every benchmark in many processes, so their medians are independent samples, as blocks are;
but it has no baseline beside them, so times are compared as they are, with the machine's drift between the
two files in them. pytest-benchmark knows one process: a ratio, without an interval or a verdict.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Generic, TypeVar

from bench.analysis.change import OTHER_ENVIRONMENT, Change, Changes, judged, measured
from bench.analysis.two_samples import MOST_PAIRS
from bench.records.formats import pyperf, pytest_benchmark
from bench.records.formats.foreign import Facts, Note, told
from bench.records.formats.pyperf import PyperfBenchmark, PyperfResults
from bench.records.formats.pytest_benchmark import PytestResults, PytestRow

MARGIN = 0.02  # for EQUIVALENT, as a run declares it
ONE_PROCESS = "one process each: no interval, no verdict"
PYPERF_OPTIONS = (*pyperf.MEASURED, *pyperf.TIMEIT)

Pairs = Sequence[tuple[Facts, Facts]]
Benchmark = TypeVar("Benchmark", bound=PyperfBenchmark | PytestRow)


@dataclass(frozen=True, slots=True)
class _Matched(Generic[Benchmark]):
    """What two files have in common, by what to call it; what only one has; what must be told of that."""

    pairs: tuple[tuple[str, Benchmark, Benchmark], ...]
    only_old: tuple[str, ...]
    only_new: tuple[str, ...]
    notes: tuple[Note, ...]


def compare_pyperf(
    old: PyperfResults,
    new: PyperfResults,
    *,
    names: tuple[str, str] = ("old", "new"),
    any_environment: bool = False,
    limit: float | None = None,
) -> Changes:
    """Compare the benchmarks of one name in two files of pyperf, by the medians of their processes."""
    matched = _match(old.benchmarks, new.benchmarks)
    facts = [(then.facts, now.facts) for _, then, now in matched.pairs]
    conditions = tuple(_changed(pyperf.CONDITIONS, facts))
    spoiled = bool(conditions) and not any_environment
    warning = OTHER_ENVIRONMENT if spoiled else ""
    rows = []
    for name, *pair in matched.pairs:
        logs = [[math.log(time) for time in one.medians_ns] for one in pair]
        values = [math.exp(median(of)) for of in logs]
        row = Change(name, "NONE", warning, old_value=values[0], new_value=values[1])
        if math.prod(map(len, logs)) > MOST_PAIRS:
            reason = f"{len(logs[0])} and {len(logs[1])} processes are too many for the exact test"
            rows.append(replace(row, reason=reason, change=values[1] / values[0]))
        else:
            rows.append(measured(row, *logs, final=spoiled, of="processes"))
    return Changes(
        old=names[0],
        new=names[1],
        unit="ns",
        rows=judged(rows, MARGIN, limit, of="processes"),
        samples="processes",
        only_old=matched.only_old,
        only_new=matched.only_new,
        machines=tuple(dict(_different(pyperf.MACHINE, facts))),
        versions=tuple(_changed(pyperf.VERSIONS, facts)),
        conditions=conditions,
        options=tuple(_changed(PYPERF_OPTIONS, facts, "none")),
        notes=(*_told_of(old, names[0]), *_told_of(new, names[1]), *matched.notes),
        warning=warning,
        limit=limit,
    )


def compare_pytest(
    old: PytestResults,
    new: PytestResults,
    *,
    names: tuple[str, str] = ("old", "new"),
    limit: float | None = None,
) -> Changes:
    """Compare the benchmarks of one name in two files of pytest-benchmark: medians, and nothing surer."""
    matched = _match(old.rows, new.rows)
    facts = [(old.facts, new.facts)]
    both = [(then.options, now.options) for _, then, now in matched.pairs]
    options = [pair for pair in both if all(pair)]  # very old files tell none at all
    kinds = dict.fromkeys(name for pair in options for one in pair for name in one)
    rows = tuple(
        Change(
            name,
            "NONE",
            ONE_PROCESS,
            old_value=then.median_ns,
            new_value=now.median_ns,
            change=now.median_ns / then.median_ns,
        )
        for name, then, now in matched.pairs
    )
    return Changes(
        old=names[0],
        new=names[1],
        unit="ns",
        rows=rows,
        only_old=matched.only_old,
        only_new=matched.only_new,
        machines=tuple(dict(_different(pytest_benchmark.MACHINE, facts))),
        versions=tuple(_changed(pytest_benchmark.VERSIONS, facts)),
        conditions=tuple(_changed(pytest_benchmark.CONDITIONS, facts)),
        options=tuple(_changed(kinds, options, "none")),
        notes=(*_told_of(old, names[0]), *_told_of(new, names[1]), *matched.notes),
        warning=ONE_PROCESS,
        limit=limit,
    )


def _match(old: Sequence[Benchmark], new: Sequence[Benchmark]) -> _Matched[Benchmark]:
    """Pair benchmarks by their full names, and tests that moved by their names.

    A full name that both files have equally often is paired in their order; one that they do not is not.
    """
    then, now = _by_full_name(old), _by_full_name(new)
    moved = _moved(then, now)
    pairs: list[tuple[str, Benchmark, Benchmark]] = []
    repeated, unclear = [], []
    for name, own in now.items():
        earlier = then.get(moved.get(name, name), [])
        if len(earlier) == len(own):
            pairs += ((max(a.label, b.label, key=len), a, b) for a, b in zip(earlier, own, strict=True))
            repeated += [name] * (len(own) > 1)
        elif earlier:
            unclear.append(f"{name} ({len(earlier)} in old, {len(own)} in new)")
    notes = (
        Note("Not compared, since one file has it more often than the other", tuple(unclear)),
        Note("Several times in each file, and paired in their order", tuple(repeated)),
        Note("Moved, and taken for the same", tuple(f"{was}, now {name}" for name, was in moved.items())),
    )
    still, before = {*now, *moved.values()}, {*then, *moved}
    return _Matched(
        pairs=tuple(pairs),
        only_old=tuple(one.label for one in old if one.full_name not in still),
        only_new=tuple(one.label for one in new if one.full_name not in before),
        notes=tuple(note for note in notes if note.names),
    )


def _by_full_name(benchmarks: Iterable[Benchmark]) -> dict[str, list[Benchmark]]:
    found: dict[str, list[Benchmark]] = {}
    for one in benchmarks:
        found.setdefault(one.full_name, []).append(one)
    return found


def _moved(then: Mapping[str, list[Benchmark]], now: Mapping[str, list[Benchmark]]) -> dict[str, str]:
    """Return where tests were, by where they are: each file has one test of that name, not the same."""
    places: list[dict[str, str]] = []
    for side in (then, now):
        counts = Counter(one.name for own in side.values() for one in own)
        places.append({own[0].name: full for full, own in side.items() if counts[own[0].name] == 1})
    was, is_ = places
    return {is_[name]: was[name] for name in is_ if name in was and is_[name] != was[name]}


def _told_of(results: PyperfResults | PytestResults, name: str) -> Iterator[Note]:
    """What must be told of one file, with its name."""
    return (replace(note, what=f"{name}: {note.what}") for note in results.notes)


def _different(
    names: Iterable[str], facts: Pairs, untold: str = ""
) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Names of facts that both sides of a pair tell, and not alike, with what those pairs tell.

    ``untold`` is what a side says by not telling a fact; where that is nothing, it is not compared.
    """
    for name in names:
        both = ((told(old, name) or untold, told(new, name) or untold) for old, new in facts)
        if differ := [pair for pair in both if all(pair) and pair[0] != pair[1]]:
            yield name, differ


def _changed(names: Iterable[str], facts: Pairs, untold: str = "") -> Iterator[str]:
    """ "python version: 3.11.2, now 3.12.1"; of many pairs, what most of them tell and how many others do."""
    for name, differ in _different(names, facts, untold):
        (old, new), alike = Counter(differ).most_common(1)[0]
        share = f" ({len(differ)} of {len(facts)} benchmarks differ)" if alike < len(facts) else ""
        yield f"{name.replace('_', ' ')}: {old}, now {new}{share}"
