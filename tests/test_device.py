"""Devices are found, not assumed; an absent one has a reason; waiting is for exactly the device asked for.

No accelerator is needed: torch objects are stood in for. What the cpu can show is shown for real.
"""

import importlib.metadata
import platform
import sys
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock, call

import pytest

from bench.api import listing
from bench.api.options import DevicesOptions
from bench.machine import child, devices
from bench.machine.clock import no_wait
from bench.machine.devices import PROBE, Absent, Device, Devices, find_devices, resolve
from bench.machine.errors import UserError
from bench.machine.libraries import NUMPY, TORCH
from bench.machine.libraries.library import Inventory
from bench.machine.libraries.torch_library import find_accelerators

GIB = 2**30
GPU = SimpleNamespace(name="GPU", total_memory=8 * GIB, has_fp64=False)


@pytest.fixture(autouse=True)
def _one_search() -> None:
    """Search in every test: here the search is what is tested."""


def fake_torch(**changes: Any) -> Any:
    """A torch built for everything on a machine that has nothing."""
    nothing = SimpleNamespace(device_count=lambda: 0, init=lambda: None, get_device_properties=lambda i: GPU)
    fake = SimpleNamespace(
        __version__="9.9",
        version=SimpleNamespace(cuda="13.0", hip=None, xpu="2026"),
        cuda=nothing,
        xpu=nothing,
        mps=SimpleNamespace(recommended_max_memory=lambda: 16 * GIB),
        backends=SimpleNamespace(mps=SimpleNamespace(is_built=lambda: True, is_available=lambda: False)),
    )
    for path, value in changes.items():
        *holders, name = path.split("__")
        target = fake
        for holder in holders:
            setattr(target, holder, copied := SimpleNamespace(**vars(getattr(target, holder))))
            target = copied
        setattr(target, name, value)
    return fake


def no_driver() -> None:
    raise RuntimeError("Found no NVIDIA driver on your system. Please check that you have one.\nMore")


NOT_BUILT = {"backends__mps__is_built": lambda: False}
OLD_VERSION = {"version": SimpleNamespace(cuda=None, hip=None)}  # torch.version had no xpu once


@pytest.mark.parametrize(
    ("kind", "changes", "environ", "system", "said"),
    [
        ("cuda", {"version__cuda": None}, {}, "Linux", "this PyTorch build (9.9) has no CUDA"),
        ("cuda", {}, {"CUDA_VISIBLE_DEVICES": ""}, "Linux", "CUDA_VISIBLE_DEVICES='' hides every device"),
        ("cuda", {}, {"HIP_VISIBLE_DEVICES": "-1"}, "Linux", "HIP_VISIBLE_DEVICES='-1' hides every device"),
        ("cuda", {"cuda__init": no_driver}, {}, "Linux", "Found no NVIDIA driver on your system"),
        ("cuda", {"cuda__device_count": no_driver}, {}, "Linux", "Found no NVIDIA driver on your system"),
        ("cuda", {}, {}, "Linux", "no device is visible"),
        ("cuda", {}, {"CUDA_VISIBLE_DEVICES": "7"}, "Linux", "no device is visible (CUDA_VISIBLE_DEVICES=7)"),
        ("mps", {}, {}, "Linux", "it exists on macOS only, and this is Linux"),
        ("mps", NOT_BUILT, {}, "Darwin", "this PyTorch build (9.9) has no MPS"),
        ("mps", {}, {}, "Darwin", "macOS offers PyTorch no Metal device (too old, or a virtual machine)"),
        ("xpu", {"version__xpu": None}, {}, "Linux", "this PyTorch build (9.9) has no XPU"),
        ("xpu", OLD_VERSION, {}, "Linux", "this PyTorch build (9.9) has no XPU"),
        ("xpu", {}, {}, "Linux", "no Intel GPU is visible, or no driver"),
    ],
)  # fmt: skip
def test_an_absent_device_has_its_own_reason(kind, changes, environ, system, said, monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: system)
    assert Absent(kind, said) in find_accelerators(fake_torch(**changes), environ).absent


BOTH, SINGLE = ("float32", "float64"), ("float32",)
ROCM = {"version__cuda": None, "version__hip": "7.0", "cuda__device_count": lambda: 1}
METAL = {"backends__mps__is_available": lambda: True}


def gpu(id: str, dtypes: tuple[str, ...] = BOTH, name: str = "GPU", gib: int = 8) -> Device:
    return Device(id, id.partition(":")[0], name, gib * GIB, dtypes)


@pytest.mark.parametrize(
    ("changes", "system", "present"),
    [
        ({"cuda__device_count": lambda: 2}, "Linux", (gpu("cuda:0"), gpu("cuda:1"))),
        (ROCM, "Linux", (gpu("cuda:0"),)),
        ({"xpu__device_count": lambda: 1}, "Linux", (gpu("xpu:0", SINGLE),)),  # has_fp64 is False
        # the name that its tensors use
        (METAL, "Darwin", (gpu("mps:0", SINGLE, "Apple GPU (Metal)", 16),)),
        # a driver that breaks does not hide the others
        ({"cuda__device_count": no_driver, "xpu__device_count": lambda: 1}, "Linux", (gpu("xpu:0", SINGLE),)),
    ],
)
def test_every_device_is_found_with_its_dtypes_also_where_a_driver_breaks(
    changes, system, present, monkeypatch
):
    monkeypatch.setattr(platform, "system", lambda: system)
    inventory = find_accelerators(fake_torch(**changes), {})
    assert (inventory.present, len(inventory.absent)) == (present, 2)


@pytest.mark.parametrize(
    ("built", "system", "asks"),
    [
        ("cuda = hip = xpu = None", "Linux", False),
        ("cuda = '13.0'; hip = xpu = None", "Linux", True),
        ("hip = '7.0'; cuda = xpu = None", "Linux", True),
        ("xpu = '2026'; cuda = hip = None", "Linux", True),
        ("cuda = None", "Darwin", True),  # what a build for macOS has is not told there
        (None, "Linux", True),
    ],
)
def test_a_build_without_accelerators_is_not_imported_to_learn_that_there_are_none(
    built, system, asks, tmp_path, monkeypatch
):
    if built is not None:
        (tmp_path / "version.py").write_text(f"__version__ = '9.9'\n{built}\n")
    torch = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: torch)
    monkeypatch.setattr("platform.system", lambda: system)
    monkeypatch.setattr(devices, "_ask", lambda *ignored: [Inventory("9.9")])
    found = find_devices(quickly=True)
    assert [device.id for device in found.present] == ["cpu"]
    assert found.versions == {"torch": "9.9"}
    assert [absent.kind for absent in found.absent] == ([] if asks else ["cuda", "mps", "xpu"])
    assert asks or "this PyTorch build (9.9) has no CUDA" in found.absent[0].reason


def test_this_machine_has_a_cpu_and_the_installed_torch(tmp_path, monkeypatch):
    (tmp_path / "torch.py").write_text("raise ImportError('a file in the current folder is not torch')")
    monkeypatch.chdir(tmp_path)
    found = find_devices()
    assert found.versions == {"torch": importlib.metadata.version("torch")}
    assert found.missing == {}
    cpu = found.present[0]
    assert (cpu.id, cpu.kind, cpu.dtypes) == ("cpu", "cpu", BOTH)
    assert cpu.name
    assert (cpu.memory_bytes or 0) > 0
    kinds = {device.kind for device in found.present} | {absent.kind for absent in found.absent}
    assert kinds == {"cpu", "cuda", "mps", "xpu"}


FAILED = "importing PyTorch failed: ended with exit code"
HIDE_TORCH = (
    "import runpy, sys; sys.modules['torch'] = None; del sys.argv[1]; "
    f"runpy.run_module({PROBE!r}, run_name='__main__')"
)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (HIDE_TORCH, "PyTorch is not installed"),
        ("import os; os._exit(9)", f"{FAILED} 9 before its reply: it printed nothing"),
        ("raise SystemExit('bad magic')", f"{FAILED} 1 before its reply: bad magic"),
        ("import time; time.sleep(60)", "importing PyTorch took more than 0.5 s"),
    ],
)
def test_without_a_working_torch_numpy_keeps_the_cpu(monkeypatch, code, said):
    monkeypatch.setattr(child, "LAUNCHER", (sys.executable, "-c", code))
    found = find_devices(timeout_seconds=0.5 if "sleep" in code else 60)
    assert [device.id for device in found.present] == ["cpu"]
    assert (found.versions, found.missing) == ({}, {"torch": said})
    assert found.absent == tuple(Absent(kind, said) for kind in ("cuda", "mps", "xpu"))


def test_a_torch_that_cannot_be_imported_says_why(tmp_path, monkeypatch):
    """Whatever it prints meanwhile."""
    (tmp_path / "torch.py").write_text("print('welcome'); raise OSError('libcudart.so: cannot open it')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert find_devices().missing["torch"] == "PyTorch cannot be imported: libcudart.so: cannot open it"


CPU = Device("cpu", "cpu", "CPU", 16 * GIB, ("float32", "float64"))
GPUS = tuple(Device(f"cuda:{i}", "cuda", "GPU", 8 * GIB, ("float32",)) for i in range(2))
NO_MPS, NO_XPU = Absent("mps", "not macOS"), Absent("xpu", "no driver")
MACHINE = Devices((CPU, *GPUS), (NO_MPS, NO_XPU), {"torch": "9.9"})


@pytest.mark.parametrize(
    ("requested", "ids", "missing"),
    [
        (["cpu"], ["cpu"], []),
        (["cuda"], ["cuda:0", "cuda:1"], []),
        (["cuda:1", "cpu"], ["cuda:1", "cpu"], []),
        (["cuda:1", "cuda"], ["cuda:1", "cuda:0"], []),  # each once, in the order asked for
        (["all"], ["cpu", "cuda:0", "cuda:1"], [NO_MPS, NO_XPU]),
        ([], [], []),
    ],
)
def test_requests_become_ids(requested, ids, missing):
    assert resolve(requested, MACHINE) == (ids, missing)


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ("mps", "no device 'mps' here: not macOS; there is: cpu, cuda:0, cuda:1"),
        ("xpu:1", "no device 'xpu:1' here: no driver; there is: cpu, cuda:0, cuda:1"),
        ("cuda:2", "no device 'cuda:2' here; there is: cpu, cuda:0, cuda:1"),
        ("tpu", "no device is called 'tpu'; here there is: cpu, cuda:0, cuda:1; or ask for all"),
        ("", "no device is called ''; here there is: cpu, cuda:0, cuda:1; or ask for all"),
    ],
)
def test_asking_for_an_absent_device_is_an_error(request_, said):
    with pytest.raises(UserError) as error:
        resolve(["cpu", request_], MACHINE)
    assert str(error.value) == said


def test_waiting_is_for_exactly_the_device_under_test(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", fake := Mock())
    assert TORCH.synchroniser("cpu") is NUMPY.synchroniser("cpu") is no_wait
    for device in ("cuda:1", "xpu:0", "mps:0"):
        TORCH.synchroniser(device)()
    assert fake.get_device_module.call_args_list == [call("cuda"), call("xpu")]
    assert fake.get_device_module().synchronize.call_args_list == [call("cuda:1"), call("xpu:0")]
    fake.mps.synchronize.assert_called_once_with()


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        (MACHINE, ("cuda:1", "8.0 GiB", "float32, float64", "absent: not macOS", "PyTorch 9.9")),
        (
            Devices((CPU,), (), missing={"torch": "[bold] is missing"}),
            ("NumPy variants alone can run: [bold] is missing.",),
        ),
    ],
)
def test_devices_lists_what_is_here_and_why_the_rest_is_not(monkeypatch, capsys, machine, words):
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(listing, "find_devices", lambda: machine)
    assert listing.devices_main(DevicesOptions()) == 0
    printed = capsys.readouterr().out
    assert all(word in printed for word in words)
