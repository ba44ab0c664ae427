"""A plan that is split into parts is the plan: nothing is lost or measured twice, and no ratio is cut."""

from itertools import chain
from typing import Any

import pytest
from declared import declare, machine

from bench.measure.split import split
from bench.records.contradictions import of_run
from bench.records.record import Plan, measured_as
from bench.records.run import make_run

GPU = machine("cuda:0")
PLANS = {
    "grid": {"preset": "grid"},
    "primer": {"preset": "primer"},
    "cells": {"preset": "cells", "hidden": (8, 16)},
    "full": {"preset": "full", "devices": GPU},
    "sizes": {"hidden": (64, 256), "batch": (1,), "task": ("forward",), "devices": GPU},
    "quick": {"quick": True},
    "missing": {"preset": "grid", "devices": machine(missing={"torch": "no torch"})},
}
PARTS = {"grid": 36, "primer": 4, "cells": 2, "full": 8, "sizes": 2, "quick": 1, "missing": 36}


@pytest.fixture(params=PLANS)
def plan(request: pytest.FixtureRequest) -> Plan:
    return declare(**PLANS[request.param])


def joined(parts: dict[str, Plan], field: str) -> list[Any]:
    return sorted(chain.from_iterable(getattr(part, field) for part in parts.values()), key=repr)


@pytest.mark.parametrize("field", ["groups", "pairs", "ladder", "probes", "missing"])
def test_the_parts_together_are_the_plan(plan: Plan, field: str) -> None:
    assert joined(split(plan), field) == sorted(getattr(plan, field), key=repr)


def test_the_parts_have_the_arms_blocks_and_rounds_of_the_plan(plan: Plan) -> None:
    parts = split(plan).values()
    assert {arm for part in parts for arm in part.arms} == set(plan.arms)
    for name in ("blocks", "rounds", "margin", "gates", "precision", "seed", "isolate", "budget_rule"):
        assert all(getattr(part, name) == getattr(plan, name) for part in parts)


def test_nothing_is_measured_twice(plan: Plan) -> None:
    counts = [len(set(measured_as(one.groups).values())) for one in (plan, *split(plan).values())]
    assert counts[0] == sum(counts[1:])


def test_each_part_is_a_plan_without_contradictions(plan: Plan) -> None:
    assert [*chain.from_iterable(of_run(make_run([part])) for part in split(plan).values())] == []


@pytest.mark.parametrize("name", PLANS)
def test_how_many_parts_there_are(name: str) -> None:
    assert len(split(declare(**PLANS[name]))) == PARTS[name]


def test_the_time_budget_is_shared_out() -> None:
    parts = split(declare(preset="grid"))
    assert sum(part.budget_s or 0.0 for part in parts.values()) == pytest.approx(585.0)
    assert {part.budget_s for part in split(declare(preset="full")).values()} == {None}
