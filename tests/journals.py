"""Synthetic journals: what the default run writes, without running it. Deterministic, no real time.

``example_plan`` is the plan that the default run declares on a machine with two processors and a compiler;
``example_records`` gives the records of one run. Noise is lognormal: 1 % shared by a block, 1.5 % an
entry of it, 0.3 % a value. The same arguments always give the same records.
"""

import random
from unittest import mock

import numpy as np
from declared import declare, machine
from journal_times import COLD_CALL_NS, COMPILE_NS, START_NS, TRANSFER_NS, primitive_ns, typical_ns
from msgspec.structs import replace

from bench.machine.devices import Absent
from bench.measure.plan import LEAST_ROUNDS, active, probe_job, probing
from bench.measure.schedule import SLOW_CALL_NS, Session, round_order, sessions, worker_name
from bench.records import record
from bench.records.record import measured_as
from bench.workload.case import Case

POSITIONAL = "train_step positional"
LOOP = "ladder | numpy-loop@cpu x1 positional float64 tanh"
DIGEST = "5f" * 32
MACHINE = {
    "processor": "Example CPU 9000", "cpus": 2, "usable_cpus": 2, "physical_cores": 2, "cgroup_quota": None,
    "memory_bytes": 8_000_000_000, "system": "Linux 6.1", "architecture": "x86_64", "load_1min": 1.4,
    "governor": "performance", "python": "CPython 3.11.2",
    "packages": {"rnnbench": "0.1.0", "numpy": "2.4.6", "torch": "2.13.0"},
}  # fmt: skip


def example_plan(
    *, blocks: int = 10, seed: int = 0, quick: bool = False, with_gpu: bool = False, broken: bool = False
) -> record.Plan:
    """The plan of the default run; ``quick`` has 3 blocks and gives no verdicts."""
    absent = Absent("cuda", "this PyTorch was built for the CPU only")
    with mock.patch(
        "bench.machine.libraries.torch_library.why_not_compile", return_value=None
    ):  # else this machine would decide
        plan = declare(
            devices=machine("cuda:0") if with_gpu else machine(absent=[absent]),
            quick=quick,
            seed=seed,
            run=f"example-{seed}" + "-quick" * quick + "-gpu" * with_gpu + "-broken" * broken,
            command=["rnnbench", "run", *["--quick"] * quick],
        )
    return replace(plan, version="0.1.0", blocks=plan.blocks if quick else blocks, rounds=LEAST_ROUNDS)


def example_records(
    *, blocks: int = 10, seed: int = 0, quick: bool = False, with_gpu: bool = False, broken: bool = False
) -> list[record.AnyRecord]:
    """All records of one run, in the order of its journal.

    ``broken``: numpy-loop crashes once in the ladder, torch-inplace disagrees in ``train_step positional``,
    torch-autograd times out in ``train_step sequence``, and the run is interrupted in its last block.
    """
    plan = example_plan(blocks=blocks, seed=seed, quick=quick, with_gpu=with_gpu, broken=broken)
    generator = np.random.Generator(np.random.PCG64(seed))
    by_id = {arm.id: arm for arm in plan.arms}
    records: list[record.AnyRecord] = [plan, example_environment()]
    for block in range(plan.blocks + 1):
        measured = sessions(active(plan.groups, block), measured_as(plan.groups).__getitem__)
        held = _held(measured, by_id)
        records += [_worker(block, index, name, held[name]) for index, name in enumerate(held)]
        first = {arms[0].id for arms in held.values()}  # whose first entry makes its worker's first call
        block_noise = generator.normal(0, 0.01)
        cut_off = broken and block == plan.blocks
        for session in measured[: 2 if cut_off else None]:
            places = _places(session, by_id, plan.rounds, random.Random(f"{seed}:{block}"))
            for entry in session.entries:
                noise = block_noise + generator.normal(0, 0.015) + generator.normal(0, 0.003, plan.rounds)
                cold = entry.arm in first
                first -= {entry.arm}
                burst = _burst(entry, by_id[entry.arm], block, places[entry.id], noise, cold=cold)
                failure = _failure(entry, block) if broken else None
                if failure is None or failure.status == "crashed" or block == 0:
                    records.append(failure or burst)
        if not cut_off:
            records += _rates(plan, by_id, block)
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


def _held(measured: list[Session], arms: dict[str, record.Arm]) -> dict[str, list[record.Arm]]:
    """The arms of every worker, by its name, in the order of their first entries."""
    held: dict[str, list[record.Arm]] = {}
    used = dict.fromkeys(entry.arm for session in measured for entry in session.entries)
    for arm in map(arms.__getitem__, used):
        held.setdefault(worker_name(arm, alone=arm.variant == "torch-compile"), []).append(arm)
    return held


def _places(
    session: Session, arms: dict[str, record.Arm], rounds: int, order: random.Random
) -> dict[str, dict[int, int]]:
    """By entry, its place in each round that it takes part in."""
    slow = {entry.id for entry in session.entries if typical_ns(entry, arms[entry.arm]) > SLOW_CALL_NS}
    accelerated = {entry.id for entry in session.entries if arms[entry.arm].device != "cpu"}
    places: dict[str, dict[int, int]] = {entry.id: {} for entry in session.entries}
    for number in range(rounds):
        visited = round_order(session, number, order, slow=slow, accelerated=accelerated)
        for place, entry in enumerate(visited):
            places[entry.id][number] = place
    return places


def _worker(block: int, index: int, name: str, arms: list[record.Arm]) -> record.Worker:
    arm = arms[0]
    numpy = {"version": "2.4.6", "blas": "openblas", "blas_version": "0.3.30", "kernel": "SkylakeX"}
    torch = {"version": "2.13.0", "blas": "mkl", "blas_version": "2024.2", "kernel": None}
    facts = (numpy if arm.library == "numpy" else torch) | {"threads": arm.threads}
    compile_ns = COMPILE_NS[block > 0] if arm.variant == "torch-compile" else 0
    ready_ns = START_NS[arm.library] + compile_ns
    pid, held = 4000 + 100 * block + index, [arm.id for arm in arms]
    cost = (ready_ns, facts, compile_ns, compile_ns)
    return record.Worker(*cost, block=block, name=name, arms=held, pid=pid)


def _burst(
    entry: record.Entry, arm: record.Arm, block: int, places: dict[int, int], noise: np.ndarray, *, cold: bool
) -> record.Burst:
    """``noise`` is of every round; ``cold``: its first call was its worker's."""
    per_call = typical_ns(entry, arm)
    n_calls = max(1, int(np.ceil(5_500_000 / per_call)))
    elapsed = [int(per_call * n_calls * np.exp(noise[number])) for number in places]
    wrong = arm.known_wrong and entry.case.task != "forward" and entry.case.shape.T > 1
    return record.Burst(
        block=block,
        entry=entry.id,
        status="known_wrong" if wrong else "ok",
        n_calls=n_calls,
        elapsed_ns=elapsed,
        rounds=list(places),
        places=list(places.values()),
        first_call_ns=int(per_call * 40),
        warmup_calls=max(1, int(5_000_000 / per_call)),
        rewarm_calls=max(1, n_calls // 10),
        residual_ns=400,
        cpu_ns=int(sum(elapsed) * 1.001),
        device=arm.device,
        digest=DIGEST,
        checks=_checks(entry.case, wrong=wrong),
        transfer_ns=0 if arm.device == "cpu" else TRANSFER_NS,
        cold_call_ns=COLD_CALL_NS[arm.library] if cold else 0,
    )


def _rates(plan: record.Plan, arms: dict[str, record.Arm], block: int) -> list[record.Rates]:
    """What the probes measured in a block. Their noise is their own: it moves no burst."""
    generator = np.random.Generator(np.random.PCG64([plan.seed, block]))
    rates = []
    for probe in probing(plan, active(plan.groups, block), block):
        measured = []
        for kernel in probe_job(plan, probe).wanted:
            per_call = primitive_ns(kernel, arms[probe.arm])
            n_calls = max(1, int(np.ceil(1_000_000 / per_call)))
            noise = np.exp(generator.normal(0, 0.01) + generator.normal(0, 0.003, 3))
            elapsed = [int(per_call * n_calls * factor) for factor in noise]
            measured.append(record.Primitive(kernel, n_calls, elapsed))
        rates.append(record.Rates(block, probe.arm, probe.case, measured))
    return rates


def _checks(case: Case, *, wrong: bool = False) -> list[record.Check]:
    """Errors and tolerances as the proof writes them; ``wrong``: the gradients of U and W fail."""
    single = case.dtype == "float32"
    forward, gradient = (3e-6, 1e-5) if single else (1e-14, 3e-14)
    if case.task == "forward":
        return [record.Check("y_hat", forward / 20, forward, True, quantity="y_hat")]
    prefix = "d" if case.task == "gradient" else "update "
    checks = [
        record.Check("loss", forward / 30, forward, True, quantity="loss"),
        record.Check(f"{prefix}V", gradient / 25, gradient, True, quantity="V"),
    ]
    for name, error in (("U", 0.31), ("W", 0.27)):
        error = error if wrong else gradient / 16
        checks.append(record.Check(f"{prefix}{name}", error, gradient, not wrong, wrong, name))
    return checks


def _failure(entry: record.Entry, block: int) -> record.Failure | None:
    """What goes wrong in a broken run. What disagrees or hangs in block 0 is not tried again."""
    if entry.id == LOOP and block == 2:
        trouble = "Segmentation fault (core dumped)"
        return record.Failure(block, entry.id, "crashed", "the worker ended with signal 11", [], trouble)
    if entry.id == f"{POSITIONAL} | torch-inplace@cpu x1":
        wrong = record.Check("update W", 0.4, 1e-5, False, quantity="W")
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
            best = "torch-layer" if broken and group.name == POSITIONAL else "torch-inplace"
            ids = [f"{group.name} | {variant}@cpu x1" for variant in (best, "numpy-inplace")]
            made.append(record.Pair("best", *ids))
            there = f"{group.name} | torch-inplace@cuda:0 x2"
            if any(entry.id == there for entry in group.entries):
                made.append(record.Pair("best", there, ids[1]))
    return record.Decision(made, 95.0, plan.blocks, plan.rounds, [], [])
