"""The command line's parser: its options are the fields of a dataclass, its complaints one line."""

import argparse
from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import Any, NoReturn

from bench.machine.errors import UserError, did_you_mean
from bench.machine.wording import one_line
from bench.workload.options import option_of, read_value, spelled


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
        try:
            return super()._get_value(action, arg_string)
        except UserError as error:
            raise argparse.ArgumentError(action, str(error)) from error

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if isinstance(action, argparse._SubParsersAction) and value not in action.choices:
            near = did_you_mean(str(value), action.choices) or f" (choose from {', '.join(action.choices)})"
            raise argparse.ArgumentError(action, f"invalid choice: {value!r}{near}")


def add_options(parser: Parser, kind: type) -> None:
    """Add the fields of a dataclass of options, and make the parser return such a one as ``options``."""
    for item in fields(kind):
        declared = option_of(item)
        several = isinstance(item.default, tuple)
        settings: dict[str, Any] = {"help": declared.help or None}
        if item.default is False:
            parser.add_argument(spelled(item.name), action="store_true", **settings)
            continue
        settings |= {
            "type": lambda text, declared=declared: read_value(declared, text),
            "metavar": declared.metavar,
            "choices": declared.choices or None,
        }
        if declared.positional:
            parser.add_argument(item.name, nargs="+" if several else None, **settings)
            continue
        parser.add_argument(
            *(spelled(name) for name in (item.name, declared.also) if name),
            action="append" if several else Once if declared.once else "store",
            default=None if several else item.default,
            required=item.default is MISSING,
            dest=item.name,
            **settings,
        )


def options_from(namespace: argparse.Namespace, kind: type) -> Any:
    """Return what was parsed as a dataclass of options."""
    values = {item.name: getattr(namespace, item.name) for item in fields(kind)}
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return kind(**{name: value for name, value in values.items() if value is not None})
