"""A pytest plugin: what a benchmark leaves changed in its process is told at the end, one line each."""

import gc
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


def state() -> dict[str, Any]:
    """Return what a run or a benchmark could change in its process and forget to change back."""
    import numpy as np
    import threadpoolctl

    from bench.machine.libraries import TORCH

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pools = {pool["filepath"]: pool["num_threads"] for pool in threadpoolctl.threadpool_info()}
    return {
        "affinity": sorted(os.sched_getaffinity(0)),
        "cwd": str(Path.cwd()),
        "environment": {k: v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"},
        "collector": (gc.isenabled(), gc.get_threshold()),
        "pools": pools,
        "smallest number": float(np.float32(1e-40) * np.float32(1)),  # 0 where subnormals are flushed
        "floating errors": np.geterr(),
        "torch": TORCH.state() if TORCH.loaded else None,
    }


class Around:
    """Compares before and after the fixture ``entry``, which is what a benchmark uses."""

    def __init__(self) -> None:
        self.before: dict[str, Any] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Iterator[None]:
        if fixturedef.argname == "entry":
            import torch

            torch.set_num_threads(2)  # what a benchmark does not ask for
            self.before = state()
        return (yield)

    def pytest_fixture_post_finalizer(self, fixturedef: Any) -> None:
        if fixturedef.argname != "entry" or not self.before:
            return
        after, before, self.before = state(), self.before, {}
        for name in after:
            if after[name] != before[name]:
                print(f"\nLEFT CHANGED {name}: {before[name]} -> {after[name]}", file=sys.stderr)
        print(f"\nCOMPARED {len(after)}", file=sys.stderr)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Around())
