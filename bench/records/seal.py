"""Sealed lines: each carries a checksum over its record and the seal before it.

::

    {"seal":"<16 hex digits>","record":{...}}

So no bit can flip and no line can be lost, doubled or moved without a seal that no longer fits. It is a
checksum and no signature: whoever edits a file on purpose can seal it anew. A file that ends early after
a whole line has only good seals; that the run has no end tells it.
"""

import hashlib

FIRST = b"0" * 16  # stands for the seal before the first line
_BEFORE, _BETWEEN, _AFTER = b'{"seal":"', b'","record":', b"}\n"
_SEAL_ENDS = len(_BEFORE) + len(FIRST)
_RECORD_STARTS = _SEAL_ENDS + len(_BETWEEN)


def sealed_line(before: bytes, record: bytes) -> tuple[bytes, bytes]:
    """The line of a record's JSON that comes after a line sealed with ``before``, and its own seal."""
    seal = _seal(before, record)
    return b"".join((_BEFORE, seal, _BETWEEN, record, _AFTER)), seal


def is_sealed(line: bytes) -> bool:
    """Whether a line looks like a sealed one; its seal may be wrong all the same."""
    return line.startswith(_BEFORE) and line[_SEAL_ENDS:_RECORD_STARTS] == _BETWEEN and line.endswith(_AFTER)


def record_of(line: bytes) -> bytes:
    """The record's JSON in a line that looks sealed, its seal unchecked."""
    return line[_RECORD_STARTS : -len(_AFTER)]


def unseal(before: bytes, line: bytes) -> tuple[bytes, bytes]:
    """The record's JSON in the line that comes after a line sealed with ``before``, and the line's own seal.

    Raises:
        ValueError: it has no seal, or one that does not fit.
    """
    if not is_sealed(line):
        raise ValueError("it has no seal")
    record = record_of(line)
    seal = _seal(before, record)
    if line[len(_BEFORE) : _SEAL_ENDS] != seal:
        raise ValueError("its seal does not fit it and the line before")
    return record, seal


def _seal(before: bytes, record: bytes) -> bytes:
    return hashlib.sha256(before + record).hexdigest()[: len(FIRST)].encode()
