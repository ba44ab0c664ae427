"""T22: the mistake in a wrong gradient is named, and nothing is said that is not true. Ten minutes.

The mistakes of the sealed sets were written and labelled by others, without the diagnosis. What sets a, b
and c showed when they were measured became rules; set d was written after those, and measured once.
"""

from collections.abc import Sequence
from functools import cache

import mistakes_in_hand
import pytest
import sealed_a
import sealed_b
import sealed_c
import sealed_d
from acceptance.validity import Recorder
from diagnosis_rates import GROUPS, Judged, measure, rates

from bench.gradients.diagnosis import diagnose
from bench.gradients.finding import Finding
from bench.gradients.trial import Trial
from bench.workload.cell import CELLS

SETS = {"hand": mistakes_in_hand, "a": sealed_a, "b": sealed_b, "c": sealed_c, "d": sealed_d}
ORIGIN = {
    "hand": "known to whoever wrote the diagnosis",
    "a": "sealed set a, 92 of 106 when it was first measured, rules added since",
    "b": "sealed set b, 95 of 112 when it was first measured, rules added since",
    "c": "sealed set c, 91 of 108 when it was first measured, rules added since",
    "d": "sealed set d, of another hand again, measured last",
}
LEAST_NAMED, MOST_FALSE = 0.9, 1 / 200


@cache
def judged(name: str, group: str) -> list[Judged]:
    """Judge a group of a set; each is measured once."""
    return measure(getattr(SETS[name], group, ()))


def share(part: int, whole: int) -> str:
    """Return "90 of 100 (90 %)"."""
    return f"{part} of {whole} ({part / whole:.1%})"


def names(found: Sequence[Judged]) -> str:
    """Return the names of what was judged wrongly, to be looked at."""
    return "".join(f"; {one.wrong.name}" for one in found)


@pytest.mark.parametrize("name", SETS)
def test_a_single_mistake_in_a_cell_is_named(name: str, validity: Recorder) -> None:
    found = [one for group in ("SINGLES", "STUDENTS") for one in judged(name, group)]
    rightly = sum(one.rightly and not one.wrongly for one in found)
    kept = rightly >= LEAST_NAMED * len(found)
    validity.record(
        f"T22-{name}",
        claim=f"single mistakes in the gradient of an RNN, a GRU or an LSTM, {ORIGIN[name]}: named rightly",
        promised=f"at least {LEAST_NAMED:.0%}",
        measured=share(rightly, len(found)),
        kept=kept,
    )
    assert kept


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_single_mistake_in_another_net_is_named_by_signs(name: str, validity: Recorder) -> None:
    words = rates(judged(name, "OTHERS"))
    kept = words["rightly"] >= LEAST_NAMED * words.total()
    validity.record(
        f"T22-nets-{name}",
        claim=f"single mistakes in other nets, {ORIGIN[name]}: named by signs, in one parameter or more",
        promised=f"at least {LEAST_NAMED:.0%}",
        measured=f"{share(words['rightly'], words.total())}; of {words['true']} more its place alone",
        kept=kept,
    )
    assert kept


def test_what_is_said_is_true(validity: Recorder) -> None:
    found = [one for name in SETS for group in GROUPS for one in judged(name, group)]
    false = [one for one in found if one.wrongly]
    kept = len(false) <= MOST_FALSE * len(found)
    validity.record(
        "T22-false",
        claim="wrong gradients of all these, pairs of mistakes, and what is no known mistake: named wrongly",
        promised="at most 1 in 200",
        measured=share(len(false), len(found)) + names(false),
        kept=kept,
    )
    assert kept


def test_of_two_mistakes_at_once_nothing_false_is_said(validity: Recorder) -> None:
    found = [one for name in ("a", "b") for one in judged(name, "PAIRS")]
    words = rates(found)
    kept = words["wrongly"] <= MOST_FALSE * len(found)
    validity.record(
        "T22-pairs",
        claim="two mistakes at once: something false is said",
        promised="at most 1 in 200",
        measured=f"{share(words['wrongly'], len(found))}; of {words['silent']} nothing is said",
        kept=kept,
    )
    assert kept


def test_of_a_right_gradient_nothing_is_said(validity: Recorder) -> None:
    found = [one for name in ("a", "b") for one in judged(name, "ROUNDED")]
    silent = rates(found)["silent"]
    validity.record(
        "T22-right",
        claim="right gradients, summed in another order, with noise of 1e-13: nothing is said",
        promised=f"{len(found)} of {len(found)}",
        measured=f"{silent} of {len(found)}",
        kept=silent == len(found),
    )
    assert silent == len(found)


def test_rates_by_cell_are_on_the_page(validity: Recorder) -> None:
    rows = []
    for name, group in (("hand", "SINGLES"), *((name, group) for name in "ab" for group in GROUPS)):
        for cell in dict.fromkeys(one.wrong.cell for one in judged(name, group)):
            words = rates([one for one in judged(name, group) if one.wrong.cell == cell])
            counts = [words[word] for word in ("rightly", "true", "silent", "wrongly")]
            rows.append((name, group.lower(), cell, words.total(), *counts))
    validity.table(
        "T22",
        "What is said of wrong gradients",
        "True is what holds, but names only a part of the mistake, or its place.",
        ("set", "group", "net", "gradients", "named rightly", "true", "nothing said", "named wrongly"),
        rows,
    )
    assert rows


def hasty(trials: Sequence[Trial], cell: str) -> list[Finding]:
    """Look at one trial alone, that of one step."""
    return diagnose(trials[:1], cell)


def test_a_diagnosis_that_is_content_with_one_trial_is_caught(validity: Recorder) -> None:
    cases = [one for one in sealed_a.SINGLES + sealed_a.RANDOM if one.cell in CELLS]
    found = measure(cases, hasty)
    false = rates(found)["wrongly"]
    kept = false > 2 * MOST_FALSE * len(found)
    validity.record(
        "T22-mutant",
        claim="mutant: a diagnosis that looks at one step alone; single and unknown mistakes named wrongly",
        promised="caught: more than 1 in 100",
        measured=share(false, len(found)),
        kept=kept,
    )
    assert kept
