"""Rules about the libraries as a process finds them, and about accelerators."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from bench.machine.audit.finding import Finding, note, unfair, unstable

SLOW_BLAS = ("lapack_lite", "netlib", "reference", "none")
# kernels of OpenBLAS for processors without AVX2
OLD_KERNELS = {
    "generic", "prescott", "core2", "penryn", "dunnington", "nehalem", "atom", "athlon", "opteron",
    "opteron_sse3", "barcelona", "bobcat", "nano", "sandybridge", "bulldozer", "piledriver", "katmai",
    "coppermine", "northwood", "banias", "dynamic",
}  # fmt: skip
AVX2_KERNELS = {"haswell", "zen", "excavator", "steamroller"}
OLDEST_OPENBLAS = (0, 3, 26)  # older than what came with NumPy 2
UPGRADE = {
    "numpy": "pip install --upgrade numpy  (its wheels bring a BLAS that fits the processor)",
    "torch": "pip install --upgrade torch  (its wheels use what the processor has)",
}
CALM_REASONS = 0x1 | 0x2  # NVML: idle, and clocks as an application set them
MOST_TAKEN = 0.1  # of an accelerator's memory, before anything was measured
HOT_C = 85


def audit_libraries(
    facts: Mapping[str, Any], libraries: Mapping[str, Mapping[str, Any]], threads: int
) -> Iterator[Finding]:
    """What each library found, and what they found differently."""
    units = facts.get("vector_units") or []
    if numpy := libraries.get("numpy"):
        yield from _numpy(numpy, units)
    if torch := libraries.get("torch"):
        yield from _torch(torch, units)
    for name, found in libraries.items():
        if (has := found.get("threads")) not in (None, threads):
            yield unfair(
                "threads",
                f"{name} computes with {has} threads where {threads} were asked for",
                UPGRADE.get(name, "rnnbench run --threads 1"),
            )
    yield from _subnormals({name: found.get("flushes_subnormals") for name, found in libraries.items()})


def audit_device(device: str, found: Mapping[str, Any]) -> Iterator[Finding]:
    """The state of an accelerator."""
    reasons = int(found.get("throttle_reasons") or 0) & ~CALM_REASONS
    if reasons:
        yield unstable(
            "accelerator",
            f"{device} holds its clock back (NVML's reasons 0x{reasons:x})",
            "nvidia-smi -q -d PERFORMANCE  (tells why: power, heat)",
        )
    if (degrees := found.get("temperature_c")) and degrees >= HOT_C:
        yield unstable("accelerator", f"{device} is at {degrees} degrees Celsius", "let it cool down")
    taken, memory = found.get("memory_taken_bytes"), found.get("memory_bytes")
    if taken and memory and taken > MOST_TAKEN * memory:
        yield unstable(
            "accelerator",
            f"{taken / 2**30:.1f} GiB of {device} are in use by somebody else",
            "nvidia-smi  (tells who)",
        )


def _numpy(found: Mapping[str, Any], units: list[str]) -> Iterator[Finding]:
    blas, kernel = str(found.get("blas") or "").lower(), str(found.get("kernel") or "")
    if blas in SLOW_BLAS:
        yield unfair("BLAS", f"NumPy has no fast BLAS here ({blas})", UPGRADE["numpy"])
    version = tuple(int(part) for part in re.findall(r"\d+", str(found.get("blas_version") or ""))[:3])
    if "openblas" in blas and version and version < OLDEST_OPENBLAS:
        said = ".".join(map(str, version))
        yield note(
            "BLAS", f"NumPy computes with OpenBLAS {said}, which is old", UPGRADE["numpy"], banner=True
        )
    if kernel.lower() in OLD_KERNELS and "avx2" in units:
        yield unfair(
            "BLAS",
            f"NumPy's BLAS computes with its kernel for {kernel}, and this processor has AVX2",
            UPGRADE["numpy"],
        )
    elif kernel.lower() in AVX2_KERNELS and "avx512f" in units:
        yield note(
            "BLAS",
            f"NumPy's BLAS computes with its kernel for {kernel}, and this processor has AVX-512",
            UPGRADE["numpy"],
        )


def _torch(found: Mapping[str, Any], units: list[str]) -> Iterator[Finding]:
    capability = str(found.get("cpu_capability") or "")
    if capability in ("DEFAULT", "NO AVX") and "avx2" in units:
        yield unfair("PyTorch", "PyTorch's loops do not use this processor's AVX2", UPGRADE["torch"])
    if found.get("debug"):
        yield unfair("PyTorch", "this PyTorch is a debug build", UPGRADE["torch"])
    if found.get("deterministic_algorithms"):
        yield unfair(
            "PyTorch",
            "deterministic algorithms are switched on in every process: they can be slower",
            "look for torch.use_deterministic_algorithms in sitecustomize.py",
        )
    if found.get("mkldnn") == "off":
        yield unfair("PyTorch", "oneDNN is missing or off: matrix products are slower", UPGRADE["torch"])
    low = sorted(name for name, value in (found.get("precision") or {}).items() if value != "ieee")
    if low:
        yield unfair(
            "precision",
            f"{', '.join(low)} would not compute in IEEE float32, although all were set to",
            UPGRADE["torch"],
        )
    default = found.get("default_precision") or {}
    lower = {name.removeprefix("torch.backends."): value for name, value in default.items()}
    tf32 = sorted(name for name, value in lower.items() if value in ("tf32", "bf16"))
    if tf32:
        yield note(
            "precision",
            f"by PyTorch's own defaults {' and '.join(tf32)} may compute in {lower[tf32[0]].upper()}, and "
            "the other switches do not: a run sets all of them to IEEE",
            f'torch.backends.{tf32[0]}.fp32_precision = "ieee", ...  (in what is timed without rnnbench)',
        )


def _subnormals(flushes: Mapping[str, bool | None]) -> Iterator[Finding]:
    flushing = [name for name, value in flushes.items() if value]
    if not flushing:
        return
    said = f"{' and '.join(flushing)} flushes subnormal numbers to zero"
    mend = "look for set_flush_denormal, or for a library built with -ffast-math that sets it when loaded"
    if any(value is False for value in flushes.values()):
        yield unfair("subnormal numbers", f"{said}, and the other library does not", mend)
    else:
        yield note("subnormal numbers", f"{said}: results differ from IEEE arithmetic", mend, banner=True)
