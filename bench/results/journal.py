"""The journal: a run's raw results on disk, one JSON line a record, written as they come.

Whatever happens to a run, the lines that are there stay readable: a journal without an ``End`` is a run
that was cut off, and a last line that was torn in the middle is left out with a warning.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeVar

import msgspec

import bench
from bench.errors import UserError
from bench.results.record import (
    SCHEMA,
    AnyRecord,
    Arm,
    Burst,
    Decision,
    End,
    Entry,
    Environment,
    Failure,
    Plan,
    Worker,
)

Kind = TypeVar("Kind")
FILE_NAME = "journal.jsonl"


class Journal:
    """Appends records to a new file; each is on its way to the disk before ``write`` returns."""

    def __init__(self, path: Path) -> None:
        """Create the file.

        Raises:
            UserError: there is one already, or it cannot be created.
        """
        self.path = path
        try:
            self._file = path.open("xb")
        except FileExistsError as error:
            raise UserError(f"{path} exists already; choose another --out") from error
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}; choose another --out") from error
        self._encoder = msgspec.json.Encoder()

    def write(self, record: AnyRecord) -> None:
        """Append one record.

        Raises:
            ValueError: it holds a number that is not finite, which JSON cannot express.
        """
        for where in _not_finite(msgspec.to_builtins(record)):
            raise ValueError(f"a {type(record).__name__} cannot be written: {where} is not a finite number")
        self._file.write(self._encoder.encode(record) + b"\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file; nothing can be written any more."""
        self._file.close()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Run:
    """All that one journal holds, sorted by kind. ``warnings`` are about the file itself."""

    plan: Plan
    environment: Environment  # empty where the run was cut off before it
    workers: tuple[Worker, ...]
    bursts: tuple[Burst, ...]
    failures: tuple[Failure, ...]
    decision: Decision | None  # None where the run was cut off in block 0
    end: End | None  # None where the run was cut off
    warnings: tuple[str, ...] = ()

    @property
    def state(self) -> Literal["complete", "partial", "interrupted"]:
        """How the run ended; one without an end was interrupted."""
        return "interrupted" if self.end is None else self.end.status

    @property
    def entries(self) -> dict[str, Entry]:
        """The plan's entries by id, in the plan's order."""
        return {entry.id: entry for group in self.plan.groups for entry in group.entries}

    @property
    def arms(self) -> dict[str, Arm]:
        """The plan's arms by id, in the plan's order."""
        return {arm.id: arm for arm in self.plan.arms}


def read_journal(path: Path) -> tuple[list[AnyRecord], list[str]]:
    """Read all records of a journal; return them and the warnings about the file.

    Raises:
        UserError: no such file, no plan in the first line, a newer schema, or an unreadable line.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; give a run's folder or journal") from error
    torn = lines.pop()  # empty where the last line was finished
    _check_plan(lines[0] if lines else b"", path)

    decoder = msgspec.json.Decoder(AnyRecord)
    records: list[AnyRecord] = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(decoder.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UserError(f"{path}, line {number} cannot be read: {error}; the file is damaged") from error
    warnings = [f"the last line of {path.name} was torn ({len(torn)} bytes) and is left out"] if torn else []
    return records, warnings


def load_run(path: Path) -> Run:
    """Read a run from its folder or its journal.

    Raises:
        UserError: the journal cannot be read, or contradicts its own plan.
    """
    path = path / FILE_NAME if path.is_dir() else path
    records, warnings = read_journal(path)
    if sum(isinstance(record, Plan) for record in records) > 1:
        raise UserError(f"{path} holds more than one plan; each run has a journal of its own")
    run = make_run(records, warnings)
    for problem in _contradictions(run):
        raise UserError(f"{path} contradicts itself: {problem}; the file was edited or is damaged")
    return run


def make_run(records: Sequence[AnyRecord], warnings: Sequence[str] = ()) -> Run:
    """Sort the records of one journal, whose first is its plan, by kind."""
    environments = _of_kind(Environment, records)
    decisions = _of_kind(Decision, records)
    ends = _of_kind(End, records)
    cut_off = () if ends else ("the journal has no end: the run was cut off",)
    return Run(
        plan=_of_kind(Plan, records)[0],
        environment=environments[0] if environments else Environment({}, {}, {}, {}, []),
        workers=_of_kind(Worker, records),
        bursts=_of_kind(Burst, records),
        failures=_of_kind(Failure, records),
        decision=decisions[0] if decisions else None,
        end=ends[0] if ends else None,
        warnings=(*warnings, *cut_off),
    )


def _of_kind(kind: type[Kind], records: Iterable[AnyRecord]) -> tuple[Kind, ...]:
    return tuple(record for record in records if isinstance(record, kind))


def _check_plan(line: bytes, path: Path) -> None:
    """Look at the first line alone: what a newer program wrote there need not fit our records."""
    try:
        first = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        first = None
    if not isinstance(first, dict) or first.get("kind") != "plan" or not isinstance(first.get("schema"), int):
        raise UserError(f"{path} is no journal of rnnbench: its first line is not a plan")
    if first["schema"] > SCHEMA:
        raise UserError(
            f"{path} has schema {first['schema']}, written by rnnbench {first.get('version', '?')}; this is "
            f"rnnbench {bench.__version__}, which reads up to schema {SCHEMA}; install the newer one"
        )


def _contradictions(run: Run) -> Iterator[str]:
    """What no run writes, and what would spoil every number made from it."""
    entries = run.entries
    pairs = [*run.plan.pairs, *(run.decision.pairs if run.decision else [])]
    named = [burst.entry for burst in run.bursts] + [failure.entry for failure in run.failures]
    named += [name for pair in pairs for name in (pair.entry, pair.baseline)]
    named += [entry.baseline for entry in entries.values() if entry.baseline]
    yield from (f"the plan has no entry {name!r}" for name in dict.fromkeys(named) if name not in entries)
    arms = run.arms
    used = [entry.arm for entry in entries.values()]
    yield from (f"the plan has no arm {name!r}" for name in dict.fromkeys(used) if name not in arms)
    seen: set[tuple[int, str]] = set()
    for burst in run.bursts:
        where = f"{burst.entry!r} in block {burst.block}"
        if (burst.block, burst.entry) in seen:
            yield f"two bursts of {where}"
        seen.add((burst.block, burst.entry))
        if not burst.elapsed_ns or min(burst.elapsed_ns) <= 0 or burst.n_calls < 1:
            yield f"a time that is not positive for {where}"


def _not_finite(value: Any, where: str = "") -> Iterator[str]:
    """Paths of all numbers in a tree of plain objects that are NaN or infinite."""
    children: Iterable[tuple[object, Any]] = ()
    if isinstance(value, dict):
        children = value.items()
    elif isinstance(value, list | tuple):
        children = enumerate(value)
    elif isinstance(value, float) and not math.isfinite(value):
        yield where
    for name, child in children:
        yield from _not_finite(child, f"{where}.{name}" if where else str(name))
