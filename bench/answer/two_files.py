"""Two files of another tool: what takes longer in the new one.

pyperf starts every benchmark in many processes, so their medians are independent samples, as blocks are;
but it has no baseline beside them, so times are compared as they are, with the machine's drift between the
two files in them. pytest-benchmark knows one process: a ratio, without an interval or a verdict.
"""

import math
from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any

from bench.answer.change import OTHER_ENVIRONMENT, Change, Changes, judged, measured
from bench.results.exchange import PytestResults
from bench.results.exchange_pyperf import PyperfResults

MARGIN = 0.02  # for EQUIVALENT, as a run declares it
ONE_PROCESS = "one process each: no interval, no verdict"
# facts that tell machines apart, that come with versions, and that else bear on speed
PYPERF_MACHINE = ("cpu_model_name", "cpu_count", "hostname")
PYPERF_VERSIONS = ("python_implementation", "python_version", "numpy_version", "torch_version")
PYPERF_CONDITIONS = ("platform", "aslr", "cpu_affinity", "cpu_config", "timer")
PYTEST_MACHINE = ("node", "machine", "cpu brand_raw", "cpu count")
PYTEST_VERSIONS = ("python_implementation", "python_version", "numpy", "torch", "blas", "blas_version")
PYTEST_CONDITIONS = ("system", "release", "blas_kernel", "threads")


def compare_pyperf(
    old: PyperfResults,
    new: PyperfResults,
    *,
    names: tuple[str, str] = ("old", "new"),
    any_environment: bool = False,
    limit: float | None = None,
) -> Changes:
    """Benchmarks of one name in two files of pyperf, by the medians of their processes."""
    then, now = ({one.name: one.medians_ns for one in results.benchmarks} for results in (old, new))
    facts = old.metadata, new.metadata
    conditions = tuple(_changed(PYPERF_CONDITIONS, *facts))
    spoiled = bool(conditions) and not any_environment
    warning = OTHER_ENVIRONMENT if spoiled else ""
    rows = []
    for name in now:
        if name in then:
            logs = [[math.log(time) for time in side[name]] for side in (then, now)]
            values = [math.exp(median(of)) for of in logs]
            row = Change(name, "NONE", warning, old_value=values[0], new_value=values[1])
            rows.append(measured(row, *logs, final=spoiled, of="processes"))
    return Changes(
        old=names[0],
        new=names[1],
        unit="ns",
        rows=judged(rows, MARGIN, limit, of="processes"),
        samples="processes",
        only_old=tuple(name for name in then if name not in now),
        only_new=tuple(name for name in now if name not in then),
        machines=tuple(_differ(PYPERF_MACHINE, *facts)),
        versions=tuple(_changed(PYPERF_VERSIONS, *facts)),
        conditions=conditions,
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
    """Benchmarks of one name in two files of pytest-benchmark: their medians, and nothing surer."""
    then, now = (
        {(row.group, row.fullname or row.name): row for row in results.rows} for results in (old, new)
    )
    facts = _flat(old.machine_info), _flat(new.machine_info)
    rows = tuple(
        Change(
            row.name,
            "NONE",
            ONE_PROCESS,
            old_value=then[key].median_ns,
            new_value=row.median_ns,
            change=row.median_ns / then[key].median_ns,
        )
        for key, row in now.items()
        if key in then
    )
    return Changes(
        old=names[0],
        new=names[1],
        unit="ns",
        rows=rows,
        only_old=tuple(row.name for key, row in then.items() if key not in now),
        only_new=tuple(row.name for key, row in now.items() if key not in then),
        machines=tuple(_differ(PYTEST_MACHINE, *facts)),
        versions=tuple(_changed(PYTEST_VERSIONS, *facts)),
        conditions=tuple(_changed(PYTEST_CONDITIONS, *facts)),
        warning=ONE_PROCESS,
        limit=limit,
    )


def _differ(fields: tuple[str, ...], old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Names of facts that both tell, and not alike."""
    for name in fields:
        if old.get(name) and new.get(name) and old[name] != new[name]:
            yield name


def _changed(fields: tuple[str, ...], old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """ "python version: 3.11.2, now 3.12.1"."""
    for name in _differ(fields, old, new):
        yield f"{name.replace('_', ' ')}: {old[name]}, now {new[name]}"


def _flat(info: Mapping[str, Any]) -> dict[str, Any]:
    """``machine_info`` with what it tells of the processor beside the rest."""
    cpu = info.get("cpu")
    return {**info, **{f"cpu {name}": fact for name, fact in (cpu if isinstance(cpu, dict) else {}).items()}}
