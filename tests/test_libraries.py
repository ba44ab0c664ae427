"""A library is a record; a worker's threads and precision are set, and read back rather than believed."""

import json
import sys
from collections.abc import Iterator
from operator import attrgetter
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import threadpoolctl

from bench.machine import libraries
from bench.machine.errors import UserError
from bench.machine.libraries import LIBRARIES, NEUTRAL, NUMPY, TORCH, Library, known, library, register
from bench.machine.libraries.library import Inventory
from bench.machine.libraries.torch_library import PRECISION_SWITCHES


@pytest.fixture
def torch() -> Iterator[Any]:
    """The real torch, its threads and precision switches put back afterwards."""
    torch = pytest.importorskip("torch")
    threads, before = torch.get_num_threads(), TORCH.precision()
    yield torch
    torch.set_num_threads(threads)
    for name, value in before.items():
        attrgetter(name.removeprefix("torch."))(torch).fp32_precision = value


def test_numpy_tells_its_blas_kernel_and_the_threads_it_really_has():
    pools = [pool for pool in threadpoolctl.threadpool_info() if "numpy" in pool["filepath"]]
    if not pools:
        pytest.skip("threadpoolctl does not see this NumPy's BLAS")
    with threadpoolctl.threadpool_limits(2):
        before = NUMPY.facts()["threads"]
        libraries.limit_threads(1)
        facts = NUMPY.facts()
    assert (before, facts["threads"]) == (2, 1)
    assert facts["version"] == np.__version__
    assert facts["blas"] == pools[0]["internal_api"]
    assert facts["kernel"] == pools[0]["architecture"]
    assert {"cpu_baseline", "cpu_not_found"} <= set(facts)
    assert not set(facts["cpu_not_found"].split()) & set(facts["cpu_capability"].split())
    json.dumps(facts)


@pytest.mark.parametrize(
    ("pools", "threads", "kernel"),
    [
        ({}, None, None),  # a BLAS that threadpoolctl does not see is named all the same
        ({"scipy.libs": "Zen", "numpy.libs": "SkylakeX"}, 1, "SkylakeX"),
    ],
)
def test_numpys_own_blas_is_reported_where_it_can_be_seen(monkeypatch, pools, threads, kernel):
    loaded = [
        {"user_api": "blas", "filepath": f"/{folder}/blas.so", "architecture": name, "num_threads": 1}
        for folder, name in pools.items()
    ]
    monkeypatch.setattr(threadpoolctl, "threadpool_info", lambda: loaded)
    facts = NUMPY.facts()
    assert facts["blas"]
    assert (facts["threads"], facts["kernel"]) == (threads, kernel)


def test_torch_tells_threads_capability_build_and_switches(torch):
    torch.set_num_threads(2)
    libraries.limit_threads(1)
    facts = TORCH.facts()
    assert facts["threads"] == torch.get_num_threads() == 1
    assert facts["interop_threads"] == torch.get_num_interop_threads()
    assert facts["version"] == torch.__version__
    assert facts["cpu_capability"] == torch.backends.cpu.get_cpu_capability()
    assert facts["blas"] != "unknown"
    assert facts["git"] == torch.version.git_version
    assert facts["mkldnn"] in ("on", "off")
    assert (facts["grad_mode"], facts["deterministic_algorithms"]) == ("on", False)
    with torch.no_grad():
        assert TORCH.facts()["grad_mode"] == "off"
    json.dumps(facts)


def test_every_precision_switch_of_this_torch_ends_at_ieee(torch):
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    assert TORCH.precision()["torch.backends.cuda.matmul"] == "tf32"
    assert TORCH.set_ieee_precision() == dict.fromkeys(PRECISION_SWITCHES, "ieee")
    assert TORCH.facts()["precision"] == dict.fromkeys(PRECISION_SWITCHES, "ieee")


def test_a_build_without_a_switch_is_no_error_and_a_switch_that_refuses_shows(monkeypatch):
    class Stubborn:
        fp32_precision = property(lambda self: "tf32", lambda self, value: None)

    backends = SimpleNamespace(fp32_precision="none", cuda=SimpleNamespace(matmul=Stubborn()))
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(backends=backends))
    assert TORCH.set_ieee_precision() == {"torch.backends": "ieee", "torch.backends.cuda.matmul": "tf32"}


def test_threads_of_torch_are_limited_only_where_it_is_loaded(monkeypatch):
    fake = Mock()
    fake.set_num_interop_threads.side_effect = RuntimeError("parallel work has started")  # too late
    with threadpoolctl.threadpool_limits(None):  # puts the real pools back
        monkeypatch.setitem(sys.modules, "torch", fake)
        libraries.limit_threads(3)
        monkeypatch.delitem(sys.modules, "torch")
        libraries.limit_threads(4)
    fake.set_num_threads.assert_called_once_with(3)
    fake.set_num_interop_threads.assert_called_once_with(3)


def test_each_library_tells_what_it_does_with_subnormal_numbers(torch):
    assert NUMPY.facts()["flushes_subnormals"] is False
    before = TORCH.facts()["flushes_subnormals"]
    try:
        if not torch.set_flush_denormal(True):
            pytest.skip("this processor cannot flush subnormal numbers")
        flushing = TORCH.facts()["flushes_subnormals"], NUMPY.facts()["flushes_subnormals"]
    finally:
        torch.set_flush_denormal(False)
    assert before is False
    assert flushing == (True, True)  # it is a switch of the processor: NumPy is hit as well


def test_what_cannot_be_told_is_left_out():
    def fails() -> None:
        raise RuntimeError("the driver is too old")

    facts = known(known=lambda: 1, unknown=None, empty={}, failing=fails, off=False)
    assert facts == {"known": 1, "off": False}


def test_an_accelerator_tells_what_it_can(monkeypatch):
    properties = SimpleNamespace(
        total_memory=8 << 30, multi_processor_count=16, major=9, minor=0, uuid="1-2", gpu_subslice_count=4,
        driver_version="1.2",
    )  # fmt: skip
    gpu = SimpleNamespace(  # without what an older build or a missing package cannot tell
        memory=SimpleNamespace(get_allocator_backend=lambda: "native"),
        get_device_name=lambda device: f"name of {device}",
        get_device_properties=lambda device: properties,
        temperature=Mock(side_effect=ModuleNotFoundError("nvidia-ml-py does not seem to be installed")),
    )
    fake = SimpleNamespace(
        cuda=gpu,
        mps=SimpleNamespace(recommended_max_memory=lambda: 16 << 30),
        get_device_module=lambda kind: gpu,
        version=SimpleNamespace(cuda="12.8", hip=None),
        backends=SimpleNamespace(cudnn=SimpleNamespace(version=lambda: 91002, benchmark=False, enabled=True)),
        _C=SimpleNamespace(_cuda_getDriverVersion=lambda: 12080),
    )
    monkeypatch.setitem(sys.modules, "torch", fake)
    monkeypatch.setenv("CUDA_MODULE_LOADING", "LAZY")
    facts = {device: TORCH.device_facts(device) for device in ("cuda:0", "xpu:1", "mps:0", "cpu")}
    assert facts == {
        "cuda:0": {
            "device_name": "name of cuda:0", "module_loading": "LAZY", "memory_bytes": 8 << 30,
            "multiprocessors": 16, "compute_capability": "9.0", "runtime": "12.8", "driver": "12.8",
            "allocator": "native", "cudnn": 91002, "cudnn_enabled": True, "cudnn_benchmark": False,
        },
        "xpu:1": {"device_name": "name of xpu:1", "memory_bytes": 8 << 30, "multiprocessors": 4,
                  "driver": "1.2"},
        "mps:0": {"device_name": "Apple GPU", "memory_bytes": 16 << 30},
        "cpu": {"device_name": None},
    }  # fmt: skip
    assert TORCH.device_uuid("cuda:0") == "GPU-1-2"


@pytest.fixture
def third() -> Iterator[Library]:
    """A library that is declared for as long as a test takes."""
    yield register(Library("toy", "Toy", "#7a3e9d", module="array"))
    del LIBRARIES["toy"]


def test_a_library_is_declared_once_and_found_by_its_name_with_label_and_colour(third):
    assert (library("numpy").label, library("torch").label, library("toy")) == ("NumPy", "PyTorch", third)
    assert len({library(name).colour for name in ("numpy", "torch", "toy", "unknown")}) == 4
    assert register(third) is third
    with pytest.raises(UserError, match="'toy' is declared already, as Toy"):
        register(Library("toy", "Another"))
    unknown = library("jax")  # which nobody declared is called by its name
    assert (unknown.label, unknown.colour, "jax" in LIBRARIES) == ("jax", NEUTRAL, False)


def test_a_library_of_ones_own_has_what_the_harness_asks_for_without_saying_so(third):
    third.prepare(1)
    assert third.load().__name__ == "array"
    assert third.missing() is None
    assert Library("no", "No Such", module="no_such_module").missing() == "No Such is not installed"
    assert third.facts()["threads"] is None
    assert third.synchroniser("cpu") is NUMPY.synchroniser("cpu")
    assert (third.mover("cpu"), third.accelerators, third.find_accelerators()) == (None, (), Inventory())
    held = third.place(np.arange(3.0), "cpu")
    third.write(held, np.full(3, 7.0))
    assert third.as_numpy(held).tolist() == [7, 7, 7]
    assert (third.computes_elsewhere(lambda: None), third.why_not_compile("cpu")) == ("", None)
    with third.operations("float32", "cpu") as operations:
        assert operations is None
    json.dumps(libraries.process_state("toy"))


def test_a_process_speaks_for_its_own_library_alone(third, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace())
    monkeypatch.delitem(sys.modules, "array", raising=False)
    assert libraries.wrong_library("torch") == ""  # NumPy is in every process
    assert libraries.wrong_library("numpy") == "is a NumPy variant, but imported torch"
    assert libraries.wrong_library("toy") == "is a Toy variant, but imported torch"
    monkeypatch.delitem(sys.modules, "torch")
    assert libraries.wrong_library("numpy") == libraries.wrong_library("toy") == ""
    monkeypatch.setitem(sys.modules, "array", SimpleNamespace())
    assert libraries.wrong_library("numpy") == "is a NumPy variant, but imported toy"


def test_an_array_moves_to_a_device_as_the_variants_move_them(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it raises
    assert TORCH.mover("cpu") is NUMPY.mover("cpu") is None
    with pytest.raises(ImportError):
        TORCH.mover("cuda:0")
    monkeypatch.setitem(sys.modules, "torch", fake := Mock())
    move = TORCH.mover("cuda:1")
    assert move is not None
    move("an array")
    fake.tensor.assert_called_once_with("an array", device="cuda:1")


def test_a_tensor_is_written_and_read_in_place(torch):
    held = TORCH.place(np.arange(3.0)[::-1], "cpu")
    assert held.is_contiguous()
    TORCH.write(held, np.full(3, 7.0))
    assert TORCH.as_numpy(held).tolist() == [7, 7, 7]
