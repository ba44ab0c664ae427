"""``work`` under pytest-benchmark; collected only when named."""

from pytest_benchmark.fixture import BenchmarkFixture
from work import work


def test_work(benchmark: BenchmarkFixture) -> None:
    assert benchmark.pedantic(work, rounds=5, iterations=3, warmup_rounds=1)
