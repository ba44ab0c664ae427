"""Find the saved results below a folder, recognise copies, and choose the newest, or the last two of a plan.

A result is recognised by the seal of its second line: it covers the plan and what the machine told when the
run began. A copy holds the same lines as another file, all of them or the first of them.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from bench.machine import wording
from bench.machine.errors import Unfinished, UserError
from bench.records import journal, stream, sweep, training
from bench.records.folder import REFINEMENT_NAME, refinement_folders
from bench.records.joined import result_folders, sweep_of
from bench.records.record import Plan
from bench.records.run import Run, different_machines, make_run
from bench.records.saved import Kind, kind_of, load_saved

RESULTS = Path("results")  # where results go unless --out names another folder
ROOMS: dict[Kind, Any] = {"measured": journal, "training": training, "stream": stream}
NAMES = tuple(room.FILE_NAME for room in ROOMS.values())
PAGE = "report.html"  # in a folder without results, that of a report alone
NAME_TWO = "name the two: rnnbench compare OLD NEW"
Tell = Callable[[str], object]  # takes a line about what cannot be read or is a copy


@dataclass(frozen=True, slots=True)
class Head:
    """Hold the beginning of a saved result."""

    path: Path  # the folder, or the file in it
    file: Path
    started_utc: str
    seal: bytes
    run: Run | None  # plan and environment alone; None for another kind, and for several machines


@dataclass(frozen=True, slots=True)
class Selection:
    """Hold the results to read, copies left out."""

    paths: list[Path]
    heads: list[Head]  # of those that are no file of another tool
    named: frozenset[Path]  # must be readable; those found in a folder of results need not
    copies: dict[Path, Path]  # each copy that is left out, and its original
    unread: list[str]  # a line for each result that cannot be read

    @property
    def copy_lines(self) -> list[str]:
        """Return a sentence for each copy."""
        lines = (f"{copy} is a copy of {path}, and is left out" for copy, path in self.copies.items())
        return [*map(wording.one_line, lines)]


def holds_results(path: Path) -> bool:
    """Return whether this is a folder that is no result and no sweep itself."""
    if folder := sweep_of(path):
        return path not in result_folders(folder)
    return path.is_dir() and not any((path / name).exists() for name in NAMES)


def find_results(paths: Sequence[Path]) -> Selection:
    """Return the results, with all below a folder of results, the newest first.

    Refinements belong to their grid. Files of other tools are results only where they are named.

    Raises:
        UserError: a folder holds neither a result nor a report of one.
    """
    heads: dict[Path, Head | None] = {}
    named = frozenset(path for path in paths if not holds_results(path))
    unread: list[str] = []
    for path in paths:
        if path in named:
            heads[path] = None
            with suppress(UserError):  # of another tool, or unreadable, which is told when all of it is read
                heads[path] = read_head(path)
            continue
        below, n_unread = list[Head](), len(unread)
        for place in _places(path, unread):
            try:
                below.append(read_head(place))
            except UserError as error:
                unread.append(str(error))
        if not below and n_unread == len(unread) and not (path / PAGE).exists():
            raise UserError(f"{path} holds no run, training or stream; rnnbench run makes one")
        below.sort(key=lambda head: str(head.path))
        below.sort(key=lambda head: head.started_utc, reverse=True)
        heads |= {head.path: head for head in below}
    known = list(filter(None, heads.values()))
    copies = _copies(known)
    return Selection(
        paths=[path for path in heads if path not in copies],
        heads=[head for head in known if head.path not in copies],
        named=named,
        copies=copies,
        unread=unread,
    )


def read_head(path: Path) -> Head:
    """Read the beginning of a run, a training or a stream.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    if folder := sweep_of(path):
        return _head_of_sweep(path, sweep.load_sweep(folder))
    room = ROOMS[kind_of(path)]
    begin = room.read_begin(path, 2)
    file = path / room.FILE_NAME if path.is_dir() else path
    run = make_run(begin.records) if room is journal else None
    return Head(path, file, begin.records[0].started_utc, begin.seal, run)


def _head_of_sweep(path: Path, saved: sweep.SavedSweep) -> Head:
    """Return the head of a sweep, or of what one host measured; its ``run`` is None for several machines."""
    declared, name = saved.declared, path.name if saved.declared.everywhere else ""
    places = {
        tile.host.name: tile.folder
        for tile in saved.tiles
        if tile.folder and tile.host and name in ("", tile.host.name)
    }
    run = None
    if len(places) == 1:
        with suppress(UserError):  # told when the journals are read
            begin = journal.read_begin(next(iter(places.values())), 2)
            run = make_run([declared.plan, *begin.records[1:]])
    seal = f"{declared.started_utc} {declared.plan.seed} {name}".encode()
    return Head(path, saved.path / sweep.FILE_NAME, declared.started_utc, seal, run)


def newest(paths: Sequence[Path], tell: Tell) -> Path:
    """Return the run, training or stream that was started last.

    Raises:
        UserError: there is none.
    """
    selection = find_results(paths)
    for line in selection.unread:
        tell(line)
    if not selection.heads:
        raise UserError(
            f"{wording.listing(list(map(str, paths)))}: no run, training or stream is there to read"
        )
    return max(selection.heads, key=lambda head: head.started_utc).path


def last_two(given: Path | None, tell: Tell, *, strict: bool = False) -> tuple[Path, Path]:
    """Return the last two runs of one plan on one machine, the older first.

    ``given`` is the folder to search, or one of the two runs; the other one is then the newest of its plan.
    With ``strict``, nothing that cannot be read may be newer than they are.

    Raises:
        Unfinished: there are no two such runs, or with ``strict`` something cannot be read.
        UserError: the given run cannot be read.
    """
    head = None if given is None or holds_results(given) else read_head(given)
    folder = RESULTS if given is None else given if head is None else _beside(head)
    if not folder.is_dir():
        raise Unfinished(f"there is no folder {folder} here to take runs from; {NAME_TWO}")
    selection = find_results([folder])
    for line in (*selection.copy_lines, *selection.unread):
        tell(line)
    if strict and selection.unread:
        raise Unfinished(
            f"what cannot be read in {folder} may be one of the last two: {selection.unread[0]}; {NAME_TWO}"
        )
    runs = [head for head in selection.heads if head.run]
    pairs: Iterable[tuple[Head, Head]] = combinations(runs, 2)  # the newest first
    if head is not None:
        pairs = ((head, other) for other in runs if other.seal != head.seal)
    pair = next((pair for pair in pairs if _same_plan(*pair)), None)
    if pair is None:
        like_it = f" as {given}" if head else ""
        raise Unfinished(
            f"of {wording.count(len(runs), 'run')} in {folder} no two have the same cases and arms{like_it} "
            f"on one machine; {NAME_TWO}"
        )
    old, new = (head.path for head in sorted(pair, key=lambda head: head.started_utc))
    for path in (old, new):
        run = load_saved(path)
        if isinstance(run, Run) and run.state == "interrupted":
            tell(f"{path} was interrupted or is being measured: what it has so far is compared")
    return old, new


def _beside(head: Head) -> Path:
    """Return the folder of results that a run belongs to: ``results`` here, else the one around it."""
    run = head.file.resolve().parent
    return RESULTS if RESULTS.resolve() in run.parents else run.parent


def _places(folder: Path, unread: list[str]) -> Iterator[Path]:
    """Yield the folders of runs, trainings and streams at any depth."""

    def note(error: OSError) -> None:
        unread.append(f"cannot look into {wording.short(error.filename)}: {error.strerror}")

    for place, folders, files in os.walk(folder, onerror=note):
        here, results = Path(place), [name for name in NAMES if name in files]
        if sweep.FILE_NAME in files:
            folders.clear()
            yield from result_folders(here)
            continue
        yield from [here] if len(results) == 1 else [here / name for name in results]
        if journal.FILE_NAME in files:
            folders[:] = [name for name in folders if not REFINEMENT_NAME.fullmatch(name)]


def _copies(heads: Sequence[Head]) -> dict[Path, Path]:
    """Map each copy to the result that holds all of it: the longest, with the most refinements."""
    originals: dict[bytes, list[Head]] = {}
    copies: dict[Path, Path] = {}

    def size(head: Head) -> tuple[int, int]:
        return head.file.stat().st_size, len(refinement_folders(head.path))

    for head in sorted(heads, key=size, reverse=True):
        known = originals.setdefault(head.seal, [])
        if whole := next((original for original in known if _begins_with(original.file, head.file)), None):
            copies[head.path] = whole.path
        else:
            known.append(head)
    return copies


def _begins_with(longer: Path, shorter: Path) -> bool:
    beginning = shorter.read_bytes()
    with longer.open("rb") as file:
        return file.read(len(beginning)) == beginning


def _same_plan(*heads: Head) -> bool:
    """Return whether two runs time the same arms on the same cases, both with verdicts or both without."""
    runs = [head.run for head in heads if head.run]
    works = [_work(run.plan) for run in runs]
    return len(runs) == 2 and works[0] == works[1] and not different_machines(runs)


def _work(plan: Plan) -> tuple[object, ...]:
    entries = (entry for group in plan.groups for entry in group.entries)
    return plan.verdicts, frozenset(
        (entry.arm, entry.group, entry.baseline, replace(entry.case, seed=0)) for entry in entries
    )
