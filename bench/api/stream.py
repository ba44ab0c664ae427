"""Run the ``stream`` command: choose arms and case, measure, and tell what one sample at a time takes."""

import datetime
import math
import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager

from msgspec.structs import replace
from threadpoolctl import threadpool_limits

import bench
from bench.analysis.concurrency import ratios_of
from bench.analysis.statistics import ALPHA, blocks_needed
from bench.analysis.tail import PERCENTILES
from bench.api.concurrency import bytes_of_arrays, many_streams
from bench.api.options import EXIT_CODES, StreamOptions
from bench.api.run import write_report
from bench.machine import audit, host, units
from bench.machine.busy import Say, complain, report_usage
from bench.machine.child import refuse_windows
from bench.machine.devices import find_cpu, find_devices, resolve
from bench.machine.environ import without_person, worker_environment
from bench.machine.errors import UserError
from bench.machine.files import as_path
from bench.machine.host_lock import host_lock
from bench.machine.signals import Terminated
from bench.machine.terminal import console, print_json
from bench.measure.call_times import refuse_rate
from bench.measure.concurrency import ManyStreams
from bench.measure.plan import MARGIN, add_arm
from bench.measure.stream import Tell, measure
from bench.records.folder import as_text, display_path, drawing_report
from bench.records.record import MAX_BLOCKS, Arm, OwnLibrary
from bench.records.results import PAGE
from bench.records.stream import (
    MAX_CALLS,
    MIN_CALLS,
    SCHEMA,
    Declaration,
    Pace,
    StreamFile,
    read_stream,
)
from bench.reporting.display import stream_progress
from bench.reporting.streamed import StreamAnswer, load_streamed
from bench.reporting.trees import document, result_tree
from bench.workload import catalog
from bench.workload.case import STREAM, Case, Shape
from bench.workload.options import as_words

FAMILY = 2 * len(PERCENTILES)  # ratios of a library with NumPy: both pairs, every percentile
BLOCK_SECONDS, LEVELS_SECONDS, QUICK_SECONDS, QUICK_BLOCKS = 5.0, 2.0, 2.0, 3
ROUNDS = 10  # slices of each arm in a block
MOST_SAMPLES, FEWEST_SAMPLES = 64, 8  # fed again and again
MOST_SECONDS = 86400.0  # of an arm's calls in a block
PROOF_WORK = 6e9  # T^2 B H (H + I): the proof takes seconds
Show = Callable[[Declaration], AbstractContextManager[Tell]]


def main(args: StreamOptions) -> int:
    """Stream as ``args`` say and print the answer; return the exit code."""
    streamed = carry_out(args)
    if args.json:
        tree = result_tree(streamed.folder, streamed, [streamed.sentence])
        print_json(document(streamed.folder / PAGE, [tree]))
    else:
        streamed.show(console())
        print(f"\nReport: {display_path(streamed.folder / PAGE)}")
    if streamed.stopped_by:
        return EXIT_CODES[streamed.stopped_by]
    return 1 if streamed.disagrees else EXIT_CODES[streamed.status]


def carry_out(args: StreamOptions, *, say: Say = complain, progress: Show = stream_progress) -> StreamAnswer:
    """Measure while no other process measures on this host; return the answer.

    Raises:
        UserError: an option cannot be fulfilled, no arm could be measured, or the host is in use and
            ``no_wait`` is set.
        KeyboardInterrupt: it was stopped before a block was whole.
    """
    refuse_windows()
    command, started = ["rnnbench", "stream", *as_words(args)], datetime.datetime.now(datetime.UTC)
    folder = as_path(args.out or f"results/stream-{started:%Y-%m-%d-%H%M%S}")
    with host_lock(command, no_wait=args.no_wait, say=say):
        declaration = declare(args, command, started.isoformat(timespec="seconds"))
        machine = declaration.machine | report_usage(args.wait_quiet, say)
        declaration = replace(declaration, machine=machine)
        one_thread = threadpool_limits(1)  # type: ignore[no-untyped-call]  # it has no type hints
        with one_thread, StreamFile.new(folder) as file, progress(declaration) as tell:
            file.write(declaration)
            end = measure(declaration, file.write, tell, ManyStreams if declaration.streams else None)
    stream = read_stream(folder)
    if end.stopped_by and not any(stream.bursts.values()) and not stream.levels:
        raise Terminated if end.stopped_by == "signal" else KeyboardInterrupt
    streamed = load_streamed(folder)
    with drawing_report(folder):
        write_report([folder], None)
    return streamed


def declare(args: StreamOptions, command: list[str], started_utc: str) -> Declaration:
    """Return what is measured for these options.

    Raises:
        UserError: an option cannot be fulfilled, on this machine or at all.
    """
    full, quick = (LEVELS_SECONDS, LEVELS_SECONDS / 2) if args.streams else (BLOCK_SECONDS, QUICK_SECONDS)
    seconds = args.seconds or (quick if args.quick else full)
    pace = read_pace(args)
    refuse_calls(args, seconds)
    case = make_case(args)
    arms, missing = choose_arms(args, case)
    if args.rate and pace:
        refuse_rate(args.rate, pace)
    many = many_streams(args, case, arms, seconds / ROUNDS)
    refuse_memory(case, len(arms))
    environment = worker_environment(args.threads, compiled="a folder of the stream")
    specs = [arm.spec for arm in arms]
    machine = host.describe(plugins=catalog.plugin_versions(specs))
    warnings = audit.warnings(machine, environment.dropped, environment.kept, args.threads)
    family = FAMILY * max(1, len({arm.library for arm in arms if not arm.peer}) - 1)
    blocks = args.blocks or (QUICK_BLOCKS if args.quick else blocks_needed(family, ALPHA))
    declaration = Declaration(
        SCHEMA, bench.__version__, started_utc, [without_person(as_text(word)) for word in command],
        case=case, seed=case.seed, blocks=blocks, rounds=ROUNDS, calls=args.calls, seconds=seconds,
        rate=args.rate, pace=pace, collector=args.collector is not False, verdicts=not args.quick,
        margin=MARGIN, arms=arms, libraries=[OwnLibrary.of(name) for name in catalog.own_libraries(specs)],
        machine=machine, environment=environment.set, warnings=warnings,
        missing=missing, **many,
    )  # fmt: skip
    if many and not (args.blocks or args.quick):
        return replace(declaration, blocks=blocks_needed(ratios_of(declaration), ALPHA))
    return declaration


def read_pace(args: StreamOptions) -> Pace | None:
    """Return how a call's time is awaited; None back to back.

    Raises:
        UserError: there is a pace without a rate, or the rate is no rate.
    """
    if args.rate is None:
        if args.pace:
            raise UserError("--pace says how a sample is awaited: give its --rate as well, or leave it out")
        return None
    if not (math.isfinite(args.rate) and args.rate > 0):
        raise UserError(f"--rate {args.rate:g} is no number of samples a second: give one above 0, as 1000")
    return "spin" if args.pace == "spin" else "sleep"


def refuse_calls(args: StreamOptions, seconds: float) -> None:
    """Raise UserError for numbers that cannot be measured here."""
    if args.threads > (cpus := host.usable_cpus()):
        raise UserError(f"--threads {args.threads}: this machine has {cpus} usable processors")
    if args.blocks and args.blocks > MAX_BLOCKS:
        raise UserError(f"--blocks {args.blocks}: a stream has at most {MAX_BLOCKS}")
    calls = args.calls or (round(seconds * args.rate) if args.rate else MIN_CALLS)
    if args.rate and calls / args.rate > MOST_SECONDS:
        raise UserError(
            f"--rate {args.rate:g}: {calls} calls take {units.seconds(calls / args.rate)} of each arm in "
            "each block; give more samples a second, or fewer --calls"
        )
    if not (args.streams or MIN_CALLS <= calls <= MAX_CALLS):
        raise UserError(
            f"{calls} calls of an arm in a block: a median needs {MIN_CALLS}, and at most {MAX_CALLS} are "
            "kept; choose them with --calls, or with --rate and --seconds"
        )


def make_case(args: StreamOptions) -> Case:
    """Return the case; a larger net is fed fewer different samples, since the proof computes all prefixes."""
    settings = catalog.cell_settings(args.variant, cell=args.cell, bias=args.bias)
    work = args.batch * args.hidden * (args.hidden + args.features)
    samples = max(FEWEST_SAMPLES, min(MOST_SAMPLES, int(math.sqrt(PROOF_WORK / work))))
    shape = Shape(samples, args.batch, args.features, args.hidden, args.outputs)
    seed = secrets.randbelow(1 << 32) if args.seed is None else args.seed
    return Case(STREAM, shape, "sequence", args.dtype, data="random", seed=seed, **settings)


def choose_arms(args: StreamOptions, case: Case) -> tuple[list[Arm], list[str]]:
    """Return the arms, and why some are missing.

    A variant is on the device, or on the CPU if it supports no other.

    Raises:
        UserError: a variant that was asked for cannot stream this case here, or none can.
    """
    devices = find_cpu() if args.device == "cpu" else find_devices()
    chosen = resolve([args.device], devices)[0][0]
    kind = next(device.kind for device in devices.present if device.id == chosen)
    arms, reasons = dict[str, Arm](), list[str]()
    roles: tuple[catalog.Role, ...] = ("fastest",) if args.streams else ("as_written", "fastest")
    usual = tuple(variant.name for variant in catalog.by_role(*roles))
    if args.peers and args.threads > 1:
        raise UserError("--peers are measured with one thread: leave --threads out")
    specs = args.variant or usual
    for spec in specs + (catalog.peers(specs) if args.peers else ()):
        variant = catalog.find(spec)
        device = chosen if kind in variant.devices else "cpu"
        if reason := devices.missing.get(variant.library) or variant.unsupported(case, device):
            reasons += [reason] * (not variant.peer or spec in args.variant)
            continue
        add_arm(arms, variant, spec, device, args.threads if device == "cpu" else host.usable_cpus())
    if reasons and (args.variant or not arms):
        raise UserError(f"{reasons[0]}; leave it out or choose another")
    return list(arms.values()), list(dict.fromkeys(reasons))


def refuse_memory(case: Case, arms: int) -> None:
    """Raise UserError if the processes of all arms need more memory than this machine has."""
    shape, available = case.shape, host.memory_bytes()
    needed = bytes_of_arrays(case, 3 * shape.T) * (arms + 2)
    if available is not None and needed > available:
        raise UserError(
            f"--batch {shape.B}, --hidden {shape.H}, --features {shape.I}, --outputs {shape.O}: the "
            f"processes would need about {units.memory(needed)}, and this machine has "
            f"{units.memory(available)}; give smaller ones"
        )
