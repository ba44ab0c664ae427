"""The time of a size that was not measured, from those of a grid that were, and how far off that is.

Each family (an arm: variant, device, threads) has the one of three models of the time t of a call that proves
better when every size in turn is left out of the fit and predicted. An error is predicted over measured time,
as a log; what is stated of errors are the median and the 90th percentile of their sizes.

``interpolation``: log t over the logs of the sizes, a thin plate spline with a linear part, which passes
through every point. ``operations``: t is a sum of what a call does, each with a cost of its own that is not
negative; the squares of the relative errors are made small (non-negative least squares)::

    t = c0 + c1 T + c2 T B H + c3 T B H^2 + c4 T B H I + c5 B H O + c6 H^2 + c7 T H^2 + c8 T H^2 [B = 1]

that is the call itself and each time step; tanh and other elementwise work; the recurrent, input and
output products; reading, clearing and updating W, once and in each step; and the recurrent product of one
sample alone, a matrix times a vector. ``both``: operations times a thin plate spline through what they leave
over.
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
Fitted = Callable[[Array], Array]  # sizes (n, 5) -> log t (n,)
Model = Callable[[Array, Array], Fitted]  # sizes (n, 5), log t (n,) -> what was fitted to them
SMALLEST = 1e-3  # nanoseconds, where every cost was found to be 0


def sizes_of(shapes: Sequence[Shape]) -> Array:
    """Return T, B, I, H and O of each shape (n, 5)."""
    return np.array([(s.T, s.B, s.I, s.H, s.O) for s in shapes], dtype=np.float64)


def interpolation(sizes: Array, log_t: Array) -> Fitted:
    """Fit a thin plate spline over the logs of those sizes that vary; unbent where these lie on a line."""
    from scipy.interpolate import RBFInterpolator  # takes a while to load

    varied = np.ptp(sizes, axis=0) > 0
    logs = np.log(sizes[:, varied])
    on_a_plane = np.linalg.matrix_rank(logs - logs.mean(axis=0)) < logs.shape[1]
    if on_a_plane:
        spline = RBFInterpolator(logs, log_t, kernel="linear", degree=0)
    else:
        spline = RBFInterpolator(logs, log_t, kernel="thin_plate_spline", degree=1)
    return lambda at: np.asarray(spline(np.log(at[:, varied])), dtype=np.float64)


def operations(sizes: Array, log_t: Array) -> Fitted:
    """Fit costs of what a call does."""
    from scipy.optimize import nnls

    t = np.exp(log_t)
    counts = _counts(sizes)
    scale = np.maximum(counts.max(axis=0), 1.0)
    costs, _ = nnls(counts / scale / t[:, None], np.ones(len(t)))
    return lambda at: np.log(np.maximum(_counts(at) / scale @ costs, SMALLEST))


def both(sizes: Array, log_t: Array) -> Fitted:
    """Fit the costs, and interpolate what is left over."""
    counted = operations(sizes, log_t)
    rest = interpolation(sizes, log_t - counted(sizes))
    return lambda at: counted(at) + rest(at)


MODELS: dict[str, Model] = {"interpolation": interpolation, "operations": operations, "both": both}


def _counts(sizes: Array) -> Array:
    """Return how often a call does each thing (n, 9)."""
    T, B, I, H, O = sizes.T  # noqa: E741  (the project's letters)
    W = H**2
    counts = [np.ones_like(T), T, T * B * H, T * B * W, T * B * H * I, B * H * O, W, T * W, T * W * (B == 1)]
    return np.stack(counts, axis=1)


FEWEST = 6  # sizes of an arm, to leave one out and still see a surface
Times = dict[str, dict[Shape, float]]  # arm -> shape -> nanoseconds a call
Errors = Mapping[Shape, float]  # logs of predicted over measured time
MOST = 0.9  # share of predicted times, of which an error is told


def off_by(errors: Iterable[float], share: float = 0.5) -> float:
    """Return by how much that share of times is off at most: 0.04 for 4 %."""
    return math.expm1(float(np.quantile(np.abs(list(errors)), share)))


@dataclass(frozen=True, slots=True)
class Family:
    """What was learnt of one arm: its best model, and that model's errors at sizes left out."""

    model: str
    fitted: Fitted
    errors: Errors

    def log_ns(self, shape: Shape) -> float:
        """Return the log of the time of a size, in nanoseconds a call."""
        return float(self.fitted(sizes_of([shape]))[0])


@dataclass(frozen=True, slots=True)
class Predicted:
    """A time in nanoseconds a call, and the limits within which nine of ten were when left out."""

    ns: float
    low_ns: float
    high_ns: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """The families of a grid, by arm. ``case`` is what its sizes share, ``measured`` the range of each."""

    case: Case
    families: dict[str, Family]
    measured: dict[str, tuple[int, int]]  # T, B, I, H and O

    def predict(self, case: Case, arm: str) -> Predicted:
        """Return the time of ``case`` on an arm, as "numpy-inplace@cpu x1".

        Raises:
            UserError: an arm that the grid does not have, other work, or a size outside the grid.
        """
        if arm not in self.families:
            raise UserError(f"the grid has no {arm!r}; it has {', '.join(self.families) or 'none'}")
        if _work(case) != _work(self.case):
            raise UserError(f"the grid measured {self.case}; what it says holds for no other work")
        for name, (least, most) in self.measured.items():
            if not least <= getattr(case.shape, name) <= most:
                raise UserError(
                    f"the grid measured {name} from {least} to {most}; times are not predicted beyond: "
                    "measure it"
                )
        family = self.families[arm]
        log_ns, reach = family.log_ns(case.shape), math.log1p(off_by(family.errors.values(), MOST))
        return Predicted(math.exp(log_ns), math.exp(log_ns - reach), math.exp(log_ns + reach))

    def errors_at(self, times: Times) -> dict[str, Errors]:
        """Return what is off at sizes that the grid did not measure, by arm."""
        return {
            arm: {shape: self.families[arm].log_ns(shape) - math.log(ns) for shape, ns in own.items()}
            for arm, own in times.items()
            if arm in self.families and own
        }


def predict(run: Run, case: Case, arm: str) -> Predicted:
    """Return the time of a size that a grid did not measure, on an arm as "numpy-inplace@cpu x1".

    Raises:
        UserError: the run has too few sizes, or not that arm, or the case is other work or out of reach.
    """
    summary = summarise(run)
    maps = size_maps([summary])
    learnt = learn(times_of(summary, maps[0].case), maps[0].case) if maps else None
    if learnt is None:
        raise UserError(
            f"{run.plan.run} measured too few sizes to predict others; run a grid: rnnbench run --preset grid"
        )
    return learnt.predict(case, arm)


def times_of(summary: Summary, like: Case) -> Times:
    """Return the median times of all arms in the tables of the same task; no twins."""
    times: Times = {}
    for row in summary.rows.values():
        if row.median_ns is not None and not row.arm.twin and _work(row.entry.case) == _work(like):
            times.setdefault(row.arm.id, {})[row.entry.case.shape] = row.median_ns
    return times


def learn(times: Times, case: Case) -> Prediction | None:
    """Choose and fit a model for every arm; return None where none has enough sizes to judge a model."""
    families = {arm: _family(own) for arm, own in times.items() if len(own) >= FEWEST}
    if not families:
        return None
    sizes = sizes_of([shape for own in times.values() for shape in own]).astype(int)
    least, most = sizes.min(axis=0).tolist(), sizes.max(axis=0).tolist()
    return Prediction(case, families, dict(zip("TBIHO", zip(least, most, strict=True), strict=True)))


def _family(times: Mapping[Shape, float]) -> Family:
    """Return the model whose errors at sizes left out are smallest in the mean, fitted to all sizes."""
    left_out = {name: _left_out(model, times) for name, model in MODELS.items()}
    best = min(left_out, key=lambda name: float(np.mean(np.abs(list(left_out[name].values())))))
    fitted = MODELS[best](sizes_of(list(times)), np.log(list(times.values())))
    return Family(best, fitted, left_out[best])


def _left_out(model: Model, times: Mapping[Shape, float]) -> dict[Shape, float]:
    """Return the error at each size of a model that was fitted to all others."""
    sizes, logs = sizes_of(list(times)), np.log(list(times.values()))
    errors: dict[Shape, float] = {}
    for place, shape in enumerate(times):
        others = np.arange(len(times)) != place
        fitted = model(sizes[others], logs[others])
        errors[shape] = float(fitted(sizes[place : place + 1])[0]) - float(logs[place])
    return errors


def count_winners(cells: Iterable[MapCell], errors: Mapping[str, Errors]) -> tuple[int, int]:
    """Return of how many cells with a verdict the faster side was predicted, and how many there are.

    A predicted ratio is the measured one times that of the errors, which are given by arm.
    """
    hits: list[bool] = []
    for cell in cells:
        arm, baseline, shape = cell.comparison.arm, cell.comparison.baseline_arm, cell.case.shape
        own, other = (errors.get(side.id, {}) for side in (arm, baseline))
        if cell.faster and cell.arm_ns and cell.baseline_ns and shape in own and shape in other:
            log_ratio = math.log(cell.arm_ns / cell.baseline_ns) + own[shape] - other[shape]
            hits.append(cell.faster == (arm if log_ratio < 0 else baseline))
    return sum(hits), len(hits)


def _work(case: Case) -> tuple[str, ...]:
    return case.task, case.layout, case.dtype, case.activation, case.data
