"""From older schemas to the present one, a step a schema: plain objects in, plain objects out.

Every step says in full what a record of the older schema means in the next; the history is told in
``record``. A journal of each past schema is kept with the tests.
"""

from collections.abc import Callable
from typing import Any

from bench.results.record import SCHEMA

Tree = dict[str, Any]


def migrate(record: Tree, schema: int) -> Tree:
    """A record of ``schema`` as one of SCHEMA.

    Raises:
        ValueError: it holds what its schema did not have.
    """
    for older in range(schema, SCHEMA):
        record = STEPS[older](record)
    return record


def from_1_to_2(record: Tree) -> Tree:
    """Schema 1 read no gates, repeated no value, and knew neither conditions nor resumption."""
    kind = record.get("kind")
    if kind in ("conditions", "resumed", "extended"):
        raise ValueError(f"schema 1 has no record of kind {kind}")
    new: Tree = {}
    if kind == "plan":
        new = {"gates": {}, "precision": None}
    elif kind == "burst":
        new = {"gates": {}, "flags": [], "disturbed": None, "settled": None}
    if early := sorted(new.keys() & record.keys()):
        raise ValueError(f"a {kind} of schema 1 has no field `{early[0]}`")
    if kind == "plan":
        new["schema"] = 2
    return {**record, **new}


STEPS: dict[int, Callable[[Tree], Tree]] = {1: from_1_to_2}
