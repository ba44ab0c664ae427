"""The arguments of the verbs that work on saved results alone: ``compare`` and ``export``."""

import argparse

EXPORTS = ("pyperf", "pytest-benchmark", "csv")


def add_compare(parser: argparse.ArgumentParser) -> None:
    """OLD and NEW, and how they are compared."""
    parser.description = (
        "What takes longer in NEW than in OLD: two runs, two files of pyperf, or two of pytest-benchmark. Of "
        "runs, each entry's ratio to its baseline is compared, since the machine drifts in between. Exit "
        "code 1 for a regression that --fail-slower looks for, 3 where nothing compares or, with "
        "--fail-slower, where something has no answer."
    )
    add = parser.add_argument
    add("old", metavar="OLD", help="folder or journal of a run, or a JSON file (.json.gz as well)")
    add("new", metavar="NEW", help="the same kind of thing, measured later")
    add("--absolute", action="store_true", help="compare times in place of ratios, with the drift in them")
    add(
        "--fail-slower",
        type=_percentage,
        metavar="P%",
        help="exit with 1 if it is proved that something takes more than P %% longer",
    )
    add("--any-machine", action="store_true", help="compare results of different machines")
    add(
        "--any-environment",
        action="store_true",
        help="give verdicts though something else changed than versions: BLAS kernel, governor, threads",
    )
    add("--json", action="store_true", help="print everything as a JSON object")


def add_export(parser: argparse.ArgumentParser) -> None:
    """RUN, the tool, and the file."""
    parser.description = "Write the counted times of a run in the format of another tool."
    add = parser.add_argument
    add("run", metavar="RUN", help="folder or journal of a run")
    add("--to", required=True, choices=EXPORTS, help="whose format")
    add("--out", metavar="FILE", help="(default: in the run's folder)")


def _percentage(text: str) -> float:
    """ "5%" as 0.05."""
    number = text.strip().removesuffix("%")
    try:
        share = float(number) / 100
    except ValueError:
        share = -1.0
    if not text.strip().endswith("%") or not 0 <= share <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a percentage, such as 5%")
    return share
