"""A wrong gradient of a cell is named by the change of the reference that gives the same; nothing else is."""

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from mutants import FOLDER

from bench.gradients.diagnosis import diagnose
from bench.gradients.finding import Finding, Kind
from bench.gradients.mistakes import MOST_NAMED
from bench.gradients.trial import Trial
from bench.workload import data
from bench.workload.case import Case, Shape
from bench.workload.cell import CELLS, find_cell

Function = Callable[..., Any]
SHAPES = (Shape(1, 3, 2, 4, 5), Shape(2, 2, 4, 5, 3), Shape(3, 4, 2, 5, 3))  # T, B, I, H, O


def trials(function: Function, cell: str, activation: str = "tanh", delta: float = 2.0) -> list[Trial]:
    """The gradients of a function beside the exact ones, on random data of several shapes."""
    found = []
    for shape in SHAPES:
        case = Case(
            "gradient",
            shape,
            "positional",
            "float64",
            activation,
            data="random",
            delta=0.5,
            cell=cell,
            bias=True,
        )
        batch, options = data.make(case), find_cell(cell).options(activation)
        exact, given = (
            f(batch.params, batch.x, batch.y, delta=delta, **options)[1] for f in (reference(cell), function)
        )
        sizes = asdict(shape)
        found.append(Trial(exact, given, 1e-9, sizes, batch, delta, activation))
    return found


def reference(cell: str) -> Function:
    function: Function = find_cell(cell).reference().loss_and_grads
    return function


def mistaken(cell: str, *changes: tuple[str, str]) -> Function:
    """The reference of a cell with expressions replaced."""
    source = (FOLDER / f"{cell}.py").read_text(encoding="utf-8")
    for old, new in changes:
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    names: dict[str, Any] = {"__name__": "mistaken"}
    exec(compile(source, "mistaken.py", "exec"), names)
    function: Function = names["loss_and_grads"]
    return function


def diagnosis(cell: str, *changes: tuple[str, str]) -> list[Finding]:
    return diagnose(trials(mistaken(cell, *changes), cell), cell)


DW_GRU = "dw = np.concatenate((da_r, da_z, da_n * r), axis=1)"
STEPS = "range(len(x) - 1, -1, -1)"


@pytest.mark.parametrize(
    ("cell", "old", "new", "kind", "parameters", "mistake", "section"),
    [
        ("rnn", "dh = da @ W", "dh = 0 * dh", Kind.NOT_HANDED_BACK,
         "U W bU bW", "dh_next is not handed back", 4),
        ("lstm", "dc = dc * f", "dc = 0 * dc", Kind.NOT_HANDED_BACK,
         "U W bU bW", "dc_next is not handed back", 10),
        ("gru", "dh = dh * z + dw @ W", "dh = dw @ W", Kind.NOT_HANDED_BACK,
         "U W bU bW", "the part dh * z is left out of dh", 9),
        ("rnn", "range(len(x), 0, -1)", "range(len(x), 1, -1)", Kind.STEP_LEFT_OUT,
         "U bU bW", "the first step (t = 1) is left out", 4),
        ("lstm", STEPS, f"{STEPS}[:2]", Kind.TRUNCATED, "U bU bW", "the walk back ends after 2 steps", 10),
        ("rnn", "da.T @ hs[t - 1]", "da.T @ hs[t]", Kind.OFF_BY_ONE,
         "W", "hs[t] stands for hs[t - 1] in dW", 5),
        ("lstm", "dc * c_before", "dc * c", Kind.OFF_BY_ONE,
         "U W bU bW", "c stands for c_before in da_f", 10),
        ("gru", "du.sum(axis=0)", "du.mean(axis=0)", Kind.CONSTANT,
         "bU", "dbU is a mean over the batch, not a sum", 9),
        ("rnn", "e_clipped / e.size", "e_clipped", Kind.CONSTANT,
         "U W V bU bW bV", "the division by e.size is left out of dy_hat", 2),
        ("gru", "(h_before - n)", "(n - h_before)", Kind.SIGN,
         "U W bU bW", "n - h_before stands for h_before - n in da_z", 9),
        ("rnn", "dh = da @ W", "dh = da @ W.T", Kind.TRANSPOSED,
         "U W bU bW", "da @ W.T stands for da @ W in dh", 5),
        ("rnn", "dh * act_prime(hs[t])", "dh", Kind.DERIVATIVE,
         "U W bU bW", "the derivative act_prime(hs[t]) is left out of da", 5),
        ("gru", "(1 - n * n)", "(1 - np.tanh(n) ** 2)", Kind.DERIVATIVE,
         "U W bU bW", "1 - np.tanh(n) * np.tanh(n) stands for the derivative 1 - n * n in da_n", 9),
        ("lstm", "(i * (1 - i))", "(f * (1 - f))", Kind.DERIVATIVE,
         "U W bU bW", "f * (1 - f) stands for the derivative i * (1 - i) in da_i", 10),
        ("lstm", "dc = dc * f", "dc = dc", Kind.FACTOR, "U W bU bW", "the factor f is left out of dc", 10),
        ("lstm", "dh = da @ W", "dh = dh + da @ W", Kind.TERM,
         "U W bU bW", "dh is handed back whole as well", 10),
        ("lstm", "dh * tanh_c", "dh * c", Kind.MISTAKEN, "U W bU bW", "c stands for tanh_c in da_o", 10),
        ("gru", DW_GRU, DW_GRU.replace("da_r, da_z", "da_z, da_r"), Kind.ORDER,
         "U W bU bW", "the rows of dw stand as da_z, da_r, da_n * r", 9),
        ("gru", 'grads["bU"] +=', 'grads["bU"] =', Kind.NOT_SUMMED,
         "bU", "dbU is that of the first step, not the sum", 9),
        ("rnn", "da.T @ hs[t - 1]", "da.T @ hs[max(t - 2, 0)]", Kind.OFF_BY_ONE,
         "W", "hs[max(t - 2, 0)] stands for hs[t - 1] in dW", 5),
        ("lstm", "da_f = dc * c_before", "da_f = (dc - dh * o * (1 - tanh_c * tanh_c)) * c_before", Kind.TERM,
         "U W bU bW", "the part dh * o * (1 - tanh_c * tanh_c) is left out of the dc in da_f", 10),
        ("lstm", "dh = da @ W", "dh = da_g @ np.split(W, 4)[2]", Kind.NOT_HANDED_BACK,
         "U W bU bW", "what goes through gate 1, 2 and 4 of 4 is left out of dh", 10),
        ("gru", "da_n * w_n * (", "dh * (1 - z) * w_n * (", Kind.DERIVATIVE,
         "U W bU bW", "the derivative 1 - n * n is left out of the da_n in da_r", 9),
        ("rnn", '"bW": db.copy()', '"bW": 0 * db', Kind.ZERO, "bW", "dbW is zero", 5),
        ("rnn", "dh = da @ W", "dh = np.clip(da @ W, -0.01, 0.01)", Kind.CLIPPED,
         "U W bU bW", "dh is cut off at ±0.01", 5),
    ],
)  # fmt: skip
def test_a_mistake_is_named_in_its_place(
    cell: str, old: str, new: str, kind: Kind, parameters: str, mistake: str, section: int
) -> None:
    findings = diagnosis(cell, (old, new))
    said = [(f.kind, " ".join(f.parameters), f.mistake, f.section) for f in findings]
    assert (kind, parameters, mistake, section) in said
    assert len(said) <= MOST_NAMED
    assert {finding.evidence for finding in findings} <= {
        f"equal to {n}e-16 at T = 1, 2 and 3" for n in range(1, 10)
    }


def test_of_two_mistakes_that_give_the_same_both_are_named() -> None:
    findings = diagnosis("rnn", ("e = y_hat - y  #", "e = y - y_hat  #"))
    assert [finding.line for finding in findings] == ["e = y_hat - y", "dy_hat = e_clipped / e.size"]


def test_a_line_of_the_huber_loss_is_not_shown_where_the_loss_is_another() -> None:
    doubled = mistaken("gru", ("e_clipped / e.size", "2 * e_clipped / e.size"))
    (of_huber,), (of_another,) = (diagnose(trials(doubled, "gru", delta=d), "gru") for d in (2.0, np.inf))
    assert (of_huber.line, of_huber.section) == ("dy_hat = e_clipped / e.size", 2)
    assert (of_another.line, of_another.section, of_another.mistake) == ("", 0, "dy_hat is twice as large")


def test_weight_decay_and_a_shortened_gradient_are_named() -> None:
    def decayed(params: Any, *data: Any, **options: Any) -> Any:
        loss, grads = reference("rnn")(params, *data, **options)
        return loss, {**grads, "W": grads["W"] + 0.01 * params["W"]}

    def shortened(params: Any, *data: Any, **options: Any) -> Any:
        loss, grads = reference("rnn")(params, *data, **options)
        length = np.sqrt(sum(np.sum(grad**2) for grad in grads.values()))
        return loss, {name: grad * min(1, 0.05 / (length + 1e-6)) for name, grad in grads.items()}

    (of_decay,), (of_length,) = (diagnose(trials(f, "rnn"), "rnn") for f in (decayed, shortened))
    said = of_decay.kind, of_decay.parameters, of_decay.mistake
    assert said == (Kind.TERM, ("W",), "0.01 times the parameter is added")
    assert of_length.kind == Kind.CLIPPED
    assert of_length.mistake == "all gradients together are shortened to a length of 0.05"


def test_two_mistakes_in_different_parameters_are_named_each_for_its_own() -> None:
    findings = diagnosis("rnn", ("da.T @ hs[t - 1]", "da.T @ hs[t]"), ("dy_hat.sum(", "dy_hat.mean("))
    assert {(finding.kind, finding.parameters) for finding in findings} == {
        (Kind.OFF_BY_ONE, ("W",)),
        (Kind.CONSTANT, ("bV",)),
    }


@pytest.mark.parametrize("change", [0.05, 1e-3])
def test_what_is_no_known_mistake_is_not_named(change: float) -> None:
    def noisy(params: Any, x: Any, y: Any, **options: Any) -> Any:
        loss, grads = reference("rnn")(params, x, y, **options)
        noise = np.random.default_rng(1)
        return loss, {k: g + change * np.abs(g).max() * noise.normal(size=g.shape) for k, g in grads.items()}

    assert diagnose(trials(noisy, "rnn"), "rnn") == []


@pytest.mark.parametrize("cell", CELLS)
def test_a_right_gradient_with_the_noise_of_rounding_has_no_mistake(cell: str) -> None:
    def rounded(params: Any, x: Any, y: Any, **options: Any) -> Any:
        loss, grads = reference(cell)(params, x, y, **options)
        return loss, {name: grad * (1 + 1e-13) for name, grad in grads.items()}

    assert diagnose(trials(rounded, cell), cell) == []


def test_a_mistake_must_give_the_same_in_every_trial() -> None:
    """Truncated after two steps and after three are the same up to T = 2, but not at T = 3."""
    wrong = trials(mistaken("rnn", ("range(len(x), 0, -1)", "range(len(x), 0, -1)[:2]")), "rnn")
    assert [f.mistake for f in diagnose(wrong, "rnn")] == ["the walk back ends after 2 steps"]
    wrong[0] = replace(wrong[0], given={**wrong[0].given, "V": 2 * wrong[0].given["V"]})
    assert all(
        "U" not in finding.parameters for finding in diagnose(wrong, "rnn") if finding.kind != Kind.TRUNCATED
    )


@pytest.mark.parametrize("cell", CELLS)
def test_no_edit_changes_its_inputs(cell: str) -> None:
    """Each edit runs on the same arrays: one that wrote into them would spoil all that follow."""
    trial = trials(reference(cell), cell)[1]
    assert trial.batch is not None
    before = trial.batch.digest()
    wrong = replace(trial, given={**trial.given, "U": trial.given["U"] + 0.1})
    diagnose([wrong], cell)
    assert trial.batch.digest() == before


def test_the_published_gradient_is_named_even_in_a_copy() -> None:
    from impl_numpy import published

    found = []
    for trial in trials(reference("rnn"), "rnn"):
        batch = trial.batch
        assert batch is not None
        params = {name: batch.params[name] for name in "UWV"}
        _, exact = reference("rnn")(params, batch.x, batch.y, delta=trial.delta)
        _, given = published.loss_and_grads(params, batch.x, batch.y, delta=trial.delta)
        found.append(replace(trial, exact=exact, given=given, batch=replace(batch, params=params)))
    (finding,) = diagnose(found, "rnn")
    assert (finding.kind, finding.parameters, finding.section) == (Kind.PUBLISHED, ("U", "W"), 7)
