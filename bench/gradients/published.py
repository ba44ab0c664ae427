"""Offer the catalogue's known wrong gradients as mistakes: who copied one of them is told so."""

from collections.abc import Callable, Iterator

from bench.gradients.finding import Finding, Kind
from bench.proof.tolerance import Array
from bench.workload.catalog import VARIANTS, Variant
from bench.workload.cell import find_cell

Gradient = Callable[..., dict[str, Array]]  # (params, x, y, *, activation, delta) -> a dict like params
MISTAKES = {  # variant -> the mistake, as of ``Finding``, and the section that explains it
    "numpy-published": ("R_U and R_W carry two indices where three are needed, as published", 7),
}


def published(cell: str, *, bias: bool) -> Iterator[tuple[Finding, Gradient]]:
    """Yield each published wrong gradient of a cell, with what a finding says of it; evidence is missing."""
    for variant in VARIANTS:
        if variant.wrong_gradients and cell in variant.cells and bias in variant.biases:
            mistake, section = MISTAKES[variant.name]
            finding = Finding(Kind.PUBLISHED, variant.wrong_gradients, mistake, evidence="", section=section)
            yield finding, _gradient(variant, cell)


def _gradient(variant: Variant, cell: str) -> Gradient:
    """Return a function that gives the variant's gradients."""

    def gradient(
        params: dict[str, Array], x: Array, y: Array, *, activation: str = "tanh", delta: float = 0.025
    ) -> dict[str, Array]:
        options = find_cell(cell).options(activation)
        bound = variant.load(cell)("gradient", params, x, y, delta=delta, lr=0.0, **options)
        bound.call()
        return {name: bound.result()[f"d{name}"] for name in params}

    return gradient
