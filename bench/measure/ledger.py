"""What a run knows so far: values, what block 0 found, what failed. Built from records, live or read back."""

from collections import Counter
from collections.abc import Iterable

from bench.case import Case
from bench.measure.inputs import Calibration
from bench.results.record import AnyRecord, Arm, Burst, Entry, Failure, Plan, Probe, Rates, Worker

Work = tuple[str, str, int, Case]  # spec, device, threads, case: a twin shares its original's

AGAIN = 0.5  # of what compiling took from nothing: finding what was compiled takes far less


class Ledger:
    """``note`` every record of the run, in the journal's order."""

    def __init__(self, plan: Plan, records: Iterable[AnyRecord] = ()) -> None:
        self._arms = {arm.id: arm for arm in plan.arms}
        self._entries = {entry.id: entry for group in plan.groups for entry in group.entries}
        self.bursts: list[Burst] = []
        self.found: dict[Work, Calibration] = {}  # in block 0
        self.ready_s: dict[str, float] = {}  # by arm, the processor time of its start in block 0
        self._compile_ns: dict[tuple[int, str], int] = {}  # by block and arm
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
            self.found.setdefault(
                self.work(self._entries[record.entry]),
                Calibration(record.n_calls, record.warmup_calls, record.settled),
            )
        elif isinstance(record, Failure):
            self.failures[record.entry] += 1
            self.done.add((record.block, record.entry))
            # what crashed gets one more chance, in the next block
            if record.status != "crashed" or self.failures[record.entry] > 1:
                self.lost.add(record.entry)
        elif isinstance(record, Rates):
            self.probed.add((record.block, record.arm))
        elif isinstance(record, Worker):
            if record.compile_ns:
                self._compile_ns[record.block, record.arm] = record.compile_ns
            if record.block == 0:
                self.ready_s[record.arm] = (record.ready_ns - record.compile_cpu_ns) / 1e9

    @property
    def compiled(self) -> bool:
        """Whether a worker compiled in block 0."""
        return any(block == 0 for block, _ in self._compile_ns)

    @property
    def compiles_again(self) -> bool:
        """Whether a worker of block 1 compiled nearly as long as in block 0: nothing was kept for it."""
        return any(
            compile_ns > AGAIN * self._compile_ns.get((0, arm), compile_ns / AGAIN)
            for (block, arm), compile_ns in self._compile_ns.items()
            if block == 1
        )

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
        return tried and all((block, entry.id) in self.done or entry.id in self.lost for entry in entries)
