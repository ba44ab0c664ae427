"""Train variants from the same initial parameters; give the results and the trained parameters."""

from bench.training.params import load_params, predict, save_params
from bench.training.result import TrainResult, TrainRun, load_result

__all__ = ["TrainResult", "TrainRun", "load_params", "load_result", "predict", "save_params"]
