"""A worker's threads and precision are set, and read back rather than believed."""

import json
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import threadpoolctl

from bench.machine import library
from bench.machine.device_facts import device_facts
from bench.machine.library import device_name, library_facts, limit_threads, precision, set_ieee_precision


@pytest.fixture
def torch() -> Iterator[Any]:
    """The real torch, its threads and precision switches put back afterwards."""
    torch = pytest.importorskip("torch")
    threads, before = torch.get_num_threads(), precision()
    yield torch
    torch.set_num_threads(threads)
    for name, value in before.items():
        holder = torch
        for part in name.split(".")[1:]:
            holder = getattr(holder, part)
        holder.fp32_precision = value


def test_numpy_tells_its_blas_kernel_and_the_threads_it_really_has() -> None:
    pools = [pool for pool in threadpoolctl.threadpool_info() if "numpy" in pool["filepath"]]
    if not pools:
        pytest.skip("threadpoolctl does not see this NumPy's BLAS")
    with threadpoolctl.threadpool_limits(2):
        before = library_facts("numpy")["threads"]
        limit_threads(1)
        facts = library_facts("numpy")
    assert (before, facts["threads"]) == (2, 1)
    assert facts["version"] == np.__version__
    assert facts["blas"] == pools[0]["internal_api"]
    assert facts["kernel"] == pools[0]["architecture"]
    json.dumps(facts)


def test_a_blas_that_cannot_be_seen_is_named_and_its_threads_are_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threadpoolctl, "threadpool_info", list)
    facts = library_facts("numpy")
    assert facts["blas"]
    assert (facts["threads"], facts["kernel"]) == (None, None)


def test_numpys_own_blas_is_reported_when_another_is_loaded_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    def pool(folder: str, kernel: str) -> dict[str, Any]:
        return {
            "user_api": "blas",
            "filepath": f"/{folder}/blas.so",
            "architecture": kernel,
            "num_threads": 1,
        }

    both = [pool("scipy.libs", "Zen"), pool("numpy.libs", "SkylakeX")]
    monkeypatch.setattr(threadpoolctl, "threadpool_info", lambda: both)
    assert library_facts("numpy")["kernel"] == "SkylakeX"


def test_torch_tells_threads_capability_and_precision(torch: Any) -> None:
    torch.set_num_threads(2)
    limit_threads(1)
    facts = library_facts("torch")
    assert facts["threads"] == torch.get_num_threads() == 1
    assert facts["interop_threads"] == torch.get_num_interop_threads()
    assert facts["version"] == torch.__version__
    assert facts["cpu_capability"] == torch.backends.cpu.get_cpu_capability()
    assert facts["blas"] != "unknown"
    json.dumps(facts)


def test_every_precision_switch_of_this_torch_ends_at_ieee(torch: Any) -> None:
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    assert precision()["torch.backends.cuda.matmul"] == "tf32"
    assert set_ieee_precision() == dict.fromkeys(library.PRECISION_SWITCHES, "ieee")
    assert library_facts("torch")["precision"] == dict.fromkeys(library.PRECISION_SWITCHES, "ieee")


def test_a_build_without_a_switch_is_no_error_and_a_switch_that_refuses_shows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Stubborn:
        fp32_precision = property(lambda self: "tf32", lambda self, value: None)

    backends = SimpleNamespace(fp32_precision="none", cuda=SimpleNamespace(matmul=Stubborn()))
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(backends=backends))
    assert set_ieee_precision() == {"torch.backends": "ieee", "torch.backends.cuda.matmul": "tf32"}


def test_threads_of_torch_are_limited_only_where_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, int]] = []

    def too_late(n: int) -> None:
        calls.append(("interop", n))
        raise RuntimeError("cannot set number of interop threads after parallel work has started")

    fake = SimpleNamespace(
        set_num_threads=lambda n: calls.append(("intra", n)), set_num_interop_threads=too_late
    )
    with threadpoolctl.threadpool_limits(None):  # puts the real pools back
        monkeypatch.setitem(sys.modules, "torch", fake)
        limit_threads(3)
        assert calls == [("intra", 3), ("interop", 3)]
        monkeypatch.delitem(sys.modules, "torch")
        limit_threads(3)
        assert len(calls) == 2


def test_an_accelerator_is_called_by_its_name_and_the_cpu_by_none(monkeypatch) -> None:
    class Module:
        @staticmethod
        def get_device_name(device: str) -> str:
            return f"name of {device}"

    class Torch:
        @staticmethod
        def get_device_module(kind: str) -> type[Module]:
            return {"cuda": Module}[kind]

    monkeypatch.setitem(sys.modules, "torch", Torch)
    assert device_name("cuda:1") == "name of cuda:1"
    assert device_name("cpu") is None
    assert device_name("mps:0") == "Apple GPU"


def test_each_library_tells_what_it_does_with_subnormal_numbers(torch: Any) -> None:
    assert library_facts("numpy")["flushes_subnormals"] is False
    before = library_facts("torch")["flushes_subnormals"]
    try:
        if not torch.set_flush_denormal(True):
            pytest.skip("this processor cannot flush subnormal numbers")
        flushing = library_facts("torch")["flushes_subnormals"], library_facts("numpy")["flushes_subnormals"]
    finally:
        torch.set_flush_denormal(False)
    assert before is False
    assert flushing == (True, True)  # it is a switch of the processor: NumPy is hit as well


def test_numpy_tells_which_vector_units_it_found_and_which_not() -> None:
    facts = library_facts("numpy")
    assert {"cpu_capability", "cpu_baseline", "cpu_not_found"} <= set(facts)
    assert not set(facts["cpu_not_found"].split()) & set(facts["cpu_capability"].split())


def test_torch_tells_its_build_and_its_switches(torch: Any) -> None:
    facts = library_facts("torch")
    assert facts["git"] == torch.version.git_version
    assert facts["grad_mode"] == "on"
    assert facts["mkldnn"] in ("on", "off")
    assert facts["deterministic_algorithms"] is False
    with torch.no_grad():
        assert library_facts("torch")["grad_mode"] == "off"


def test_what_cannot_be_told_is_left_out() -> None:
    def fails() -> None:
        raise RuntimeError("the driver is too old")

    assert library.tell(known=lambda: 1, unknown=lambda: None, failing=fails, off=lambda: False) == {
        "known": 1,
        "off": False,
    }


class FakeCuda:
    """torch.cuda with what an older build lacks missing."""

    memory = SimpleNamespace(get_allocator_backend=lambda: "native")

    def get_device_name(self, device: str) -> str:
        return "Example GPU"

    def get_device_properties(self, device: str) -> Any:
        return SimpleNamespace(total_memory=8 << 30, multi_processor_count=16, major=9, minor=0)

    def temperature(self, device: str) -> int:
        raise ModuleNotFoundError("nvidia-ml-py does not seem to be installed")


def test_an_accelerator_tells_what_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = SimpleNamespace(
        cuda=FakeCuda(),
        get_device_module=lambda kind: FakeCuda(),
        version=SimpleNamespace(cuda="12.8", hip=None),
        backends=SimpleNamespace(cudnn=SimpleNamespace(version=lambda: 91002, benchmark=False, enabled=True)),
        _C=SimpleNamespace(_cuda_getDriverVersion=lambda: 12080),
    )
    monkeypatch.setitem(sys.modules, "torch", fake)
    monkeypatch.setenv("CUDA_MODULE_LOADING", "LAZY")
    facts = device_facts("cuda:0")

    assert facts == {
        "device_name": "Example GPU",
        "module_loading": "LAZY",
        "memory_bytes": 8 << 30,
        "multiprocessors": 16,
        "compute_capability": "9.0",
        "runtime": "12.8",
        "driver": "12.8",
        "allocator": "native",
        "cudnn": 91002,
        "cudnn_enabled": True,
        "cudnn_benchmark": False,
    }
    assert device_facts("cpu") == {"device_name": None}
