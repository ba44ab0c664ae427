"""JSON read strictly: a record of ours holds what its line says, nothing more, and nothing twice.

msgspec validates kinds, fields and types and knows no NaN. It takes the last of two equal keys, lets
unknown fields of ``Case`` and ``Shape`` pass, and integers of any size; those are looked for here. A line
of this program's own is recognised because writing its record anew gives the same bytes; only other lines
need a second, slower look.
"""

import json
import math
from collections import Counter
from typing import Any, Generic, TypeVar

import msgspec

from bench.records.record import AnyRecord

Kind = TypeVar("Kind")
MAX_DEPTH = 32  # our own records go seven levels deep
MAX_INT = 2**63 - 1  # what arrays hold; as nanoseconds, 292 years
MAX_VALUES = 2**24  # of a file that is read in one piece
_DIGITS = bytes.maketrans(b"0123456789", b"0" * 10)
_LONG = b"0" * 19  # as many digits as MAX_INT has
_OTHERS = bytes(set(range(256)) - set(b"[{,:"))

_encoder = msgspec.json.Encoder()


class Decoder(Generic[Kind]):
    """Makes records of one kind, or of several that their tags tell apart."""

    def __init__(self, kind: Any) -> None:
        self._decoder = msgspec.json.Decoder(kind)

    def __call__(self, data: bytes) -> Kind:
        """The record of one JSON object.

        Raises:
            ValueError: it is no record, or holds something that no record holds.
        """
        try:
            record: Kind = self._decoder.decode(data)
            # many brackets or digits need not mean depth or size, but without them there is neither
            if data.count(b"{") + data.count(b"[") > MAX_DEPTH or _LONG in data.translate(_DIGITS):
                check_sizes(msgspec.to_builtins(record))
            if _encoder.encode(record) != data:
                _check_same(parse(data), msgspec.to_builtins(record))
        except msgspec.DecodeError as error:
            raise ValueError(str(error)) from error
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error
        return record


decode = Decoder[AnyRecord](AnyRecord)


def parse(data: bytes) -> Any:
    """Plain objects from JSON, refusing equal keys in one object and numbers that are not finite.

    Raises:
        ValueError: it is no such JSON, or holds more than MAX_VALUES values.
    """
    if values_in(data) > MAX_VALUES:
        raise ValueError(f"it holds more than {MAX_VALUES} values")
    try:
        return json.loads(
            data.decode(), object_pairs_hook=_object, parse_float=_finite, parse_constant=_finite
        )
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def values_in(data: bytes) -> int:
    """How many values, keys and brackets a JSON text has at most; each takes memory, however short it is."""
    return len(data.translate(None, _OTHERS))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"field `{twice}` is there twice")
    return made


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no finite number")
    return number


def check_sizes(value: Any, depth: int = MAX_DEPTH) -> None:
    """Raise ValueError for a tree that is deeper than ``depth`` or holds an integer beyond MAX_INT."""
    if isinstance(value, int) and abs(value) > MAX_INT:
        raise ValueError("an integer beyond 64 bits")
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    if children and not depth:
        raise ValueError("it is nested too deeply")
    for child in children:
        check_sizes(child, depth - 1)


def _check_same(read: Any, kept: Any, where: str = "$") -> None:
    """Raise ValueError where a line says something that its record did not keep; defaults may be left out."""
    if isinstance(read, dict) and isinstance(kept, dict):
        if unknown := read.keys() - kept.keys():
            raise ValueError(f"unknown field `{min(unknown)}` - at `{where}`")
        for name, value in read.items():
            _check_same(value, kept[name], f"{where}.{name}")
    elif isinstance(read, list) and isinstance(kept, list | tuple) and len(read) == len(kept):
        for place, (value, own) in enumerate(zip(read, kept, strict=True)):
            _check_same(value, own, f"{where}[{place}]")
    elif read != kept:
        raise ValueError(f"a value that no record keeps - at `{where}`")
