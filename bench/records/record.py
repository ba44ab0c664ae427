"""What a journal holds, line by line. Times are integer nanoseconds, as the clock gave them.

A journal is one ``Plan`` (declared before the first value), one ``Environment``, one ``Conditions`` per
case, then for each block its ``Worker``s, a ``Burst`` or ``Failure`` per entry and ``Rates`` per probe;
after block 0 one ``Decision``, later another where more must be dropped; last an ``End``. A run that was cut
off and went on later has another ``Environment`` and a ``Resumed`` in between; where it was over and was
extended, an ``Extended`` before them.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from bench.machine.libraries import introduce, library
from bench.machine.wording import UNSEEN
from bench.workload.case import Case
from bench.workload.operations import Kernel

SCHEMA = 4  # journals of no other are read
MAX_BLOCKS = 1000  # of a run: what is worked out from them grows with their square

# bounds that a file is read with: what is beyond them no run writes
LONGEST_NS = 10**16  # of what is timed: four months
MOST = 10**9  # of threads; and of seconds, which is thirty years
DEPTH = 8  # of facts within facts; ours go two levels deep
Name = Annotated[str, Meta(min_length=1)]
Count = Annotated[int, Meta(ge=0, le=LONGEST_NS)]  # of anything; nanoseconds, too
Positive = Annotated[int, Meta(ge=1, le=LONGEST_NS)]
Block = Annotated[int, Meta(ge=0, le=MAX_BLOCKS)]
Blocks = Annotated[int, Meta(ge=1, le=MAX_BLOCKS)]
Amount = Annotated[float, Meta(ge=0, le=MOST)]
Error = Annotated[float, Meta(ge=0)]
Times = Annotated[list[Positive], Meta(min_length=1)]
# of what is shown as it is: one line, and nothing that acts unseen
Label = Annotated[str, Meta(pattern=rf"\A(?!.*({UNSEEN.pattern}|[\t\n])).+\Z")]
Colour = Annotated[str, Meta(pattern=r"\A#[0-9a-fA-F]{6}\Z")]

if TYPE_CHECKING:
    Facts = dict[str, Any]
else:  # whatever a machine or a library tells, within what arrays hold and what may be walked through
    Fact = Scalar = bool | Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | float | str | None
    for _ in range(DEPTH):
        Fact = Scalar | list[Fact] | dict[str, Fact]
    Facts = dict[str, Fact]

# a table as asked for; what a plan adds: the ladder, compiled code, the calls on arrays of one number
GroupKind = Literal["table", "ladder", "compiled", "dispatch"]
# each library as usually written; the fastest form of each; compiled code; the tutorial's claim; A/A
PairKind = Literal["as_written", "best", "compiled", "claim", "twin"]
# what can happen to an entry; "ok" is the status of every Burst that passed its proof
Status = Literal["ok", "known_wrong", "disagrees", "invalid", "missing", "crashed", "timeout", "oom"]
# of a time budget: kept as far as verdicts let it; else refused; kept, and rather no verdict than more time
BudgetRule = Literal["aim", "refuse", "hold"]


class Arm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Variant + device + thread count: what one worker holds. A twin repeats another arm (A/A)."""

    id: Name  # "numpy-batched@cpu x1", "numpy-batched@cpu x1 twin"
    spec: Name  # the catalogue's name, or module:object
    variant: Name
    library: str
    device: Name
    threads: Annotated[int, Meta(ge=1, le=MOST)]
    twin: bool = False
    known_wrong: bool = False

    @property
    def title(self) -> str:
        """Return its name in a sentence: "torch-rnn", "torch-rnn on cuda:0", "torch-rnn with 2 threads"."""
        device = "" if self.device == "cpu" else f" on {self.device}"
        threads = f" with {self.threads} threads" if self.threads > 1 and not device else ""
        return f"{self.variant}{device}{threads}{' (A/A control)' if self.twin else ''}"


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An arm on a case, within a group: one row of a table. ``baseline`` is an entry's id or None."""

    id: Name  # "train_step positional | numpy-batched@cpu x1"
    group: str
    arm: str
    case: Case
    baseline: str | None


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Entries that are measured next to each other in every block, and shown as one table."""

    name: Name  # "train_step positional", "ladder", "dispatch"
    entries: list[Entry]
    blocks: Blocks | None = None  # counted blocks that it takes part in; None: all
    kind: GroupKind = "table"


class Pair(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A declared headline: the time of ``entry`` over the time of ``baseline``."""

    kind: PairKind
    entry: str
    baseline: str


class Rung(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A step of the ladder: ``entry`` differs from the rung ``above`` it in one thing, the ``change``."""

    entry: str
    above: str | None  # the entry it is compared with; None for the first rung
    change: str  # "tanh", "the whole batch at once"
    branch: bool = False  # beside the way that leads from the first rung to the last


class Probe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Basic operations of an arm's library, to be timed by the arm's worker at the sizes of ``case``."""

    arm: str
    case: Case
    blocks: Blocks | None = None  # counted blocks that it takes part in; None: all


class Missing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something asked for that cannot be measured here, and why."""

    what: str  # "torch-rnn@cuda:0"
    reason: str
    library: str = ""  # whose variant it is; empty for a device


def measured_as(groups: Iterable[Group]) -> dict[str, str]:
    """Return, by entry, the one under which it is measured: the first that has its arm and its case."""
    first: dict[tuple[str, Case], str] = {}
    return {
        entry.id: first.setdefault((entry.arm, entry.case), entry.id)
        for group in groups
        for entry in group.entries
    }


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag=str.lower):
    """One line of a sealed file; its class name in lower case is the line's ``kind``."""


class OwnLibrary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a library of somebody's own is shown: whoever reads a run does not load it."""

    name: Label
    label: Label
    colour: Colour  # "#117733", for text and bars on a light page
    dark_colour: Colour

    @classmethod
    def of(cls, name: str) -> "OwnLibrary":
        """Note how a library is shown that this process knows."""
        own = library(name)
        return cls(own.name, own.label, own.colour, own.dark_colour)

    def introduce(self) -> None:
        """Have this process show the library like that, unless it knows one of that name."""
        introduce(self.name, self.label, self.colour, self.dark_colour)


class Plan(Record, frozen=True):
    """What is going to be measured, declared before the first value."""

    schema: int
    run: str  # name of the run's folder
    version: str  # of rnnbench
    started_utc: str  # ISO 8601
    command: list[str]
    preset: str
    seed: Annotated[int, Meta(ge=0)]  # of the order
    blocks: Blocks  # counted blocks; block 0 comes on top
    rounds: int  # of a block, at most
    verdicts: bool  # False for --quick
    margin: Annotated[float, Meta(gt=0, lt=1)]  # equivalence margin, 0.02
    budget_s: Amount | None
    arms: list[Arm]
    groups: list[Group]
    pairs: list[Pair]  # headlines known before block 0
    missing: list[Missing]
    gates: dict[str, Amount] = {}  # above which a burst counts as disturbed, by the name of what is read
    precision: Amount | None = None  # half-width of the headlines' log ratios at which a run may stop early
    ladder: list[Rung] = []  # from the tutorial's NumPy program to its PyTorch program, in single changes
    probes: list[Probe] = []
    isolate: bool = False  # a worker an arm
    budget_rule: BudgetRule = "aim"
    libraries: list[OwnLibrary] = []  # of the arms, but for NumPy and PyTorch


class Environment(Record, frozen=True):
    """The machine and the variables that change speed: set for workers, dropped from them, kept."""

    machine: Facts
    set: dict[str, str]
    dropped: dict[str, str]
    kept: dict[str, str]
    warnings: list[str]


class Ready(msgspec.Struct, frozen=True, tag=True):
    """What a worker tells once its library is imported and its threads are limited."""

    # processor time of interpreter, imports and first binding: wall time would grow with those beside it
    ready_ns: Count
    facts: Facts  # versions, threads read back, BLAS kernel, precision switches
    compile_ns: Count = 0  # wall time of compiling: in block 0 from nothing, later from the run's cache
    compile_cpu_ns: Count = 0  # of ready_ns, what compiling took of it


class Worker(Record, Ready, frozen=True, kw_only=True):
    """A fresh process for one block: it holds the entries of these arms."""

    block: Block
    name: str  # the same in every block
    arms: Annotated[list[str], Meta(min_length=1)]
    pid: int


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One comparison of the proof: a normwise error against its tolerance."""

    what: str  # "y_hat", "loss", "dU", "update W", ...
    error: Error
    tolerance: Error
    passed: bool
    known_wrong: bool = False  # what a published gradient is known to get wrong
    quantity: str = ""  # y_hat, loss, or the parameter whose gradient it is about; empty for all else


class Conditions(Record, frozen=True):
    """What an untimed reference pass in the case's dtype found about its numbers.

    Subnormal numbers can cost a processor a hundred times what others do. They are counted in every hidden
    state h_t and every dL/dh_t: the gradients of the weights can be free of them all the same.
    """

    case: Case
    hidden: Count  # values of h_t, over all t
    hidden_subnormal: Count
    gradient: Count  # values of dL/dh_t, over all t; 0 for a forward pass
    gradient_subnormal: Count


class Calibration(msgspec.Struct, frozen=True):
    """How the calls of a piece of work are timed: block 0 finds it, the other blocks keep to it."""

    n_calls: Positive  # of a value
    warmup_calls: Count  # after binding
    settled: bool | None = None  # whether its calls came to a steady time; None where nobody asked
    rewarm_calls: Count | None = None  # before each value, since others have run; None until block 0 is over


class Proved(Calibration, frozen=True, kw_only=True, tag=True):
    """What a worker tells of an entry that it has proved, bound and warmed up, before its first value."""

    status: Status
    checks: list[Check]
    first_call_ns: Count  # the first call after binding, waiting for the device included
    calibration_ns: Count = 0  # what finding the calibration took, in block 0
    transfer_ns: Count = 0  # moving parameters, x and y to the device, once; 0 where they are there already
    cold_call_ns: Count = 0  # the first call of its process, before the proof; 0 where another entry's was


class Burst(Record, Proved, frozen=True, kw_only=True):
    """The values of one entry in one block, one a round. A value is elapsed_ns[i] / n_calls."""

    block: Block
    entry: str  # the first of the plan's entries with this arm and case; the others have the same values
    rewarm_calls: Count
    elapsed_ns: Times  # one a value: n_calls calls in one clock pair, less waited_ns
    rounds: list[Count]  # of each value; slow entries take part in some
    places: list[Count]  # of each value within its round
    residual_ns: Count  # largest cost of a second synchronise right after a value
    cpu_ns: Count  # processor time of the process over all values
    device: str
    digest: str  # SHA-256 of the inputs
    gates: dict[str, float] = {}  # what was read over the values, by name: see bench.machine.gates
    flags: list[str] = []  # the gates above their limits; the values count all the same
    # within each clock pair, while another program had the processor (one thread on the CPU); [] for 0s
    waited_ns: list[Count] = []


class Primitive(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One basic operation of a library. A value is elapsed_ns[i] / n_calls."""

    kernel: Kernel
    n_calls: Positive
    elapsed_ns: Times


class Rates(Record, frozen=True):
    """What the library of an arm took for basic operations in one block: its own speed, without an RNN."""

    block: Block
    arm: str
    case: Case  # whose sizes these are
    primitives: list[Primitive]
    reason: str = ""  # why there are none


class Failure(Record, frozen=True):
    """Why an entry has no values in a block."""

    block: Block
    entry: str
    status: Status
    reason: str
    checks: list[Check] = []
    stderr: str = ""  # the last lines the worker printed


class Decision(Record, frozen=True):
    """What block 0 decided: the fastest proved form per library, and what the budget drops.

    A later one has the same pairs and drops more: what took much longer than block 0 had promised.
    """

    pairs: list[Pair]  # the fastest forms
    predicted_s: Amount  # time the whole plan would take
    blocks: Blocks  # counted blocks that will run
    rounds: int  # of each of them
    dropped_groups: list[str]
    dropped_arms: list[str]


class Resumed(Record, frozen=True):
    """The run went on from ``block``, anew: what stands before this line of that block and later is void."""

    block: Block
    resumed_utc: str


class Extended(Record, frozen=True):
    """A run that was over goes on to more blocks, once: a second look, judged at a level of its own."""

    before: Blocks  # counted blocks of the first look
    blocks: Blocks  # in all
    level: Annotated[float, Meta(gt=0, le=1)]  # of the verdicts from here on
    extended_utc: str


class End(Record, frozen=True):
    """The run is over: ``complete``, ``partial`` (something failed), ``interrupted``."""

    status: Literal["complete", "partial", "interrupted"]
    reason: str
    seconds: Amount
    ended_utc: str
    slept_s: float = 0.0  # of a laptop that was closed meanwhile
    stopped_by: Literal["user", "signal"] | None = None  # Ctrl-C; TERM or HUP


AnyRecord = (
    Plan | Environment | Conditions | Worker | Burst | Rates | Failure | Decision | Extended | Resumed | End
)
