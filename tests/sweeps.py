"""Sweeps as a cluster leaves them: parts of a plan in folders of their own, each measured on some host."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from grids import crossing_at, grid_plan, records_of, with_ratio, write_grid
from msgspec.structs import replace

from bench.measure.split import split
from bench.records.journal import FILE_NAME as JOURNAL
from bench.records.record import AnyRecord, Burst, Decision, End, Environment, Plan
from bench.records.sweep import FILE_NAME, SCHEMA, Host, Measured, Part, Sweep, SweepFile, Unmeasured

PROCESSORS = ("Example CPU 9000", "Sample Processor X2", "Example CPU 7000")
LOST = "its worker was lost"


def cut(records: Sequence[AnyRecord], part: Plan) -> list[AnyRecord]:
    """The records of a run that are of a part of its plan, as a run of the part."""
    entries = {entry.id for group in part.groups for entry in group.entries}
    kept: list[AnyRecord] = []
    for record in records:
        if isinstance(record, Plan):
            record = part
        elif isinstance(record, Decision):
            record = replace(record, pairs=[pair for pair in record.pairs if pair.entry in entries])
        if not isinstance(record, Burst) or record.entry in entries:
            kept.append(record)
    return kept


@dataclass
class Swept:
    """A sweep in a folder; a test changes what it likes before it writes."""

    folder: Path
    plan: Plan
    records: list[AnyRecord]
    host_of: Callable[[int], str] = lambda number: "host-1"  # of a part's number, from 0; empty: lost
    everywhere: bool = False
    hosts: int = 1
    alike: bool = False  # whether the journals tell of one machine, as containers may

    @property
    def parts(self) -> dict[str, Plan]:
        """The plans of the parts by name."""
        return split(self.plan)

    def write(self) -> Path:
        """The folder with all its files."""
        names = [f"host-{number + 1}" for number in range(self.hosts)]
        parts = [Part(name, [group.name for group in part.groups]) for name, part in self.parts.items()]
        plan = self.plan
        self.folder.mkdir()
        with SweepFile(self.folder / FILE_NAME) as file:
            file.write(Sweep(
                SCHEMA, plan.version, plan.started_utc, plan.command, self.everywhere, [], False, plan, parts
            ))  # fmt: skip
            for number, name in enumerate(names):
                file.write(Host(name, "0" * 12 if self.alike else f"{number}" * 12, {"numpy": "2.4.6"}))
            for number, (name, part) in enumerate(self.parts.items()):
                for host in names if self.everywhere else [self.host_of(number)]:
                    if not host:
                        file.write(Unmeasured(name, "", LOST))
                        continue
                    place = self.folder / host / name if self.everywhere else self.folder / name
                    write_grid(place, [self._there(record, host) for record in cut(self.records, part)])
                    file.write(Measured(name, host, last_seal(place), "complete", 12.0))
            file.write(End("complete", "all parts done", 60.0, "2026-01-02T03:11:05+00:00"))
        return self.folder

    def _there(self, record: AnyRecord, host: str) -> AnyRecord:
        if not isinstance(record, Environment):
            return record
        number = 0 if self.alike else int(host.removeprefix("host-")) - 1
        facts = {"processor": PROCESSORS[number], "host": f"{number}" * 12}
        return replace(record, machine=record.machine | facts)


def last_seal(folder: Path) -> str:
    """The seal of a journal's last line."""
    return (folder / JOURNAL).read_bytes().splitlines()[-1][9:25].decode()


def swept(folder: Path, *, turns_at: float = 200.0, **options: object) -> Swept:
    """A sweep of a small grid, not yet written; ``options`` are fields of ``Swept`` and of the plan."""
    fields = {
        name: options.pop(name) for name in ("host_of", "everywhere", "hosts", "alike") if name in options
    }
    plan = grid_plan(**options)
    return Swept(folder, plan, records_of(plan, with_ratio(crossing_at(turns_at))), **fields)
