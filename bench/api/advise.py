"""Run the ``advise`` command: measure one size within a given time, and answer in two sentences."""

import datetime
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from msgspec.structs import replace

from bench.api import run
from bench.api.options import EXIT_CODES, AdviseOptions
from bench.machine.busy import Say, complain, report_usage
from bench.machine.child import refuse_windows
from bench.machine.devices import PROBE_SECONDS, Devices, find_cpu, find_devices, resolve
from bench.machine.errors import UserError
from bench.machine.host_lock import host_lock
from bench.machine.libraries import known
from bench.machine.signals import OutOfTime, Terminated, time_limit
from bench.machine.terminal import say
from bench.measure.plan import variants_of
from bench.records.folder import display_path, free_folder
from bench.records.journal import FILE_NAME, load_run
from bench.records.record import Plan
from bench.reporting.advice import Advice, make_advice
from bench.reporting.display import run_progress
from bench.workload.options import RunOptions, as_words

MAX_BLOCKS = 20  # the run may stop earlier: no time left, or a clear answer
RESERVE_S = 1.0  # time kept for ending the workers and computing the answer
MIN_PROBING_S = 60.0  # with less time, basic operations are not timed: the reason is less detailed
MIN_MEASURING_S = 1.0  # with less time, measuring is not started
SIZES = ("hidden", "batch", "seq_len", "features", "outputs")


@dataclass(slots=True)
class Timer:
    """Measure what is left of a time budget that began now, or ``before_s`` seconds ago."""

    budget_s: float
    before_s: float = 0.0
    clock: Callable[[], float] = time.monotonic
    begun: float = field(init=False)

    def __post_init__(self) -> None:
        self.begun = self.clock() - self.before_s

    def pause(self, waited_s: float) -> None:
        """Exclude the last ``waited_s`` seconds from the budget."""
        self.begun += waited_s

    @property
    def spent_s(self) -> float:
        """Return the seconds since the budget began."""
        return self.clock() - self.begun

    @property
    def left_s(self) -> float:
        """Return the seconds left for measuring."""
        return self.budget_s - RESERVE_S - self.spent_s


def declare(args: AdviseOptions, timer: Timer) -> tuple[Path, Plan]:
    """Return the folder of the journal, not created yet, and the plan; one seed serves order and data.

    Raises:
        UserError: the folder holds a run, a device is absent, or no time is left for measuring.
    """
    started = datetime.datetime.now(datetime.UTC)
    folder = free_folder(args.out or f"results/advise-{started:%Y-%m-%d-%H%M%S}")
    seed = secrets.randbelow(1 << 32) if args.seed is None else args.seed
    devices = _find(args.device, timer)
    resolve(args.device or ["all"], devices)
    if timer.left_s < MIN_MEASURING_S:
        raise UserError(
            f"--budget {args.budget:g}s: {timer.spent_s:.1f} s went before anything could be measured, and "
            f"the answer needs {RESERVE_S:g} s; give more, as --budget {AdviseOptions().budget:g}s"
        )
    single_values: dict[str, Any] = {name: (getattr(args, name),) for name in (*SIZES, "task", "threads")}
    options = RunOptions(
        **single_values,
        device=args.device,
        variant=variants_of("grid"),
        dtype=args.dtype,
        cell=args.cell,
        bias=args.bias,
        peers=args.peers,
        blocks=MAX_BLOCKS,
        budget=round(timer.left_s, 1),
        seed=seed,
    )
    plan = run.declare(options, devices, folder, started, command(args, seed), "hold")
    return folder, plan if timer.left_s >= MIN_PROBING_S else replace(plan, probes=[])


def _find(asked: Sequence[str], timer: Timer) -> Devices:
    """Find the devices within the time left; a request for the CPU alone needs no search."""
    if set(asked) == {"cpu"}:
        return find_cpu()
    timeout_s = min(PROBE_SECONDS, max(0.1, timer.left_s))
    return find_devices(timeout_seconds=timeout_s, quickly=True)


def command(args: AdviseOptions, seed: int) -> list[str]:
    """Return a command that repeats the measurement: all options except the journal's folder."""
    words = ["rnnbench", "advise"]
    for name in (*SIZES, "task", "dtype", "threads"):
        words += [f"--{name.replace('_', '-')}", str(getattr(args, name))]
    words += [] if args.cell is None else ["--cell", args.cell]
    words += [] if args.bias is None else ["--bias" if args.bias else "--no-bias"]
    words += ["--peers"] * args.peers
    for device in args.device:
        words += ["--device", device]
    return [*words, "--budget", f"{args.budget:g}s", "--seed", str(seed)]


def main(args: AdviseOptions) -> int:
    """Measure as ``args`` say and print the advice; return the exit code."""
    try:
        advice = advise(args, Timer(args.budget, since_start_s()))
    except Terminated:  # before anything was measured
        return EXIT_CODES["signal"]
    if args.json:
        print(advice.to_json())
    else:
        say(str(advice))
    return exit_code(advice)


def since_start_s() -> float:
    """Return the seconds since this process began, imports included; 0 if the start time is unknown."""
    return known(s=lambda: time.time() - psutil.Process().create_time()).get("s", 0.0)  # type: ignore[no-any-return]


def exit_code(advice: Advice) -> int:
    """Return 0 with a verdict, 1 if a result is wrong, 3 without a verdict, or the exit code of a signal."""
    if advice.stopped_by:
        return EXIT_CODES[advice.stopped_by]
    if advice.disagrees:
        return 1
    return 0 if advice.answered else 3


def advise(
    args: AdviseOptions, timer: Timer, *, say: Say = complain, progress: run.Show = run_progress
) -> Advice:
    """Measure one size within the time, and return the advice; waiting takes no time.

    Raises:
        UserError: an option cannot be fulfilled, the time is too short to measure, or the host is in use and
            ``no_wait`` is set.
    """
    refuse_windows()
    with host_lock(["rnnbench", "advise", *as_words(args)], no_wait=args.no_wait, say=say) as waited_s:
        timer.pause(waited_s)
        folder, plan = declare(args, timer)
        machine_state = report_usage(args.wait_quiet, say)
        timer.pause(machine_state.get("waited_s", 0.0))
        try:
            with time_limit(max(timer.left_s, 0.01)):
                run.measure(plan, folder, keep=[], seen=machine_state, progress=progress)
        except OutOfTime:  # before the run began, or after its end
            pass
    if not (folder / FILE_NAME).exists():
        raise UserError(f"--budget {args.budget:g}s was over before anything was measured; give more")
    return make_advice(load_run(folder), Path(display_path(folder)), args.budget)
