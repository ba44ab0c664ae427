"""A probe in a real worker and in a run: it answers, it never costs an entry, a resumed run repeats it."""

from collections.abc import Callable
from typing import Any

import pytest
from declared import small_plan
from msgspec.structs import replace
from played import DIED, Asked, Stage, of_kind, run, set_stage
from test_resume import go_on
from test_runner import start_worker

from bench.machine.child import ChildError
from bench.measure import plan as planning
from bench.measure.budget import SPARE, Costs, decide
from bench.measure.messages import Close, JobMaker, Measured, ProbeJob, Ready, Refused
from bench.measure.plan import probe_job
from bench.records.record import AnyRecord, Burst, Plan, Primitive, Probe, Rates, Resumed
from bench.workload.operations import Kernel

BASELINE = "numpy-batched@cpu x1"
WANTED = [Kernel("call", (0,)), Kernel("tanh", (16,))]


MEASURED = Measured([Primitive(kernel, 1, [7]) for kernel in WANTED])


class Probing(Stage):
    """What a worker says to a probe is up to the test; the products of block 0's beginning are none."""

    def __init__(self, probe: Callable[[], Any] = lambda: MEASURED) -> None:
        super().__init__(react=lambda asked: self.probe() if is_probe(asked) else None)
        self.probe = probe


def is_probe(asked: Asked) -> bool:
    """Whether the job is a plan's probe."""
    return isinstance(asked.job, ProbeJob) and asked.job.wanted == WANTED


@pytest.fixture(autouse=True)
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setattr(planning, "wanted", lambda case, specs: WANTED)
    return set_stage(monkeypatch, Probing())


def rates_of(records: list[AnyRecord]) -> list[Rates]:
    """Those of the plan's probes: the first ones are block 0's best rates."""
    return of_kind(records, Rates)[1:]


def plan_with_probe(*variants: str, blocks: int = 1, arm: str = BASELINE, until: int | None = None) -> Plan:
    plan = small_plan(*(variants or ("numpy-inplace",)), blocks=blocks)
    return replace(plan, probes=[Probe(arm, plan.groups[0].entries[0].case, until)])


def told(records: list[AnyRecord]) -> list[tuple[int, int, str]]:
    """Block, number of operations, and why there are none."""
    return [(rates.block, len(rates.primitives), rates.reason) for rates in rates_of(records)]


def test_a_worker_answers_a_probe_and_goes_on_after_one_that_fails(tmp_path) -> None:
    plan = plan_with_probe()
    job = JobMaker(tmp_path).prove(plan.groups[0].entries[0], plan.arms[0], None)
    wanted = [Kernel("product", (4, 4, 4), "NT"), Kernel("tanh", (16,), into=True)]
    with start_worker(plan.arms[0], job) as worker:
        worker.receive(Ready)
        lacking = worker.ask(ProbeJob("cpu", "float32", [Kernel("sigmoid", (4,))]), Measured | Refused)
        reply = worker.ask(ProbeJob("cpu", "float32", wanted), Measured | Refused)

    assert "no attribute 'sigmoid'" in lacking.reason
    assert isinstance(reply, Measured)  # and no "imported torch", which a NumPy worker is refused for
    assert [timed.kernel for timed in reply.primitives] == wanted
    assert all(len(timed.elapsed_ns) == 3 and timed.n_calls >= 1 for timed in reply.primitives)


def test_a_block_asks_its_probes_last_and_in_as_many_blocks_as_declared() -> None:
    end, records = run(plan_with_probe(blocks=2, until=1))

    assert end.status == "complete"
    assert told(records) == [(0, 2, ""), (1, 2, "")]
    for rates in rates_of(records):
        assert [timed.kernel for timed in rates.primitives] == WANTED
        later = records[max(n for n, record in enumerate(records) if record == rates) :]
        assert not [burst for burst in of_kind(later, Burst) if burst.block == rates.block]


NEVER = ChildError("crashed", "ended with exit code 1 before its reply")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Refused("crashed", "AttributeError: no such thing"), "AttributeError: no such thing"),
        (ChildError("timeout", "no reply within 120 s"), "no reply within 120 s"),
        (NEVER, str(NEVER)),  # its worker never gets ready, and is not started again
        (DIED, ""),  # its worker dies at its end, and gets another for its probe
    ],
)
def test_a_probe_that_fails_is_told_loses_no_entry_and_is_tried_again(
    stage: Probing, answer: Any, reason: str
) -> None:
    if answer is DIED:
        stage.react = lambda asked: (
            DIED if isinstance(asked.job, Close) else MEASURED if is_probe(asked) else None
        )
    elif answer is NEVER:
        stage.ready = lambda block, worker, life: None if "control" in worker else NEVER
    else:
        stage.probe = lambda: answer
    plan = plan_with_probe()
    end, records = run(plan)

    assert told(records) == [(block, 0 if reason else 2, reason) for block in (0, 1)]
    assert any(life for _, _, life in stage.started) == (answer is DIED)
    if answer is not NEVER:
        assert end.status == "complete"
        assert len(of_kind(records, Burst)) == 2 * len(plan.groups[0].entries)


def test_a_probe_of_an_arm_that_has_a_worker_of_its_own_is_asked_there(
    stage: Probing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.machine.libraries.torch_library.why_not_compile", lambda device: None)
    _, records = run(plan_with_probe("torch-compile", arm="torch-compile@cpu x1"))
    assert [one.reason for one in rates_of(records) if one.arm == "torch-compile@cpu x1"][-1] == ""
    assert {asked.worker for asked in stage.asked if is_probe(asked)} == {"torch-compile@cpu x1"}


@pytest.mark.parametrize(("last", "first"), [(False, 1), (True, 2)])
def test_a_block_without_its_rates_is_measured_again(last: bool, first: int) -> None:
    whole = go_on([plan_with_probe(blocks=2)], first=True)
    place = max(n for n, record in enumerate(whole) if isinstance(record, Rates) and record.block == 1)
    whole = go_on(whole[: place + last])  # as a power cut leaves it, before or after the rates
    assert [one.block for one in of_kind(whole, Resumed)] == [first]
    assert [one.block for one in rates_of(whole)] == [0, 1, 2]


def test_the_time_budget_counts_what_probes_take() -> None:
    plan = plan_with_probe(blocks=5, until=3)
    without = decide(plan, [], Costs(10.0))
    counted = decide(plan, [], Costs(10.0, probes_s={BASELINE: 2.0}))
    assert counted.predicted_s - without.predicted_s == pytest.approx(3 * 2.0 * SPARE, abs=0.1)


def test_a_probe_asks_for_what_the_plans_variants_of_its_library_do(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(planning, "wanted", lambda case, specs: asked.append(list(specs)) or [])
    plan = plan_with_probe("numpy-inplace", "torch-cell")
    job = probe_job(plan, plan.probes[0])
    assert asked == [["numpy-batched", "numpy-inplace"]]
    assert (job.device, job.dtype) == ("cpu", "float32")
