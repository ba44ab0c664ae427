"""A run may stop early once its headlines are known precisely, and for no other reason."""

import math

import pytest
from journals import example_records
from msgspec.structs import replace
from test_verdict import BASE, RIVAL, THIRD, around

from bench.measure.plan import make_plan
from bench.measure.preset import Wishes
from bench.measure.stopping import EARLIEST, PRECISION, precise
from bench.results.record import Burst, Pair

PAIR = Pair("headline", RIVAL, BASE)


def bursts(ratios: dict[str, list[float]]) -> list[Burst]:
    """Counted bursts: the baseline's takes 10 ms, an entry's its ratio times as long."""
    template = next(record for record in example_records() if isinstance(record, Burst))
    made = []
    for entry, values in ratios.items():
        for block, ratio in enumerate(values, start=1):
            elapsed = [int(1e7 * ratio)] * 5
            made.append(replace(template, entry=entry, block=block, elapsed_ns=elapsed, n_calls=10))
    return made


@pytest.mark.parametrize("effect", [1.0, 1.5])
def test_narrow_intervals_stop_a_run_whatever_they_say(effect: float) -> None:
    narrow = bursts({BASE: [1.0] * 12, RIVAL: around(effect, 0.005, 12)})
    assert precise([PAIR], narrow, PRECISION)


@pytest.mark.parametrize("effect", [1.0, 1.5, 4.0])
def test_wide_intervals_do_not_however_clear_the_result(effect: float) -> None:
    wide = bursts({BASE: [1.0] * 12, RIVAL: around(effect, 0.05, 12)})
    assert not precise([PAIR], wide, PRECISION)


def test_one_wide_headline_among_narrow_ones_keeps_it_going() -> None:
    mixed = bursts({BASE: [1.0] * 12, RIVAL: around(2.0, 0.002, 12), THIRD: around(2.0, 0.05, 12)})
    assert precise([PAIR], mixed, PRECISION)
    assert not precise([PAIR, Pair("other", THIRD, BASE)], mixed, PRECISION)


def test_nothing_measured_is_not_precise() -> None:
    assert not precise([], bursts({BASE: [1.0] * 12}), PRECISION)
    assert not precise([PAIR], bursts({BASE: [1.0] * 12}), PRECISION)
    assert not precise([PAIR], bursts({BASE: [1.0] * 3, RIVAL: [1.0] * 3}), PRECISION)  # no interval yet


def test_block_0_does_not_count() -> None:
    counted = bursts({BASE: [1.0] * 12, RIVAL: around(2.0, 0.001, 12)})
    assert precise(
        [PAIR], [replace(burst, block=0, elapsed_ns=[10**9] * 5) for burst in counted] + counted, 0.01
    )


def test_the_plan_declares_the_precision_and_a_quick_one_none() -> None:
    options = {"run": "r", "started_utc": "2026-01-01T00:00:00+00:00", "command": []}
    assert make_plan(Wishes(variants=("numpy-inplace",)), **options).precision == PRECISION
    assert make_plan(Wishes(quick=True), **options).precision is None
    assert EARLIEST >= 10
    assert math.isclose(PRECISION, 0.01)
