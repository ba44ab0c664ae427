"""docs/architecture.md is true: its rooms, its journeys against the imports, and its places."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
from test_imports import ROOMS, imported, read_sources

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
MOST_MODULES = 15  # of a journey


def journeys(page: str) -> list[list[str]]:
    """Every list of modules in the page, as full names."""
    lists = re.findall(r":\n((?:`[a-z_.]+`[,\s]*)+)", page)
    return [[f"bench.{name}" for name in re.findall(r"`([a-z_.]+)`", found)] for found in lists]


def strangers(modules: list[str]) -> list[str]:
    """Steps between two modules of which neither imports the other, and modules that are not there."""
    sources = read_sources()
    missing = [module for module in modules if module not in sources]
    known = {module: set(imported(sources[module], sources)) for module in modules if module in sources}
    return missing + [
        f"{one} and {other}"
        for one, other in pairwise(modules)
        if one in known and other in known and one not in known[other] and other not in known[one]
    ]


def test_the_rooms_are_those_of_the_imports_in_their_order() -> None:
    assert tuple(re.findall(r"^\| \[(\w+)\]", PAGE, re.MULTILINE)) == ROOMS


@pytest.mark.parametrize("modules", journeys(PAGE), ids=lambda modules: modules[0])
def test_a_journey_goes_from_import_to_import_and_never_back(modules: list[str]) -> None:
    assert strangers(modules) == []
    assert len(set(modules)) == len(modules) <= MOST_MODULES


def test_there_are_five_journeys_and_a_false_step_is_noticed() -> None:
    assert len(journeys(PAGE)) == 5
    assert strangers(["bench.cli.main", "bench.machine.clock"]) == ["bench.cli.main and bench.machine.clock"]
    assert strangers(["bench.cli.nothing"]) == ["bench.cli.nothing"]


def test_every_place_that_is_named_is_there() -> None:
    places = re.findall(r"bench/[a-z_/]+(?:\.py)?", PAGE)
    assert places
    assert [place for place in places if not (ROOT / place).exists()] == []
