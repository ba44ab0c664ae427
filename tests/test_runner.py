"""The runner with real workers: what fails becomes a status, the others go on, nothing is left running."""

import contextlib
import os
import signal
import threading
import time

import msgspec
import psutil
import pytest
from declared import small_plan
from msgspec.structs import replace
from played import of_kind, run

from bench.machine.child import Child
from bench.machine.environ import worker_environment
from bench.measure.block import WORKER
from bench.measure.messages import JobMaker, Prove, Refused, Setup
from bench.measure.runner import ROUNDS_OF_BLOCK_0
from bench.records.record import AnyRecord, Arm, Burst, Decision, Failure, Plan, Proved, Ready, Worker


def start_worker(arm: Arm, prove: Prove) -> Child:
    """Start a worker of one arm as a block does; it rehearses that job."""
    setup = Setup(arm.library, arm.device, arm.threads, prove)
    environment = worker_environment(arm.threads).variables
    return Child(WORKER, [msgspec.json.encode(setup).decode()], environment)


def nothing_is_left() -> bool:
    """No worker of this process is still there."""
    return not any("bench.measure.worker" in child.cmdline() for child in psutil.Process().children())


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[Plan, list[AnyRecord]]:
    """A plan of two counted blocks and the records of its run, whose scratch folder is gone."""
    plan, folder = small_plan("numpy-inplace", blocks=2), tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setattr("tempfile.tempdir", None)
        end, records = run(plan)
    assert end.status == "complete"
    assert list(folder.iterdir()) == []
    assert nothing_is_left()
    return plan, records


def test_a_run_takes_a_burst_of_every_entry_in_every_block(whole):
    plan, records = whole
    bursts = of_kind(records, Burst)
    entries = sorted(entry.id for entry in plan.groups[0].entries)
    assert sorted((burst.block, burst.entry) for burst in bursts) == [
        (block, entry) for block in (0, 1, 2) for entry in entries
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


def test_every_block_has_fresh_workers_whose_threads_were_read_back(whole):
    workers = of_kind(whole[1], Worker)
    assert len({worker.pid for worker in workers}) == len(workers) == 3 * 2
    assert {(worker.name, *sorted(worker.arms)) for worker in workers} == {
        ("numpy@cpu x1", "numpy-batched@cpu x1", "numpy-inplace@cpu x1"),
        ("numpy@cpu x1 control", "numpy-batched@cpu x1 twin"),
    }
    assert {worker.facts["threads"] for worker in workers} == {1}
    assert all(worker.ready_ns > 0 for worker in workers)


def test_the_decision_follows_block_0_and_the_end_comes_last(whole):
    kinds = [type(record).__name__ for record in whole[1]]
    decision = kinds.index("Decision")
    assert (kinds[0], kinds[-1]) == ("Conditions", "End")
    assert {record.block for record in whole[1][1:decision]} == {0}
    assert {record.block for record in whole[1][decision + 1 : -1]} == {1, 2}


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


def test_inputs_that_changed_on_the_way_are_refused(tmp_path):
    plan = small_plan("numpy-inplace")
    arm = plan.arms[0]
    job = JobMaker(tmp_path).prove(plan.groups[0].entries[0], arm, None)
    with start_worker(arm, job) as worker:
        worker.receive(Ready)
        assert worker.ask(replace(job, digest="0"), Proved | Refused) == Refused(
            "invalid", "the inputs' digest differs from the plan's"
        )
        assert isinstance(worker.ask(job, Proved | Refused), Proved)
        worker.pause()  # and is ended all the same
    assert not worker.alive
