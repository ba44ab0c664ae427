"""Runs of different machines are not put into one report unless that is asked for."""

from pathlib import Path

import pytest
from small_journal import on, small_records, write

from bench.machine.errors import UserError
from bench.records.journal import FILE_NAME
from bench.records.run import Run, different_machines, make_run
from bench.reporting.build import build_report


def run_on(**machine: object) -> Run:
    plan, _, *rest = small_records()
    return make_run([plan, on(machine), *rest])


@pytest.mark.parametrize(
    ("machine", "fields"),
    [
        ({}, []),
        ({"load_1min": 7.0, "system": "Linux 7", "usable_cpus": 1}, []),
        ({"processor": "Other"}, ["processor"]),
        ({"cpus": 4}, ["cpus"]),
        ({"architecture": "arm64"}, ["architecture"]),
        ({"memory_bytes": 8_050_000_000}, []),
        ({"memory_bytes": 16_000_000_000}, ["memory_bytes"]),
        ({"host": "ab12"}, []),
        ({"cpus": 4, "processor": "Other"}, ["processor", "cpus"]),
        ({"processor": None}, []),
    ],
)
def test_the_facts_in_which_machines_differ_are_named(machine: dict[str, object], fields: list[str]) -> None:
    assert different_machines([run_on(), run_on(**machine)]) == fields
    assert different_machines([run_on(**machine), run_on(), run_on()]) == fields


def test_hosts_are_compared_where_two_tell_them() -> None:
    assert different_machines([run_on(host="ab12"), run_on(), run_on(host="cd34")]) == ["host"]
    assert different_machines([run_on(host="ab12"), run_on(), run_on(host="ab12")]) == []


def test_one_run_or_none_or_one_without_an_environment_differs_from_nothing() -> None:
    assert different_machines([]) == different_machines([run_on()]) == []
    assert different_machines([run_on(), make_run(small_records()[:1])]) == []


def test_a_report_of_different_machines_must_be_asked_for(tmp_path: Path) -> None:
    plan, environment, *rest = small_records()
    paths = []
    for name, setting in (("here", environment), ("there", on({"processor": "Other", "cpus": 64}))):
        paths.append(tmp_path / name)
        paths[-1].mkdir()
        write(paths[-1] / FILE_NAME, [plan, setting, *rest])
    out = tmp_path / "both"
    with pytest.raises(UserError, match=r"different machines \(processor, cpus\).* --any-machine"):
        build_report(paths, out)
    assert not out.exists()
    assert build_report(paths, out, any_machine=True).exists()
