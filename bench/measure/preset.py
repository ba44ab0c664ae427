"""What to measure: the user's wishes, and the presets that fill in what they leave open."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from bench import catalog
from bench.case import LAYOUTS, TASKS, Case, Shape, sine_case
from bench.errors import UserError
from bench.results.record import Arm, Missing

PRESETS = ("primer", "full")
PRIMER_VARIANTS = (
    "numpy-published", "numpy-loop", "numpy-batched", "numpy-inplace",
    "torch-autograd", "torch-cell", "torch-rnn", "torch-inplace",
)  # fmt: skip
QUICK_VARIANTS = (
    "numpy-published", "numpy-batched", "numpy-inplace", "torch-cell", "torch-rnn", "torch-inplace",
)  # fmt: skip
MAIN_VARIANTS = ("numpy-published", "numpy-loop")  # slow: in the main case alone
COMPILED_VARIANT = "torch-compile"  # in a group of its own, with fewer blocks: each compiles
ALL_THREADS_VARIANTS = ("numpy-batched", "numpy-inplace", "torch-rnn")
ACCELERATOR_VARIANTS = ("torch-autograd", "torch-cell", "torch-rnn", "torch-inplace")
# in the order of their importance; the first is the main one, which every arm takes part in
PRIMER_WORK = (
    ("train_step", "positional"),
    ("train_step", "sequence"),
    ("train_step", "single_step"),
    ("gradient", "positional"),
    ("forward", "positional"),
)
PRIMER_SIZES = ((6,), (128,), (), (32,), (8,))


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user asked for; an empty tuple or None leaves the choice to the preset."""

    preset: str = "primer"
    quick: bool = False
    devices: tuple[str, ...] = ("cpu",)  # ids that are present
    missing: tuple[Missing, ...] = ()  # asked for with "all", but absent
    no_torch: str | None = None  # why PyTorch cannot be used, where it cannot
    no_float64: tuple[str, ...] = ()  # ids of devices without it
    variants: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    layouts: tuple[str, ...] = ()
    activation: str = "tanh"
    dtype: str = "float32"
    seq_len: tuple[int, ...] = (6,)
    batch: tuple[int, ...] = (128,)
    features: tuple[int, ...] = ()  # given: random data instead of the sine
    hidden: tuple[int, ...] = (32,)
    outputs: tuple[int, ...] = (8,)
    split: str = "random"
    threads: tuple[int, ...] = ()
    all_threads: int = 1  # what "all threads" means on this machine
    blocks: int | None = None
    budget_s: float | None = None
    seed: int | None = None

    @property
    def customised(self) -> bool:
        """Whether the work differs from the preset's, so that its claim and time budget do not apply."""
        sizes = (self.seq_len, self.batch, self.features, self.hidden, self.outputs)
        chosen = (self.variants, self.tasks, self.layouts, self.threads)
        settings = (self.activation, self.dtype, self.split)
        return any(chosen) or sizes != PRIMER_SIZES or settings != ("tanh", "float32", "random")


def cases(wishes: Wishes) -> list[Case]:
    """The cases, the main one first: tasks and layouts of the preset or as wished, at every size.

    Raises:
        UserError: wishes that contradict each other or this machine.
    """
    if wishes.features and wishes.layouts:
        raise UserError(
            "--features makes random data of any shape, which has no --layout: give one of the two"
        )
    if too_many := [threads for threads in wishes.threads if threads > wishes.all_threads]:
        raise UserError(
            f"--threads {too_many[0]}: this machine has {wishes.all_threads} usable processors, and more "
            "threads than that would compete for them"
        )
    if wishes.preset == "full" and not wishes.quick:
        work = list(product(wishes.tasks or TASKS, wishes.layouts or LAYOUTS))
    elif wishes.customised:
        work = list(product(wishes.tasks or TASKS[:1], wishes.layouts or LAYOUTS[:1]))
    else:
        work = list(PRIMER_WORK[:1] if wishes.quick else PRIMER_WORK)
    common: dict[str, Any] = {
        "dtype": wishes.dtype,
        "activation": wishes.activation,
        "split": wishes.split,
        "seed": wishes.seed or 0,
    }
    found: list[Case] = []
    for task, layout in work:
        for window, batch, hidden, outputs in product(
            wishes.seq_len, wishes.batch, wishes.hidden, wishes.outputs
        ):
            for features in wishes.features:
                shape = Shape(window, batch, features, hidden, outputs)
                found.append(Case(task, shape, "sequence", data="random", **common))
            if not wishes.features:
                found.append(
                    sine_case(
                        task,
                        layout,
                        window=window,
                        batch=batch,
                        hidden=hidden,
                        outputs=outputs,
                        **common,
                    )
                )
    return list(dict.fromkeys(found))


def choose_arms(wishes: Wishes) -> tuple[list[Arm], list[Arm]]:
    """Arms of the main case, and of the others: those without all-thread arms and slow variants."""
    accelerators = [device for device in wishes.devices if device != "cpu"]
    every = tuple(variant.name for variant in catalog.VARIANTS)
    full = wishes.preset == "full" and not wishes.quick
    preset = every if full else QUICK_VARIANTS if wishes.quick else PRIMER_VARIANTS
    arms: list[Arm] = []
    if "cpu" in wishes.devices:
        for threads in wishes.threads or (1,):
            arms += _with_baseline(wishes.variants or preset, "cpu", threads)
    for device in accelerators:
        specs = wishes.variants or (every if full else ACCELERATOR_VARIANTS)
        able = [spec for spec in specs if device.partition(":")[0] in catalog.find(spec).devices]
        if able or not arms:
            arms += _with_baseline(able or specs, device, wishes.all_threads)
    if wishes.quick or wishes.customised:
        return _unique(arms), _unique(arms)

    side = [arm for arm in _unique(arms) if arm.spec not in MAIN_VARIANTS]
    if "cpu" in wishes.devices and wishes.all_threads > 1:
        specs = every if full else ALL_THREADS_VARIANTS
        arms += [arm for arm in _with_baseline(specs, "cpu", wishes.all_threads) if not arm.twin]
    everything = _unique(arms)
    return everything, everything if full else side


def compiled_arm() -> Arm:
    """The arm of the default run's group of compiled code."""
    return _arm(COMPILED_VARIANT, "cpu", 1)


def _with_baseline(specs: Sequence[str], device: str, threads: int) -> list[Arm]:
    """The baseline at that thread count, its twin, and the variants on the device."""
    baseline = [_arm(catalog.BASELINE, "cpu", threads), _arm(catalog.BASELINE, "cpu", threads, twin=True)]
    return baseline + [_arm(spec, device, threads) for spec in specs]


def _arm(spec: str, device: str, threads: int, *, twin: bool = False) -> Arm:
    variant = catalog.find(spec)
    name = f"{variant.name}@{device} x{threads}" + (" twin" if twin else "")
    return Arm(name, spec, variant.name, variant.library, device, threads, twin, variant.known_wrong)


def _unique(arms: list[Arm]) -> list[Arm]:
    """Each arm once, in order.

    Raises:
        UserError: two variants of one name.
    """
    found: dict[str, Arm] = {}
    for arm in arms:
        if found.setdefault(arm.id, arm).spec != arm.spec:
            raise UserError(
                f"{found[arm.id].spec} and {arm.spec} are both called {arm.variant!r}: rename one"
            )
    return list(found.values())
