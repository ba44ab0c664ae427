"""Define the records of ``sweep.jsonl``: which parts of a plan exist, where each was measured, or why not.

A sweep measures one plan in parts, each a run of its own: a folder with a journal. The file of sealed lines
beside these folders begins with the declared ``Sweep``. Each part then has a ``Measured`` or an
``Unmeasured``. With ``everywhere``, every host measures every part, and each host has a folder of its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from bench.machine.errors import UserError
from bench.records import journal
from bench.records.contradictions import of_run, quoted, refuse_contradictions
from bench.records.record import Amount, End, Facts, Plan, Record
from bench.records.run import Run, make_run
from bench.records.sealed import Content, Decoder, Format, SealedWriter, load_sealed

FILE_NAME = "sweep.jsonl"
SCHEMA = 1
FolderName = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9_.-]*\Z")]  # leads nowhere else


class Part(Struct, frozen=True, forbid_unknown_fields=True):
    """Name the groups of the plan that are measured together, on one host."""

    name: FolderName
    groups: list[str]


class Sweep(Record, frozen=True):
    """Declare a sweep: the plan as a plain run would have it, and the parts that are handed out."""

    schema: int
    version: str  # of rnnbench
    started_utc: str
    command: list[str]
    everywhere: bool
    keep: list[str]  # variables to pass on to the workers
    host_name: bool  # whether the journals name their hosts
    plan: Plan
    parts: list[Part]


class Host(Record, frozen=True):
    """Describe a host when it is first used; ``host`` is the hash that its journals have.

    A host with a lock of its own has another ``id``: several of them may be on one machine.
    """

    name: FolderName
    host: str
    facts: Facts  # versions of Python and packages, and the commit of rnnbench
    id: str = ""


class Measured(Record, frozen=True):
    """Mark that a part's journal is whole; ``seal`` is that of its last line."""

    part: str
    host: str
    seal: Annotated[str, Meta(pattern=r"\A[0-9a-f]{16}\Z")]
    status: Literal["complete", "partial"]
    seconds: Amount


class Unmeasured(Record, frozen=True):
    """Tell why an attempt to measure a part gave nothing; ``host`` is empty if no host began it."""

    part: str
    host: str
    reason: str


# a sweep that is resumed has several ends, the last one counts; ``partial``: a case is missing or partial
AnyRecord = Sweep | Host | Measured | Unmeasured | End
FORMAT = Format("sweep", FILE_NAME, "sweep", SCHEMA, "the folder of a sweep")


class SweepFile(SealedWriter[AnyRecord]):
    """Append records to the file of a sweep."""

    decode = Decoder[AnyRecord](AnyRecord)

    @classmethod
    def reopen(cls, folder: Path) -> tuple["SweepFile", "SavedSweep"]:
        """Open a sweep to go on with it: a tile that is partial or cannot be read is to be measured again.

        Errors are those of ``load_sweep``, or that the file is in use.
        """
        file, content = cls.reopened(folder / FILE_NAME, FORMAT, _decode, lambda _: None)
        try:
            saved = _saved(folder, content)
            return file, replace(saved, tiles=tuple(tile.checked(partial=False) for tile in saved.tiles))
        except BaseException:
            file.close()
            raise


@dataclass(frozen=True, slots=True)
class Tile:
    """Hold where a part was measured, and the folder of its run; or no folder, and the reason why."""

    part: Part
    host: Host | None
    folder: Path | None
    measured: Measured | None
    reason: str

    def load(self) -> Run:
        """Read the run.

        Raises:
            UserError: there is none, it cannot be read, or its journal is not the one that was measured.
        """
        if self.folder is None or self.host is None or self.measured is None:
            raise UserError(self.reason)
        return replace(journal.load_run(self.folder, self.measured.seal), host=self.host.name)

    def checked(self, *, partial: bool = True) -> "Tile":
        """Return this tile, as missing if it cannot be read, or is partial where ``partial`` is False."""
        try:
            end = self.load().end
        except UserError as error:
            return replace(self, folder=None, measured=None, reason=str(error))
        if partial or end is None or end.status == "complete":
            return self
        return replace(self, folder=None, measured=None, reason=end.reason)


@dataclass(frozen=True, slots=True)
class SavedSweep:
    """Hold a sweep as read from its file; the tiles are in the plan's order, with ``everywhere`` by host."""

    path: Path
    declared: Sweep
    hosts: dict[str, Host]
    tiles: tuple[Tile, ...]
    end: End | None
    warnings: list[str]

    @property
    def missing(self) -> list[Tile]:
        """Return the tiles that were not measured, or whose journal is gone, damaged or another's."""
        return [tile for tile in (tile.checked() for tile in self.tiles) if tile.folder is None]


def load_sweep(folder: Path) -> SavedSweep:
    """Read a sweep from its folder; the journals of its parts are not opened.

    Raises:
        UserError: the file cannot be read, or contradicts itself.
    """
    return _saved(folder, load_sealed(folder / FILE_NAME, FORMAT, _decode))


def part_folder(folder: Path, declared: Sweep, part: str, host: str) -> Path:
    """Return the folder of a part's run."""
    return folder / host / part if declared.everywhere else folder / part


def _decode(data: bytes) -> tuple[AnyRecord, bytes]:
    return SweepFile.decode(data), data


def _saved(folder: Path, content: Content[AnyRecord]) -> SavedSweep:
    """Sort the records; the last attempt of a part counts, and a measured part stays measured."""
    declared, *records = content.records
    assert isinstance(declared, Sweep)  # as ``FORMAT`` says
    refuse_contradictions(folder / FILE_NAME, _contradictions(declared, records))
    hosts = {record.name: record for record in records if isinstance(record, Host)}
    attempts: dict[tuple[str, str], Measured | Unmeasured] = {}
    for record in records:
        if isinstance(record, Measured | Unmeasured):
            place = (record.part, record.host if declared.everywhere else "")
            if isinstance(record, Measured) or not isinstance(attempts.get(place), Measured):
                attempts[place] = record

    def tile(part: Part, host: str) -> Tile:
        last = attempts.get((part.name, host))
        if isinstance(last, Measured):
            path = part_folder(folder, declared, part.name, last.host)
            return Tile(part, hosts[last.host], path, last, "")
        reason = last.reason if last else "no host measured it before the end"
        return Tile(part, hosts.get(host), None, None, reason)

    tiles = [tile(part, host) for host in (hosts if declared.everywhere else [""]) for part in declared.parts]
    ends = [record for record in records if isinstance(record, End)]
    return SavedSweep(folder, declared, hosts, tuple(tiles), ends[-1] if ends else None, content.warnings)


def _contradictions(declared: Sweep, records: Sequence[AnyRecord]) -> Iterator[str]:
    yield from of_run(make_run([declared.plan]))
    groups = [group for part in declared.parts for group in part.groups]
    if sorted(groups) != sorted(group.name for group in declared.plan.groups):
        yield "its cases are not the groups of its plan, each once"
    parts, hosts = {part.name for part in declared.parts}, {""}
    if len(parts) < len(declared.parts):
        yield "two cases have one name"
    for record in records:
        if isinstance(record, Host):
            hosts.add(record.name)
        elif isinstance(record, Measured | Unmeasured):
            if record.part not in parts:
                yield f"it has no case {quoted(record.part)}"
            if record.host not in hosts or (isinstance(record, Measured) and not record.host):
                yield f"it has no host {quoted(record.host)}"
