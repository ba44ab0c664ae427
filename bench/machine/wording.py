"""Make foreign text safe to show: no character controls a terminal or breaks a line."""

import re
from collections.abc import Sequence

from bench.machine import units

# control characters except tab and newline, line separators, marks of text direction, characters without
# width, and lone surrogates, which no encoding can write
UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)


def printable(text: str) -> str:
    """Return the text with each invisible character replaced by its code: ``\\x1b`` for an escape."""
    return UNSEEN.sub(lambda character: ascii(character[0])[1:-1], text)


def full_stop(text: str) -> str:
    """Return a sentence that ends with one mark: foreign text may already have one."""
    text = text.rstrip()
    return text if text[-1:] in (".", "?", "!") else f"{text}."


def one_line(text: object) -> str:
    """Return an object's text as one line that is safe to show; never empty."""
    return " ".join(printable(str(text)).split()) or "?"


def is_name(text: str) -> bool:
    """Return whether a text can be shown as a name: one line, not empty, without invisible characters."""
    return text != "" and printable(text) == text and not {"\t", "\n"} & set(text)


def listing(items: Sequence[str], most: int = 4) -> str:
    """Join items as "a, b and c"; if there are more than ``most``, count the rest."""
    if len(items) > most:
        items = [*items[: most - 1], f"{len(items) - most + 1} more"]
    return " and ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else "".join(items)


def capital(sentence: str) -> str:
    """Return the sentence with a capital first letter, unless it starts with the name of a variant."""
    return sentence if "-" in sentence.partition(" ")[0] else sentence[:1].upper() + sentence[1:]


def count(n: int, noun: str) -> str:
    """Return a number with its noun: 1 block, 10 blocks."""
    return f"{units.whole(n)} {noun}" if n == 1 else f"{units.whole(n)} {noun}s"


def short(text: object, most: int = 160) -> str:
    """Return foreign text as one line; leave out the middle of a long text."""
    line = one_line(text)
    return line if len(line) <= most else f"{line[: most // 2]} … {line[-most // 2 :]}"
