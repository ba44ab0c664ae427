"""Numbers as a person types them on the command line, refused in words where they make no sense."""

import argparse
import math

MOST = 10_000_000  # of anything that is counted
SECONDS = {"s": 1.0, "m": 60.0}


def positive(text: str) -> int:
    """A whole number of 1 or more.

    Raises:
        argparse.ArgumentTypeError: it is none, or no machine has so many.
    """
    if not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more, up to {MOST}")
    return int(text)


def whole(text: str) -> int:
    """A whole number of 0 or more.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return int(text)


def seconds(text: str) -> float:
    """A time in seconds: 30, 30s, 1.5m.

    Raises:
        argparse.ArgumentTypeError: it is none above 0.
    """
    number, unit = (text[:-1], text[-1:]) if text[-1:] in SECONDS else (text, "s")
    try:
        time_s = float(number) * SECONDS[unit]
    except ValueError:
        time_s = 0.0
    if not (math.isfinite(time_s) and time_s > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no time above 0: give 30 or 30s, or minutes as 2m")
    return time_s
