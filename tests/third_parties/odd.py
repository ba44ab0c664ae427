"""What cannot be used, and is told so in one line."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from bench.machine.libraries import Library
from third_parties.mgu import MGU


def variant(library: str, **more: Any) -> SimpleNamespace:
    """A variant that no proof ever sees."""
    return SimpleNamespace(name="odd", library=library, bind=print, **more)


TAKEN = replace(MGU, parameters={"loss": "HH"})
TWICE, UNSIZED = replace(MGU, biases={"V": "O"}), replace(MGU, biases={"bV": "Q"})
STILL, STRANGE = replace(MGU, activations=()), replace(MGU, activations=("swish",))
RED, LINES = Library("red", "Red", colour="red"), Library("lines", "two\nlines")
OTHER_NUMPY = Library("numpy", "My NumPy")
bright, nameless = (variant(f"{__name__}:{name}") for name in ("RED", "LINES"))
taken = variant(f"{__name__}:OTHER_NUMPY")
lost = variant("third_parties.mgu:MGU")
RELU = replace(MGU, activations=("relu",), baseline=f"{__name__}:relu")  # not odd
relu = variant("numpy", cell=f"{__name__}:RELU")
even = SimpleNamespace(**vars(relu) | {"name": "even"})
celled = variant("numpy", cell=3)
