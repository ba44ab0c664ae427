"""The Python API, for notebooks: ``bench.verify``, ``run``, ``advise``, ``train``, ``report`` and ``load``.

Each does what the command of that name does, and returns an object where the command prints. It takes what
the command takes under the same names: ``--seq-len`` is ``seq_len``, an option that may be repeated takes one
value or several. What a person can mend is a ``bench.UserError``, which speaks of these names.
"""

import functools
import re
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from bench.api.options import VERBS, from_keywords
from bench.machine.busy import complain
from bench.machine.errors import UserError
from bench.machine.files import as_path
from bench.reporting.display import run_progress, train_progress
from bench.reporting.notebook import Result, Verification
from bench.workload.options import as_words, option_of, spelled

if TYPE_CHECKING:
    from bench.reporting.advice import Advice
    from bench.training import TrainResult

COMMAND = re.compile(r"rnnbench (?P<verb>\w+)(?P<options>(?: --[a-z][a-z-]* [^\s,;]+)+)")
# an option, its value or a word for it: "argument --hidden:", "--save a.npz:", "--budget 9s", "--out DIR"
OPTION = re.compile(
    r"(?<![\w-])(?P<argument>argument )?(?P<name>--[a-z][a-z-]*)(?:/--[a-z-]+)*"
    r"(?:=(?P<set>,|\.|[a-z][\w-]*)"
    r"| (?P<value>\S+(?=: )|\d[\d.]*(?:s|m|min)?(?![\w.]))| [A-Z]{2,}(?:\.\w+)?(?!\w))?"
)
quietly = functools.partial(run_progress, lines=False)  # a display that leaves nothing behind

P = ParamSpec("P")
T = TypeVar("T")


def in_python(function: Callable[P, T]) -> Callable[P, T]:
    """Let a function's errors speak of keywords where those of the command line speak of options."""

    @functools.wraps(function)
    def wrapped(*arguments: P.args, **keywords: P.kwargs) -> T:
        try:
            return function(*arguments, **keywords)
        except UserError as error:
            raise UserError(keywords_for_options(str(error))) from error.__cause__

    return wrapped


def keywords_for_options(message: str) -> str:
    """Return what an error says in the words of Python: ``out=`` for ``--out``, calls for commands."""
    return OPTION.sub(_keyword, COMMAND.sub(_call, message))


@functools.cache
def _options() -> set[str]:
    """Return the options that Python takes as well; others that a message names are of other programs."""
    items = [item for verb in VERBS.values() for item in fields(verb.options) if option_of(item).in_python]
    named = [item for item in items if not option_of(item).positional]
    return {spelled(name) for item in named for name in (item.name, option_of(item).also) if name}


def _python(option: str) -> str:
    return option.removeprefix("--").replace("-", "_")


def _call(command: re.Match[str]) -> str:
    """Return the call of Python that a command is: "rnnbench report --out DIR"."""
    if command["verb"] not in VERBS:
        return command[0]
    words = command["options"].split()
    values = (f"{_python(option)}={value!r}" for option, value in zip(words[::2], words[1::2], strict=True))
    return f"bench.{command['verb']}({', '.join(values)})"


def _keyword(option: re.Match[str]) -> str:
    """Return the keyword of Python that an option is, with the value that stands behind it."""
    keyword, value = _python(option["name"]), option["set"] or option["value"] or ""
    if option["name"] not in _options():
        return option[0]
    if option["argument"]:
        return keyword
    return f"{keyword}={value if value.isdecimal() or not value else repr(value)}"


@in_python
def verify(
    variants: str | Iterable[str] | None = None, devices: str | Iterable[str] | None = None, **wishes: Any
) -> Verification:
    """Prove variants, all of them unless named, against the reference: ``rnnbench verify``.

    ``variant`` and ``device`` mean the same; without a device it is the CPU.

    Raises:
        UserError: a variant or device that is not there, or a wish that is unknown.
    """
    from bench.api.verify import prove

    rows, _ = prove(from_keywords("verify", {"variants": variants, "devices": devices, **wishes}), "cpu")
    return Verification(rows)


@in_python
def run(quick: bool = False, **wishes: Any) -> Result:
    """Prove and time what is wished for, with a journal: ``rnnbench run``, without its report.

    Wishes are called as the command line's, with one value or several: ``variants``, ``devices``, ``tasks``,
    ``layouts`` (also ``variant`` and so on), ``hidden``, ``batch``, ``seq_len``, ``features``, ``outputs``,
    ``threads``, ``keep_env``; with one value ``preset``, ``dtype``, ``activation``, ``split``, ``blocks``,
    ``budget``, ``seed``, ``out``, ``wait_quiet``; alone ``resume``, the folder of a run that was cut off, or
    with ``blocks`` of one that is over and left something UNRESOLVED, to extend it to so many in all, once;
    ``refine``, the folder of a grid, with or without ``budget``. What is left out, or None, is up to the
    preset. ::

        bench.run(quick=True, variants=["numpy-inplace", "torch-rnn"], hidden=[32, 256])

    Interrupting the notebook ends the run as Ctrl-C ends the command: its journal is complete, and
    KeyboardInterrupt, which tells where it is, is raised again, so that the cells after this one do not run.

    Raises:
        UserError: a wish that is unknown or cannot be met.
    """
    from bench.api.run import carry_out

    args = from_keywords("run", {"quick": quick, **wishes})
    measured = carry_out(args, ["rnnbench", "run", *as_words(args)], say=_say, progress=quietly)
    folder = measured.folder
    if measured.end is not None and measured.end.status == "interrupted":
        raise KeyboardInterrupt(f"the run was stopped; bench.load({str(folder)!r}) has what was measured")
    return Result.load(folder)


@in_python
def advise(**wishes: Any) -> "Advice":
    """Measure one size now and say in two sentences what to use there and why: ``rnnbench advise``.

    Wishes are called as the command line's, each with one value: ``hidden``, ``batch``, ``seq_len``,
    ``features``, ``outputs``, ``task``, ``dtype``, ``device``, ``threads``, ``budget`` (seconds, or "2m"),
    ``seed``, ``out``, ``wait_quiet``. ::

        bench.advise(hidden=64, batch=1, seq_len=100, task="forward", budget="30s")

    Raises:
        UserError: a wish that is unknown or cannot be met, or a time in which nothing can be measured.
    """
    from bench.api.advise import Timer, advise

    args = from_keywords("advise", wishes)
    advice = advise(args, Timer(args.budget), say=_say, progress=quietly)
    if advice.stopped_by:
        raise KeyboardInterrupt(f"it was stopped; bench.load({str(advice.journal)!r}) has what was measured")
    return advice


@in_python
def train(
    variants: str | Iterable[str] | None = None,
    *,
    progress: Callable[[str, int, float], None] | None = None,
    **wishes: Any,
) -> "TrainResult":
    """Train variants from the same start: ``rnnbench train``, with its pictures and its report.

    Wishes are called as the command line's: several ``variants`` (also ``variant``), and with one value
    ``epochs``, ``layout``, ``dtype``, ``activation``, ``lr``, ``delta``, ``hidden``, ``batch``, ``window``
    (also ``seq_len``), ``horizon`` (also ``outputs``), ``device``, ``seed``, ``series``, ``column``,
    ``decimal``, ``encoding``, ``missing``, ``split``, ``target``, ``load``, ``save``, ``every``, ``out``,
    ``wait_quiet``.
    ``progress`` is called with variant, epoch and loss at every report. Interrupting it ends it; what was
    trained until then is returned.

    Raises:
        UserError: wishes that make no sense, a file that cannot be used, or a folder that holds a training.
    """
    from bench.api.train import train as train_all

    args = from_keywords("train", {"variants": variants, **wishes})
    quiet = functools.partial(train_progress, lines=False)
    return train_all(args, (lambda _: nullcontext(progress)) if progress else quiet, _say)


@in_python
def report(*sources: str | Path | Result, out: str | Path | None = None, any_machine: bool = False) -> Path:
    """Write the report of saved results and return its page: ``rnnbench report``.

    A source is a run's folder or journal, a file of pytest-benchmark, or what ``run`` and ``load`` return.
    ``any_machine`` shows results of different machines beside each other.

    Raises:
        UserError: one cannot be read, the report cannot be written, several have no ``out``, or they are of
            different machines and not ``any_machine``.
    """
    from bench.reporting.build import build_report

    paths = [source.path if isinstance(source, Result) else Path(source) for source in sources]
    return build_report(paths, None if out is None else Path(out), any_machine=any_machine)


@in_python
def load(path: str | Path) -> "Result | TrainResult":
    """Read what was saved: the folder or the journal of a run, or the folder of a training.

    Raises:
        UserError: the journal cannot be read, or contradicts its own plan.
    """
    from bench.records import training
    from bench.training import load_result

    path = as_path(path)
    return load_result(path) if training.is_training(path) else Result.load(path)


def _say(text: str) -> None:
    complain(keywords_for_options(text))
