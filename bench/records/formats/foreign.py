"""JSON files of other tools: read within limits, told apart by what they hold, and trusted in nothing.

They may be anybody's. What is used of them is checked where it is used; what is odd and unused does no harm.
"""

import gzip
import io
import json
import math
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeGuard

from bench.machine.errors import UserError
from bench.machine.wording import one_line
from bench.workload.case import Shape

MAX_BYTES = 2**28  # 256 MiB, unpacked; a million values have a tenth of it
MAX_ITEMS = 2**23  # values, lists and objects; of small objects, so many fill a gigabyte of memory
TOOLS = "pytest-benchmark or pyperf"
GZIP = b"\x1f\x8b"
LONG_INTEGER = 19  # digits; longer ones may be beyond 64 bits
Facts = Mapping[str, tuple[str, ...]]  # what is told under each name: several things where they differ
SHORTEST_S, LONGEST_S = 1e-12, 1e9  # of a call


@dataclass(frozen=True, slots=True)
class Note:
    """What must be told of a file, and the benchmarks that it is about."""

    what: str
    names: tuple[str, ...]


class Twice:
    """Stands for the value of a key that an object has twice: nobody knows which of the two is meant."""

    def __repr__(self) -> str:
        return "that is there twice"


def read_content(file: BinaryIO, path: object) -> bytes:
    """Return what a file holds, unpacked where gzip has packed it; ``path`` is what messages call it.

    Raises:
        OSError: it cannot be read.
        UserError: it is too large, or its packing is damaged.
    """
    data = file.read(MAX_BYTES + 1)
    if data.startswith(GZIP):
        data = _unpacked(data, path)
    if len(data) > MAX_BYTES:
        raise UserError(f"{path} has more than {MAX_BYTES >> 20} MiB, which is not read")
    return data


def _unpacked(data: bytes, path: object) -> bytes:
    """Return what gzip has packed; of what is too large, no more than shows that."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            return file.read(MAX_BYTES + 1)
    except (EOFError, OSError, zlib.error) as error:
        raise UserError(f"{path} is a damaged gzip file ({error}); copy it anew") from error


def parse_tree(data: bytes) -> dict[str, Any]:
    """Return the JSON object that a file's content is, in any Unicode encoding, with or without its mark.

    Numbers may be infinite or none at all, and a key that is there twice has ``Twice`` for a value.

    Raises:
        ValueError: it is no such JSON, or holds more than is read.
    """
    if not data.strip():
        raise ValueError("it is empty")
    if sum(map(data.count, (b",", b"[", b"{"))) > MAX_ITEMS:
        raise ValueError(f"it holds more than {MAX_ITEMS:,} values")
    try:
        text = data.decode(json.detect_encoding(data)).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise ValueError("it is no text") from error
    try:
        tree = json.loads(text, object_pairs_hook=_object, parse_int=_integer)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(tree, dict):
        raise ValueError("it is no object")
    return tree


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        found |= {name: Twice() for name, times in Counter(name for name, _ in pairs).items() if times > 1}
    return found


def _integer(text: str) -> int | float:
    return int(text) if len(text) < LONG_INTEGER else float(text)


def is_time(seconds: object) -> TypeGuard[float]:
    """Return whether a call can have taken so long: a number from a picosecond to thirty years."""
    return is_number(seconds) and SHORTEST_S <= seconds <= LONGEST_S


def is_number(value: object) -> TypeGuard[float]:
    """Return whether it is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def as_object(value: object) -> dict[str, Any]:
    """Return an object of a file; an empty one where there is none."""
    return value if isinstance(value, dict) else {}


def as_text(value: object) -> str:
    """Return a text of a file; an empty one where there is none."""
    return value if isinstance(value, str) else ""


def as_fact(value: object) -> str:
    """Return a fact in one line; empty where there is none, or more than a line tells."""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        value = ", ".join(value)
    return one_line(value) if isinstance(value, bool | int | float | str) and value != "" else ""


def distinct(names: Sequence[str], full_names: Sequence[str]) -> tuple[str, ...]:
    """Return what to call benchmarks: by name, by full name where names repeat, numbered where both do."""
    found = Counter(names)
    labels = [full if found[name] > 1 else name for name, full in zip(names, full_names, strict=True)]
    seen: Counter[str] = Counter()
    numbered = []
    for label in labels:
        seen[label] += 1
        numbered.append(f"{label} ({seen[label]})" if seen[label] > 1 else label)
    return tuple(numbered)


def left_out_note(left_out: Iterable[str]) -> Note:
    """Return that these benchmarks of a file, each with its reason, are not used."""
    return Note("Left out, since it cannot be used", tuple(left_out))


def repeated(full_names: Iterable[str]) -> tuple[Note, ...]:
    """Return that full names are there more than once; nothing where none is."""
    twice = tuple(name for name, times in Counter(full_names).items() if times > 1)
    return (Note("There more than once under the same full name", twice),) if twice else ()


def is_shape(shape: Shape) -> bool:
    """Return whether there is anything of such a shape."""
    return all(getattr(shape, size) >= 1 for size in Shape.__slots__)


def told(facts: Facts, name: str) -> str:
    """Return all that is told under a name: "h1 / h2"; empty where nothing is."""
    return " / ".join(facts.get(name, ()))


def several(facts: Facts, names: Iterable[str]) -> tuple[str, ...]:
    """Return what is told in several ways: "hostname: h1 / h2"."""
    return tuple(f"{name}: {told(facts, name)}" for name in names if len(facts.get(name, ())) > 1)
