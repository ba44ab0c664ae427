"""The arguments of the verb ``advise``."""

import argparse

from bench.arguments import Once, positive, seconds, whole
from bench.case import DTYPES, TASKS

BUDGET_S = 30.0


def add_advise(parser: argparse.ArgumentParser) -> None:
    """One size, where, and how long it may take."""
    parser.description = (
        "Measure one size now, on random data, and say in two sentences which library to use there and why. "
        "Exit code 3 where no verdict could be reached."
    )
    add = parser.add_argument
    add("--hidden", action=Once, type=positive, default=32, metavar="H", help="hidden units (default: 32)")
    add(
        "--batch",
        action=Once,
        type=positive,
        default=128,
        metavar="B",
        help="samples in a batch (default: 128)",
    )
    add("--seq-len", action=Once, type=positive, default=6, metavar="T", help="time steps (default: 6)")
    add(
        "--features",
        action=Once,
        type=positive,
        default=1,
        metavar="I",
        help="features of a time step (default: 1)",
    )
    add("--outputs", action=Once, type=positive, default=8, metavar="O", help="outputs (default: 8)")
    add("--task", choices=TASKS, default=TASKS[0], help=f"(default: {TASKS[0]})")
    add("--dtype", choices=DTYPES, default="float32", help="(default: float32)")
    add("--device", action="append", metavar="ID", help="cpu, cuda, cuda:0, mps, xpu, all (default: all)")
    add(
        "--threads",
        action=Once,
        type=positive,
        default=1,
        metavar="N",
        help="threads on the CPU (default: 1)",
    )
    add(
        "--budget",
        type=seconds,
        default=BUDGET_S,
        metavar="TIME",
        help="all that it may take: 30, 30s or 2m (default: 30s)",
    )
    add("--seed", type=whole, metavar="N", help="seed of the order and of the data (default: a new one)")
    add("--json", action="store_true", help="print everything as a JSON object")
    add("--out", metavar="DIR", help="folder of the journal (default: results/advise-<time>)")
