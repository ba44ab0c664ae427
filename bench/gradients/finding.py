"""Define what a diagnosis says: a known mistake that gives exactly the gradients that were given."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Kind(StrEnum):
    """Name the kinds of mistakes in a gradient derived by hand."""

    NOT_HANDED_BACK = "not handed back"  # dL/dh or dL/dc, or a part of it, does not reach the step before
    ACROSS_STEPS = "across steps"  # right for one step, wrong for several: where it is, not what
    ACROSS_SAMPLES = "across samples"  # likewise, of a batch
    STEP_LEFT_OUT = "a step left out"  # the first or the last
    TRUNCATED = "truncated"  # the walk back ends after some steps
    OFF_BY_ONE = "of the wrong step"  # in time: x, h or c of a neighbouring step
    CONSTANT = "a constant factor"  # mean for sum, sum for mean, 2 for 1, ...
    SIGN = "the wrong sign"
    TRANSPOSED = "transposed"
    DERIVATIVE = "the derivative of an activation"  # of a gate, too: left out, or of the wrong argument
    FACTOR = "a factor"  # any other factor of a product left out or too many
    TERM = "a term"  # a term of a sum left out, too many, or with the other sign
    MISTAKEN = "one quantity for another"
    ORDER = "the order of the rows"
    NOT_SUMMED = "not summed"  # the last term, or one sample, for the sum
    ZERO = "never computed"
    CLIPPED = "clipped"
    PRECISION = "in float32"
    PUBLISHED = "a published gradient"  # that is known to be wrong


class Section(IntEnum):
    """Name the sections of docs/derivation.md; ``RNN``, ``GRU`` and ``LSTM`` derive a cell's way back."""

    LOSS = 2
    STEP = 3
    WALK = 4
    BATCH = RNN = 5
    PUBLISHED = 7
    GRU = 9
    LSTM = 10


@dataclass(frozen=True, slots=True)
class Finding:
    """Hold a mistake that gives exactly the gradients that were given.

    Attributes:
        kind: what kind of mistake it is.
        parameters: names of the parameters whose wrong gradients it explains.
        mistake: the mistake in words, as the end of "dU and dW are what you get when ...":
            "dh_next is not handed back".
        evidence: what shows it: "equal to 1e-16 at T = 1, 2 and 5".
        line: the line of the derivation in which the mistake is, as it should be; empty if not known.
        section: the section of docs/derivation.md that derives it; 0 if there is none.
    """

    kind: Kind
    parameters: tuple[str, ...]
    mistake: str
    evidence: str
    line: str = ""
    section: int = 0
