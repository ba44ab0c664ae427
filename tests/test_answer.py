"""The answer says what the journal says: every number, every verdict, in words the verdict allows."""

import math
import re
from collections.abc import Sequence

import numpy as np
import pytest
from journals import POSITIONAL, example_plan, example_records
from msgspec.structs import replace
from reports import (
    BASE,
    BEST_NUMPY,
    BEST_TORCH,
    CLAIM_NEW,
    CLAIM_OLD,
    STILL,
    USUAL,
    around,
    factor,
    facts_of,
    medians,
    run_with,
    with_ratios,
)

from bench.records.record import AnyRecord, Burst, Decision, End, Failure, Plan, Worker, measured_as
from bench.records.run import Run, make_run
from bench.reporting import answer, words
from bench.reporting.build import headline
from bench.reporting.tables import times_table

COMPILED, COMPILED_BASE = "compiled | torch-compile@cpu x1", "compiled | numpy-batched@cpu x1"
NOISY = (0.1, -0.1, 0.12, -0.12, 0.08, -0.08, 0.15, -0.15, 0.05, -0.05)


@pytest.fixture(scope="module")
def default() -> Run:
    return make_run(example_records())


def test_every_number_of_the_headline_is_that_of_the_journal(default: Run) -> None:
    factors = [
        *factor(default, USUAL, BASE),
        *factor(default, BEST_TORCH, BEST_NUMPY),
        *factor(default, CLAIM_OLD, CLAIM_NEW),
        *factor(default, COMPILED, COMPILED_BASE),
    ]
    elsewhere = [
        factor(default, USUAL.replace(old, new), BASE.replace(old, new))[0]
        for old, new in (
            ("x1", "x2"),
            (POSITIONAL, "train_step sequence"),
            (POSITIONAL, "train_step single_step"),
        )
    ]
    times_us = [
        np.median([*medians(default, entry).values()]) / 1000
        for entry in (BASE, USUAL, BEST_NUMPY, BEST_TORCH, CLAIM_NEW, COMPILED, COMPILED_BASE)
    ]
    old_ms = np.median([*medians(default, CLAIM_OLD).values()]) / 1e6
    computed = {
        f"{x:#.3g}".rstrip(".") for x in (*factors, min(elsewhere), max(elsewhere), *times_us, old_ms)
    }
    settings = {"9000", "2", "128", "6", "32", "8", "95", "1", "64"}

    text = headline(default)
    said = set(re.findall(r"\d+(?:\.\d+)?", text))
    assert said - settings == computed
    assert f"{factors[0]:.3g}" in said  # the pattern finds ratios at all


def test_the_headline_names_machine_work_place_dtype_and_shape(default: Run) -> None:
    text = headline(default)
    for needed in (
        "Example CPU 9000, 2 processors",
        "the tutorial's training step with positional input",
        "batch 128, 6 steps of 6 features, hidden 32, 8 outputs",
        "float32",
        "tanh",
        "CPU, one thread",
        "numpy-published (known wrong gradient), float64",
        "do not do the same work",
        "with 2 threads each",
    ):
        assert needed in text
    assert "<" not in text
    assert "**" not in text


@pytest.mark.parametrize(
    ("logs", "said", "not_said"),
    [
        (around(2), r"NumPy is 2\.00 times faster \[2\.00, 2\.00\] than PyTorch", "PyTorch is"),
        (around(0.5), r"PyTorch is 2\.00 times faster \[2\.00, 2\.00\] than NumPy", "NumPy is"),
        (
            around(1),
            r"PyTorch and NumPy take the same time within 2 % \(the time of .* is 1\.000 \[",
            "faster \\[",
        ),
        (
            around(1.05, NOISY),
            r"it is not resolved whether PyTorch or NumPy is faster: .* could have been seen",
            "same time",
        ),
    ],
    ids=["SLOWER", "FASTER", "EQUIVALENT", "UNRESOLVED"],
)
def test_the_words_follow_the_verdict(logs: Sequence[float], said: str, not_said: str) -> None:
    run = run_with({USUAL: logs})
    sentence = answer.sentences(facts_of(run))[0]
    assert re.search(said, sentence)
    assert not re.search(not_said, sentence)


def test_an_interval_is_turned_with_its_ratio() -> None:
    tilted = [math.log(0.5) + 0.01 * k for k in range(10)]  # PyTorch takes 0.5 to 0.55 of NumPy's time
    run = run_with({USUAL: tilted})
    ahead = words.lead(run, answer.main_comparison(facts_of(run)))  # type: ignore[arg-type]
    assert ahead is not None
    assert (ahead.winner.library, ahead.loser.library) == ("torch", "numpy")
    assert ahead.low is not None
    assert ahead.high is not None
    assert ahead.low < ahead.factor < ahead.high
    assert [ahead.factor, ahead.low, ahead.high] == pytest.approx(factor(run, BASE, USUAL))


def test_a_quick_run_gives_times_and_no_verdict() -> None:
    text = headline(make_run(example_records(quick=True)))
    assert text.startswith("A quick run, 3 blocks: times, but no verdict.")
    assert "NumPy measured 3.6" in text
    assert "NumPy is" not in text
    assert "[" not in text
    assert "do differ" not in text
    assert "its two programs measured" in text


def test_an_early_end_is_said_first_and_too_few_blocks_give_no_verdict() -> None:
    records = [r for r in example_records() if not isinstance(r, End) and getattr(r, "block", 0) <= 4]
    text = headline(make_run(records))
    assert "No verdict: " in text
    assert "4 of the 6 blocks" in text
    assert "The run was interrupted: the journal has no end" in text
    assert "4 of 10 blocks hold values" in text
    assert "NumPy is" not in text


def test_what_is_known_to_be_wrong_never_wins() -> None:
    entry = f"{POSITIONAL} | torch-autograd@cpu x1"
    records: list[AnyRecord] = []
    for record in with_ratios(example_records(), {entry: around(0.1)}):
        if isinstance(record, Plan):
            wrong = {arm.id: arm.known_wrong or arm.variant == "torch-autograd" for arm in record.arms}
            arms = [replace(arm, known_wrong=wrong[arm.id]) for arm in record.arms]
            record = replace(record, arms=arms)
        if isinstance(record, Burst) and record.entry == entry:
            record = replace(record, status="known_wrong")
        records.append(record)
    facts = facts_of(make_run(records))
    table = facts.summary.tables[0]
    rows = {row[0].text: row for row in times_table(facts, table).rows}
    wrong = rows["torch-autograd"][3]
    assert (wrong.text, wrong.tone, wrong.note) == ("FASTER", "calm", "no winner: known wrong gradient")
    assert "known wrong gradient" in rows["torch-autograd"][0].note
    assert (rows["numpy-inplace"][3].text, rows["numpy-inplace"][3].tone) == ("FASTER", "good")
    assert "torch-autograd" not in " ".join(answer.sentences(facts))
    assert "numpy-published" not in " ".join(answer.sentences(facts)[:-1])  # only the claim names it
    for sentence in answer.sentences(facts):
        assert sentence.count("numpy-published") == sentence.count("numpy-published (known wrong gradient)")


def test_a_turn_with_more_threads_or_another_device_is_told() -> None:
    two, gpu = f"{POSITIONAL} | torch-rnn@cpu x2", f"{POSITIONAL} | torch-rnn@cuda:0 x2"
    records = example_records(with_gpu=True)
    assert "turns round" not in headline(make_run(records))
    text = headline(make_run(with_ratios(records, {two: around(0.5), gpu: around(0.1)})))
    turned = re.search(r"it turns round, PyTorch being faster, (.*)\.", text)
    assert turned is not None
    assert "with PyTorch on cuda:0 against NumPy on 2 threads (1" in turned[1]
    assert "with 2 threads each (2" in turned[1]
    open_ = headline(make_run(with_ratios(records, {two: around(1, NOISY)})))
    assert "it is open with 2 threads each (unresolved)" in open_


def test_an_accelerator_has_a_sentence_of_its_own_with_its_name() -> None:
    there = f"{POSITIONAL} | torch-inplace@cuda:0 x2"
    records = [
        replace(record, facts=record.facts | {"device_name": "NVIDIA H100"})
        if isinstance(record, Worker) and any("cuda" in arm for arm in record.arms)
        else record
        for record in example_records(with_gpu=True)
    ]
    records = with_ratios(records, {there: around(0.1), BEST_NUMPY: around(0.8)})
    facts = facts_of(make_run(records))
    said = dict(answer.parts(facts))["accelerators"]
    assert said.startswith("With PyTorch on cuda:0 (NVIDIA H100) against NumPy on the CPU (torch-inplace ")
    assert f"; numpy-inplace {facts.time(BEST_NUMPY)} with one thread) PyTorch is 8.0" in said
    assert "accelerators" not in dict(answer.parts(facts_of(make_run(example_records()))))
    quick = facts_of(make_run(example_records(with_gpu=True, quick=True)))
    assert " NumPy measured " in dict(answer.parts(quick))["accelerators"]


def test_what_the_time_budget_left_out_is_one_clause_and_not_open() -> None:
    two, groups = f"{POSITIONAL} | torch-rnn@cpu x2", ["train_step sequence", "train_step single_step"]
    arms = ["numpy-batched@cpu x2"]
    records: list[AnyRecord] = []
    for record in with_ratios(example_records(), {USUAL: around(3.0)}):
        if isinstance(record, Decision):
            record = replace(record, dropped_groups=groups, dropped_arms=arms)
        left_out = isinstance(record, Burst) and record.entry.partition(" | ")[0] in groups
        left_out |= isinstance(record, Burst) and record.entry.endswith(arms[0])
        records += [] if left_out else [record]
    said = dict(answer.parts(facts_of(make_run(records))))["not_measured"]
    assert said == (
        "Not measured, to keep within the time budget: 2 threads each, sequence input and single_step input."
    )
    crash = [Failure(block, two, "crashed", "ended with code 11") for block in range(11)]
    kept = [r for r in records if not (isinstance(r, Burst) and r.entry == two)]
    said = dict(answer.parts(facts_of(make_run([*kept, *crash]))))["not_measured"]
    assert "Not measured (crashed, ended with code 11): 2 threads each. Not measured, to keep" in said


@pytest.mark.parametrize(
    ("ratio", "said"),
    [
        (0.004, "Its two programs do differ 2"),
        (0.1, "Here its two programs differ only "),
        (1.5, "Here its PyTorch program is 1.50 times slower ["),
    ],
)
def test_the_claim_stands_first_and_then_what_is_true_of_it(ratio: float, said: str) -> None:
    """The pair's own times are set, not its share of BASE's."""
    old = {r.block: r for r in example_records() if isinstance(r, Burst) and r.entry == CLAIM_OLD}
    records: list[AnyRecord] = []
    new = measured_as(example_plan().groups)[CLAIM_NEW]
    for record in example_records():
        if isinstance(record, Burst) and record.entry == new and record.block in old:
            first = old[record.block]
            factor = ratio * record.n_calls / first.n_calls * math.exp(STILL[record.block % 10])
            elapsed = [round(value * factor) for value in first.elapsed_ns]
            record = replace(record, elapsed_ns=elapsed, rounds=first.rounds, places=first.places)
        records.append(record)
    sentence = answer.sentences(facts_of(make_run(records)))[-1]
    assert sentence.startswith("The tutorial says PyTorch is orders of magnitude faster. ")
    assert said in sentence
    assert ("do differ" in sentence) == (ratio == 0.004)
    assert "do not do the same work: numpy-published" in sentence


def test_a_main_comparison_that_is_missing_gives_no_number() -> None:
    reason = "the worker ended with signal 11"
    kept = [r for r in example_records() if not (isinstance(r, Burst) and r.entry == USUAL)]
    run = make_run([*kept[:-1], Failure(0, USUAL, "crashed", reason), kept[-1]])
    sentence = answer.sentences(facts_of(run))[0]
    assert sentence.endswith(f"PyTorch against NumPy was not measured (crashed, {reason}).")
    assert "faster" not in sentence
