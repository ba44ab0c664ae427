"""Start the command line: ``rnnbench``, or ``python -m bench``."""

import sys

from bench.machine.signals import loading

with loading():
    try:
        from bench.cli.main import main
    except ImportError as error:
        if error.name != "bench":
            raise
        place = "another package `bench` is installed in its place"
        print(f"rnnbench: {place}; remove that and install rnnbench again", file=sys.stderr)
        sys.exit(2)

if __name__ == "__main__":
    sys.exit(main())
