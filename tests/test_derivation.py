"""docs/derivation.md stays true: its lines stand in the code, its numbers come out, its Python runs."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.cli.main import build_parser
from bench.workload import data
from bench.workload.case import ACTIVATIONS, sine_case
from impl_numpy import published, rnn

torch = pytest.importorskip("torch")

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "derivation.md").read_text(encoding="utf-8")
SOURCES = ("impl_numpy/rnn.py", "impl_numpy/published.py")
BOTH_WAYS = {"W": [[0, 1], [1, 0]], "V": [[1, 0]]}  # two units that listen only to each other

Arrays = dict[str, np.ndarray]


def quoted(page: str) -> list[str]:
    """The code in the last column of every table that has a column called line."""
    found = []
    for table in re.findall(r"^\|.*\| line \|\n\|[-|]+\|\n((?:\|.*\|\n)+)", page, re.MULTILINE):
        found += re.findall(r"`([^`]+)` \|$", table, re.MULTILINE)
    return found


def lines_of(*paths: str) -> set[str]:
    """The lines of files, without indentation and the comment at their end."""
    text = "\n".join((ROOT / path).read_text(encoding="utf-8") for path in paths)
    return {re.sub(r"\s+# .*", "", line).strip() for line in text.splitlines()}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def numbers(block: str) -> dict[str, list[float]]:
    """The lines ``name = number number ...`` of a block; what follows is a remark."""
    pattern = r"^(.+?) += +(-?\d[\d.]*(?: +-?\d[\d.]*)*)(?: {2,}.*)?$"
    found = re.findall(pattern, block, re.MULTILINE)
    assert len(found) == len(block.splitlines()), block
    return {name: [float(number) for number in row.split()] for name, row in found}


def gradients(params: dict[str, Any], x: list[float], y: float) -> tuple[Arrays, Arrays]:
    """The exact and the published gradient for one sample of one feature, delta = 1."""
    arrays = {name: np.array(p, dtype=float) for name, p in params.items()}
    inputs, target = np.array(x, dtype=float).reshape(-1, 1, 1), np.array([[y]])
    pair = [module.loss_and_grads(arrays, inputs, target, delta=1.0)[1] for module in (rnn, published)]
    return pair[0], pair[1]


def assert_shown(block: str, worked_out: dict[str, Any]) -> None:
    shown = numbers(block)
    assert shown.keys() == worked_out.keys()
    for name, row in shown.items():
        assert row == pytest.approx(np.ravel(worked_out[name]), abs=5.1e-7), name


def test_every_quoted_line_stands_in_the_code() -> None:
    lines = lines_of(*SOURCES)
    assert [line for line in quoted(PAGE) if line not in lines] == []


def test_no_line_of_the_backward_pass_goes_unexplained() -> None:
    text = (ROOT / SOURCES[0]).read_text(encoding="utf-8")
    body = text[text.index("    y_hat, hs = forward(") : text.index("    return loss, {")]
    code = {re.sub(r"\s+# .*", "", line).strip() for line in body.splitlines()}
    unexplained = {line for line in code if line} - set(quoted(PAGE))
    assert unexplained == {
        "y_hat, hs = forward(params, x, activation=activation)",
        'dU, dW = np.zeros_like(params["U"]), np.zeros_like(W)',
    }


def test_a_line_that_is_not_in_the_code_is_noticed() -> None:
    drifted = PAGE.replace("`dU += da.T @ x[t - 1]`", "`dU += da.T @ x[t]`")
    assert [line for line in quoted(drifted) if line not in lines_of(*SOURCES)] == ["dU += da.T @ x[t]"]


def test_the_example_by_hand_comes_out() -> None:
    forwards, backwards, *_ = blocks("text")
    U, W, V, x_1, x_2 = 0.5, -1.0, 2.0, 1.0, 0.5
    h_1 = np.tanh(U * x_1)
    h_2 = np.tanh(U * x_2 + W * h_1)
    y_hat = V * h_2
    ahead = {"a_1": U * x_1, "h_1": h_1, "a_2": U * x_2 + W * h_1, "h_2": h_2, "ŷ": y_hat, "L": y_hat**2 / 2}
    assert_shown(forwards, ahead)
    dh_2 = V * y_hat
    da_2 = dh_2 * (1 - h_2**2)
    dh_1 = W * da_2
    da_1 = dh_1 * (1 - h_1**2)
    exact, _ = gradients({"U": [[U]], "W": [[W]], "V": [[V]]}, [x_1, x_2], 0.0)
    back = {"dŷ": y_hat, "dh_2": dh_2, "da_2": da_2, "dh_1": dh_1, "da_1": da_1}
    assert_shown(backwards, back | {f"d{name}": exact[name] for name in "UWV"})
    assert "−0.399728 from the second, 0.628730 from the first" in PAGE
    assert (da_2 * x_2, da_1 * x_1) == pytest.approx((-0.399728, 0.628730), abs=5.1e-7)


@pytest.mark.parametrize(
    ("block", "U", "x", "y"), [(2, [[0], [0]], [1, 0], -1), (3, [[0.5], [1]], [1, -1, 0.5], 0)]
)
def test_the_counter_examples_come_out(block: int, U: list[list[float]], x: list[float], y: float) -> None:
    exact, wrong = gradients({"U": U, **BOTH_WAYS}, x, y)
    names = ("U", "W") if block == 3 else ("U",)
    shown = {f"{name} exact": exact[name] for name in names}
    assert_shown(blocks("text")[block], shown | {f"{name} published": wrong[name] for name in names})


def test_a_number_that_is_off_is_noticed() -> None:
    exact, wrong = gradients({"U": [[0], [0]], **BOTH_WAYS}, [1, 0], -1)
    with pytest.raises(AssertionError):
        assert_shown(blocks("text")[2], {"U exact": wrong["U"], "U published": exact["U"]})


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_columns_of_the_published_gradient_have_the_right_sums_in_the_wrong_rows(activation: str) -> None:
    case = sine_case("gradient", "positional", batch=8, dtype="float64", activation=activation)
    batch = data.make(case)
    exact, wrong = (
        module.loss_and_grads(batch.params, batch.x, batch.y, activation=activation)[1]
        for module in (rnn, published)
    )
    for name in "UW":
        assert wrong[name].sum(axis=0) == pytest.approx(exact[name].sum(axis=0), rel=1e-9, abs=1e-15)
        assert np.linalg.norm(wrong[name] - exact[name]) > 0.1 * np.linalg.norm(exact[name])


@pytest.mark.parametrize(("steps", "right"), [(1, "UWV"), (2, "WV"), (3, "V")])
def test_u_goes_wrong_from_two_steps_on_and_w_from_three(steps: int, right: str) -> None:
    generator = np.random.default_rng(1)
    params = {name: generator.normal(size=s) for name, s in {"U": (3, 1), "W": (3, 3), "V": (1, 3)}.items()}
    exact, wrong = gradients(params, generator.normal(size=steps).tolist(), 5.0)
    agree = [name for name in "UWV" if np.allclose(wrong[name], exact[name], rtol=1e-12, atol=1e-15)]
    assert "".join(agree) == right


@pytest.mark.parametrize("block", blocks("python"))
def test_the_python_blocks_run(block: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(block, "derivation.md", "exec"), {})
    assert capsys.readouterr().out


def test_the_command_is_understood() -> None:
    (command,) = blocks("sh")
    assert build_parser().parse_args(command.split()[1:]).variant == ["numpy-published"]
