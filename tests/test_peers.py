"""Libraries beside NumPy and PyTorch: asked for, kept out of the headline, and named where they beat both."""

import dataclasses
import math
import re
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from bursts import burst
from declared import declare
from journals import example_environment
from msgspec import structs
from reports import around, facts_of
from streams import write_stream

from bench import proof
from bench.analysis.tail import analyse
from bench.api import listing
from bench.api.options import StreamOptions, VariantsOptions
from bench.api.stream import choose_arms, make_case
from bench.api.sweep import own_code
from bench.machine.environ import worker_environment
from bench.machine.errors import UserError
from bench.measure.budget import Forms, entries_of
from bench.records.record import AnyRecord, Burst, Decision, End, Plan
from bench.records.run import Run, make_run
from bench.records.stream import CONTROL, read_stream
from bench.reporting import answer
from bench.reporting.advice import make_advice
from bench.reporting.facts import Facts
from bench.reporting.machines import _question
from bench.reporting.streamed import answer_one
from bench.workload import catalog, data
from bench.workload.case import Case, Shape, sine_case
from bench.workload.catalog import Implementation, Variant
from bench.workload.cell import CELLS
from bench.workload.peers import jax_scan, libraries, numba_loop

BASE_NS = 1_000_000
LIBRARIES = ("numpy-inplace", "torch-layer", "torch-inplace")
TIMES = {"numpy-batched": 1.0, "numpy-inplace": 0.8, "torch-layer": 4.0, "torch-inplace": 2.4}


def fake(name: str) -> Variant:
    """A peer of a library from outside, which is here."""
    return Variant(
        name, "frozen", {"rnn": Implementation("third_parties.frozen:bind")}, "a fake",
        tasks=catalog.WITH_STREAM, compiles=True, peer=True, own_library="third_parties.frozen:FROZEN",
    )  # fmt: skip


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two peers that need not be installed."""
    monkeypatch.setattr(catalog, "PEERS", (fake("fast-jit"), fake("slow-loop")))


def plan(**options: object) -> Plan:
    """A table of both libraries and the peers."""
    return declare(*LIBRARIES, **{"peers": True, "task": ("train_step",)} | options)  # type: ignore[arg-type]


def bursts(made: Plan, times: Mapping[str, float], blocks: int) -> list[Burst]:
    """Bursts of arms that take so many times BASE_NS, hardly scattered; peers that are not named take 9."""
    variants = {arm.id: arm.variant for arm in made.arms}
    return [
        burst(block, entry.id, [round(BASE_NS * math.exp(logs[block % len(logs)]))] * 3)
        for block in range(blocks + 1)
        for entry in entries_of(made.groups)
        for logs in [around((TIMES | times).get(variants[entry.arm], 9.0))]
    ]


def run(times: Mapping[str, float], *, blocks: int = 10, **options: object) -> Run:
    """A run whose arms take so many times as long as the baseline."""
    made = plan(**options)
    timed = bursts(made, times, blocks)
    forms = Forms(made, timed)
    decision = Decision([*forms.best(), *forms.peers()], 1.0, blocks, 10, [], [])
    end = End("complete", "all blocks done", 9.0, "2026-01-02T03:05:42+00:00")
    records: list[AnyRecord] = [made, example_environment(), decision, *timed, end]
    return make_run(records)


def variants(made: Run, kind: str) -> list[tuple[str, str]]:
    """The pairs of a kind, by their variants."""
    arms = {name: made.arms[entry.arm].variant for name, entry in made.entries.items()}
    return [(arms[pair.entry], arms[pair.baseline]) for pair in made.pairs if pair.kind == kind]


def test_peers_are_planned_once_and_on_one_thread_alone_and_only_where_asked(fakes: None) -> None:
    asked = plan(threads=(1, 2))
    peers = [arm.id for arm in asked.arms if arm.peer]
    assert peers == ["fast-jit@cpu x1", "slow-loop@cpu x1"]
    assert not [pair for pair in asked.pairs if "fast-jit" in pair.entry]
    assert [(one.name, one.label) for one in asked.libraries] == [("frozen", "Frozen")]
    assert not [arm for arm in plan(peers=False).arms if arm.peer]
    with pytest.raises(UserError, match="one thread: give --threads 1 as well"):
        plan(threads=(2,))


def test_what_has_no_float64_has_no_dispatch_since_that_is_proved_in_it(
    fakes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow = dataclasses.replace(fake("narrow"), dtypes=("float32",))
    monkeypatch.setattr(catalog, "PEERS", (*catalog.PEERS, narrow))
    entries = {group.name: [entry.arm for entry in group.entries] for group in plan(task=()).groups}
    assert "narrow@cpu x1" in entries["train_step positional"]
    assert ("fast-jit@cpu x1" in entries["dispatch"], "narrow@cpu x1" in entries["dispatch"]) == (True, False)


def test_the_catalogue_stays_without_them_and_the_list_has_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert not [variant for variant in catalog.VARIANTS if variant.peer]
    assert listing.variants_main(VariantsOptions()) == 0
    assert all(peer.name in capsys.readouterr().out for peer in catalog.PEERS[:1])


def test_what_is_not_installed_is_one_line_with_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lacking = {"jax", "numba", "onnx"}
    finder = SimpleNamespace(find_spec=lambda name: None if name in lacking else name)
    monkeypatch.setattr(libraries, "importlib", SimpleNamespace(util=finder))
    with pytest.raises(UserError) as refused:
        plan()
    assert str(refused.value) == (
        '--peers: JAX, Numba and ONNX Runtime cannot be used: pip install "rnnbench[peers]"'
    )
    lacking.remove("jax")
    with pytest.raises(
        UserError, match=r"^--peers: Numba and ONNX Runtime .*; or name what is here, as --variant jax-jit$"
    ):
        plan()
    reason = 'ONNX Runtime needs onnx (pip install "rnnbench[peers]")'
    peer = catalog.find("onnxruntime-layer")
    assert peer.unsupported(sine_case("forward", "positional"), "cpu") == reason
    assert listing.variants_main(VariantsOptions()) == 0
    told = 'For numba-loop and onnxruntime-layer: pip install "rnnbench[peers]"'
    assert told in capsys.readouterr().out.splitlines()


def test_the_fastest_peer_is_compared_with_the_best_of_both_and_is_in_no_headline(fakes: None) -> None:
    made = run({"fast-jit": 0.2})
    assert variants(made, "peer") == [("fast-jit", "numpy-inplace"), ("fast-jit", "torch-inplace")]
    assert variants(made, "best") == [("torch-inplace", "numpy-inplace")]
    forms = Forms(made.plan, made.bursts)
    (anywhere,) = forms.anywhere()
    assert "fast-jit" not in anywhere.entry
    # where time is short, who is compared stays
    kept = forms.others(forms.peers(), all_threads=True)
    assert {"slow-loop@cpu x1", "torch-layer@cpu x1"} <= kept
    assert not {"fast-jit@cpu x1", "numpy-inplace@cpu x1", "torch-inplace@cpu x1"} & kept


@pytest.mark.parametrize("peer", [0.2, 1.0, 3.0])
def test_peers_take_no_verdict_from_the_libraries(fakes: None, peer: float) -> None:
    made, alone = run({"fast-jit": peer}), run({}, peers=False)
    for one in (facts_of(made), facts_of(alone)):
        judged = {pair.entry: pair for pair in one.summary.headlines if pair.kind != "peer"}
        assert {pair.family for pair in judged.values()} == {1, 3}
    assert facts_of(made).rows.keys() > facts_of(alone).rows.keys()
    assert {pair.family for pair in facts_of(made).summary.headlines if pair.kind == "peer"} == {2}


@pytest.mark.parametrize(
    ("times", "options", "said"),
    [
        (
            {"fast-jit": 0.2},
            {},
            r"Neither: fast-jit is 4\.00 times faster than both \(4\.00 times \[.*\] faster than "
            r"numpy-inplace and 12\.0 times \[.*\] faster than torch-inplace\)\.",
        ),
        (
            {"fast-jit": 1.6},
            {},
            r"fast-jit, the fastest of them, is not ahead of both: NumPy is 2\.00 times faster .* than "
            r"Frozen; Frozen is 1\.50 times faster .* than PyTorch\.",
        ),
        (
            {"fast-jit": 0.2},
            {"quick": True, "blocks": 3},
            "fast-jit, the fastest of them, is not proved to be ahead of both: Frozen measured 4.* NumPy;.*",
        ),
        (
            {"fast-jit": 0.2},
            {"hidden": (32, 64)},
            r"Neither, in 2 of 2 tables: fast-jit is 4\.00 times faster than both with hidden 32 and "
            r"fast-jit is 4\.00 times faster than both with hidden 64\.",
        ),
        ({}, {"hidden": (32, 64)}, "No peer is proved to be ahead of both in any of 2 tables\\."),
        ({}, {"peers": False}, None),
    ],
)
def test_neither_is_said_in_a_sentence_of_its_own_and_only_where_it_is_proved(
    fakes: None, times: dict[str, float], options: dict[str, object], said: str | None
) -> None:
    facts = facts_of(run(times, **{"blocks": 10} | options))  # type: ignore[arg-type]
    hero = answer.hero(facts)
    sentence = dict(hero.facts).get("Other libraries")
    if said is None:
        assert sentence is None
        return
    assert sentence is not None
    assert re.fullmatch(said, sentence), sentence
    assert f"Other libraries: {sentence}" in answer.terminal_lines(facts)
    assert "Frozen" not in hero.title
    assert "jit" not in hero.title


def test_with_other_places_the_sentence_says_which_one_it_is_of(fakes: None) -> None:
    def said(**options: object) -> str:
        facts = facts_of(run({"fast-jit": 0.2}, threads=(1, 2), blocks=12, **options))  # type: ignore[arg-type]
        return dict(answer.hero(facts).facts)["Other libraries"]

    assert said().startswith("Neither: fast-jit is 4.00 times faster than both with one thread of the CPU (")
    assert said(hidden=(32, 64)).startswith("Neither with one thread of the CPU, in 2 of 2 tables: fast-jit")


def test_the_sentence_is_of_all_sizes_of_a_refined_grid(fakes: None) -> None:
    first, second = (run({"fast-jit": peer}, hidden=(size,)) for size, peer in ((32, 0.2), (64, 1.6)))
    assert dict(answer.hero(Facts.of(first, [second])).facts)["Other libraries"] == (
        "Neither, in 1 of 2 tables: fast-jit is 4.00 times faster than both with hidden 32; in the others no "
        "peer is proved to be ahead of both."
    )


def test_machines_that_chose_other_peers_answer_one_question_for_each_library(fakes: None) -> None:
    def questions(fastest: str) -> list[object]:
        facts = facts_of(run({fastest: 0.2}))
        return [_question(facts, pair) for pair in facts.summary.headlines if pair.kind == "peer"]

    assert questions("fast-jit") == questions("slow-loop")
    assert len(set(questions("fast-jit"))) == 2


def test_without_a_variant_of_both_no_peer_becomes_the_answer(fakes: None) -> None:
    refused = "^--peers are compared with NumPy and PyTorch: give a --variant of PyTorch as well$"
    with pytest.raises(UserError, match=refused):
        declare("numpy-batched", peers=True)
    args = StreamOptions(variant=("numpy-inplace",), peers=True)
    with pytest.raises(UserError, match=refused):
        choose_arms(args, make_case(args))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("task", catalog.WITH_STREAM)
def test_loops_compute_every_cell_before_they_are_compiled(
    monkeypatch: pytest.MonkeyPatch, cell: str, task: str
) -> None:
    monkeypatch.setitem(sys.modules, "numba", SimpleNamespace(njit=lambda **_: lambda function: function))
    assert cell in catalog.find("numba-loop").cells
    for shape in (Shape(5, 3, 2, 4, 2), Shape(1, 1, 1, 1, 1)):
        for bias in (False, True):
            case = Case(task, shape, "sequence", data="random", cell=cell, bias=bias)  # type: ignore[arg-type]
            batch = data.make(case)
            bind = getattr(numba_loop, cell)
            checks = proof.prove(bind, case, batch, proof.expected(case, batch), library="numpy")
            assert proof.status(checks) == "ok", proof.failures(checks)


@pytest.mark.parametrize(
    ("task", "reads_y"), [("stream", False), ("forward", False), ("gradient", True), ("train_step", True)]
)
def test_jax_is_fed_what_its_task_reads(task: str, reads_y: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    converted, inputs = list[Any](), list[Any]()

    def asarray(array: Any, *_: object) -> Any:
        converted.append(array)
        return array

    def function(params: Any, x: Any, state: Any, *others: Any) -> Any:
        inputs[:] = x, *others[:1]
        return params, state

    fake_jax: Any = SimpleNamespace(numpy=SimpleNamespace(zeros=np.zeros, asarray=asarray))
    monkeypatch.setitem(sys.modules, "jax", fake_jax)
    monkeypatch.setattr(jax_scan, "compiled", lambda *_: function)
    x, y = np.zeros((1, 1, 2)), np.zeros((1, 2))
    bound = jax_scan.rnn(task, {"W": np.zeros((3, 3))}, x, y, delta=1.0, lr=0.1)
    converted.clear()
    bound.feed(x := x + 1, y := y + 1)
    bound.call()
    read = [x, y][: 1 + reads_y]
    assert [*map(id, converted)] == [*map(id, inputs)] == [*map(id, read)]


def test_an_old_jax_is_one_line_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def update(name: str, value: object) -> None:
        raise AttributeError(f"Unrecognized config option: {name}")

    old = SimpleNamespace(__version__="0.4", config=SimpleNamespace(update=update))
    monkeypatch.setitem(sys.modules, "jax", old)  # type: ignore[arg-type]
    for variable in ("XLA_FLAGS", "NPROC"):
        monkeypatch.setenv(variable, "")  # what is set below ends with the test
    with pytest.raises(
        UserError, match=r'^JAX 0\.4 has no setting .*: pip install "rnnbench\[peers\]" brings'
    ):
        libraries.JAX.load()


def test_variables_that_tune_a_peer_are_on_record_but_reach_no_worker() -> None:
    own = {"XLA_FLAGS": "--x", "JAX_PLATFORMS": "cuda", "NUMBA_NUM_THREADS": "8", "NPROC": "4"}
    environment = worker_environment(1, base=own)
    assert environment.dropped.keys() == own.keys()
    assert not environment.variables.keys() & own.keys()


def test_hosts_of_a_sweep_are_asked_for_the_versions_of_peers() -> None:
    assert own_code(("numpy-batched", "jax-jit", "mine:it")) == ["jax-jit", "mine:it"]
    assert bool(catalog.origin("jax-jit")) == (catalog.why_no_peer(catalog.find("jax-jit")) is None)


def test_neither_is_said_in_advice_but_not_as_what_to_use(fakes: None) -> None:
    advice = make_advice(run({"fast-jit": 0.2}, budget_rule="hold"), Path("folder"), 30.0)
    (neither,) = (sentence for sentence in advice.sentences if "Neither" in sentence)
    assert neither.startswith("Neither: fast-jit is 4.00 times faster than both")
    assert neither in advice.to_json()
    assert (advice.use, advice.verdict) == ("numpy", "SLOWER")


def test_peers_without_times_are_told(fakes: None) -> None:
    made = plan()
    timed = [one for one in bursts(made, {}, 10) if "torch" not in one.entry]
    end = End("complete", "all blocks done", 9.0, "2026-01-02T03:05:42+00:00")
    forms = Forms(made, timed)
    assert forms.peers() == []
    facts = facts_of(make_run([made, example_environment(), Decision([], 1.0, 10, 10, [], []), *timed, end]))
    missing = "not compared, since times of a peer, of NumPy or of PyTorch are missing."
    assert dict(answer.hero(facts).facts)["Other libraries"] == f"fast-jit and slow-loop: {missing}"


@pytest.mark.parametrize(
    ("processors", "others", "said"),
    [
        (1.01, 1, ""),
        (1.7, 1, "but beside it 1 more compute in its calls, with 1.7 processors in all"),
        (
            0.6,
            2,
            "but beside it 2 more compute in its calls, with 0.6 processors in all",
        ),  # on a busy machine
    ],
)
def test_who_computes_with_more_than_one_thread_is_found_out(
    monkeypatch: pytest.MonkeyPatch, processors: float, others: int, said: str
) -> None:
    monkeypatch.setattr(libraries, "watch", lambda call: (processors, others))
    assert libraries.JAX.computes_elsewhere(lambda: None).partition("thread, ")[2] == said


def test_threads_are_told_by_what_each_of_them_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    now, spent = iter([0, 10**9, 2 * 10**9]), iter([0, 10**8, 10**9])
    clock = SimpleNamespace(perf_counter_ns=lambda: next(now), process_time_ns=lambda: next(spent))
    own = threading.get_native_id()
    seconds = iter([{own: 5.0, -1: 5.0, -2: 5.0}, {own: 5.4, -1: 5.5, -2: 5.05, -3: 0.2}])
    monkeypatch.setattr(libraries, "time", clock)
    monkeypatch.setattr(libraries, "_thread_seconds", lambda: next(seconds))
    assert libraries.watch(lambda: None) == (0.5, 2)


@pytest.mark.parametrize(
    ("peer_ns", "quick", "said"),
    [
        (
            1000,
            False,
            "Neither: fast-jit is faster than both, 4.00 times at the median and 4.00 times at p99.",
        ),
        (6000, False, "fast-jit is not ahead of both at any percentile."),
        (4001, False, "fast-jit is not proved to be ahead of both at any percentile."),
        (1000, True, "fast-jit is not proved to be ahead of both at any percentile."),
    ],
)
def test_a_stream_says_neither_in_a_sentence_of_its_own(
    fakes: None, tmp_path: Path, peer_ns: int, quick: bool, said: str
) -> None:
    def taking(ns: int) -> Callable[[int], list[float]]:
        return lambda block: [ns * (1 + block / 10_000)] * 3000

    times = {
        "numpy-inplace": 4000,
        "torch-inplace": 8000,
        "fast-jit": peer_ns,
        "slow-loop": 9000,
        CONTROL: 100,
    }
    calls = {name: taking(ns) for name, ns in times.items()}
    tails = analyse(read_stream(write_stream(tmp_path / "stream", calls, quick=quick)))
    assert answer_one(tails).sentence.endswith(f" {said}")
    pairs = {(ratio.kind, ratio.entry.variant, ratio.baseline.variant) for ratio in tails.ratios}
    assert pairs == {
        ("best", "torch-inplace", "numpy-inplace"),
        ("peer", "fast-jit", "numpy-inplace"),
        ("peer", "fast-jit", "torch-inplace"),
    }
    assert quick or {ratio.family for ratio in tails.ratios if ratio.kind == "best"} == {2}


def test_the_sentence_of_a_stream_says_which_library_is_on_an_accelerator(
    fakes: None, tmp_path: Path
) -> None:
    times = {"numpy-inplace": 4000, "torch-inplace": 8000, "fast-jit": 1000, CONTROL: 100}
    calls = {name: [float(ns)] * 3000 for name, ns in times.items()}
    stream = read_stream(write_stream(tmp_path / "stream", calls, quick=True))
    numpy, torch, peer = stream.declaration.arms
    arms = [numpy, structs.replace(torch, device="cuda:0"), peer]
    on_cuda = replace(stream, declaration=structs.replace(stream.declaration, arms=arms))
    sentence = answer_one(analyse(on_cuda)).sentence
    assert "PyTorch on cuda:0 2.00 times [2.00, 2.00] as long at the median" in sentence
    said = "is not proved to be ahead of NumPy and PyTorch on cuda:0 at any percentile."
    assert sentence.endswith(f" fast-jit {said}")


def test_a_stream_without_a_time_of_one_library_names_no_peer_as_its_answer(
    fakes: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.pairs_of", lambda arms, medians: [])  # as where PyTorch fails at first
    times = {"numpy-inplace": 4000, "fast-jit": 1000, CONTROL: 100}
    calls = {name: [float(ns)] * 3000 for name, ns in times.items()}
    sentence = answer_one(analyse(read_stream(write_stream(tmp_path / "stream", calls)))).sentence
    assert sentence.startswith("Back to back; NumPy takes 4.00 µs at the median")
    assert sentence.endswith(
        " fast-jit: not compared, since times of a peer, of NumPy or of PyTorch are missing."
    )


def test_peers_of_a_stream_are_those_that_can_stream_it_with_one_thread(fakes: None) -> None:
    def chosen(**options: object) -> list[str]:
        args = StreamOptions(peers=True, **options)  # type: ignore[arg-type]
        return [arm.variant for arm in choose_arms(args, make_case(args))[0] if arm.peer]

    assert chosen() == ["fast-jit", "slow-loop"]
    assert chosen(cell="gru") == []
    with pytest.raises(UserError, match="with one thread: leave --threads out"):
        chosen(threads=2)
