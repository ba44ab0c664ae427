"""From how many steps on a later start pays: known answers come back, and sentences say no more than that."""

import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from acceptance.plans import mutated
from journals import example_plan, example_records
from msgspec.structs import replace
from reports import BASE, BEST_NUMPY, BEST_TORCH, USUAL, around, run_with

from bench.analysis import breakeven
from bench.analysis.breakeven import BreakEven, break_evens
from bench.analysis.summary import summarise
from bench.measure import worker
from bench.records.record import AnyRecord, Burst, Worker, measured_as
from bench.records.run import Run, make_run
from bench.reporting.reasons import sentence
from bench.workload.catalog import by_role

MS, US = 1_000_000, 1_000
GAIN_US = 60  # by which the later one's step is shorter
STEP = {BASE: 100 * US, USUAL: (100 - GAIN_US) * US}
START = {"numpy": 200 * MS, "torch": 1_700 * MS}
STEADY = dict.fromkeys(range(1, 11), 1.0)
Factors = Mapping[int, float]  # by block


def run_of(
    step_ns: Mapping[str, float] = STEP,
    start_ns: Mapping[str, float] = START,
    *,
    noise: Mapping[str, Factors] | None = None,
    cold_ns: Mapping[str, int] | None = None,
    quick: bool = False,
    **of_bursts: Mapping[str, int],
) -> Run:
    """The example with these times: of steps by entry, of starts by library, of other fields by entry.

    ``cold_ns``: of the process's first call, by library; without it none is known, as in older journals.
    """
    names = measured_as(example_plan().groups)
    step_ns = {names[entry]: time_ns for entry, time_ns in step_ns.items()}

    def changed(record: AnyRecord) -> AnyRecord:
        if isinstance(record, Worker):
            library = record.arms[0].partition("-")[0]
            return replace(record, ready_ns=round(start_ns[library]) + record.compile_cpu_ns)
        if not isinstance(record, Burst):
            return record
        entry, library = record.entry, record.entry.partition("| ")[2].partition("-")[0]
        fields: dict[str, Any] = {"first_call_ns": 1}
        fields |= {name: of[entry] for name, of in of_bursts.items() if entry in of}
        fields["cold_call_ns"] = (cold_ns or {}).get(library, 0) if record.cold_call_ns else 0
        if entry in step_ns:
            factor = (noise or {}).get(entry, STEADY).get(record.block, 1.0)
            elapsed = round(step_ns[entry] * factor * record.n_calls)
            fields["elapsed_ns"] = [elapsed] * len(record.elapsed_ns)
        return replace(record, **fields)

    return make_run([changed(record) for record in example_records(quick=quick)])


def pairs_of(run: Run, kind: str = "") -> list[BreakEven]:
    return [pair for pair in break_evens(summarise(run)) if kind in ("", pair.step.kind)]


def steps_of(pair: BreakEven) -> float | None:
    return pair.steps and pair.steps.estimate


def usual(run: Run) -> BreakEven:
    """The pair as usually written: numpy-batched against torch-layer."""
    return pairs_of(run, "as_written")[0]


def test_a_known_crossing_comes_back_and_noise_widens_its_interval():
    generator = np.random.Generator(np.random.PCG64(3))
    noise = {
        entry: {block: math.exp(generator.normal(0, 0.02)) for block in STEADY} for entry in (BASE, USUAL)
    }
    still, noisy = usual(run_of()), usual(run_of(noise=noise))
    assert still.kind == "crosses"
    assert (still.steps.low, still.steps.estimate, still.steps.high) == pytest.approx(
        (1_500 * MS / (GAIN_US * US),) * 3, rel=1e-6
    )
    assert (still.ahead_first.arm.library, still.behind_first.arm.library) == ("numpy", "torch")
    assert noisy.steps.low < still.steps.estimate < noisy.steps.high
    assert 1.01 < noisy.steps.high / noisy.steps.low < 1.5


def test_what_both_share_in_a_block_cancels():
    slow = {block: 1 + 0.5 * (block % 2) for block in STEADY}  # starts are not slower, so K* is not the same
    pair = usual(run_of({BASE: 100 * US, USUAL: 100 * US * 0.4}, noise={BASE: slow, USUAL: slow}))
    assert pair.kind == "crosses"
    assert (pair.steps.low, pair.steps.high) == pytest.approx((25_000 / 1.5, 25_000), rel=1e-6)


# what is paid once, and the expression that a mutant forgets
PARTS: dict[str, tuple[dict[str, Any], str]] = {
    "start": ({"start_ns": {"numpy": 1, "torch": 600 * MS}}, "worker.ready_ns - worker.compile_cpu_ns"),
    "set-up": ({"cold_ns": {"numpy": 1, "torch": 600 * MS}}, "burst.first_call_ns + set_up_ns"),
    "first call": ({"first_call_ns": {BASE: 1, USUAL: 600 * MS}}, "burst.first_call_ns + set_up_ns"),
    "transfer": ({"transfer_ns": {USUAL: 600 * MS}}, "burst.transfer_ns"),
}


@pytest.mark.parametrize(("options", "forgotten"), PARTS.values(), ids=PARTS)
def test_each_part_of_a_start_counts_and_a_mutant_that_forgets_it_finds_no_such_crossing(
    monkeypatch, options, forgotten
):
    run = run_of(**{"start_ns": {"numpy": 1, "torch": 1}, **options})
    expected = pytest.approx(600 * MS / (GAIN_US * US), rel=1e-4)
    assert (usual(run).kind, steps_of(usual(run))) == ("crosses", expected)
    monkeypatch.setattr(breakeven, "_parts", mutated(breakeven._parts, forgotten, "0"))
    assert steps_of(usual(run)) != expected


COMPILED, UNCOMPILED = "compiled | torch-compile@cpu x1", "compiled | torch-autograd@cpu x1"
COLD_NS = 21_000 * MS  # of the example's block 0
CACHE_NS = 2_800 * MS


def compiled_run() -> Run:
    return run_of({COMPILED: 100 * US, UNCOMPILED: 400 * US})


def test_compiling_from_nothing_is_block_0s_and_the_cache_is_told_apart():
    (pair,) = pairs_of(compiled_run(), "compiling")
    assert steps_of(pair) == pytest.approx(COLD_NS / (300 * US), rel=1e-4)
    assert steps_of(pair.from_cache) == pytest.approx(CACHE_NS / (300 * US), rel=1e-4)


@pytest.mark.parametrize(
    ("owner", "name", "old", "new"),
    [
        (breakeven.Cost, "fixed_ns", "self.compile_ns + ", ""),
        (breakeven, "_compile_times", "worker.block == 0", "worker.block > 0"),
        (breakeven, "_parts", " - worker.compile_cpu_ns", ""),
    ],
    ids=["forgets to compile", "takes compiling from later blocks", "counts compiling twice"],
)
def test_a_mutant_of_compiling_is_off(monkeypatch, owner, name, old, new):
    monkeypatch.setattr(owner, name, mutated(getattr(owner, name), old, new))
    (pair,) = pairs_of(compiled_run(), "compiling")
    assert steps_of(pair) != pytest.approx(COLD_NS / (300 * US), rel=0.1)


@pytest.mark.parametrize(("bound", "compiling"), [({"compile_ns": 7}, (7, 60)), ({}, (0, 0))])
def test_a_worker_tells_what_compiling_took_of_its_processor_time(monkeypatch, bound, compiling):
    readings = iter((100, 160))
    monkeypatch.setattr(worker, "time", SimpleNamespace(process_time_ns=lambda: next(readings)))
    monkeypatch.setattr(worker, "Batch", SimpleNamespace(load=lambda path: None))
    monkeypatch.setattr(worker, "load_variant", lambda spec: SimpleNamespace(load=dict, library="torch"))
    binding = SimpleNamespace(bound=SimpleNamespace(**bound))
    monkeypatch.setattr(worker, "bind_job", lambda *work: binding)
    setup: Any = SimpleNamespace(rehearsal=SimpleNamespace(spec="mine", folder="a folder"))
    assert worker._Worker(setup, {}, 1).rehearse() == compiling


TURNS = {block: 1.0 if block <= 8 else 3.0 for block in STEADY}
UNSURE = [0.2, -0.2, 0.15, -0.1, 0.05, -0.15, 0.1, -0.05, 0.12, -0.11]
NEVER = r"{} never catches up with {} at this size: it starts {}"
# a run, a kind of pair, how that ends, whether it has a verdict, and all that may be said
Sentence = tuple[Callable[[], Run], str, str, bool, str]
SENTENCES: dict[str, Sentence] = {
    "starts later, takes longer": (
        lambda: run_of({BASE: 100 * US, USUAL: 250 * US}), "as_written", "never", True,
        NEVER.format("PyTorch", "NumPy", r"1\.50 s .* later, and each step takes 2\.50 times .*"),
    ),
    "starts earlier, is quicker": (
        lambda: run_of(start_ns={"numpy": 900 * MS, "torch": 300 * MS}), "as_written", "always", True,
        NEVER.format("NumPy", "PyTorch", r"600 ms .* later, and .*"),
    ),
    "one step makes up for the start": (
        lambda: run_of({BASE: 5e9, f"{BASE} twin": 5e9, USUAL: 2e9}), "as_written", "always", True,
        NEVER.format("NumPy", "PyTorch", r"1\.50 s .* earlier, but each step takes 2\.50 times .*"),
    ),
    "blocks disagree": (
        lambda: run_of(noise={USUAL: TURNS}), "as_written", "open", True,
        "Whether PyTorch ever overtakes NumPy is open: .*, and their lines cross in 8 of 10 blocks.",
    ),
    "crosses": (
        lambda: run_of(), "as_written", "crosses", True,
        r"For fewer than 25\u202f000 steps \[25\u202f000, 25\u202f000\] use NumPy: PyTorch .*",
    ),
    "equivalent": (
        lambda: run_with({USUAL: around(1.0)}), "as_written", "open", True,
        "NumPy starts .* earlier than PyTorch, and a step takes both the same time .*: only .*",
    ),
    "unresolved": (
        lambda: run_with({USUAL: UNSURE}), "as_written", "open", True,
        "Whether PyTorch ever overtakes NumPy is open: .*, and it is not resolved whose step is shorter .*",
    ),
    "the control failed": (
        lambda: run_with({f"{BASE} twin": around(1.3), USUAL: around(0.4)}), "as_written", "open", True,
        "From how many steps on PyTorch is ahead of NumPy cannot be said: .*",
    ),
    "a pair that nobody declared follows the control": (
        lambda: run_with({f"{BASE} twin": around(1.3), USUAL: around(0.4)}), "loop", "open", True,
        "From how many steps on torch-layer is ahead of numpy-published .* cannot be said: .*",
    ),
    "a pair that nobody declared is judged like any other": (
        lambda: run_of({COMPILED: 100 * US, UNCOMPILED: 100.5 * US}), "compiling", "open", True,
        "torch-autograd starts .* earlier than torch-compile, and a step takes both the same time .*",
    ),
    "a quick run": (
        lambda: run_of(quick=True), "as_written", "crosses", False,
        "No verdict, but in 3 blocks: For fewer than 25\u202f000 steps use NumPy: .*",
    ),
    "the gradient of the tutorial is wrong": (
        lambda: make_run(example_records()), "loop", "crosses", True,
        r"torch-layer overtakes numpy-published \(known wrong gradient\) after .*",
    ),
    "a compiler": (compiled_run, "compiling", "crosses", True, "Compiling pays after .*"),
}  # fmt: skip


@pytest.mark.parametrize("what", SENTENCES)
def test_a_sentence_says_what_the_verdict_allows(what):
    run, kind, end, limited, pattern = SENTENCES[what]
    (first, *_) = pairs_of(run(), kind)
    assert (first.kind, bool(first.steps and first.steps.finite)) == (end, end == "crosses" and limited)
    assert (first.steps is not None) is (end == "crosses")
    assert re.fullmatch(pattern, sentence(first))


def test_the_pairs_are_the_headlines_the_compilers_and_the_tutorials(monkeypatch):
    records = example_records()
    pairs = pairs_of(make_run(records))
    sides = [(one.baseline.arm.variant, one.rival.arm.variant, one.rival.arm.threads) for one in pairs]
    assert sides == [
        ("numpy-batched", "torch-layer", 1),
        ("numpy-batched", "torch-layer", 2),
        ("numpy-inplace", "torch-inplace", 1),
        ("numpy-batched", "torch-compile", 1),
        ("torch-autograd", "torch-compile", 1),
        ("numpy-published", "torch-layer", 1),
        ("numpy-loop", "torch-layer", 1),
    ]
    (best,) = (pair for pair in pairs if pair.step.kind == "best")
    assert (best.baseline.entry.id, best.rival.entry.id) == (BEST_NUMPY, BEST_TORCH)
    unmeasured = [record for record in records if getattr(record, "entry", "") != USUAL]
    assert USUAL not in [pair.rival.entry.id for pair in pairs_of(make_run(unmeasured))]
    # another library as it is usually written breaks nothing
    other = dataclasses.replace(next(iter(by_role("as_written"))), name="other-rnn", library="other")
    monkeypatch.setattr(breakeven, "by_role", lambda role: (*by_role(role), other))
    assert len(pairs_of(make_run(records), "loop")) == 2


def test_an_accelerator_has_its_own_break_even_with_its_transfer():
    pairs = pairs_of(make_run(example_records(with_gpu=True)), "as_written")
    there = next(pair for pair in pairs if pair.rival.arm.device == "cuda:0")
    assert all(there.rival.transfer_ns > 0)
    assert all(there.baseline.transfer_ns == 0)
    assert "on cuda:0" in sentence(there)


@pytest.mark.parametrize(
    ("gap", "gain", "kind"),
    [
        (5, 1, "crosses"),
        (-5, -1, "crosses"),
        (5, -1, "never"),
        (5, 0, "never"),
        (-5, 1, "always"),
        (0, 1, "always"),
        (1, 2, "always"),  # made up for within the first step
        (-1, -2, "never"),
    ],
)
def test_one_block_crosses_or_does_not(gap, gain, kind):
    assert breakeven._kind(gap, gain) == kind
