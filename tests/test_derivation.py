"""docs/derivation.md stays true: lines stand in the code, numbers and mistakes come out, Python runs."""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from bench.cli.main import build_parser
from bench.workload import data
from bench.workload.case import ACTIVATIONS, sine_case
from impl_numpy import gru, lstm, published, rnn

torch = pytest.importorskip("torch")

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "derivation.md").read_text(encoding="utf-8")
CHAPTERS = re.split(r"^## ", PAGE, flags=re.MULTILINE)  # what stands before the first of them, then 1, 2, ...
GATES = {gru: "rzn", lstm: "ifgo"}  # in the order of the rows
CHAPTER = {gru: CHAPTERS[9], lstm: CHAPTERS[10]}
LINES = {rnn: CHAPTERS[1:6], gru: [*CHAPTERS[1:6], CHAPTERS[9]], lstm: [*CHAPTERS[1:6], *CHAPTERS[9:11]]}
UNEXPLAINED = {  # of the backward passes: what says nothing of a derivative
    rnn: {
        "y_hat, hs = forward(params, x, activation=activation, state=state)",
        'dU, dW, db = np.zeros_like(params["U"]), np.zeros_like(W), np.zeros_like(W[0])',
        'biased = "bU" in params',
        "if biased:",
    },
    gru: {"y_hat, cache = forward(params, x, state=state)", 'if "bU" in params:', 'if "bV" in params:'},
    lstm: {"y_hat, cache = forward(params, x, state=state)", 'if "bU" in params:'},
}
BOTH_WAYS = {"W": [[0, 1], [1, 0]], "V": [[1, 0]]}  # two units that listen only to each other

Arrays = dict[str, np.ndarray]


def quoted(page: str) -> list[str]:
    """The code in the last column of every table that has a column called line."""
    found = []
    for table in re.findall(r"^\|.*\| line \|\n\|[-|]+\|\n((?:\|.*\|\n)+)", page, re.MULTILINE):
        found += re.findall(r"`([^`]+)` \|$", table, re.MULTILINE)
    return found


def code(text: str) -> set[str]:
    """The lines of a file, without indentation and the comment at their end."""
    return {re.sub(r"\s+# .*", "", line).strip() for line in text.splitlines()} - {""}


def source_of(module: ModuleType) -> str:
    return (ROOT / "impl_numpy" / f"{module.__name__.split('.')[-1]}.py").read_text(encoding="utf-8")


def astray(page: str) -> list[str]:
    """Lines that a chapter quotes and that do not stand in the file it names, or in the one of the page."""
    found = []
    for chapter in re.split(r"^## ", page, flags=re.MULTILINE):
        named = re.search(r"\]\(\.\./(impl_numpy/\w+\.py)\)", chapter)
        path = ROOT / (named[1] if named else "impl_numpy/rnn.py")
        found += [line for line in quoted(chapter) if line not in code(path.read_text(encoding="utf-8"))]
    return found


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


def test_every_quoted_line_stands_in_the_file_of_its_chapter() -> None:
    assert astray(PAGE) == []
    assert all(quoted(CHAPTERS[number]) for number in (1, 2, 5, 7, 9, 10))


@pytest.mark.parametrize("module", LINES, ids=lambda module: module.__name__)
def test_no_line_of_the_backward_pass_goes_unexplained(module: ModuleType) -> None:
    text = source_of(module)
    body = text[
        text.index("    y_hat, ", text.index("def loss_and_grads(")) : text.index("    return loss, ")
    ]
    explained = {line for chapter in LINES[module] for line in quoted(chapter)}
    assert code(body) - explained == UNEXPLAINED[module]


@pytest.mark.parametrize(
    ("line", "drifted"),
    [
        ("dU += da.T @ x[t - 1]", "dU += da.T @ x[t]"),
        ("dh = dh * z + dw @ W", "dh = dw @ W"),
        ("tanh_c = np.tanh(c)", "da_n = dh * (1 - z) * (1 - n * n)"),  # stands in another chapter's file
    ],
)
def test_a_line_that_is_not_in_the_file_is_noticed(line: str, drifted: str) -> None:
    assert astray(PAGE.replace(f"`{line}` |", f"`{drifted}` |")) == [drifted]


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


def given(module: ModuleType) -> dict[str, float]:
    """The numbers of the example by hand, by name: U_r, ..., V, x_1, x_2."""
    (line,) = re.findall(r"^ {4}(U_\w = .*)$", CHAPTER[module], re.MULTILINE)
    return {name: float(number) for name, number in re.findall(r"(\w+) = (-?[\d.]+)", line)}


def one_unit(module: ModuleType) -> Arrays:
    """The gradient of the example by hand from ``loss_and_grads``, delta = 1."""
    p, gates = given(module), GATES[module]
    params = {name: np.array([[p[f"{name}_{gate}"]] for gate in gates]) for name in "UW"}
    params |= {
        "V": np.array([[p["V"]]]),
        "bU": np.zeros(len(gates)),
        "bW": np.zeros(len(gates)),
        "bV": np.zeros(1),
    }
    x = np.array([p["x_1"], p["x_2"]]).reshape(2, 1, 1)
    grads: Arrays = module.loss_and_grads(params, x, np.zeros((1, 1)), delta=1.0)[1]
    return grads


def sigma(a: float) -> float:
    return 1 / (1 + math.exp(-a))


def shares(text: str, module: ModuleType) -> list[float]:
    """The two numbers of the sentence that begins with ``text``."""
    chapter = CHAPTER[module].replace("−", "-")
    (sentence,) = re.findall(rf"{text}[^.]*?(-?\d+\.\d+) [^.]*?(-?\d+\.\d+) ", chapter)
    return [float(number) for number in sentence]


def test_the_gru_by_hand_comes_out() -> None:
    p = given(gru)
    r, z, w_n, n, h = {}, {}, {}, {}, {0: 0.0}
    x = {t: p[f"x_{t}"] for t in (1, 2)}
    for t in (1, 2):
        r[t] = sigma(p["U_r"] * x[t] + p["W_r"] * h[t - 1])
        z[t] = sigma(p["U_z"] * x[t] + p["W_z"] * h[t - 1])
        w_n[t] = p["W_n"] * h[t - 1]
        n[t] = math.tanh(p["U_n"] * x[t] + r[t] * w_n[t])
        h[t] = (1 - z[t]) * n[t] + z[t] * h[t - 1]
    y_hat = p["V"] * h[2]
    assert abs(y_hat) < 1  # within delta
    dh = {2: p["V"] * y_hat}
    da_n, da_r, da_z = {}, {}, {}
    for t in (2, 1):
        da_n[t] = dh[t] * (1 - z[t]) * (1 - n[t] ** 2)
        da_r[t] = da_n[t] * w_n[t] * r[t] * (1 - r[t])
        da_z[t] = dh[t] * (h[t - 1] - n[t]) * z[t] * (1 - z[t])
        through = p["W_r"] * da_r[t] + p["W_z"] * da_z[t] + p["W_n"] * da_n[t] * r[t]
        dh[t - 1] = dh[t] * z[t] + through
        if t == 2:
            assert shares("Of dh_1, ", gru) == pytest.approx([dh[2] * z[2], through], abs=5.1e-7)
    forwards, backwards = blocks("text")[4:6]
    assert_shown(forwards, {k: [v[1], v[2]] for k, v in {"r": r, "z": z, "w_n": w_n, "n": n, "h": h}.items()})
    du = [da_r, da_z, da_n]
    dw = [da_r, da_z, {t: da_n[t] * r[t] for t in (1, 2)}]
    sums = {
        "dU": [da[1] * x[1] + da[2] * x[2] for da in du],
        "dW": [da[2] * h[1] for da in dw],
        "dbU": [da[1] + da[2] for da in du],
        "dbW": [da[1] + da[2] for da in dw],
    }
    steps = {"dh": dh, "da_n": da_n, "da_r": da_r, "da_z": da_z}
    assert_shown(backwards, {k: [v[1], v[2]] for k, v in steps.items()} | sums)
    grads = one_unit(gru)
    assert {name: pytest.approx(np.ravel(grads[name[1:]]), rel=1e-12, abs=1e-15) for name in sums} == sums


def test_the_lstm_by_hand_comes_out() -> None:
    p = given(lstm)
    i, f, g, o, c, h = {}, {}, {}, {}, {0: 0.0}, {0: 0.0}
    x = {t: p[f"x_{t}"] for t in (1, 2)}
    for t in (1, 2):
        i[t], f[t], a_g, o[t] = (
            (math.tanh if gate == "g" else sigma)(p[f"U_{gate}"] * x[t] + p[f"W_{gate}"] * h[t - 1])
            for gate in "ifgo"
        )
        g[t] = a_g
        c[t] = f[t] * c[t - 1] + i[t] * g[t]
        h[t] = o[t] * math.tanh(c[t])
    y_hat = p["V"] * h[2]
    assert abs(y_hat) < 1  # within delta
    dh, back = {2: p["V"] * y_hat}, {2: 0.0}  # back: what the next step hands back of dc
    dc, da_i, da_f, da_g, da_o = {}, {}, {}, {}, {}
    for t in (2, 1):
        shown = dh[t] * o[t] * (1 - math.tanh(c[t]) ** 2)
        dc[t] = back[t] + shown
        da_i[t] = dc[t] * g[t] * i[t] * (1 - i[t])
        da_f[t] = dc[t] * c[t - 1] * f[t] * (1 - f[t])
        da_g[t] = dc[t] * i[t] * (1 - g[t] ** 2)
        da_o[t] = dh[t] * math.tanh(c[t]) * o[t] * (1 - o[t])
        dh[t - 1] = p["W_i"] * da_i[t] + p["W_f"] * da_f[t] + p["W_g"] * da_g[t] + p["W_o"] * da_o[t]
        back[t - 1] = dc[t] * f[t]
        if t == 1:
            assert shares("Of dc_1, ", lstm) == pytest.approx([back[1], shown], abs=5.1e-7)
    forwards, backwards = blocks("text")[6:8]
    ahead = {"i": i, "f": f, "g": g, "o": o, "c": c, "h": h}
    assert_shown(forwards, {k: [v[1], v[2]] for k, v in ahead.items()})
    da = [da_i, da_f, da_g, da_o]
    sums = {"dU": [d[1] * x[1] + d[2] * x[2] for d in da], "dW": [d[2] * h[1] for d in da]}
    steps = {"dh": dh, "dc": dc, "da_i": da_i, "da_f": da_f, "da_g": da_g, "da_o": da_o}
    assert_shown(backwards, {k: [v[1], v[2]] for k, v in steps.items()} | sums)
    biases = {"dbU": [d[1] + d[2] for d in da], "dbW": [d[1] + d[2] for d in da]}
    grads = one_unit(lstm)
    by_hand = sums | biases
    assert {
        name: pytest.approx(np.ravel(grads[name[1:]]), rel=1e-12, abs=1e-15) for name in by_hand
    } == by_hand


Row = tuple[str, ...]  # mistake, right, wrong, T = 1, 2, 3 and >= 4, loss


def mistakes(module: ModuleType) -> Iterator[Row]:
    (table,) = re.findall(r"^\| mistake \|.*\n\|[-|]+\|\n((?:\|.*\|\n)+)", CHAPTER[module], re.MULTILINE)
    for row in table.splitlines():
        yield tuple(cell.strip().strip("`") for cell in row.strip("|").split(" | "))


def changed(module: ModuleType, right: str, wrong: str) -> dict[str, Any]:
    """The names of the module, with one expression of ``loss_and_grads`` replaced."""
    forward, start, backward = source_of(module).partition("def loss_and_grads(")
    assert backward.count(right) == 1, f"{right!r} occurs {backward.count(right)} times in the backward pass"
    names: dict[str, Any] = {"__name__": "mistake"}
    exec(compile(forward + start + backward.replace(right, wrong), wrong, "exec"), names)
    return names


def random_case(gates: str, T: int) -> tuple[Arrays, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    B, I, H, O = 3, 2, 3, 2  # noqa: E741
    G = len(gates) * H
    shapes = {"U": (G, I), "W": (G, H), "V": (O, H), "bU": (G,), "bW": (G,), "bV": (O,)}
    params = {name: generator.normal(size=shape) for name, shape in shapes.items()}
    return params, generator.normal(size=(T, B, I)), generator.normal(size=(B, O))


def wrong_rows(module: ModuleType, mistaken: dict[str, Any], T: int) -> set[str]:
    """Whose gradient is not the module's: U_r, ..., V, bV."""
    gates, found = GATES[module], set()
    case = random_case(gates, T)
    exact, wrong = (
        loss_and_grads(*case, delta=1.0)[1]
        for loss_and_grads in (module.loss_and_grads, mistaken["loss_and_grads"])
    )
    for name in exact:
        parts = [name] if "V" in name else [f"{name}_{gate}" for gate in gates]
        for part, a, b in zip(
            parts, np.split(exact[name], len(parts)), np.split(wrong[name], len(parts)), strict=True
        ):
            found |= set() if np.allclose(a, b, rtol=1e-9, atol=1e-14) else {part}
    return found


def meant(cell: str, gates: str) -> set[str]:
    """The rows that a cell of the table names: "r" is U_r, bU_r and bW_r, "all" those of all gates."""
    found = set[str]()
    for word in cell.replace("all", " ".join(gates)).replace("—", "").split():
        if word in gates:
            found |= {f"{name}_{word}" for name in ("U", "bU", "bW")}
        else:
            found |= {word} if "_" in word else {f"{word}_{gate}" for gate in gates}
    return found


def loss_after(sgd_step: Any, gates: str, n_steps: int) -> float:
    """The loss after so many steps of a net that learns to remember the first of four numbers."""
    generator = np.random.default_rng(0)
    G = len(gates) * 4
    params = {
        "U": generator.normal(size=(G, 1)),
        "W": generator.normal(size=(G, 4)) / 2,
        "V": generator.normal(size=(1, 4)) / 2,
    }
    params |= {"bU": np.zeros(G), "bW": np.zeros(G), "bV": np.zeros(1)}
    x = generator.uniform(-1, 1, size=(4, 16, 1))
    for _ in range(n_steps + 1):
        loss, params = sgd_step(params, x, x[0], lr=0.3, delta=1.0)
    return float(loss)


@pytest.mark.parametrize(
    ("module", "row"),
    [pytest.param(m, row, id=f"{m.__name__[11:]}-{row[0]}") for m in GATES for row in mistakes(m)],
)
def test_a_mistake_shows_where_the_page_says(module: ModuleType, row: Row) -> None:
    _, right, wrong, *shown, loss = row
    gates, mistaken = GATES[module], changed(module, right, wrong)
    for T, cell in zip((1, 2, 3, 4, 5), [*shown, shown[-1]], strict=True):
        assert wrong_rows(module, mistaken, T) == meant(cell, gates), T
    # training on a wrong gradient enlarges rounding, which differs between processors: by 6 % of the loss
    assert loss_after(mistaken["sgd_step"], gates, 200) == pytest.approx(float(loss), rel=0.1, abs=5.1e-4)


@pytest.mark.parametrize("module", GATES, ids=lambda module: module.__name__)
def test_the_right_gradient_is_no_mistake_and_ends_where_the_page_says(module: ModuleType) -> None:
    chapter, rows = CHAPTER[module].replace("\n", " "), list(mistakes(module))
    assert wrong_rows(module, changed(module, rows[0][1], rows[0][1]), 3) == set()
    ((start, end),) = re.findall(r"from (\d\.\d+) the right one comes to (\d\.\d+)\.", chapter)
    losses = [loss_after(module.sgd_step, GATES[module], n) for n in (0, 200)]
    assert [float(start), float(end)] == pytest.approx(losses, abs=5.1e-4)
    ends = [float(row[-1]) for row in rows]
    assert max(ends) < float(start)
    near = sum(abs(loss / losses[1] - 1) < 0.25 for loss in ends)
    assert f"falls in every row, in {near} of {len(rows)} to within a quarter of" in chapter


def test_the_forget_gate_goes_wrong_a_step_later_than_the_input_gate() -> None:
    for row in list(mistakes(lstm))[:6]:  # those in dc, or before it
        first = [
            min(T for T, cell in enumerate(row[3:7]) if f"U_{gate}" in meant(cell, "ifgo")) for gate in "if"
        ]
        assert first[1] == first[0] + 1, row


@pytest.mark.parametrize("block", blocks("python"))
def test_the_python_blocks_run(block: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(block, "derivation.md", "exec"), {})
    assert capsys.readouterr().out


def test_the_command_is_understood() -> None:
    (command,) = blocks("sh")
    assert build_parser().parse_args(command.split()[1:]).variant == ["numpy-published"]
