"""What a run knows so far: values, what block 0 found, what failed. Built from records, live or read back."""

from collections import Counter
from collections.abc import Iterable

from bench.records.record import (
    AnyRecord,
    Arm,
    Burst,
    Calibration,
    Entry,
    Failure,
    Plan,
    Primitive,
    Probe,
    Rates,
    Worker,
    measured_as,
)
from bench.workload.case import Case

Work = tuple[str, str, int, Case]  # spec, device, threads, case: a twin shares its original's

AGAIN = 0.5  # of what compiling took from nothing: finding what was compiled takes far less


class Ledger:
    """``note`` every record of the run, in the journal's order."""

    def __init__(self, plan: Plan, records: Iterable[AnyRecord] = ()) -> None:
        self._arms = {arm.id: arm for arm in plan.arms}
        self._entries = {entry.id: entry for group in plan.groups for entry in group.entries}
        self._measured_as = measured_as(plan.groups)
        self.bursts: list[Burst] = []
        self.found: dict[Work, Calibration] = {}  # in block 0
        self._best_rates: dict[tuple[str, str, int, str], list[Primitive]] = {}
        self._per_call_ns: dict[str, float] = {}  # by entry, of the last value
        self._compile_ns: dict[tuple[int, str], int] = {}  # by block and worker
        self.failures: Counter[str] = Counter()  # by entry
        self.lost: set[str] = set()  # entries that are not tried again
        self.done: set[tuple[int, str]] = set()  # block, entry
        self.probed: set[tuple[int, str]] = set()  # block, arm
        for record in records:
            self.note(record)

    def note(self, record: AnyRecord) -> None:
        """Take in what a record says; those of other kinds say nothing here."""
        if isinstance(record, Burst):
            self.bursts.append(record)
            self.done.add((record.block, record.entry))
            work = self.work(self._entries[record.entry])
            if work not in self.found or self.found[work].rewarm_calls is None:
                self.found[work] = record
            self._per_call_ns[record.entry] = record.elapsed_ns[-1] / record.n_calls
        elif isinstance(record, Failure):
            self.failures[record.entry] += 1
            self.done.add((record.block, record.entry))
            # what crashed gets one more chance, in the next block
            if record.status != "crashed" or self.failures[record.entry] > 1:
                self.lost.add(record.entry)
        elif isinstance(record, Rates):
            self.probed.add((record.block, record.arm))
            if record.block == 0:
                arm = self._arms[record.arm]
                place = (arm.library, arm.device, arm.threads, record.case.dtype)
                self._best_rates.setdefault(place, []).extend(record.primitives)
        elif isinstance(record, Worker) and record.compile_ns:
            self._compile_ns[record.block, record.name] = record.compile_ns

    @property
    def compiles_again(self) -> bool:
        """Whether a worker of block 1 compiled nearly as long as in block 0: nothing was kept for it."""
        return any(
            compile_ns > AGAIN * self._compile_ns.get((0, arm), compile_ns / AGAIN)
            for (block, arm), compile_ns in self._compile_ns.items()
            if block == 1
        )

    def per_call_ns(self, entry: Entry) -> float:
        """About how long a call takes; 0 where no value was taken."""
        return self._per_call_ns.get(entry.id, 0.0)

    def best_rates(self, entry: Entry) -> list[Primitive]:
        """Products that the entry's library was timed with at its place, in its dtype."""
        arm = self.arm(entry)
        return self._best_rates.get((arm.library, arm.device, arm.threads, entry.case.dtype), [])

    def work(self, entry: Entry) -> Work:
        """What an entry shares with its twin."""
        arm = self.arm(entry)
        return arm.spec, arm.device, arm.threads, entry.case

    def arm(self, entry: Entry) -> Arm:
        """The arm of an entry."""
        return self._arms[entry.arm]

    def finished(self, block: int, entries: Iterable[Entry], probes: Iterable[Probe] = ()) -> bool:
        """Whether each of a block's entries has its burst, has failed, or is not tried any more, and each of
        its probes was tried."""
        tried = all((block, probe.arm) in self.probed for probe in probes)
        return tried and all(
            (block, name) in self.done or name in self.lost
            for name in {self._measured_as[entry.id] for entry in entries}
        )
