"""Provide the Python API, for notebooks: ``verify``, ``run``, ``advise``, ``train``, ``report``, ``load``.

Each function does the same as the command of that name, but returns an object instead of printing. Keywords
have the names of the command's options: ``seq_len`` for ``--seq-len``. Repeatable options take one value or
several. Errors that a user can correct are a ``bench.UserError``, whose text names the keywords.
"""

import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from bench.api.options import VERBS, from_keywords
from bench.machine.busy import complain
from bench.machine.errors import UserError
from bench.machine.files import as_path
from bench.reporting.display import run_progress, stream_progress, train_progress
from bench.reporting.notebook import Result, Verification
from bench.workload.options import as_words, option_of, spelled

if TYPE_CHECKING:
    from bench.reporting.advice import Advice
    from bench.reporting.gradient_table import GradientCheck
    from bench.reporting.streamed import StreamAnswer
    from bench.training import TrainResult

COMMAND_PATTERN = re.compile(r"rnnbench (?P<verb>\w+)(?P<options>(?: --[a-z][a-z-]* [^\s,;]+)+)")
# an option with a value or a placeholder: "argument --hidden:", "--save a.npz:", "--budget 9s", "--out DIR"
OPTION_PATTERN = re.compile(
    r"(?<![\w-])(?P<argument>argument )?(?P<name>--[a-z][a-z-]*)(?:/--[a-z-]+)*"
    r"(?:=(?P<set>,|\.|[a-z][\w-]*)"
    r"| (?P<value>\S+(?=: )|\d[\d.]*(?:s|m|min)?(?![\w.]))| [A-Z]{2,}(?:\.\w+)?(?!\w))?"
)
quiet_progress = functools.partial(run_progress, lines=False)  # a progress display that is erased at its end

P = ParamSpec("P")
T = TypeVar("T")


def in_python(function: Callable[P, T]) -> Callable[P, T]:
    """Make a function's errors name Python keywords where they name options of the command line."""

    @functools.wraps(function)
    def wrapped(*arguments: P.args, **keywords: P.kwargs) -> T:
        try:
            return function(*arguments, **keywords)
        except UserError as error:
            raise UserError(keywords_for_options(str(error))) from error.__cause__

    return wrapped


def keywords_for_options(message: str) -> str:
    """Return an error text with keywords instead of options (``out=`` for ``--out``), calls for commands."""
    return OPTION_PATTERN.sub(_python_keyword, COMMAND_PATTERN.sub(_python_call, message))


@functools.cache
def _python_options() -> dict[str, str]:
    """Return the keywords of the options that have one; other options in a message are of other programs.

    A keyword is ``hidden=``, and that of an option with a ``--no-`` is ``bias=True`` or ``bias=False``.
    """
    keywords: dict[str, str] = {}
    for field in (field for verb in VERBS.values() for field in fields(verb.options)):
        declared = option_of(field)
        if not declared.in_python or declared.positional:
            continue
        if declared.switch:
            names = {spelled(field.name): True, spelled(f"no_{field.name}"): False}
            keywords |= {option: f"{field.name}={value}" for option, value in names.items()}
        else:
            keywords |= {spelled(name): f"{name}=" for name in (field.name, declared.also) if name}
    return keywords


def _as_name(option: str) -> str:
    return option.removeprefix("--").replace("-", "_")


def _python_call(command: re.Match[str]) -> str:
    """Return a command as a Python call: ``bench.report(out='DIR')`` for "rnnbench report --out DIR"."""
    if command["verb"] not in VERBS:
        return command[0]
    words = command["options"].split()
    values = (f"{_as_name(option)}={value!r}" for option, value in zip(words[::2], words[1::2], strict=True))
    return f"bench.{command['verb']}({', '.join(values)})"


def _python_keyword(option: re.Match[str]) -> str:
    """Return an option as a Python keyword, with the option's value."""
    keyword, value = _python_options().get(option["name"]), option["set"] or option["value"] or ""
    if keyword is None:
        return option[0]
    if option["argument"]:
        return keyword.partition("=")[0]
    return f"{keyword}{value if value.isdecimal() or not value else repr(value)}"


@in_python
def verify(
    variants: str | Iterable[str] | None = None, devices: str | Iterable[str] | None = None, **wishes: Any
) -> Verification:
    """Prove variants (default: all) against the reference: ``rnnbench verify``.

    ``cells`` chooses cells, ``bias`` with biases or without. ``variant``, ``device`` and ``cell`` mean the
    same as the plurals; the default device is the CPU.

    Raises:
        UserError: a variant, device or keyword is unknown.
    """
    from bench.api.verify import prove

    args = from_keywords("verify", {"variants": variants, "devices": devices, **wishes})
    rows, _, diagnoses = prove(args, "cpu")
    return Verification(rows, diagnoses)


def check_gradients(
    loss_and_grads: Callable[..., Any],
    params: Mapping[str, Any],
    *data: Any,
    twin: Callable[..., Any] | None = None,
    axes: Sequence[str] | None = None,
    entries: int = 2000,
) -> "GradientCheck":
    """Check a gradient derived by hand, of any function, and name the mistake in it if it is known.

    ``loss_and_grads(params, *data)`` returns a loss L, one number, and a dict of its gradients: for each
    parameter p an array dL/dp of its shape, with [dL/dp]_i = the limit of (L(p + h e_i) - L(p)) / h for h
    to 0, e_i being 1 at entry i and else 0. ``params`` is a dict, name -> array of floats of any shape;
    ``data`` are all other arguments, passed on as they are. Fix options with ``functools.partial``. ::

        def loss_and_grads(params, x, y):  # x (N, I), y (N, O), W (O, I)
            e = x @ params["W"].T - y
            return np.mean(e**2), {"W": 2 / e.size * e.T @ x}

        assert bench.check_gradients(loss_and_grads, {"W": W}, x, y)

    The exact gradient is computed by complex steps, Im L(p + i h e_k) / h, exact to the last bits, if the
    function works with complex numbers; else by central differences with an estimate of their error. A
    parameter is right if |given - exact| / |exact| is within the tolerance. float32 inputs are checked on
    float64 copies first. The function is called once or more for each entry, and never changes your arrays.

    Args:
        twin: a function of PyTorch, ``twin(params, *data)``, that returns the same loss of dicts of tensors;
            autograd's gradients are compared, too.
        axes: letters that name the axes of each array of ``data``, T for time and B for batch, as
            ``("TBI", "BO")``, this being the default for the cells of the suite. Wrong gradients are then
            looked at on shorter sequences and fewer samples, too, which shows more mistakes.
        entries: how many entries to check. Of more, a random sample is checked, and for each parameter one
            random direction, which all entries take part in.

    Raises:
        UserError: the inputs cannot be used; or the function raises an error, changes its inputs, differs
            between two calls, or returns something else than a loss and the gradients of all parameters.

    Sources: Squire and Trapp, Using complex variables to estimate derivatives of real functions (SIAM Review
    40, 1998); Martins, Sturdza and Alonso, The complex-step derivative approximation (ACM TOMS 29, 2003).
    """
    from bench.gradients.check import check
    from bench.reporting.gradient_table import GradientCheck

    return GradientCheck(check(loss_and_grads, params, data, twin=twin, axes=axes, entries=entries))


@in_python
def run(quick: bool = False, **wishes: Any) -> Result:
    """Prove and time variants, with a journal: ``rnnbench run`` without its report.

    Keywords are named like the command's options. With one value or several: ``variants``, ``devices``,
    ``tasks``, ``layouts`` (also in singular), ``hidden``, ``batch``, ``seq_len``, ``features``, ``outputs``,
    ``threads``, ``keep_env``. With one value: ``preset``, ``cell``, ``bias`` (True or False), ``dtype``,
    ``activation``, ``split``, ``blocks``, ``budget``, ``seed``, ``out``, ``wait_quiet``, ``no_wait``.
    Without other keywords: ``resume``, the folder of a run that was cut off; or ``resume`` with
    ``blocks``, to extend a finished run with an UNRESOLVED result to that total, once; or ``refine``, the
    folder of a grid, also with ``budget``. The preset gives the values of keywords that are missing or
    None. ::

        bench.run(quick=True, variants=["numpy-inplace", "torch-layer"], hidden=[32, 256])

    Interrupting the notebook ends the run like Ctrl-C ends the command: the journal is complete, and a
    KeyboardInterrupt with the journal's folder is raised, so that later cells of the notebook do not run.

    Raises:
        UserError: a keyword is unknown, or its value cannot be used.
    """
    from bench.api.run import carry_out

    args = from_keywords("run", {"quick": quick, **wishes})
    measured = carry_out(args, ["rnnbench", "run", *as_words(args)], say=_say, progress=quiet_progress)
    folder = measured.folder
    if measured.end is not None and measured.end.status == "interrupted":
        raise KeyboardInterrupt(f"the run was stopped; bench.load({str(folder)!r}) has what was measured")
    return Result.load(folder)


@in_python
def advise(**wishes: Any) -> "Advice":
    """Measure one size now, and say in two sentences what to use and why: ``rnnbench advise``.

    Keywords are named like the command's options, each with one value: ``hidden``, ``batch``, ``seq_len``,
    ``features``, ``outputs``, ``task``, ``cell``, ``bias``, ``dtype``, ``device``, ``threads``, ``budget``
    (seconds, or "2m"), ``seed``, ``out``, ``wait_quiet``, ``no_wait``. ::

        bench.advise(hidden=64, batch=1, seq_len=100, task="forward", budget="30s")

    Raises:
        UserError: a keyword is unknown, its value cannot be used, or the time is too short to measure.
    """
    from bench.api.advise import Timer, advise

    args = from_keywords("advise", wishes)
    advice = advise(args, Timer(args.budget), say=_say, progress=quiet_progress)
    if advice.stopped_by:
        raise KeyboardInterrupt(f"it was stopped; bench.load({str(advice.journal)!r}) has what was measured")
    return advice


@in_python
def stream(**wishes: Any) -> "StreamAnswer":
    """Time one sample at a time, and say what the median and the tail take: ``rnnbench stream``.

    Keywords are named like the command's options: several ``variants`` (also ``variant``), and with one value
    ``cell``, ``bias``, ``hidden``, ``batch``, ``features``, ``outputs``, ``dtype``, ``rate`` (samples a
    second), ``pace``, ``collector`` (False: off), ``streams`` (at once: several), ``workers``, ``share``
    ("processes", "threads"), ``device``, ``threads``, ``blocks``, ``calls``,
    ``seconds``, ``quick``, ``seed``, ``out``, ``wait_quiet``, ``no_wait``. ::

        bench.stream(cell="gru", hidden=32, rate=1000)

    Raises:
        UserError: a keyword is unknown, or its value cannot be used.
    """
    from bench.api.stream import carry_out

    quiet = functools.partial(stream_progress, lines=False)
    streamed = carry_out(from_keywords("stream", wishes), say=_say, progress=quiet)
    if streamed.stopped_by:
        raise KeyboardInterrupt(f"it was stopped; bench.load({str(streamed.folder)!r}) has the whole blocks")
    return streamed


@in_python
def train(
    variants: str | Iterable[str] | None = None,
    *,
    progress: Callable[[str, int, float], None] | None = None,
    **wishes: Any,
) -> "TrainResult":
    """Train variants from the same start: ``rnnbench train``, with its plots and its report.

    Keywords are named like the command's options: several ``variants`` (also ``variant``), and with one value
    ``epochs``, ``layout``, ``cell``, ``bias``, ``dtype``, ``activation``, ``lr``, ``delta``, ``hidden``,
    ``batch``, ``window`` (also ``seq_len``), ``horizon`` (also ``outputs``), ``device``, ``seed``,
    ``series``, ``column``,
    ``decimal``, ``encoding``, ``missing``, ``split``, ``target``, ``load``, ``save``, ``every``, ``out``,
    ``wait_quiet``, ``no_wait``.
    ``progress`` is called with variant, epoch and loss at every report. An interrupt ends the training, and
    the result until then is returned.

    Raises:
        UserError: a keyword or a file cannot be used, or the folder already holds a training.
    """
    from bench.api.train import train as train_all

    args = from_keywords("train", {"variants": variants, **wishes})
    quiet = functools.partial(train_progress, lines=False)
    return train_all(args, (lambda _: nullcontext(progress)) if progress else quiet, _say)


@in_python
def report(
    *sources: str | Path | Result,
    out: str | Path | None = None,
    any_machine: bool = False,
    latest: bool = False,
) -> Path:
    """Write the report of saved results and return the path of its page: ``rnnbench report``.

    A source is a run's folder or journal, a folder of such folders, a file of pytest-benchmark, or a result
    of ``run`` or ``load``. ``any_machine`` shows named results of different machines beside each other.
    ``latest`` takes what was started last below the folders given, or below ``results``.

    Raises:
        UserError: a source cannot be read, the report cannot be written, ``out`` is missing for several
            sources, or the machines differ and ``any_machine`` is not set.
    """
    from bench.records.results import RESULTS, newest
    from bench.reporting.build import build_report

    paths = [source.path if isinstance(source, Result) else Path(source) for source in sources]
    if latest:
        paths = [newest(paths or [RESULTS], _say)]
    return build_report(paths, None if out is None else Path(out), any_machine=any_machine)


@in_python
def load(path: str | Path) -> "Result | TrainResult | StreamAnswer":
    """Load saved results: the folder or the file of a run, a training or a stream.

    Raises:
        UserError: the file cannot be read, or contradicts itself.
    """
    from bench.records.saved import kind_of
    from bench.reporting.streamed import load_streamed
    from bench.training import load_result

    path = as_path(path)
    kind = kind_of(path)
    if kind == "training":
        return load_result(path)
    return load_streamed(path) if kind == "stream" else Result.load(path)


def _say(text: str) -> None:
    """Print a message that names keywords instead of options."""
    complain(keywords_for_options(text))
