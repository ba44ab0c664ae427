"""The answer says what the journal says: every number, every verdict, in words the verdict allows."""

import dataclasses
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from declared import declare, machine
from grids import crossing_at, grid, grid_plan, maps_of, records_of, run_of, with_ratio
from journals import POSITIONAL, example_plan, example_records
from msgspec.structs import replace
from reports import (
    BASE,
    BEST_NUMPY,
    BEST_TORCH,
    CLAIM_NEW,
    CLAIM_OLD,
    STILL,
    TWIN,
    USUAL,
    around,
    factor,
    facts_of,
    medians,
    run_with,
    with_ratios,
)  # fmt: skip

from bench.analysis.regression import compare_runs
from bench.machine import units
from bench.records.record import AnyRecord, Arm, Burst, Decision, End, Failure, Plan, Worker, measured_as
from bench.records.run import Run, make_run
from bench.reporting import answer, article, words
from bench.reporting.article import run_article
from bench.reporting.build import content_of, headline
from bench.reporting.tables import times_table
from bench.workload import catalog
from bench.workload.case import Case

COMPILED, COMPILED_BASE = "compiled | torch-compile@cpu x1", "compiled | numpy-batched@cpu x1"
NOISY = (0.1, -0.1, 0.12, -0.12, 0.08, -0.08, 0.15, -0.15, 0.05, -0.05)
TILTED = [math.log(0.5) + 0.01 * k for k in range(10)]  # PyTorch takes 0.5 to 0.55 of NumPy's time
WHY = "PyTorch pays more for every operation."
CRASHED = Failure(0, USUAL, "crashed", "the worker ended with signal 11")
CHANGES, FASTEST, ACCELERATOR = "What would change it", "Fastest forms", "On an accelerator"
CLAIM = "The tutorial’s claim, “orders of magnitude faster”"
TWO, GPU = f"{POSITIONAL} | torch-layer@cpu x2", f"{POSITIONAL} | torch-layer@cuda:0 x2"
BEST_GPU = f"{POSITIONAL} | torch-inplace@cuda:0 x2"


def without(*entries: str) -> list[AnyRecord]:
    """The records of the example, but nothing was measured of these entries."""
    return [r for r in example_records() if not (isinstance(r, Burst) and r.entry in entries)]


@pytest.fixture(scope="module")
def default() -> Run:
    return make_run(example_records())


# by verdict: a run that has it, then title, word and tone, and what stands in a sentence about it
CASES: dict[str, tuple[Callable[[], Run], str, str, str, str]] = {
    "SLOWER": (
        lambda: run_with({USUAL: around(3.65)}),
        r"NumPy is 3\.65 times faster than PyTorch", "NumPy FASTER", "good",
        r"NumPy is 3\.65 times faster \[3\.6., 3\.6.\] than PyTorch",
    ),
    "FASTER": (
        lambda: run_with({USUAL: TILTED}),  # the interval is turned with its ratio
        r"PyTorch is 1\.91 times faster than NumPy", "PyTorch FASTER", "good",
        r"PyTorch is 1\.91 times faster \[1\.8\d, 1\.9\d\] than NumPy",
    ),
    "less than the noise": (
        lambda: run_with({USUAL: around(1.04), TWIN: around(1, NOISY)}),
        r"NumPy is 1\.040 times faster than PyTorch", "NumPy FASTER", "good",
        r"NumPy is 1\.040 times faster \[.*\] than PyTorch, less than the noise floor of \d+ %",
    ),
    "EQUIVALENT": (
        lambda: run_with({USUAL: around(1.001)}),
        "PyTorch and NumPy take the same time", "EQUIVALENT", "calm",
        r"PyTorch and NumPy take the same time within 2 % \(PyTorch's time over NumPy's is 1\.00. \[.*\]\)",
    ),
    "UNRESOLVED": (
        lambda: run_with({USUAL: around(1.03, NOISY)}),
        "Whether PyTorch or NumPy is faster is not resolved", "UNRESOLVED", "calm",
        r"it is not resolved whether PyTorch or NumPy is faster: .* is 1\.0.* \(.*could have been seen.*\)",
    ),
    "INVALID": (
        lambda: run_with({TWIN: around(1.2)}),
        "PyTorch against NumPy has no valid result", "INVALID", "trouble",
        r"PyTorch against NumPy has no valid result: PyTorch's time over NumPy's is 3\.6. \[.*\]",
    ),
    "NONE": (
        lambda: make_run(example_records(quick=True)),
        r"NumPy measured 3\.6. times faster than PyTorch: undecided", "no verdict", "calm",
        r"NumPy measured 3\.6. times faster than PyTorch",
    ),
    "MISSING": (
        lambda: make_run([*without(USUAL)[:-1], CRASHED, example_records()[-1]]),
        "PyTorch was not compared with NumPy", "MISSING", "trouble",
        r"PyTorch against NumPy has no result \(crashed, the worker ended with signal 11\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_every_sentence_is_what_the_verdict_allows(case: str) -> None:
    make, title, word, tone, clause = CASES[case]
    run = make()
    main = answer.main_comparison(facts_of(run))
    assert main is not None
    hero = answer.hero(facts_of(run), why=WHY)
    assert re.fullmatch(title, hero.title)
    assert (hero.word, hero.tone) == (word, tone)
    assert re.fullmatch(clause, words.clause(main))
    decided = tone == "good"
    assert main.verdict in case or decided
    facts = dict(hero.facts)
    assert facts.get("Why") == (WHY if decided else None)  # of what is undecided nothing is the cause
    assert (CHANGES in facts) == decided  # without an answer nothing changes it
    intervals = [text for text in hero.small if "95 % interval" in text]
    of_ratio = "95 % interval [" if decided else "PyTorch's time over NumPy's is "
    assert [text.startswith(of_ratio) for text in intervals] == [True] * (main.low is not None)
    for other in CASES.values():
        assert other is CASES[case] or not re.fullmatch(other[1], hero.title)


def test_without_anything_measured_the_reason_is_the_answer() -> None:
    for plan in (example_plan(), replace(example_plan(), pairs=[])):
        hero = answer.hero(facts_of(make_run([plan])))
        assert hero.title == "Nothing was measured"
        assert dict(hero.facts)["Why"].startswith("the journal has no end")


def test_every_number_of_the_answer_is_that_of_the_journal(default: Run) -> None:
    factors = [
        number
        for sides in (
            (USUAL, BASE),
            (BEST_TORCH, BEST_NUMPY),
            (CLAIM_OLD, CLAIM_NEW),
            (COMPILED, COMPILED_BASE),
        )
        for number in factor(default, *sides)
    ]
    elsewhere = [
        factor(default, USUAL.replace(old, new), BASE.replace(old, new))[0]
        for old, new in (
            ("x1", "x2"), (POSITIONAL, "train_step sequence"), (POSITIONAL, "train_step single_step"),
        )
    ]  # fmt: skip
    times = [
        np.median([*medians(default, entry).values()]) / unit
        for entry, unit in (
            *(
                (entry, 1e3)
                for entry in (BASE, USUAL, BEST_NUMPY, BEST_TORCH, CLAIM_NEW, COMPILED, COMPILED_BASE)
            ),
            (CLAIM_OLD, 1e6),
        )
    ]
    computed = {f"{x:#.3g}".rstrip(".") for x in (*factors, *elsewhere, *times)}
    floor = facts_of(default).noise_floor.removesuffix(" %")
    settings = {"9000", "2", "128", "6", "32", "8", "95", "1", "64", "10", floor}
    numbers = set(re.findall(r"\d+(?:\.\d+)?", headline(default)))
    assert numbers - settings == computed
    assert f"{factors[0]:.3g}" in numbers  # the pattern finds ratios at all


def test_the_answer_names_machine_work_place_dtype_and_shape_in_few_words(default: Run) -> None:
    text = headline(default)
    for needed in (
        "Example CPU 9000, 2 processors",
        "each as usually written",
        "The tutorial's training step with positional input",
        "batch 128, 6 steps of 6 features, hidden 32, 8 outputs",
        "float32, tanh; CPU, one thread",
        "numpy-published (known wrong gradient)",
        "at other work",
    ):
        assert needed in text
    assert not re.search(r"<|\*\*", text)
    assert len(re.findall(r"[^\W\d_][\w’'-]*", text)) <= 145  # with the three sentences of sections below 200


def test_what_must_be_known_stands_before_the_answer() -> None:
    text = headline(make_run(example_records(quick=True)))
    assert text.startswith("A quick run, 3 blocks: times, but no verdict.")
    assert not re.search(r"NumPy is|\[|interval|program is", text)
    records = [r for r in example_records() if not isinstance(r, End) and getattr(r, "block", 0) <= 4]
    text = headline(make_run(records))
    assert "No verdict: 4 of the 6 blocks" in text
    assert "The run was interrupted: the journal has no end" in text
    assert "4 of 10 blocks hold values" in text
    assert "NumPy is" not in text


@pytest.mark.parametrize("status", ["known_wrong", "ok"])  # ok where its gradient is not asked for
def test_what_is_known_to_be_wrong_never_wins(status: Any) -> None:
    entry = f"{POSITIONAL} | torch-autograd@cpu x1"
    plan, *records = with_ratios(example_records(), {entry: around(0.1)})
    assert isinstance(plan, Plan)
    wrong = [replace(one, known_wrong=True) if one.variant == "torch-autograd" else one for one in plan.arms]
    records = [
        replace(one, status=status) if isinstance(one, Burst) and one.entry == entry else one
        for one in records
    ]
    facts = facts_of(make_run([replace(plan, arms=wrong), *records]))
    rows = {row[0].text: row for row in times_table(facts, facts.summary.tables[0]).rows}
    verdict, right = rows["torch-autograd"][3], rows["numpy-inplace"][3]
    assert (verdict.text, verdict.tone, verdict.note) == (
        "FASTER", "calm", "no winner: known wrong gradient",
    )  # fmt: skip
    assert "known wrong gradient" in rows["torch-autograd"][0].note
    assert (right.text, right.tone) == ("FASTER", "good")
    *others, claim = answer.terminal_lines(facts)
    assert "torch-autograd" not in " ".join([*others, claim])
    assert "numpy-published" not in " ".join(others)  # only the claim names it
    assert claim.count("numpy-published") == claim.count("numpy-published (known wrong gradient)") == 1


# what else was measured


def of_gpu() -> list[AnyRecord]:
    """The records of the example with an accelerator, whose workers tell its name."""
    return [
        replace(record, facts=record.facts | {"device_name": "NVIDIA H100"})
        if isinstance(record, Worker) and any("cuda" in arm for arm in record.arms)
        else record
        for record in example_records(with_gpu=True)
    ]


def left_out(*extra: AnyRecord, arms: Sequence[str] = ("numpy-batched@cpu x2",)) -> Run:
    """A run whose budget left out two tables and two threads."""
    groups = ["train_step sequence", "train_step single_step"]
    crashed = {one.entry for one in extra if isinstance(one, Failure)}
    records: list[AnyRecord] = []
    for record in with_ratios(example_records(), {USUAL: around(3.0)}):
        if isinstance(record, Decision):
            record = replace(record, dropped_groups=groups, dropped_arms=[*arms])
        group, _, arm = record.entry.partition(" | ") if isinstance(record, Burst) else ("", "", "")
        gone = group in groups or arm in arms or f"{group} | {arm}" in crashed
        records += [] if gone else [record]
    return make_run([*records, *extra])


def test_a_variant_of_your_own_is_named_with_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = facts_of(make_run(example_records()))
    assert "Your own" not in dict(answer.hero(facts).facts)
    found = catalog.by_name
    monkeypatch.setattr(answer, "by_name", lambda spec: None if spec == "numpy-inplace" else found(spec))
    text = dict(answer.hero(facts).facts)["Your own"]
    assert re.search(
        r"numpy-batched [\d.]+ µs, numpy-inplace [\d.]+ µs\), numpy-inplace is [\d.]+ times faster", text
    )


def test_where_the_usual_forms_were_left_out_for_time_the_fastest_answer() -> None:
    main = answer.main_comparison(facts_of(left_out(arms=("torch-layer@cpu x1",))))
    assert main is not None
    assert main.kind == "best"
    assert main.ratio is not None


def claimed(ratio: float) -> Run:
    """A run in which the new program of the claim takes so much of the old one's time, not of BASE's."""
    old = {r.block: r for r in example_records() if isinstance(r, Burst) and r.entry == CLAIM_OLD}
    new, records = measured_as(example_plan().groups)[CLAIM_NEW], list[AnyRecord]()
    for record in example_records():
        if isinstance(record, Burst) and record.entry == new and record.block in old:
            first = old[record.block]
            times = ratio * record.n_calls / first.n_calls * math.exp(STILL[record.block % 10])
            elapsed = [round(value * times) for value in first.elapsed_ns]
            record = replace(record, elapsed_ns=elapsed, rounds=first.rounds, places=first.places)
        records.append(record)
    return make_run(records)


def gpu_with(logs: Mapping[str, list[float]]) -> Run:
    return make_run(with_ratios(of_gpu(), logs))


# a run, what the sentence is about, and what stands in it
SENTENCES: list[tuple[Callable[[], Run], str, str]] = [
    (lambda: make_run(example_records()), CHANGES,
     r"^NumPy stays ahead with 2 threads \([\d.]+ times\), sequence input \([\d.]+ times\) and single_step "
     r"input \([\d.]+ times\)\.$"),
    (lambda: gpu_with({TWO: around(0.5), GPU: around(0.1)}), CHANGES,
     r"it turns round, PyTorch being faster, with 2 threads \(2"),
    (lambda: gpu_with({TWO: around(0.5), GPU: around(0.1)}), CHANGES,
     r"it turns round, PyTorch on cuda:0 being faster, with PyTorch on cuda:0 \(1"),
    (lambda: gpu_with({TWO: around(1, NOISY)}), CHANGES, r"it is open with 2 threads \(UNRESOLVED\)"),
    (left_out, CHANGES,
     r"^Not measured, to keep within the time budget, with 2 threads, sequence input and single_step "
     r"input\.$"),
    (lambda: left_out(*(Failure(n, TWO, "crashed", "ended with code 11") for n in range(11))), CHANGES,
     r"^Not measured, \(crashed, ended with code 11\), with 2 threads; not measured, to keep"),
    (lambda: gpu_with({BEST_GPU: around(0.1), BEST_NUMPY: around(0.8)}), ACCELERATOR,
     r"^On cuda:0 \(NVIDIA H100\) against CPU, one thread \(numpy-inplace [\d.]+ µs, torch-inplace .*\), "
     r"PyTorch on cuda:0 is 8\.0"),
    (lambda: make_run(example_records(with_gpu=True, quick=True)), ACCELERATOR, " NumPy measured "),
    (lambda: run_with({USUAL: around(3), BEST_NUMPY: around(1), BEST_TORCH: around(0.5)}), FASTEST,
     r"^Without a compiler \(numpy-inplace .*, torch-inplace .*\), PyTorch is 2.00 "),
    (lambda: run_with({COMPILED_BASE: around(1), COMPILED: around(1.03, NOISY)}), FASTEST,
     r"\. With PyTorch compiled \(numpy-batched .*\), it is not resolved whether"),
    (lambda: make_run(without(COMPILED)), FASTEST,
     r"With PyTorch compiled, PyTorch against NumPy has no result \("),
    (lambda: claimed(0.004), CLAIM, r"^Its PyTorch program is 2\d\d times faster \["),
    (lambda: claimed(0.1), CLAIM, r"^Its PyTorch program is (10\.\d|9\.\d+) times faster \["),
    (lambda: claimed(1.5), CLAIM,
     r"^Its PyTorch program is 1\.50 times slower \[.* at other work: numpy-published \(known wrong "
     r"gradient\) .*one sample at a time over 6 steps in float64"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "about", "pattern"), SENTENCES)
def test_what_else_was_measured_is_told_as_its_verdict_allows(
    make: Callable[[], Run], about: str, pattern: str
) -> None:
    assert re.search(pattern, dict(answer.hero(facts_of(make())).facts)[about])


def test_sections_say_why_where_it_turns_round_and_whether_it_is_right(default: Run) -> None:
    hero = answer.hero(facts_of(default), why=WHY, turns="Nowhere up to H = 2048.", right="Yes: all agree.")
    facts = dict(hero.facts)
    assert list(facts) == ["What was measured", FASTEST, "Why", CHANGES, CLAIM, "Is it right?"]
    assert (facts["Why"], facts["Is it right?"]) == (WHY, "Yes: all agree.")
    assert facts[CHANGES].endswith(" Nowhere up to H = 2048.")
    assert ACCELERATOR not in facts


# how sure


def test_how_sure_it_is_has_the_interval_the_noise_the_blocks_and_two_speeds(default: Run) -> None:
    main = answer.main_comparison(facts_of(default))
    assert main is not None
    assert answer.hero(facts_of(default)).small == (
        "numpy-batched 99.6 µs, torch-layer 362 µs a call, each as usually written",
        f"95 % interval {units.interval(main.low, main.high)}",
        f"noise floor {units.percent(facts_of(default).summary.floor or 0.0)}",
        "10 blocks",
    )
    logs = [log + (0.3 if block >= 8 else 0) for block, log in enumerate(around(3.65))]
    *_, modes = answer.hero(facts_of(run_with({USUAL: logs}))).small
    assert re.fullmatch(r"torch-layer ran at two speeds: 3\d % slower in 2 of 10 blocks", modes)


def test_a_run_that_ends_before_its_last_block_says_why_beside_the_number() -> None:
    *records, end = (r for r in example_records() if getattr(r, "block", 0) <= 8)
    assert isinstance(end, End)
    reason = "every headline is known to within 1 %"
    facts = facts_of(make_run([*records, replace(end, reason=reason)]))
    *_, blocks = answer.hero(facts).small
    assert blocks == f"8 of at most 10 blocks: {reason}"
    assert ("Plan", f"preset primer, {blocks}") in article.again(facts, "").pairs
    changes = compare_runs(facts.run, make_run(example_records(seed=5)))
    assert [origin["measured"] for origin in changes.origins] == [blocks, "10 blocks"]


def test_the_noise_floor_of_a_grid_is_that_of_all_controls() -> None:
    noisy = facts_of(grid(crossing_at(300.0), noise=lambda case: 0.1 if case.shape.H > 100 else 0.001))
    floors = sorted(twin.noise_floor for twin in noisy.summary.twins if twin.noise_floor)
    assert len(floors) > 1
    low, high = units.percent(floors[0]), units.percent(floors[-1])
    assert f"noise floor {low.removesuffix(' %')} to {high}, by size" in answer.hero(noisy).small


def test_a_map_of_sizes_answers_batch_by_batch() -> None:
    run = grid(crossing_at(300.0))
    hero, maps = answer.hero(facts_of(run)), maps_of(run)
    assert hero.title == answer.title(maps)
    pattern = r"\w+ is faster at \d+ of 12 sizes, .*; PyTorch overtakes at every B, above an H of about "
    assert re.match(pattern, hero.title)
    assert hero.word == "decided at 12 of 12 sizes"
    (about, first), (other, second), *_ = hero.facts
    assert about == "With the fastest form of each library on cpu with one thread"
    assert first == ";\n".join(answer.by_batch(maps[0])) + "."
    assert other == "Each as usually written on cpu with one thread"
    assert second.startswith(f"{answer.title(maps[1:])}.\nB = 1: ")


# other cells

SLOWDOWN = {"numpy": {"rnn": 1.0, "gru": 3.0, "lstm": 3.5}, "torch": {"rnn": 2.0, "gru": 3.2, "lstm": 2.0}}
GRU_COSTS, LSTM_COSTS = "A GRU’s time over an RNN’s", "An LSTM’s time over an RNN’s"


def cell_time(arm: Arm, case: Case) -> float:
    """A workspace saves a fifth, on every cell; to PyTorch an LSTM costs no more than an RNN."""
    return 1e5 * SLOWDOWN[arm.library][case.cell] * (0.8 if "inplace" in arm.variant else 1.0)


def cells_run(*, lstm: float = 1.0, **options: Any) -> Run:
    """A run of all cells; an LSTM of PyTorch takes so many times as long."""
    slower = {"torch": lstm, "numpy": 1.0}
    return run_of(
        declare(preset="cells", **options),
        lambda arm, case: cell_time(arm, case) * (slower[arm.library] if case.cell == "lstm" else 1.0),
    )


def test_a_run_of_cells_answers_what_each_costs_in_each_library() -> None:
    hero = answer.hero(facts_of(cells_run()), right="Yes: all agree.")
    pattern = (
        r"A GRU costs [23]\.\d+ times an RNN in NumPy and 1\.\d+ times in PyTorch; "
        r"an LSTM 3\.\d+ times in NumPy and [\d.]+ times in PyTorch"
    )
    assert re.fullmatch(pattern.replace("costs", "measured") + ": not all decided", hero.title)
    assert hero.word == "6 of 8 costs decided"  # an LSTM of PyTorch takes the RNN's time
    facts = dict(hero.facts)
    assert re.match(r"[23]\.\d+ times \[[\d., ]+\] with numpy-batched, .* torch-inplace\.", facts[GRU_COSTS])
    assert re.search(r"measured [^,]*,[^,]* with torch-layer \(EQUIVALENT\)", facts[LSTM_COSTS])
    rnn, gru, lstm = facts["NumPy or PyTorch"].split("\n")
    assert re.match(
        r"RNN: each as usually written, NumPy is [12]\.\d+ times faster .* than PyTorch; with", rnn
    )
    assert gru.startswith("GRU: each as usually written, NumPy is 1.0")
    assert lstm.startswith("LSTM: each as usually written, PyTorch is 1.7")
    assert list(facts)[-1] == "Is it right?"
    decided = answer.hero(facts_of(cells_run(lstm=3.0)))
    assert re.fullmatch(pattern, decided.title)
    assert (decided.word, decided.tone) == ("8 of 8 costs decided", "good")


@pytest.mark.parametrize(
    ("options", "title", "told"),
    [
        (
            {"quick": True},
            r"A GRU measured .* times in PyTorch: undecided", r"^measured .* with numpy-batched",
        ),
        (
            {"devices": machine(missing={"torch": "PyTorch is not installed"})},
            r"A GRU costs [\d.]+ times an RNN in NumPy; an LSTM [\d.]+ times in NumPy", "numpy-inplace.$",
        ),
        ({"hidden": (32, 128)}, r"A GRU measured .*, H = 32", r"^H = 32: .*\nH = 128: "),
        (
            {"devices": machine("cuda:0"), "device": ("cuda:0",)},
            r"A GRU measured .* an RNN in NumPy and .* times in PyTorch on cuda:0;", "torch-layer on cuda:0",
        ),
    ],
)  # fmt: skip
def test_a_run_of_cells_answers_wherever_it_was_measured(options: Any, title: str, told: str) -> None:
    hero = answer.hero(facts_of(cells_run(**options)))
    assert re.match(title, hero.title)
    assert re.search(told, dict(hero.facts)[GRU_COSTS])


def test_cells_with_several_numbers_of_threads_say_which() -> None:
    facts = dict(answer.hero(facts_of(cells_run(threads=(1, 2)))).facts)
    assert "8 outputs; GRU and LSTM with biases, RNN without; float32" in facts["What was measured"]
    assert facts["What was measured"].endswith(
        "float32; CPU, one thread and CPU, 2 threads. Ratios are taken within blocks."
    )
    gru = facts["NumPy or PyTorch"].split("\n")[1]
    assert gru.count("each as usually written (CPU, one thread), NumPy ") == 1
    assert gru.count("each as usually written (CPU, 2 threads), NumPy ") == 1
    assert "with torch-layer with 2 threads" in facts[GRU_COSTS]


def test_a_cost_that_is_not_known_says_why_and_without_any_the_libraries_are_compared() -> None:
    records = records_of(declare(preset="cells"), cell_time)
    gru = "gru train_step positional | torch-layer@cpu x1"
    lost = [one for one in records if not (isinstance(one, Burst) and one.entry == gru)]
    crash = Failure(0, gru, "crashed", "ended with code 11")
    hero = answer.hero(facts_of(make_run([*lost[:-1], crash, lost[-1]])))
    assert "in NumPy; an LSTM" in hero.title
    assert "unknown with torch-layer (crashed, ended with code 11)" in dict(hero.facts)[GRU_COSTS]
    others = ("gru ", "lstm ")
    rnn = [one for one in records if not (isinstance(one, Burst) and one.entry.startswith(others))]
    title = answer.hero(facts_of(make_run(rnn))).title
    assert re.fullmatch(r"NumPy is [12][\d.]+ times faster than PyTorch", title)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"cell": "gru"}, "for a GRU"),
        ({"cell": "lstm", "bias": False}, "for an LSTM without biases"),
        ({"bias": True}, "for an RNN with biases"),
    ],
)
def test_another_cell_is_named_and_nothing_is_said_of_the_tutorial(options: Any, told: str) -> None:
    run = run_of(declare(**options), lambda arm, case: cell_time(arm, dataclasses.replace(case, cell="rnn")))
    article = run_article(run)
    assert article.hero.title.endswith(told)
    assert told.removeprefix("for ") in article.kind
    setting = dict(article.hero.facts)["What was measured"]
    of_cell = told.replace("for", "of")
    assert setting.startswith(f"The training step {of_cell} with positional input, batch 128")
    question = content_of([article])["question"]
    assert question == f"NumPy or PyTorch for this {told.split(' ', 2)[2]}?"
    read = [one for one in article.sections if one.id != "words"]
    texts = [" ".join((one.title, *one.lead, *one.notes)) for one in read]
    texts += map(" ".join, article.hero.facts)
    assert [text for text in texts if re.search(r"tutorial|nn\.RNN", text)] == []
    assert answer.title(maps_of(grid_of(options))).count(of_cell) == 1


def grid_of(options: Any) -> Run:
    return run_of(grid_plan(hidden=(8, 512), batch=(1, 4), **options), with_ratio(crossing_at(100.0)))
