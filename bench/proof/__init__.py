"""Prove that a variant computes what the reference computes. No entry is timed without this proof."""

from bench.proof.agreement import failures
from bench.proof.prove import check_last, prove, published_gradient_is_wrong, status
from bench.proof.reference import Expected, conditions, expected, expected_after

__all__ = [
    "Expected",
    "check_last",
    "conditions",
    "expected",
    "expected_after",
    "failures",
    "prove",
    "published_gradient_is_wrong",
    "status",
]
