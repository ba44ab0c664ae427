"""The answer says what the journal says: every number, every verdict, in words the verdict allows."""

import math
import re
from collections.abc import Callable

import numpy as np
import pytest
from grids import crossing_at, grid, maps_of
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
)

from bench.machine import units
from bench.records.record import AnyRecord, Burst, Decision, End, Failure, Plan, Worker, measured_as
from bench.records.run import Run, make_run
from bench.reporting import answer, words
from bench.reporting.build import headline
from bench.reporting.section import Hero, Section
from bench.reporting.tables import times_table

COMPILED, COMPILED_BASE = "compiled | torch-compile@cpu x1", "compiled | numpy-batched@cpu x1"
NOISY = (0.1, -0.1, 0.12, -0.12, 0.08, -0.08, 0.15, -0.15, 0.05, -0.05)
WHY = Section(id="limits", title="Why?", lead=("PyTorch pays more for every operation.", "More."))
CRASHED = Failure(0, USUAL, "crashed", "the worker ended with signal 11")
CHANGES = "What would change it"


def without(*entries: str) -> list[AnyRecord]:
    """The records of the example, but nothing was measured of these entries."""
    return [r for r in example_records() if not (isinstance(r, Burst) and r.entry in entries)]


def shown(run: Run, *sections: Section) -> dict[str, str]:
    return dict(answer.hero(facts_of(run), sections).facts)


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
        lambda: run_with({USUAL: around(0.5)}),
        r"PyTorch is 2\.00 times faster than NumPy", "PyTorch FASTER", "good",
        r"PyTorch is 2\.00 times faster \[2\.00, 2\.00\] than NumPy",
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
    facts = facts_of(run)
    main = answer.main_comparison(facts)
    assert main is not None
    hero = answer.hero(facts, [WHY])
    assert re.fullmatch(title, hero.title)
    assert (hero.word, hero.tone) == (word, tone)
    assert re.fullmatch(clause, words.clause(main))
    decided = tone == "good"
    assert ("Why" in dict(hero.facts)) == decided  # of what is undecided nothing is the cause
    first = hero.sure[0] if hero.sure else ""
    assert first.startswith("95 % interval [") == decided
    if not decided and main.low is not None:
        assert re.match(r"PyTorch's time over NumPy's is [\d.]+ \[.*\], 95 % interval$", first)
    assert main.verdict in case or decided
    for other in CASES.values():
        assert other is CASES[case] or not re.fullmatch(other[1], hero.title)


def test_without_anything_measured_the_reason_is_the_answer() -> None:
    cut_off = answer.hero(facts_of(make_run([example_plan()])))
    nothing = answer.hero(facts_of(make_run([replace(example_plan(), pairs=[])])))
    assert cut_off.title == nothing.title == "Nothing was measured"
    assert dict(cut_off.facts)["Why"].startswith("the journal has no end")


def test_every_number_of_the_answer_is_that_of_the_journal(default: Run) -> None:
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
    floor = facts_of(default).noise_floor.removesuffix(" %")
    settings = {"9000", "2", "128", "6", "32", "8", "95", "1", "64", "10", floor}

    text = headline(default)
    numbers = set(re.findall(r"\d+(?:\.\d+)?", text))
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
        "NumPy stays ahead with 2 threads, sequence input and single_step input",
    ):
        assert needed in text
    assert "<" not in text
    assert "**" not in text
    assert len(re.findall(r"[^\W\d_][\w’'-]*", text)) <= 145  # with the three sentences of sections below 200


def test_terminal_and_page_have_the_same_answer(default: Run) -> None:
    hero, text = answer.hero(facts_of(default)), headline(default)
    for part in (hero.title, hero.word, *hero.small, *(part for fact in hero.facts for part in fact)):
        assert text.count(part) == 1


def test_an_interval_is_turned_with_its_ratio() -> None:
    tilted = [math.log(0.5) + 0.01 * k for k in range(10)]  # PyTorch takes 0.5 to 0.55 of NumPy's time
    run = run_with({USUAL: tilted})
    main = answer.main_comparison(facts_of(run))
    assert main is not None
    ahead = words.lead(main)
    assert ahead is not None
    assert (ahead.winner.library, ahead.loser.library) == ("torch", "numpy")
    assert ahead.low is not None
    assert ahead.high is not None
    assert ahead.low < ahead.factor < ahead.high
    assert [ahead.factor, ahead.low, ahead.high] == pytest.approx(factor(run, BASE, USUAL))


def test_a_quick_run_gives_times_and_no_verdict() -> None:
    text = headline(make_run(example_records(quick=True)))
    assert text.startswith("A quick run, 3 blocks: times, but no verdict.")
    assert not re.search(r"NumPy is|\[|interval|program is", text)


def test_an_early_end_is_said_first_and_too_few_blocks_give_no_verdict() -> None:
    records = [r for r in example_records() if not isinstance(r, End) and getattr(r, "block", 0) <= 4]
    text = headline(make_run(records))
    assert "No verdict: 4 of the 6 blocks" in text
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
    wrong, right = rows["torch-autograd"][3], rows["numpy-inplace"][3]
    assert (wrong.text, wrong.tone, wrong.note) == ("FASTER", "calm", "no winner: known wrong gradient")
    assert "known wrong gradient" in rows["torch-autograd"][0].note
    assert (right.text, right.tone) == ("FASTER", "good")
    *others, claim = answer.sentences(facts)
    assert "torch-autograd" not in " ".join([*others, claim])
    assert "numpy-published" not in " ".join(others)  # only the claim names it
    assert claim.count("numpy-published") == claim.count("numpy-published (known wrong gradient)") == 1


# what would change it


def test_a_turn_with_more_threads_or_another_device_is_told() -> None:
    two, gpu = f"{POSITIONAL} | torch-rnn@cpu x2", f"{POSITIONAL} | torch-rnn@cuda:0 x2"
    records = example_records(with_gpu=True)
    assert "turns round" not in shown(make_run(records))[CHANGES]
    text = shown(make_run(with_ratios(records, {two: around(0.5), gpu: around(0.1)})))[CHANGES]
    assert "it turns round, PyTorch being faster, with 2 threads (2" in text
    assert "it turns round, PyTorch on cuda:0 being faster, with PyTorch on cuda:0 (1" in text
    unresolved = shown(make_run(with_ratios(records, {two: around(1, NOISY)})))[CHANGES]
    assert "it is open with 2 threads (UNRESOLVED)" in unresolved


def test_an_accelerator_has_a_sentence_of_its_own_with_its_name() -> None:
    there = f"{POSITIONAL} | torch-inplace@cuda:0 x2"
    records = [
        replace(record, facts=record.facts | {"device_name": "NVIDIA H100"})
        if isinstance(record, Worker) and any("cuda" in arm for arm in record.arms)
        else record
        for record in example_records(with_gpu=True)
    ]
    run = make_run(with_ratios(records, {there: around(0.1), BEST_NUMPY: around(0.8)}))
    text = shown(run)["On an accelerator"]
    time = facts_of(run).time(BEST_NUMPY)
    assert text.startswith(
        f"On cuda:0 (NVIDIA H100) against CPU, one thread (numpy-inplace {time}, torch-inplace "
    )
    assert "), PyTorch on cuda:0 is 8.0" in text
    assert "On an accelerator" not in shown(make_run(example_records()))
    assert (
        " NumPy measured " in shown(make_run(example_records(with_gpu=True, quick=True)))["On an accelerator"]
    )


def test_what_was_not_measured_is_one_clause_and_not_open() -> None:
    two, groups = f"{POSITIONAL} | torch-rnn@cpu x2", ["train_step sequence", "train_step single_step"]
    arms = ["numpy-batched@cpu x2"]
    records: list[AnyRecord] = []
    for record in with_ratios(example_records(), {USUAL: around(3.0)}):
        if isinstance(record, Decision):
            record = replace(record, dropped_groups=groups, dropped_arms=arms)
        left_out = isinstance(record, Burst) and record.entry.partition(" | ")[0] in groups
        left_out |= isinstance(record, Burst) and record.entry.endswith(arms[0])
        records += [] if left_out else [record]
    assert shown(make_run(records))[CHANGES] == (
        "Not measured, to keep within the time budget, with 2 threads, sequence input and single_step input."
    )
    crash = [Failure(block, two, "crashed", "ended with code 11") for block in range(11)]
    kept = [r for r in records if not (isinstance(r, Burst) and r.entry == two)]
    assert shown(make_run([*kept, *crash]))[CHANGES].startswith(
        "Not measured, (crashed, ended with code 11), with 2 threads; not measured, to keep"
    )


def test_other_forms_are_told_as_their_verdicts_say() -> None:
    logs = {USUAL: around(3.0), BEST_NUMPY: around(1), BEST_TORCH: around(0.5)}
    run = run_with(logs | {COMPILED_BASE: around(1), COMPILED: around(1.03, NOISY)})
    turned, unresolved = re.split(r"(?<=\.) (?=With)", shown(run)["Fastest forms"])
    assert re.fullmatch(
        r"Without a compiler \(numpy-inplace .*, torch-inplace .*\), PyTorch is 2.00 .*", turned
    )
    assert re.match(r"With PyTorch compiled \(numpy-batched .*\), it is not resolved whether", unresolved)
    missing = shown(make_run(without(COMPILED)))["Fastest forms"]
    assert "With PyTorch compiled, PyTorch against NumPy has no result (" in missing
    assert CHANGES not in shown(make_run(example_records(quick=True)))  # without an answer nothing changes it
    assert CHANGES not in shown(run_with({TWIN: around(1.2)}))


@pytest.mark.parametrize(
    ("ratio", "begins"),
    [
        (0.004, r"Its PyTorch program is 2\d\d times faster \["),
        (0.1, r"Its PyTorch program is (10\.\d|9\.\d+) times faster \["),
        (1.5, r"Its PyTorch program is 1\.50 times slower \["),
    ],
)
def test_the_claim_is_told_with_what_makes_it_no_contest(ratio: float, begins: str) -> None:
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
    text = shown(make_run(records))["The tutorial’s claim, “orders of magnitude faster”"]
    assert re.match(begins, text)
    assert "at other work: numpy-published (known wrong gradient) " in text
    assert "one sample at a time over 6 steps in float64" in text


def test_sections_say_why_where_it_turns_round_and_whether_it_is_right(default: Run) -> None:
    turns = Section("crossover", "Where", lead=("Nowhere up to H = 2048.",))
    right = Section("proof", "Right?", lead=("Yes: 9 variants agree.", "More."))
    other = Section("ladder", "Ladder", lead=("Not here.",))
    hero: Hero = answer.hero(facts_of(default), (WHY, turns, other, right))
    facts = dict(hero.facts)
    assert list(facts) == [
        "What was measured",
        "Fastest forms",
        "Why",
        CHANGES,
        "The tutorial’s claim, “orders of magnitude faster”",
        "Is it right?",
    ]
    assert facts["Why"] == "PyTorch pays more for every operation."
    assert facts["Is it right?"] == "Yes: 9 variants agree."
    assert facts[CHANGES].endswith(" Nowhere up to H = 2048.")


# how sure


def test_how_sure_it_is_has_the_interval_the_noise_and_the_blocks(default: Run) -> None:
    main = answer.main_comparison(facts_of(default))
    assert main is not None
    assert main.low is not None
    assert main.high is not None
    hero = answer.hero(facts_of(default))
    assert hero.about == "numpy-batched 99.6 µs, torch-rnn 362 µs a call, each as usually written"
    assert hero.sure == (
        f"95 % interval [{main.low:.2f}, {main.high:.2f}]",
        "noise floor 1.2 %",
        "10 blocks",
    )


def test_a_side_that_runs_at_two_speeds_is_told_beside_the_interval(default: Run) -> None:
    logs = [log + (0.3 if block >= 8 else 0) for block, log in enumerate(around(3.65))]
    sure = answer.hero(facts_of(run_with({USUAL: logs}))).sure
    assert re.fullmatch(r"torch-rnn ran at two speeds: 3\d % slower in 2 of 10 blocks", sure[-1])
    assert not any("two speeds" in text for text in answer.hero(facts_of(default)).sure)


def test_the_noise_floor_is_that_of_all_controls(default: Run) -> None:
    facts = facts_of(default)
    assert facts.noise_floor == units.percent(facts.summary.floor or 0.0)
    noisy = facts_of(grid(crossing_at(300.0), noise=lambda case: 0.1 if case.shape.H > 100 else 0.001))
    floors = sorted(twin.noise_floor for twin in noisy.summary.twins if twin.noise_floor)
    assert len(floors) > 1
    low, high = units.percent(floors[0]), units.percent(floors[-1])
    assert noisy.noise_floor == f"{low.removesuffix(' %')} to {high}, by size"
    assert f"noise floor {noisy.noise_floor}" in answer.hero(noisy).sure


# a map of sizes


def test_a_map_of_sizes_answers_batch_by_batch() -> None:
    run = grid(crossing_at(300.0))
    hero, maps = answer.hero(facts_of(run)), maps_of(run)
    assert hero.title == answer.title(maps)
    assert re.match(
        r"\w+ is faster at \d+ of 12 sizes, .*; PyTorch overtakes at every B, above an H of about ",
        hero.title,
    )
    assert hero.word == "decided at 12 of 12 sizes"
    (about, first), (other, second), *_ = hero.facts
    assert about == "With the fastest form of each library on cpu with one thread"
    assert first == ";\n".join(answer.by_batch(maps[0])) + "."
    assert other == "Each as usually written on cpu with one thread"
    assert second.startswith(f"{answer.title(maps[1:])}.\nB = 1: ")
