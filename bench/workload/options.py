"""What can be asked of a run, and how options are declared: the command line and Python fill one dataclass.

A field's default is what holds where nothing is asked: a tuple takes several values, False is a switch. How a
value is read, refused and explained stands beside it, once.
"""

from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields
from typing import Any

from bench.machine.errors import UserError, did_you_mean
from bench.workload.case import ACTIVATIONS, DTYPES, LARGEST_SEED, LAYOUTS, SPLITS, TASKS

MOST = 10_000_000  # of anything that is counted
SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0}


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


def option(
    default: Any,
    help: str = "",
    read: Callable[[str], Any] | None = None,
    metavar: str | None = None,
    **more: Any,
) -> Any:
    """Return a field with this default, and how it is read."""
    return field(default=default, metadata={"option": Option(help, read, metavar, **more)})


def option_of(item: Field[Any]) -> Option:
    """Return how a field is read."""
    declared: Option = item.metadata["option"]
    return declared


def variant_option(help: str = "a name of `rnnbench variants`, or module:object") -> Any:
    """Return the field of the variants that are asked for."""
    return option((), help, metavar="NAME")


def device_option() -> Any:
    """Return the field of the devices that are asked for."""
    return option((), "cpu, cuda, cuda:0, mps, xpu, all (default: all)", metavar="ID")


def waiting_option() -> Any:
    """Return the field of how long to wait for other programs."""
    help = "wait first until other programs are quiet, so long at most, as 5min; then measure all the same"
    return option(None, help, seconds, "TIME")


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


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """What ``run`` is asked for; an empty tuple or None leaves the choice to the preset."""

    quick: bool = option(False, "3 blocks, about 20 s: times, but no verdicts")
    preset: str = option("primer", "what to measure (default: primer)", choices=("primer", "grid", "full"))
    device: tuple[str, ...] = device_option()
    variant: tuple[str, ...] = variant_option()
    task: tuple[str, ...] = option((), choices=TASKS)
    layout: tuple[str, ...] = option((), choices=LAYOUTS)
    activation: str = option("tanh", choices=ACTIVATIONS)
    dtype: str = option("float32", choices=DTYPES)
    hidden: tuple[int, ...] = option((), "hidden units (default: 32)", positive, "H")
    batch: tuple[int, ...] = option((), "samples in a batch (default: 128)", positive, "B")
    seq_len: tuple[int, ...] = option((), "values in a window (default: 6)", positive, "T")
    features: tuple[int, ...] = option((), "random data with I features", positive, "I")
    outputs: tuple[int, ...] = option((), "outputs (default: 8)", positive, "O")
    split: str = option("random", "how test windows are kept apart", choices=SPLITS)
    threads: tuple[int, ...] = option((), "threads of both libraries", positive, "N")
    blocks: int | None = option(
        None,
        "counted blocks, with --resume in all (default: 10, grid: 8, full: 20, quick: 3)",
        positive,
        "N",
    )
    budget: float | None = option(
        None, "time limit, as 90s or 2m (default run: 104s, grid: 585s)", seconds, "TIME"
    )
    isolate: bool = option(False, "a process for every variant, which takes longer")
    seed: int | None = option(None, "seed of the order and of the data", whole, "N")
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
    wait_quiet: float | None = waiting_option()


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
