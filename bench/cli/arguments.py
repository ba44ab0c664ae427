"""The command line's parser, and numbers as a person types them, refused where they make no sense."""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from bench.machine.errors import did_you_mean
from bench.machine.wording import one_line
from bench.workload.case import LARGEST_SEED

MOST = 10_000_000  # of anything that is counted
SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0}


class Once(argparse.Action):
    """Store a value and refuse another one: of two sizes the last would be measured, without a word."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Store ``values``."""
        given = vars(namespace).setdefault("given_once", {})
        if given.setdefault(self.dest, values) != values:
            raise argparse.ArgumentError(self, f"takes one value, not {given[self.dest]} and {values}")
        setattr(namespace, self.dest, values)


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line, which says what was meant and where help is."""

    def options(self, verb: str) -> dict[str, bool]:
        """Return the long options of a verb that mean something in Python; True: it may be repeated."""
        verbs = next(one for one in self._actions if isinstance(one, argparse._SubParsersAction))
        return {
            option: isinstance(action, argparse._AppendAction)
            for option, action in verbs.choices[verb]._option_string_actions.items()
            if option.startswith("--") and option not in ("--help", "--json")
        }

    def error(self, message: str) -> NoReturn:
        """Print the complaint and leave with 2."""
        self.exit(2, f"{self.prog}: {one_line(message)}; see {self.prog} --help\n")

    def parse_known_args(  # type: ignore[override]  # the inherited one is overloaded
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Parse as the inherited one does, but complain of what is unknown here: this one has the options."""
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            option = next((word for word in unknown if word.startswith("-")), "").partition("=")[0]
            near = did_you_mean(option, self._option_string_actions)
            self.error(f"unrecognized arguments: {' '.join(unknown)}{near}")
        return parsed, unknown

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        text = action.type is None and not isinstance(action, argparse._SubParsersAction)
        if text and not arg_string:  # as of a variable that is not set
            raise argparse.ArgumentError(action, "is empty")
        return super()._get_value(action, arg_string)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            near = did_you_mean(str(value), known) or f" (choose from {', '.join(known)})"
            raise argparse.ArgumentError(action, f"invalid choice: {value!r}{near}")


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def number(text: str) -> float:
    """A number as files hold it, or nan and inf, which what it is for tells of; 1_0 is none.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    try:
        if text.isascii() and "_" not in text and text == text.strip():
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not a number")


def positive(text: str) -> int:
    """A whole number of 1 or more.

    Raises:
        argparse.ArgumentTypeError: it is none, or no machine has so many.
    """
    if not _is_digits(text) or not 1 <= int(text) <= MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more, up to {MOST}")
    return int(text)


def whole(text: str) -> int:
    """A whole number of 0 or more, as a seed is.

    Raises:
        argparse.ArgumentTypeError: it is none, or no file of results could hold it.
    """
    if not _is_digits(text) or len(text) > len(str(LARGEST_SEED)) or int(text) > LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or more, up to {LARGEST_SEED}")
    return int(text)


def seconds(text: str) -> float:
    """A time in seconds: 30, 30s, 1.5m, 5min.

    Raises:
        argparse.ArgumentTypeError: it is none above 0, or longer than anybody waits.
    """
    count = text.rstrip("smin")
    try:
        time_s = number(count) * SECONDS.get(text[len(count) :], 0.0)
    except argparse.ArgumentTypeError:
        time_s = 0.0
    if not 0 < time_s <= MOST:  # neither for NaN
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time above 0: give 30 or 30s, or minutes as 2m, up to {MOST} s"
        )
    return time_s


def add_wait_quiet(parser: argparse.ArgumentParser) -> None:
    """Add the option of the verbs that measure to wait for the end of what else runs."""
    parser.add_argument(
        "--wait-quiet",
        type=seconds,
        metavar="TIME",
        help="wait first until other programs are quiet, so long at most, as 5min; then measure all the same",
    )
