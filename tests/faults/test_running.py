"""F10 to F14, F18 to F20 in a whole run: what fails has its status, the others go on, nothing is left."""

import os
from pathlib import Path

import psutil
import pytest
from declared import small_plan
from played import run as measure

from bench.measure import block
from bench.records.record import Burst, Failure, Worker
from faults.runs import GOOD_ARMS, TESTS, children_of


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where workers find ``faults.variants``."""
    monkeypatch.chdir(TESTS)


def arms_with_values(records: list) -> set[str]:
    return {one.entry.partition(" | ")[2] for one in records if isinstance(one, Burst)}


def nothing_is_left() -> bool:
    children = psutil.Process().children(recursive=True)
    return not any("bench.measure.worker" in child.cmdline() for child in children)


FAILING = {
    "segfaulting": ("crashed", "killed by SIGSEGV"),
    "exiting": ("crashed", "ended with exit code 3 before its reply"),
    "device_lost": ("crashed", "RuntimeError: device error: the device fell off the bus"),
    "out_of_turn": ("crashed", "protocol: it sent "),
    "other_question": ("crashed", "protocol: it sent what is no reply: Invalid value 'Measured'"),
    "killed": ("oom", "killed by SIGKILL"),
    "raising": ("crashed", "ValueError: no such thing"),
    "importing": ("invalid", "is a NumPy variant, but imported torch"),
    "too_large": ("oom", "MemoryError: Unable to allocate"),
    "nan": ("disagrees", "is finite"),
    "spoiling_late": ("disagrees", "after a value: loss is off by"),
}


def test_what_fails_has_its_status_and_no_value_and_the_others_go_on() -> None:
    end, records = measure(small_plan(*(f"faults.variants:{name}" for name in FAILING)))

    for name, (status, reason) in FAILING.items():
        arm = f"{name.replace('_', '-')}@cpu x1"
        failures = [one for one in records if isinstance(one, Failure) and one.entry.endswith(f" | {arm}")]
        assert {one.status for one in failures} == {status}, (name, failures)
        assert reason in failures[0].reason
    assert end.status == "partial"
    assert arms_with_values(records) == GOOD_ARMS
    assert nothing_is_left()


def test_who_hangs_is_ended_at_the_deadline_however_stubborn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block, "REPLY_DEADLINE_S", 0.5)
    hanging = ("stopping", "stubborn")
    end, records = measure(small_plan(*(f"faults.variants:{name}" for name in hanging), blocks=2))

    for variant in hanging:
        failures = [one for one in records if isinstance(one, Failure) and variant in one.entry]
        # it is not tried again
        assert [(one.status, one.reason) for one in failures] == [("timeout", "no reply within 0.5 s")]
        assert ("still busy" in failures[0].stderr) == (variant == "stubborn")
    assert arms_with_values(records) <= GOOD_ARMS  # on a slow machine a good one is not in time either
    assert end.status == "partial"
    assert nothing_is_left()


def test_who_only_talks_is_timed() -> None:
    """The negative control: the same variant without a fault."""
    end, records = measure(small_plan("faults.variants:chattering"))
    assert end.status == "complete", [one for one in records if isinstance(one, Failure)]
    assert len(arms_with_values(records)) == 3


@pytest.mark.parametrize(("variant", "again"), [("device_full", True), ("wrong", False)])
def test_after_memory_ran_out_the_next_case_gets_a_fresh_worker(variant: str, again: bool) -> None:
    _, records = measure(small_plan(f"faults.variants:{variant}", batch=(4, 5)))
    failures = [one for one in records if isinstance(one, Failure)]
    assert {one.status for one in failures} == {"oom" if again else "disagrees"}, failures
    workers = [one for one in records if isinstance(one, Worker) and one.block == 0]
    pids = [one.pid for one in workers if GOOD_ARMS.isdisjoint(one.arms)]
    assert len(pids) == len(set(pids)) == (2 if again else 1)


def test_children_that_are_left_would_be_seen(tmp_path: Path) -> None:
    assert psutil.Process().pid in {one.pid for one in children_of(os.getsid(0))}
