"""Declare the options of a run; the command line and Python fill the same dataclass.

A field's default is used if the option is not given. A tuple as default means several values, False means a
switch. The field also declares how its value is read, refused and explained.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import Field, dataclass, field, fields
from typing import Any, NamedTuple

from bench.machine.errors import UserError, did_you_mean
from bench.workload.case import ACTIVATIONS, DTYPES, LARGEST_SEED, LAYOUTS, SPLITS, TASKS

MAX_VALUE = 10_000_000  # of a count, and of a time in seconds
BYTES_PER_UNIT = {"MiB": 2**20, "MB": 10**6, "GiB": 2**30, "GB": 10**9}
MOST_WORKERS = 64  # of a scheduler on this host
LEAST_MEMORY, MOST_MEMORY = 2**26, 2**40  # bytes, of a limit of memory
SECONDS_PER_UNIT = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0}


class Lengths(NamedTuple):
    """Hold the lengths of the shortest and of the longest sequence of a batch; the text is "10:100"."""

    shortest: int
    longest: int

    def __str__(self) -> str:
        return f"{self.shortest}:{self.longest}"


@dataclass(frozen=True, slots=True)
class Option:
    """Describe how an option is read and explained; stored in a field's metadata."""

    help: str
    read: Callable[[str], Any] | None = None  # converts text; None: keep the text, never empty
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    also: str | None = None  # another name for the option
    once: bool = False  # refuse two different values; otherwise the last value silently replaces the first
    switch: bool = False  # given as --name or --no-name, True or False in Python
    positional: bool = False  # given without a name; several values if the default is a tuple
    in_python: bool = True


def option(
    default: Any,
    help: str = "",
    read: Callable[[str], Any] | None = None,
    metavar: str | None = None,
    **more: Any,
) -> Any:
    """Return a dataclass field with this default and an ``Option`` in its metadata."""
    return field(default=default, metadata={"option": Option(help, read, metavar, **more)})


def option_of(item: Field[Any]) -> Option:
    """Return the ``Option`` of a field."""
    declared: Option = item.metadata["option"]
    return declared


def variant_option(help: str = "a name of `rnnbench variants`, or module:object") -> Any:
    """Return a field for the names of variants."""
    return option((), help, metavar="NAME")


def cell_option(
    help: str = "rnn, gru, lstm, or module:object for your own (default: rnn, or that of the variants)",
) -> Any:
    """Return a field for the name of one cell."""
    return option(None, help, metavar="NAME", once=True)


def bias_option() -> Any:
    """Return a field for whether the cell has biases."""
    return option(None, "with biases or without (default: gru and lstm with, rnn without)", switch=True)


def peers_option() -> Any:
    """Return a field for whether libraries beside NumPy and PyTorch are measured as well."""
    return option(
        False, "measure JAX, Numba and ONNX Runtime beside them, with one thread (needs rnnbench[peers])"
    )


def device_option() -> Any:
    """Return a field for the names of devices."""
    return option((), "cpu, cuda, cuda:0, mps, xpu, all (default: all)", metavar="ID")


def waiting_option() -> Any:
    """Return a field for the longest time to wait until other programs are quiet."""
    help = "wait first until other programs are quiet, so long at most, as 5min; then measure all the same"
    return option(None, help, seconds, "TIME")


def no_wait_option() -> Any:
    """Return a field for whether to refuse while another process measures on this host."""
    return option(False, "refuse (exit code 75) while another process measures here (default: wait for it)")


def number(text: str) -> float:
    """Read a number in ASCII, also nan and inf, which the caller must refuse if needed; 1_0 is no number.

    Raises:
        UserError: the text is no number.
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
        UserError: the text is no such number, or the number is above ``MAX_VALUE``.
    """
    if not _is_digits(text) or not 1 <= int(text) <= MAX_VALUE:
        raise UserError(f"{text!r} is not a whole number of 1 or more, up to {MAX_VALUE}")
    return int(text)


def counts(text: str) -> str:
    """Read whole numbers of 1 or more, as 1,4,16, and return them as given.

    Raises:
        UserError: one is no such number.
    """
    all_counts([text])
    return text


def all_counts(texts: Iterable[str]) -> list[int]:
    """Return the numbers of texts as 1,4,16 in ascending order, each once; errors as ``counts``."""
    return sorted({positive(number) for text in texts for number in text.split(",")})


def whole(text: str) -> int:
    """Read a whole number of 0 or more, for example a seed.

    Raises:
        UserError: the text is no such number, or the number is too large for a result file.
    """
    if not _is_digits(text) or len(text) > len(str(LARGEST_SEED)) or int(text) > LARGEST_SEED:
        raise UserError(f"{text!r} is not a whole number of 0 or more, up to {LARGEST_SEED}")
    return int(text)


def seconds(text: str) -> float:
    """Read a time, as 30, 30s, 1.5m or 5min, and return seconds.

    Raises:
        UserError: the text is no time above 0, or the time is above ``MAX_VALUE`` seconds.
    """
    digits = text.rstrip("smin")
    try:
        time_s = number(digits) * SECONDS_PER_UNIT.get(text[len(digits) :], 0.0)
    except UserError:
        time_s = 0.0
    if not 0 < time_s <= MAX_VALUE:  # written so that NaN is refused too
        raise UserError(f"{text!r} is no time above 0: give 30 or 30s, or minutes as 2m, up to {MAX_VALUE} s")
    return time_s


def memory(text: str) -> int:
    """Read an amount of memory, as 512MiB, 1GiB or 1.5GB, and return bytes.

    Raises:
        UserError: the text is no such amount, or is not from ``LEAST_MEMORY`` to ``MOST_MEMORY``.
    """
    digits = text.rstrip("MGiB")
    try:
        amount = number(digits) * BYTES_PER_UNIT.get(text[len(digits) :], 0)
    except UserError:
        amount = 0.0
    if not LEAST_MEMORY <= amount <= MOST_MEMORY:
        raise UserError(f"{text!r} is no amount of memory from 64MiB to 1024GiB: give 512MiB")
    return int(amount)


def scheduler(text: str) -> str | int:
    """Read the address of a scheduler, or the number of local:N.

    Raises:
        UserError: the text is neither.
    """
    kind, _, rest = text.partition(":")
    if kind == "local" and _is_digits(rest) and 1 <= int(rest) <= MOST_WORKERS:
        return int(rest)
    if not re.fullmatch(r"(tcp|tls)://[^/\s]+:\d+", text):
        raise UserError(f"{text!r} is no scheduler: give tcp://HOST:PORT, or local:N for N workers here")
    return text


def lengths(text: str) -> Lengths:
    """Read the lengths of the shortest and of the longest sequence, as 10:100.

    Raises:
        UserError: the text is no two whole numbers of 1 or more, the smaller one first.
    """
    try:
        shortest, longest = map(positive, text.split(":"))
    except (UserError, ValueError):
        shortest, longest = 1, 0
    if shortest > longest:
        raise UserError(f"{text!r} is no shortest and longest length: give 10:100")
    return Lengths(shortest, longest)


def percentage(text: str) -> float:
    """Read "5%" as 0.05.

    Raises:
        UserError: the text is no percentage from 0% to 10000%.
    """
    try:
        share = float(text.strip().removesuffix("%")) / 100
    except ValueError:
        share = -1.0
    if "_" in text or not text.strip().endswith("%") or not 0 <= share <= 100:
        raise UserError(f"{text!r} is not a percentage, such as 5%")
    return share


def _is_digits(text: str) -> bool:
    """Return whether the text is one or more ASCII digits."""
    return text.isascii() and text.isdecimal()


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """Hold the options of ``run``; for an empty tuple or None the preset chooses."""

    quick: bool = option(False, "3 blocks, about 20 s: times, but no verdicts")
    preset: str = option(
        "primer",
        "what to measure; cells: rnn, gru and lstm beside each other (default: primer)",
        choices=("primer", "grid", "full", "cells"),
    )
    device: tuple[str, ...] = device_option()
    variant: tuple[str, ...] = variant_option()
    peers: bool = peers_option()
    task: tuple[str, ...] = option((), choices=TASKS)
    layout: tuple[str, ...] = option((), choices=LAYOUTS)
    cell: str | None = cell_option()
    bias: bool | None = bias_option()
    activation: str | None = option(None, "(default: that of the cell, of rnn tanh)", choices=ACTIVATIONS)
    dtype: str = option("float32", choices=DTYPES)
    hidden: tuple[int, ...] = option((), "hidden units (default: 32)", positive, "H")
    batch: tuple[int, ...] = option((), "samples in a batch (default: 128)", positive, "B")
    seq_len: tuple[int, ...] = option((), "values in a window (default: 6)", positive, "T")
    lengths: tuple[Lengths, ...] = option(
        (),
        "sequences of different lengths, as 10:100 with --seq-len 100 (default --layout: sequence)",
        lengths,
        "MIN:MAX",
    )
    features: tuple[int, ...] = option((), "random data with I features", positive, "I")
    outputs: tuple[int, ...] = option((), "outputs (default: 8)", positive, "O")
    split: str = option("random", "how test windows are kept apart", choices=SPLITS)
    threads: tuple[int, ...] = option((), "threads of both libraries", positive, "N")
    blocks: int | None = option(
        None,
        "counted blocks at most, with --resume in all (default: 10, grid: 8, full: 20, quick: 3)",
        positive,
        "N",
    )
    budget: float | None = option(
        None, "time limit, as 90s or 2m (default run, cells: 104s, grid: 585s)", seconds, "TIME"
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
    scheduler: str | int | None = option(
        None,
        "measure the cases on the hosts of this scheduler of Dask, one at a time on each; local:N starts N "
        "workers here",
        scheduler,
        "ADDRESS",
        in_python=False,
    )
    everywhere: bool = option(False, "with --scheduler, measure every case on every host", in_python=False)
    any_environment: bool = option(
        False, "with --scheduler, measure though versions differ between hosts", in_python=False
    )
    wait_quiet: float | None = waiting_option()
    no_wait: bool = no_wait_option()
    json: bool = option(False, "print the answer and the tables as a JSON object", in_python=False)


def spelled(name: str) -> str:
    """Return a field's name as a command-line option, for example ``--seq-len``."""
    return "--" + name.replace("_", "-")


def changed(options: Any) -> list[str]:
    """Return the names of the fields whose values differ from their defaults."""
    return [item.name for item in fields(options) if getattr(options, item.name) != item.default]


def as_words(options: Any) -> list[str]:
    """Return the changed options as command-line words."""
    words = []
    for name in changed(options):
        value = getattr(options, name)
        values = value if isinstance(value, tuple) else (value,)
        words += [
            spelled(name) if item is True else spelled(f"no_{name}") if item is False
            else f"{spelled(name)}={item}"
            for item in values
        ]  # fmt: skip
    return words


def read_value(declared: Option, text: str) -> Any:
    """Return the value of an option's text.

    Raises:
        UserError: the text is empty, is not one of the choices, or cannot be read.
    """
    if declared.read is None and not text:  # an unset shell variable gives an empty text
        raise UserError("is empty")
    if declared.choices and text not in declared.choices:
        hint = did_you_mean(text, declared.choices) or f" (choose from {', '.join(declared.choices)})"
        raise UserError(f"invalid choice: {text!r}{hint}")
    return text if declared.read is None else declared.read(text)
