"""What the runner and a worker say to each other: one JSON line a message.

For each entry: ``Prove``, then a ``Turn`` a round, at last ``Close``. Files hold the arrays.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from bench.records.record import Check, Primitive, Status
from bench.workload.case import Case
from bench.workload.operations import Kernel

Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]


class Drawn(msgspec.Struct, frozen=True):
    """One of the two batches of a case."""

    inputs: str  # npz of the Batch
    digest: str  # of those inputs
    expected: str  # npz of the proof's Expected


class Prove(msgspec.Struct, frozen=True, tag=True):
    """Prove a variant on a case, bind it and hold it; in block 0 find how it is to be timed."""

    key: str  # the entry's id
    spec: str
    case: Case
    device: str
    batches: tuple[Drawn, Drawn]
    n_calls: int | None  # of a value; None in block 0: find it
    warmup_calls: int  # at least so many, as block 0 found


class Setup(msgspec.Struct, frozen=True):
    """What a worker is: its library and place, and the first job, which it binds once while it starts."""

    library: str
    device: str
    threads: int
    rehearsal: Prove
    own_library: str = ""  # module:object of the library, where it is the user's own


class Turn(msgspec.Struct, frozen=True, tag=True):
    """Take one value of an entry that is held."""

    key: str
    batch: Literal[0, 1]  # which of the two is written in for it
    n_calls: int
    rewarm_calls: int | None  # before the value; None in block 0: time them in steps
    after: str | None  # npz of the parameters expected after n_calls training steps on that batch


class Close(msgspec.Struct, frozen=True, tag=True):
    """Release what is held, and tell whether anything in the process has changed."""


class ProbeJob(msgspec.Struct, frozen=True, tag=True):
    """Time basic operations of the library."""

    device: str
    dtype: str
    wanted: list[Kernel]
    of_thread: bool = False  # by the processor time of the thread, which no other program adds to


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The library is imported and its threads are limited."""

    facts: dict[str, Any]
    ready_ns: int  # processor time: workers start side by side, so wall time would tell how many they are
    compile_ns: int  # wall time
    compile_cpu_ns: int = 0  # its part of ready_ns


class Proved(msgspec.Struct, frozen=True, tag=True):
    """The entry computes what it should, and is held."""

    status: Literal["ok", "known_wrong"]
    checks: list[Check]
    n_calls: Positive
    warmup_calls: Count
    first_call_ns: Count
    cold_call_ns: Count  # the process's first call; 0 where that was another entry's
    transfer_ns: Count  # of its inputs to the device
    calibration_ns: Count
    settled: bool | None  # None where nobody asked


class Value(msgspec.Struct, frozen=True, tag=True):
    """One value: ``elapsed_ns`` for the calls of the turn. Its result was the expected one."""

    elapsed_ns: Positive
    cpu_ns: Count
    residual_ns: int  # what a second synchronise right after it still cost
    preempted: Count  # times that the process was put aside meanwhile
    rewarm_ns: list[int] = []  # block 0: the steps before it, each a tenth of its calls


class Refused(msgspec.Struct, frozen=True, tag=True):
    """No values: a proof failed, or the variant raised."""

    status: Status
    reason: str
    checks: list[Check] = []


class Closed(msgspec.Struct, frozen=True, tag=True):
    """Nothing is held any more; ``changed`` tells what of the process is no longer as it was."""

    changed: str


class Measured(msgspec.Struct, frozen=True, tag=True):
    """The values of a probe's basic operations."""

    primitives: list[Primitive]


Job = Prove | Turn | Close | ProbeJob
Reply = Ready | Proved | Value | Refused | Closed | Measured
