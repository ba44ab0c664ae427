"""SPEED: a journal of a million values is read, judged and reported in under 10 s and under 1 GB."""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from acceptance.peak import PRINT_PEAK
from acceptance.tools.big_journal import ARMS, BLOCKS, SHAPES, VALUES, write_big_journal
from acceptance.validity import Recorder

MOST_S, MOST_MB = 10.0, 1000.0
REPORT = f"""
import sys
from bench.cli.main import main
code = main(["report", sys.argv[1], "--out", sys.argv[2]])
{PRINT_PEAK}
sys.exit(code)
"""
# the table as it once was made: a dict a value, and a frame of them all
A_DICT_A_VALUE = """
import pandas, bench.records.table as table, bench.reporting.build as build
def write(run, path):
    rows = []
    for burst in run.bursts:
        for number, elapsed in enumerate(burst.elapsed_ns):
            row = {name: getattr(burst, name, "") for name in table.COLUMNS}
            rows.append(row | {"value": number, "elapsed_ns": elapsed})
    pandas.DataFrame(rows, columns=list(table.COLUMNS)).to_csv(path, index=False)
build.write_values_csv = write
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a report took: wall time of the whole program, and the most memory that it held."""

    seconds: float
    megabytes: float

    @property
    def kept(self) -> bool:
        return self.seconds < MOST_S and self.megabytes < MOST_MB

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s, {self.megabytes:.0f} MB"


@dataclass(frozen=True, slots=True)
class Big:
    """A journal in a folder of its own."""

    folder: Path
    bursts: int
    values: int


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Big:
    folder = tmp_path_factory.mktemp("big")
    return Big(folder, *write_big_journal(folder / "journal.jsonl"))


def report(folder: Path, out: Path, *, before: str = "") -> Cost:
    """``rnnbench report`` in a fresh process."""
    begun = time.perf_counter()
    command = [sys.executable, "-c", before + REPORT, str(folder), str(out)]
    child = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    seconds = time.perf_counter() - begun
    return Cost(seconds, float(child.stdout.split()[-1]))


def test_a_million_values_are_reported_in_under_10_s_and_1_gb(
    big: Big, tmp_path: Path, validity: Recorder
) -> None:
    cost = report(big.folder, tmp_path)
    size = (big.folder / "journal.jsonl").stat().st_size / 1e6
    validity.record(
        "SPEED-journal",
        claim=f"a journal of {big.values:,} values is read, judged and reported, with plots and values.csv "
        f"({SHAPES} tables of {ARMS} entries, {BLOCKS} blocks and block 0, {VALUES} values and 8 checks a "
        f"burst; {size:.0f} MB)",
        promised=f"under {MOST_S:.0f} s and {MOST_MB:.0f} MB",
        measured=str(cost),
        kept=cost.kept,
    )
    with (tmp_path / "values.csv").open("rb") as file:
        assert sum(1 for _ in file) == 1 + big.values
    counted = f"{SHAPES * ARMS * BLOCKS * VALUES:,}".replace(",", " ")
    assert f"{counted} values" in (tmp_path / "report.md").read_text(encoding="utf-8")
    assert cost.kept


def test_a_table_made_of_a_dict_a_value_is_too_large_or_too_slow(
    big: Big, tmp_path: Path, validity: Recorder
) -> None:
    cost = report(big.folder, tmp_path, before=A_DICT_A_VALUE)
    validity.record(
        "SPEED-journal-mutant",
        claim="the mutant (a dict a value on the way to values.csv)",
        promised=f"over {MOST_S:.0f} s or {MOST_MB:.0f} MB",
        measured=str(cost),
        kept=not cost.kept,
    )
    assert not cost.kept
