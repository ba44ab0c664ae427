"""How long things take in the synthetic journals: calls, basic operations, starts. No noise, no clock."""

from bench.records.record import Arm, Entry
from bench.workload.operations import Kernel

# microseconds a call of a training step, float32, tanh, one thread: (positional, single_step)
TYPICAL_US = {
    "numpy-published": (27000.0, 3900.0),
    "numpy-loop": (7100.0, 1900.0),
    "numpy-batched": (100.0, 31.0),
    "numpy-inplace": (77.0, 22.0),
    "torch-cell": (431.0, 124.0),
    "torch-layer": (365.0, 141.0),
    "torch-autograd": (358.0, 118.0),
    "torch-manual": (190.0, 61.0),
    "torch-inplace": (171.0, 52.0),
    "torch-compile": (152.0, 49.0),
}
TWO_THREADS = {"numpy-batched": 1.02, "numpy-inplace": 1.0, "torch-layer": 1.12}  # times one thread
ON_GPU_US = {"torch-layer": 410.0, "torch-autograd": 620.0, "torch-cell": 700.0, "torch-inplace": 330.0}
OF_TRAIN_STEP = {"train_step": 1.0, "gradient": 0.93, "forward": 0.33}
OF_FLOAT32 = {"numpy-batched": 1.5}  # float64's time; of the others, which hardly compute, OTHERWISE
OTHERWISE = 1.04
OF_TANH = {"tanh": 1.0, "sigmoid": 1.02}
SINGLE_STEP_ON_GPU = 0.35
# share of a training step that is left where every size but T is 1
CALLS_ALONE = {"numpy": 0.48, "torch": 0.67}
START_NS = {"numpy": 180_000_000, "torch": 1_900_000_000}  # processor time until a worker is ready
COLD_CALL_NS = {"numpy": 1_000_000, "torch": 9_000_000}  # its first call
COMPILE_NS = (21_000_000_000, 2_800_000_000)  # from nothing, from the run's cache
TRANSFER_NS = 60_000  # the main case's arrays to the accelerator

# of basic operations: nanoseconds that a call takes at any size, then work a nanosecond: 2 m k n operations
# of a product, n elements of the others, most of which are PASSES
CALL_NS = {("numpy", "cpu"): 600.0, ("torch", "cpu"): 1500.0, ("torch", "cuda"): 7000.0}
RATES = {
    ("numpy", "cpu"): {"product": 250.0, "tanh": 4.0, "sigmoid": 1.0, "exp": 2.0, "copy": 1.5},
    ("torch", "cpu"): {"product": 200.0, "tanh": 2.0, "sigmoid": 0.5, "exp": 0.9, "copy": 1.5},
    ("torch", "cuda"): {"product": 20000.0, "tanh": 200.0, "sigmoid": 200.0, "exp": 200.0, "copy": 150.0},
}
PASSES = {"cpu": 10.0, "cuda": 200.0}


def typical_ns(entry: Entry, arm: Arm) -> float:
    """The time of one call that the noise is put on."""
    case = entry.case
    factor = OF_TRAIN_STEP[case.task] * OF_TANH[case.activation]
    if case.dtype == "float64":
        factor *= OF_FLOAT32.get(arm.variant, OTHERWISE)
    if case.shape.H == 1:
        factor *= CALLS_ALONE[arm.library]
    elif case.layout == "sequence":
        factor *= 0.95
    single = case.layout == "single_step"
    if arm.device != "cpu":
        return ON_GPU_US[arm.variant] * (SINGLE_STEP_ON_GPU if single else 1.0) * factor * 1000
    if arm.threads == 2:
        factor *= TWO_THREADS[arm.variant]
    return TYPICAL_US[arm.variant][single] * factor * 1000


def primitive_ns(kernel: Kernel, arm: Arm) -> float:
    """The time of one call of a basic operation."""
    kind = arm.device.partition(":")[0]
    where = (arm.library, kind)
    return CALL_NS[where] + kernel.flops / RATES[where].get(kernel.name, PASSES[kind])
