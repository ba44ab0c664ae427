"""Text that may be a stranger's, made fit to look at: nothing in it steers a terminal or turns a line."""

import re

# control characters but for tab and newline, separators of lines, what changes the direction of a text, and
# halves of characters, which no encoding can write
UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """The text with every character that acts unseen as its code: ``\\x1b`` in place of an escape."""
    return UNSEEN.sub(lambda found: ascii(found[0])[1:-1], text)


def full_stop(text: str) -> str:
    """Return a sentence that ends in one mark: what somebody else wrote may have one already."""
    text = text.rstrip()
    return text if text[-1:] in (".", "?", "!") else f"{text}."


def one_line(text: object) -> str:
    """What it says as one line that is fit to look at; never empty."""
    return " ".join(printable(str(text)).split()) or "?"


def is_name(text: str) -> bool:
    """Whether it can stand for a thing wherever names are shown: one line, and nothing that acts unseen."""
    return text != "" and printable(text) == text and not {"\t", "\n"} & set(text)
