"""Numbers as a person types them on the command line, refused in words where they make no sense."""

import argparse

MOST = 10_000_000  # of anything that is counted
LARGEST_SEED = 2**63 - 1  # that the files of results hold
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
    """A whole number of 0 or more, as a seed is.

    Raises:
        argparse.ArgumentTypeError: it is none, or no file of results could hold it.
    """
    if not text.isdecimal() or len(text) > len(str(LARGEST_SEED)) or int(text) > LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or more, up to {LARGEST_SEED}")
    return int(text)


def seconds(text: str) -> float:
    """A time in seconds: 30, 30s, 1.5m.

    Raises:
        argparse.ArgumentTypeError: it is none above 0, or longer than anybody waits.
    """
    number, unit = (text[:-1], text[-1:]) if text[-1:] in SECONDS else (text, "s")
    try:
        time_s = float(number) * SECONDS[unit]
    except ValueError:
        time_s = 0.0
    if not 0 < time_s <= MOST:  # neither for NaN
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time above 0: give 30 or 30s, or minutes as 2m, up to {MOST} s"
        )
    return time_s
