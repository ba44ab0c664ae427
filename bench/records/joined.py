"""Read a sweep as one run: what a machine measured is one run, as if it had measured these cases in one go.

Every part is checked against the plan that the sweep declared. What is not there, or cannot be used, is
missing from the plan, each group with its reason; all other parts stand.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from msgspec import structs

from bench.machine.errors import UserError
from bench.machine.wording import count
from bench.records import journal, sweep
from bench.records.record import Decision, End, Missing, Plan
from bench.records.run import Run, make_run
from bench.records.sweep import SavedSweep, Tile

RECORDS = ("workers", "bursts", "failures", "conditions", "rates", "environments", "warnings")
PLANNED = ("groups", "pairs", "ladder", "probes")


def sweep_of(path: Path) -> Path | None:
    """Return the folder of the sweep of which ``path`` holds all results, or those of one host; else None."""
    candidates = (path, path.parent) if path.is_dir() and not (path / journal.FILE_NAME).exists() else ()
    return next((folder for folder in candidates if (folder / sweep.FILE_NAME).exists()), None)


def result_folders(folder: Path) -> list[Path]:
    """Return the folders of a sweep's results: one for each host if every host measured all, else its own."""
    try:
        saved = sweep.load_sweep(folder)
    except UserError:  # told by whoever reads the folder
        return [folder]
    return [folder / name for name in saved.hosts] if saved.declared.everywhere else [folder]


def load_measured(path: Path, unread: list[str] | None = None) -> Run:
    """Read a run from its folder or its journal; or a sweep, or what one host measured of it.

    ``unread`` gets a line for each part of a sweep whose journal cannot be used. Without it, only the results
    of one machine are read.

    Raises:
        UserError: it cannot be read, contradicts itself, or is of several machines or results.
    """
    folder = sweep_of(path)
    if folder is None:
        return journal.load_run(path)
    saved = sweep.load_sweep(folder)
    if path not in (places := result_folders(folder)):
        hosts = ", ".join(map(str, places)) or "none has anything yet"
        raise UserError(f"{path} has results of every host; give the folder of one: {hosts}")
    run = _joined(saved, path.name if saved.declared.everywhere else "", [] if unread is None else unread)
    if run.machines and unread is None:
        raise UserError(f"{path} is of {len(run.machines)} machines, and this takes one; give a folder in it")
    return run


def _joined(saved: SavedSweep, host: str, unread: list[str]) -> Run:
    """Return a sweep, or the part of one host, as one run; ``machines`` are set if there are several."""
    declared = saved.declared.plan
    plan = structs.replace(declared, run=host or declared.run)
    tiles = [tile for tile in saved.tiles if not host or (tile.host and tile.host.name == host)]
    runs = [_run_of(tile, plan, unread) for tile in tiles]
    hosts = [name for name in saved.hosts if any(run.host == name for run in runs)]
    # a missing case is in the plan of the first host
    by_host = {name: [run for run in runs if (run.host or hosts[0]) == name] for name in hosts}
    machines = [_join(structs.replace(plan, run=name), measured) for name, measured in by_host.items()]
    whole = _join(plan, runs)
    warnings = tuple(dict.fromkeys((*saved.warnings, *whole.warnings)))
    several = tuple(machines) if len(machines) > 1 else ()
    return replace(whole, end=_end(saved, runs), warnings=warnings, machines=several)


def _run_of(tile: Tile, plan: Plan, unread: list[str]) -> Run:
    """Return the run of a part; without ``host`` and values if it is missing."""
    try:
        return tile.load()
    except UserError as error:
        reason = str(error)
    unread += [reason] * (tile.folder is not None)
    groups = [group for group in plan.groups if group.name in tile.part.groups]
    entries = {entry.id for group in groups for entry in group.entries}
    pairs = [pair for pair in plan.pairs if pair.entry in entries]
    # of the fastest forms, which nobody chose, for the place in their map
    pairs += [structs.replace(pair, kind="best") for pair in pairs if pair.kind == "as_written"]
    missing = [Missing(group.name, reason) for group in groups]
    cut = structs.replace(plan, groups=groups, pairs=pairs, ladder=[], probes=[], missing=missing)
    return replace(make_run([cut]), warnings=())


def _join(plan: Plan, runs: Sequence[Run]) -> Run:
    """Return runs as one run of this plan, cut down to what is theirs."""
    planned = {
        name: [*chain.from_iterable(getattr(run.plan, name) for run in runs)]
        for name in (*PLANNED, "missing")
    }
    plan = structs.replace(plan, **planned | {"missing": [*dict.fromkeys(planned["missing"])]})
    records: dict[str, Any] = {
        name: tuple(chain.from_iterable(getattr(run, name) for run in runs)) for name in RECORDS
    }
    joined = replace(make_run([plan]), **records, void=sum(run.void for run in runs))
    if decisions := [run.decision for run in runs if run.decision]:
        joined = replace(joined, decision=_decision(decisions))
    if not (settings := joined.environments):
        return joined
    begun = {run.host: run.environment.warnings for run in reversed(runs) if run.host}  # when a host began
    warnings = [f"{host}: {text}" for host, texts in sorted(begun.items()) for text in texts]
    first = structs.replace(settings[0], warnings=warnings)
    return replace(joined, environment=first, host=next(run.host for run in runs if run.host))


def _decision(decisions: Sequence[Decision]) -> Decision:
    lists: dict[str, Any] = {
        name: [*dict.fromkeys(chain.from_iterable(getattr(decision, name) for decision in decisions))]
        for name in ("pairs", "dropped_groups", "dropped_arms")
    }
    most = max(decisions, key=lambda decision: decision.blocks)
    return structs.replace(most, predicted_s=sum(decision.predicted_s for decision in decisions), **lists)


def _end(saved: SavedSweep, runs: Sequence[Run]) -> End | None:
    """Return how these runs of a sweep ended together; None for a sweep that was cut off."""
    if (end := saved.end) is None:
        return None
    ends = [run.end for run in runs if run.end]
    slept_s = sum(part.slept_s for part in ends)
    reasons = [part.reason for part in ends if part.status == "partial"]
    if lost := len(runs) - len(ends):
        reasons.insert(0, f"{lost} of {count(len(runs), 'case')} missing")
    status: Any = "partial" if reasons else "complete"
    if end.status == "interrupted":
        status, reasons = end.status, []
    return End(status, [*reasons, end.reason][0], end.seconds, end.ended_utc, slept_s, end.stopped_by)
