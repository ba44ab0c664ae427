"""The command line. Parsing needs nothing but the standard library; each verb imports what it uses."""

import argparse
import importlib
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from bench import __version__
from bench.cli.advise_arguments import add_advise
from bench.cli.arguments import Once, Parser, add_wait_quiet, number, positive, seconds, whole
from bench.cli.saved_arguments import add_compare, add_export
from bench.machine import streams
from bench.machine.errors import UserError, what_failed
from bench.machine.signals import Terminated, terminable
from bench.machine.wording import one_line
from bench.workload.case import ACTIVATIONS, DTYPES, LAYOUTS, SPLITS, TASKS

EXIT_CODES = """exit codes: 0 complete; 1 something that claims to be right is wrong or crashes in its proof,
a proved regression (compare), or a machine that is unfair (check); 2 wrong usage or bad input; 3 partial
result, or nothing to judge; 70 a fault of rnnbench itself; 130, 143 interrupted; 141 what it printed could
not be written: its reader has gone, or the disk is full"""
OUTPUT_LOST, OWN_FAULT = 141, 70

# verb -> module:function that runs it, with the parsed arguments, and returns the exit code
VERBS = {
    "run": "bench.api.session:main",
    "verify": "bench.proof.command:main",
    "train": "bench.api.train:main",
    "report": "bench.api.session:report_main",
    "advise": "bench.api.advise:main",
    "variants": "bench.api.listing:variants_main",
    "devices": "bench.api.listing:devices_main",
    "check": "bench.machine.audit.command:main",
    "compare": "bench.reporting.compare:main",
    "export": "bench.api.export:main",
}
REFINE = "bench.api.refining:main"  # what runs `run --refine`


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
    target = REFINE if getattr(args, "refine", None) is not None else VERBS[args.verb]
    module, _, function = target.partition(":")
    try:
        refuse_lost_folder()
        run = getattr(importlib.import_module(module), function)
        with terminable():
            code: int = run(args)
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


def build_parser(kind: type[Parser] = Parser) -> Parser:
    """Return the parser of all verbs, each of which has a parser of that kind."""
    parser = kind(
        prog="rnnbench",
        description="NumPy or PyTorch for this RNN, on this machine: which, by how much, how sure, and why.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"rnnbench {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_run(verbs.add_parser("run", help="prove, time, keep a journal, write the report"))
    _add_verify(verbs.add_parser("verify", help="check every variant's results and gradients"))
    _add_train(verbs.add_parser("train", help="train both libraries from the same start, with pictures"))
    _add_report(verbs.add_parser("report", help="write the report of saved results"))
    add_advise(verbs.add_parser("advise", help="measure one size now, and say in two sentences what to use"))
    add_compare(verbs.add_parser("compare", help="tell what takes longer in a new result than in an old one"))
    add_export(verbs.add_parser("export", help="write a run for pyperf, pytest-benchmark or a spreadsheet"))
    variants = verbs.add_parser("variants", help="list what can be timed")
    variants.add_argument("--variant", action="append", metavar="NAME", help="show module:object as well")
    verbs.add_parser("devices", help="list where it can be timed, and why not elsewhere")
    _add_check(
        verbs.add_parser("check", help="tell whether this machine is fit for timing, and what mends it")
    )
    return parser


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Prove every variant on the exact case, time it in fresh processes in random order, write a journal "
        "and a report. Without options: the tutorial's training step and its neighbours, about two minutes."
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="3 blocks, about 20 s: times, but no verdicts")
    add(
        "--preset",
        choices=("primer", "grid", "full"),
        default="primer",
        help="what to measure (default: primer)",
    )
    add("--device", action="append", metavar="ID", help="cpu, cuda, cuda:0, mps, xpu, all (default: all)")
    add("--variant", action="append", metavar="NAME", help="a name of `rnnbench variants`, or module:object")
    add("--task", action="append", choices=TASKS)
    add("--layout", action="append", choices=LAYOUTS)
    add("--activation", choices=ACTIVATIONS, default="tanh")
    add("--dtype", choices=DTYPES, default="float32")
    add("--hidden", action="append", type=positive, metavar="H", help="hidden units (default: 32)")
    add("--batch", action="append", type=positive, metavar="B", help="samples in a batch (default: 128)")
    add("--seq-len", action="append", type=positive, metavar="T", help="values in a window (default: 6)")
    add("--features", action="append", type=positive, metavar="I", help="random data with I features")
    add("--outputs", action="append", type=positive, metavar="O", help="outputs (default: 8)")
    add("--split", choices=SPLITS, default="random", help="how test windows are kept apart")
    add("--threads", action="append", type=positive, metavar="N", help="threads of both libraries")
    add(
        "--blocks",
        type=positive,
        metavar="N",
        help="counted blocks, with --resume in all (default: 10, grid: 8, full: 20, quick: 3)",
    )
    add(
        "--budget",
        type=seconds,
        metavar="TIME",
        help="time limit, as 90s or 2m (default run: 104s, grid: 585s)",
    )
    add("--isolate", action="store_true", help="a process for every variant, which takes longer")
    add("--seed", type=whole, metavar="N", help="seed of the order and of the data")
    add("--keep-env", action="append", default=[], metavar="NAME", help="variable to pass on to the workers")
    add("--host-name", action="store_true", help="name the host in the record (default: a hash of it)")
    add("--out", metavar="DIR", help="folder of the results (default: results/<time>)")
    add(
        "--resume",
        metavar="DIR",
        help="go on with a run that was cut off; with --blocks N, extend one that is over and left something "
        "UNRESOLVED to N blocks in all, once, and judge it at 0.01 instead of 0.04; no other option with it",
    )
    add(
        "--refine",
        metavar="DIR",
        help="measure more sizes near to where the answer of a grid turns round; --budget limits its time",
    )
    add_wait_quiet(parser)


def _add_verify(parser: argparse.ArgumentParser) -> None:
    parser.description = "Check forward, loss, gradients and update of every variant against the reference."
    add = parser.add_argument
    add("--variant", action="append", metavar="NAME", help="a name of `rnnbench variants`, or module:object")
    add("--device", action="append", metavar="ID", help="cpu, cuda, cuda:0, mps, xpu, all (default: all)")
    add("--json", action="store_true", help="print the rows as a JSON list")


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "The tutorial's own job: train variants from the same start, one after the other, and draw losses, "
        "predictions and an animation. Exit code 3 where one diverged or crashed."
    )
    add = parser.add_argument
    add("--variant", action="append", metavar="NAME", help="(default: numpy-inplace and torch-rnn)")
    add("--layout", choices=LAYOUTS, default="positional")
    add("--dtype", choices=DTYPES, default="float32")
    add("--activation", choices=ACTIVATIONS, default="tanh")
    add("--epochs", type=positive, default=20000, metavar="N", help="training steps (default: 20000)")
    add("--lr", type=number, default=0.1, metavar="RATE", help="learning rate (default: 0.1)")
    add(
        "--delta",
        type=number,
        default=0.025,
        metavar="SIZE",
        help="cutoff of the Huber loss (default: 0.025)",
    )
    add("--hidden", action=Once, type=positive, default=32, metavar="H", help="hidden units (default: 32)")
    add(
        "--batch", action=Once, type=positive, metavar="B", help="training windows of the sine (default: 128)"
    )
    add(
        "--window",
        "--seq-len",
        action=Once,
        type=positive,
        default=6,
        metavar="T",
        help="values that go in (default: 6)",
    )
    add(
        "--horizon",
        "--outputs",
        action=Once,
        type=positive,
        default=8,
        metavar="O",
        help="values to predict (default: 8)",
    )
    add(
        "--device", default="cpu", metavar="ID", help="of the torch variants: cpu, cuda:0, mps (default: cpu)"
    )
    add("--seed", type=whole, default=0, metavar="N", help="seed of the split and of the start")
    add("--series", metavar="FILE.csv", help="train on a series of your own, standardised")
    add("--column", metavar="NAME", help="its column (default: the only one that holds numbers)")
    add("--decimal", choices=(".", ","), default=".", metavar="SIGN", help="its decimal sign (default: .)")
    add("--encoding", default="utf-8", metavar="NAME", help="of the file, as cp1252 (default: utf-8)")
    add(
        "--missing",
        choices=("error", "drop", "interpolate"),
        default="error",
        metavar="WHAT",
        help="about a missing value: error, drop (leave its row out; the step of time there is longer) or "
        "interpolate (take the straight line between its neighbours) (default: error)",
    )
    add("--split", choices=SPLITS, help="test windows (default: tail for a series, random for the sine)")
    add("--target", type=number, metavar="LOSS", help="time to this loss (default: one that all reach)")
    add("--save", metavar="FILE.npz", help="write the parameters there; with several variants, one file each")
    add("--load", metavar="FILE.npz", help="start from such parameters")
    add("--every", type=positive, default=100, metavar="N", help="epochs between reports (default: 100)")
    add("--out", metavar="DIR", help="folder of the results (default: results/train-<time>)")
    add_wait_quiet(parser)


def _add_report(parser: argparse.ArgumentParser) -> None:
    parser.description = "Write report.html, report.md, values.csv and plots from saved results."
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="folders of runs and trainings, journals, JSON"
    )
    parser.add_argument("--out", metavar="DIR", help="folder of the report (default: beside the file)")
    parser.add_argument(
        "--any-machine", action="store_true", help="show results of different machines beside each other"
    )


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Look for what makes a comparison unfair or unstable on this machine, and tell what mends it. Exit "
        "code 1 if something is unfair as it stands; what a run mends by itself is only noted."
    )
    add = parser.add_argument
    add("--device", action="append", metavar="ID", help="cpu, cuda, cuda:0, mps, xpu, all (default: all)")
    add("--json", action="store_true", help="print the findings as a JSON list")


if __name__ == "__main__":
    sys.exit(main())
