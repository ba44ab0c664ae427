"""Training costs no more than its calls: run by hand with ``make acceptance``, on a quiet machine."""

import subprocess
import sys
from pathlib import Path

from bench.api.options import TrainOptions
from bench.api.train import make_settings
from bench.machine.environ import worker_environment
from bench.training import load_result
from bench.training.train import run_training

EPOCHS = 20000
CALLS = f"""
from bench.machine.clock import take_value
from bench.workload import catalog
from bench.workload.binding import bind_case
from bench.workload.case import sine_case
from bench.workload.data import make
case = sine_case("train_step", "positional")
batch = make(case)
bound = bind_case(catalog.find("numpy-inplace").load(), "numpy", case, batch, "cpu").bound
bound.call()
print(take_value(bound.call, {EPOCHS}).elapsed_ns)
"""


def calls_s() -> float:
    """Seconds for the calls alone, in the same environment as a training's child."""
    done = subprocess.run(
        [sys.executable, "-c", CALLS],
        env=worker_environment(1).variables,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout) * 1e-9


def training_s(folder: Path) -> float:
    """Seconds of training as the result tells them."""
    settings = make_settings(TrainOptions(variant=("numpy-inplace",), epochs=EPOCHS))
    run_training(settings, folder, lambda variant, epoch, loss: None)
    return float(load_result(folder).runs[0].seconds[-1])


def test_20000_epochs_take_at_most_a_tenth_longer_than_20000_calls(tmp_path):
    ratios = [training_s(tmp_path / str(attempt)) / calls_s() for attempt in range(5)]
    print(f"training / calls: {', '.join(f'{ratio:.3f}' for ratio in ratios)}")
    assert sorted(ratios)[2] < 1.1
