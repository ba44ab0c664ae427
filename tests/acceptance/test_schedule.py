"""T14: the golden schedule, which is an ordinary test, run for the record."""

import re
import subprocess
import sys
from pathlib import Path

from acceptance.validity import Recorder

TESTS = Path(__file__).parents[1]


def test_the_schedule_is_the_golden_one(validity: Recorder) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_golden_schedule.py"]
    done = subprocess.run(command, cwd=TESTS, capture_output=True, text=True)
    summary = done.stdout.strip().splitlines()[-1]
    passed = re.match(r"\d+ passed", summary)
    validity.record(
        "T14",
        claim="counts, order, statistics and verdicts of a run whose durations the test decides; its mutant, "
        "one order for all blocks",
        promised="the same to the letter; the mutant's is another",
        measured=passed[0] if passed else summary,
        kept=done.returncode == 0,
    )
    assert done.returncode == 0, done.stdout
