"""Arrays from npz files, read with care: nothing is unpickled, nothing unpacked before its size is known.

``numpy.load`` makes room for what a file claims to hold; a few kilobytes can claim terabytes, or be zeros
packed a thousandfold.
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
MAX_HEADER = 10_000  # bytes of an array's dtype and shape, which are read as Python literals
# what zipfile and numpy raise, besides ValueError and OSError, for a file that is torn, altered, locked, or
# packed in a way that this Python does not know
BROKEN = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, NotImplementedError,
    SyntaxError, tokenize.TokenError, MemoryError, TypeError, LookupError,
)  # fmt: skip
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_arrays(
    path: str | Path, names: Collection[str] | None, *, max_bytes: int | None = None
) -> dict[str, Array]:
    """Return the arrays of an npz file, in any order those of ``names``, or any where that is None.

    Without ``max_bytes`` they may have as many bytes as the file: what this program writes is not packed.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no npz file, holds other arrays, objects, or more than ``max_bytes``.
    """
    with open_to_read(Path(path)) as file:
        size = file.seek(0, io.SEEK_END)
        try:
            with zipfile.ZipFile(file) as archive:
                members = archive.infolist()
                _check_members(members, names, size if max_bytes is None else max_bytes)
                by_name = {member.filename.removesuffix(".npy"): member for member in members}
                return {name: _read(archive, by_name[name]) for name in (by_name if names is None else names)}
        except BROKEN as error:
            raise ValueError(f"it is no npz file: {error}") from error


def _check_members(members: list[zipfile.ZipInfo], names: Collection[str] | None, max_bytes: int) -> None:
    """Raise ValueError unless there is one member a name, and no more bytes than allowed."""
    present = sorted(member.filename for member in members)
    wanted = sorted(set(present) if names is None else (f"{name}.npy" for name in names))
    if missing := [name for name in wanted if name not in present]:
        raise ValueError(f"it has no {missing[0].removesuffix('.npy')}")
    if present != wanted:
        others = [name for name in present if name not in wanted] or ["one of them twice"]
        raise ValueError(f"it also holds {others[0][:80]!r}")
    if sum(member.file_size for member in members) > max_bytes:
        raise ValueError(f"its arrays have more than {max_bytes} bytes")


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Array:
    """Return one array, once its header says no more than there is."""
    with archive.open(member) as data:
        if (version := np.lib.format.read_magic(data)) not in HEADERS:
            raise ValueError(f"an array of npy version {version}")
        shape, _, dtype = HEADERS[version](data, max_header_size=MAX_HEADER)
    if dtype.hasobject:
        raise ValueError(f"{member.filename} holds Python objects, which are not unpickled")
    possible = all(0 <= length <= sys.maxsize for length in shape)
    if not possible or math.prod(shape) * dtype.itemsize > member.file_size:
        raise ValueError(f"{member.filename} claims a shape that it has not")
    with archive.open(member) as data:
        array: Array = np.lib.format.read_array(data, allow_pickle=False, max_header_size=MAX_HEADER)
    return array
