"""``python -m bench`` is ``rnnbench``."""

import sys

from bench.cli import main

sys.exit(main())
