"""ADVISE: sizes drawn at random, answered in 20 s each, against a longer run of the same two forms."""

import math
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from acceptance.plans import compared, make_plan, row
from acceptance.validity import Recorder

from bench.machine.libraries import limit_threads
from bench.measure.plan import LEAST_ROUNDS
from bench.records.journal import load_run
from bench.reporting.advice import compare_best
from bench.workload.binding import bind_case
from bench.workload.case import Case, Shape
from bench.workload.catalog import BASELINE, find
from bench.workload.data import make

BUDGET, MOST_CALL_S = "20s", 0.05
TRUTH_BLOCKS = 20
CLEAR = math.log(1.03)  # log ratios from here on must have the right side
SIZES = {"batch": (1, 700), "seq-len": (4, 200), "hidden": (20, 640)}
Size = dict[str, int]


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said of a size, and the log ratio, PyTorch over NumPy, of the longer run with its interval."""

    size: Size
    verdict: str
    truth: float
    low: float
    high: float

    @property
    def decided(self) -> bool:
        return self.verdict in ("FASTER", "SLOWER", "EQUIVALENT")

    @property
    def wrong(self) -> bool:
        """Whether it names the side that the longer run finds slower, or none where they differ clearly."""
        if self.verdict == "EQUIVALENT":
            return min(abs(self.low), abs(self.high)) >= CLEAR and self.low * self.high > 0
        return (self.verdict == "FASTER" and self.low > 0) or (self.verdict == "SLOWER" and self.high < 0)

    @property
    def missed(self) -> bool:
        """Whether the sides differ by 3 % or more, and the true one is not named."""
        return abs(self.truth) >= CLEAR and self.verdict != ("FASTER" if self.truth < 0 else "SLOWER")

    def __str__(self) -> str:
        sizes = " ".join(f"{name}={number}" for name, number in self.size.items())
        return f"{sizes}: {self.verdict}, {math.exp(self.truth):.3f}"


def sizes(count: int) -> list[Size]:
    """Drawn evenly in their logs, of those whose call takes 50 ms at most; the same ones every time."""
    limit_threads(1)
    draw, found = random.Random(20), list[Size]()
    while len(found) < count:
        size = {name: round(math.exp(draw.uniform(*map(math.log, limits)))) for name, limits in SIZES.items()}
        if call_s(size) <= MOST_CALL_S:
            found.append(size)
    return found


def call_s(size: Size) -> float:
    """Seconds of the baseline's second call."""
    shape = Shape(size["seq-len"], size["batch"], 1, size["hidden"], 8)
    case = Case("train_step", shape, "sequence", data="random")
    call = bind_case(find(BASELINE).load(), "numpy", case, make(case), "cpu").bound.call
    call()
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def answer(size: Size, seed: int, folder: Path) -> Answer:
    """Ask, then measure the two forms that the answer is about for longer."""
    options = [word for name, number in size.items() for word in (f"--{name}", str(number))]
    command = [sys.executable, "-m", "bench", "advise", *options, "--device", "cpu", "--budget", BUDGET]
    done = subprocess.run(
        [*command, "--seed", str(seed), "--out", str(folder)], capture_output=True, timeout=60
    )
    assert done.returncode in (0, 3), done.stderr.decode()
    run = load_run(folder)
    _, made = compare_best(run)
    if made is None:  # nothing was measured of one of the libraries
        return Answer(size, "MISSING", 0.0, 0.0, 0.0)
    specs = [run.arms[run.entries[side].arm].spec for side in (made.baseline, made.entry)]
    case = run.entries[made.entry].case
    plan = make_plan(specs, blocks=TRUTH_BLOCKS, seed=seed, case=case, rounds=LEAST_ROUNDS)
    truth = row(compared(plan, folder)[1], specs[1])
    assert truth.ratio is not None
    assert truth.low is not None
    assert truth.high is not None
    return Answer(size, made.verdict, *map(math.log, (truth.ratio, truth.low, truth.high)))


def test_sizes_are_answered_rightly_within_20_s(validity: Recorder, tmp_path: Path, long: bool) -> None:
    pytest.importorskip("torch")
    answers = [answer(size, seed, tmp_path / str(seed)) for seed, size in enumerate(sizes(20 if long else 5))]
    count, decided = len(answers), sum(one.decided for one in answers)
    wrong, missed = [one for one in answers if one.wrong], [one for one in answers if one.missed]
    least = math.ceil(0.95 * count) - (count < 20)
    kept = decided >= least and not wrong and len(missed) <= count - least
    validity.record(
        "ADVISE",
        claim=f"rnnbench advise --budget {BUDGET} on {count} sizes (B 1 to 700, T 4 to 200, H 20 to 640, a "
        f"call of at most 50 ms), against a run of {TRUTH_BLOCKS} blocks of the same two forms",
        promised=f"at least {least} decided, none for the wrong side; the true side named where they differ "
        f"by 3 %, but for {count - least}",
        measured=f"{decided} decided, {len(wrong)} wrong, {len(missed)} not named"
        + "".join(f"; {one}" for one in answers if one.wrong or one.missed or not one.decided),
        kept=kept,
    )
    assert kept
