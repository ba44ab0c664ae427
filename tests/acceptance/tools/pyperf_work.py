"""``work`` under pyperf; its own options follow on the command line."""

import pyperf
from work import work

if __name__ == "__main__":
    pyperf.Runner().bench_func("work", work)
