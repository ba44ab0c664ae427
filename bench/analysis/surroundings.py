"""What is different around two runs that are compared: what somebody may want to compare, and what spoils it.

Another version of a library, of Python or of rnnbench is what people compare, so it is listed and the verdict
stands. Another processor kernel of the BLAS, another clock governor, other threads or limits are not: what
they change would be taken for a change of the code, so there is no verdict unless that is asked for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.analysis.environment_diff import CODE, changed, changed_variables
from bench.records.run import Run

# what comes with another version of something that is installed on purpose
VERSIONS = frozenset(
    {
        *("packages", "python", "python_build", "version", "git", "blas", "blas_version", "cuda", "runtime"),
        *("cudnn", "driver", *CODE),
    }
)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Clauses such as "governor: performance, now powersave"."""

    versions: tuple[str, ...]
    conditions: tuple[str, ...]  # all else that bears on speed


def surroundings(old: Run, new: Run) -> Surroundings:
    """What differs between the first environments of two runs, and between the first workers of each arm."""
    return Surroundings(
        versions=tuple(dict.fromkeys(_versions(old, new))),
        conditions=tuple(dict.fromkeys(_conditions(old, new))),
    )


def _versions(old: Run, new: Run) -> Iterator[str]:
    facts = [_only(run.environment.machine, versions=True) for run in (old, new)]
    packages = changed(facts[0], facts[1], code=True)
    yield from packages
    for library, before, after in _workers(old, new):
        for clause in changed(_only(before, versions=True), _only(after, versions=True)):
            if f"packages {library}{clause.removeprefix('version')}" not in packages:
                yield f"{library} {clause}"


def _conditions(old: Run, new: Run) -> Iterator[str]:
    yield from changed(*(_only(run.environment.machine, versions=False) for run in (old, new)))
    yield from changed_variables(old.environment.kept, new.environment.kept)
    for library, before, after in _workers(old, new):
        for clause in changed(_only(before, versions=False), _only(after, versions=False)):
            yield f"{library} {clause}"


def _workers(old: Run, new: Run) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """Library, facts then and facts now of every arm that both runs have."""
    first = [
        {arm: worker.facts for worker in reversed(run.workers) for arm in worker.arms} for run in (old, new)
    ]
    for arm in new.arms.values():
        if arm.id in first[0] and arm.id in first[1]:
            yield arm.library, first[0][arm.id], first[1][arm.id]


def _only(facts: Mapping[str, Any], *, versions: bool) -> dict[str, Any]:
    return {name: fact for name, fact in facts.items() if (name in VERSIONS) == versions}
