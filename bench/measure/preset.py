"""What to measure: the user's wishes, and the presets that fill in what they leave open."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from bench.machine.errors import UserError
from bench.records.record import Arm, BudgetRule, Missing
from bench.workload import catalog
from bench.workload.case import LAYOUTS, TASKS, Case, Shape, sine_case
from bench.workload.cell import find_cell

GRID_SIZES = {"hidden": (8, 32, 128, 512, 1024, 2048), "batch": (1, 4, 16, 32, 64, 128), "features": (6,)}
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
    missing_libraries: dict[str, str] = field(default_factory=dict)  # why one cannot be used, by name
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
    rounds: int | None = None  # of a block
    isolate: bool = False  # a worker an arm
    budget_s: float | None = None
    budget_rule: BudgetRule = "aim"
    seed: int | None = None
    exact_cases: tuple[Case, ...] = ()  # of a refinement, in place of tasks, layouts and sizes
    exact_arms: tuple[Arm, ...] = ()  # and these in place of variants, threads and devices

    @property
    def customised(self) -> bool:
        """Whether the work differs from the preset's, so that its claim and time budget do not apply."""
        sizes = (self.seq_len, self.batch, self.features, self.hidden, self.outputs)
        sizes = PRIMER_SIZES if self.preset == "grid" else sizes  # a grid is one of any sizes
        chosen = (self.variants, self.tasks, self.layouts, self.threads, self.exact_cases)
        settings = (self.activation, self.dtype, self.split)
        return any(chosen) or sizes != PRIMER_SIZES or settings != ("tanh", "float32", "random")

    @property
    def standard(self) -> bool:
        """Whether it is the tutorial's own work, at its own size."""
        return not self.customised and self.preset != "grid"


def cases(wishes: Wishes) -> list[Case]:
    """The cases, the main one first: tasks and layouts of the preset or as wished, at every size.

    Raises:
        UserError: wishes that contradict each other or this machine.
    """
    if wishes.exact_cases:
        return list(wishes.exact_cases)
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
    elif not wishes.standard:
        work = list(product(wishes.tasks or TASKS[:1], wishes.layouts or LAYOUTS[:1]))
    else:
        work = list(PRIMER_WORK[:1] if wishes.quick else PRIMER_WORK)
    common: dict[str, Any] = {
        "dtype": wishes.dtype,
        "activation": wishes.activation,
        "split": wishes.split,
        "seed": wishes.seed or 0,
        "cell": catalog.cell_of(wishes.variants),
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
    """Arms of the main case, and of the others: those without all-thread arms."""
    if wishes.exact_arms:
        return list(wishes.exact_arms), list(wishes.exact_arms)
    accelerators = [device for device in wishes.devices if device != "cpu"]
    preset, accelerated = _preset_variants(wishes)
    baseline = find_cell(catalog.cell_of(wishes.variants)).baseline
    arms: list[Arm] = []
    if "cpu" in wishes.devices:
        for threads in wishes.threads or (1,):
            arms += _with_baseline(baseline, wishes.variants or preset, "cpu", threads)
    for device in accelerators:
        specs = wishes.variants or accelerated
        able = [spec for spec in specs if device.partition(":")[0] in catalog.find(spec).devices]
        if able or not arms:
            arms += _with_baseline(baseline, able or specs, device, wishes.all_threads)
    if wishes.quick or not wishes.standard:
        return _unique(arms), _unique(arms)

    side = _unique(arms)
    if "cpu" in wishes.devices and wishes.all_threads > 1:
        specs = preset if wishes.preset == "full" else _all_threads_variants()
        arms += [arm for arm in _with_baseline(baseline, specs, "cpu", wishes.all_threads) if not arm.twin]
    everything = _unique(arms)
    return everything, everything if wishes.preset == "full" else side


def _preset_variants(wishes: Wishes) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the variants that a preset measures on the CPU, and those that accelerators choose from.

    The default leaves the slow ones, which loop over the batch, to the ladder. Where a size is the question,
    as in a grid, how each library is usually written and its fastest forms suffice.
    """
    default = names(catalog.by_role("as_written", "fastest", "tutorial", "plain"))
    if wishes.quick:
        return names(catalog.by_role("as_written", "fastest", "tutorial")), default
    if wishes.preset == "full":
        return names(catalog.VARIANTS), names(catalog.VARIANTS)
    return (size_variants(), size_variants()) if wishes.preset == "grid" else (default, default)


def size_variants() -> tuple[str, ...]:
    """Return what is measured beside the baseline where a size is the question."""
    return tuple(name for name in names(catalog.by_role("as_written", "fastest")) if name != catalog.BASELINE)


def _all_threads_variants() -> tuple[str, ...]:
    """Return what the default also measures on all threads: as usually written, and NumPy's fastest form."""
    library = catalog.find(catalog.BASELINE).library
    chosen = catalog.by_role("as_written", "fastest")
    return names(one for one in chosen if one.role == "as_written" or one.library == library)


def names(variants: Iterable[catalog.Variant]) -> tuple[str, ...]:
    """Return the names of variants."""
    return tuple(variant.name for variant in variants)


def _with_baseline(own_baseline: str, specs: Sequence[str], device: str, threads: int) -> list[Arm]:
    """The baseline at that thread count, its twin, and the variants on the device."""
    baseline = [
        make_arm(own_baseline, "cpu", threads),
        make_arm(own_baseline, "cpu", threads, twin=True),
    ]
    return baseline + [make_arm(spec, device, threads) for spec in specs]


def make_arm(spec: str, device: str, threads: int, *, twin: bool = False) -> Arm:
    """A variant of the catalogue in its place."""
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
