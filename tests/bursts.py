"""A burst for tests that decide its times alone."""

from collections.abc import Sequence
from typing import Any

from bench.records.record import Burst

DIGEST = "5f" * 32


def burst(block: int, entry: str, elapsed_ns: Sequence[int], n_calls: int = 1, **fields: Any) -> Burst:
    """Return a burst of one value a round; ``fields`` take the place of what is the same in every test."""
    times = list(elapsed_ns)
    usual = {
        "warmup_calls": 1, "rewarm_calls": 1, "status": "ok", "checks": [], "first_call_ns": 1,
        "rounds": list(range(len(times))), "places": [0] * len(times), "residual_ns": 0, "cpu_ns": sum(times),
        "device": "cpu", "digest": DIGEST,
    }  # fmt: skip
    return Burst(n_calls, block=block, entry=entry, elapsed_ns=times, **usual | fields)  # type: ignore[arg-type]
