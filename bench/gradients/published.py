"""Offer the catalogue's known wrong gradients as mistakes: who copied one of them is told so."""

from collections.abc import Iterator
from typing import Any

from bench.gradients.edits import Edit
from bench.gradients.finding import Kind, Section
from bench.proof.tolerance import Array
from bench.workload.catalog import VARIANTS, Variant
from bench.workload.cell import find_cell

MISTAKES = {  # variant -> the mistake, as of ``Finding``, and the section that explains it
    "numpy-published": (
        "R_U and R_W carry two indices where three are needed, as published",
        Section.PUBLISHED,
    ),
}


def published(cell: str, *, bias: bool) -> Iterator[Edit]:
    """Yield each published wrong gradient of a cell."""
    for variant in VARIANTS:
        if variant.wrong_gradients and cell in variant.cells and bias in variant.biases:
            mistake, section = MISTAKES[variant.name]
            yield Edit(0, Kind.PUBLISHED, "", "", mistake, _loss_and_grads(variant, cell), section)


def _loss_and_grads(variant: Variant, cell: str) -> Any:
    """Return the variant's gradients as a function like that of the reference."""

    def loss_and_grads(
        params: dict[str, Array], x: Array, y: Array, *, activation: str = "tanh", delta: float = 0.025
    ) -> tuple[Array, dict[str, Array]]:
        options = find_cell(cell).options(activation)
        bound = variant.load(cell)("gradient", params, x, y, delta=delta, lr=0.0, **options)
        bound.call()
        result = bound.result()
        return result["loss"], {name: result[f"d{name}"] for name in params}

    return loss_and_grads
