"""The verb check: what it prints, which exit code it gives, and how it asks the libraries."""

import json
import sys
from pathlib import Path

import pytest
from machines import FIT

from bench.api import check
from bench.cli.main import main
from bench.machine import audit, child
from bench.machine.audit import Finding
from bench.machine.devices import Absent, Device, Devices, probe_libraries, with_nvidia_smi
from bench.machine.libraries.library import Inventory

BAD = Finding("threads", "unfair", "numpy computes with 64 [threads]", "unset OMP_NUM_THREADS")
SHAKY = Finding("load", "unstable", "the machine was busy", "see what runs with `top`")
FINE = Finding("turbo", "note", "turbo is on", "nothing to type", banner=False)
CPU_ONLY = Devices((Device("cpu", "cpu", "a processor", None, ("float32",)),), (Absent("cuda", "no driver"),))


@pytest.mark.parametrize(
    ("findings", "code", "sentence"),
    [
        ([], 0, "This machine is fit for timing."),
        ([FINE], 0, "This machine is fit for timing."),
        ([SHAKY, FINE], 0, "Nothing is unfair here; one thing is unstable, so intervals will be wider."),
        ([BAD, SHAKY], 1, "One thing is unfair here: mend that before you believe a comparison."),
        ([BAD, BAD], 1, "2 things are unfair here: mend that before you believe a comparison."),
    ],
)
def test_it_ends_with_one_sentence_and_only_what_is_unfair_fails(
    monkeypatch, capsys, findings, code, sentence
):
    monkeypatch.setattr(check, "audit_here", lambda devices: findings)

    assert main(["check"]) == code
    printed = capsys.readouterr().out
    assert printed.rstrip().endswith(sentence)
    assert all(finding.what in printed and finding.mend in printed for finding in findings)
    assert "\x1b" not in printed
    assert main(["check", "--json"]) == code
    assert [Finding(**one) for one in json.loads(capsys.readouterr().out)] == findings


def test_a_device_that_is_not_here_is_wrong_usage(monkeypatch, capsys):
    monkeypatch.setattr(check, "find_devices", lambda: CPU_ONLY)

    assert main(["check", "--device", "cuda"]) == 2
    assert "no device 'cuda' here: no driver" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "wanted"), [([], None), (["--device", "all"], None), (["--device", "cpu"], [])]
)
def test_accelerators_are_asked_about_unless_others_are_named(monkeypatch, typed, wanted):
    asked = []
    monkeypatch.setattr(check, "audit_here", lambda devices: asked.append(devices) or [])

    assert main(["check", *typed]) == 0
    assert asked == [wanted]


def quiet(monkeypatch, **probed: Inventory) -> None:
    """A fit machine at once: no waiting, no children."""
    monkeypatch.setattr(audit, "SAMPLE_S", 0)
    monkeypatch.setattr(audit.host, "describe", lambda: FIT)
    monkeypatch.setattr(audit.host, "usable_cpus", lambda: 8)
    monkeypatch.setattr(audit.gates, "between", lambda before, after: {})
    monkeypatch.setattr(audit, "probe_libraries", lambda threads, pins, devices: probed)
    monkeypatch.setattr(audit, "speed_variables", dict)


def test_this_machine_is_audited_with_what_the_libraries_told(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    numpy = {"threads": 8, "kernel": "SkylakeX", "pinned_kernel": "Haswell"}
    torch = Inventory(facts={"threads": 1}, devices={"cuda:1": {"temperature_c": 99}})
    quiet(monkeypatch, numpy=Inventory(facts=numpy), torch=torch)
    said = [finding.what for finding in audit.audit_here(["cuda:1"])]
    assert said[0] == "torch computes with 1 threads where 8 were asked for"
    assert any("NumPy gets the kernel Haswell with them, SkylakeX without" in what for what in said)
    assert any("cuda:1 is at 99" in what for what in said)


def test_a_library_that_tells_nothing_is_named(monkeypatch):
    quiet(monkeypatch, torch=Inventory(missing="No module named 'torch'"))
    (finding,) = [finding for finding in audit.audit_here() if finding.topic == "torch"]
    assert finding.what == "nothing is known about torch: No module named 'torch'"
    assert (finding.level, finding.mend) == ("note", "pip install torch")


def test_children_get_a_workers_environment_and_one_of_them_the_pins(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("SECRET_TOKEN", "canary")
    told = (
        "import json, os, sys; e = os.environ; facts = {'name': sys.argv[2], "
        "'threads': e['OMP_NUM_THREADS'], 'kernel': e.get('OPENBLAS_CORETYPE', 'own'), "
        "'secret': e.get('SECRET_TOKEN')}; devices = {'cuda:0': {}, 'cuda:1': {}}; "
        "print(json.dumps({'facts': facts, 'devices': devices}))"
    )

    monkeypatch.setattr(child, "LAUNCHER", (sys.executable, "-c", told))
    probed = probe_libraries(3, ["OPENBLAS_CORETYPE"], devices=["cuda:1"])
    facts = {"threads": "3", "kernel": "own", "secret": None}
    assert probed["numpy"].facts == {"name": "numpy", "pinned_kernel": "Haswell"} | facts
    assert probed["torch"].facts == {"name": "torch"} | facts
    assert probed["torch"].devices == {"cuda:1": {}}
    assert probe_libraries(3)["numpy"].facts["pinned_kernel"] is None


@pytest.mark.parametrize(
    ("text", "seconds", "reason"),
    [
        ("import sys; sys.exit('no such library')", 60,
         "failed: ended with exit code 1 before its reply: no such library"),
        ("print('[1]')", 60,
         "failed: protocol: it sent what is no reply: Expected `object`, got `array`: it printed nothing"),
        ("import os; os.abort()", 60, "failed: killed by SIGABRT: it printed nothing"),
        ("import time; time.sleep(60)", 0, "took more than 0 s"),
    ],
)  # fmt: skip
def test_a_child_that_fails_or_hangs_says_why(monkeypatch, text, seconds, reason):
    monkeypatch.setattr(child, "LAUNCHER", (sys.executable, "-c", text))
    missing = {name: each.missing for name, each in probe_libraries(1, seconds=seconds).items()}
    assert missing == {"numpy": f"importing NumPy {reason}", "torch": f"importing PyTorch {reason}"}


def test_numpy_tells_its_facts_through_the_real_child():
    facts = probe_libraries(1)["numpy"].facts
    assert facts["threads"] in (1, None)
    assert facts["flushes_subnormals"] is False


def fake_smi(tmp_path: Path, line: str) -> list[str]:
    script = tmp_path / "smi.py"
    script.write_text(f"import sys\nassert '--id=GPU-1' in sys.argv\nprint({line!r})\n")
    return [sys.executable, str(script)]


def test_nvidia_smi_tells_the_state_of_a_device_whose_uuid_is_not_recorded(tmp_path):
    line = "550.54, 43, 71.2, 700.00, 345, 1980, 0x0000000000000004, Enabled, [N/A], 10240"
    assert with_nvidia_smi({"uuid": "GPU-1", "memory_bytes": 1}, fake_smi(tmp_path, line)) == {
        "memory_bytes": 1, "driver_version": "550.54", "temperature_c": 43, "power_w": 71.2,
        "power_limit_w": 700.0, "clock_mhz": 345, "max_clock_mhz": 1980, "throttle_reasons": 4,
        "persistence": "Enabled", "memory_used_mib": 10240, "memory_taken_bytes": 8 << 30,
    }  # fmt: skip


@pytest.mark.parametrize("here", [["/no/such/program"], [sys.executable, "-c", "print('1, 2')"]])
def test_without_nvidia_smi_a_device_keeps_what_torch_told(here):
    assert with_nvidia_smi({"uuid": "GPU-1", "memory_bytes": 1}, here) == {"memory_bytes": 1}
    assert with_nvidia_smi({"memory_bytes": 1}, here) == {"memory_bytes": 1}
