"""The machine as the main process sees it; Linux's files are fakes in a folder of the test."""

import json
import os
import platform
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.machine import host
from bench.machine.linux import Linux

CPUINFO = """processor\t: 0
vendor_id\t: GenuineExample
cpu family\t: 6
model\t\t: 85
model name\t: Example CPU 9000
stepping\t: 7
microcode\t: 0x5003604
cpu MHz\t\t: 2600.123
flags\t\t: fpu avx2 avx512f hypervisor

processor\t: 1
model name\t: another
"""
FILES = {
    "proc/cpuinfo": CPUINFO,
    "proc/stat": "cpu  800 0 100 1000 0 0 0 100 0 0\ncpu0 1 2 3",
    "proc/loadavg": "0.10 0.20 0.30 3/210 4711",
    "proc/swaps": "Filename Type Size Used Priority\n/dev/sda2 partition 2048 1024 -2\n",
    "proc/sys/kernel/randomize_va_space": "2",
    "proc/sys/kernel/osrelease": "6.1.0-generic",
    "proc/pressure/cpu": "some avg10=12.50 avg60=0 avg300=0 total=9\nfull avg10=0.00 avg60=0 total=0",
    "proc/self/cgroup": "0::/user.slice/job\n",
    "etc/machine-id": "0123456789abcdef",
    "sys/fs/cgroup/cpu.stat": "nr_periods 200\nnr_throttled 9",
    "sys/fs/cgroup/user.slice/cpu.max": "150000 100000",
    "sys/fs/cgroup/user.slice/job/memory.max": "max",
    "sys/fs/cgroup/memory.max": "4294967296",
    "sys/class/dmi/id/sys_vendor": "QEMU",
    "sys/class/dmi/id/product_name": "Standard PC",
    "sys/class/power_supply/BAT0/type": "Battery",
    "sys/class/power_supply/BAT0/status": "Discharging",
    "sys/class/power_supply/AC/type": "Mains",
    "sys/class/power_supply/AC/online": "0",
    "sys/class/thermal/thermal_zone0/temp": "48123",
    "sys/kernel/mm/transparent_hugepage/enabled": "[always] madvise never",
    "sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc",
    "sys/devices/system/node/node0/cpulist": "0",
    "sys/devices/system/node/node1/cpulist": "1",
    "sys/devices/system/cpu/isolated": "1",
    "sys/devices/system/cpu/nohz_full": "(null)",
    "sys/devices/system/cpu/smt/active": "1",
    "sys/devices/system/cpu/cpu0/topology/thread_siblings_list": "0-1",
    "sys/devices/system/cpu/cpu0/cache/index0/level": "1",
    "sys/devices/system/cpu/cpu0/cache/index0/type": "Data",
    "sys/devices/system/cpu/cpu0/cache/index0/size": "48K",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave",
    "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor": "performance",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_driver": "intel_pstate",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_min_freq": "800000",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq": "3900000",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "2500000",
    "sys/devices/system/cpu/intel_pstate/no_turbo": "0",
    "sys/devices/system/cpu/vulnerabilities/meltdown": "Not affected",
    "sys/devices/system/cpu/vulnerabilities/spectre_v1": "Mitigation: barriers",
    "sys/devices/system/cpu/vulnerabilities/mds": "Vulnerable",
}


POWER = "sys/class/power_supply"
MOUSE = {"type": "Battery", "status": "Discharging", "scope": "Device"}


def put(root: Path, files: dict[str, str]) -> Path:
    """The files, below a folder that stands for /."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


VERSION_1 = {
    "proc/self/cgroup": "3:cpuset:/x\n1:cpu,cpuacct:/",
    "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
}
NESTED = {
    "proc/self/cgroup": "0::/a/b",
    "sys/fs/cgroup/a/cpu.max": "100000 100000",
    "sys/fs/cgroup/a/b/cpu.max": "300000 100000",
}


@pytest.mark.parametrize(
    ("files", "granted"),
    [
        ({"sys/fs/cgroup/cpu.max": "150000 100000"}, 1.5),
        ({"sys/fs/cgroup/cpu.max": "max 100000"}, None),
        ({}, None),
        ({"sys/fs/cgroup/cpu.max": "rubbish"}, None),
        (NESTED, 1.0),
        (VERSION_1 | {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000"}, 0.5),
        (VERSION_1 | {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1"}, None),
        ({"proc/self/cgroup": "0::/../beside", "sys/fs/beside/cpu.max": "100000 100000"}, None),
    ],
)
def test_the_tightest_quota_of_a_process_is_read_in_both_versions_of_cgroups(tmp_path, files, granted):
    assert Linux(put(tmp_path, files)).quota() == granted


def test_a_memory_limit_of_version_1_that_means_none_is_none(tmp_path):
    for written, limit in (("9223372036854771712", None), ("1048576", 1 << 20)):
        root = put(tmp_path, {"sys/fs/cgroup/memory/memory.limit_in_bytes": written})
        assert Linux(root).memory_limit() == limit


@pytest.mark.parametrize(("quota", "usable"), [(None, 4), (2.9, 2), (0.5, 1), (8.0, 4)])
def test_usable_processors_are_affinity_and_quota_rounded_down(monkeypatch, quota, usable):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(Linux, "quota", lambda self: quota)
    assert host.usable_cpus() == usable


def test_the_description_names_no_host_and_no_person():
    described = host.describe()
    values = json.dumps(described)

    assert described["cpus"] >= described["usable_cpus"] >= 1
    assert described["packages"]["numpy"]
    assert "host_name" not in described
    assert platform.node() not in values.replace(described["system"], "").split('"')
    assert os.path.expanduser("~") not in values  # noqa: PTH111  (a string is what is looked for)
    assert host.describe(host_name=True)["host_name"] == platform.node()


def test_the_hash_of_a_host_is_its_own_and_stays(tmp_path, monkeypatch):
    here, there = (put(tmp_path / name, {"etc/machine-id": name}) for name in ("here", "there"))
    first = host.host_hash(here)
    assert len(first) == 12
    assert first == host.host_hash(here) != host.host_hash(there)
    monkeypatch.setattr(platform, "node", lambda: "another-name")
    assert host.host_hash(here) != first


def test_the_processor_its_clock_and_the_systems_state_are_read_from_linuxs_files(tmp_path):
    assert Linux(put(tmp_path, FILES)).facts([0, 1]) == {
        "vendor": "GenuineExample", "family": "6", "model": "85", "stepping": "7", "microcode": "0x5003604",
        "vector_units": ["avx2", "avx512f"], "caches": {"L1d": "48K"}, "numa_nodes": 2, "smt": "on",
        "siblings": "0-1", "isolated_cpus": "1", "governor": "powersave, performance", "turbo": "on",
        "frequency_driver": "intel_pstate", "mhz": {"min": 800, "max": 3900, "cur": 2500},
        "hypervisor": "QEMU Standard PC", "transparent_huge_pages": "always", "aslr": 2, "clocksource": "tsc",
        "swap_bytes": 2 << 20, "swap_used_bytes": 1 << 20, "power": "battery", "temperature_c": 48,
        "mitigations": {"open": ["mds"], "mitigated": ["spectre_v1"]}, "runnable": 3, "steal_share": 0.05,
        "pressure_percent": {"cpu": 12.5}, "cgroup_memory_bytes": 4 << 30, "throttled_periods": 9,
        "quota_periods": 200,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("files", "fact", "value"),
    [
        ({".dockerenv": ""}, "container", "docker"),
        ({"proc/self/cgroup": "0::/kubepods/pod1"}, "container", "kubepods"),
        ({}, "container", None),
        ({"sys/hypervisor/type": "xen"}, "hypervisor", "xen"),
        ({"proc/sys/kernel/osrelease": "5.15-microsoft-standard-WSL2"}, "hypervisor", "WSL"),
        ({"proc/cpuinfo": "flags : hypervisor"}, "hypervisor", "of a kind it does not tell"),
        ({}, "hypervisor", None),
        ({"sys/devices/system/cpu/cpufreq/boost": "0"}, "turbo", "off"),
        ({"proc/cpuinfo": "cpu MHz : 2600.123"}, "mhz", {"cur": 2600}),
        ({f"{POWER}/AC/type": "Mains", f"{POWER}/AC/online": "1"}, "power", "mains"),
        ({f"{POWER}/BAT0/type": "Battery", f"{POWER}/BAT0/status": "Charging"}, "power", "mains"),
        ({f"{POWER}/BAT0/type": "Battery", f"{POWER}/BAT0/status": "Discharging"}, "power", "battery"),
        ({f"{POWER}/BAT0/{name}": text for name, text in MOUSE.items()}, "power", None),
    ],
)
def test_what_few_machines_have_is_read_as_well(tmp_path, files, fact, value):
    assert Linux(put(tmp_path, files)).facts([0]).get(fact) == value


@pytest.mark.parametrize(
    ("system", "plugged", "power"),
    [("Darwin", True, "mains"), ("Darwin", False, "battery"), ("Darwin", None, None), ("Linux", False, None)],
)
def test_other_systems_than_linux_are_asked_what_powers_them(tmp_path, monkeypatch, system, plugged, power):
    battery = None if plugged is None else SimpleNamespace(power_plugged=plugged)
    monkeypatch.setattr("psutil.sensors_battery", lambda: battery, raising=False)
    monkeypatch.setattr(platform, "system", lambda: system)
    assert host.describe(root=tmp_path).get("power") == power


def test_a_description_joins_all_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 4}, raising=False)
    described = host.describe(root=put(tmp_path, FILES))

    expected = {
        "processor": "Example CPU 9000", "affinity": "0-1,4", "cgroup_quota": 1.5, "throttled_periods": 9,
        "governor": "powersave, performance",
    }  # fmt: skip
    assert described | expected == described
    assert {"python_build", "python_gil", "hash_seed", "packages_sha256"} < set(described)
    assert described["timer"]["cost_ns"] > 0
    json.dumps(described, allow_nan=False)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "x",
        "a line\nand more words than any line that is read",
        "1 2 3 x/y 5",
        "some avg10=. total=x",
    ],
)
def test_files_that_are_missing_or_hold_anything_are_facts_left_out(tmp_path, text):
    described = host.describe(root=put(tmp_path, {} if text is None else dict.fromkeys(FILES, text)))
    assert described["cpus"] == os.cpu_count()
    assert described["processor"]
    assert not {"runnable", "steal_share", "aslr"} & set(described)
    assert text is not None or described["governor"] is None


def git(folder: Path, *arguments: str) -> None:
    named = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *named, *arguments], cwd=folder, check=True, capture_output=True)


def test_a_checkout_tells_its_commit_and_what_differs_from_it(tmp_path, monkeypatch):
    assert host.checkout(tmp_path) == {}
    git(tmp_path, "init", "--quiet")
    (tmp_path / "site-packages").mkdir()
    assert host.checkout(tmp_path / "site-packages") == {}  # a folder inside of somebody's repository
    assert host.checkout(tmp_path) == {"uncommitted_files": 0}
    (tmp_path / "file").write_text("one\n")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    monkeypatch.setenv("GIT_DIR", "/nowhere")  # of a hook, say, that runs a benchmark

    clean = host.checkout(tmp_path)
    (tmp_path / "file").write_text("two\n")
    dirty = host.checkout(tmp_path)
    assert (len(clean["commit"]), clean["uncommitted_files"], len(clean)) == (40, 0, 2)
    assert (dirty["commit"], dirty["uncommitted_files"]) == (clean["commit"], 1)
    assert len(dirty["uncommitted_sha256"]) == 12
    git_output = host._git
    with monkeypatch.context() as patch:  # a difference that git cannot tell, in its time or at all
        patch.setattr(
            host, "_git", lambda folder, *words: git_output(folder, *words) if words[0] != "diff" else None
        )
        assert host.checkout(tmp_path) == {"commit": clean["commit"], "uncommitted_files": 1}

    monkeypatch.setenv("PATH", str(tmp_path))
    assert host.checkout(tmp_path) == {}  # without git there is no commit


def test_the_clocks_tell_how_long_the_machine_slept(monkeypatch):
    monkeypatch.setattr(time, "CLOCK_BOOTTIME", 7, raising=False)
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    monkeypatch.setattr(time, "clock_gettime", lambda clock: 130.5, raising=False)
    assert host.sleep_clock() == {"monotonic_s": 100.0, "boottime_s": 130.5, "asleep_s": 30.5}
