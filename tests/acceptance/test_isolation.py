"""T19 to T21: workers have their threads, load one library and keep memory; sharers do not disturb."""

from math import exp, log
from pathlib import Path
from statistics import median, stdev

import pytest
from acceptance.kernels import REPORT_FILE
from acceptance.plans import STEP, compared, make_plan, measure, own, row
from acceptance.validity import Recorder

from bench.analysis.statistics import rank_interval
from bench.analysis.verdict import judge_run
from bench.machine.environ import KEEPS_MEMORY
from bench.workload.case import Case, Shape
from bench.workload.catalog import BASELINE, VARIANTS

BLOCKS = 6
TURNS = (True, False, False, True)  # whether every arm has a worker of its own
NEAR = log(1.02)
# torch-layer asks for 0.9 MB in every call here, of which glibc may give back all or nothing when it is freed
LARGE = Case("forward", Shape(52, 22, 1, 201, 8), "sequence", data="random")
MEMORY_BLOCKS = 16
STEADY = 0.04  # standard deviation of the log of a block's ratio
INVALID = "asked for 1 threads, the library has 2"


def reports(folder: Path) -> list[list[int]]:
    """What the reporting kernel wrote at each of its binds: torch loaded, torch to be had, threads."""
    lines = (folder / REPORT_FILE).read_text().splitlines()
    return [[int(part) for part in line.split()] for line in lines]


def test_a_worker_of_one_thread_has_one_and_uses_one(
    validity: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = compared(make_plan(["numpy-batched"], blocks=BLOCKS, seed=0, case=STEP), tmp_path)
    shares = [sum(burst.elapsed_ns) / burst.cpu_ns for burst in run.bursts if burst.block > 0]
    told = {worker.facts["threads"] for worker in run.workers}
    measure(make_plan(own("same", "reporting"), blocks=1, seed=0), tmp_path)
    tasks = {threads for *_, threads in reports(tmp_path)}
    kept = told == {1} and tasks == {1} and median(shares) <= 1.02
    validity.record(
        "T19",
        claim="an arm of one thread: threads of its library, of its process, wall clock over processor time",
        promised="1, 1, at most 1.02 (median of the bursts)",
        measured=f"{sorted(told)}, {sorted(tasks)}, {median(shares):.4f} (largest {max(shares):.3f})",
        kept=kept,
    )

    # two threads where the arm says one: the limits are the user's own here, and the worker keeps to them
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    plan = make_plan(["numpy-batched"], blocks=1, seed=0, case=STEP)
    wrong = measure(plan, tmp_path, keep=("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"))
    statuses = {failure.status for failure in wrong.failures}
    caught = not wrong.bursts and statuses == {"invalid"} and INVALID in wrong.failures[0].reason
    validity.record(
        "T19-mutant",
        claim="caught: a worker whose library has two threads where its arm says one",
        promised="INVALID, no values",
        measured=f"{sorted(statuses)}, {len(wrong.bursts)} bursts; {wrong.failures[0].reason}",
        kept=caught,
    )
    assert kept
    assert caught


def test_a_numpy_worker_does_not_load_torch(validity: Recorder, tmp_path: Path) -> None:
    plan = make_plan(own("same", "reporting", "torch_importing"), blocks=1, seed=0)
    run = measure(plan, tmp_path)
    found = reports(tmp_path)
    loaded, to_be_had = (sum(report[column] for report in found) for column in (0, 1))
    kept = loaded == 0 and to_be_had == len(found)
    validity.record(
        "T20",
        claim="torch in a NumPy worker that could import it",
        promised="never loaded",
        measured=f"loaded in {loaded} of {len(found)} binds, to be had in {to_be_had}",
        kept=kept,
    )
    reasons = {failure.reason for failure in run.failures}
    refused = {failure.status for failure in run.failures} == {"invalid"} and all(
        "imported torch" in reason for reason in reasons
    )
    validity.record(
        "T20-mutant",
        claim="caught: a NumPy variant that imports torch",
        promised="INVALID, no values",
        measured="; ".join(sorted(reasons)),
        kept=refused,
    )
    assert kept
    assert refused
    assert not [burst for burst in run.bursts if "torch_importing" in burst.entry]


def test_entries_that_share_a_worker_take_as_long_as_alone(validity: Recorder, tmp_path: Path) -> None:
    names = [variant.name for variant in VARIANTS if variant.name != BASELINE and not variant.compiles]
    logs: dict[bool, dict[str, list[float]]] = {
        alone: {name: [] for name in names} for alone in (False, True)
    }
    for seed, alone in enumerate(TURNS):
        plan = make_plan([BASELINE, *names], blocks=BLOCKS, seed=seed, case=STEP, isolate=alone)
        _, judgement = compared(plan, tmp_path)
        for name in names:
            logs[alone][name] += row(judgement, name).log_ratios
    shifts = {name: rank_interval(logs[True][name], logs[False][name]) for name in names}
    apart = [name for name, shift in shifts.items() if shift.low > NEAR or shift.high < -NEAR]
    blocks = BLOCKS * TURNS.count(True)
    validity.record(
        "T20-shared",
        claim=f"variants of the catalogue, ratios to {BASELINE} by shared workers over those by workers of "
        f"their own, {blocks} blocks each by turns (what compiles is always alone)",
        promised="none proved to be more than 2 % from 1",
        measured="; ".join(
            f"{name} {exp(shift.estimate):.3f} [{exp(shift.low):.3f}, {exp(shift.high):.3f}]"
            for name, shift in shifts.items()
        ),
        kept=not apart,
    )
    assert not apart


def test_processes_of_one_arm_have_one_speed(validity: Recorder, tmp_path: Path) -> None:
    found: dict[bool, list[float]] = {}
    for system in (False, True):
        plan = make_plan(
            ["numpy-inplace", "torch-layer", "torch-inplace"], blocks=MEMORY_BLOCKS, seed=1, case=LARGE
        )
        judgement = judge_run(measure(plan, tmp_path, keep=tuple(KEEPS_MEMORY) if system else ()))
        found[system] = list(row(judgement, "torch-layer").log_ratios)

    def told(system: bool) -> str:
        logs = sorted(found[system])
        return f"{100 * stdev(logs):.1f} %, ratios {exp(logs[0]):.3f} to {exp(logs[-1]):.3f}"

    kept, caught = stdev(found[False]) <= STEADY, stdev(found[True]) > STEADY
    claim = f"torch-layer over numpy-inplace, forward, {LARGE.shape}, {MEMORY_BLOCKS} blocks"
    validity.record(
        "T21",
        claim=f"{claim}: standard deviation of a block's ratio",
        promised=f"at most {100 * STEADY:.0f} %",
        measured=told(False),
        kept=kept,
    )
    validity.record(
        "T21-mutant",
        claim=f"caught: workers that leave it to glibc what becomes of freed memory; {claim}",
        promised=f"over {100 * STEADY:.0f} %",
        measured=told(True),
        kept=caught,
    )
    assert kept
    assert caught
