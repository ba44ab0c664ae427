"""Whether this machine has what torch.compile needs besides PyTorch, found without compiling anything."""

import importlib.util
import os
import shutil
import sys
import sysconfig
from pathlib import Path

# where CXX does not name one; PyTorch looks for no other
COMPILERS = {"darwin": "clang++", "win32": "cl"}
OTHERWISE = "g++"
INSTALL_COMPILER = {
    "darwin": "run xcode-select --install",
    "win32": "install the C++ tools of Visual Studio and start from its developer prompt",
}
NEEDS_TRITON = ("cuda", "xpu")


def why_not_compile(device: str) -> str | None:
    """Why torch.compile cannot work for the device, and what mends it; None where nothing is missing."""
    kind = device.partition(":")[0]
    if kind == "mps":
        return None  # Metal compiles its own kernels
    if kind in NEEDS_TRITON and not _has_triton():
        return "Triton is missing: install the build of PyTorch that is made for this device"
    default = COMPILERS.get(sys.platform, OTHERWISE)
    compiler = os.environ.get("CXX") or default
    if shutil.which(compiler) is None:
        if compiler != default:
            return f"the C++ compiler that CXX names, {compiler}, is not there: install it, or unset CXX"
        other = next(filter(shutil.which, ("clang++", "g++")), None)
        remedy = f"set CXX={other}" if other else INSTALL_COMPILER.get(sys.platform, f"install {default}")
        return f"no C++ compiler {default} found: {remedy}"
    if not any((Path(folder) / "Python.h").is_file() for folder in _include_folders()):
        return "Python.h is missing: install python3-dev (python3-devel on Fedora)"
    return None


def _has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None


def _include_folders() -> set[str]:
    """Where PyTorch looks for Python's headers: where this Python says, and where one usually has them."""
    scheme = "nt" if sys.platform == "win32" else "posix_prefix"
    return {sysconfig.get_path("include"), sysconfig.get_path("include", scheme=scheme)}
