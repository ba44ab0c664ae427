"""What the runner and a worker say to each other: one JSON line a message."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from bench.case import Case
from bench.results.record import Check, Primitive, Status, Take

Count = Annotated[int, Meta(ge=0)]


class Job(msgspec.Struct, frozen=True, tag=True):
    """Prove and time one case. Files hold the inputs and what the reference expects of them."""

    case: Case
    device: str
    inputs: str  # npz of the case's Batch
    digest: str  # of those inputs
    expected: str  # npz of the proof's Expected
    n_calls: int | None  # None in block 0: calibrate
    warmup_calls: int  # at least so many, as block 0 found
    gates: dict[str, float]  # limits above which the burst is taken once more
    alone: bool  # one thread on the cpu
    after: str | None  # npz of the parameters expected after n_calls training steps


class ProbeJob(msgspec.Struct, frozen=True, tag=True):
    """Time basic operations of the library."""

    device: str
    dtype: str
    wanted: list[tuple[str, list[int]]]  # name and size, as a record's Primitive has them


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The library is imported and its threads are limited."""

    facts: dict[str, Any]
    ready_ns: int  # processor time: all workers start at once, so wall time would tell how many they are
    compile_ns: int  # wall time
    compile_cpu_ns: int = 0  # its part of ready_ns


class Done(msgspec.Struct, frozen=True, tag=True):
    """The values of one burst, with the proofs before and after them."""

    status: Literal["ok", "known_wrong"]
    n_calls: Annotated[int, Meta(ge=1)]
    elapsed_ns: Annotated[list[Annotated[int, Meta(ge=1)]], Meta(min_length=1)]
    first_call_ns: Count
    warmup_calls: Count
    residual_ns: int
    cpu_ns: Count
    calibration_ns: Count
    device: str
    checks: list[Check]
    gates: dict[str, float] = {}
    flags: list[str] = []
    disturbed: Take | None = None
    settled: bool | None = None
    transfer_ns: int = 0  # of its inputs to the device
    cold_call_ns: int = 0  # the process's first call; 0 where that was an earlier burst's


class Refused(msgspec.Struct, frozen=True, tag=True):
    """No values: the proof failed, or the variant raised."""

    status: Status
    reason: str
    checks: list[Check] = []


class Measured(msgspec.Struct, frozen=True, tag=True):
    """The values of a probe's basic operations."""

    primitives: list[Primitive]


AnyJob = Job | ProbeJob
Reply = (
    Ready | Done | Refused | Measured
)  # the first by itself; Done or Refused to a Job, Measured or Refused to the other
