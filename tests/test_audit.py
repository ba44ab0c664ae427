"""The audit: every rule fires on what it is for, and stays silent on a machine that is fit."""

from typing import Any

import pytest
from journals import example_records
from machines import FIT

from bench.machine.audit import LEVELS, Finding, audit, banners
from bench.machine.libraries import LIBRARIES, Library
from bench.machine.libraries.library import Inventory
from bench.records.record import Environment
from bench.records.run import make_run
from bench.reporting.article import run_article

NUMPY: dict[str, Any] = {
    "threads": 8, "blas": "openblas", "blas_version": "0.3.31.188.0", "kernel": "SkylakeX",
    "flushes_subnormals": False,
}  # fmt: skip
TORCH: dict[str, Any] = {
    "threads": 8, "cpu_capability": "AVX512", "debug": False, "mkldnn": "on",
    "deterministic_algorithms": False, "precision": {"torch.backends.cudnn.rnn": "ieee"},
    "default_precision": {"torch.backends.cudnn.rnn": "none"}, "flushes_subnormals": False,
}  # fmt: skip
GPU: dict[str, Any] = {
    "throttle_reasons": 1, "temperature_c": 40, "memory_bytes": 80 << 30, "memory_taken_bytes": 0,
}  # fmt: skip
LOOK = {"numpy": NUMPY, "torch": TORCH, "cuda:0": GPU}


def find(
    facts: dict[str, Any] | None = None, *, pinned_kernel: str | None = None, **more: Any
) -> list[Finding]:
    """Return the findings on the fit machine with other facts, libraries (or accelerators), variables."""
    libraries = LOOK | more.pop("libraries", {})
    gpu = libraries.pop("cuda:0")
    probed = {name: Inventory(facts=dict(tells)) for name, tells in libraries.items()}
    probed["numpy"].facts["pinned_kernel"] = pinned_kernel
    probed["torch"].devices["cuda:0"] = gpu
    return audit(FIT | (facts or {}), threads=8, probed=probed, **more)


def test_a_machine_that_is_fit_has_no_findings():
    assert find() == []


# fmt: off
@pytest.mark.parametrize(
    ("facts", "level", "said", "mend"),
    [
        ({"usable_cpus": 4, "cpus": 4}, "unfair", "8 threads on 4 usable processors", "--threads 4"),
        ({"physical_cores": 4}, "note", "8 threads on 4 physical cores", "--threads 4"),
        ({"cgroup_quota": 0.5}, "unstable", "grants 0.5 processors: even one thread", "--cpuset-cpus"),
        ({"cgroup_quota": 8.0}, "note", "grants 8 processors by a quota", "--cpuset-cpus"),
        ({"throttled_periods": 9, "quota_periods": 100}, "unstable", "9 of 100 periods", "quota"),
        ({"cpus": 16}, "note", "may use 8 of 16 processors (0-7)", "taskset -c 0-15"),
        ({"load_1min": 4.1}, "unstable", "busy at the start (load 4.1)", "top"),
        ({"others_cpus": 1.3}, "unstable", "other programs used 1.3 processors", "--wait-quiet"),
        ({"pressure_percent": {"cpu": 30.0}}, "unstable", "waited for a processor 30 %", "top"),
        ({"pressure_percent": {"memory": 2.0}}, "unstable", "waited for memory", "top"),
        ({"steal_share": 0.04}, "unstable", "gave 4.0% of the processors' time", "not shared"),
        ({"swap_used_bytes": 2 << 30}, "unstable", "2.0 GiB are swapped out", "swapoff"),
        ({"governor": "powersave"}, "unstable", "governor is powersave", "sudo cpupower frequency-set -g"),
        ({"governor": "performance, powersave"}, "unstable", "governor is powersave", "cpupower"),
        ({"governor": "performance, schedutil"}, "unstable", "different governors", "cpupower"),
        ({"governor": "schedutil"}, "note", "follows the load", "cpupower"),
        ({"power": "battery"}, "unstable", "battery", "plug it in"),
        ({"turbo": "on"}, "note", "turbo is on", "pyperf system tune"),
        ({"temperature_c": 95}, "unstable", "95 degrees", "cool"),
        ({"aslr": 0}, "unstable", "ASLR is off", "sudo sysctl kernel.randomize_va_space=2"),
        ({"transparent_huge_pages": "always"}, "note", "huge pages", "echo madvise"),
        ({"timer": {"cost_ns": 2500}, "clocksource": "hpet"}, "unstable", "2500 ns (clock source: hpet)", ""),
        ({"isolated_cpus": ""}, "note", "no processor is kept free", "isolcpus"),
        ({"hypervisor": "KVM"}, "note", "virtual machine (KVM)", "of its own"),
        ({"preloaded_everywhere": True}, "note", "/etc/ld.so.preload", "sudo mv"),
        ({"python_debug": True}, "unfair", "debug build", "python of your distribution"),
        ({"python_optimised": False}, "note", "without --enable-optimizations", "your distribution"),
        ({"python_gil": "off"}, "note", "without the GIL", "python of your distribution"),
    ],
)
def test_what_is_wrong_with_a_machine_is_found(facts, level, said, mend):
    (finding,) = find(facts)
    assert (finding.level, finding.banner) == (level, level != "note" or "preload" in said)
    assert said in finding.what
    assert mend in finding.mend


RNN, MATMUL = "torch.backends.cudnn.rnn", "torch.backends.cuda.matmul"


@pytest.mark.parametrize(
    ("library", "facts", "level", "said"),
    [
        ("numpy", {"blas": "lapack_lite"}, "unfair", "NumPy has no fast BLAS here (lapack_lite)"),
        ("numpy", {"kernel": "Nehalem"}, "unfair", "kernel for Nehalem, and this processor has AVX2"),
        ("numpy", {"kernel": "Haswell"}, "note", "kernel for Haswell, and this processor has AVX-512"),
        ("numpy", {"blas_version": "0.3.21"}, "note", "OpenBLAS 0.3.21, which is old"),
        ("numpy", {"threads": 64}, "unfair", "numpy computes with 64 threads where 8 were asked for"),
        ("torch", {"threads": 1}, "unfair", "torch computes with 1 threads where 8 were asked for"),
        ("torch", {"cpu_capability": "DEFAULT"}, "unfair", "do not use this processor's AVX2"),
        ("torch", {"debug": True}, "unfair", "debug build"),
        ("torch", {"mkldnn": "off"}, "unfair", "oneDNN"),
        ("torch", {"deterministic_algorithms": True}, "unfair", "deterministic"),
        ("torch", {"precision": {RNN: "tf32"}}, "unfair", "although all were set to"),
        ("torch", {"flushes_subnormals": True}, "unfair", "torch flushes subnormal numbers to zero, and the"),
        ("torch", {"default_precision": {RNN: "tf32", MATMUL: "none"}}, "note",
         "cudnn.rnn may compute in TF32, and the other switches do not: a run sets all of them to IEEE"),
        ("cuda:0", {"throttle_reasons": 0x24}, "unstable", "holds its clock back (NVML's reasons 0x24"),
        ("cuda:0", {"temperature_c": 88}, "unstable", "cuda:0 is at 88 degrees"),
        ("cuda:0", {"memory_taken_bytes": 20 << 30}, "unstable", "20.0 GiB of cuda:0 are in use by some"),
        ("toy", {"debug": True}, "unfair", "this Toy is a debug build"),
        ("unknown", {"threads": 1}, "unfair", "unknown computes with 1 threads where 8 were asked for"),
    ],
)
def test_what_is_wrong_with_a_library_or_an_accelerator_is_found(library, facts, level, said, monkeypatch):
    monkeypatch.setitem(LIBRARIES, "toy", Library("toy", "Toy", upgrade="get toy 2"))
    (finding,) = find(libraries={library: LOOK.get(library, {}) | facts})
    assert (finding.level, said in finding.what) == (level, True)
    assert finding.mend
    assert library != "toy" or finding.mend == "get toy 2"


def test_what_all_libraries_share_is_fair():
    flushing = {"flushes_subnormals": True}
    (finding,) = find(libraries={"numpy": NUMPY | flushing, "torch": TORCH | flushing, "toy": {}})
    assert (finding.level, finding.banner) == ("note", True)
    old = {"numpy": NUMPY | {"kernel": "Nehalem"}, "torch": TORCH | {"cpu_capability": "DEFAULT"}}
    assert find({"vector_units": []}, libraries=old) == []


AGAIN, PINS = "run again without --keep-env ", {"OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_L2_SIZE": "512"}


@pytest.mark.parametrize(
    ("variables", "level", "said", "mend"),
    [
        ({"kept": {"OPENBLAS_CORETYPE": "Haswell"}}, "unfair", "NumPy may be slower than", AGAIN),
        ({"kept": {"NPY_DISABLE_CPU_FEATURES": "AVX512F"}}, "unfair", "NumPy may be slower than", AGAIN),
        ({"kept": {"ATEN_CPU_CAPABILITY": "default"}}, "unfair", "PyTorch may be slower than", AGAIN),
        ({"kept": {"OMP_NUM_THREADS": "1"}}, "unfair", "unequal threads", AGAIN),
        ({"kept": {"NVIDIA_TF32_OVERRIDE": "1"}}, "unfair", "less than float32", AGAIN),
        ({"kept": {"CUDA_LAUNCH_BLOCKING": "1"}}, "unfair", "waits for every kernel", AGAIN),
        ({"kept": {"PYTHONMALLOC": "debug"}}, "unstable", "every allocation costs more", AGAIN),
        ({"kept": {"MALLOC_ARENA_MAX": "1"}}, "note", "not allocated as usual", AGAIN + "MALLOC"),
        ({"kept": {"LD_PRELOAD": "~/libjemalloc.so"}}, "note", "not allocated as usual", AGAIN + "LD_PRE"),
        ({"kept": {"PYTHONPATH": "~/x", "CUDA_VISIBLE_DEVICES": "1"}}, "", "", ""),
        ({"kept": {"CUDA_LAUNCH_BLOCKING": "0"}}, "", "", ""),
        ({"dropped": PINS, "pinned_kernel": "Haswell"}, "note",
         "do not reach the workers of a run (NumPy gets the kernel Haswell with them, SkylakeX without)",
         "unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE"),
        ({"dropped": PINS, "pinned_kernel": "SkylakeX"}, "note", "SkylakeX with and without them)", "unset"),
        ({"shell": {"OMP_NUM_THREADS": "4", "MKL_NUM_THREADS": "4"}}, "note", "in this shell do not count",
         "unset OMP_NUM_THREADS MKL_NUM_THREADS"),
        ({"shell": {"OMP_NUM_THREADS": "4", "MKL_NUM_THREADS": "1"}}, "note", "shell, and not alike, do", ""),
        ({"shell": {"LD_PRELOAD": "~/x.so", "OMP_WAIT_POLICY": "active", "PYTHONPATH": "x"}}, "note",
         "LD_PRELOAD=~/x.so and OMP_WAIT_POLICY=active do not reach", "unset LD_PRELOAD OMP_WAIT_POLICY"),
    ],
)
def test_a_variable_is_judged_by_what_it_does_and_whom_it_reaches(variables, level, said, mend):
    findings = find(**variables)
    assert [finding.level for finding in findings] == [level] * bool(level)
    for finding in findings:
        assert (finding.banner, said in finding.what) == ("shell" not in variables, True)
        assert finding.mend.startswith(mend)
# fmt: on


@pytest.mark.parametrize(
    ("sample", "said"),
    [
        ({"waiting": 0.4}, "tasks waited for a processor 40% of the time"),
        ({"steal": 0.1}, "the hypervisor took 10% of the time"),
        ({"throttled": 3.0}, "quota was used up 3 times"),
        ({"waiting": 0.01, "steal": 0.0, "throttled": 0.0, "preempted": 1e6, "wall_over_cpu": 90.0}, ""),
    ],
)
def test_what_happens_while_nothing_is_asked_of_the_machine_is_found(sample, said):
    assert [said in finding.what for finding in find(sample=sample)] == [True] * bool(said)


def test_the_worst_comes_first_and_facts_that_are_missing_accuse_nobody():
    findings = find({"aslr": 0, "hypervisor": "KVM", "python_debug": True})
    assert [finding.level for finding in findings] == list(LEVELS)
    assert {finding.topic for finding in audit({}, threads=8)} <= {"turbo"}


@pytest.mark.parametrize(("others_cpus", "busy"), [(0.03, False), (0.5, True)])
def test_a_load_that_nobody_makes_any_more_is_no_warning(others_cpus, busy):
    findings = find({"load_1min": 9.0, "others_cpus": others_cpus})
    assert [finding.topic for finding in findings] == ["load"] * busy


def test_a_report_says_what_is_unfair_and_unstable_above_its_numbers_with_what_mends_it():
    unstable, note = banners(find({"aslr": 0, "hypervisor": "KVM"}, dropped={"OPENBLAS_CORETYPE": "Haswell"}))
    assert unstable.endswith("To mend it: sudo sysctl kernel.randomize_va_space=2")
    assert "does not reach" in note

    plan, _, *rest = example_records()
    run = make_run([plan, Environment(FIT, {}, {}, {}, [unstable, note]), *rest])
    assert any(warning.startswith("ASLR is off") for warning in run_article(run).warnings)
