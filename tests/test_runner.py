"""The runner with real workers: what fails becomes a status, the others go on, nothing is left running."""

import contextlib
import os
import signal
import textwrap
import threading
import time
from pathlib import Path

import msgspec
import psutil
import pytest
from declared import small_plan
from msgspec.structs import replace
from played import of_kind, run

from bench.machine.child import Child
from bench.machine.environ import worker_environment
from bench.measure.block import WORKER
from bench.measure.messages import JobMaker, Prove, Ready, Refused, Setup
from bench.measure.runner import ROUNDS_OF_BLOCK_0
from bench.records.record import AnyRecord, Arm, Burst, Decision, Failure, Proved, Worker

MISBEHAVING = """
import os, time, types
from functools import partial
from impl_numpy import rnn
from impl_numpy.contract import bind as bind_contract

def variant(name, around):
    def bind(*args, **options):
        bound = bind_contract(rnn, *args, **options)
        return types.SimpleNamespace(call=partial(around, bound.call), reset=bound.reset, result=bound.result)
    return types.SimpleNamespace(name=name, library="numpy", bind=bind)

def raises(call):
    raise ValueError("no such thing")

def aborts(call):
    os.abort()

def leaves(call):
    os._exit(0)

def hangs(call):
    print("still here", flush=True)
    time.sleep(1000)

def does_half(call):
    pass

def talks(call):
    print('{"type": "Done"}' * 100)
    call()

def imports_torch(call):
    import sys
    sys.modules["torch"] = sys
    call()

def bind_wrong(*args, **options):
    bound = bind_contract(rnn, *args, **options)
    def result():
        return {name: array * 1.0005 for name, array in bound.result().items()}
    return types.SimpleNamespace(call=bound.call, reset=bound.reset, result=result)

raising, aborting, leaving = (variant(f.__name__, f) for f in (raises, aborts, leaves))
hanging, talking, importing = (variant(f.__name__, f) for f in (hangs, talks, imports_torch))
wrong = types.SimpleNamespace(name="wrong", library="numpy", bind=bind_wrong)
"""


def start_worker(arm: Arm, prove: Prove) -> Child:
    """Start a worker of one arm as a block does; it rehearses that job."""
    setup = Setup(arm.library, arm.device, arm.threads, prove)
    environment = worker_environment(arm.threads).variables
    return Child(WORKER, [msgspec.json.encode(setup).decode()], environment)


@pytest.fixture
def own_variants(tmp_path, monkeypatch):
    """A package outside the project, found from where the user stands."""
    (tmp_path / "misbehaving.py").write_text(textwrap.dedent(MISBEHAVING))
    monkeypatch.chdir(tmp_path)
    return "misbehaving"


def nothing_is_left() -> bool:
    """No worker of this process is still there."""
    return not any("bench.measure.worker" in child.cmdline() for child in psutil.Process().children())


def test_a_run_takes_a_burst_of_every_entry_in_every_block():
    plan = small_plan("numpy-inplace", blocks=2)
    end, records = run(plan)

    assert end.status == "complete"
    bursts = of_kind(records, Burst)
    entries = [entry.id for entry in plan.groups[0].entries]
    assert sorted((burst.block, burst.entry) for burst in bursts) == [
        (block, entry) for block in (0, 1, 2) for entry in sorted(entries)
    ]
    for burst in bursts:
        assert burst.rounds == list(range(plan.rounds if burst.block else ROUNDS_OF_BLOCK_0))
        assert len(burst.elapsed_ns) == len(burst.rounds)
        assert all(elapsed > 0 for elapsed in burst.elapsed_ns)
        assert burst.checks
        assert all(check.passed for check in burst.checks)
        assert burst.device == "cpu"
    for block in (0, 1, 2):  # the first call of each of the two processes
        assert sum(burst.cold_call_ns > 0 for burst in bursts if burst.block == block) in (1, 2)
    for entry in entries:  # the number of calls is found in block 0 and frozen
        assert len({(burst.n_calls, burst.rewarm_calls) for burst in bursts if burst.entry == entry}) == 1
    assert len({burst.digest for burst in bursts}) == 1
    assert nothing_is_left()


def test_every_block_has_fresh_workers_whose_threads_were_read_back():
    plan = small_plan("numpy-inplace")
    _, records = run(plan)
    workers = of_kind(records, Worker)

    assert len({worker.pid for worker in workers}) == len(workers) == 2 * 2
    assert {(worker.name, *sorted(worker.arms)) for worker in workers} == {
        ("numpy@cpu x1", "numpy-batched@cpu x1", "numpy-inplace@cpu x1"),
        ("numpy@cpu x1 control", "numpy-batched@cpu x1 twin"),
    }
    assert {worker.facts["threads"] for worker in workers} == {1}
    assert all(worker.ready_ns > 0 for worker in workers)


def test_isolated_arms_are_processes_of_their_own():
    plan = small_plan("numpy-inplace", isolate=True)
    end, records = run(plan)
    assert end.status == "complete"
    workers = of_kind(records, Worker)
    assert len({worker.pid for worker in workers}) == 2 * len(plan.arms)
    assert all(worker.arms == [worker.name] for worker in workers)
    assert all(burst.cold_call_ns > 0 for burst in of_kind(records, Burst))


def test_the_decision_follows_block_0_and_the_end_comes_last():
    _, records = run(small_plan("numpy-inplace"))
    kinds = [type(record).__name__ for record in records]

    assert kinds[-1] == "End"
    decision = kinds.index("Decision")
    assert kinds[0] == "Conditions"
    assert {record.block for record in records[1:decision]} == {0}
    assert {record.block for record in records[decision + 1 : -1]} == {1}


@pytest.mark.parametrize(
    ("variant", "status", "reason"),
    [
        ("raising", "crashed", "ValueError: no such thing"),
        ("aborting", "crashed", "killed by SIGABRT"),
        ("leaving", "crashed", "ended with exit code 0"),
        ("wrong", "disagrees", "off by 0.0005"),
        ("importing", "invalid", "is a NumPy variant, but imported torch"),
    ],
)
def test_what_fails_becomes_a_status_and_the_others_go_on(own_variants, variant, status, reason):
    end, records = run(small_plan(f"{own_variants}:{variant}"))

    assert end.status == "partial"
    failures = of_kind(records, Failure)
    assert {failure.status for failure in failures} == {status}
    assert reason in failures[0].reason
    arms = {burst.entry.partition(" | ")[2] for burst in of_kind(records, Burst)}
    assert arms == {"numpy-batched@cpu x1", "numpy-batched@cpu x1 twin"}
    assert nothing_is_left()


def test_a_worker_that_hangs_is_ended_at_its_deadline_and_not_tried_again(own_variants, monkeypatch):
    monkeypatch.setattr("bench.measure.block.REPLY_DEADLINE_S", 3)
    end, records = run(small_plan(f"{own_variants}:hanging", blocks=2))

    assert end.status == "partial"
    (failure,) = of_kind(records, Failure)
    assert (failure.status, failure.block) == ("timeout", 0)
    assert "no reply within 3 s" in failure.reason
    assert failure.stderr == "still here"
    assert nothing_is_left()


def test_a_variant_that_prints_is_timed_all_the_same(own_variants):
    end, records = run(small_plan(f"{own_variants}:talking"))

    assert end.status == "complete"
    assert not of_kind(records, Failure)


def test_two_ctrl_c_in_a_row_leave_no_worker_behind():
    records: list[AnyRecord] = []

    def interrupt(record):
        records.append(record)
        if isinstance(record, Decision):
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
            os.kill(os.getpid(), signal.SIGINT)

    with contextlib.suppress(KeyboardInterrupt):  # the second may come when the run is already over
        run(small_plan("numpy-inplace", "numpy-loop", blocks=3), write=interrupt)
        time.sleep(0.2)

    assert nothing_is_left()


@pytest.mark.parametrize("lengths", [(6, 2000), (2000, 6)])
def test_a_case_that_cannot_be_proved_is_missing_and_the_others_go_on(lengths):
    plan = small_plan("numpy-inplace", seq_len=lengths)
    end, records = run(plan)

    assert end.status == "partial"
    assert {failure.status for failure in of_kind(records, Failure)} == {"missing"}
    assert {burst.entry.partition(" | ")[0] for burst in of_kind(records, Burst)} == {
        plan.groups[lengths.index(6)].name
    }


def test_ctrl_c_ends_the_workers_and_writes_the_end():
    records: list[AnyRecord] = []

    def interrupt(record):
        records.append(record)
        if isinstance(record, Decision):
            os.kill(os.getpid(), signal.SIGINT)

    end, _ = run(small_plan("numpy-inplace", blocks=3), write=interrupt)

    assert end.status == "interrupted"
    assert records[-1] == end
    assert of_kind(records, Burst)
    assert nothing_is_left()


@pytest.fixture
def prove(tmp_path) -> tuple[Arm, Prove]:
    """An arm and the job that proves it."""
    plan = small_plan("numpy-inplace")
    return plan.arms[0], JobMaker(tmp_path).prove(plan.groups[0].entries[0], plan.arms[0], None)


def test_inputs_that_changed_on_the_way_are_refused(prove):
    arm, job = prove
    worker = start_worker(arm, job)
    try:
        worker.receive(Ready)
        reply = worker.ask(replace(job, digest="0"), Proved | Refused)
        right = worker.ask(job, Proved | Refused)
    finally:
        worker.stop()

    assert isinstance(reply, Refused)
    assert (reply.status, reply.reason) == ("invalid", "the inputs' digest differs from the plan's")
    assert isinstance(right, Proved)


def test_a_stopped_worker_is_still_ended(prove):
    worker = start_worker(*prove)
    worker.receive(Ready)
    worker.pause()
    worker.stop()

    assert not worker.alive


def test_the_journal_folder_of_a_worker_is_gone_afterwards(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    run(small_plan("numpy-inplace"))

    assert not list(Path(tmp_path).glob("rnnbench-*"))
