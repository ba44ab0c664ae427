"""Run the ``stream`` command: choose arms and case, measure, and tell what one sample at a time takes."""

import datetime
import math
import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from threadpoolctl import threadpool_limits

import bench
from bench.analysis.statistics import ALPHA, blocks_needed
from bench.analysis.tail import PERCENTILES, analyse
from bench.api.options import EXIT_CODES, StreamOptions
from bench.machine import audit, host, units
from bench.machine.busy import Say, complain, report_usage
from bench.machine.child import refuse_windows
from bench.machine.devices import find_cpu, find_devices, resolve
from bench.machine.environ import without_person, worker_environment
from bench.machine.errors import UserError
from bench.machine.files import as_path
from bench.machine.host_lock import host_lock
from bench.machine.terminal import console
from bench.measure.call_times import refuse_rate
from bench.measure.plan import MARGIN
from bench.measure.stream import MIN_CALLS, Tell, measure
from bench.records.folder import as_text, display_path
from bench.records.record import Arm, End, OwnLibrary
from bench.records.stream import FILE_NAME, MAX_CALLS, SCHEMA, Declaration, StreamFile, read_stream
from bench.reporting.display import stream_progress
from bench.reporting.tail import Streamed, show
from bench.workload import catalog
from bench.workload.case import STREAM, Case, Shape
from bench.workload.cell import find_cell
from bench.workload.options import as_words

ROLES: tuple[catalog.Role, ...] = ("as_written", "fastest")
FAMILY = 2 * len(PERCENTILES)  # ratios that are judged together: both pairs, every percentile
QUICK_BLOCKS, QUICK_SECONDS = 3, 1.0
ROUNDS = 10  # slices of each arm in a block
MOST_SAMPLES, FEWEST_SAMPLES = 64, 8  # fed again and again
PROOF_WORK = 6e9  # T^2 B H (H + I): the proof takes seconds
Show = Callable[[Declaration], AbstractContextManager[Tell]]


def main(args: StreamOptions) -> int:
    """Stream as ``args`` say and print the answer; return the exit code."""
    folder, end = carry_out(args)
    stream = read_stream(folder)
    if end.stopped_by and not any(stream.bursts.values()):
        complain(f"{end.reason} before a block was whole")
        return EXIT_CODES[end.stopped_by]
    streamed = Streamed(analyse(stream), folder)
    if args.json:
        print(streamed.to_json())
    else:
        show(streamed, console())
        print(f"\nResults: {display_path(folder / FILE_NAME)}")
    if end.stopped_by:
        return EXIT_CODES[end.stopped_by]
    return 1 if streamed.disagrees else EXIT_CODES[end.status]


def carry_out(
    args: StreamOptions, *, say: Say = complain, progress: Show = stream_progress
) -> tuple[Path, End]:
    """Measure a new stream while no other process measures on this host; return its folder and its end.

    Raises:
        UserError: an option cannot be fulfilled, or the host is in use and ``no_wait`` is set.
    """
    refuse_windows()
    command = ["rnnbench", "stream", *as_words(args)]
    started = datetime.datetime.now(datetime.UTC)
    folder = as_path(args.out or f"results/stream-{started:%Y-%m-%d-%H%M%S}")
    with host_lock(command, no_wait=args.no_wait, say=say):
        declaration = declare(args, command, started.isoformat(timespec="seconds"))
        seen = report_usage(args.wait_quiet, say)
        declaration.machine.update(seen)
        one_thread = threadpool_limits(1)  # type: ignore[no-untyped-call]  # it has no type hints
        with one_thread, StreamFile.new(folder) as file, progress(declaration) as tell:
            file.write(declaration)
            seconds = QUICK_SECONDS if args.quick else args.seconds
            return folder, measure(declaration, file.write, tell, calls=args.calls, seconds=seconds)


def declare(args: StreamOptions, command: list[str], started_utc: str) -> Declaration:
    """Return what is measured for these options.

    Raises:
        UserError: an option cannot be fulfilled, on this machine or at all.
    """
    refuse_options(args)
    case = make_case(args)
    arms = choose_arms(args, case)
    refuse_memory(case, len(arms))
    environment = worker_environment(args.threads, compiled="a folder of the stream")
    specs = [arm.spec for arm in arms]
    machine = host.describe(plugins=catalog.plugin_versions(specs))
    return Declaration(
        schema=SCHEMA,
        version=bench.__version__,
        started_utc=started_utc,
        command=[without_person(as_text(word)) for word in command],
        case=case,
        seed=case.seed,
        blocks=args.blocks or (QUICK_BLOCKS if args.quick else blocks_needed(FAMILY, ALPHA)),
        rounds=ROUNDS,
        rate=args.rate,
        pace=None if args.rate is None else "spin" if args.pace == "spin" else "sleep",
        collector=args.collector is not False,
        verdicts=not args.quick,
        margin=MARGIN,
        arms=arms,
        libraries=[OwnLibrary.of(name) for name in catalog.own_libraries(specs)],
        machine=machine,
        environment=environment.set,
        warnings=audit.warnings(machine, environment.dropped, environment.kept, args.threads),
    )


def refuse_options(args: StreamOptions) -> None:
    """Raise UserError for a rate, a pace or a number of calls that cannot be measured here."""
    if args.threads > host.usable_cpus():
        raise UserError(f"--threads {args.threads}: this machine has {host.usable_cpus()} usable processors")
    if args.calls is not None and not MIN_CALLS <= args.calls <= MAX_CALLS:
        raise UserError(f"--calls {args.calls}: a median needs {MIN_CALLS}; give so many, up to {MAX_CALLS}")
    if args.rate is None:
        if args.pace:
            raise UserError(
                "--pace says how a sample's time is awaited; give --rate as well, or leave it out"
            )
        return
    if not (math.isfinite(args.rate) and args.rate > 0):
        raise UserError(f"--rate {args.rate:g} is no number of samples a second; give one above 0, as 1000")
    held = args.rate * args.seconds
    if args.calls is None and not MIN_CALLS <= held <= MAX_CALLS:
        raise UserError(
            f"--rate {args.rate:g}: {units.seconds(args.seconds)} hold {held:.0f} samples, and from "
            f"{MIN_CALLS} to {MAX_CALLS} can be measured; give --seconds of "
            f"{math.ceil(MIN_CALLS / args.rate)} or more, or --calls"
        )
    refuse_rate(args.rate, "spin" if args.pace == "spin" else "sleep")


def make_case(args: StreamOptions) -> Case:
    """Return the case; a larger net is fed fewer different samples, since the proof computes all prefixes."""
    settings = catalog.cell_settings(args.variant, cell=args.cell, bias=args.bias)
    work = args.batch * args.hidden * (args.hidden + args.features)
    samples = max(FEWEST_SAMPLES, min(MOST_SAMPLES, int(math.sqrt(PROOF_WORK / work))))
    shape = Shape(samples, args.batch, args.features, args.hidden, args.outputs)
    seed = secrets.randbelow(1 << 32) if args.seed is None else args.seed
    return Case(STREAM, shape, "sequence", args.dtype, data="random", seed=seed, **settings)


def choose_arms(args: StreamOptions, case: Case) -> list[Arm]:
    """Return the arms: each variant on the device, or on the CPU if it supports no other.

    Raises:
        UserError: a variant that was asked for cannot stream this case here, or none can.
    """
    devices = find_cpu() if args.device == "cpu" else find_devices()
    chosen = resolve([args.device], devices)[0][0]
    kind = next(device.kind for device in devices.present if device.id == chosen)
    arms: dict[str, Arm] = {}
    reasons: list[str] = []
    for spec in args.variant or tuple(variant.name for variant in catalog.by_role(*ROLES)):
        variant = catalog.find(spec)
        device = chosen if kind in variant.devices else "cpu"
        if reason := devices.missing.get(variant.library) or variant.unsupported(case, device):
            reasons.append(reason)
            continue
        threads = args.threads if device == "cpu" else host.usable_cpus()
        arm_id = f"{variant.name}@{device} x{threads}"
        arms[arm_id] = Arm(arm_id, spec, variant.name, variant.library, device, threads)
    if reasons and (args.variant or not arms):
        raise UserError(f"{reasons[0]}; leave it out or choose another")
    return list(arms.values())


def refuse_memory(case: Case, arms: int) -> None:
    """Raise UserError if the processes of all arms need more memory than this machine has."""
    shape, cell = case.shape, find_cell(case.cell)
    params = sum(math.prod(size) for size in cell.shapes(shape, bias=case.bias).values())
    # in float64: of each process the parameters three times, the samples, and a step's arrays
    numbers = 3 * params + shape.B * (3 * shape.T * (shape.I + shape.O) + 16 * shape.H)
    needed, there = 8 * numbers * (arms + 2), host.memory_bytes()
    if there is not None and needed > there:
        raise UserError(
            f"--batch {shape.B}, --hidden {shape.H}: the processes would need about "
            f"{units.memory(needed)}, and this machine has {units.memory(there)}; give smaller ones"
        )
