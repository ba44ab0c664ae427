"""A probe in a real worker and in a run: it answers, it never costs an entry, a resumed run repeats it."""

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from msgspec.structs import replace
from test_resume import went_on
from test_runner import Silent, of_kind, small_plan, start_worker

from bench.host.child import ChildError
from bench.measure import limits
from bench.measure.block import Blocks
from bench.measure.budget import Costs, decide
from bench.measure.inputs import JobMaker
from bench.measure.limits import probe_job
from bench.measure.messages import Done, Measured, ProbeJob, Ready, Refused
from bench.measure.runner import Runner
from bench.results.record import AnyRecord, Burst, Plan, Primitive, Probe, Rates, Resumed, Worker

BASELINE = "numpy-batched@cpu x1"
WANTED = [("call", [0]), ("tanh", [16])]


class Played:
    """In place of a worker process; what it says to a probe is up to the test, and so is its dying."""

    all: ClassVar[list["Played"]] = []
    probe: ClassVar[Callable[["Played"], Any]]
    dies_after: ClassVar[str | None] = None  # the arm whose worker dies on its first burst

    def __init__(self, arm: Any) -> None:
        self.arm, self.pid, self.alive, self.awake, self.stopped = arm, 1, True, True, False
        self.all.append(self)

    def receive(self, expected: Any, deadline_s: float) -> Ready:
        return Ready({"threads": 1}, 10**8, 0)

    def ask(self, job: Any, expected: Any, deadline_s: float) -> Any:
        assert self.alive
        assert [one for one in self.all if one.awake and not one.stopped] == [self]
        if isinstance(job, ProbeJob):
            return type(self).probe(self)
        if self.arm.id == self.dies_after:
            self.alive = False
            raise ChildError("crashed", "it died")
        return Done("ok", 10, [10**6] * 5, 10**6, 1, 0, 1, 0, "cpu", [])

    def resume(self) -> None:
        self.awake = True

    def pause(self) -> None:
        self.awake = False

    def terminate(self) -> None:
        self.awake = False

    def stop(self) -> None:
        self.alive, self.awake, self.stopped = False, False, True

    def last_words(self) -> str:
        return ""


@pytest.fixture(autouse=True)
def _played(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = Measured([Primitive(name, size, 1, [7]) for name, size in WANTED])
    monkeypatch.setattr(Played, "all", [])
    monkeypatch.setattr(Played, "probe", lambda worker: measured, raising=False)
    monkeypatch.setattr(Blocks, "_start", lambda blocks, arm: Played(arm))
    monkeypatch.setattr(limits, "wanted", lambda case, specs: WANTED)


def plan_with_probe(*variants: str, blocks: int = 1, arm: str = BASELINE, until: int | None = None) -> Plan:
    plan = small_plan(*(variants or ("numpy-inplace",)), blocks=blocks)
    return replace(plan, probes=[Probe(arm, plan.groups[0].entries[0].case, until)])


def run(plan: Plan) -> tuple[str, list[AnyRecord]]:
    records: list[AnyRecord] = []
    status = Runner(plan, records.append, Silent()).run().status
    assert all(worker.stopped for worker in Played.all)
    return status, records


def test_a_worker_answers_a_probe_and_goes_on_after_one_that_fails(tmp_path) -> None:
    plan = plan_with_probe()
    arm, case = plan.arms[0], plan.groups[0].entries[0].case
    job = JobMaker(tmp_path, plan.gates).job(case, arm, None)
    worker = start_worker(arm, job)
    asked = [("product NT", [4, 4, 4]), ("tanh into", [16])]
    try:
        worker.receive(Ready, 60)
        lacking = worker.ask(ProbeJob("cpu", "float32", [("sigmoid", [4])]), Measured | Refused, 60)
        reply = worker.ask(ProbeJob("cpu", "float32", asked), Measured | Refused, 60)
    finally:
        worker.stop()

    assert isinstance(lacking, Refused)
    assert "no attribute 'sigmoid'" in lacking.reason
    assert isinstance(reply, Measured)  # and no "imported torch", which a NumPy worker is refused for
    assert [(one.name, one.size) for one in reply.primitives] == asked
    assert all(len(one.elapsed_ns) == 3 and one.n_calls >= 1 for one in reply.primitives)


def test_a_block_asks_its_probes_last_and_in_as_many_blocks_as_declared() -> None:
    status, records = run(plan_with_probe(blocks=2, until=1))

    assert status == "complete"
    rates = of_kind(records, Rates)
    assert [(one.block, one.arm, one.reason) for one in rates] == [(0, BASELINE, ""), (1, BASELINE, "")]
    assert [(one.name, one.size) for one in rates[0].primitives] == WANTED
    for one in rates:
        later = records[records.index(one) + 1 :]
        assert not [burst for burst in of_kind(later, Burst) if burst.block == one.block]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Refused("crashed", "AttributeError: no such thing"), "AttributeError: no such thing"),
        (ChildError("timeout", "no reply within 120 s"), "no reply within 120 s"),
    ],
)
def test_a_probe_that_fails_is_told_loses_no_entry_and_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, answer: Any, reason: str
) -> None:
    def probe(worker: Played) -> Any:
        if isinstance(answer, ChildError):
            raise answer
        return answer

    monkeypatch.setattr(Played, "probe", probe)
    plan = plan_with_probe()
    status, records = run(plan)

    assert status == "complete"
    rates = of_kind(records, Rates)
    assert [(one.block, one.primitives, one.reason) for one in rates] == [(0, [], reason), (1, [], reason)]
    assert len(of_kind(records, Burst)) == 2 * len(plan.groups[0].entries)


def test_a_worker_that_died_on_its_entry_gets_another_for_its_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Played, "dies_after", BASELINE)
    plan = plan_with_probe()
    _, records = run(plan)

    first = next(one for one in of_kind(records, Rates) if one.block == 0)
    assert (first.reason, len(first.primitives)) == ("", 2)
    workers = [worker.arm for worker in of_kind(records, Worker) if worker.block == 0]
    assert sorted(workers) == sorted([*(arm.id for arm in plan.arms), BASELINE])


def test_an_arm_that_is_not_there_is_told_without_another_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def receive(self: Played, expected: Any, deadline_s: float) -> Ready:
        if self.arm.id == BASELINE:
            raise ChildError("crashed", "ended with exit code 1 before its reply")
        return Ready({"threads": 1}, 10**8, 0)

    monkeypatch.setattr(Played, "receive", receive)
    _, records = run(plan_with_probe())
    assert {one.reason for one in of_kind(records, Rates)} == {"ended with exit code 1 before its reply"}


@pytest.mark.parametrize(("last", "first"), [(False, 1), (True, 2)])
def test_a_block_without_its_rates_is_measured_again(last: bool, first: int) -> None:
    plan = plan_with_probe(blocks=2)
    records: list[AnyRecord] = [plan]

    def write(record: AnyRecord) -> None:
        ends = isinstance(record, Rates) and record.block == 1
        if not ends or last:
            records.append(record)
        if ends:
            raise KeyboardInterrupt

    Runner(plan, write, Silent()).run()
    whole = went_on(records[:-1])  # without the end, as a power cut leaves it

    assert [one.block for one in of_kind(whole, Resumed)] == [first]
    assert [one.block for one in of_kind(whole, Rates)] == [0, 1, 2]


def test_the_time_budget_counts_what_probes_take() -> None:
    plan = plan_with_probe(blocks=5, until=3)
    without = decide(plan, [], Costs(1.0, {}, 10.0))
    counted = decide(plan, [], Costs(1.0, {}, 10.0, probes_s={BASELINE: 2.0}))
    assert counted.predicted_s - without.predicted_s == pytest.approx(3 * 2.0)


def test_a_probe_asks_for_what_the_plans_variants_of_its_library_do(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(limits, "wanted", lambda case, specs: asked.append(list(specs)) or [])
    plan = plan_with_probe("numpy-inplace", "torch-cell")
    job = probe_job(plan, plan.probes[0])
    assert asked == [["numpy-batched", "numpy-inplace"]]
    assert (job.device, job.dtype) == ("cpu", "float32")
