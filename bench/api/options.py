"""What can be asked of each verb: a dataclass a verb, which the command line and Python fill alike.

A field's default is what holds where nothing is asked: a tuple takes several values, False is a switch. How a
value is read, refused and explained stands beside it, once.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from dataclasses import Field as DataclassField
from pathlib import Path
from typing import Any

from bench.machine.errors import UserError, did_you_mean
from bench.records.formats import FILES
from bench.workload.case import ACTIVATIONS, DTYPES, LARGEST_SEED, LAYOUTS, SPLITS, TASKS

MOST = 10_000_000  # of anything that is counted
SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0}
PLURALS = {"variants": "variant", "devices": "device", "tasks": "task", "layouts": "layout"}
DEVICES = "cpu, cuda, cuda:0, mps, xpu, all (default: all)"
VARIANT = "a name of `rnnbench variants`, or module:object"


@dataclass(frozen=True, slots=True)
class Option:
    """How an option is read and explained; it stands in a field's metadata."""

    help: str
    read: Callable[[str], Any] | None = None  # text as it stands, but not empty, where None
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    also: str | None = None  # another name for it
    once: bool = False  # two different values are refused: the last would be measured, without a word
    positional: bool = False  # given without a name; several where the default is a tuple
    in_python: bool = True


def option(default: Any, help: str = "", read: Callable[[str], Any] | None = None, **more: Any) -> Any:
    """Return a field with this default, and how it is read."""
    return field(default=default, metadata={"option": Option(help, read, **more)})


def option_of(item: "DataclassField[Any]") -> Option:
    """Return how a field is read."""
    declared: Option = item.metadata["option"]
    return declared


def number(text: str) -> float:
    """Read a number as files hold it, or nan and inf, which what it is for tells of; 1_0 is none.

    Raises:
        UserError: it is none.
    """
    try:
        if text.isascii() and "_" not in text and text == text.strip():
            return float(text)
    except ValueError:
        pass
    raise UserError(f"{text!r} is not a number")


def positive(text: str) -> int:
    """Read a whole number of 1 or more.

    Raises:
        UserError: it is none, or no machine has so many.
    """
    if not _is_digits(text) or not 1 <= int(text) <= MOST:
        raise UserError(f"{text!r} is not a whole number of 1 or more, up to {MOST}")
    return int(text)


def whole(text: str) -> int:
    """Read a whole number of 0 or more, as a seed is.

    Raises:
        UserError: it is none, or no file of results could hold it.
    """
    if not _is_digits(text) or len(text) > len(str(LARGEST_SEED)) or int(text) > LARGEST_SEED:
        raise UserError(f"{text!r} is not a whole number of 0 or more, up to {LARGEST_SEED}")
    return int(text)


def seconds(text: str) -> float:
    """Read a time in seconds: 30, 30s, 1.5m, 5min.

    Raises:
        UserError: it is none above 0, or longer than anybody waits.
    """
    count = text.rstrip("smin")
    try:
        time_s = number(count) * SECONDS.get(text[len(count) :], 0.0)
    except UserError:
        time_s = 0.0
    if not 0 < time_s <= MOST:  # neither for NaN
        raise UserError(f"{text!r} is no time above 0: give 30 or 30s, or minutes as 2m, up to {MOST} s")
    return time_s


def percentage(text: str) -> float:
    """Read "5%" as 0.05.

    Raises:
        UserError: it is none.
    """
    try:
        share = float(text.strip().removesuffix("%")) / 100
    except ValueError:
        share = -1.0
    if not text.strip().endswith("%") or not 0 <= share <= 100:
        raise UserError(f"{text!r} is not a percentage, such as 5%")
    return share


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _devices() -> Any:
    return option((), DEVICES, metavar="ID")


def _variants(help: str = VARIANT) -> Any:
    return option((), help, metavar="NAME")


def _wait_quiet() -> Any:
    help = "wait first until other programs are quiet, so long at most, as 5min; then measure all the same"
    return option(None, help, seconds, metavar="TIME")


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """What ``run`` is asked for."""

    quick: bool = option(False, "3 blocks, about 20 s: times, but no verdicts")
    preset: str = option("primer", "what to measure (default: primer)", choices=("primer", "grid", "full"))
    device: tuple[str, ...] = _devices()
    variant: tuple[str, ...] = _variants()
    task: tuple[str, ...] = option((), choices=TASKS)
    layout: tuple[str, ...] = option((), choices=LAYOUTS)
    activation: str = option("tanh", choices=ACTIVATIONS)
    dtype: str = option("float32", choices=DTYPES)
    hidden: tuple[int, ...] = option((), "hidden units (default: 32)", positive, metavar="H")
    batch: tuple[int, ...] = option((), "samples in a batch (default: 128)", positive, metavar="B")
    seq_len: tuple[int, ...] = option((), "values in a window (default: 6)", positive, metavar="T")
    features: tuple[int, ...] = option((), "random data with I features", positive, metavar="I")
    outputs: tuple[int, ...] = option((), "outputs (default: 8)", positive, metavar="O")
    split: str = option("random", "how test windows are kept apart", choices=SPLITS)
    threads: tuple[int, ...] = option((), "threads of both libraries", positive, metavar="N")
    blocks: int | None = option(
        None,
        "counted blocks, with --resume in all (default: 10, grid: 8, full: 20, quick: 3)",
        positive,
        metavar="N",
    )
    budget: float | None = option(
        None, "time limit, as 90s or 2m (default run: 104s, grid: 585s)", seconds, metavar="TIME"
    )
    isolate: bool = option(False, "a process for every variant, which takes longer")
    seed: int | None = option(None, "seed of the order and of the data", whole, metavar="N")
    keep_env: tuple[str, ...] = option((), "variable to pass on to the workers", metavar="NAME")
    host_name: bool = option(False, "name the host in the record (default: a hash of it)")
    out: str | None = option(None, "folder of the results (default: results/<time>)", metavar="DIR")
    resume: str | None = option(
        None,
        "go on with a run that was cut off; with --blocks N, extend one that is over and left something "
        "UNRESOLVED to N blocks in all, once, and judge it at 0.01 instead of 0.04; no other option with it",
        metavar="DIR",
    )
    refine: str | None = option(
        None,
        "measure more sizes near to where the answer of a grid turns round; --budget limits its time",
        metavar="DIR",
    )
    wait_quiet: float | None = _wait_quiet()


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifyOptions:
    """What ``verify`` is asked for."""

    variant: tuple[str, ...] = _variants()
    device: tuple[str, ...] = _devices()
    json: bool = option(False, "print the rows as a JSON list", in_python=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainOptions:
    """What ``train`` is asked for."""

    variant: tuple[str, ...] = _variants("(default: numpy-inplace and torch-rnn)")
    layout: str = option("positional", choices=LAYOUTS)
    dtype: str = option("float32", choices=DTYPES)
    activation: str = option("tanh", choices=ACTIVATIONS)
    epochs: int = option(20000, "training steps (default: 20000)", positive, metavar="N")
    lr: float = option(0.1, "learning rate (default: 0.1)", number, metavar="RATE")
    delta: float = option(0.025, "cutoff of the Huber loss (default: 0.025)", number, metavar="SIZE")
    hidden: int = option(32, "hidden units (default: 32)", positive, metavar="H", once=True)
    batch: int | None = option(
        None, "training windows of the sine (default: 128)", positive, metavar="B", once=True
    )
    window: int = option(
        6, "values that go in (default: 6)", positive, metavar="T", once=True, also="seq_len"
    )
    horizon: int = option(
        8, "values to predict (default: 8)", positive, metavar="O", once=True, also="outputs"
    )
    device: str = option("cpu", "of the torch variants: cpu, cuda:0, mps (default: cpu)", metavar="ID")
    seed: int = option(0, "seed of the split and of the start", whole, metavar="N")
    series: str | None = option(None, "train on a series of your own, standardised", metavar="FILE.csv")
    column: str | None = option(None, "its column (default: the only one that holds numbers)", metavar="NAME")
    decimal: str = option(".", "its decimal sign (default: .)", choices=(".", ","), metavar="SIGN")
    encoding: str = option("utf-8", "of the file, as cp1252 (default: utf-8)", metavar="NAME")
    missing: str = option(
        "error",
        "about a missing value: error, drop (leave its row out; the step of time there is longer) or "
        "interpolate (take the straight line between its neighbours) (default: error)",
        choices=("error", "drop", "interpolate"),
        metavar="WHAT",
    )
    split: str | None = option(
        None, "test windows (default: tail for a series, random for the sine)", choices=SPLITS
    )
    target: float | None = option(
        None, "time to this loss (default: one that all reach)", number, metavar="LOSS"
    )
    save: str | None = option(
        None, "write the parameters there; with several variants, one file each", metavar="FILE.npz"
    )
    load: str | None = option(None, "start from such parameters", metavar="FILE.npz")
    every: int = option(100, "epochs between reports (default: 100)", positive, metavar="N")
    out: str | None = option(None, "folder of the results (default: results/train-<time>)", metavar="DIR")
    wait_quiet: float | None = _wait_quiet()


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportOptions:
    """What ``report`` is asked for."""

    files: tuple[str, ...] = option(
        (), "folders of runs and trainings, journals, JSON", metavar="FILE", positional=True
    )
    out: str | None = option(None, "folder of the report (default: beside the file)", metavar="DIR")
    any_machine: bool = option(False, "show results of different machines beside each other")


@dataclass(frozen=True, kw_only=True, slots=True)
class AdviseOptions:
    """What ``advise`` is asked for: one size, where, and how long it may take."""

    hidden: int = option(32, "hidden units (default: 32)", positive, metavar="H", once=True)
    batch: int = option(128, "samples in a batch (default: 128)", positive, metavar="B", once=True)
    seq_len: int = option(6, "time steps (default: 6)", positive, metavar="T", once=True)
    features: int = option(1, "features of a time step (default: 1)", positive, metavar="I", once=True)
    outputs: int = option(8, "outputs (default: 8)", positive, metavar="O", once=True)
    threads: int = option(1, "threads on the CPU (default: 1)", positive, metavar="N", once=True)
    task: str = option(TASKS[0], f"(default: {TASKS[0]})", choices=TASKS)
    dtype: str = option("float32", "(default: float32)", choices=DTYPES)
    device: tuple[str, ...] = _devices()
    budget: float = option(
        30.0, "all that it may take, waiting aside: 30, 30s or 2m (default: 30s)", seconds, metavar="TIME"
    )
    wait_quiet: float | None = _wait_quiet()
    seed: int | None = option(
        None, "seed of the order and of the data (default: a new one)", whole, metavar="N"
    )
    json: bool = option(False, "print everything as a JSON object", in_python=False)
    out: str | None = option(None, "folder of the journal (default: results/advise-<time>)", metavar="DIR")


@dataclass(frozen=True, kw_only=True, slots=True)
class VariantsOptions:
    """What ``variants`` is asked for."""

    variant: tuple[str, ...] = _variants("show module:object as well")


@dataclass(frozen=True, kw_only=True, slots=True)
class DevicesOptions:
    """What ``devices`` is asked for: nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckOptions:
    """What ``check`` is asked for."""

    device: tuple[str, ...] = _devices()
    json: bool = option(False, "print the findings as a JSON list", in_python=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class CompareOptions:
    """What ``compare`` is asked for: two results, and how they are compared."""

    old: str = option(
        MISSING,
        "folder or journal of a run, or a JSON file (.json.gz as well)",
        metavar="OLD",
        positional=True,
    )
    new: str = option(MISSING, "the same kind of thing, measured later", metavar="NEW", positional=True)
    absolute: bool = option(False, "compare times in place of ratios, with the drift in them")
    fail_slower: float | None = option(
        None,
        "exit with 1 if it is proved that something takes more than P %% longer",
        percentage,
        metavar="P%",
    )
    any_machine: bool = option(False, "compare results of different machines")
    any_environment: bool = option(
        False, "give verdicts though something else changed than versions: BLAS kernel, governor, threads"
    )
    json: bool = option(False, "print everything as a JSON object", in_python=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportOptions:
    """What ``export`` is asked for: a run, the tool, and the file."""

    run: str = option(MISSING, "folder or journal of a run", metavar="RUN", positional=True)
    to: str = option(MISSING, "whose format", choices=tuple(FILES))
    out: str | None = option(None, "(default: in the run's folder)", metavar="FILE")


VERBS: dict[str, type] = {
    "run": RunOptions,
    "verify": VerifyOptions,
    "train": TrainOptions,
    "report": ReportOptions,
    "advise": AdviseOptions,
    "compare": CompareOptions,
    "export": ExportOptions,
    "variants": VariantsOptions,
    "devices": DevicesOptions,
    "check": CheckOptions,
}


def spelled(name: str) -> str:
    """Return a field's name as an option: ``--seq-len``."""
    return "--" + name.replace("_", "-")


def changed(options: Any) -> list[str]:
    """Return the names of the fields that are not as they are where nothing is asked for."""
    return [item.name for item in fields(options) if getattr(options, item.name) != item.default]


def as_words(options: Any) -> list[str]:
    """Return what is asked for as a person would type it."""
    words = []
    for name in changed(options):
        value = getattr(options, name)
        values = value if isinstance(value, tuple) else (value,)
        words += [spelled(name) if one is True else f"{spelled(name)}={one}" for one in values]
    return words


def from_keywords(verb: str, wishes: Mapping[str, Any]) -> Any:
    """Return what keywords of Python ask of a verb; None and False stand for nothing asked.

    Raises:
        UserError: a wish that is unknown or cannot be read, or several values where one is taken.
    """
    kind = VERBS[verb]
    items = {item.name: item for item in fields(kind) if option_of(item).in_python}
    names = items | {also: item for item in items.values() if (also := option_of(item).also)}
    plurals = {many: names[one] for many, one in PLURALS.items() if one in names}
    chosen: dict[str, Any] = {}
    for name, given in wishes.items():
        if (item := (names | plurals).get(name)) is None:
            near = did_you_mean(name, [*names, *plurals])
            known = ", ".join(sorted(names))
            raise UserError(f"bench.{verb}() knows no wish {name!r}{near}; there are: {known}")
        values = [] if given is None or given is False else _several(given)
        if len(values) > 1 and not isinstance(item.default, tuple):
            raise UserError(f"{spelled(name)} takes one value, not {len(values)}")
        read = [_read_keyword(item, name, value) for value in values]
        if isinstance(item.default, tuple):
            chosen[item.name] = (*chosen.get(item.name, ()), *read)
        elif read:
            chosen[item.name] = read[0]
    return kind(**chosen)


def _read_keyword(item: "DataclassField[Any]", name: str, value: Any) -> Any:
    """Return one value as the command line would read it."""
    declared = option_of(item)
    if item.default is False:
        if value is not True:
            raise UserError(f"argument {spelled(name)}: is True or False, not {value!r}")
        return True
    try:
        if value is True:
            raise UserError("expected one argument")
        return read_value(declared, str(value))
    except UserError as error:
        raise UserError(f"argument {spelled(name)}: {error}") from error


def read_value(declared: Option, text: str) -> Any:
    """Return what a text means to an option.

    Raises:
        UserError: nothing, or not one of its choices.
    """
    if declared.read is None and not text:  # as of a variable that is not set
        raise UserError("is empty")
    if declared.choices and text not in declared.choices:
        near = did_you_mean(text, declared.choices) or f" (choose from {', '.join(declared.choices)})"
        raise UserError(f"invalid choice: {text!r}{near}")
    return text if declared.read is None else declared.read(text)


def _several(values: Any) -> list[Any]:
    """Return one value or several as a list."""
    one = isinstance(values, (str, Path)) or not isinstance(values, Iterable)
    return [values] if one else list(values)
