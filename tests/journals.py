"""Synthetic journals: what the default run writes, without running it. Deterministic, no real time.

``example_records`` gives the records of one run; noise is lognormal: 1 % shared by a block, 1.5 % a
process, 0.3 % a value. The same arguments always give the same records.
"""

import numpy as np

from bench.case import Case, sine_case
from bench.proof.agreement import KNOWN_WRONG
from bench.results import record

POSITIONAL = "train_step positional"
OTHER_WORK = ("train_step sequence", "train_step single_step", "gradient positional", "forward positional")
# microseconds a call of a training step, float32, one thread: (positional, single_step)
TYPICAL_US = {
    "numpy-published": (27000.0, 3900.0),
    "numpy-loop": (7100.0, 1900.0),
    "numpy-batched": (100.0, 31.0),
    "numpy-inplace": (77.0, 22.0),
    "torch-cell": (431.0, 124.0),
    "torch-rnn": (365.0, 141.0),
    "torch-autograd": (358.0, 118.0),
    "torch-inplace": (171.0, 52.0),
}
NOT_QUICK = ("numpy-loop", "torch-autograd")
TWO_THREADS = {"numpy-batched": 1.02, "numpy-inplace": 1.0, "torch-rnn": 1.12}  # times one thread
ON_GPU_US = {"torch-rnn": 410.0, "torch-autograd": 620.0, "torch-inplace": 330.0}
OF_TRAIN_STEP = {"train_step": 1.0, "gradient": 0.93, "forward": 0.33}
DIGEST = "5f" * 32
MACHINE = {
    "processor": "Example CPU 9000", "cpus": 2, "usable_cpus": 2, "physical_cores": 2, "cgroup_quota": None,
    "memory_bytes": 8_000_000_000, "system": "Linux 6.1", "architecture": "x86_64", "load_1min": 1.4,
    "governor": "performance", "python": "CPython 3.11.2",
    "packages": {"rnnbench": "0.1.0", "numpy": "2.4.6", "torch": "2.13.0"},
}  # fmt: skip


def arms(*, quick: bool = False, with_gpu: bool = False) -> list[record.Arm]:
    """The arms of the default run: the baseline, its twin, the variants, two threads, the accelerator."""
    made = [_arm("numpy-batched", "cpu", 1), _arm("numpy-batched", "cpu", 1, twin=True)]
    for variant in TYPICAL_US:
        if variant != "numpy-batched" and not (quick and variant in NOT_QUICK):
            made.append(_arm(variant, "cpu", 1))
    if with_gpu:
        made.append(_arm("numpy-batched", "cpu", 2, twin=True))
        made += [_arm(variant, "cuda:0", 2) for variant in ON_GPU_US]
    if with_gpu or not quick:
        made += [_arm(variant, "cpu", 2) for variant in TWO_THREADS]
    return made


def groups(all_arms: list[record.Arm], *, quick: bool = False) -> list[record.Group]:
    """The tables of the default run; all arms are in the first one, arms with one thread in the others."""
    one_thread = [arm for arm in all_arms if arm.threads == 1]
    made = [_group(POSITIONAL, sine_case("train_step", "positional"), all_arms)]
    if not quick:
        made += [_group(work, sine_case(*work.split()), one_thread) for work in OTHER_WORK]
    published = sine_case("train_step", "positional", dtype="float64", activation="sigmoid")
    old, new = "claim | numpy-published@cpu x1", "claim | torch-cell@cpu x1"
    claim = [
        record.Entry(old, "claim", "numpy-published@cpu x1", published, None),
        record.Entry(new, "claim", "torch-cell@cpu x1", sine_case("train_step", "single_step"), old),
    ]
    return [*made, record.Group("claim", claim)]


def example_plan(
    *, blocks: int = 10, seed: int = 0, quick: bool = False, with_gpu: bool = False, broken: bool = False
) -> record.Plan:
    """The plan of the default run; ``quick`` has 3 blocks and gives no verdicts."""
    all_arms = arms(quick=quick, with_gpu=with_gpu)
    tables = groups(all_arms, quick=quick)
    absent = "this PyTorch was built for the CPU only"
    return record.Plan(
        schema=record.SCHEMA,
        run=f"example-{seed}" + "-quick" * quick + "-gpu" * with_gpu + "-broken" * broken,
        version="0.1.0",
        started_utc="2026-01-02T03:04:05+00:00",
        command=["rnnbench", "run", *["--quick"] * quick],
        preset="quick" if quick else "primer",
        seed=seed,
        blocks=3 if quick else blocks,
        verdicts=not quick,
        margin=0.02,
        budget_s=25.0 if quick else 120.0,
        arms=all_arms,
        groups=tables,
        pairs=_pairs(tables, all_arms),
        missing=[] if with_gpu else [record.Missing("cuda", absent)],
    )


def example_records(
    *, blocks: int = 10, seed: int = 0, quick: bool = False, with_gpu: bool = False, broken: bool = False
) -> list[record.AnyRecord]:
    """All records of one run, in the order of its journal.

    ``broken``: numpy-loop crashes once, torch-inplace disagrees in ``train_step positional``,
    torch-autograd times out in ``train_step sequence``, and the run is interrupted in its last block.
    """
    plan = example_plan(blocks=blocks, seed=seed, quick=quick, with_gpu=with_gpu, broken=broken)
    generator = np.random.Generator(np.random.PCG64(seed))
    by_id = {arm.id: arm for arm in plan.arms}
    records: list[record.AnyRecord] = [plan, example_environment()]
    for block in range(plan.blocks + 1):
        records += [_worker(block, index, arm) for index, arm in enumerate(plan.arms)]
        block_noise = generator.normal(0, 0.01)
        cut_off = broken and block == plan.blocks
        position = 0
        for group in plan.groups[: 2 if cut_off else None]:
            for index in generator.permutation(len(group.entries)):
                entry = group.entries[index]
                noise = block_noise + generator.normal(0, 0.015) + generator.normal(0, 0.003, 5)
                burst = _burst(entry, by_id[entry.arm], block, position, noise)
                failure = _failure(entry, block) if broken else None
                if failure is None or failure.status == "crashed" or block == 0:
                    records.append(failure or burst)
                position += 1
        if block == 0:
            records.append(_decision(plan, broken=broken))
    status, reason = ("interrupted", "stopped by the user") if broken else ("complete", "all blocks done")
    return [*records, record.End(status, reason, 20.25 if quick else 97.5, "2026-01-02T03:05:42+00:00")]


def example_environment() -> record.Environment:
    """A small machine; one variable that pins an old BLAS kernel was dropped."""
    return record.Environment(
        machine=MACHINE,
        set={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        dropped={"OPENBLAS_CORETYPE": "Haswell"},
        kept={},
        warnings=["the machine was busy at the start (load 1.4): intervals widen"],
    )


def _arm(variant: str, device: str, threads: int, *, twin: bool = False) -> record.Arm:
    name = f"{variant}@{device} x{threads}" + " twin" * twin
    library = variant.partition("-")[0]
    return record.Arm(name, variant, variant, library, device, threads, twin, variant == "numpy-published")


def _group(name: str, case: Case, members: list[record.Arm]) -> record.Group:
    """Entries of one case; each but the baselines is compared with numpy-batched at its threads."""
    entries = []
    for arm in members:
        baseline = f"{name} | numpy-batched@cpu x{arm.threads}"
        own = f"{name} | {arm.id}"
        entries.append(record.Entry(own, name, arm.id, case, None if own == baseline else baseline))
    return record.Group(name, entries)


def _pairs(tables: list[record.Group], all_arms: list[record.Arm]) -> list[record.Pair]:
    """The headlines known before block 0, in the order of the tables."""
    by_id, made = {arm.id: arm for arm in all_arms}, []
    for entry in (entry for group in tables for entry in group.entries if entry.baseline):
        arm = by_id[entry.arm]
        where = f"{entry.group} {arm.device} x{arm.threads}"
        if arm.twin:
            made.append(record.Pair(f"twin {entry.group} x{arm.threads}", entry.id, entry.baseline))
        elif entry.group == "claim":
            made.append(record.Pair("claim", entry.id, entry.baseline))
        elif arm.variant == "torch-rnn" and entry.case.task == "train_step":
            made.append(record.Pair(f"as written {where}", entry.id, entry.baseline))
    return made


def _worker(block: int, index: int, arm: record.Arm) -> record.Worker:
    numpy = {"version": "2.4.6", "blas": "openblas", "blas_version": "0.3.30", "kernel": "SkylakeX"}
    torch = {"version": "2.13.0", "blas": "mkl", "blas_version": "2024.2", "kernel": None}
    facts = (numpy if arm.library == "numpy" else torch) | {"threads": arm.threads}
    return record.Worker(block, arm.id, 4000 + 100 * block + index, 1_900_000_000, facts)


def typical_ns(entry: record.Entry, arm: record.Arm) -> float:
    """The time of one call that the noise is put on."""
    if arm.device != "cpu":
        return ON_GPU_US[arm.variant] * 1000
    factor = OF_TRAIN_STEP[entry.case.task] * (TWO_THREADS[arm.variant] if arm.threads == 2 else 1)
    factor *= 0.95 if entry.case.layout == "sequence" else 1
    factor *= 1.04 if entry.case.dtype == "float64" else 1
    return TYPICAL_US[arm.variant][entry.case.layout == "single_step"] * factor * 1000


def _burst(
    entry: record.Entry, arm: record.Arm, block: int, position: int, noise: np.ndarray
) -> record.Burst:
    per_call = typical_ns(entry, arm)
    n_calls = max(1, int(np.ceil(5_500_000 / per_call)))
    values = noise[: 3 if per_call > 20_000_000 else 5]
    elapsed = [int(per_call * n_calls * np.exp(value)) for value in values]
    wrong = arm.known_wrong and entry.case.task != "forward" and entry.case.shape.T > 1
    return record.Burst(
        block=block,
        entry=entry.id,
        position=position,
        status="known_wrong" if wrong else "ok",
        n_calls=n_calls,
        elapsed_ns=elapsed,
        first_call_ns=int(per_call * 40),
        warmup_calls=max(1, int(5_000_000 / per_call)),
        residual_ns=400,
        cpu_ns=int(sum(elapsed) * 1.001),
        device=arm.device,
        digest=DIGEST,
        checks=_checks(entry.case, wrong=wrong),
    )


def _checks(case: Case, *, wrong: bool = False) -> list[record.Check]:
    """Errors and tolerances as the proof writes them; ``wrong``: the gradients of U and W fail."""
    single = case.dtype == "float32"
    forward, gradient = (3e-6, 1e-5) if single else (1e-14, 3e-14)
    if case.task == "forward":
        return [record.Check("y_hat", forward / 20, forward, True)]
    prefix = "d" if case.task == "gradient" else "update "
    checks = [
        record.Check("loss", forward / 30, forward, True),
        record.Check(f"{prefix}V", gradient / 25, gradient, True),
    ]
    for name, error in (("U", 0.31), ("W", 0.27)):
        what = f"{prefix}{name}" + KNOWN_WRONG * wrong
        checks.append(record.Check(what, error if wrong else gradient / 16, gradient, not wrong))
    return checks


def _failure(entry: record.Entry, block: int) -> record.Failure | None:
    """What goes wrong in a broken run. What disagrees or hangs in block 0 is not tried again."""
    if entry.id == f"{POSITIONAL} | numpy-loop@cpu x1" and block == 2:
        trouble = "Segmentation fault (core dumped)"
        return record.Failure(block, entry.id, "crashed", "the worker ended with signal 11", [], trouble)
    if entry.id == f"{POSITIONAL} | torch-inplace@cpu x1":
        wrong = record.Check("update W", 0.4, 1e-5, False)
        return record.Failure(
            block, entry.id, "disagrees", "update W is off by 0.4, allowed is 1e-05", [wrong]
        )
    if entry.id == "train_step sequence | torch-autograd@cpu x1":
        return record.Failure(block, entry.id, "timeout", "no answer within 60 s; the worker was stopped", [])
    return None


def _decision(plan: record.Plan, *, broken: bool) -> record.Decision:
    """Block 0's choice for every training step at one thread; a form that disagrees is not chosen."""
    made = []
    for group in plan.groups:
        if group.name.startswith("train_step"):
            best = "torch-rnn" if broken and group.name == POSITIONAL else "torch-inplace"
            ids = [f"{group.name} | {variant}@cpu x1" for variant in (best, "numpy-inplace")]
            made.append(record.Pair(f"best against best {group.name} cpu x1", *ids))
    return record.Decision(made, 95.0, plan.blocks, [], [])
