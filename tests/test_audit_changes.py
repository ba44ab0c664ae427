"""What changed between two records of an environment, and whether the machine slept in between."""

from typing import Any

import pytest

from bench.analysis.environment_diff import changed, changed_variables
from bench.machine import host
from bench.machine.host import slept
from bench.machine.libraries import NUMPY

MACHINE: dict[str, Any] = {
    "processor": "Example CPU 9000", "governor": "performance", "turbo": "off", "microcode": "0x1",
    "usable_cpus": 8, "cgroup_quota": None, "load_1min": 0.1, "mhz": {"min": 800, "max": 3900, "cur": 2500},
    "packages": {"numpy": "2.4.6", "rnnbench": "0.1.0"}, "commit": "a" * 40, "mitigations": {"open": ["mds"]},
}  # fmt: skip
LIBRARY: dict[str, Any] = {
    "version": "2.4.6", "threads": 1, "kernel": "SkylakeX", "precision": {"torch.backends.cudnn.rnn": "ieee"},
}  # fmt: skip


def test_what_does_not_bear_on_speed_or_is_not_told_is_no_change():
    later = MACHINE | {"load_1min": 7.0, "mhz": {"min": 800, "max": 3900, "cur": 3100}, "clocks": {}}
    without = {name: value for name, value in MACHINE.items() if name not in ("turbo", "microcode", "mhz")}
    for facts in (later, without):
        assert changed(MACHINE, facts) == changed(facts, MACHINE) == []
    assert changed(host.describe(), host.describe()) == changed(NUMPY.facts(), NUMPY.facts()) == []


@pytest.mark.parametrize(
    ("before", "edit", "said"),
    [
        (MACHINE, {"governor": "powersave"}, "governor: performance, now powersave"),
        (MACHINE, {"turbo": "on"}, "turbo: off, now on"),
        (MACHINE, {"microcode": "0x2"}, "microcode: 0x1, now 0x2"),
        (MACHINE, {"usable_cpus": 2}, "usable cpus: 8, now 2"),
        (MACHINE, {"cgroup_quota": 1.5}, "cgroup quota: none, now 1.5"),
        (MACHINE, {"mhz": {"min": 800, "max": 2600}}, "MHz max: 3900, now 2600"),
        (MACHINE, {"packages": {"numpy": "2.5.0", "rnnbench": "0.1.0"}}, "packages numpy: 2.4.6, now 2.5.0"),
        (MACHINE, {"packages": {"rnnbench": "0.2.0"}}, "packages rnnbench: 0.1.0, now 0.2.0"),
        (MACHINE, {"commit": "b" * 40}, f"commit: {'a' * 40}, now {'b' * 40}"),
        (MACHINE, {"mitigations": {"mitigated": ["mds"]}}, "mitigations mitigated: none, now mds"),
        (LIBRARY, {"kernel": "Haswell"}, "kernel: SkylakeX, now Haswell"),
        (LIBRARY, {"threads": 2}, "threads: 1, now 2"),
        (LIBRARY, {"precision": {"torch.backends.cudnn.rnn": "tf32"}},
         "precision torch.backends.cudnn.rnn: ieee, now tf32"),
    ],
)  # fmt: skip
def test_every_change_that_bears_on_speed_is_said(before, edit, said):
    assert said in changed(before, before | edit)


def test_a_variable_that_reached_the_workers_with_another_value_is_said():
    before, after = {"MALLOC_ARENA_MAX": "1", "PYTHONPATH": "~/x"}, {"PYTHONPATH": "~/y"}
    assert changed_variables(before, after) == [
        "variable MALLOC_ARENA_MAX: 1, now none",
        "variable PYTHONPATH: ~/x, now ~/y",
    ]
    assert changed_variables(before, dict(before)) == []


@pytest.mark.parametrize(
    ("before", "after", "seconds"),
    [
        ((100.0, 100.0), (160.0, 160.0), 0.0),
        ((100.0, 130.0), (160.0, 190.0), 0.0),  # it slept before
        ((100.0, 100.0), (160.0, 3760.0), 3600.0),
        ((100.0, 100.0), (160.0, 160.0001), 0.0),  # read one after the other
        ((1.0,), (9.0,), 0.0),  # no clock goes on in sleep, so nobody knows
    ],
)
def test_sleep_shows_as_a_gap_between_the_clocks(before, after, seconds):
    clocks = "monotonic_s", "boottime_s"
    readings = [dict(zip(clocks, reading, strict=False)) for reading in (before, after)]
    assert slept(*readings) == pytest.approx(seconds)
