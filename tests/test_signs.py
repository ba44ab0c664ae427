"""Signs of a mistake in a gradient that hold for any net, each beside what must not be taken for it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.gradients.finding import Finding, Kind, Section
from bench.gradients.signs import read_signs
from bench.gradients.trial import Trial

Arrays = dict[str, Any]
SHAPES = {"U": (4, 3), "W": (4, 4), "V": (2, 4), "b": (4,)}
SIZES = [(1, 1), (1, 4), (2, 3), (3, 1), (5, 4)]  # T, B
TOLERANCE = 1e-12


def back(p: Arrays, x: Any, y: Any, wrong: str = "") -> Arrays:
    """Return the gradients of a small net's mean squared error by BPTT, or wrong ones."""
    hs = [np.zeros((x.shape[1], 4))]
    for x_t in x:
        hs.append(np.tanh(x_t @ p["U"].T + hs[-1] @ p["W"].T + p["b"]))
    dy = 2 * (hs[-1] @ p["V"].T - y) / len(y)
    grads = {name: np.zeros(SHAPES[name]) for name in "UWb"} | {"V": dy.T @ hs[-1]}
    dh = dy @ p["V"]
    for t in range(len(x), 0, -1):
        da = dh * {
            "1 - h": 1 - hs[t],
            "sign of da": hs[t] ** 2 - 1,
        }.get(wrong, 1 - hs[t] ** 2)
        if wrong == "last share" and t < len(x):
            grads["U"] -= da.T @ x[t - 1]
        shares = {"U": da.T @ x[t - 1], "W": da.T @ hs[t - 1], "b": da.sum(0)}
        if wrong == "first step" and t == 1:
            break
        if wrong == "last sample":
            shares["U"] = np.outer(da[-1], x[t - 1, -1])
        for name, share in shares.items():
            grads[name] = share if (wrong, name) == ("overwritten", "U") else grads[name] + share
        dh = da @ (p["W"].T if wrong == "W^T" else p["W"])
        if wrong == "not back" or (wrong == "two steps" and t == len(x) - 1):
            break
    return grads


def trials(
    change: Callable[[Arrays, int, int], Arrays] | str = "", sizes: Any = SIZES, alone: bool = False
) -> list[Trial]:
    """Return trials at all sizes, with a change to the exact gradients or a mistake in their derivation."""
    generator = np.random.default_rng(1)
    params = {name: generator.normal(size=shape) * 0.7 for name, shape in SHAPES.items()}
    found = []
    steps: list[tuple[int, int, int | None]] = [(T, B, None) for T, B in sizes]
    steps += [(*sizes[-1], step) for step in range(1, sizes[-1][0] + 1) if alone]
    for T, B, step in steps:
        x, y = generator.normal(size=(T, B, 3)), generator.normal(size=(B, 2))
        if step:
            x[np.arange(T) != step - 1] = 0
        exact = back(params, x, y)
        given = (
            back(params, x, y, change)
            if isinstance(change, str)
            else exact | change({name: g.copy() for name, g in exact.items()}, T, B)
        )
        found.append(Trial(exact, given, TOLERANCE, {"T": T, "B": B}, only_step=step))
    return found


def only(found: list[Finding]) -> Finding:
    assert len(found) == 1, found
    return found[0]


def test_right_gradients_have_no_sign_nor_have_those_that_are_off_by_rounding() -> None:
    assert read_signs(trials()) == []
    generator = np.random.default_rng(0)
    noisy = trials(
        lambda g, T, B: {k: a * (1 + 2e-12 * generator.normal(size=a.shape)) for k, a in g.items()}
    )
    assert any(trial.wrong() for trial in noisy)
    assert read_signs(noisy) == []


def every(change: Callable[[Any, int, int], Any]) -> Callable[[Arrays, int, int], Arrays]:
    return lambda g, T, B: {name: change(a, T, B) for name, a in g.items()}


@pytest.mark.parametrize(("change", "kind", "parameters", "words"), [
    (every(lambda a, T, B: a * B), Kind.CONSTANT, "UWbV", "the sum over the batch is taken where the mean"),
    (lambda g, T, B: {"U": g["U"] / T}, Kind.CONSTANT, "U", "the mean over the steps is taken where the sum"),
    (every(lambda a, T, B: a * T * B), Kind.CONSTANT, "UWbV", "the sum over the steps and the batch is"),
    (every(lambda a, T, B: a * 2), Kind.CONSTANT, "UWbV", "the right ones are doubled, as by the 2 of e^2"),
    (every(lambda a, T, B: a / 2), Kind.CONSTANT, "UWbV", "the right ones are halved, as without the 2"),
    (every(lambda a, T, B: a * 3.217), Kind.CONSTANT, "UWbV", "the right ones are multiplied by 3.217"),
    (every(lambda a, T, B: a * 1.00000011), Kind.CONSTANT, "UWbV", "multiplied by 1.00000011"),
    (lambda g, T, B: {"W": -g["W"]}, Kind.SIGN, "W", "the sign is turned"),
    (lambda g, T, B: {"W": g["W"].T}, Kind.TRANSPOSED, "W", "the transpose is taken"),
    (lambda g, T, B: {"V": g["V"].T.reshape(2, 4)}, Kind.TRANSPOSED, "V", "taken, and reshaped"),
    (lambda g, T, B: {"U": 0 * g["U"], "b": 0 * g["b"]}, Kind.ZERO, "Ub", "every entry is left at 0"),
    (lambda g, T, B: {"U": g["U"] * [[1], [0], [1], [0]]}, Kind.ZERO, "U", "at 0 in rows 1 and 3 alone"),
    (lambda g, T, B: {"U": g["U"][[2, 0, 1, 3]]}, Kind.ORDER, "U", "another order: 2, 0, 1 and 3"),
    (lambda g, T, B: {"b": g["b"][[2, 3, 0, 1]]}, Kind.ORDER, "b", "blocks of 2 entries are in"),
    (lambda g, T, B: {"U": g["U"][:, ::-1]}, Kind.ORDER, "U", "columns are in another order: 2, 1 and 0"),
    (every(lambda a, T, B: np.clip(a, -0.3, 0.3)), Kind.CLIPPED, "UWbV", "entries beyond ±0.3 are cut off"),
    (every(lambda a, T, B: np.float64(np.float32(a))), Kind.PRECISION, "UWbV", "are rounded to float32"),
    (lambda g, T, B: {"U": np.float64(np.float32(g["U"]))}, Kind.PRECISION, "U", "are rounded to float32"),
    ("first step", Kind.ACROSS_STEPS, "Ub", "every entry is left at 0 at T = 1"),
    ("not back", Kind.ACROSS_STEPS, "UWb", "something between steps is wrong"),
    ("W^T", Kind.ACROSS_STEPS, "UWb", "something between steps is wrong"),
    ("overwritten", Kind.ACROSS_STEPS, "U", "something between steps is wrong"),
    ("sign of da", Kind.SIGN, "Ub", "the sign is turned at T = 1"),
    ("last sample", Kind.ACROSS_SAMPLES, "U", "samples are not added up"),
])  # fmt: skip
def test_a_sign_is_read(change: Any, kind: Kind, parameters: str, words: str) -> None:
    sizes = [(T, B) for T in (1, 2, 3, 5) for B in (1, 3)]
    found = only(read_signs(trials(change, sizes)))
    assert (found.kind, set(found.parameters)) == (kind, set(parameters))
    assert words in found.mistake


def test_two_mistakes_that_give_the_same_are_both_named() -> None:
    sizes = [(1, 1), (1, 3), (2, 2)]
    both = read_signs(trials(lambda g, T, B: {"W": 0 * g["W"]}, sizes))
    assert {finding.kind for finding in both} == {Kind.ZERO, Kind.NOT_SUMMED}
    several = trials(lambda g, T, B: {"V": B * g["V"]}, [(1, 2), (1, 3)])
    assert "over the batch is" in only(read_signs(several)).mistake  # nor over steps and batch
    equal = trials(lambda g, T, B: {"V": T * g["V"]}, [(2, 2), (3, 3)])  # T = B
    assert [finding.mistake.split()[3:5] for finding in read_signs(equal)] == [
        ["the", "steps"],
        ["the", "batch"],
    ]


def test_e_squared_is_guessed_only_where_all_of_all_gradients_is_doubled() -> None:
    found = only(read_signs(trials(lambda g, T, B: {"U": 2 * g["U"]})))
    assert (found.mistake, found.section) == ("the right ones are doubled", 0)
    assert only(read_signs(trials(every(lambda a, T, B: 2 * a)))).section == Section.LOSS
    words = np.array([[1.0, 2], [3, 5], [4, 1]])  # the second occurs twice, and is added once
    found = only(read_signs([Trial({"E": words}, {"E": words * [[1], [0.5], [1]]}, TOLERANCE)]))
    assert (found.mistake, found.section) == ("the right ones are halved in row 1 alone, counted from 0", 0)


def test_sections_are_those_of_the_derivation() -> None:
    text = (Path(__file__).parents[1] / "docs" / "derivation.md").read_text(encoding="utf-8")
    titles = {
        int(line[3:].split(".")[0]): line for line in text.splitlines() if line[:4].strip("# ").isdigit()
    }
    words = {
        Section.LOSS: "loss", Section.STEP: "one step", Section.WALK: "Backwards through time",
        Section.BATCH: "batch", Section.PUBLISHED: "not one", Section.GRU: "GRU", Section.LSTM: "LSTM",
    }  # fmt: skip
    assert {*words} == {*Section}
    assert all(word in titles[section] for section, word in words.items())


@pytest.mark.parametrize(("wrong", "kinds"), [
    ("first step", {Kind.STEP_LEFT_OUT: "U"}),
    ("two steps", {Kind.TRUNCATED: "UWb"}),  # at T = 3, the first step left out gives the same
    ("not back", {Kind.NOT_SUMMED: "U", Kind.NOT_HANDED_BACK: "UWb"}),
    ("overwritten", {Kind.NOT_SUMMED: "U"}),
    ("last share", {Kind.NOT_SUMMED: "U"}),  # W is right: dL/dh is handed back
])  # fmt: skip
def test_the_input_of_one_step_alone_shows_which_steps_are_missing(
    wrong: str, kinds: dict[Kind, str]
) -> None:
    found = read_signs(trials(wrong, [(1, 1), (1, 2), (2, 1), (2, 2), (3, 2), (4, 2)], alone=True))
    of_U = [(finding.kind, "".join(finding.parameters)) for finding in found if "U" in finding.parameters]
    assert of_U == [*kinds.items()]
    found = read_signs(trials(wrong, [(1, 2), (2, 1), (3, 2)], alone=True))
    assert {finding.kind for finding in found if finding.parameters == ("U",)} - {Kind.ACROSS_STEPS} <= {
        *kinds
    }


@pytest.mark.parametrize(("wrong", "W", "named"), [
    ("two steps", lambda exact, given, T: given, {Kind.TRUNCATED: "UWb"}),
    ("two steps", lambda exact, given, T: exact, {}),  # it is handed back: W is right
    ("not back", lambda exact, given, T: exact, {}),
    ("not back", lambda exact, given, T: given**3 + 0.1, {Kind.NOT_HANDED_BACK: "U"}),
    ("not back", lambda exact, given, T: exact if T < 4 else given, {Kind.NOT_HANDED_BACK: "U"}),
])  # fmt: skip
def test_what_is_not_handed_back_is_told_of_all_only_where_the_weights_of_h_show_it(
    wrong: str, W: Callable[[Any, Any, int], Any], named: dict[Kind, str]
) -> None:
    sizes = [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2), (4, 1), (4, 2), (5, 2)]
    tried = [
        replace(t, given={**t.given, "W": W(t.exact["W"], t.given["W"], t.sizes["T"])})
        for t in trials(wrong, sizes, alone=True)
    ]
    found = [one for one in read_signs(tried) if one.kind in (Kind.TRUNCATED, Kind.NOT_HANDED_BACK)]
    assert {one.kind: "".join(one.parameters) for one in found} == named


def test_where_no_weights_of_h_can_show_it_what_is_not_handed_back_is_told_of_the_input_alone() -> None:
    short = trials("not back", [(1, 1), (1, 2), (2, 1), (2, 2)], alone=True)  # W is right up to T = 2
    others = trials("not back", [(1, 1), (1, 2), (2, 1), (2, 2), (3, 2)], alone=True)
    without = [replace(t, exact={k: e for k, e in t.exact.items() if k != "W"}) for t in others]
    for tried in (short, without):
        handed = [one for one in read_signs(tried) if one.kind == Kind.NOT_HANDED_BACK]
        assert only(handed).parameters == ("U",)


@pytest.mark.parametrize("change", [
    lambda g, T, B: {"U": 0.5 * g["U"] + 0.1, "b": -g["b"] ** 3},  # wrong, but in no way that has a name
    lambda g, T, B: {"U": -g["U"][[1, 0, 2, 3]]},  # two mistakes at once
    lambda g, T, B: {"W": 2 * g["W"].T},
    lambda g, T, B: {"b": np.clip(2 * g["b"], -0.3, 0.3)},
    lambda g, T, B: {"W": np.clip(g["W"], -0.2, None)},
    lambda g, T, B: {"U": g["U"] * (1 + T % 2)},  # doubled at T = 1, 3 and 5: by no size
    lambda g, T, B: {"U": g["U"] * (1 + 1e-4 * g["U"])},
    every(lambda a, T, B: a + 1e-7 * a**2),  # as inexact as float32
    lambda g, T, B: {"U": g["U"] * (1 + 1e-7 * g["U"])},
    lambda g, T, B: {"U": g["U"] * (1 + 5 * TOLERANCE)},  # rounding, with luck
    lambda g, T, B: {"b": np.minimum(g["b"], 0.9 * g["b"].max())},  # a single entry is cut off
    lambda g, T, B: {"U": g["U"] if T < 3 else g["U"] ** 3},  # right at T = 2
    lambda g, T, B: {name: a if T == 1 else a**3 for name, a in g.items()},  # of all parameters
    "1 - h",  # in place of the derivative of tanh
])  # fmt: skip
def test_other_changes_have_no_sign(change: Any) -> None:
    assert not [finding for finding in read_signs(trials(change)) if " at T = 1" not in finding.mistake]


@pytest.mark.parametrize(("change", "kind"), [
    (lambda g: {"W": -g["W"]}, Kind.SIGN),
    (lambda g: {"W": 5 * g["W"]}, Kind.CONSTANT),
    (lambda g: {"W": 0 * g["W"]}, Kind.ZERO),
])  # fmt: skip
def test_no_sign_is_read_from_a_single_number_or_from_rounding(change: Any, kind: Kind) -> None:
    several = {"W": np.array([1.0, -2.0, 0.5, 3.0]), "V": np.array([[2.0, 1.0]])}
    assert only(read_signs([Trial(several, several | change(several), TOLERANCE)])).kind == kind
    for W in (np.array([[1.0]]), np.full((3, 3), 1.0), np.array([1.0, 2.0, 3.0, -1.0]) * 1e-12):
        exact = several | {"W": W}
        found = read_signs([Trial(exact, exact | change(exact), TOLERANCE)])
        assert [finding.kind for finding in found] == (
            [Kind.ZERO] if (kind, W.size) == (Kind.ZERO, 9) else []
        )


def test_what_was_not_computed_or_too_inexact_shows_nothing() -> None:
    exact = {"U": np.arange(1.0, 13).reshape(4, 3), "b": np.array([1.0, 3.0])}
    given = {"U": exact["U"] * [[-1], [1], [1], [1]], "b": exact["b"]}
    assert "in row 0 alone" in only(read_signs([Trial(exact, given, TOLERANCE)])).mistake
    exact["U"][2:] = np.nan  # whether other rows are right is not known
    assert read_signs([Trial(exact, given, TOLERANCE)]) == []
    doubled = {"U": given["U"], "b": 2 * given["b"]}
    assert [only(read_signs([Trial({"b": exact["b"]}, doubled, TOLERANCE)])).kind] == [Kind.CONSTANT]
    assert read_signs([Trial({"b": exact["b"]}, doubled, 1e-3)]) == []
    for cut, kinds in ((2.5, [Kind.CLIPPED]), (2.718, [])):  # one entry: the bound has to be round
        cut_off = {"b": np.array([1.0, 2.0, cut])}
        found = read_signs([Trial({"b": np.array([1.0, 2.0, 3.0])}, cut_off, TOLERANCE)])
        assert [finding.kind for finding in found] == kinds
    assert read_signs(trials("W^T", [(1, 2), (2, 2), (3, 1)])) == []  # right once may be chance


def test_random_gradients_have_no_sign() -> None:
    generator = np.random.default_rng(3)
    for n, sizes in ((400, [(2, 3)]), (80, [(1, 1), (2, 3), (3, 1)])):
        right = trials(sizes=sizes)
        for _ in range(n):
            wrong = generator.choice(list(SHAPES), size=1)
            tried = []
            for t in right:
                given = {name: generator.normal(size=SHAPES[name]) for name in wrong}
                tried.append(Trial(t.exact, {**t.exact, **given}, TOLERANCE, t.sizes))
            assert read_signs(tried) == []
