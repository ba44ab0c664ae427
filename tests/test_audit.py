"""The audit: every rule fires on what it is for, and stays silent on a machine that is fit."""

from typing import Any

import pytest
from journals import example_records
from machines import FIT

from bench.machine.audit import LEVELS, Finding, audit, banners
from bench.machine.libraries import LIBRARIES, Library
from bench.records.record import Environment
from bench.records.run import make_run
from bench.reporting.article import run_article

NUMPY: dict[str, Any] = {
    "threads": 8,
    "blas": "openblas",
    "blas_version": "0.3.31.188.0",
    "kernel": "SkylakeX",
    "flushes_subnormals": False,
}
TORCH: dict[str, Any] = {
    "threads": 8,
    "cpu_capability": "AVX512",
    "debug": False,
    "mkldnn": "on",
    "deterministic_algorithms": False,
    "precision": {"torch.backends.cudnn.rnn": "ieee"},
    "default_precision": {"torch.backends.cudnn.rnn": "none"},
    "flushes_subnormals": False,
}
GPU: dict[str, Any] = {
    "throttle_reasons": 1, "temperature_c": 40, "memory_bytes": 80 << 30, "memory_taken_bytes": 0,
}  # fmt: skip


def found(facts: dict[str, Any] | None = None, **more: Any) -> list[Finding]:
    """The findings on the fit machine with other facts, libraries, variables."""
    more = {"threads": 8, "libraries": {"numpy": NUMPY, "torch": TORCH}, "devices": {"cuda:0": GPU}} | more
    return audit(FIT | (facts or {}), **more)


def test_a_machine_that_is_fit_has_no_findings() -> None:
    assert found() == []


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
)  # fmt: skip
def test_what_is_wrong_with_a_machine_is_found(
    facts: dict[str, Any], level: str, said: str, mend: str
) -> None:
    (finding,) = found(facts)
    assert finding.level == level
    assert said in finding.what
    assert mend in finding.mend


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
        ("torch", {"precision": {"torch.backends.cudnn.rnn": "tf32"}}, "unfair", "although all were set to"),
        ("torch", {"flushes_subnormals": True}, "unfair", "torch flushes subnormal numbers to zero, and the"),
        (
            "torch",
            {"default_precision": {"torch.backends.cudnn.rnn": "tf32", "torch.backends.cuda.matmul": "none"}},
            "note",
            "cudnn.rnn may compute in TF32, and the other switches do not: a run sets all of them to IEEE",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_library_is_found(
    library: str, facts: dict[str, Any], level: str, said: str
) -> None:
    libraries = {"numpy": NUMPY, "torch": TORCH}
    (finding,) = found(libraries=libraries | {library: libraries[library] | facts})
    assert (finding.level, said in finding.what) == (level, True)
    assert finding.mend


def test_a_library_of_ones_own_is_judged_by_the_same_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LIBRARIES, "toy", Library("toy", "Toy", upgrade="get toy 2"))
    bare, wrong = found(libraries={"toy": {"threads": None}}), found(libraries={"toy": {"debug": True}})
    assert bare == []
    assert [(finding.topic, finding.what, finding.mend) for finding in wrong] == [
        ("Toy", "this Toy is a debug build", "get toy 2")
    ]
    (threads,) = found(libraries={"unknown": {"threads": 1}})
    assert threads.what == "unknown computes with 1 threads where 8 were asked for"
    assert threads.mend == "rnnbench run --threads 1"


def test_flushing_on_both_sides_is_fair_and_on_record() -> None:
    flushing = {"flushes_subnormals": True}
    (finding,) = found(libraries={"numpy": NUMPY | flushing, "torch": TORCH | flushing})
    assert (finding.level, finding.banner) == ("note", True)


def test_an_old_kernel_on_an_old_processor_is_the_right_one() -> None:
    old = {"numpy": NUMPY | {"kernel": "Nehalem"}, "torch": TORCH | {"cpu_capability": "DEFAULT"}}
    assert found({"vector_units": []}, libraries=old) == []


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"throttle_reasons": 0x24}, "cuda:0 holds its clock back (NVML's reasons 0x24)"),
        ({"temperature_c": 88}, "cuda:0 is at 88 degrees"),
        ({"memory_taken_bytes": 20 << 30}, "20.0 GiB of cuda:0 are in use by somebody else"),
    ],
)
def test_what_is_wrong_with_an_accelerator_is_found(facts: dict[str, Any], said: str) -> None:
    (finding,) = found(devices={"cuda:0": GPU | facts})
    assert (finding.level, said in finding.what) == ("unstable", True)


@pytest.mark.parametrize(
    ("name", "value", "level", "said"),
    [
        ("OPENBLAS_CORETYPE", "Haswell", "unfair", "NumPy may be slower than it can be"),
        ("NPY_DISABLE_CPU_FEATURES", "AVX512F", "unfair", "NumPy may be slower than it can be"),
        ("ATEN_CPU_CAPABILITY", "default", "unfair", "PyTorch may be slower than it can be"),
        ("OMP_NUM_THREADS", "1", "unfair", "unequal threads"),
        ("NVIDIA_TF32_OVERRIDE", "1", "unfair", "less than float32"),
        ("CUDA_LAUNCH_BLOCKING", "1", "unfair", "waits for every kernel"),
        ("PYTHONMALLOC", "debug", "unstable", "every allocation costs more"),
        ("MALLOC_ARENA_MAX", "1", "note", "not allocated as usual"),
        ("LD_PRELOAD", "~/libjemalloc.so", "note", "not allocated as usual"),
    ],
)
def test_a_variable_that_was_kept_is_judged_by_what_it_does(
    name: str, value: str, level: str, said: str
) -> None:
    (finding,) = found(kept={name: value})
    assert (finding.level, said in finding.what) == (level, True)
    assert finding.mend == f"run again without --keep-env {name}"
    assert finding.banner


def test_variables_that_change_no_speed_are_kept_in_silence() -> None:
    kept = {"PYTHONPATH": "~/x", "CUDA_VISIBLE_DEVICES": "1", "CUDA_LAUNCH_BLOCKING": "0"}
    assert found(kept=kept) == []


def test_what_a_run_drops_by_itself_is_a_note_with_both_kernels() -> None:
    pinned = {"OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_L2_SIZE": "512"}
    (finding,) = found(dropped=pinned, kernels=("Haswell", "SkylakeX"))
    assert finding.level == "note"
    assert "do not reach the workers of a run (NumPy gets the kernel Haswell with them" in finding.what
    assert "SkylakeX without)" in finding.what
    assert finding.mend.startswith("unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE")
    (same,) = found(dropped=pinned, kernels=("SkylakeX", "SkylakeX"))
    assert "kernel SkylakeX with and without them)" in same.what


def test_threads_set_in_the_shell_are_noted_and_whether_they_are_alike() -> None:
    (equal,) = found(shell={"OMP_NUM_THREADS": "4", "MKL_NUM_THREADS": "4"})
    (unequal,) = found(shell={"OMP_NUM_THREADS": "4", "MKL_NUM_THREADS": "1"})
    assert (equal.level, "not alike" in equal.what, "not alike" in unequal.what) == ("note", False, True)
    assert equal.mend.startswith("unset OMP_NUM_THREADS MKL_NUM_THREADS")


def test_other_variables_of_the_shell_that_change_speed_are_noted() -> None:
    (finding,) = found(shell={"LD_PRELOAD": "~/x.so", "OMP_WAIT_POLICY": "active", "PYTHONPATH": "x"})
    assert "LD_PRELOAD=~/x.so and OMP_WAIT_POLICY=active do not reach" in finding.what


@pytest.mark.parametrize(
    ("sample", "said"),
    [
        ({"waiting": 0.4}, "tasks waited for a processor 40% of the time"),
        ({"steal": 0.1}, "the hypervisor took 10% of the time"),
        ({"throttled": 3.0}, "quota was used up 3 times"),
        ({"waiting": 0.01, "steal": 0.0, "throttled": 0.0, "preempted": 1e6, "wall_over_cpu": 90.0}, ""),
    ],
)
def test_what_happens_while_nothing_is_asked_of_the_machine_is_found(
    sample: dict[str, float], said: str
) -> None:
    assert [said in finding.what for finding in found(sample=sample)] == [True] * bool(said)


def test_the_worst_comes_first_and_facts_that_are_missing_accuse_nobody() -> None:
    findings = found({"aslr": 0, "hypervisor": "KVM", "python_debug": True})
    assert [finding.level for finding in findings] == list(LEVELS)
    silent = audit({}, threads=8)
    assert {finding.topic for finding in silent} <= {"turbo"}


def test_a_report_says_what_is_unfair_and_unstable_above_its_numbers_with_what_mends_it() -> None:
    said = banners(found({"aslr": 0, "hypervisor": "KVM"}, dropped={"OPENBLAS_CORETYPE": "Haswell"}))
    assert len(said) == 2
    assert said[0].endswith("To mend it: sudo sysctl kernel.randomize_va_space=2")
    assert "does not reach" in said[1]

    plan, _, *rest = example_records()
    shown = run_article(make_run([plan, Environment(FIT, {}, {}, {}, said), *rest])).warnings
    assert any(warning.startswith("ASLR is off") for warning in shown)
