"""Why torch.compile cannot work here is said before anything is compiled, with what mends it."""

import sysconfig
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.machine.libraries import torch_compiler
from bench.machine.libraries.torch_compiler import why_not_compile
from bench.workload import catalog
from bench.workload.case import sine_case


@pytest.fixture
def complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Linux machine that lacks nothing: programs in bin, headers in include."""
    for folder in ("bin", "include"):
        (tmp_path / folder).mkdir()
    (tmp_path / "include" / "Python.h").touch()
    program(tmp_path, "g++")
    on(monkeypatch, "linux")
    monkeypatch.setattr(sysconfig, "get_path", lambda name, scheme="": str(tmp_path / name))
    monkeypatch.setattr(torch_compiler.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("CXX", raising=False)
    return tmp_path


def on(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    """The real sys.platform stays: the standard library looks at it too."""
    monkeypatch.setattr(torch_compiler, "sys", SimpleNamespace(platform=platform))


def program(machine: Path, name: str) -> None:
    (machine / "bin" / name).touch(mode=0o755)


@pytest.mark.parametrize("device", ["cpu", "cuda:0", "xpu:0", "mps"])
def test_where_nothing_is_missing_there_is_no_reason(complete: Path, device: str) -> None:
    assert why_not_compile(device) is None


def test_without_a_compiler_the_reason_says_what_to_install(
    complete: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (complete / "bin" / "g++").unlink()
    assert why_not_compile("cpu") == "no C++ compiler g++ found: install g++"
    on(monkeypatch, "darwin")
    assert why_not_compile("cpu") == "no C++ compiler clang++ found: run xcode-select --install"
    on(monkeypatch, "win32")
    assert "no C++ compiler cl found: install the C++ tools" in str(why_not_compile("cpu"))


def test_another_compiler_is_of_use_once_cxx_names_it(
    complete: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (complete / "bin" / "g++").rename(complete / "bin" / "clang++")
    assert why_not_compile("cpu") == "no C++ compiler g++ found: set CXX=clang++"
    monkeypatch.setenv("CXX", "clang++")
    assert why_not_compile("cpu") is None
    monkeypatch.setenv("CXX", "icpx")
    assert why_not_compile("cpu") == (
        "the C++ compiler that CXX names, icpx, is not there: install it, or unset CXX"
    )


def test_without_the_headers_of_python_the_reason_names_their_package(complete: Path) -> None:
    (complete / "include" / "Python.h").unlink()
    assert why_not_compile("cpu") == "Python.h is missing: install python3-dev (python3-devel on Fedora)"
    assert why_not_compile("mps") is None


def test_an_nvidia_or_intel_card_needs_triton_and_the_cpu_does_not(
    complete: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_compiler.importlib.util, "find_spec", lambda name: None)
    assert "Triton is missing" in str(why_not_compile("cuda:0"))
    assert "Triton is missing" in str(why_not_compile("xpu:0"))
    assert why_not_compile("cpu") is None


def test_only_what_compiles_is_missing_without_a_compiler(complete: Path) -> None:
    (complete / "bin" / "g++").unlink()
    case = sine_case("train_step", "positional")
    missing = {variant: variant.unsupported(case, "cpu") for variant in catalog.VARIANTS}
    for variant, reason in missing.items():
        without = f"{variant.name} cannot compile: no C++ compiler g++ found: install g++"
        assert (reason == without) is variant.compiles
