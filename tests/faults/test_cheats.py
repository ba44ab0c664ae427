"""What is kept from earlier calls is refused by a real worker, and costs no other entry anything."""

import pytest
from declared import small_plan
from played import run as measure

from bench.records.record import Burst, Failure
from faults.cheats import KEPT, NAMES
from faults.runs import GOOD_ARMS, TESTS


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where workers find ``faults.cheats``."""
    monkeypatch.chdir(TESTS)


@pytest.mark.parametrize("task", ["forward", "train_step"])
def test_no_result_that_was_kept_becomes_a_value(task: str) -> None:
    end, records = measure(small_plan(*(f"faults.cheats:{name}" for name in KEPT), task=(task,)))

    failed = {one.entry.partition(" | ")[2]: one.status for one in records if isinstance(one, Failure)}
    assert set(failed) == {f"{name}@cpu x1" for name in NAMES.values()}
    assert set(failed.values()) <= {"disagrees", "invalid"}
    assert {one.entry.partition(" | ")[2] for one in records if isinstance(one, Burst)} == GOOD_ARMS
    assert end.status == "partial"
