"""The command line. Parsing needs nothing but the standard library; each verb imports what it uses."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from bench import __version__
from bench.case import ACTIVATIONS, DTYPES, LAYOUTS, SPLITS, TASKS
from bench.errors import UserError

EXIT_CODES = """exit codes: 0 complete; 1 something that claims to be right is wrong; 2 wrong usage or
bad input; 3 partial result; 130, 143 interrupted"""

# verb -> module:function that runs it, with the parsed arguments, and returns the exit code
VERBS = {
    "run": "bench.session:main",
    "verify": "bench.verification.command:main",
    "report": "bench.session:report_main",
    "variants": "bench.listing:variants_main",
    "devices": "bench.listing:devices_main",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the arguments and run a verb; return the exit code."""
    args = build_parser().parse_args(argv)
    module, _, function = VERBS[args.verb].partition(":")
    try:
        code: int = getattr(importlib.import_module(module), function)(args)
    except UserError as error:
        print(f"rnnbench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("rnnbench: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def build_parser() -> argparse.ArgumentParser:
    """The parser of all verbs."""
    parser = argparse.ArgumentParser(
        prog="rnnbench",
        description="NumPy or PyTorch for this RNN, on this machine: which, by how much, how sure, and why.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"rnnbench {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_run(verbs.add_parser("run", help="prove, time, keep a journal, write the report"))
    _add_verify(verbs.add_parser("verify", help="check every variant's results and gradients"))
    _add_report(verbs.add_parser("report", help="write the report of saved results"))
    variants = verbs.add_parser("variants", help="list what can be timed")
    variants.add_argument("--variant", action="append", metavar="NAME", help="show module:object as well")
    verbs.add_parser("devices", help="list where it can be timed, and why not elsewhere")
    return parser


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Prove every variant on the exact case, time it in fresh processes in random order, write a journal "
        "and a report. Without options: the tutorial's training step and its neighbours, about two minutes."
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="3 blocks, under 25 s: times, but no verdicts")
    add("--preset", choices=("primer", "full"), default="primer", help="what to measure (default: primer)")
    add("--device", action="append", metavar="ID", help="cpu, cuda, cuda:0, mps, xpu, all (default: all)")
    add("--variant", action="append", metavar="NAME", help="a name of `rnnbench variants`, or module:object")
    add("--task", action="append", choices=TASKS)
    add("--layout", action="append", choices=LAYOUTS)
    add("--activation", choices=ACTIVATIONS, default="tanh")
    add("--dtype", choices=DTYPES, default="float32")
    add("--hidden", action="append", type=_positive, metavar="H", help="hidden units (default: 32)")
    add("--batch", action="append", type=_positive, metavar="B", help="samples in a batch (default: 128)")
    add("--seq-len", action="append", type=_positive, metavar="T", help="values in a window (default: 6)")
    add("--features", action="append", type=_positive, metavar="I", help="random data with I features")
    add("--outputs", action="append", type=_positive, metavar="O", help="outputs (default: 8)")
    add("--split", choices=SPLITS, default="random", help="how test windows are kept apart")
    add("--threads", action="append", type=_positive, metavar="N", help="threads of both libraries")
    add("--blocks", type=_positive, metavar="N", help="counted blocks (default: 10, full: 20, quick: 3)")
    add("--budget", type=float, metavar="SECONDS", help="time limit (default run: 110)")
    add("--seed", type=int, metavar="N", help="seed of the order and of the data")
    add("--keep-env", action="append", default=[], metavar="NAME", help="variable to pass on to the workers")
    add("--out", metavar="DIR", help="folder of the results (default: results/<time>)")


def _add_verify(parser: argparse.ArgumentParser) -> None:
    parser.description = "Check forward, loss, gradients and update of every variant against the reference."
    add = parser.add_argument
    add("--variant", action="append", metavar="NAME", help="a name of `rnnbench variants`, or module:object")
    add("--device", action="append", metavar="ID", help="cpu, cuda, cuda:0, mps, xpu, all (default: all)")
    add("--json", action="store_true", help="print the rows as a JSON list")


def _add_report(parser: argparse.ArgumentParser) -> None:
    parser.description = "Write report.html, report.md, values.csv and plots from saved results."
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="run folders, journals, pytest-benchmark JSON"
    )
    parser.add_argument("--out", metavar="DIR", help="folder of the report (default: beside the file)")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
