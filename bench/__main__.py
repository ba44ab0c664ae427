"""``rnnbench``, and ``python -m bench``."""

import sys

from bench.host.signals import loading

with loading():
    from bench.cli import main

if __name__ == "__main__":
    sys.exit(main())
