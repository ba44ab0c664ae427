"""A run that left something open is extended once, and both looks together err in 5 % of runs at most."""

import dataclasses
import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from simulated import Array, Noise, generator, simulate
from simulated_runs import BASELINE, GROUP, TWIN, plan, recorded
from small_journal import write

import bench
from bench.analysis.outcome import Outcome
from bench.analysis.statistics import ALPHA, FIRST_LOOK, SECOND_LOOK, signed_rank_probabilities
from bench.analysis.verdict import Judgement, extension, judge_run, level, proposal
from bench.cli.main import main
from bench.machine.errors import UserError
from bench.records.journal import FILE_NAME, load_run
from bench.records.record import AnyRecord, Decision, End, Extended, Resumed
from bench.records.run import Run, make_run
from bench.reporting import words
from bench.reporting.build import headline

FIRST, IN_ALL = 10, 20
NOISY, SEED = Noise(process=0.018, neighbours=0.0, value=0.0, spikes=0.0), 4
NOW = "2026-01-02T03:04:05+00:00"
OVER = End("complete", "10 blocks were measured", 60.0, NOW)
STOPPED = End("interrupted", "stopped by the user", 60.0, NOW)
EXTENDED = Extended(FIRST, IN_ALL, SECOND_LOOK, NOW)
ROW = "arm 2"


# ---- how often the two looks err


@cache
def undecided(blocks: int) -> Run:
    """A run of so many blocks that measured nothing yet."""
    return make_run([plan(blocks, 2, twin=False)])


def judged(logs: Array, extended: Extended | None = None) -> Judgement:
    """The judgement of one comparison with these log ratios, one a block, without a twin."""
    run = dataclasses.replace(undecided(len(logs)), extensions=(extended,) if extended else ())
    medians = {entry: np.zeros(len(logs)) if entry == BASELINE else logs for entry in run.entries}
    found = {
        entry: Outcome(
            entry, "ok", "", {block: {0: time} for block, time in enumerate(np.exp(values).tolist(), start=1)}
        )
        for entry, values in medians.items()
    }
    return judge_run(run, found)


def errs(logs: Array, first: int, level: float) -> bool:
    """Whether equal arms get the word FASTER or SLOWER: at once, or after the extension of what was open."""

    def word(looked_at: Array, extended: Extended | None = None) -> str:
        (row,) = judged(looked_at, extended).rows.values()
        return row.verdict

    words = [word(logs[:first])]
    if words[0] == "UNRESOLVED":
        words.append(word(logs, Extended(first, len(logs), level, NOW)))
    return bool({"FASTER", "SLOWER"}.intersection(words))


def share_of_errors(logs: Array, first: int = FIRST, level: float = SECOND_LOOK) -> float:
    return float(np.mean([errs(series, first, level) for series in logs]))


RUNS = 1500
BOUND = ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / RUNS)  # 0.067


@pytest.fixture(scope="module")
def no_effect() -> dict[str, Array]:
    """Log ratios (RUNS, IN_ALL) of equal arms: of normal noise, and of noise with infinite variance."""
    draw = generator(11)
    shape = (RUNS, IN_ALL)
    return {"normal": 0.05 * draw.standard_normal(shape), "heavy tails": 0.05 * draw.standard_t(2, shape)}


@pytest.mark.parametrize("noise", ["normal", "heavy tails"])
def test_both_looks_together_err_in_5_percent_at_most(no_effect: dict[str, Array], noise: str) -> None:
    assert 0.02 < share_of_errors(no_effect[noise]) <= BOUND


def test_a_mutant_that_looks_twice_at_5_percent_is_caught(
    no_effect: dict[str, Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.analysis.verdict.FIRST_LOOK", ALPHA)
    assert share_of_errors(no_effect["normal"], level=ALPHA) > BOUND


def joint(first: int, in_all: int) -> Array:
    """P(T1 = t1, T2 = t2): rank sums of the positive ones among the first numbers and among all, no effect.

    Rank by rank of all: it belongs to the first numbers or not, and is positive or not. Exact, whatever the
    noise, as long as it is symmetric and that of one block is that of any other.
    """
    states = {0: np.ones((1, 1))}  # how many of the first numbers have had their rank -> (t1, t2)
    for rank in range(1, in_all + 1):
        grown: dict[int, Array] = {}
        for k, p in states.items():
            left = in_all - rank + 1
            for own, share in ((1, (first - k) / left), (0, 1 - (first - k) / left)):
                if share > 0:
                    n = k + own
                    new = grown.setdefault(n, np.zeros((n * (n + 1) // 2 + 1, rank * (rank + 1) // 2 + 1)))
                    new[: len(p), : p.shape[1]] += p * share / 2
                    shift = n * own
                    new[shift : shift + len(p), rank : rank + p.shape[1]] += p * share / 2
        states = grown
    return states[first]


def found_at(n: int, level: float) -> np.ndarray:
    """For each rank sum of n numbers, whether its two-sided p is at most the level."""
    tails = np.cumsum(signed_rank_probabilities(n))
    return 2 * np.minimum(tails, tails[::-1]) <= level


def errors(first: int, levels: tuple[float, float], totals: range) -> tuple[float, float]:
    """P(an error at either look): for the worst number of blocks in all that is chosen beforehand, and for
    the worst that somebody chooses who knows how the first look came out."""
    at_once = found_at(first, levels[0])
    later = np.array(
        [np.where(at_once, 0, joint(first, n) @ found_at(n, levels[1])) for n in totals]
    )  # (len(totals), t1)
    spent = float(signed_rank_probabilities(first)[at_once].sum())
    return spent + float(later.sum(axis=1).max()), spent + float(later.max(axis=0).sum())


@pytest.mark.parametrize("first", [6, 8, 10, 14, 20])
def test_exactly_whatever_the_noise_and_also_where_the_first_look_chooses_the_second(first: int) -> None:
    totals = range(first + 1, 41, 3)
    assert max(errors(first, (FIRST_LOOK, SECOND_LOOK), totals)) <= 0.0486  # as docs/method.md says
    assert min(errors(first, (ALPHA, ALPHA), totals)) > 0.066 > ALPHA


# ---- words, levels and what a reader is told


def series(p_rank: int, n: int) -> Array:
    """Log ratios of n blocks that all lie below 1, but for the one of that rank: a known p, a wide spread."""
    logs = -np.arange(1, n + 1) * 0.02
    logs[p_rank - 1] *= -1
    return logs


def test_an_interval_that_leaves_out_1_beside_unresolved_is_explained() -> None:
    (row,) = judged(series(8, 10)).rows.values()
    assert row.verdict == "UNRESOLVED"
    assert FIRST_LOOK < row.p_holm <= ALPHA
    assert row.high < 1
    assert (
        "its own 95 % interval leaves out 1, but p = 0.0488 is above the 0.04 of a first look" in row.reason
    )
    (row,) = judged(series(8, 11), Extended(10, 11, SECOND_LOOK, NOW)).rows.values()
    assert row.verdict == "UNRESOLVED"
    assert "is above the 0.01 of a second look" in row.reason


def test_equivalence_is_judged_at_the_level_of_the_look_too() -> None:
    logs = np.log([1.019, 1.001, 1.002, 0.999, 0.998, 1.003, 1.001, 1.018, 1.016, 0.999])
    (first,) = judged(logs).rows.values()
    (second,) = judged(logs, Extended(9, 10, SECOND_LOOK, NOW)).rows.values()
    assert (first.verdict, second.verdict) == ("EQUIVALENT", "EQUIVALENT")
    logs[0] = logs[7] = logs[8] = math.log(1.025)
    (first,) = judged(logs).rows.values()
    (second,) = judged(logs, Extended(9, 10, SECOND_LOOK, NOW)).rows.values()
    assert (first.verdict, second.verdict) == ("EQUIVALENT", "UNRESOLVED")


# ---- the extension of a journal


@pytest.fixture(scope="module")
def whole() -> Run:
    """A run of a baseline, its twin and another arm, all equal, that 20 blocks leave open as well."""
    return recorded(simulate(generator(SEED), 1, blocks=IN_ALL, costs=(1.0,) * 3, noise=NOISY)[0])


def records(run: Run, *last: AnyRecord, blocks: int = FIRST, **changes: Any) -> list[AnyRecord]:
    """The journal of its first blocks, then ``last``."""
    bursts = [burst for burst in run.bursts if burst.block <= blocks]
    declared = replace(run.plan, blocks=FIRST, **changes)
    return [declared, *bursts, Decision([], 60.0, FIRST, run.plan.rounds, [], []), *last]


class Measures:
    """A runner that measures what the whole run holds."""

    whole: Run
    last: AnyRecord = OVER

    def __init__(self, plan: Any, write: Any, progress: Any, *, earlier: Any = (), **options: Any) -> None:
        self.write, self.earlier = write, make_run(list(earlier))

    def run(self) -> End:
        first = max(burst.block for burst in self.earlier.bursts) + 1
        assert self.earlier.decision is not None
        self.write(Resumed(first, NOW))
        for burst in self.whole.bursts:
            if first <= burst.block <= self.earlier.decision.blocks:
                self.write(burst)
        self.write(self.last)
        return self.last  # type: ignore[return-value]


@pytest.fixture
def folder(tmp_path: Path, whole: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(Measures, "whole", whole, raising=False)
    monkeypatch.setattr("bench.api.run.Runner", Measures)
    folder = tmp_path / "a run"
    folder.mkdir()
    return folder


def test_the_command_extends_a_run_and_the_report_says_so(
    folder: Path, whole: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder / FILE_NAME, records(whole, OVER))
    assert main(["run", "--resume", str(folder), "--blocks", str(IN_ALL)]) == 0
    said = capsys.readouterr().out
    assert "The run was extended from 10 to 20 blocks: a second look at the same data, judged at 1 %" in said
    run = load_run(folder)
    assert run.extended is not None
    assert (run.extended.before, run.extended.blocks, run.extended.level) == (FIRST, IN_ALL, SECOND_LOOK)
    assert (run.state, run.void, run.decision.blocks, run.plan.blocks) == ("complete", 0, IN_ALL, FIRST)
    assert judge_run(run).rows[ROW].blocks == IN_ALL
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "needs p ≤ 0.01" in page
    assert main(["run", "--resume", str(folder), "--blocks", "40"]) == 2
    assert "was extended already, from 10 to 20 blocks, and a third look" in capsys.readouterr().err


def test_from_python_and_on_again_where_the_extension_was_cut_off(
    folder: Path, whole: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / FILE_NAME, records(whole, OVER))
    monkeypatch.setattr(Measures, "last", STOPPED)
    with pytest.raises(KeyboardInterrupt):
        bench.run(resume=folder, blocks=12)
    assert load_run(folder).state == "interrupted"
    with pytest.raises(UserError, match="cut off: go on with it first, without blocks"):
        bench.run(resume=folder, blocks=IN_ALL)
    monkeypatch.setattr(Measures, "last", OVER)
    bench.run(resume=folder)
    run = load_run(folder)
    assert (run.state, len(run.extensions), run.decision.blocks) == ("complete", 1, 12)


def test_an_extension_that_has_not_begun_makes_the_end_void(whole: Run) -> None:
    run = make_run(records(whole, OVER, EXTENDED))
    assert (run.state, run.end, run.decision.blocks) == ("interrupted", None, IN_ALL)
    assert make_run(records(whole, OVER)).state == "complete"


def test_a_journal_that_was_extended_twice_or_backwards_contradicts_itself(
    tmp_path: Path, whole: Run
) -> None:
    backwards = Extended(IN_ALL, FIRST, SECOND_LOOK, NOW)
    too_late = records(whole, EXTENDED, OVER, blocks=IN_ALL)
    for name, journal, told in (
        ("twice", records(whole, OVER, EXTENDED, OVER, EXTENDED), "extended more than once"),
        ("backwards", records(whole, OVER, backwards), "extended to 10 blocks, no more than before"),
        ("not at all", [one for one in too_late if one != EXTENDED], "block 11 is after the last"),
    ):
        (tmp_path / name).mkdir()
        write(tmp_path / name / FILE_NAME, journal)
        with pytest.raises(UserError, match=told):
            load_run(tmp_path / name)
    write(tmp_path / FILE_NAME, too_late)
    assert load_run(tmp_path).extended == EXTENDED


def refusal(run: Run, blocks: int = IN_ALL) -> str:
    with pytest.raises(UserError) as refused:
        extension(run, blocks, Path("here"), NOW)
    return str(refused.value)


def test_what_may_not_be_extended_is_refused_in_one_line_that_says_why(whole: Run) -> None:
    run = make_run(records(whole, OVER))
    assert extension(run, IN_ALL, Path("here"), NOW) == EXTENDED
    assert refusal(make_run(records(whole))).startswith("here was cut off: go on with it first")
    assert "a quick run gives none" in refusal(make_run(records(whole, OVER, verdicts=False)))
    assert refusal(run, FIRST).startswith("--blocks 10: counted in all, and here has 10 already")
    assert "up to 1000" in refusal(run, 1001)
    short = make_run(records(whole, OVER, blocks=6))
    assert "needs 8 blocks in all" in refusal(short, 7)
    decided = make_run(records(whole, OVER))
    slow = [
        replace(one, elapsed_ns=[2 * ns for ns in one.elapsed_ns]) if one.entry == ROW else one
        for one in decided.bursts
    ]
    assert "its verdicts stand" in refusal(dataclasses.replace(decided, bursts=tuple(slow)))
    twin = [
        replace(one, elapsed_ns=[2 * ns for ns in one.elapsed_ns]) if one.entry == TWIN else one
        for one in decided.bursts
    ]
    assert "no verdict to look for: the A/A control failed" in refusal(
        dataclasses.replace(decided, bursts=tuple(twin))
    )


def test_a_table_with_blocks_of_its_own_is_neither_extended_nor_judged_anew(whole: Run) -> None:
    own = [replace(whole.plan.groups[0], blocks=FIRST)]
    run = make_run(records(whole, OVER, groups=own))
    assert "left nothing undecided that more blocks could decide" in refusal(run)
    extended = make_run(records(whole, EXTENDED, OVER))
    assert level(extended, GROUP) == SECOND_LOOK
    assert level(make_run(records(whole, EXTENDED, OVER, groups=own)), GROUP) == FIRST_LOOK


def test_what_to_type_next_stands_where_it_is_unresolved_and_blocks_would_help(whole: Run) -> None:
    run = make_run(records(whole, OVER))
    row = dataclasses.replace(judge_run(run).rows[ROW], blocks_needed=34)
    assert row.verdict == "UNRESOLVED"
    assert proposal(run, [row]) == 34
    told = "rnnbench run --resume results/a --blocks 34 extends the run, once, to so many blocks in all"
    assert told in words.look_again("results/a", 34)
    for nothing in (
        proposal(run, [dataclasses.replace(row, blocks_needed=41)]),
        proposal(run, [dataclasses.replace(row, verdict="FASTER")]),
        proposal(make_run(records(whole, STOPPED)), [row]),
        proposal(make_run(records(whole, OVER, EXTENDED, OVER)), [row]),
    ):
        assert nothing is None


def test_the_answer_of_a_report_says_what_to_type_next(whole: Run) -> None:
    assert "To resolve it, rnnbench run --resume FOLDER --blocks" in headline(make_run(records(whole, OVER)))
    assert "--resume" not in headline(make_run(records(whole, EXTENDED, OVER, blocks=IN_ALL)))
