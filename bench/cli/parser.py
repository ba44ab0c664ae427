"""Parse the command line: options are the fields of a dataclass, and an error message is one line."""

import argparse
from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import Any, NoReturn

from bench.machine.errors import UserError, did_you_mean
from bench.machine.terminal import say
from bench.machine.wording import one_line
from bench.workload.options import option_of, read_value, spelled


class Once(argparse.Action):
    """Store a value and refuse a different second value; argparse alone would use the last value silently."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Store ``values``."""
        first_values = vars(namespace).setdefault("given_once", {})
        if first_values.setdefault(self.dest, values) != values:
            raise argparse.ArgumentError(self, f"takes one value, not {first_values[self.dest]} and {values}")
        setattr(namespace, self.dest, values)


class Switch(argparse.BooleanOptionalAction):
    """Store True for --name and False for --no-name, and refuse both; argparse alone would take the last."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Store True or False."""
        before = getattr(namespace, self.dest)
        super().__call__(parser, namespace, values, option_string)
        if before not in (None, getattr(namespace, self.dest)):
            raise argparse.ArgumentError(self, "give one of the two, not both")


class Parser(argparse.ArgumentParser):
    """Parse arguments; an error message is one line, with a suggestion and a pointer to the help."""

    def error(self, message: str) -> NoReturn:
        """Print the error message and exit with code 2."""
        say(f"{self.prog}: {one_line(message)}; see {self.prog} --help", stderr=True)
        self.exit(2)

    def parse_known_args(  # type: ignore[override]  # the inherited method is overloaded
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Parse like the inherited method, but report unknown options: only this parser knows the options."""
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            option = next((word for word in unknown if word.startswith("-")), "").partition("=")[0]
            hint = did_you_mean(option, self._option_string_actions)
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return parsed, unknown

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        try:
            return super()._get_value(action, arg_string)
        except UserError as error:
            raise argparse.ArgumentError(action, str(error)) from error

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if isinstance(action, argparse._SubParsersAction) and value not in action.choices:
            hint = did_you_mean(str(value), action.choices) or f" (choose from {', '.join(action.choices)})"
            raise argparse.ArgumentError(action, f"invalid choice: {value!r}{hint}")


def add_options(parser: Parser, kind: type) -> None:
    """Add an argument to the parser for each field of a dataclass of options."""
    for field in fields(kind):
        declared = option_of(field)
        is_repeatable = isinstance(field.default, tuple)
        settings: dict[str, Any] = {"help": declared.help or None}
        if field.default is False:
            parser.add_argument(spelled(field.name), action="store_true", **settings)
            continue
        if declared.switch:
            parser.add_argument(spelled(field.name), action=Switch, **settings)
            continue
        settings |= {
            "type": lambda text, declared=declared: read_value(declared, text),
            "metavar": declared.metavar,
            "choices": declared.choices or None,
        }
        if declared.positional:
            nargs = "*" if is_repeatable else "?" if field.default is None else None
            parser.add_argument(field.name, nargs=nargs, **settings)
            continue
        parser.add_argument(
            *(spelled(name) for name in (field.name, declared.also) if name),
            action="append" if is_repeatable else Once if declared.once else "store",
            default=None if is_repeatable else field.default,
            required=field.default is MISSING,
            dest=field.name,
            **settings,
        )


def options_from(namespace: argparse.Namespace, kind: type) -> Any:
    """Return the parsed arguments as a dataclass of options."""
    values = {field.name: getattr(namespace, field.name) for field in fields(kind)}
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return kind(**{name: value for name, value in values.items() if value is not None})
