"""The table holds every value of the journal, once, and a spreadsheet can open its CSV safely."""

import csv
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from journals import POSITIONAL, example_records
from msgspec.structs import replace

from bench.machine.errors import UserError
from bench.measure.plan import LEAST_ROUNDS
from bench.records.record import Burst, Plan
from bench.records.run import make_run
from bench.records.table import COLUMNS, values_frame, write_values_csv


def test_there_is_one_row_for_every_value_and_it_says_what_was_measured() -> None:
    records = example_records(broken=True)
    bursts = [record for record in records if isinstance(record, Burst)]
    frame = values_frame(make_run(records))
    assert frame["elapsed_ns"].tolist() == [t for burst in bursts for t in burst.elapsed_ns]
    assert tuple(frame.columns) == COLUMNS
    assert not frame.isna().any().any()
    assert not frame.duplicated(["block", "entry", "round"]).any()
    assert (frame["counted"] == (frame["block"] > 0)).all()
    entry = f"{POSITIONAL} | torch-layer@cpu x2"
    rows = frame[(frame["entry"] == entry) & (frame["block"] == 3)]
    burst = next(burst for burst in bursts if (burst.block, burst.entry) == (3, entry))
    assert rows["round"].tolist() == list(range(LEAST_ROUNDS))
    assert rows["place"].tolist() == burst.places
    assert rows["per_call_ns"].tolist() == [t / burst.n_calls for t in burst.elapsed_ns]
    told = {
        "variant": "torch-layer", "library": "torch", "device": "cpu", "threads": 2, "cell": "rnn",
        "bias": False, "task": "train_step", "layout": "positional", "dtype": "float32", "activation": "tanh",
        "status": "ok", "T": 6, "B": 128, "I": 6, "H": 32, "O": 8,
    }  # fmt: skip
    assert {name: rows.iloc[0].to_dict()[name] for name in told} == told


def test_a_run_without_values_gives_an_empty_table_with_its_columns() -> None:
    frame = values_frame(make_run(example_records()[:2]))
    assert (len(frame), tuple(frame.columns)) == (0, COLUMNS)


def test_the_csv_is_the_one_that_pandas_writes_and_reads_back_as_the_frame(tmp_path: Path) -> None:
    run = make_run(example_records(broken=True, with_gpu=True))
    write_values_csv(run, tmp_path / "values.csv")
    assert (tmp_path / "values.csv").read_bytes().decode() == values_frame(run).to_csv(index=False)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "values.csv"), values_frame(run))


@pytest.mark.parametrize("name", ["=HYPERLINK(1)", "+1", "-1", "@SUM(1)", "\tx"])
def test_a_name_that_looks_like_a_formula_is_made_harmless_and_numbers_are_left_alone(
    tmp_path: Path, name: str
) -> None:
    records = example_records(quick=True)
    plan = records[0]
    assert isinstance(plan, Plan)
    arms = [replace(arm, variant=name) if arm.variant == "torch-layer" else arm for arm in plan.arms]
    bursts = [replace(r, first_call_ns=-1) if isinstance(r, Burst) else r for r in records[1:]]
    write_values_csv(make_run([replace(plan, arms=arms), *bursts]), tmp_path / "values.csv")
    with (tmp_path / "values.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert "'" + name in {row["variant"] for row in rows}
    assert not any(cell.startswith(("=", "+", "@", "\t")) for row in rows for cell in row.values())
    assert {row["first_call_ns"] for row in rows} == {"-1"}  # a number, and no text


@pytest.mark.parametrize("name", ["a,b", 'say "x"', "two\nlines", "two\rlines", "", "é"])
def test_any_name_is_one_cell(tmp_path: Path, name: str) -> None:
    records = example_records(quick=True)
    run = make_run([replace(records[0], run=name), *records[1:]])
    write_values_csv(run, tmp_path / "values.csv")
    with (tmp_path / "values.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert {len(row) for row in rows} == {len(COLUMNS)}
    assert {row[0] for row in rows[1:]} == {name}


def test_the_csv_is_written_without_pandas(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from journals import example_records\n"
        "from bench.records.run import make_run; from bench.records.table import write_values_csv\n"
        "write_values_csv(make_run(example_records(quick=True)), Path(sys.argv[1]))\n"
        "sys.exit('pandas' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "values.csv")]
    subprocess.run(command, check=True, cwd=Path(__file__).parent)
    assert (tmp_path / "values.csv").stat().st_size > 0


def test_a_file_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot write"):
        write_values_csv(make_run(example_records()[:2]), tmp_path / "nowhere" / "values.csv")
