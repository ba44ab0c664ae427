"""The acceptance tests' machinery, small: real workers on kernels of known cost, and the device in a thread.

No rates, no durations and no verdicts, which are measured in tests/acceptance: only that everything comes.
"""

from acceptance.fake_device import FakeDevice
from acceptance.plans import compared, make_plan, mutated, own, row

from bench.machine import clock

BLOCKS = 3


def test_a_run_on_kernels_of_known_cost_comes_to_a_judgement(tmp_path):
    run, judgement = compared(make_plan(own("same", "double"), blocks=BLOCKS, seed=0), tmp_path)

    assert len(run.bursts) == 3 * (BLOCKS + 1)
    assert all(twin.blocks == BLOCKS for twin in judgement.twins)
    assert row(judgement, "double").blocks == BLOCKS


def test_a_missing_wait_for_a_device_is_refused_and_a_full_one_is_not():
    device = FakeDevice()
    try:
        launch, wait = device.launch, device.synchronise
        full = [clock.take_value(launch, 3, synchronise=wait) for _ in range(5)]
        closing = "        synchronise()\n        end = clock()", "        end = clock()"
        mutant = mutated(clock.take_value, *closing)
        missing = [mutant(launch, 3, synchronise=wait) for _ in range(5)]
    finally:
        device.close()
    assert not clock.still_busy(full)
    assert clock.still_busy(missing)
    assert min(value.per_call_ns for value in full) >= 1.9e6
