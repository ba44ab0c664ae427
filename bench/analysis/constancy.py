"""Whether a run stood on the same ground from its first block to its last.

Runs are resumed hours later, and a worker tells what its library really is each time: where that changed,
values before and after are no samples of the same thing.
"""

from collections.abc import Iterator

from bench.analysis.environment_diff import changed, changed_variables
from bench.records.run import Run


def changes(run: Run) -> list[str]:
    """What bears on speed and changed within the run, in words; empty where nothing did."""
    return list(dict.fromkeys([*_of_machine(run), *_of_libraries(run)]))


def _of_machine(run: Run) -> Iterator[str]:
    for later in run.environments[1:]:
        yield from changed(run.environment.machine, later.machine, code=True)
        yield from changed_variables(run.environment.kept, later.kept)


def _of_libraries(run: Run) -> Iterator[str]:
    """Each worker against the first one of its name."""
    first = {worker.name: worker.facts for worker in reversed(run.workers)}
    for worker in run.workers:
        for clause in changed(first[worker.name], worker.facts):
            yield f"{run.arms[worker.arms[0]].title}: {clause}"
