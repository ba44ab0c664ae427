"""Series of times whose truth is known: what a machine does to a number, without a machine.

A simulated run has arms in blocks, each arm of a block a process of its own, which takes a value in every
round of the block, as in a real run. All times are logs: 0.02 is 2 % longer. The noise is that of a shared
machine: processes differ by 1.2 % for their whole life, what an arm takes in neighbouring rounds hangs
together, three values in a hundred are spikes.
Every arm takes the same time, but for what a test adds.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Draw = np.random.Generator
Drift = Callable[[Array, Draw, int], Array]  # time (count, ...) in [0, 1), draw, blocks -> logs to add
Slots = NDArray[np.intp]  # (count, blocks, VALUES, arms): the place of every value in its run
Order = Callable[[Draw, tuple[int, int, int, int]], Slots]

BLOCKS = 10
VALUES = 5  # of an arm in a block, one a round
ARMS = 10  # a baseline, its twin and a table of 8 comparisons


@dataclass(frozen=True, slots=True)
class Noise:
    """Standard deviations of the log of a value, and what happens now and then."""

    process: float = 0.012  # shared by all values of a process
    neighbours: float = 0.01  # hangs together within a process, by ``rho`` from value to value
    rho: float = 0.5
    value: float = 0.02  # of each value alone
    spikes: float = 0.03  # share of values that take longer, by 20 % on average
    slow: float = 0.0  # share of processes that are 10 % slow for their whole life


USUAL = Noise()
SLOW_MODE = Noise(slow=0.1)
NORMAL = Noise(process=0.018, neighbours=0.0, value=0.0, spikes=0.0)


def generator(seed: int) -> Draw:
    """The same numbers for the same seed, whatever NumPy's default is."""
    return np.random.Generator(np.random.PCG64(seed))


def ramp(size: float) -> Drift:
    """Grows by ``size`` from the first value of the run to the last."""
    return lambda time, draw, blocks: size * time


NO_DRIFT = ramp(0)


def wave(size: float) -> Drift:
    """One and a half waves up and down by ``size``, beginning anywhere."""
    return lambda time, draw, blocks: size * np.sin(2 * np.pi * (1.5 * time + _one_each(draw, time)))


def step(size: float) -> Drift:
    """Slower by ``size`` from some moment in the middle half of the run on."""
    return lambda time, draw, blocks: size * (time > 0.25 + 0.5 * _one_each(draw, time))


def each_block(size: float) -> Drift:
    """Grows by ``size`` within every block and falls back before the next, like a processor that warms up."""
    return lambda time, draw, blocks: size * _part(time * blocks)


def each_round(size: float) -> Drift:
    """Grows by ``size`` within every round and falls back before the next."""
    return lambda time, draw, blocks: size * _part(time * blocks * VALUES)


def cold_start(size: float, arms: int = ARMS) -> Drift:
    """Slower by ``size`` for whatever comes first in a round."""
    return lambda time, draw, blocks: size * (_part(time * blocks * VALUES) < 1 / arms)


def random_order(draw: Draw, shape: tuple[int, int, int, int]) -> Slots:
    """Slots as the runner deals them out: shuffled within every round."""
    *_, blocks, rounds, arms = shape
    places = np.argsort(draw.random(shape), axis=3)
    return places + arms * np.arange(blocks * rounds).reshape(blocks, rounds, 1)


def fixed_order(draw: Draw, shape: tuple[int, int, int, int]) -> Slots:
    """A fault: the same order in every round, the baseline first."""
    return np.broadcast_to(np.arange(math.prod(shape[1:])).reshape(shape[1:]), shape)


def one_after_the_other(draw: Draw, shape: tuple[int, int, int, int]) -> Slots:
    """A fault: all of the first arm, then all of the second."""
    *_, blocks, rounds, arms = shape
    slots = np.arange(blocks * rounds * arms).reshape(arms, blocks, rounds)
    return np.broadcast_to(np.moveaxis(slots, 0, -1), shape)


def simulate(
    draw: Draw,
    count: int,
    *,
    blocks: int = BLOCKS,
    costs: tuple[float, ...] = (1.0,) * ARMS,
    noise: Noise = USUAL,
    drift: Drift = NO_DRIFT,
    order: Order = random_order,
) -> Array:
    """Logs of values (count, blocks, arms, VALUES) of ``count`` runs.

    ``costs`` says how much of the run's time each arm uses up; it moves the drift, not the values.
    """
    shape = (count, blocks, len(costs), VALUES)
    process = noise.process * draw.standard_normal(shape[:3])
    process += np.log(1.1) * (draw.random(shape[:3]) < noise.slow)
    logs = process[..., np.newaxis] + noise.value * draw.standard_normal(shape)
    logs += noise.neighbours * _hanging_together(draw, shape, noise.rho)
    logs += np.log1p((draw.random(shape) < noise.spikes) * draw.exponential(0.2, shape))
    slots = order(draw, (count, blocks, VALUES, len(costs)))
    return logs + drift(_time(slots, np.array(costs)), draw, blocks)


def log_ratios(values: Array) -> Array:
    """Medians over rounds of the log ratios to the baseline (count, arms - 1, blocks), the twin first."""
    return np.moveaxis(np.median(values[:, :, 1:] - values[:, :, :1], axis=3), 1, 2)


def _time(slots: Slots, costs: Array) -> Array:
    """The moment of every value as a share of the run (count, blocks, arms, VALUES)."""
    count, blocks, rounds, _ = slots.shape
    flat = slots.reshape(count, -1)
    lengths = np.empty(flat.shape)  # by slot
    np.put_along_axis(lengths, flat, np.tile(costs, blocks * rounds)[np.newaxis], axis=1)
    begins = np.cumsum(lengths, axis=1) - lengths
    times = np.take_along_axis(begins, flat, axis=1).reshape(slots.shape)
    return np.swapaxes(times, 2, 3) / (blocks * rounds * costs.sum())


def _part(time: Array) -> Array:
    """What lies behind the point; a whole number that rounding left a little too small has nothing there."""
    return (time + 1e-9) % 1


def _hanging_together(draw: Draw, shape: tuple[int, ...], rho: float) -> Array:
    """Unit noise (..., VALUES) in which each value holds ``rho`` of the one before."""
    fresh = draw.standard_normal(shape)
    for value in range(1, shape[-1]):
        fresh[..., value] = rho * fresh[..., value - 1] + np.sqrt(1 - rho * rho) * fresh[..., value]
    return fresh


def _one_each(draw: Draw, time: Array) -> Array:
    """One number in [0, 1) for each simulated run."""
    return draw.random((len(time), *[1] * (time.ndim - 1)))
