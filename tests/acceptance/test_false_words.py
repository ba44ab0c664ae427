"""T1: how often a run says that the same code differs from itself: variants of the catalogue, few blocks.

Every run has a variant, its A/A control and the same code once more. The variants take turns, and so do
workers that the entries share and workers of their own. With ``--state FILE`` each run is kept as it ends,
and the next time goes on from there: a run of another version of the code does not count.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from acceptance.load import LOADS, load
from acceptance.plans import HEADLINE, STEP, again, compared, differs, make_plan, values_by_entry
from acceptance.validity import Recorder
from scipy import stats

import bench
from bench.analysis.statistics import ALPHA, MIN_BLOCKS
from bench.measure.plan import LEAST_ROUNDS

ROOT = Path(bench.__file__).parents[1]
SOURCES = ("bench/measure", "bench/analysis", "bench/machine", "impl_numpy", "impl_torch")
RUNS, LONG_RUNS = 20, 300
GOALS = {"quiet": 0.01, "busy": 0.05}
BUSY = [name for name in LOADS if name != "quiet"]
RARE = 0.01  # of suites that find more false words than allowed, were the true rate the goal
Found = dict[str, Any]


def one_run(condition: str, number: int, folder: Path) -> Found:
    """What run ``number`` of a condition says; and what harnesses without blocks would say of its values."""
    plan = make_plan(
        [HEADLINE[number % len(HEADLINE)]],
        blocks=MIN_BLOCKS,
        seed=number,
        case=STEP,
        rounds=LEAST_ROUNDS,
        again=True,
        isolate=number // len(HEADLINE) % 2 == 1,
    )
    with load("quiet" if condition == "quiet" else BUSY[number % len(BUSY)]):
        run, judgement = compared(plan, folder)
    baseline, control, _ = (np.log(values) for values in values_by_entry(run).values())
    return {
        "condition": condition,
        "number": number,
        "source": digest(),
        "word": differs(again(judgement)),
        "refused": bool(judgement.control.failure),
        "pooled": welch_p(control, baseline) <= ALPHA,
        "one_process": welch_p(control[:LEAST_ROUNDS], baseline[:LEAST_ROUNDS]) <= ALPHA,
    }


def digest() -> str:
    """Of the code that measures and judges: other code's runs say nothing about this."""
    files = sorted(path for part in SOURCES for path in (ROOT / part).rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


def runs_of(condition: str, wanted: int, folder: Path, state: Path | None) -> list[Found]:
    """Those that are kept, and as many more as are wanted."""
    lines = state.read_text().splitlines() if state is not None and state.exists() else []
    kept = [json.loads(line) for line in lines]
    found = [one for one in kept if (one["condition"], one["source"]) == (condition, digest())]
    for number in range(len(found), wanted):
        found.append(one_run(condition, number, folder))
        if state is not None:
            with state.open("a") as file:
                file.write(json.dumps(found[-1]) + "\n")
    return found


def welch_p(one: np.ndarray, other: np.ndarray) -> float:
    """Welch's t, every value a sample."""
    return float(stats.ttest_ind(one, other, equal_var=False).pvalue)


def rate(found: int, runs: int) -> str:
    """A count with its Clopper-Pearson interval of 95 %."""
    low, high = stats.binomtest(found, runs).proportion_ci(method="exact")
    return f"{found} of {runs} [{100 * low:.1f} %, {100 * high:.1f} %]"


def allowed(runs: int, goal: float) -> int:
    """More would come once in a hundred suites at a true rate of ``goal``."""
    return int(stats.binom.ppf(1 - RARE, runs, goal))


@pytest.mark.parametrize("condition", GOALS)
def test_the_same_code_is_seldom_said_to_differ(
    condition: str, validity: Recorder, tmp_path: Path, long: bool, request: pytest.FixtureRequest
) -> None:
    state = request.config.getoption("--state")
    found = runs_of(condition, LONG_RUNS if long else RUNS, tmp_path, state)
    runs, goal = len(found), GOALS[condition]
    count = {what: sum(one[what] for one in found) for what in ("word", "refused", "pooled", "one_process")}
    most, chance = allowed(runs, goal), allowed(runs, ALPHA)
    what = (
        f"variants of the catalogue against their own code, {runs} runs of {MIN_BLOCKS} blocks, {condition}"
    )

    def record(key: str, claim: str, promised: str, measured: int, *, kept: bool) -> None:
        key = f"T1{'' if long else '-short'}-{condition}{key}"  # 300 runs stay beside the 20 of newer code
        validity.record(key, claim=claim, promised=promised, measured=rate(measured, runs), kept=kept)

    promised = f"{100 * goal:.0f} %: at most {most}, more would come once in a hundred suites"
    record("", f"the word FASTER or SLOWER; {what}", promised, count["word"], kept=count["word"] <= most)
    record(
        "-refused",
        f"runs refused because of the A/A control; {what}",
        f"5 %: at most {chance}",
        count["refused"],
        kept=count["refused"] <= chance,
    )
    assert count["word"] <= most
    assert count["refused"] <= chance
    if not long:  # 20 runs are too few to catch a mutant that errs in one of seven
        return
    caught = max(count["pooled"], count["one_process"]) > chance  # which errs more depends on the noise
    for mutant, words in (
        ("pooled", "takes every value for a sample"),
        ("one_process", "judges by one block"),
    ):
        record(
            f"-mutant-{mutant}",
            f"caught: a mutant that {words} (Welch's t, control against baseline); {what}",
            f"more than {chance}, of this mutant or the other",
            count[mutant],
            kept=caught,
        )
    assert caught


def test_runs_are_gone_on_with_unless_the_code_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fake(condition: str, number: int, folder: Path) -> Found:
        return {"condition": condition, "number": number, "source": digest()}

    monkeypatch.setitem(globals(), "one_run", fake)
    state = tmp_path / "state"
    runs_of("quiet", 2, tmp_path, state)
    runs_of("busy", 1, tmp_path, state)
    assert [one["number"] for one in runs_of("quiet", 4, tmp_path, state)] == [0, 1, 2, 3]
    assert len(state.read_text().splitlines()) == 5
    monkeypatch.setitem(globals(), "digest", lambda: "another")
    assert [one["number"] for one in runs_of("quiet", 1, tmp_path, state)] == [0]
    assert len(state.read_text().splitlines()) == 6
