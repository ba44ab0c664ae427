"""Read how many streams are served at once, and by what."""

import math
from collections.abc import Sequence
from typing import Any

from bench.api.options import StreamOptions
from bench.machine import host, units
from bench.machine.errors import UserError
from bench.machine.wording import count
from bench.measure.turns import STEP_BYTES
from bench.records.record import Arm
from bench.records.stream import MAX_STREAMS
from bench.workload.case import Case
from bench.workload.cell import find_cell
from bench.workload.options import all_counts, spelled

MOST_SEARCHED = 20_000  # streams: binding more takes longer than serving them
LEAST_RATE_HZ = 0.01  # a level takes a period at least, and a worker has minutes to answer
MOST_LEVEL_S = 25  # of which ten may pass, for few steps that are late
OBJECTS_BYTES = 40_000  # functions, views and descriptors of a bound stream
OF_MANY = ("workers", "share")  # options that need --streams
OF_ONE = ("calls", "threads")  # options of a single stream


def bytes_of_arrays(case: Case, samples: int) -> int:
    """Return what a variant holds: parameters and what is made of them, x and y of samples, a step's arrays.

    In float64, whatever the case's dtype: the proof is.
    """
    shape, params = case.shape, find_cell(case.cell).n_params(case.shape, bias=case.bias)
    return 8 * (3 * params + shape.B * (samples * (shape.I + shape.O) + 16 * shape.H))


def many_streams(args: StreamOptions, case: Case, arms: Sequence[Arm], level_s: float) -> dict[str, Any]:
    """Return the fields of a declaration that are of many streams, ``level_s`` a level; none for one stream.

    Raises:
        UserError: the options contradict each other, or this machine has too few processors or memory.
    """
    if not args.streams:
        if given := [name for name in OF_MANY if getattr(args, name)]:
            raise UserError(f"{spelled(given[0])} is of many streams: give --streams, as 1,4,16,64")
        return {}
    if given := [name for name in OF_ONE if getattr(args, name) not in (None, 1)]:
        raise UserError(f"{spelled(given[0])} is of one stream: leave it out, or --streams (see --workers)")
    streams = all_counts(args.streams)
    workers = args.workers or host.usable_cpus()
    if workers > (cpus := host.usable_cpus()):
        raise UserError(f"--workers {workers}: this machine has {cpus} usable processors")
    if args.rate and args.rate < LEAST_RATE_HZ:
        raise UserError(
            f"--rate {args.rate:g}: give at least {LEAST_RATE_HZ} with --streams, or leave them out"
        )
    if level_s > MOST_LEVEL_S:
        raise UserError(
            f"--seconds {args.seconds:g}: a level would take {level_s:g} s, and may take {MOST_LEVEL_S}"
        )
    if streams[-1] > MAX_STREAMS:
        raise UserError(f"--streams {streams[-1]}: give at most {MAX_STREAMS}")
    steps = math.ceil(1.1 * (args.rate or 0.0) * level_s) + 1  # of a stream at a level
    # with the buffers of x and y
    stream_bytes = bytes_of_arrays(case, 2) + OBJECTS_BYTES + STEP_BYTES * steps
    available = host.memory_bytes()
    most = MAX_STREAMS if available is None else available // 2 // (stream_bytes * len(arms))
    if streams[-1] > most:
        needed = stream_bytes * len(arms) * streams[-1]
        smaller = "--hidden, --batch, --rate or --seconds" if args.rate else "--hidden or --batch"
        raise UserError(
            f"--streams {streams[-1]}: for {count(len(arms), 'variant')} they would need about "
            f"{units.memory(needed)}, and this machine has {units.memory(available or 0)}; give "
            f"{f'at most {most}, or ' * bool(most)}a smaller {smaller}"
        )
    searched = max(1, min(most, MOST_SEARCHED))
    share = args.share or "processes"
    return {"streams": tuple(streams), "workers": workers, "share": share, "most_streams": searched}
