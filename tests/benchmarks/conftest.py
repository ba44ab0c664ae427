"""Both libraries at one thread while something is timed."""

import sys
from collections.abc import Iterator
from operator import attrgetter

import pytest
import threadpoolctl
from benchmark_plugin import THREADS

from bench.machine.libraries import TORCH
from bench.workload import catalog
from bench.workload.case import Case


@pytest.fixture(scope="session", autouse=True)
def _cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is compiled goes to a folder of this session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path_factory.mktemp("compiled")))
        yield


@pytest.fixture
def entry(variant: str, case: Case) -> Iterator[catalog.Variant]:
    """The variant, its library loaded, at one thread and in IEEE precision; then both are as before."""
    found = catalog.find(variant)
    found.load(case.cell)
    torch = sys.modules.get("torch")
    torch_threads = torch.get_num_threads() if torch else 0
    before = TORCH.precision() if torch else {}
    with threadpoolctl.threadpool_limits(THREADS):
        if torch:
            torch.set_num_threads(THREADS)
            TORCH.set_ieee_precision()
        yield found
    if torch:
        torch.set_num_threads(torch_threads)
    for name, value in before.items():
        attrgetter(name.removeprefix("torch."))(torch).fp32_precision = value
