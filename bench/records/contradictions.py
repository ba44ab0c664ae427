"""What no run writes: a journal can be sealed well, fit its schema, and still contradict itself.

Whoever reads a run may rely on what is checked here: names stand for what is
there, sizes and times are possible ones, and facts about the machine are of the kind that is known. What a
name looks like is anybody's choice: whoever shows one makes it printable.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from bench.machine.errors import UserError
from bench.machine.libraries import LIBRARIES
from bench.records.record import MAX_BLOCKS, Burst, Plan, Rates
from bench.records.run import Run
from bench.workload.case import ACTIVATIONS, DTYPES, LAYOUTS, SPLITS, TASKS, Case

LONGEST_NS = 10**16  # of what is timed: four months
MOST = 10**9  # of a size, of threads, of calls; and of seconds, which is thirty years
# the fields of a case that choose among names
CHOICES = {
    "task": TASKS, "layout": LAYOUTS, "dtype": DTYPES, "activation": ACTIVATIONS, "split": SPLITS,
    "data": ("sine", "random"),
}  # fmt: skip
PASSED = ("ok", "known_wrong")  # no status of a failure
# facts that are worked with, and what they are; others are only shown
COUNTS = ("cpus", "usable_cpus", "physical_cores", "memory_bytes")
TABLES = ("packages", "precision")
TEXTS = ("processor", "device_name")


def refuse_contradictions(run: Run, path: Path) -> None:
    """Raise UserError where the run of this journal contradicts itself."""
    for problem in _contradictions(run):
        raise UserError(f"{path} contradicts itself: {problem}; the file was edited or is damaged")


def of_case(case: Case) -> Iterator[str]:
    """What makes a case none that can be measured."""
    for field, known in CHOICES.items():
        if getattr(case, field) not in known:
            yield f"no {field} is called {shown(getattr(case, field))}"
    sizes = {letter: getattr(case.shape, letter) for letter in "TBIHO"}
    if not 1 <= min(sizes.values()) <= max(sizes.values()) <= MOST:
        yield f"a shape of {sizes}"
    if not (case.lr > 0 and case.delta > 0):
        yield f"a learning rate of {case.lr:g} and a cutoff of {case.delta:g}"


def of_facts(facts: Mapping[str, Any]) -> Iterator[str]:
    """Facts about a machine or a library that are of another kind than those that are worked with."""
    for names, kind in ((TABLES, dict), (TEXTS, str)):
        for name in names:
            if not isinstance(facts.get(name), kind | None):
                yield f"{name} is {shown(facts[name])}"
    for name in COUNTS:
        value = facts.get(name, 0)
        if value is not None and (not isinstance(value, int) or value < 0):
            yield f"{name} is {shown(value)}"


def shown(value: object) -> str:
    """A value as a message shows it."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _contradictions(run: Run) -> Iterator[str]:
    """What is wrong, the first cause first: later checks rely on those before them."""
    yield from _of_plan(run.plan)
    yield from _of_references(run)
    yield from _of_blocks(run)
    yield from _of_numbers(run)
    checked: set[int] = set()  # lists of checks are shared by many bursts
    for burst in run.bursts:
        yield from _of_burst(burst, known=id(burst.checks) in checked)
        checked.add(id(burst.checks))
    for rates in run.rates:
        yield from _of_rates(rates)
    for conditions in run.conditions:
        yield from of_case(conditions.case)
    for failure in run.failures:
        if failure.status in PASSED:
            yield f"a failure with the status {failure.status}"
    for environment in run.environments:
        yield from of_facts(environment.machine)
    for worker in run.workers:
        if not worker.arms:
            yield f"a worker without arms in block {worker.block}"
        yield from of_facts(worker.facts)


def _of_plan(plan: Plan) -> Iterator[str]:
    """The plan by itself."""
    entries = [entry for group in plan.groups for entry in group.entries]
    if not entries:
        yield "the plan has no entry"
    ids = {
        "arms": [arm.id for arm in plan.arms],
        "groups": [group.name for group in plan.groups],
        "entries": [entry.id for entry in entries],
    }
    if not all(chain(*ids.values(), *((arm.spec, arm.variant, arm.device) for arm in plan.arms))):
        yield "a name is empty"
    for what, names in ids.items():
        yield from (f"two {what} are called {shown(name)}" for name, n in Counter(names).items() if n > 1)
    libraries = {*LIBRARIES, *(own.name for own in plan.libraries)}
    for own in plan.libraries:
        yield from own.problems()
    for arm in plan.arms:
        if arm.library not in libraries:
            yield f"no library is called {shown(arm.library)}"
        if not 1 <= arm.threads <= MOST:
            yield f"{arm.threads} threads of {shown(arm.id)}"
    for group in plan.groups:
        for entry in group.entries:
            if entry.group != group.name:
                yield f"{shown(entry.id)} stands in the group {shown(group.name)}, which is not its own"
    for case in dict.fromkeys([*(entry.case for entry in entries), *(probe.case for probe in plan.probes)]):
        yield from of_case(case)
    if not 0 < plan.margin < 1:
        yield f"a margin of {plan.margin}"


def _of_references(run: Run) -> Iterator[str]:
    """Names that the plan does not know."""
    entries, arms, plan = run.entries, run.arms, run.plan
    pairs = [*plan.pairs, *(run.decision.pairs if run.decision else [])]
    named = [*{burst.entry: None for burst in run.bursts}, *(failure.entry for failure in run.failures)]
    named += [name for pair in pairs for name in (pair.entry, pair.baseline)]
    named += [entry.baseline for entry in entries.values() if entry.baseline is not None]
    named += [name for rung in plan.ladder for name in (rung.entry, rung.above) if name is not None]
    yield from (
        f"the plan has no entry {shown(name)}" for name in dict.fromkeys(named) if name not in entries
    )
    used = [entry.arm for entry in entries.values()] + [probe.arm for probe in plan.probes]
    used += [rates.arm for rates in run.rates] + [arm for worker in run.workers for arm in worker.arms]
    yield from (f"the plan has no arm {shown(name)}" for name in dict.fromkeys(used) if name not in arms)
    alone = [(entry.id, entry.baseline) for entry in entries.values()]
    alone += [(pair.entry, pair.baseline) for pair in pairs]
    yield from (f"{shown(name)} is its own baseline" for name, other in alone if name == other)


def _of_blocks(run: Run) -> Iterator[str]:
    """Blocks that the run does not have, or has twice."""
    plan = run.plan
    blocks = {worker.block for worker in run.workers} | {burst.block for burst in run.bursts}
    blocks |= {rates.block for rates in run.rates} | {failure.block for failure in run.failures}
    last = max(blocks, default=0)
    most = max([plan.blocks, *(one.blocks for one in run.extensions)])
    if max(last, most) > MAX_BLOCKS or last > most or min(blocks, default=0) < 0:
        yield f"block {last} of {most}, where a run has at most {MAX_BLOCKS}"
    if len(run.extensions) > 1 or (run.extensions and run.decision is None):
        yield "it was extended more than once, or before its block 0 was over"
    for one in run.extensions:
        if not (1 <= one.before < one.blocks and 0 < one.level <= 1):
            yield f"it was extended from {one.before} to {one.blocks} blocks, at a level of {one.level:g}"
    declared = [part.blocks for part in (plan, run.decision, *plan.groups, *plan.probes) if part is not None]
    if min(number for number in declared if number is not None) < 1:
        yield "fewer than one block"
    seen: set[tuple[str, int]] = set()
    for burst in run.bursts:
        if (burst.entry, burst.block) in seen:
            yield f"two bursts of {shown(burst.entry)} in block {burst.block}"
        seen.add((burst.entry, burst.block))


def _of_numbers(run: Run) -> Iterator[str]:
    """Numbers of the plan and of single records that are negative, or beyond anything."""
    plan, decision, end = run.plan, run.decision, run.end
    numbers: list[tuple[str, float | None, float]] = [
        ("seed", plan.seed, float("inf")),
        ("time budget", plan.budget_s, MOST),
        ("precision", plan.precision, MOST),
        *(("gate", gate, MOST) for gate in plan.gates.values()),
        ("predicted time", decision.predicted_s if decision else None, MOST),
        ("time taken", end.seconds if end else None, MOST),
        *(
            ("time", ns, LONGEST_NS)
            for worker in run.workers
            for ns in (worker.ready_ns, worker.compile_ns, worker.compile_cpu_ns)
        ),
        *(
            ("number of values", n, LONGEST_NS)
            for found in run.conditions
            for n in (found.hidden, found.hidden_subnormal, found.gradient, found.gradient_subnormal)
        ),
    ]
    for what, number, most in numbers:
        if number is not None and not 0 <= number <= most:
            yield f"a {what} of {number}"


def _of_burst(burst: Burst, *, known: bool) -> Iterator[str]:
    """One burst; its checks are looked at unless they are ``known``."""
    where = f"for {shown(burst.entry)} in block {burst.block}"
    if not burst.elapsed_ns or min(burst.elapsed_ns) <= 0 or burst.n_calls < 1:
        yield f"a time that is not positive {where}"
    numbers = (
        *burst.elapsed_ns, *burst.rounds, *burst.places, burst.n_calls, burst.first_call_ns,
        burst.warmup_calls, burst.rewarm_calls,
        burst.residual_ns, burst.cpu_ns, burst.transfer_ns, burst.cold_call_ns, *burst.waited_ns,
    )  # fmt: skip
    if min(numbers) < 0 or max(numbers) > LONGEST_NS:
        yield f"a number that no run has, {min(numbers)} or {max(numbers)}, {where}"
    if not known and any(check.error < 0 or check.tolerance < 0 for check in burst.checks):
        yield f"an error or a tolerance below 0 {where}"
    if not len(burst.elapsed_ns) == len(set(burst.rounds)) == len(burst.rounds) == len(burst.places):
        yield f"values whose rounds are not told, {where}"
    if len(burst.waited_ns) not in (0, len(burst.elapsed_ns)):
        yield f"values of which some tell how long they waited, {where}"


def _of_rates(rates: Rates) -> Iterator[str]:
    """The basic operations of one library in one block."""
    yield from of_case(rates.case)
    for primitive in rates.primitives:
        times = primitive.elapsed_ns
        if (
            not times
            or min(times) <= 0
            or max(times) > LONGEST_NS
            or not 1 <= primitive.n_calls <= LONGEST_NS
        ):
            yield f"a time that is not positive for the basic operation {primitive.name!r}"
        lengths = 3 if primitive.name.startswith("product") else 1
        if len(primitive.size) != lengths or min(primitive.size) < 0 or max(primitive.size) > LONGEST_NS:
            yield f"a size that is none, {shown(primitive.size)}, for the basic operation {primitive.name!r}"
