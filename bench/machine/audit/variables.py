"""Rules about environment variables: those that a run drops, those that were kept, those of the shell."""

from collections.abc import Collection, Iterator, Mapping

from bench.machine.audit.finding import Finding, note, unfair, unstable
from bench.machine.environ import THREAD_LIMITS

BLAS = "a BLAS kernel"
# which part of a library each of them holds back, on a processor that can do more
PINS = {
    "OPENBLAS_CORETYPE": BLAS,
    "OPENBLAS_L2_SIZE": BLAS,
    "NPY_DISABLE_CPU_FEATURES": "NumPy's loops",
    "BLIS_ARCH_TYPE": BLAS,
    "MKL_CBWR": "MKL's kernels",
    "MKL_ENABLE_INSTRUCTIONS": "MKL's kernels",
    "ATEN_CPU_CAPABILITY": "PyTorch's loops",
    "DNNL_MAX_CPU_ISA": "oneDNN's kernels",
    "ONEDNN_MAX_CPU_ISA": "oneDNN's kernels",
}
NUMPYS = ("OPENBLAS_", "NPY_", "BLIS_")  # the pins that hold NumPy back, and not PyTorch
DEBUG = ("PYTHONDEVMODE", "PYTHONMALLOC", "PYTHONTRACEMALLOC", "MALLOC_PERTURB_")
ALLOCATOR = ("LD_PRELOAD", "GLIBC_TUNABLES", "MALLOC_")
LOW_PRECISION = (
    "NVIDIA_TF32_OVERRIDE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "DNNL_DEFAULT_FPMATH_MODE",
)


def audit_dropped(dropped: Mapping[str, str], kernels: tuple[str, str] | None = None) -> Iterator[Finding]:
    """Variables that do not reach the workers, and would have held a library back.

    ``kernels``: which one NumPy's BLAS chose with them, and without.
    """
    for part, names in _pinned(dropped).items():
        seen = ""
        if kernels and part == BLAS:
            same = kernels[0] == kernels[1]
            seen = f" (NumPy gets the kernel {kernels[0]} with {'and without ' if same else ''}them"
            seen += ")" if same else f", {kernels[1]} without)"
        yield note(
            "pinned kernels",
            f"{_listing(dropped, names)}, set here to pin {part}, {_does(names)} not reach the workers of a "
            f"run{seen}; --keep-env NAME times with such a variable",
            f"unset {' '.join(names)}  (for pytest --benchmark, which cannot drop what is set)",
            banner=True,
        )


def audit_kept(kept: Mapping[str, str]) -> Iterator[Finding]:
    """Variables that reach the workers because somebody asked for it."""
    for part, names in _pinned(kept).items():
        library = "NumPy" if names[0].startswith(NUMPYS) else "PyTorch"
        yield unfair(
            "pinned kernels",
            f"{_listing(kept, names)} pinned {part}: {library} may be slower than it can be",
            _without(names),
        )
    for name in kept:
        said = f"{name}={kept[name]} was kept"
        if name in THREAD_LIMITS:
            yield unfair("threads", f"{said}: the libraries may have unequal threads", _without([name]))
        elif name in LOW_PRECISION:
            yield unfair("precision", f"{said}: PyTorch may compute with less than float32", _without([name]))
        elif name == "CUDA_LAUNCH_BLOCKING" and kept[name] not in ("", "0"):
            yield unfair("accelerator", f"{said}: PyTorch waits for every kernel", _without([name]))
        elif name in DEBUG:
            yield unstable("debugging", f"{said}: every allocation costs more", _without([name]))
        elif name.startswith(ALLOCATOR):
            yield note(
                "allocator", f"{said}: memory is not allocated as usual", _without([name]), banner=True
            )


def audit_shell(shell: Mapping[str, str]) -> Iterator[Finding]:
    """Thread limits of the shell, which a run replaces, and which meet whatever is timed without it."""
    limits = {name: shell[name] for name in THREAD_LIMITS if name in shell}
    if limits:
        alike = "" if len(set(limits.values())) == 1 else ", and not alike,"
        yield note(
            "threads",
            f"{_listing(limits, list(limits))} in this shell{alike} {_does(limits)} not count: a run sets "
            "every limit alike for both libraries; choose with --threads",
            f"unset {' '.join(limits)}  (for what is timed without rnnbench)",
        )
    others = sorted(set(shell) - set(limits) - set(PINS) - {"PYTHONPATH", "CUDA_VISIBLE_DEVICES"})
    known = [
        name for name in others if name.startswith((*ALLOCATOR, "OMP_", "GOMP_", "KMP_")) or name in DEBUG
    ]
    if known:
        yield note(
            "variables",
            f"{_listing(shell, known)} {_does(known)} not reach the workers of a run",
            f"unset {' '.join(known)}  (for what is timed without rnnbench)",
        )


def _pinned(variables: Mapping[str, str]) -> dict[str, list[str]]:
    """The names that pin something, by what they pin."""
    found: dict[str, list[str]] = {}
    for name in (name for name in PINS if name in variables):
        found.setdefault(PINS[name], []).append(name)
    return found


def _listing(variables: Mapping[str, str], names: list[str]) -> str:
    return " and ".join(f"{name}={variables[name]}" for name in names)


def _does(names: Collection[str]) -> str:
    return "does" if len(names) == 1 else "do"


def _without(names: list[str]) -> str:
    return "run again without " + " ".join(f"--keep-env {name}" for name in names)
