"""Start the command line: ``rnnbench``, or ``python -m bench``."""

import sys

from bench.machine.signals import loading

with loading():
    from bench.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
