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


def test_no_result_that_was_kept_becomes_a_value() -> None:
    plan = small_plan(*(f"faults.cheats:{name}" for name in KEPT), task=("forward", "train_step"))
    end, records = measure(plan)

    entries = {entry.id for group in plan.groups for entry in group.entries}
    honest = {entry for entry in entries if entry.partition(" | ")[2] in GOOD_ARMS}
    failed = {one.entry: one.status for one in records if isinstance(one, Failure)}
    assert len(entries) == 2 * len(GOOD_ARMS | NAMES.keys())
    assert set(failed) == entries - honest
    assert set(failed.values()) <= {"disagrees", "invalid"}
    assert {one.entry for one in records if isinstance(one, Burst)} == honest
    assert end.status == "partial"
