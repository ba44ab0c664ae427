"""Array files of strangers: nothing is unpickled or unpacked that was not asked for."""

import io
import os
import pickle
import random
import re
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bench.machine.arrays import read_arrays
from bench.machine.errors import UserError
from bench.training import load_params

NAMES = ("U", "W", "V")
PARAMS = {"U": np.ones((4, 2)), "W": np.eye(4), "V": np.ones((3, 4))}


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def with_header(literal: str, body: bytes = b"") -> bytes:
    """A file of one array whose header says ``literal``."""
    text = literal.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body


def archive(path: Path, members: dict[str, bytes], how: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", how) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def members(**other: bytes) -> dict[str, bytes]:
    """Good parameters, but for ``other``."""
    return {f"{name}.npy": other.get(name, npy(array)) for name, array in PARAMS.items()}


def test_arrays_of_any_order_come_back(tmp_path):
    path = archive(tmp_path / "p.npz", dict(reversed(members().items())))
    found = read_arrays(path, NAMES)
    assert list(found) == list(NAMES)
    assert all(np.array_equal(found[name], PARAMS[name]) for name in NAMES)
    texts = tmp_path / "t.npz"
    np.savez(texts, digest="abc", loss=np.float64(0.5), none=np.empty((0, 3)), turned=np.eye(3)[:, ::-1].T)
    found = read_arrays(texts, ("digest", "loss", "none", "turned"))
    assert (str(found["digest"]), float(found["loss"]), found["none"].shape) == ("abc", 0.5, (0, 3))


@pytest.mark.parametrize("load", [load_params, lambda path: read_arrays(path, NAMES)])
def test_a_pickle_is_not_opened(tmp_path, load):
    bomb = Bomb(tmp_path / "exploded")
    pickled, held = pickle.dumps(bomb), np.empty(1, dtype=object)
    held[0] = bomb
    path = tmp_path / "p.npz"
    for content in (npy(held), pickled, with_header("{'descr': '|O'}", pickled), None):
        archive(path, members(W=content)) if content else path.write_bytes(pickled)
        with pytest.raises((UserError, ValueError)):
            load(path)
    assert not bomb.mark.exists()
    pickle.loads(pickled)  # and it is one
    assert bomb.mark.exists()


def test_zeros_packed_a_thousandfold_are_not_unpacked(tmp_path, monkeypatch):
    packed = archive(tmp_path / "p.npz", members(U=npy(np.zeros((4, 200_000)))), zipfile.ZIP_DEFLATED)
    assert packed.stat().st_size < 50_000
    for limit, said in ((None, "its arrays have more than"), (6_000_000, "more than 6000000 bytes")):
        with pytest.raises(ValueError, match=said):
            read_arrays(packed, NAMES, max_bytes=limit)
    assert read_arrays(packed, NAMES, max_bytes=7_000_000)["U"].shape == (4, 200_000)
    assert load_params(packed)["U"].shape == (4, 200_000)  # a person may pack, within reason
    monkeypatch.setattr("bench.training.params.MAX_BYTES", 100)
    with pytest.raises(UserError, match="its arrays have more than 100 bytes; give a file of --save"):
        load_params(packed)


def claiming(shape: str) -> bytes:
    return with_header(f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}", bytes(8))


@pytest.mark.parametrize(
    "shape",
    ["(1000000, 1000000)", "(1099511627776, 16777216)", "(9223372036854775808, 0)", f"({'9' * 23}, 6)",
     "(5, 5)", "(-1, -1)"],
)  # fmt: skip
def test_an_array_that_claims_to_be_larger_than_it_is_gets_no_room(tmp_path, shape):
    with pytest.raises(ValueError, match="claims a shape that it has not"):
        read_arrays(archive(tmp_path / "p.npz", members(W=claiming(shape))), NAMES)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("extra", "left_out", "said"),
    [
        ({"../../escaped.npy": b""}, "", "it also holds '../../escaped.npy'"),
        ({"notes.txt": b""}, "", "it also holds 'notes.txt'"),
        ({f"{n}.npy": b"" for n in range(5000)}, "", "it also holds '0.npy'"),
        ({"x/U.npy": npy(PARAMS["U"])}, "U.npy", "it has no U"),  # in another folder, and not the name
        ({"U.npy": npy(PARAMS["U"])}, "", "it also holds 'one of them twice'"),
    ],
)
def test_members_that_nobody_asked_for_are_refused_by_name(tmp_path, extra, left_out, said):
    path = tmp_path / "p.npz"
    with zipfile.ZipFile(path, "w") as file:
        for name, content in [*members().items(), *extra.items()]:
            if name != left_out:
                file.writestr(name, content)
    with pytest.raises(ValueError, match=re.escape(said)):
        read_arrays(path, NAMES)
    assert [entry.name for entry in tmp_path.iterdir()] == ["p.npz"]


@pytest.mark.parametrize(
    "literal",
    [
        "", "{1:2", "\x00", "[" * 9000, "{" * 20000, "{'descr': '<f8'}",
        "{'descr': 'nonsense', 'fortran_order': False, 'shape': (1,)}", "__import__('os').mkdir('x')",
    ],
)  # fmt: skip
def test_a_header_that_is_none_is_refused(tmp_path, literal):
    path = archive(tmp_path / "p.npz", members(W=with_header(literal)))
    with pytest.raises(UserError, match="holds no parameters"):
        load_params(path)


def test_whatever_a_flipped_bit_does_it_is_one_of_two_errors_or_harmless(tmp_path):
    whole = archive(tmp_path / "p.npz", members(), zipfile.ZIP_DEFLATED).read_bytes()
    generator = random.Random(0)
    refused = 0
    for place in generator.sample(range(len(whole)), 400):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << generator.randrange(8)
        (tmp_path / "d.npz").write_bytes(damaged)
        try:
            load_params(tmp_path / "d.npz")
        except UserError:
            refused += 1
    assert refused > 200
