"""The Python API, for notebooks: ``bench.verify``, ``run``, ``advise``, ``train``, ``report`` and ``load``.

Each does what the command of that name does, and returns an object where the command prints. What a person
can mend is a ``bench.UserError``.
"""

import contextlib
import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import catalog
from bench.cli import build_parser
from bench.device import find_devices, resolve
from bench.errors import UserError
from bench.notebook import Result, Verification
from bench.results.files import as_path
from bench.statusline import run_progress, train_progress, verify_progress

if TYPE_CHECKING:
    from bench.advice.advice import Advice
    from bench.results.record import End
    from bench.training import TrainResult

PLURALS = {"variants": "variant", "devices": "device", "tasks": "task", "layouts": "layout"}


def verify(
    variants: str | Iterable[str] | None = None, devices: str | Iterable[str] = ("cpu",)
) -> Verification:
    """Prove variants, all of them unless named, against the reference: ``rnnbench verify``.

    Raises:
        UserError: a variant or device that is not there.
    """
    from bench.verification.command import verify as prove

    found = find_devices()
    ids, _ = resolve(_several(devices), found)
    specs = [variant.name for variant in catalog.VARIANTS] if variants is None else _several(variants)
    with verify_progress() as progress:
        return Verification(prove(specs, ids, found=found, progress=progress))


def run(quick: bool = False, **wishes: Any) -> Result:
    """Prove and time what is wished for, with a journal: ``rnnbench run``, without its report.

    Wishes are called as the command line's, with one value or several: ``variants``, ``devices``, ``tasks``,
    ``layouts`` (also ``variant`` and so on), ``hidden``, ``batch``, ``seq_len``, ``features``, ``outputs``,
    ``threads``, ``keep_env``; with one value ``preset``, ``dtype``, ``activation``, ``split``, ``blocks``,
    ``budget``, ``seed``, ``out``; alone ``resume``, the folder of a run that was cut off;
    ``refine``, the folder of a grid, with or without ``budget``. What is left out, or None, is up to the
    preset. ::

        bench.run(quick=True, variants=["numpy-inplace", "torch-rnn"], hidden=[32, 256])

    Interrupting the notebook ends the run as Ctrl-C ends the command: its journal is complete, and
    KeyboardInterrupt, which tells where it is, is raised again, so that the cells after this one do not run.

    Raises:
        UserError: a wish that is unknown or cannot be met.
    """
    from bench import refining, session

    command = ["run", *_arguments({"quick": quick, **wishes})]
    args = _parsed(command)
    end: End | None
    if args.resume is not None:
        folder = as_path(args.resume)
        end = session.resume(folder, progress=run_progress)
    elif args.refine is not None:
        folder = as_path(args.refine)
        refined = refining.refine(
            folder, budget_s=args.budget, command=["rnnbench", *command], progress=run_progress
        )
        end = refined.end
    else:
        folder, plan = session.prepare(args, ["rnnbench", *command])
        end = session.measure(
            plan, folder, keep=args.keep_env, host_name=args.host_name, progress=run_progress
        )
    if end is not None and end.status == "interrupted":
        raise KeyboardInterrupt(f"the run was stopped; bench.load({str(folder)!r}) has what was measured")
    return Result.load(folder)


def advise(**wishes: Any) -> "Advice":
    """Measure one size now and say in two sentences what to use there and why: ``rnnbench advise``.

    Wishes are called as the command line's, each with one value: ``hidden``, ``batch``, ``seq_len``,
    ``features``, ``outputs``, ``task``, ``dtype``, ``device``, ``threads``, ``budget`` (seconds, or "2m"),
    ``seed``, ``out``. ::

        bench.advise(hidden=64, batch=1, seq_len=100, task="forward", budget="30s")

    Raises:
        UserError: a wish that is unknown or cannot be met, or a time in which nothing can be measured.
    """
    from bench.advice.command import SIGNALS, advise
    from bench.advice.declare import Timer

    args = _parsed(["advise", *_arguments(wishes, "advise")])
    advice = advise(args, Timer(args.budget), progress=run_progress)
    if advice.run.end is not None and advice.run.end.reason in SIGNALS:
        raise KeyboardInterrupt(f"it was stopped; bench.load({str(advice.journal)!r}) has what was measured")
    return advice


def train(variants: str | Iterable[str] = ("numpy-inplace", "torch-rnn"), **settings: Any) -> "TrainResult":
    """Train variants from the same start: ``rnnbench train``, with its pictures and its report.

    ``settings`` are those of ``bench.training.train``, where they are described: ``epochs``, ``layout``,
    ``dtype``, ``lr``, ``series``, ``missing`` and more. Interrupting it ends it; what was trained until then
    is returned.

    Raises:
        UserError: settings that make no sense, a file that cannot be used, or a folder that holds a training.
    """
    from bench import training

    with train_progress() as progress:
        return training.train(_several(variants), **{"progress": progress, **settings})


def report(*sources: str | Path | Result, out: str | Path | None = None) -> Path:
    """Write the report of saved results and return its page: ``rnnbench report``.

    A source is a run's folder or journal, a file of pytest-benchmark, or what ``run`` and ``load`` return.

    Raises:
        UserError: one cannot be read, the report cannot be written, or several have no ``out``.
    """
    from bench.reporting.build import build_report

    paths = [source.path if isinstance(source, Result) else Path(source) for source in sources]
    return build_report(paths, None if out is None else Path(out))


def load(path: str | Path) -> "Result | TrainResult":
    """Read what was saved: the folder or the journal of a run, or the folder of a training.

    Raises:
        UserError: the journal cannot be read, or contradicts its own plan.
    """
    from bench.training import load_result, records

    path = as_path(path)
    return load_result(path) if records.is_training(path) else Result.load(path)


def _several(values: Any) -> list[Any]:
    """One value or several, as a list."""
    return [values] if isinstance(values, str) or not isinstance(values, Iterable) else list(values)


def _arguments(wishes: dict[str, Any], verb: str = "run") -> list[str]:
    """The wishes as a person would type them."""
    known = set(vars(build_parser().parse_args([verb]))) - {"verb"}
    made = []
    for name, values in wishes.items():
        dest = PLURALS.get(name, name)
        if dest not in known:
            options = ", ".join(sorted(known))
            raise UserError(f"bench.{verb}() knows no wish {name!r}; there are: {options}")
        option = f"--{dest.replace('_', '-')}"
        for value in [] if values is None or values is False else _several(values):
            made.append(option if value is True else f"{option}={value}")
    return made


def _parsed(command: list[str]) -> Any:
    """What the command line makes of it; what it complains of as an error."""
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return build_parser().parse_args(command)
    except SystemExit:
        raise UserError(complaint.getvalue().rpartition("error: ")[2].strip()) from None
