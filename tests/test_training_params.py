"""Saved parameters: what is written is read back; what is no parameters is refused in one clear line."""

import numpy as np
import pytest

from bench.machine.errors import UserError
from bench.training import load_params, predict, save_params
from bench.workload import data
from bench.workload.case import sine_case
from bench.workload.cell import fitting

CASE = sine_case("forward", "positional", dtype="float64", batch=5)
PARAMS = data.make(CASE).params


def test_saved_parameters_come_back_bit_by_bit(tmp_path):
    save_params(tmp_path / "mine.params", PARAMS)

    loaded = load_params(tmp_path / "mine.params")
    assert list(loaded) == ["U", "W", "V"]
    assert all(loaded[name].tobytes() == PARAMS[name].tobytes() for name in PARAMS)


def test_a_prediction_is_the_reference_forward_pass():
    batch = data.make(CASE)
    h = np.zeros((5, 32))
    for x_t in batch.x:
        h = np.tanh(x_t @ PARAMS["U"].T + h @ PARAMS["W"].T)

    assert predict(PARAMS, batch.x) == pytest.approx(h @ PARAMS["V"].T, abs=1e-14)
    assert predict(PARAMS, batch.x, "sigmoid") != pytest.approx(h @ PARAMS["V"].T, abs=1e-3)


@pytest.mark.parametrize(
    ("arrays", "refusal"),
    [
        ({"U": np.array([{"a": 1}], dtype=object)}, "holds no parameters"),
        ({"V": np.ones((8, 31))}, "do not fit together"),
        ({"W": np.ones((32, 31))}, "do not fit together"),
        ({"W": np.ones(())}, "do not fit together"),
        ({"U": np.ones((128, 6)), "W": np.ones((128, 32))}, "of the cell lstm, not rnn; give --cell=lstm"),
        ({"U": np.ones((0, 6)), "W": np.ones((0, 32))}, "do not fit together"),
        ({"bU": np.ones(32), "bW": np.ones(32)}, "has no bV"),
        ({"bU": np.ones(32), "bW": np.ones(31), "bV": np.ones(8)}, "do not fit together"),
        ({"V": np.full((8, 32), np.nan)}, "V must hold finite"),
        ({"U": np.ones((32, 6), dtype=int)}, "U must hold finite"),
        ({"W": None}, "has no W"),
        (b"", "holds no parameters"),
        (b"no archive", "holds no parameters"),
        (b"PK\x03\x04 torn", "holds no parameters"),
        (None, "cannot read"),
    ],
)
def test_what_are_no_parameters_is_refused(tmp_path, arrays, refusal):
    file = tmp_path / "params.npz"
    if isinstance(arrays, bytes):
        file.write_bytes(arrays)
    elif arrays:
        np.savez(file, **{name: p for name, p in (PARAMS | arrays).items() if p is not None})
    with pytest.raises(UserError, match=refusal):
        load_params(file)


def test_arrays_of_other_names_fit_no_cell():
    assert fitting({name: p.shape for name, p in PARAMS.items()}) == "rnn"
    assert fitting({"Q": (32, 6), "W": (32, 32), "V": (8, 32)}) is None
    assert fitting({"U": (32, 6), "W": (32, 32), "V": (8, 32), "Z": (1,)}) is None


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UserError, match="cannot write"):
        save_params(tmp_path / "no" / "folder.npz", PARAMS)
