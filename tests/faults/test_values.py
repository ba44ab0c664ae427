"""F15, F18 to F20 inside a worker: no number where the clock, the device or the answer is wrong."""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from declared import small_plan
from msgspec.structs import replace
from played import run as measure

from bench.machine import clock
from bench.machine.libraries import NumPy
from bench.measure.messages import JobMaker, Prove, Turn, Value
from bench.measure.worker import Inputs, Refusal, hold, refusal, take
from bench.proof.agreement import compare
from bench.records.journal import Journal
from bench.records.record import Calibration
from bench.workload.catalog import Implementation, Variant
from faults.runs import TESTS

NAN = math.nan


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Prove:
    """The job of a counted block for a small forward pass: two calls a value."""
    plan = small_plan("numpy-inplace", task=("forward",))
    maker = JobMaker(tmp_path_factory.mktemp("jobs"))
    return maker.prove(plan.groups[0].entries[0], plan.arms[0], Calibration(2, 1, True, 1))


def own(name: str) -> Variant:
    """A variant of ``faults.variants``, said to know every device."""
    return Variant(
        name, "numpy", {"rnn": Implementation(f"faults.variants:{name}.bind")}, "", ("cpu", "cuda", "mps")
    )


def value_of(variant: Variant, job: Prove) -> Value:
    """Prove and hold a variant, and take a value on the batch that it was not proved on."""
    held, proved = hold(variant, job, Inputs.load(job), fresh=False)
    return take(held, Turn(job.key, 1, proved.n_calls, 1, None))


def test_a_right_variant_has_values(job: Prove) -> None:
    """The negative control of all that follow."""
    assert value_of(own("quiet"), job).elapsed_ns > 0


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nan", "is finite"),
        ("infinite", "is finite"),
        ("wrong", "off by 0.0005"),
        ("spoiling", "not true: inputs unchanged"),
        ("spoiling_late", "after a value: "),  # it has kept a copy of the first batch
    ],
)
def test_a_wrong_answer_has_no_time(job: Prove, name: str, reason: str) -> None:
    with np.errstate(all="ignore"), pytest.raises(Refusal) as refused:
        value_of(own(name), job)
    reply = refused.value.reply
    assert (reply.status, reason in reply.reason) == ("disagrees", True), reply.reason
    assert all(math.isfinite(check.error) for check in reply.checks)


def test_numbers_of_the_cpu_never_stand_under_the_name_of_another_device(job: Prove) -> None:
    with pytest.raises(ValueError, match="cuda:0"):
        value_of(own("quiet"), replace(job, device="cuda:0"))


def test_inputs_that_are_not_the_plans_have_no_value(job: Prove) -> None:
    with pytest.raises(Refusal, match="the inputs' digest differs from the plan's"):
        Inputs.load(replace(job, digest="0"))


def test_the_first_call_of_a_process_is_timed_with_what_the_device_still_does(
    job: Prove, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    seen: list[list[str]] = []  # of each value: what was done while the clock ran
    take_value = clock.take_value

    def noted(call: clock.Call, n_calls: int, **options: Any) -> clock.Value:
        done.clear()
        value = take_value(lambda: done.append("call") or call(), n_calls, **options)
        seen.append(list(done))
        return value

    monkeypatch.setattr(clock, "take_value", noted)
    monkeypatch.setattr(NumPy, "synchroniser", lambda own, device: lambda: done.append("wait"))
    _, first = hold(own("quiet"), job, Inputs.load(job), fresh=True)
    assert first.cold_call_ns > 0
    assert seen[0][:3] == ["wait", "call", "wait"]
    _, later = hold(own("quiet"), job, Inputs.load(job), fresh=False)
    assert later.cold_call_ns == 0


def readings(*steps: float) -> Callable[[], float]:
    """A clock that goes on by these steps, again and again."""
    times: Iterator[float] = itertools.accumulate(itertools.cycle(steps))
    return lambda: next(times)


CLOCKS = {
    "stands still": (0,),
    "runs backwards": (-5,),
    "is no number": (NAN,),
    "goes on for ever": (math.inf,),
}


@pytest.mark.parametrize("steps", CLOCKS.values(), ids=CLOCKS)
def test_a_clock_that_is_broken_gives_no_value(steps: tuple[float, ...]) -> None:
    broken = readings(*steps)
    with pytest.raises(clock.ClockError):
        clock.take_value(lambda: None, 3, clock=broken)  # type: ignore[arg-type]
    with pytest.raises(clock.ClockError):
        clock.clock_cost_ns(broken)  # type: ignore[arg-type]
    assert clock.take_value(lambda: None, 3, clock=readings(7)).elapsed_ns == 7  # type: ignore[arg-type]


def test_a_broken_clock_makes_an_entry_invalid(job: Prove, monkeypatch: pytest.MonkeyPatch) -> None:
    take_value = clock.take_value

    def stopped(call: clock.Call, n_calls: int, **options: object) -> clock.Value:
        return take_value(call, n_calls, **options | {"clock": lambda: 1234})  # type: ignore[arg-type]

    monkeypatch.setattr(clock, "take_value", stopped)
    with pytest.raises(clock.ClockError) as error:
        value_of(own("quiet"), job)
    assert refusal(error.value, "").status == "invalid"


def test_no_error_that_is_not_a_number_passes_for_a_small_one() -> None:
    """``max(0, nan)`` is 0, and ``nan > tolerance`` is false."""
    good = np.array([1.0, 2.0])
    for actual, wanted, scale in ((good * NAN, good, None), (good, good * NAN, None), (good, good + 1, NAN)):
        check = compare("y_hat", actual, wanted, 1e-6, "float64", scale=scale)
        assert not check.passed, (actual, wanted, scale)
    assert compare("y_hat", good, good, 1e-6, "float64").passed


def test_a_run_with_results_that_are_no_numbers_writes_its_whole_journal(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(TESTS)
    end, records = measure(small_plan("faults.variants:nan"))
    assert end.status == "partial"
    with Journal(tmp_path / "journal.jsonl") as journal:
        for record in records:
            journal.write(record)
