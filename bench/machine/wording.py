"""Text that may be a stranger's, made fit to look at: nothing in it steers a terminal or turns a line."""

import re
from collections.abc import Sequence

from bench.machine import units

# control characters but for tab and newline, separators of lines, what changes the direction of a text,
# what has no width, and halves of characters, which no encoding writes
UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)


def printable(text: str) -> str:
    """Return the text with every character that acts unseen as its code: ``\\x1b`` in place of an escape."""
    return UNSEEN.sub(lambda character: ascii(character[0])[1:-1], text)


def full_stop(text: str) -> str:
    """Return a sentence that ends in one mark: what somebody else wrote may have one already."""
    text = text.rstrip()
    return text if text[-1:] in (".", "?", "!") else f"{text}."


def one_line(text: object) -> str:
    """Return what it says as one line that is fit to look at; never empty."""
    return " ".join(printable(str(text)).split()) or "?"


def is_name(text: str) -> bool:
    """Return whether a text can be a name wherever names are shown: one line, nothing that acts unseen."""
    return text != "" and printable(text) == text and not {"\t", "\n"} & set(text)


def listing(items: Sequence[str], most: int = 4) -> str:
    """Join items as "a, b and c"; beyond ``most`` the rest is counted."""
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
    """Return a stranger's text as one line, its middle left out where it is long."""
    line = one_line(text)
    return line if len(line) <= most else f"{line[: most // 2]} … {line[-most // 2 :]}"
