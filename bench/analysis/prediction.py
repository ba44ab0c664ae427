"""Predict the time of a size that was not measured from the sizes of a grid, and estimate the error.

For each arm (variant, device, threads) three models of the time t of a call are tried: each size in turn is
left out of the fit and predicted. The model with the smallest errors is used. An error is the log of the
predicted over the measured time; reported are the median and the 90th percentile of the absolute errors.

``interpolation``: log t over the logs of the sizes, a thin plate spline with a linear part, which passes
through every point. ``operations``: t is a sum over the operations of a call, each with its own cost, never
negative; the fit minimises the squares of the relative errors (non-negative least squares)::

    t = c0 + c1 T + c2 T B H + c3 T B H^2 + c4 T B H I + c5 B H O + c6 H^2 + c7 T H^2 + c8 T H^2 [B = 1]

The terms are: the call itself and each time step; tanh and other elementwise work; the recurrent, input and
output products; reading, clearing and updating W, once and in each step; and the recurrent product for batch
size 1, a matrix times a vector. A cell with gates does each of these more often, and its biases add passes of
the same sizes, so its calls have the same terms with other costs; whether that holds for a user's cell, only
the errors tell.

``both``: the prediction of operations times a thin plate spline through the ratios that remain.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.analysis.crossover import MapCell, size_maps
from bench.analysis.summary import Summary, summarise
from bench.machine.errors import UserError
from bench.records.run import Run
from bench.workload.case import Case, Shape

Array = NDArray[np.float64]
Fitted = Callable[[Array], Array]  # a fitted model: sizes (n, 5) -> log t (n,)
Model = Callable[[Array, Array], Fitted]  # sizes (n, 5), log t (n,) -> the model fitted to them
MIN_NS = 1e-3  # predicted where all fitted costs are 0, since the log of 0 is not finite


def sizes_of(shapes: Sequence[Shape]) -> Array:
    """Return T, B, I, H and O of each shape (n, 5)."""
    return np.array([(s.T, s.B, s.I, s.H, s.O) for s in shapes], dtype=np.float64)


def interpolation(sizes: Array, log_t: Array) -> Fitted:
    """Fit a thin plate spline over the logs of varied sizes; a linear one if the points lie on a plane."""
    from scipy.interpolate import RBFInterpolator  # takes a while to load

    varied = np.ptp(sizes, axis=0) > 0
    logs = np.log(sizes[:, varied])
    on_a_plane = np.linalg.matrix_rank(logs - logs.mean(axis=0)) < logs.shape[1]
    if on_a_plane:
        spline = RBFInterpolator(logs, log_t, kernel="linear", degree=0)
    else:
        spline = RBFInterpolator(logs, log_t, kernel="thin_plate_spline", degree=1)
    return lambda new_sizes: np.asarray(spline(np.log(new_sizes[:, varied])), dtype=np.float64)


def operations(sizes: Array, log_t: Array) -> Fitted:
    """Fit the costs of the operations of a call."""
    from scipy.optimize import nnls

    t = np.exp(log_t)
    counts = _counts(sizes)
    scale = np.maximum(counts.max(axis=0), 1.0)
    costs, _ = nnls(counts / scale / t[:, None], np.ones(len(t)))
    return lambda new_sizes: np.log(np.maximum(_counts(new_sizes) / scale @ costs, MIN_NS))


def both(sizes: Array, log_t: Array) -> Fitted:
    """Fit the costs of the operations, and interpolate the log ratios that remain."""
    operations_fit = operations(sizes, log_t)
    rest_fit = interpolation(sizes, log_t - operations_fit(sizes))
    return lambda new_sizes: operations_fit(new_sizes) + rest_fit(new_sizes)


MODELS: dict[str, Model] = {"interpolation": interpolation, "operations": operations, "both": both}


def _counts(sizes: Array) -> Array:
    """Return how often a call does each operation, in the order of c0 to c8 (n, 9)."""
    T, B, I, H, O = sizes.T  # noqa: E741  (the project's letters)
    W = H**2
    counts = [np.ones_like(T), T, T * B * H, T * B * W, T * B * H * I, B * H * O, W, T * W, T * W * (B == 1)]
    return np.stack(counts, axis=1)


MIN_SIZES = 6  # of an arm: the models are compared with one size left out
Times = dict[str, dict[Shape, float]]  # arm -> shape -> nanoseconds per call
Errors = Mapping[Shape, float]  # shape -> log of predicted over measured time
MOST = 0.9  # quantile of the errors at sizes left out; it sets the limits of a prediction


def error_quantile(errors: Iterable[float], share: float = 0.5) -> float:
    """Return the quantile ``share`` of the absolute errors, as a relative error (0.04: 4 %)."""
    return math.expm1(float(np.quantile(np.abs(list(errors)), share)))


@dataclass(frozen=True, slots=True)
class Family:
    """Hold the best model of one arm, fitted to all sizes, and its errors at sizes left out."""

    model: str
    fitted: Fitted
    errors: Errors

    def log_ns(self, shape: Shape) -> float:
        """Return the log of the predicted time of a size, in nanoseconds per call."""
        return float(self.fitted(sizes_of([shape]))[0])


@dataclass(frozen=True, slots=True)
class Predicted:
    """Hold a time in nanoseconds per call, and limits that contained 90 % of the sizes left out."""

    ns: float
    low_ns: float
    high_ns: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """Hold the families of a grid by arm; ``case``: what its sizes share; ``measured``: their ranges."""

    case: Case
    families: dict[str, Family]
    measured: dict[str, tuple[int, int]]  # "T", "B", "I", "H" and "O" -> smallest and largest size

    def predict(self, case: Case, arm: str) -> Predicted:
        """Return the time of ``case`` on an arm such as "numpy-inplace@cpu x1".

        Raises:
            UserError: the grid lacks the arm, measured other work, or does not include the size.
        """
        if arm not in self.families:
            raise UserError(f"the grid has no {arm!r}; it has {', '.join(self.families) or 'none'}")
        if task_key(case) != task_key(self.case):
            raise UserError(f"the grid measured {self.case}; what it says holds for no other work")
        for name, (smallest, largest) in self.measured.items():
            if not smallest <= getattr(case.shape, name) <= largest:
                raise UserError(
                    f"the grid measured {name} from {smallest} to {largest}; times are not predicted beyond: "
                    "measure it"
                )
        family = self.families[arm]
        log_ns = family.log_ns(case.shape)
        distance = math.log1p(error_quantile(family.errors.values(), MOST))
        return Predicted(math.exp(log_ns), math.exp(log_ns - distance), math.exp(log_ns + distance))

    def errors_at(self, times: Times) -> dict[str, Errors]:
        """Return, by arm, the errors at sizes that the grid did not measure."""
        return {
            arm: {shape: self.families[arm].log_ns(shape) - math.log(ns) for shape, ns in arm_times.items()}
            for arm, arm_times in times.items()
            if arm in self.families and arm_times
        }


def predict(run: Run, case: Case, arm: str) -> Predicted:
    """Return the time of a size that a grid did not measure, on an arm such as "numpy-inplace@cpu x1".

    Raises:
        UserError: the run has too few sizes, lacks the arm, measured other work, or excludes the size.
    """
    summary = summarise(run)
    maps = size_maps([summary])
    prediction = learn(times_of(summary, maps[0].case), maps[0].case) if maps else None
    if prediction is None:
        raise UserError(
            f"{run.plan.run} measured too few sizes to predict others; run a grid: rnnbench run --preset grid"
        )
    return prediction.predict(case, arm)


def times_of(summary: Summary, like: Case) -> Times:
    """Return the median times of all arms at all sizes of the same task, without A/A controls."""
    times: Times = {}
    for row in summary.rows.values():
        if row.median_ns is not None and not row.arm.twin and task_key(row.entry.case) == task_key(like):
            times.setdefault(row.arm.id, {})[row.entry.case.shape] = row.median_ns
    return times


def learn(times: Times, case: Case) -> Prediction | None:
    """Choose and fit a model for every arm; return None if no arm has enough sizes to compare models."""
    families = {
        arm: _fit_family(arm_times) for arm, arm_times in times.items() if len(arm_times) >= MIN_SIZES
    }
    if not families:
        return None
    sizes = sizes_of([shape for arm_times in times.values() for shape in arm_times]).astype(int)
    smallest, largest = sizes.min(axis=0).tolist(), sizes.max(axis=0).tolist()
    return Prediction(case, families, dict(zip("TBIHO", zip(smallest, largest, strict=True), strict=True)))


def _fit_family(times: Mapping[Shape, float]) -> Family:
    """Return the model with the smallest mean absolute error at sizes left out, fitted to all sizes."""
    errors_by_model = {name: _left_out(model, times) for name, model in MODELS.items()}
    best = min(errors_by_model, key=lambda name: float(np.mean(np.abs(list(errors_by_model[name].values())))))
    fitted = MODELS[best](sizes_of(list(times)), np.log(list(times.values())))
    return Family(best, fitted, errors_by_model[best])


def _left_out(model: Model, times: Mapping[Shape, float]) -> dict[Shape, float]:
    """Return the error at each size of a model that was fitted to all other sizes."""
    sizes, logs = sizes_of(list(times)), np.log(list(times.values()))
    errors: dict[Shape, float] = {}
    for index, shape in enumerate(times):
        is_other = np.arange(len(times)) != index
        fitted = model(sizes[is_other], logs[is_other])
        errors[shape] = float(fitted(sizes[index : index + 1])[0]) - float(logs[index])
    return errors


def count_winners(cells: Iterable[MapCell], errors: Mapping[str, Errors]) -> tuple[int, int]:
    """Return how many predicted winners are correct, and the number of cells with a verdict and errors.

    A predicted ratio is the measured ratio times the ratio of the errors, which are given by arm.
    """
    correct: list[bool] = []
    for cell in cells:
        arm, baseline, shape = cell.comparison.arm, cell.comparison.baseline_arm, cell.case.shape
        arm_errors, baseline_errors = (errors.get(side.id, {}) for side in (arm, baseline))
        predicted = shape in arm_errors and shape in baseline_errors
        if cell.faster and cell.arm_ns and cell.baseline_ns and predicted:
            log_ratio = math.log(cell.arm_ns / cell.baseline_ns) + arm_errors[shape] - baseline_errors[shape]
            correct.append(cell.faster == (arm if log_ratio < 0 else baseline))
    return sum(correct), len(correct)


def task_key(case: Case) -> tuple[object, ...]:
    """Return what cases of one grid share: everything but the sizes and the numbers."""
    return (
        *(case.cell, case.bias, case.task, case.layout, case.dtype, case.activation, case.data),
        case.shortest,
    )
