"""A machine without anything to find fault with."""

from typing import Any

FIT: dict[str, Any] = {
    "cpus": 8, "usable_cpus": 8, "physical_cores": 8, "affinity": "0-7", "cgroup_quota": None,
    "memory_bytes": 16 << 30, "system": "Linux 6.1", "load_1min": 0.3, "governor": "performance",
    "turbo": "off", "isolated_cpus": "4-7", "aslr": 2, "transparent_huge_pages": "madvise",
    "swap_used_bytes": 0, "steal_share": 0.0, "pressure_percent": {"cpu": 1.0, "memory": 0.0, "io": 2.0},
    "clocksource": "tsc", "timer": {"cost_ns": 40}, "python_optimised": True, "python_gil": "on",
    "vector_units": ["avx2", "avx512f"], "throttled_periods": 0, "quota_periods": 0, "power": "mains",
    "temperature_c": 50,
}  # fmt: skip
