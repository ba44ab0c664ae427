"""The arguments of the verb ``advise``."""

import argparse

from bench.cli.arguments import Once, add_wait_quiet, positive, seconds, whole
from bench.workload.case import DTYPES, TASKS

BUDGET_S = 30.0
SIZES = (
    ("--hidden", 32, "H", "hidden units"),
    ("--batch", 128, "B", "samples in a batch"),
    ("--seq-len", 6, "T", "time steps"),
    ("--features", 1, "I", "features of a time step"),
    ("--outputs", 8, "O", "outputs"),
    ("--threads", 1, "N", "threads on the CPU"),
)


def add_advise(parser: argparse.ArgumentParser) -> None:
    """One size, where, and how long it may take."""
    parser.description = (
        "Measure one size now, on random data, and say in two sentences which library to use there and why. "
        "Exit code 3 where no verdict could be reached."
    )
    add = parser.add_argument
    for option, default, letter, what in SIZES:
        text = f"{what} (default: {default})"
        add(option, action=Once, type=positive, default=default, metavar=letter, help=text)
    add("--task", choices=TASKS, default=TASKS[0], help=f"(default: {TASKS[0]})")
    add("--dtype", choices=DTYPES, default="float32", help="(default: float32)")
    add("--device", action="append", metavar="ID", help="cpu, cuda, cuda:0, mps, xpu, all (default: all)")
    add(
        "--budget",
        type=seconds,
        default=BUDGET_S,
        metavar="TIME",
        help="all that it may take, waiting aside: 30, 30s or 2m (default: 30s)",
    )
    add_wait_quiet(parser)
    add("--seed", type=whole, metavar="N", help="seed of the order and of the data (default: a new one)")
    add("--json", action="store_true", help="print everything as a JSON object")
    add("--out", metavar="DIR", help="folder of the journal (default: results/advise-<time>)")
