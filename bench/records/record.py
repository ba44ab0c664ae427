"""Define the records of a journal. Times are integer nanoseconds, as read from the clock.

A journal begins with one ``Plan`` (declared before the first value), one ``Environment`` and one
``Conditions`` per case. Then each block has its ``Worker``s, a ``Burst`` or ``Failure`` per entry, and
``Rates`` per probe. After block 0 follows one ``Decision``, later another one if more must be dropped. An
``End`` is last. Where a run was resumed, another ``Environment`` and a ``Resumed`` follow; where a finished
run was extended, an ``Extended`` comes before them.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from bench.machine.libraries import introduce, library
from bench.machine.wording import UNSEEN
from bench.workload.case import Case
from bench.workload.operations import Kernel

SCHEMA = 4  # journals of other versions are refused
MAX_BLOCKS = 1000  # of a run; the cost of the analysis grows with the square of this number

# bounds for reading a file; no run writes values outside them
MAX_NS = 10**16  # longest timed value: four months
MOST = 10**9  # largest number of threads; also of seconds (30 years)
DEPTH = 8  # largest depth of nested facts; rnnbench itself writes two levels
Name = Annotated[str, Meta(min_length=1)]
Count = Annotated[int, Meta(ge=0, le=MAX_NS)]  # of anything, also nanoseconds
Positive = Annotated[int, Meta(ge=1, le=MAX_NS)]
Block = Annotated[int, Meta(ge=0, le=MAX_BLOCKS)]
Blocks = Annotated[int, Meta(ge=1, le=MAX_BLOCKS)]
Amount = Annotated[float, Meta(ge=0, le=MOST)]
Error = Annotated[float, Meta(ge=0)]
Times = Annotated[list[Positive], Meta(min_length=1)]
# a text shown unchanged: one line without invisible or control characters
Label = Annotated[str, Meta(pattern=rf"\A(?!.*({UNSEEN.pattern}|[\t\n])).+\Z")]
Colour = Annotated[str, Meta(pattern=r"\A#[0-9a-fA-F]{6}\Z")]

if TYPE_CHECKING:
    Facts = dict[str, Any]
else:  # any facts of a machine or a library, if integers fit into 64 bits and the nesting is limited
    Fact = Scalar = bool | Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | float | str | None
    for _ in range(DEPTH):
        Fact = Scalar | list[Fact] | dict[str, Fact]
    Facts = dict[str, Fact]

# a requested table; added by the plan: the ladder, compiled code, the calls on arrays of one number, and the
# other cells with the RNN of the same arm as baseline
GroupKind = Literal["table", "ladder", "compiled", "dispatch", "cells"]
# each library as usually written; each library's fastest form; compiled code; the tutorial's claim; A/A; a
# cell and the RNN of the same arm; the fastest peer and a library's fastest form; packed and masked
# sequences
PairKind = Literal["as_written", "best", "compiled", "claim", "twin", "cell", "peer", "packed"]
# state of an entry; "ok": the burst passed its proof
Status = Literal["ok", "known_wrong", "disagrees", "invalid", "missing", "crashed", "timeout", "oom"]
# if verdicts need more time than the budget: use more time, refuse the run, or give no verdict
BudgetRule = Literal["aim", "refuse", "hold"]


class Arm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Combine a variant, a device and a thread count. A twin repeats another arm (A/A control)."""

    id: Name  # "numpy-batched@cpu x1", "numpy-batched@cpu x1 twin"
    spec: Name  # name in the catalogue, or module:object
    variant: Name
    library: str
    device: Name
    threads: Annotated[int, Meta(ge=1, le=MOST)]
    twin: bool = False
    known_wrong: bool = False
    peer: bool = False  # of a library beside NumPy and PyTorch

    @property
    def title(self) -> str:
        """Return the name for a sentence: "torch-layer", "... on cuda:0", "... with 2 threads"."""
        device = "" if self.device == "cpu" else f" on {self.device}"
        threads = f" with {self.threads} threads" if self.threads > 1 and not device else ""
        return f"{self.variant}{device}{threads}{' (A/A control)' if self.twin else ''}"


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Describe an arm on a case in a group: one row of a table. ``baseline`` is an entry's id or None."""

    id: Name  # "train_step positional | numpy-batched@cpu x1"
    group: str
    arm: str
    case: Case
    baseline: str | None


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Describe a set of entries that are measured together in every block and shown as one table."""

    name: Name  # "train_step positional", "ladder", "dispatch"
    entries: list[Entry]
    blocks: Blocks | None = None  # number of counted blocks with this group; None: all
    kind: GroupKind = "table"


class Pair(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Declare a headline: the ratio of the time of ``entry`` to the time of ``baseline``."""

    kind: PairKind
    entry: str
    baseline: str


class Rung(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Describe a step of the ladder: ``entry`` differs from entry ``above`` by one ``change``."""

    entry: str
    above: str | None  # the entry to compare with; None for the first rung
    change: str  # "tanh", "the whole batch at once"
    branch: bool = False  # beside the main way from the first rung to the last


class Probe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Describe basic operations of an arm's library, timed by the arm's worker at the sizes of ``case``."""

    arm: str
    case: Case
    blocks: Blocks | None = None  # number of counted blocks with this probe; None: all


class Missing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Name something requested that cannot be measured here, with the reason."""

    what: str  # "torch-layer@cuda:0"
    reason: str
    library: str = ""  # of the missing variant; empty for a device


def measured_as(groups: Iterable[Group]) -> dict[str, str]:
    """Map each entry to the entry that is measured for it: the first with the same arm and case."""
    first_entry: dict[tuple[str, Case], str] = {}
    return {
        entry.id: first_entry.setdefault((entry.arm, entry.case), entry.id)
        for group in groups
        for entry in group.entries
    }


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag=str.lower):
    """Define one line of a sealed file; the class name in lower case is the line's ``kind``."""


class OwnLibrary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Store label and colours of a user's library: a reader of the run does not load the library."""

    name: Label
    label: Label
    colour: Colour  # "#117733", for text and bars on a light page
    dark_colour: Colour

    @classmethod
    def of(cls, name: str) -> "OwnLibrary":
        """Return label and colours of a library that this process knows."""
        known_library = library(name)
        return cls(known_library.name, known_library.label, known_library.colour, known_library.dark_colour)

    def introduce(self) -> None:
        """Register label and colours in this process, unless a library of this name is known."""
        introduce(self.name, self.label, self.colour, self.dark_colour)


class Plan(Record, frozen=True):
    """Declare what will be measured, before the first value."""

    schema: int
    run: str  # name of the run's folder
    version: str  # of rnnbench
    started_utc: str  # ISO 8601
    command: list[str]
    preset: str
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)]  # of the random order
    blocks: Blocks  # counted blocks, without block 0
    rounds: Count  # largest number in a block
    verdicts: bool  # False for --quick
    margin: Annotated[float, Meta(gt=0, lt=1)]  # equivalence margin, 0.02
    budget_s: Amount | None
    arms: list[Arm]
    groups: list[Group]
    pairs: list[Pair]  # headlines known before block 0
    missing: list[Missing]
    gates: dict[str, Amount] = {}  # limits by name of a reading; above a limit a burst counts as disturbed
    precision: Amount | None = None  # a run may stop early at this half-width of the headlines' log ratios
    ladder: list[Rung] = []  # single changes from the tutorial's NumPy program to its PyTorch program
    probes: list[Probe] = []
    isolate: bool = False  # one worker per arm
    budget_rule: BudgetRule = "aim"
    libraries: list[OwnLibrary] = []  # of the arms, without NumPy and PyTorch


class Environment(Record, frozen=True):
    """Describe the machine and the variables that change speed: set for workers, dropped or kept."""

    machine: Facts
    set: dict[str, str]
    dropped: dict[str, str]
    kept: dict[str, str]
    warnings: list[str]


class Ready(msgspec.Struct, frozen=True, tag=True):
    """Report a worker's start, after its library is imported and its threads are limited."""

    # processor time of interpreter, imports and first binding; wall time would depend on other workers
    ready_ns: Count
    facts: Facts  # versions, threads read back, BLAS kernel, precision switches
    compile_ns: Count = 0  # wall time of compiling: without a cache in block 0, later with the run's cache
    compile_cpu_ns: Count = 0  # part of ready_ns spent on compiling


class Worker(Record, Ready, frozen=True, kw_only=True):
    """Describe a new process for one block, which measures the entries of these arms."""

    block: Block
    name: str  # the same in every block
    arms: Annotated[list[str], Meta(min_length=1)]
    pid: Count


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Hold one comparison of the proof: a normwise error and its tolerance."""

    what: str  # "y_hat", "loss", "dU", "update W", ...
    error: Error
    tolerance: Error
    passed: bool
    known_wrong: bool = False  # a published gradient is known to fail this check
    quantity: str = ""  # y_hat, loss, or the parameter of the checked gradient; else empty


class Conditions(Record, frozen=True):
    """Count subnormal numbers of a case, found by an untimed reference pass in the case's dtype.

    Subnormal numbers can cost a processor a hundred times more than other numbers. They are counted in every
    hidden state h_t and every dL/dh_t: the gradients of the weights may still be free of such numbers.
    """

    case: Case
    hidden: Count  # number of values of h_t, over all t
    hidden_subnormal: Count
    gradient: Count  # number of values of dL/dh_t, over all t; 0 for a forward pass
    gradient_subnormal: Count


class Calibration(msgspec.Struct, frozen=True):
    """Hold how calls are timed: block 0 finds these numbers, and the other blocks use them."""

    n_calls: Positive  # in a value
    warmup_calls: Count  # after binding
    settled: bool | None = None  # whether the time per call became steady; None: not examined
    rewarm_calls: Count | None = None  # before each value, as other entries ran; None until block 0 is over


class Proved(Calibration, frozen=True, kw_only=True, tag=True):
    """Report that a worker has proved, bound and warmed up an entry, before the first value."""

    status: Status
    checks: list[Check]
    first_call_ns: Count  # the first call after binding, including waiting for the device
    calibration_ns: Count = 0  # duration of the calibration, in block 0
    transfer_ns: Count = 0  # moving parameters, x and y to the device once; 0 if they are there already
    cold_call_ns: Count = 0  # the process's first call, before the proof; 0 if another entry ran first


class Burst(Record, Proved, frozen=True, kw_only=True):
    """Hold the values of one entry in one block, one per round. A value is elapsed_ns[i] / n_calls."""

    block: Block
    entry: str  # the plan's first entry with this arm and case; equal entries share the values
    rewarm_calls: Count
    elapsed_ns: Times  # per value: n_calls calls between two clock readings, less waited_ns
    rounds: list[Count]  # of each value; slow entries skip some rounds
    places: list[Count]  # of each value within its round
    residual_ns: Count  # largest duration of a second synchronisation right after a value
    cpu_ns: Count  # processor time of the process over all values
    device: str
    digest: str  # SHA-256 of the inputs
    gates: dict[str, float] = {}  # readings during the values, by name: see bench.machine.gates
    flags: list[str] = []  # gates above their limits; the values still count
    # time of each value in which another program had the processor (one CPU thread only); [] means 0s
    waited_ns: list[Count] = []


class Primitive(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Hold the times of one basic operation of a library. A value is elapsed_ns[i] / n_calls."""

    kernel: Kernel
    n_calls: Positive
    elapsed_ns: Times


class Rates(Record, frozen=True):
    """Hold the times of basic operations of an arm's library in one block: its speed without a cell."""

    block: Block
    arm: str
    case: Case  # gives the sizes of the operations
    primitives: list[Primitive]
    reason: str = ""  # why ``primitives`` is empty


class Failure(Record, frozen=True):
    """Tell why an entry has no values in a block."""

    block: Block
    entry: str
    status: Status
    reason: str
    checks: list[Check] = []
    stderr: str = ""  # the last lines printed by the worker


class Decision(Record, frozen=True):
    """Hold the decisions after block 0: each library's fastest proved form, and what the budget drops.

    A later decision has the same pairs and drops more: groups or arms much slower than in block 0.
    """

    pairs: list[Pair]  # the fastest forms
    predicted_s: Amount  # predicted time of the whole plan
    blocks: Blocks  # number of counted blocks that will run
    rounds: Count  # in each of these blocks
    dropped_groups: list[str]
    dropped_arms: list[str]


class Resumed(Record, frozen=True):
    """Mark that the run continued at ``block``: earlier records of this and later blocks are void."""

    block: Block
    resumed_utc: str


class Extended(Record, frozen=True):
    """Mark that a finished run got more blocks, once: a second look at another significance level."""

    before: Blocks  # number of counted blocks at the first look
    blocks: Blocks  # number of counted blocks in total
    level: Annotated[float, Meta(gt=0, le=1)]  # of the verdicts from now on
    extended_utc: str


class End(Record, frozen=True):
    """Mark the end of a run: ``complete``, ``partial`` (something failed) or ``interrupted``."""

    status: Literal["complete", "partial", "interrupted"]
    reason: str
    seconds: Amount
    ended_utc: str
    slept_s: float = 0.0  # time in which the computer was suspended
    stopped_by: Literal["user", "signal"] | None = None  # user: Ctrl-C; signal: TERM or HUP


AnyRecord = (
    Plan | Environment | Conditions | Worker | Burst | Rates | Failure | Decision | Extended | Resumed | End
)
