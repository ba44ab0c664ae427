"""Read arrays from npz files safely: unpickle nothing, and check every size before unpacking.

``numpy.load`` allocates the size that a file claims. A file of a few kilobytes can claim terabytes, or unpack
to a thousand times its size.
"""

import io
import math
import struct
import sys
import tokenize
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.machine.files import open_to_read

Array = NDArray[Any]
MAX_HEADER_BYTES = 10_000  # of an array's dtype and shape, which NumPy parses as Python literals
# errors of zipfile and numpy, besides ValueError and OSError, for a file that is truncated, altered,
# encrypted, or compressed in a way that this Python does not know
READ_ERRORS = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, NotImplementedError,
    SyntaxError, tokenize.TokenError, MemoryError, TypeError, LookupError,
)  # fmt: skip
HEADER_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_arrays(
    path: str | Path,
    names: Collection[str] | None,
    optional: Collection[str] = (),
    *,
    max_bytes: int | None = None,
) -> dict[str, Array]:
    """Return the arrays of an npz file: exactly those of ``names``, in any order, or, with None, all arrays.

    A file may also hold all arrays of ``optional``, but not only some of them. ``max_bytes`` limits the size
    of all arrays. The default is the size of the file: this program writes files without compression.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is no npz file, or holds other arrays, Python objects or more than ``max_bytes``.
    """
    with open_to_read(Path(path)) as file:
        file_bytes = file.seek(0, io.SEEK_END)
        try:
            with zipfile.ZipFile(file) as archive:
                members = archive.infolist()
                by_name = {member.filename.removesuffix(".npy"): member for member in members}
                if names is not None and by_name.keys() & set(optional):
                    names = [*names, *optional]
                _check_members(members, names, file_bytes if max_bytes is None else max_bytes)
                return {name: _read(archive, by_name[name]) for name in (by_name if names is None else names)}
        except READ_ERRORS as error:
            raise ValueError(f"it is no npz file: {error}") from error


def _check_members(members: list[zipfile.ZipInfo], names: Collection[str] | None, max_bytes: int) -> None:
    """Raise ValueError unless each name has exactly one member and the total size is allowed."""
    present = sorted(member.filename for member in members)
    arrays = {name for name in present if name.endswith(".npy")}
    expected = sorted(arrays if names is None else (f"{name}.npy" for name in names))
    if missing := [name for name in expected if name not in present]:
        raise ValueError(f"it has no {missing[0].removesuffix('.npy')}")
    if present != expected:
        unexpected = [name for name in present if name not in expected] or ["one of them twice"]
        raise ValueError(f"it also holds {unexpected[0][:80]!r}")
    if sum(member.file_size for member in members) > max_bytes:
        raise ValueError(f"its arrays have more than {max_bytes} bytes")


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Array:
    """Return one array, after a check that its header claims no more bytes than the file holds."""
    with archive.open(member) as data:
        if (version := np.lib.format.read_magic(data)) not in HEADER_READERS:
            raise ValueError(f"an array of npy version {version}")
        shape, _, dtype = HEADER_READERS[version](data, max_header_size=MAX_HEADER_BYTES)
    if dtype.hasobject:
        raise ValueError(f"{member.filename} holds Python objects, which are not unpickled")
    valid_lengths = all(0 <= length <= sys.maxsize for length in shape)
    if not valid_lengths or math.prod(shape) * dtype.itemsize > member.file_size:
        raise ValueError(f"{member.filename} claims a shape that it has not")
    with archive.open(member) as data:
        array: Array = np.lib.format.read_array(data, allow_pickle=False, max_header_size=MAX_HEADER_BYTES)
    return array
