"""The first screen says no more than the verdict allows, and everything in it is true to the journal."""

import re

import pytest
from grids import crossing_at, grid, maps_of
from journals import example_plan, example_records
from msgspec.structs import replace
from reports import BEST_NUMPY, BEST_TORCH, STILL, TWIN, USUAL, around, facts_of, run_with

from bench.machine import units
from bench.records.record import AnyRecord, Burst
from bench.records.run import Run, make_run
from bench.reporting import answer, elsewhere, map_answer, turning
from bench.reporting.article import how_sure
from bench.reporting.hero import hero
from bench.reporting.section import Hero, Section

COMPILED, COMPILED_BASE = "compiled | torch-compile@cpu x1", "compiled | numpy-batched@cpu x1"
NOISY = (0.1, -0.1, 0.12, -0.12, 0.08, -0.08, 0.15, -0.15, 0.05, -0.05)


def hero_of(run: Run, *sections: Section) -> Hero:
    return hero(facts_of(run), sections)


@pytest.mark.parametrize(
    ("ratio", "noise", "title", "word", "tone"),
    [
        (3.65, STILL, "NumPy is 3.65 times faster than PyTorch", "NumPy FASTER", "good"),
        (0.5, STILL, "PyTorch is 2.00 times faster than NumPy", "PyTorch FASTER", "good"),
        (1.001, STILL, "PyTorch and NumPy take the same time", "EQUIVALENT", "calm"),
        (1.03, NOISY, "Whether PyTorch or NumPy is faster is not resolved", "UNRESOLVED", "calm"),
    ],
)
def test_the_title_is_what_the_verdict_allows(
    ratio: float, noise: tuple[float, ...], title: str, word: str, tone: str
) -> None:
    made = hero_of(run_with({USUAL: around(ratio, noise)}))
    assert (made.title, made.word, made.tone) == (title, word, tone)


def test_a_failed_control_leaves_no_answer() -> None:
    made = hero_of(run_with({TWIN: around(1.2)}))
    assert (made.title, made.word) == ("PyTorch against NumPy has no valid result", "INVALID")
    assert made.tone == "trouble"
    assert "faster" not in made.title


def test_a_quick_run_only_measured() -> None:
    made = hero_of(make_run(example_records(quick=True)))
    assert made.title.startswith("NumPy measured")
    assert (made.word, made.tone) == ("no verdict", "calm")
    assert not any("interval" in said for said in made.sure)


def test_without_one_side_or_any_value_there_is_no_factor() -> None:
    alone: list[AnyRecord] = [
        record for record in example_records() if not (isinstance(record, Burst) and record.entry == USUAL)
    ]
    made = hero_of(make_run(alone))
    assert (made.title, made.word, made.tone) == (
        "PyTorch was not compared with NumPy",
        "MISSING",
        "trouble",
    )
    assert hero_of(make_run([example_plan()])).title == "PyTorch was not compared with NumPy"
    nothing = replace(example_plan(), pairs=[])
    assert hero_of(make_run([nothing])).title == "Nothing was measured"


def test_how_sure_it_is_has_the_interval_the_noise_and_the_blocks() -> None:
    run = make_run(example_records())
    main = answer.main_comparison(facts_of(run))
    assert main is not None
    assert main.low is not None
    assert main.high is not None
    made = hero_of(run)
    assert made.small == ("each as usually written: numpy-batched and torch-rnn", *made.sure)
    assert made.sure[0] == f"95 % interval {main.low:.2f} to {main.high:.2f} times"
    assert made.sure[1].startswith("noise floor 1.2 % (the same thing measured twice), all of the interval")
    assert made.sure[2].startswith("10 blocks")
    open_ = hero_of(run_with({USUAL: around(1.03, NOISY)}))
    assert open_.sure[0].startswith("PyTorch ÷ NumPy 1.0")
    assert "could have been seen" in open_.sure[1]


def test_where_the_interval_lies_beside_the_noise_floor_is_said() -> None:
    ends = []
    for logs in (around(1.04), around(1.14, NOISY), around(3.65)):
        made = hero_of(run_with({TWIN: around(1, NOISY), USUAL: logs}))
        assert made.word == "NumPy FASTER"
        ends.append(", ".join(made.sure[1:-1]))
    assert re.fullmatch(r"less than the noise floor of \d+ %, noise floor .* twice\)", ends[0])
    assert re.fullmatch(r"noise floor .*, the interval begins within it", ends[1])
    assert re.fullmatch(r"noise floor .*, all of the interval lies beyond it", ends[2])


def test_a_side_that_runs_at_two_speeds_is_told_beside_the_interval() -> None:
    logs = [log + (0.3 if block >= 8 else 0) for block, log in enumerate(around(3.65))]
    made = hero_of(run_with({USUAL: logs}))
    assert re.fullmatch(r"torch-rnn ran at two speeds: 3\d % slower in 2 of 10 blocks", made.sure[-1])
    assert not any("two speeds" in said for said in hero_of(run_with({USUAL: around(3.65)})).sure)


@pytest.mark.parametrize(
    ("usual", "in_place", "compiled", "said"),
    [
        (3.0, around(1.5), around(1.2),
         "In place, NumPy's lead falls from 3.00 to 1.50 times; with PyTorch compiled, to 1.20 times."),
        (3.0, around(0.5), around(1.2),
         "In place, it turns round: PyTorch is 2.00 times faster than NumPy; with PyTorch compiled, NumPy's "
         "lead falls from 3.00 to 1.20 times."),
        (0.5, around(0.25), around(0.5),
         "In place, PyTorch's lead grows from 2.00 to 4.00 times; with PyTorch compiled, PyTorch's lead "
         "stays much the same, 2.00 times."),
        (3.0, around(1.0), around(1.03, NOISY),
         "In place, the two take the same time; with PyTorch compiled, which is faster is not resolved."),
        (1.0, around(1.5), around(1.0),
         "In place, NumPy is 1.50 times faster than PyTorch; with PyTorch compiled, the two take the same "
         "time."),
    ],
)  # fmt: skip
def test_other_forms_change_the_lead_as_their_verdicts_say(
    usual: float, in_place: list[float], compiled: list[float], said: str
) -> None:
    logs = {USUAL: around(usual), BEST_NUMPY: around(1), BEST_TORCH: in_place}
    logs |= {COMPILED_BASE: around(1), COMPILED: compiled}
    changed = dict(hero_of(run_with(logs)).facts)["What would change it"]
    assert changed.startswith(said)


def test_without_a_verdict_or_a_measurement_no_form_changes_anything() -> None:
    assert forms_of(make_run(example_records(quick=True))) == ""
    assert forms_of(run_with({TWIN: around(1.2)})) == ""
    kept = [one for one in example_records() if not (isinstance(one, Burst) and one.entry == COMPILED)]
    assert "compiled" in forms_of(make_run(example_records()))
    assert "compiled" not in forms_of(make_run(kept))
    kept = [one for one in kept if not (isinstance(one, Burst) and one.entry == USUAL)]
    assert forms_of(make_run(kept)) == ""


def forms_of(run: Run) -> str:
    facts = facts_of(run)
    main = answer.main_comparison(facts)
    assert main is not None
    return elsewhere.forms(facts, main)


def test_what_was_not_measured_comes_after_what_is_known() -> None:
    turns = Section("crossover", "Where", lead=("Larger sizes are another run.",))
    kept = [r for r in example_records() if not (isinstance(r, Burst) and "sequence | torch-rnn" in r.entry)]
    said = dict(hero_of(make_run(kept), turns).facts)["What would change it"]
    forms, larger, missing = (said.index(part) for part in ("In place, ", "Larger", "Not measured"))
    assert forms < larger < missing


def test_the_facts_are_the_sentences_of_the_answer_each_once() -> None:
    run = make_run(example_records())
    said = " ".join(text for _, text in hero_of(run).facts)
    for sentence in answer.sentences(facts_of(run)):
        assert said.count(sentence) == 1
    assert [about for about, _ in hero_of(run).facts] == [
        "Each as it is usually written",
        "What was measured",
        "The fastest form of each",
        "What would change it",
        "The tutorial’s claim",
    ]


def test_sections_say_why_and_what_would_change_it() -> None:
    why = Section("limits", "Why", lead=("84 % is dispatch.", "More."))
    turns = Section("crossover", "Where", lead=("Nowhere up to H = 2048.",))
    right = Section("proof", "Right?", lead=("Yes: 9 variants agree.", "More."))
    other = Section("ladder", "Ladder", lead=("Not here.",))
    facts = dict(hero_of(make_run(example_records()), why, turns, other, right).facts)
    assert facts["Why"] == "84 % is dispatch."
    assert facts["Is it right?"] == "Yes: 9 variants agree."
    assert facts["What would change it"].endswith(" Nowhere up to H = 2048.")
    assert not any("Not here." in said for said in facts.values())


def test_a_map_of_sizes_answers_batch_by_batch() -> None:
    run = grid(crossing_at(300.0))
    made, maps = hero_of(run), maps_of(run)
    assert made.title == map_answer.title(maps)
    assert made.title.startswith("PyTorch overtakes at every B, above an H of about")
    assert made.word == "decided at 12 of 12 sizes"
    (about, said), (other, also), *_ = made.facts
    assert about == "The fastest form of each, on cpu with one thread"
    assert said == ";\n".join(turning.by_batch(maps[0])) + "."
    assert other.startswith("Each as it is usually written")
    assert also.startswith(f"{map_answer.title(maps[1:])}.\nB = 1: ")


def test_the_noise_floor_of_a_grid_is_that_of_all_its_twins() -> None:
    noisy = grid(crossing_at(300.0), noise=lambda case: 0.1 if case.shape.H > 100 else 0.001)
    facts = facts_of(noisy)
    floors = sorted(twin.noise_floor for twin in facts.summary.twins if twin.noise_floor)
    assert len(floors) > 1
    low, high = units.percent(floors[0]), units.percent(floors[-1])
    assert facts.noise_floor == f"{low.removesuffix(' %')} to {high}, by size"
    assert f"noise floor {facts.noise_floor} (the same thing measured twice)" in hero(facts, ()).sure
    said = how_sure(facts)[-1]
    assert f"measured twice, at {len(floors)} sizes." in said
    assert facts.noise_floor in said


def test_the_noise_floor_of_a_run_is_one() -> None:
    facts = facts_of(make_run(example_records()))
    assert facts.noise_floor == units.percent(facts.summary.floor or 0.0)
    assert how_sure(facts)[-1].endswith("the same code measured twice.")


@pytest.mark.parametrize(("run", "told"), [
    (run_with({USUAL: around(3.65)}), True),
    (run_with({USUAL: around(3.65), TWIN: around(1.2)}), False),
    (run_with({USUAL: around(1.03, NOISY)}), False),
    (make_run(example_records(quick=True)), False),
])  # fmt: skip
def test_of_what_is_undecided_nothing_is_the_cause(run: Run, told: bool) -> None:
    made = hero_of(run, Section(id="limits", title="Why?", lead=("PyTorch pays more for every operation.",)))
    assert ("Why" in dict(made.facts)) == told
    assert made.title.endswith(": undecided") == (not run.plan.verdicts)
