"""The command line. Parsing needs nothing but the standard library; each verb imports what it uses."""

import argparse
import importlib
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import __version__
from bench.api import options
from bench.cli.parser import Parser, add_options, options_from
from bench.machine import streams
from bench.machine.errors import UserError, what_failed
from bench.machine.signals import Terminated, loading, terminable
from bench.machine.wording import one_line

EXIT_CODES = """exit codes: 0 complete; 1 something that claims to be right is wrong or crashes in its proof,
a proved regression (compare), or a machine that is unfair (check); 2 wrong usage or bad input; 3 partial
result, or nothing to judge; 70 a fault of rnnbench itself; 130, 143 interrupted; 141 what it printed could
not be written: its reader has gone, or the disk is full"""
OUTPUT_LOST, OWN_FAULT = 141, 70


@dataclass(frozen=True, slots=True)
class Verb:
    """What runs it, which takes the options and returns the exit code: ``module:function``; and its help."""

    target: str
    help: str
    description: str | None = None


VERBS = {
    "run": Verb(
        "bench.api.run:main",
        "prove, time, keep a journal, write the report",
        "Prove every variant on the exact case, time it in fresh processes in random order, write a journal "
        "and a report. Without options: the tutorial's training step and its neighbours, about two minutes.",
    ),
    "verify": Verb(
        "bench.api.verify:main",
        "check every variant's results and gradients",
        "Check forward, loss, gradients and update of every variant against the reference.",
    ),
    "train": Verb(
        "bench.api.train:main",
        "train both libraries from the same start, with pictures",
        "The tutorial's own job: train variants from the same start, one after the other, and draw losses, "
        "predictions and an animation. Exit code 3 where one diverged or crashed.",
    ),
    "report": Verb(
        "bench.api.run:report_main",
        "write the report of saved results",
        "Write report.html, report.md, values.csv and plots from saved results.",
    ),
    "advise": Verb(
        "bench.api.advise:main",
        "measure one size now, and say in two sentences what to use",
        "Measure one size now, on random data, and say in two sentences which library to use there and why. "
        "Exit code 3 where no verdict could be reached.",
    ),
    "compare": Verb(
        "bench.api.compare:main",
        "tell what takes longer in a new result than in an old one",
        "What takes longer in NEW than in OLD: two runs, two files of pyperf, or two of pytest-benchmark. Of "
        "runs, each entry's ratio to its baseline is compared, since the machine drifts in between. Exit "
        "code 1 for a regression that --fail-slower looks for, 3 where nothing compares or, with "
        "--fail-slower, where something has no answer.",
    ),
    "export": Verb(
        "bench.api.export:main",
        "write a run for pyperf, pytest-benchmark or a spreadsheet",
        "Write the counted times of a run in the format of another tool.",
    ),
    "variants": Verb("bench.api.listing:variants_main", "list what can be timed"),
    "devices": Verb(
        "bench.api.listing:devices_main",
        "list where it can be timed, and why not elsewhere",
    ),
    "check": Verb(
        "bench.api.check:main",
        "tell whether this machine is fit for timing, and what mends it",
        "Look for what makes a comparison unfair or unstable on this machine, and tell what mends it. Exit "
        "code 1 if something is unfair as it stands; what a run mends by itself is only noted.",
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the arguments and run a verb; return the exit code."""
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
    """The arguments; leaves with exit code 2 where they make no sense."""
    parser = build_parser()
    for option, value in (word.split("=", 1) for word in words if "=" in word):
        if option.startswith("-") and value == "--":  # argparse would take that for no value at all
            parser.error(f"argument {option}: expected a value, not --")
    return parser.parse_args(words)


def _run(args: argparse.Namespace) -> int:
    """Run the verb; say in one line what keeps it from its end, and return the exit code."""
    verb = VERBS[args.verb]
    module, _, function = verb.target.partition(":")
    try:
        refuse_lost_folder()
        with loading():
            run = getattr(importlib.import_module(module), function)
        with terminable():
            code: int = run(options_from(args, options.VERBS[args.verb]))
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
        return 143
    except KeyboardInterrupt:
        _complain("interrupted")
        return 130
    except OSError as error:
        _complain(what_failed(error))
        return 2
    except (Exception, SystemExit) as error:
        if sys.flags.dev_mode:
            raise
        where = traceback.extract_tb(error.__traceback__)[-1]
        said = f"{type(error).__name__}: {error} ({where.filename}, line {where.lineno})"
        _complain(f"a fault of its own, please report it: {said}; python -X dev -m bench shows where")
        return OWN_FAULT
    return code


def refuse_lost_folder() -> None:
    """Raise UserError where the working directory is gone: every relative path would fail somewhere."""
    try:
        Path.cwd()
    except OSError as error:
        raise UserError(
            f"the folder you stand in cannot be used ({error.strerror}); cd to another"
        ) from error


def _complain(what: object) -> None:
    print(f"rnnbench: {one_line(what)}", file=sys.stderr)


def build_parser() -> Parser:
    """Return the parser of all verbs."""
    parser = Parser(
        prog="rnnbench",
        description="NumPy or PyTorch for this RNN, on this machine: which, by how much, how sure, and why.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"rnnbench {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, verb in VERBS.items():
        add_options(verbs.add_parser(name, help=verb.help, description=verb.description), options.VERBS[name])
    return parser


if __name__ == "__main__":
    sys.exit(main())
