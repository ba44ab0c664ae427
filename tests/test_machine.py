"""The machine as the main process sees it."""

import os

import pytest

from bench.measure import machine

QUIET = {"usable_cpus": 2, "load_1min": 0.1, "governor": None}


def test_the_quota_of_a_cgroup_is_read(tmp_path):
    path = tmp_path / "cpu.max"
    path.write_text("150000 100000\n")
    assert machine.cgroup_quota(str(path)) == 1.5
    path.write_text("max 100000\n")
    assert machine.cgroup_quota(str(path)) is None
    assert machine.cgroup_quota(str(tmp_path / "absent")) is None


@pytest.mark.parametrize(("quota", "usable"), [(None, 4), (2.9, 2), (0.5, 1), (8.0, 4)])
def test_usable_processors_are_affinity_and_quota_rounded_down(monkeypatch, quota, usable):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(machine, "cgroup_quota", lambda: quota)

    assert machine.usable_cpus() == usable


def test_the_description_names_no_host_and_no_person():
    described = machine.describe()
    values = str(described.values())

    assert described["cpus"] >= described["usable_cpus"] >= 1
    assert described["packages"]["numpy"]
    assert os.uname().nodename not in values
    assert os.path.expanduser("~") not in values  # noqa: PTH111  (a string is what is looked for)


def test_a_quiet_machine_gives_no_warning():
    assert machine.warnings(QUIET, {}, {}, threads=2) == []


@pytest.mark.parametrize(
    ("facts", "dropped", "kept", "threads", "said"),
    [
        ({}, {"OPENBLAS_CORETYPE": "Haswell"}, {}, 1, "OPENBLAS_CORETYPE=Haswell, set here to pin"),
        ({}, {}, {"OPENBLAS_CORETYPE": "Haswell"}, 1, "OPENBLAS_CORETYPE=Haswell pinned a BLAS kernel"),
        ({}, {}, {}, 3, "3 threads on 2 usable processors"),
        ({"load_1min": 1.5}, {}, {}, 1, "busy at the start"),
        ({"governor": "powersave"}, {}, {}, 1, "governor is powersave"),
    ],
)
def test_what_bears_on_speed_is_said(facts, dropped, kept, threads, said):
    (warning,) = machine.warnings(QUIET | facts, dropped, kept, threads)
    assert said in warning
