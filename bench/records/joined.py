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

CHAINED = ("workers", "bursts", "failures", "conditions", "rates", "environments", "warnings")


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

    ``unread`` gets a line for each part of a sweep whose journal cannot be used.

    Raises:
        UserError: it cannot be read, contradicts itself, or is a sweep that every host measured.
    """
    folder = sweep_of(path)
    if folder is None:
        return journal.load_run(path)
    saved = sweep.load_sweep(folder)
    if path not in (places := result_folders(folder)):
        hosts = ", ".join(map(str, places)) or "none has anything yet"
        raise UserError(f"{path} has results of every host; give the folder of one: {hosts}")
    return _joined(saved, path.name if saved.declared.everywhere else "", [] if unread is None else unread)


def _joined(saved: SavedSweep, host: str, unread: list[str]) -> Run:
    """Return a sweep, or the part of one host, as one run; ``machines`` are set if there are several."""
    declared = saved.declared.plan
    plan = structs.replace(declared, run=host or declared.run)
    runs: dict[str, list[Run]] = {name: [] for name in saved.hosts}
    missing: list[Missing] = []
    for tile in saved.tiles:
        if host and (tile.host is None or tile.host.name != host):
            continue
        try:
            run = _load_tile(tile, plan)
            runs[tile.host.name if tile.host else ""].append(run)
        except UserError as error:
            missing += [Missing(group, str(error)) for group in tile.part.groups]
            unread += [str(error)] * (tile.folder is not None)
    measured = [*chain(*runs.values())]
    machines = tuple(
        replace(_join(structs.replace(plan, run=name), parts), host=name)
        for name, parts in runs.items()
        if parts
    )
    whole = _join(structs.replace(plan, missing=[*plan.missing, *missing]), measured)
    return replace(
        whole,
        host=host,
        end=_end(saved, measured),
        warnings=tuple(dict.fromkeys((*saved.warnings, *whole.warnings))),
        machines=machines if len(machines) > 1 else (),
    )


def _load_tile(tile: Tile, plan: Plan) -> Run:
    """Read the run of a part; raise UserError if there is none, or it cannot stand for the part."""
    if tile.folder is None:
        raise UserError(tile.reason)
    run = journal.load_run(tile.folder)
    told, found = tile.host and tile.host.host, run.environment.machine.get("host")
    if run.plan.groups != [group for group in plan.groups if group.name in tile.part.groups]:
        raise UserError(f"{tile.folder} was measured by another plan than that of {sweep.FILE_NAME}")
    if told and found and told != found:
        raise UserError(f"{tile.folder} was measured on another host than {sweep.FILE_NAME} says")
    if run.state == "interrupted" or run.extensions:
        how = "extended by itself" if run.extensions else "cut off"
        raise UserError(f"{tile.folder} was {how}; rnnbench report {tile.folder} shows it")
    return run


def _join(plan: Plan, runs: Sequence[Run]) -> Run:
    """Return runs as one, whose plan has their groups, and those of the plan that are missing."""
    groups = {group.name for run in runs for group in run.plan.groups} | {item.what for item in plan.missing}
    kept = [group for group in plan.groups if group.name in groups]
    entries = {entry.id for group in kept for entry in group.entries}
    plan = structs.replace(
        plan,
        groups=kept,
        pairs=[pair for pair in plan.pairs if pair.entry in entries],
        ladder=[rung for rung in plan.ladder if rung.entry in entries],
    )
    fields: dict[str, Any] = {
        name: tuple(chain.from_iterable(getattr(run, name) for run in runs)) for name in CHAINED
    }
    audited = (warning for setting in fields["environments"] for warning in setting.warnings)
    joined = replace(make_run([plan]), **fields, void=sum(run.void for run in runs))
    if runs:
        warnings = list(dict.fromkeys(audited))
        joined = replace(joined, environment=structs.replace(runs[0].environment, warnings=warnings))
    if decisions := [run.decision for run in runs if run.decision]:
        joined = replace(joined, decision=_decision(plan, decisions))
    return joined


def _decision(plan: Plan, decisions: Sequence[Decision]) -> Decision:
    """Return all decisions as one; a missing group has the fastest forms that nobody chose, for its place."""
    lost = {item.what for item in plan.missing}
    unchosen = [
        structs.replace(pair, kind="best")
        for group in plan.groups
        for pair in plan.pairs
        if group.name in lost and pair.kind == "as_written" and pair.entry in {e.id for e in group.entries}
    ]
    return Decision(
        pairs=[*(pair for decision in decisions for pair in decision.pairs), *unchosen],
        predicted_s=sum(decision.predicted_s for decision in decisions),
        blocks=max(decision.blocks for decision in decisions),
        rounds=max(decision.rounds for decision in decisions),
        dropped_groups=[name for decision in decisions for name in decision.dropped_groups],
        dropped_arms=list(dict.fromkeys(name for decision in decisions for name in decision.dropped_arms)),
    )


def _end(saved: SavedSweep, runs: Sequence[Run]) -> End | None:
    """Return how these runs of a sweep ended together; None for a sweep that was cut off."""
    if saved.end is None:
        return None
    ends = [run.end for run in runs if run.end]
    reasons = list(dict.fromkeys(end.reason for end in ends if end.status == "partial"))
    n_missing = len(saved.declared.parts) - len(runs)
    if n_missing:
        reasons.insert(0, f"{n_missing} of {count(len(saved.declared.parts), 'case')} missing")
    status: Any = "partial" if reasons else "complete"
    if saved.end.status == "interrupted":
        status, reasons = "interrupted", [saved.end.reason]
    slept_s = sum(end.slept_s for end in ends)
    reason = "; ".join(reasons) or saved.end.reason
    return End(status, reason, saved.end.seconds, saved.end.ended_utc, slept_s, saved.end.stopped_by)
