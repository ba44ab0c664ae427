"""Saved parameters: what is written is read back; what is no parameters is refused in one clear line."""

from pathlib import Path

import numpy as np
import pytest

from bench.machine.errors import UserError
from bench.training import load_params, predict, save_params
from bench.workload import data
from bench.workload.case import sine_case

CASE = sine_case("forward", "positional", dtype="float64", batch=5)
PARAMS = data.make(CASE).params


def broken(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **{**PARAMS, **arrays})
    return path


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
    ("name", "arrays", "said"),
    [
        ("pickled", {"U": np.array([{"a": 1}], dtype=object)}, "holds no parameters"),
        ("shape", {"V": np.ones((8, 31))}, "do not fit together"),
        ("square", {"W": np.ones((32, 31))}, "do not fit together"),
        ("scalar", {"W": np.ones(())}, "do not fit together"),
        ("nan", {"V": np.full((8, 32), np.nan)}, "V must hold finite"),
        ("integers", {"U": np.ones((32, 6), dtype=int)}, "U must hold finite"),
    ],
)
def test_what_are_no_parameters_is_refused(tmp_path, name, arrays, said):
    with pytest.raises(UserError, match=said):
        load_params(broken(tmp_path / f"{name}.npz", **arrays))


def test_a_missing_matrix_is_named(tmp_path):
    np.savez(tmp_path / "two.npz", U=PARAMS["U"], V=PARAMS["V"])

    with pytest.raises(UserError, match="has no W"):
        load_params(tmp_path / "two.npz")


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 torn"])
def test_a_file_that_is_no_npz_is_refused(tmp_path, content):
    (tmp_path / "file").write_bytes(content)

    with pytest.raises(UserError, match="holds no parameters"):
        load_params(tmp_path / "file")


def test_a_missing_file_and_a_missing_folder_are_said(tmp_path):
    with pytest.raises(UserError, match="cannot read"):
        load_params(tmp_path / "nowhere.npz")
    with pytest.raises(UserError, match="cannot write"):
        save_params(tmp_path / "no" / "folder.npz", PARAMS)
