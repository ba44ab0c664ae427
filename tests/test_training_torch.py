"""Parameters under PyTorch's names: nets of PyTorch run by NumPy, where there is no PyTorch too, and back."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bench
from bench.machine.errors import UserError
from bench.training.params import save_params
from bench.workload.case import sine_case
from bench.workload.data import initial_params

torch = pytest.importorskip("torch")
nn = torch.nn

ROOT = Path(__file__).parents[1]
T, B, I, H, O = 5, 3, 2, 4, 6  # noqa: E741  (this project writes I and O)
EXACT = {"float32": 1e-6, "float64": 1e-12}
BLOCKS = re.findall(
    r"^```python\n(.*?)^```", (ROOT / "docs/torch.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
)
NO_TORCH = "import sys; sys.modules['torch'] = None\n"


def make(part: str, *, outputs: bool = True, dtype: str = "float64", **options: Any) -> Any:
    """A net of a recurrent part and a linear layer, its modules deeper than usual."""
    torch.manual_seed(1)
    body = nn.ModuleDict({"body": getattr(nn, part)(I, H, **options)})
    head = {"head": nn.Linear(H, O, bias=options.get("bias", True))} if outputs else {}
    return nn.ModuleDict({"deep": body, **head}).to(getattr(torch, dtype))


def run(net: Any, x: Any, state: Any = None) -> Any:
    """PyTorch's own y_hat (B, O); ``state`` as the net's part takes it."""
    part = net["deep"]["body"]
    if isinstance(part, nn.RNNCellBase):
        for x_t in x:
            state = part(x_t, state)
        h = state[0] if isinstance(state, tuple) else state
    else:
        h = part(x, state)[0][-1]
    return net["head"](h).detach().numpy()


def arrays(net: Any) -> dict[str, np.ndarray]:
    return {name: p.numpy() for name, p in net.state_dict().items()}


@pytest.mark.parametrize("dtype", EXACT)
@pytest.mark.parametrize(
    ("part", "options"),
    [
        ("RNN", {}), ("RNN", {"nonlinearity": "relu"}), ("GRU", {}), ("LSTM", {}), ("LSTM", {"bias": False}),
        ("RNNCell", {"bias": False}), ("GRUCell", {}), ("LSTMCell", {}),
    ],
    ids=str,
)  # fmt: skip
def test_a_net_of_pytorch_is_run_by_numpy_and_goes_back(
    tmp_path: Path, part: str, options: dict[str, Any], dtype: str
) -> None:
    net = make(part, dtype=dtype, **options)
    x, *states = (torch.randn(size, dtype=getattr(torch, dtype)) for size in ((T, B, I), (B, H), (B, H)))
    layer, pair = not part.endswith("Cell"), part.startswith("LSTM")
    theirs = [h[None] for h in states] if layer else states  # (1, B, H)
    ours = [h.numpy() for h in states]
    activation = {"activation": options.get("nonlinearity", "tanh")}

    np.savez(tmp_path / "net.npz", **arrays(net))
    for source in (net.state_dict(), dict(net.named_parameters()), arrays(net), tmp_path / "net.npz"):
        loaded = bench.load_torch(source, **activation)
        assert loaded.cell == part.removesuffix("Cell").lower()
        assert loaded.predict(x.numpy()) == pytest.approx(run(net, x), abs=EXACT[dtype])
        given = loaded.predict(x, state=tuple(ours) if pair else ours[0])
        wanted = run(net, x, tuple(theirs) if pair else theirs[0])
        assert given == pytest.approx(wanted, abs=EXACT[dtype])
        assert given.dtype == dtype
        assert given != pytest.approx(run(net, x), abs=1e-3)

    back = bench.to_torch(loaded.params, recurrent="deep.body", output="head", layer=layer)
    assert {name: p.tobytes() for name, p in back.items()} == {
        name: p.tobytes() for name, p in arrays(net).items()
    }


def test_the_numbers_are_copied_and_a_relu_is_no_tanh() -> None:
    net = make("RNN", nonlinearity="relu")
    x = torch.randn(T, B, I, dtype=torch.float64)
    loaded, before = bench.load_torch(net.state_dict(), activation="relu"), run(net, x)
    with torch.no_grad():
        net["head"].weight.zero_()
    assert loaded.predict(x) == pytest.approx(before, abs=1e-12)
    assert bench.load_torch(net.state_dict()).predict(x) != pytest.approx(before, abs=1e-3)


def test_a_file_of_save_is_a_net_too(tmp_path: Path) -> None:
    params = initial_params(sine_case("forward", "sequence", hidden=H, cell="lstm", bias=True))
    save_params(tmp_path / "ours.npz", params)
    loaded, x = bench.load_torch(tmp_path / "ours.npz"), np.ones((T, B, 1))
    assert (loaded.cell, loaded.params.keys()) == ("lstm", params.keys())
    assert loaded.predict(x) == pytest.approx(bench.load_torch(bench.to_torch(params)).predict(x), abs=0)


# what is refused

Change = Callable[[dict[str, np.ndarray]], Any]
SUPPORTED = "; supported is an RNN, GRU or LSTM of one layer and one direction without a projection, then one"
W, V, BIAS = "deep.body.weight_hh_l0", "head.weight", "deep.body.bias_hh_l0"


def without(name: str) -> Change:
    return lambda state: {key: p for key, p in state.items() if key != name}


def changed(name: str, p: Any) -> Change:
    return lambda state: state | {name: p}


REFUSED: list[tuple[Any, str]] = [
    (lambda _: make("LSTM", num_layers=2).state_dict(), "_l1' is of a second layer" + SUPPORTED),
    (
        lambda _: make("GRU", bidirectional=True).state_dict(),
        "_l0_reverse' is of a second direction" + SUPPORTED,
    ),
    (
        lambda _: make("LSTM", proj_size=2).state_dict(),
        "'deep.body.weight_hr_l0' is of a projection" + SUPPORTED,
    ),
    (lambda _: make("GRU", outputs=False).state_dict(), "the state_dict: it has no 'weight'" + SUPPORTED),
    (
        lambda state: {V: state[V], **state},
        "'head.weight' is of a layer before the recurrent one; if it is the output, put its names last",
    ),
    (lambda state: state | {"tail.weight": state[V]}, "'tail.weight' is one too many beside 'head.weight'"),
    (
        lambda state: state | {"norm.running_mean": state[V]},
        "'norm.running_mean' is of no such net" + SUPPORTED,
    ),
    (lambda state: {"model": state, "epoch": 3}, "'model' is of no such net" + SUPPORTED),
    (changed("deep.body.weight_hh_l0_g", np.ones((12, 1))), "_l0_g' is of no such net" + SUPPORTED),
    (lambda _: {}, "it has no 'weight_ih'" + SUPPORTED),
    (lambda _: {0: np.ones(3)}, "0 is of no such net" + SUPPORTED),
    (without(W), "it has no 'weight_hh'" + SUPPORTED),
    (without(BIAS), "it has no 'bias_hh'.*all with biases, or all without"),
    (without("head.bias"), "it has no 'bias'"),
    (changed(W, np.ones((3 * H, H + 1))), r"l0 \(12, 5\), head.weight .*they must be weight_ih \(G, I\)"),
    (changed(W, np.ones((2 * H, H))), r"deep.body.weight_hh_l0 \(8, 4\), .*where G is H for an RNN, 3 H for"),
    (changed(BIAS, np.ones((3 * H, 1))), r"deep.body.bias_hh_l0 \(12, 1\).* do not fit together"),
    (changed(V, np.ones(())), r"head.weight \(\), .* do not fit together"),
    (changed(V, np.full((O, H), np.nan)), "head.weight must hold finite floating-point numbers only"),
    (changed(V, np.ones((O, H), dtype=int)), "head.weight must hold finite floating-point numbers only"),
    (changed(V, np.ones((O, 0))), "head.weight must hold finite floating-point numbers only"),
    (changed(V, "much"), "head.weight must hold finite floating-point numbers only"),
    (changed(V, [[1.0], [1.0, 2.0]]), "head.weight cannot be read as an array"),
    (
        changed(V, torch.ones(O, H, dtype=torch.bfloat16)),
        r"cannot be read as an array: .*BFloat16; .*net.float\(\)",
    ),
    (changed(V, torch.ones(O, H, device="meta")), "head.weight cannot be read as an array"),
    (lambda _: make("GRU"), "takes net.state_dict.. or the path of an npz file, no ModuleDict"),
    (lambda _: 5, "or the path of an npz file, no int"),
    (lambda _: "", "an empty text is no file's name"),
    (lambda _: "nowhere.npz", "cannot read nowhere.npz: No such file"),
    (lambda _: ".", "cannot read .: it is no regular file; give an npz file of a state_dict"),
    (
        lambda _: "net.pt",
        r"net.pt: it also holds 'net/.*; give an npz file of a state_dict, not of torch.save",
    ),
    (lambda _: "old.pt", "old.pt: it is no npz file.*not of torch.save"),
    (lambda _: "objects.npz", "objects.npz: V.npy holds Python objects"),
    (lambda _: "ours.npz", "ours.npz: 'U' is of no such net" + SUPPORTED),
]


@pytest.mark.parametrize(("change", "refusal"), REFUSED)
def test_what_is_no_supported_net_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Change, refusal: str
) -> None:
    monkeypatch.chdir(tmp_path)
    net = make("GRU")
    torch.save(net.state_dict(), "net.pt")
    torch.save(net.state_dict(), "old.pt", _use_new_zipfile_serialization=False)
    np.savez("objects.npz", V=np.array([{}], dtype=object))
    np.savez("ours.npz", U=np.ones((H, I)))
    with pytest.raises(UserError, match=refusal) as refused:
        bench.load_torch(change(arrays(net)))
    assert "\n" not in str(refused.value)


def test_an_activation_belongs_to_an_rnn() -> None:
    with pytest.raises(UserError, match="the cell gru has no activation 'relu', only tanh"):
        bench.load_torch(make("GRU").state_dict(), activation="relu")
    with pytest.raises(UserError, match="the cell rnn has no activation 'gelu', only tanh, sigmoid, relu"):
        bench.load_torch(make("RNN").state_dict(), activation="gelu")


@pytest.mark.parametrize(
    ("part", "x", "state", "refusal"),
    [
        (
            "GRU",
            np.ones((T, B, I + 1)),
            None,
            r"x must be \(T, B, 2\), steps first, not \(5, 3, 3\); of one with",
        ),
        ("GRU", np.ones((T, I)), None, r"x must be \(T, B, 2\), steps first, not \(5, 2\)"),
        ("GRU", np.ones((0, B, I)), None, "x must hold finite"),
        ("GRU", np.full((T, B, I), np.inf), None, "x must hold finite"),
        ("GRU", np.ones((T, B, I), dtype=int), None, "x must hold finite floating-point"),
        ("GRU", "x", None, "x must hold finite"),
        (
            "GRU",
            np.ones((T, B, I)),
            np.ones((1, B, H)),
            r"h_0 \(3, 4\), not \(1, 3, 4\) in all; of PyTorch's",
        ),
        ("GRU", np.ones((T, B, I)), np.ones((B, H + 1)), r"state must be h_0 \(3, 4\), not \(3, 5\)"),
        ("LSTM", np.ones((T, B, I)), np.ones((B, H)), r"\(h_0, c_0\), each \(3, 4\), not \(3, 4\) in all"),
        ("LSTM", np.ones((T, B, I)), (np.ones((1, B, H)),) * 2, r"each \(3, 4\), not \(2, 1, 3, 4\) in all"),
        ("LSTM", np.ones((T, B, I)), (np.ones((B, H)), np.ones((B, 1))), "state cannot be read as an array"),
        ("LSTM", np.ones((T, B, I)), 5, "state must hold finite"),
    ],
)
def test_inputs_of_another_shape_are_refused_in_one_line(part: str, x: Any, state: Any, refusal: str) -> None:
    net = bench.load_torch(make(part).state_dict())
    with pytest.raises(UserError, match=refusal) as refused:
        net.predict(x, state=state)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("params", [{"U": np.ones(1), "Wz": np.ones(1)}, 5, None])
def test_parameters_without_a_name_in_pytorch_are_refused(params: Any) -> None:
    with pytest.raises(UserError, match="to_torch takes a dict of parameters, of U, W, V, bU, bW, bV"):
        bench.to_torch(params)


# docs/torch.md


def test_the_page_does_what_it_says_and_where_there_is_no_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bench.api.train.draw", lambda folder: None)
    trained, alone, back = BLOCKS
    there: dict[str, Any] = {}
    exec(compile(trained, "docs/torch.md", "exec"), there)
    saved = "\nnp.save('y_hat.npy', y_hat); assert sys.modules['torch'] is None"
    command = [sys.executable, "-c", NO_TORCH + alone + saved]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    (promised,) = re.findall(r"print\(.*\)  # (.*)$", alone, re.MULTILINE)
    assert ended.stdout.splitlines() == [promised]
    y_hat = there["linear"](there["rnn"](there["x"])[1][0]).detach().numpy()
    assert np.load("y_hat.npy") == pytest.approx(y_hat, abs=1e-6)

    here: dict[str, Any] = {}
    exec(compile(back, "docs/torch.md", "exec"), here)
    params = np.load("mine.npz")
    assert here["net"]["rnn"].bias_hh_l0.detach().numpy().tobytes() == params["bW"].tobytes()
    assert here["net"]["linear"].weight.detach().numpy().tobytes() == params["V"].tobytes()
