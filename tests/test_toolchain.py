"""Why torch.compile cannot work here is said before anything is compiled, with what mends it."""

import importlib.util
import platform
import sysconfig
from pathlib import Path

import pytest

from bench.machine.libraries.torch_library import why_not_compile
from bench.workload import catalog
from bench.workload.case import sine_case


@pytest.fixture
def complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Linux machine that lacks nothing: programs in bin, headers in include."""
    for name in ("bin/g++", "include/Python.h"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(sysconfig, "get_path", lambda name, scheme="": str(tmp_path / name))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("CXX", raising=False)
    return tmp_path


@pytest.mark.parametrize("device", ["cpu", "cuda:0", "xpu:0", "mps"])
def test_where_nothing_is_missing_there_is_no_reason(complete, device):
    assert why_not_compile(device) is None


@pytest.mark.parametrize(
    ("system", "present", "cxx", "reason"),
    [
        ("Linux", "", "", "no C++ compiler g++ found: install g++"),
        ("Darwin", "", "", "no C++ compiler clang++ found: run xcode-select --install"),
        ("Windows", "", "", "no C++ compiler cl found: install the C++ tools of Visual Studio and start from "
         "its developer prompt"),
        ("Linux", "clang++", "", "no C++ compiler g++ found: set CXX=clang++"),
        ("Linux", "clang++", "clang++", None),
        ("Linux", "clang++", "icpx",
         "the C++ compiler that CXX names, icpx, is not there: install it, or unset CXX"),
    ],
)  # fmt: skip
def test_without_a_compiler_the_reason_says_what_to_install_or_to_set(
    complete, monkeypatch, system, present, cxx, reason
):
    (complete / "bin" / "g++").rename(complete / "bin" / (present or "cat"))
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setenv("CXX", cxx)
    assert why_not_compile("cpu") == reason


def test_without_the_headers_of_python_the_reason_names_their_package(complete):
    (complete / "include" / "Python.h").unlink()
    assert why_not_compile("cpu") == "Python.h is missing: install python3-dev (python3-devel on Fedora)"
    assert why_not_compile("mps") is None


def test_an_nvidia_or_intel_card_needs_triton_and_the_cpu_does_not(complete, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert all("Triton is missing" in str(why_not_compile(device)) for device in ("cuda:0", "xpu:0"))
    assert why_not_compile("cpu") is None


def test_only_what_compiles_is_missing_without_a_compiler(complete):
    (complete / "bin" / "g++").unlink()
    case = sine_case("forward", "positional")  # a task of every variant
    missing = {variant: variant.unsupported(case, "cpu") for variant in catalog.VARIANTS}
    for variant, reason in missing.items():
        without = f"{variant.name} cannot compile: no C++ compiler g++ found: install g++"
        assert (reason == without) is variant.compiles
