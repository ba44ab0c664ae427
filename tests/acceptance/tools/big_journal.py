"""A journal of a million values: 40 shapes, 25 arms each, 200 blocks, five rounds each."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
from journal_times import TYPICAL_US
from journals import DIGEST, example_environment, example_plan

from bench.records import record
from bench.records.sealed import FIRST, sealed_line
from bench.workload.case import sine_case

SHAPES, ARMS, BLOCKS, VALUES = 40, 25, 200, 5
CUSTOM_US = 250.0  # a call of a user's own variant
CHECKS = tuple((f"{prefix}{name}", 1e-5) for prefix in ("update ", "check ") for name in ("loss", *"UVW"))


def write_big_journal(
    path: Path, *, shapes: int = SHAPES, arms: int = ARMS, blocks: int = BLOCKS
) -> tuple[int, int]:
    """Write it, sealed as a run seals it, but at once; return the numbers of its bursts and values."""
    encode, seal, bursts = msgspec.json.Encoder().encode, FIRST, 0
    with path.open("wb") as file:
        for one in big_records(shapes, arms, blocks):
            line, seal = sealed_line(seal, encode(one))
            file.write(line)
            bursts += isinstance(one, record.Burst)
    return bursts, bursts * VALUES


def big_records(shapes: int, arms: int, blocks: int) -> Iterator[record.AnyRecord]:
    """The records in a run's order; every number is like a real one in size and digits."""
    plan = big_plan(shapes, arms, blocks)
    generator = np.random.Generator(np.random.PCG64(0))
    typical_ns = {arm.id: TYPICAL_US.get(arm.variant, (CUSTOM_US,))[0] * 1000 for arm in plan.arms}
    entries = [entry for group in plan.groups for entry in group.entries]
    checks = {entry.id: proof(generator) for entry in entries}  # the same in every block: so is the work
    yield plan
    yield example_environment()
    for block in range(blocks + 1):
        for number, arm in enumerate(plan.arms):
            facts = {"version": "2.4.6", "blas": "openblas", "kernel": "SkylakeX", "threads": 1}
            yield record.Worker(
                1_900_000_000, facts, block=block, name=arm.id, arms=[arm.id], pid=4000 + number
            )
        noise = generator.normal(0, 0.01)
        logs = noise + generator.normal(0, 0.015, (len(entries), 1))
        logs = logs + generator.normal(0, 0.003, (len(entries), VALUES))
        for number, entry in enumerate(entries):
            call_ns = typical_ns[entry.arm]
            n_calls = max(1, int(np.ceil(5_500_000 / call_ns)))
            elapsed_ns = (call_ns * n_calls * np.exp(logs[number])).astype(int).tolist()
            yield record.Burst(
                block=block,
                entry=entry.id,
                status="ok",
                n_calls=n_calls,
                elapsed_ns=elapsed_ns,
                rounds=list(range(VALUES)),
                places=generator.integers(0, len(entries), VALUES).tolist(),
                first_call_ns=int(call_ns * 40),
                warmup_calls=max(1, int(5_000_000 / call_ns)),
                rewarm_calls=max(1, n_calls // 10),
                residual_ns=400,
                cpu_ns=int(sum(elapsed_ns) * 1.001),
                device="cpu",
                digest=DIGEST,
                checks=checks[entry.id],
                gates={"cpu_over_wall": 1.0 + float(generator.uniform(0, 0.01)), "steal": 0.0},
            )
        if block == 0:
            yield record.Decision([], 9000.0, blocks, VALUES, [], [])
    yield record.End("complete", "all blocks done", 9000.0, "2026-01-02T05:33:05+00:00")


def big_plan(shapes: int, arms: int, blocks: int) -> record.Plan:
    """One table a shape; in each the baseline, its twin, the known variants and a user's own ones."""
    known = [name for name in TYPICAL_US if name not in ("numpy-batched", "numpy-published")]
    variants = [*known, *(f"torch-custom{number}" for number in range(arms))][: arms - 2]
    members = [arm("numpy-batched"), arm("numpy-batched", twin=True), *map(arm, variants)]
    groups = []
    for number in range(shapes):
        case = sine_case("train_step", "positional", hidden=8 * (number + 1))
        case = replace(case, data="random", layout="sequence")
        name = f"train_step random {case.shape}"
        ids = [f"{name} | {member.id}" for member in members]
        groups.append(
            record.Group(
                name,
                [
                    record.Entry(own, name, member.id, case, ids[0] if own != ids[0] else None)
                    for own, member in zip(ids, members, strict=True)
                ],
            )
        )
    pairs = [record.Pair("twin", g.entries[1].id, g.entries[0].id) for g in groups]
    plan = example_plan(blocks=blocks)
    return msgspec.structs.replace(plan, arms=members, groups=groups, pairs=pairs, ladder=[], probes=[])


def arm(variant: str, *, twin: bool = False) -> record.Arm:
    """A variant in one thread."""
    name = f"{variant}@cpu x1" + " twin" * twin
    return record.Arm(name, variant, variant, variant.partition("-")[0], "cpu", 1, twin)


def proof(generator: np.random.Generator) -> list[record.Check]:
    """Eight checks, with errors like those of float32."""
    return [
        record.Check(what, allowed * float(generator.uniform(0.01, 0.2)), allowed, True)
        for what, allowed in CHECKS
    ]
