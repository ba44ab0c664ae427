"""The training step of ``--variant`` on the tutorial's case under pyperf, whose own options follow."""

import pyperf

from bench.machine.libraries import limit_threads
from bench.workload import catalog
from bench.workload.binding import bind_case
from bench.workload.case import sine_case
from bench.workload.data import make

CASE = sine_case("train_step", "positional")


def bound_call(variant: str) -> object:
    """What our workers time as well: the variant's call, bound to the same arrays, in one thread."""
    found = catalog.find(variant)
    bind = found.load()
    if found.library == "torch":
        limit_threads(1)
    return bind_case(bind, found.library, CASE, make(CASE), "cpu").bound.call


def main() -> None:
    """Load the library in pyperf's workers alone: its main process only waits for them."""
    runner = pyperf.Runner(add_cmdline_args=lambda command, args: command.extend(["--variant", args.variant]))
    runner.argparser.add_argument("--variant", required=True)
    args = runner.parse_args()
    call = bound_call(args.variant) if args.worker else None
    runner.bench_func(args.variant, call)


if __name__ == "__main__":
    main()
