"""The machine as the main process sees it; Linux's files are fakes in a folder of the test."""

import json
import os
import platform
import subprocess
import time
from pathlib import Path

import pytest

from bench.machine import host, linux

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


def put(root: Path, files: dict[str, str]) -> Path:
    """The files, below a folder that stands for /."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


@pytest.mark.parametrize(
    ("files", "granted"),
    [
        ({"sys/fs/cgroup/cpu.max": "150000 100000"}, 1.5),
        ({"sys/fs/cgroup/cpu.max": "max 100000"}, None),
        ({}, None),
        ({"sys/fs/cgroup/cpu.max": "rubbish"}, None),
        (
            {
                "proc/self/cgroup": "0::/a/b",
                "sys/fs/cgroup/a/cpu.max": "100000 100000",
                "sys/fs/cgroup/a/b/cpu.max": "300000 100000",
            },
            1.0,
        ),
        (
            {
                "proc/self/cgroup": "3:cpuset:/x\n1:cpu,cpuacct:/",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            0.5,
        ),
        (
            {
                "proc/self/cgroup": "1:cpu:/",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            None,
        ),
        ({"proc/self/cgroup": "0::/../beside", "sys/fs/beside/cpu.max": "100000 100000"}, None),
    ],
)
def test_the_tightest_quota_of_a_process_is_read_in_both_versions_of_cgroups(tmp_path, files, granted):
    assert linux.quota(put(tmp_path, files)) == granted


def test_a_memory_limit_of_version_1_that_means_none_is_none(tmp_path):
    name = "sys/fs/cgroup/memory/memory.limit_in_bytes"
    assert linux.memory_limit(put(tmp_path, {name: "9223372036854771712"})) is None
    assert linux.memory_limit(put(tmp_path, {name: "1048576"})) == 1 << 20


@pytest.mark.parametrize(("quota", "usable"), [(None, 4), (2.9, 2), (0.5, 1), (8.0, 4)])
def test_usable_processors_are_affinity_and_quota_rounded_down(monkeypatch, quota, usable):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(linux, "quota", lambda: quota)

    assert host.usable_cpus() == usable


def test_the_description_names_no_host_and_no_person():
    described = host.describe()
    values = json.dumps(described)

    assert described["cpus"] >= described["usable_cpus"] >= 1
    assert described["packages"]["numpy"]
    assert len(described["host"]) == 12
    assert "host_name" not in described
    assert platform.node() not in values.replace(described["system"], "").split('"')
    assert os.path.expanduser("~") not in values  # noqa: PTH111  (a string is what is looked for)
    assert host.describe(host_name=True)["host_name"] == platform.node()


def test_the_hash_of_a_host_is_its_own_and_stays(tmp_path, monkeypatch):
    here = put(tmp_path / "here", {"etc/machine-id": "1"})
    there = put(tmp_path / "there", {"etc/machine-id": "2"})
    first = host.host_hash(here)

    assert first == host.host_hash(here) != host.host_hash(there)
    monkeypatch.setattr(platform, "node", lambda: "another-name")
    assert host.host_hash(here) != first


def test_the_processor_and_its_clock_are_read_from_linuxs_files(tmp_path):
    root = put(tmp_path, FILES)

    assert linux.processor(root) == {
        "vendor": "GenuineExample",
        "family": "6",
        "model": "85",
        "stepping": "7",
        "microcode": "0x5003604",
        "vector_units": ["avx2", "avx512f"],
        "caches": {"L1d": "48K"},
        "numa_nodes": 2,
        "smt": "on",
        "siblings": "0-1",
        "isolated_cpus": "1",
    }
    assert linux.clock_speed(root, [0, 1]) == {
        "governor": "powersave, performance",
        "frequency_driver": "intel_pstate",
        "turbo": "on",
        "mhz": {"min": 800, "max": 3900, "cur": 2500},
    }
    assert linux.virtual(root) == {"hypervisor": "QEMU Standard PC"}


def test_the_state_of_the_system_is_read_from_linuxs_files(tmp_path):
    assert linux.state(put(tmp_path, FILES)) == {
        "transparent_huge_pages": "always",
        "aslr": 2,
        "swap_bytes": 2 << 20,
        "swap_used_bytes": 1 << 20,
        "clocksource": "tsc",
        "mitigations": {"open": ["mds"], "mitigated": ["spectre_v1"]},
        "power": "battery",
        "temperature_c": 48,
        "runnable": 3,
        "steal_share": 0.05,
        "pressure_percent": {"cpu": 12.5},
    }


def test_a_description_joins_all_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 4}, raising=False)
    described = host.describe(root=put(tmp_path, FILES))

    assert described["processor"] == "Example CPU 9000"
    assert described["affinity"] == "0-1,4"
    assert described["cgroup_quota"] == 1.5
    assert described["cgroup_memory_bytes"] == 4 << 30
    assert (described["throttled_periods"], described["quota_periods"]) == (9, 200)
    assert described["governor"] == "powersave, performance"
    assert {"python_build", "python_gil", "hash_seed", "packages_sha256"} < set(described)
    assert described["timer"]["cost_ns"] > 0
    json.dumps(described, allow_nan=False)


def test_where_linuxs_files_are_missing_everything_else_is_still_told(tmp_path):
    described = host.describe(root=tmp_path)

    assert described["governor"] is None
    assert described["processor"]
    assert not {"microcode", "swap_bytes", "aslr", "steal_share", "hypervisor"} & set(described)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({".dockerenv": ""}, {"container": "docker"}),
        ({"proc/self/cgroup": "0::/kubepods/pod1"}, {"container": "kubepods"}),
        ({"sys/hypervisor/type": "xen"}, {"hypervisor": "xen"}),
        ({"proc/sys/kernel/osrelease": "5.15-microsoft-standard-WSL2"}, {"hypervisor": "WSL"}),
        ({"proc/cpuinfo": "flags : hypervisor"}, {"hypervisor": "of a kind it does not tell"}),
        ({}, {}),
    ],
)
def test_virtual_machines_and_containers_leave_hints(tmp_path, files, said):
    assert linux.virtual(put(tmp_path, files)) == said


def git(folder: Path, *arguments: str) -> None:
    named = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *named, *arguments], cwd=folder, check=True, capture_output=True)


def test_a_checkout_tells_its_commit_and_what_differs_from_it(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_DIR", "/nowhere")  # of a hook, say, that runs a benchmark
    assert host.checkout(tmp_path) == {}
    monkeypatch.delenv("GIT_DIR")
    git(tmp_path, "init", "--quiet")
    (tmp_path / "file").write_text("one\n")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    monkeypatch.setenv("GIT_DIR", "/nowhere")

    clean = host.checkout(tmp_path)
    (tmp_path / "file").write_text("two\n")
    dirty = host.checkout(tmp_path)

    assert len(clean["commit"]) == 40
    assert clean["uncommitted_files"] == 0
    assert "uncommitted_sha256" not in clean
    assert dirty["commit"] == clean["commit"]
    assert (dirty["uncommitted_files"], len(dirty["uncommitted_sha256"])) == (1, 12)


def test_a_folder_inside_of_somebodys_repository_is_no_checkout_of_ours(tmp_path):
    git(tmp_path, "init", "--quiet")
    (tmp_path / "site-packages").mkdir()

    assert host.checkout(tmp_path / "site-packages") == {}
    assert host.checkout(tmp_path) == {"uncommitted_files": 0}


def test_without_git_there_is_no_commit(tmp_path, monkeypatch):
    (tmp_path / ".git").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))

    assert host.checkout(tmp_path) == {}


def test_the_clocks_tell_how_long_the_machine_slept(monkeypatch):
    monkeypatch.setattr(time, "CLOCK_BOOTTIME", 7, raising=False)
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    monkeypatch.setattr(time, "clock_gettime", lambda clock: 130.5, raising=False)

    assert host.sleep_clock() == {"monotonic_s": 100.0, "boottime_s": 130.5, "asleep_s": 30.5}


@pytest.mark.parametrize(
    "text",
    ["", "x", "a line\nand more words than any line that is read", "1 2 3 x/y 5", "some avg10=. total=x"],
)
def test_files_that_hold_anything_are_facts_left_out(tmp_path, text):
    facts = host.describe(root=put(tmp_path, dict.fromkeys(FILES, text)))
    assert facts["cpus"] == os.cpu_count()
    assert "runnable" not in facts
