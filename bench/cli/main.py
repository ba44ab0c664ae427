"""Run the command line; parsing needs only the standard library, and each command imports what it uses."""

import argparse
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from pkgutil import resolve_name

from bench import __version__
from bench.api.options import EXIT_CODES, VERBS
from bench.cli.parser import Parser, add_options, options_from
from bench.machine import streams
from bench.machine.errors import UserError, error_text
from bench.machine.signals import Terminated, signals_held_back, terminable
from bench.machine.terminal import say
from bench.machine.wording import one_line

CODES_HELP = """exit codes: 0 complete; 1 something that claims to be right is wrong or crashes
in its proof, a proved regression (compare), missing points (grade), or a
machine that is unfair (check); 2 wrong usage or bad input; 3 partial result,
or nothing to judge; 70 a fault of rnnbench itself; 75 another process measures
on this host (--no-wait); 130, 143 interrupted; 141 what it printed could not be
written: its reader has gone, or the disk is full"""
OUTPUT_LOST, OWN_FAULT = 141, 70


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the arguments and run a command; return the exit code."""
    streams.prepare()
    try:
        try:
            return _run(_parsed(sys.argv[1:] if argv is None else argv))
        finally:
            print(end="", flush=True)
    except streams.OutputLost as lost:
        streams.give_up_output()
        if not lost.reader_has_gone:
            _complain(f"cannot write standard output: {lost.reason}")
        return OUTPUT_LOST


def _parsed(words: Sequence[str]) -> argparse.Namespace:
    """Return the parsed arguments; exit with code 2 if the arguments are invalid."""
    parser = build_parser()
    for option, value in (word.split("=", 1) for word in words if "=" in word):
        if option.startswith("-") and value == "--":  # argparse would treat this as a missing value
            parser.error(f"argument {option}: expected a value, not --")
    return parser.parse_args(words)


def _run(args: argparse.Namespace) -> int:
    """Run the command and return the exit code; print one line if an error stops the command."""
    verb = VERBS[args.verb]
    try:
        refuse_lost_folder()
        with signals_held_back():  # an interrupted import may raise anything, or nothing
            run = resolve_name(verb.target)
        with terminable():
            code: int = run(options_from(args, verb.options))
    except UserError as error:
        _complain(error)
        return error.exit_code
    except MemoryError:
        _complain("not enough memory for these sizes; choose smaller ones")
        return 2
    except streams.OutputLost:
        raise
    except Terminated:
        _complain("ended by a signal")
        return EXIT_CODES["signal"]
    except KeyboardInterrupt:
        _complain("interrupted")
        return EXIT_CODES["user"]
    except OSError as error:
        _complain(error_text(error))
        return 2
    except (Exception, SystemExit) as error:
        if sys.flags.dev_mode:
            raise
        where = traceback.extract_tb(error.__traceback__)[-1]
        description = f"{type(error).__name__}: {error} ({where.filename}, line {where.lineno})"
        _complain(f"a fault of its own, please report it: {description}; python -X dev -m bench shows where")
        return OWN_FAULT
    return code


def refuse_lost_folder() -> None:
    """Raise UserError if the working directory no longer exists: no relative path would work."""
    try:
        Path.cwd()
    except OSError as error:
        raise UserError(
            f"the folder you stand in cannot be used ({error.strerror}); cd to another"
        ) from error


def _complain(what: object) -> None:
    say(f"rnnbench: {one_line(what)}", stderr=True)


def build_parser() -> Parser:
    """Return the parser of all commands."""
    parser = Parser(
        prog="rnnbench",
        description="NumPy or PyTorch for this recurrent net (RNN, GRU or LSTM), on this machine:\n"
        "which, by how much, how sure, and why.",
        epilog=CODES_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"rnnbench {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, verb in VERBS.items():
        add_options(verbs.add_parser(name, help=verb.help, description=verb.description), verb.options)
    return parser


if __name__ == "__main__":
    sys.exit(main())
