"""The report shows the whole environment record, in words, whatever a journal holds."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from journals import example_records

from bench.records.record import Environment
from bench.records.run import Run, make_run
from bench.reporting.environment import MOST, details, machine, say


def run_with(facts: dict[str, Any]) -> Run:
    plan, _, *rest = example_records()
    return make_run([plan, Environment(facts, {}, {}, {}, []), *rest])


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("swap_bytes", 2 << 30, "2.00 GiB"),
        ("swap_bytes", 0, "none"),
        ("steal_share", 0.05, "5 %"),
        ("temperature_c", 48, "48 °C"),
        ("timer", {"cost_ns": 140, "clock": "tsc"}, "cost 140 ns, clock tsc"),
        ("caches", {"L1d": "48K", "L2": None}, "L1d 48K"),
        ("mitigations", {"open": ["mds", "srso"]}, "open mds srso"),
        ("python_debug", False, "no"),
        ("governor", None, ""),
        ("microcode", "0x1", "0x1"),
    ],
)
def test_a_fact_is_said_with_its_unit(name: str, value: object, said: str) -> None:
    assert say(name, value) == said


def test_every_fact_has_a_place_and_what_is_unknown_has_none() -> None:
    facts = {"microcode": "0x1", "power": None, "container": "docker", "of_next_year": 7, "cpus": 2}
    shown = dict(details(run_with(facts)))["the machine"]
    assert shown == (("Microcode", "0x1"), ("Container", "docker"), ("Of next year", "7"))


def test_a_library_tells_every_value_that_its_workers_read() -> None:
    run = run_with({})
    of_numpy = [run.arms[worker.arms[0]].library == "numpy" for worker in run.workers]
    odd = of_numpy.index(True)
    workers = [
        msgspec.structs.replace(worker, facts={"flushes_subnormals": index == odd})
        for index, worker in enumerate(run.workers)
    ]
    shown = dict(details(replace(run, workers=workers)))
    assert shown["NumPy in its workers"] == (("Flushes subnormals", "yes / no"),)
    assert shown["PyTorch in its workers"] == (("Flushes subnormals", "no"),)


def test_clock_and_virtual_machine_are_seen_at_once() -> None:
    facts = {"governor": "schedutil", "turbo": "on", "mhz": {"max": 3900, "cur": 2500}, "hypervisor": "KVM"}
    assert machine(facts) == (
        ("Clock speed", "governor schedutil; turbo on; at most 3900, now 2500 MHz"),
        ("Virtual machine", "KVM"),
    )


def test_facts_of_a_strange_shape_break_nothing_and_stay_short() -> None:
    facts = {
        "mhz": 7,
        "caches": [1, 2],
        "microcode": {"a": {"b": "c" * 9999}},
        "timer": "x" * 9999,
        "clocks": [],
    }
    shown = dict(details(run_with(facts)))
    assert all(len(value) <= MOST for pairs in shown.values() for _, value in pairs)
    assert machine(facts) == ()
