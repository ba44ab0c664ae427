"""The audit: what is unfair or unstable on a machine, the same for the verb ``check`` and for every journal.

The rules are tables. A rule tells when it holds, how bad that is, what is wrong and what mends it; a rule
whose facts are not known stays silent.
"""

import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from bench.machine import gates, host
from bench.machine.busy import QUIET
from bench.machine.devices import probe_libraries
from bench.machine.environ import THREAD_LIMITS, speed_variables, worker_environment
from bench.machine.libraries import BLAS, LIBRARIES, NUMPY, library
from bench.machine.libraries.library import Inventory

# unfair: it favours one library; unstable: times scatter or drift; note: good to know
Level = Literal["unfair", "unstable", "note"]
LEVELS: tuple[Level, ...] = ("unfair", "unstable", "note")

SAMPLE_S = 0.5
BUSY = 0.5  # load for every usable processor
MAX_STEAL = 0.01
MAX_THROTTLED = 0.01  # share of the quota's periods
MAX_SWAPPED = 0.05  # of the memory
MAX_TAKEN = 0.1  # of an accelerator's memory, before anything was measured
SLOW_CLOCK_NS = 1000  # of one reading
HOT_C, HOT_DEVICE_C = 90, 85
CALM_REASONS = 0x1 | 0x2  # NVML: idle, and clocks as an application set them
# percent of ten seconds, and what is waited for
PRESSURES = (("cpu", 10.0, "a processor"), ("memory", 1.0, "memory"), ("io", 20.0, "a disk"))
SLOW_BLAS = ("lapack_lite", "netlib", "reference", "none")
# kernels of OpenBLAS for processors without AVX2
OLD_KERNELS = {
    "generic", "prescott", "core2", "penryn", "dunnington", "nehalem", "atom", "athlon", "opteron",
    "opteron_sse3", "barcelona", "bobcat", "nano", "sandybridge", "bulldozer", "piledriver", "katmai",
    "coppermine", "northwood", "banias", "dynamic",
}  # fmt: skip
AVX2_KERNELS = {"haswell", "zen", "excavator", "steamroller"}
OLDEST_OPENBLAS = (0, 3, 26)  # older than what came with NumPy 2
DEBUG = ("PYTHONDEVMODE", "PYTHONMALLOC", "PYTHONTRACEMALLOC", "MALLOC_PERTURB_")
ALLOCATOR = ("LD_PRELOAD", "GLIBC_TUNABLES", "MALLOC_")
NOTED = (*ALLOCATOR, "OMP_", "GOMP_", "KMP_")  # with DEBUG: what is worth a note in a shell

TUNE = "sudo python -m pyperf system tune  (of the package pyperf; lasts until the next start)"
PERFORMANCE = "sudo cpupower frequency-set -g performance"
END = "see what runs with `top`, end it, wait a minute"
UNSHARED = "a machine, or a kind of virtual machine, whose processors are not shared"
USUAL = "use the python of your distribution, of python.org or of uv"
COOL = "let it cool down"
WHO = "nvidia-smi  (tells who)"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, a clause without a full stop; and what mends it: a command, or what else to do."""

    topic: str
    level: Level
    what: str
    mend: str
    banner: bool = True  # whether a report says it above its numbers


class Facts(dict[str, Any]):
    """Facts by name, also as attributes; one that is not known is None."""

    def __missing__(self, name: str) -> None:
        return None

    def __getattr__(self, name: str) -> Any:
        return self[name]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: ``what`` and ``mend`` have names of facts in braces.

    ``holds`` returns a false value, or a true one: a dict is of more names that the sentences use. Comparing
    what is not known raises TypeError, and the rule stays silent.
    """

    level: Level
    topic: str
    holds: Callable[[Facts], object]
    what: str
    mend: str
    banner: bool = False  # also of a note, which else stands in no report

    def find(self, facts: Facts) -> Iterator[Finding]:
        """Yield what the rule finds in the facts, if anything."""
        with suppress(TypeError):
            if reason := self.holds(facts):
                known = Facts(facts | reason) if isinstance(reason, dict) else facts
                topic, what, mend = (text.format_map(known) for text in (self.topic, self.what, self.mend))
                yield Finding(topic, self.level, what, mend, self.banner or self.level != "note")


Subject = tuple[Sequence[Rule], Facts]  # what rules are about


def _all_true(**values: Any) -> dict[str, Any] | None:
    """Return the values where all of them are true."""
    return values if all(values.values()) else None


def _waits(kind: str, most: float, machine: Facts) -> dict[str, float] | None:
    """Return the percent of ten seconds that tasks waited; a busy machine's for a processor is no news."""
    percent = (machine.pressure_percent or {}).get(kind, 0.0)
    return {"percent": percent} if percent > most and not (kind == "cpu" and machine.busy) else None


def _slow_governor(machine: Facts) -> str | None:
    return next((name for name in machine.governors if name in ("powersave", "conservative")), None)


def _openblas_version(facts: Facts) -> tuple[int, ...]:
    numbers = re.findall(r"\d+", str(facts.blas_version or ""))
    return tuple(map(int, numbers[:3])) if "openblas" in str(facts.blas).lower() else ()


def _below_float32(facts: Facts) -> dict[str, Any] | None:
    """Return the switches that a library leaves below float32 by default, by their short names."""
    modes = {
        name.removeprefix(f"{facts.name}.backends."): mode.upper()
        for name, mode in (facts.default_precision or {}).items()
        if mode in ("tf32", "bf16")
    }
    first = min(modes, default="")
    return _all_true(switches=" and ".join(sorted(modes)), first=first, mode=modes.get(first))


# fmt: off
MACHINE = (
    Rule("unfair", "threads", lambda m: m.threads > m.usable_cpus,
         "{threads} threads on {usable_cpus} usable processors: they compete, not every library bears it",
         "rnnbench run --threads {usable_cpus}"),
    Rule("note", "threads", lambda m: m.physical_cores < m.threads <= m.usable_cpus,
         "{threads} threads on {physical_cores} physical cores: two share one",
         "rnnbench run --threads {physical_cores}"),
    Rule("unstable", "quota", lambda m: m.cgroup_quota < 1,
         "the cgroup grants {cgroup_quota:g} processors: even one thread is put aside again and again",
         "docker run --cpuset-cpus=0 instead of --cpus, or the same in what starts the container"),
    Rule("note", "quota", lambda m: m.cgroup_quota >= 1,
         "the cgroup grants {cgroup_quota:g} processors by a quota, which puts aside whoever has used it up",
         "docker run --cpuset-cpus=0-1 instead of --cpus, or the same in what starts the container"),
    Rule("unstable", "quota", lambda m: m.throttled_periods > MAX_THROTTLED * m.quota_periods,
         "the cgroup's quota was used up in {throttled_periods} of {quota_periods} periods so far",
         "raise the quota, or end what else runs in the container"),
    Rule("note", "affinity",
         lambda m: m.cgroup_quota is None and m.usable_cpus < m.cpus and {"last": m.cpus - 1},
         "this process may use {usable_cpus} of {cpus} processors ({affinity})",
         "taskset -c 0-{last} rnnbench run  (where all of them are meant)"),
    Rule("unstable", "load", lambda m: m.busy and m.others_cpus is not None,
         "other programs used {others_cpus:.2g} processors when the run began: times scatter more",
         "--wait-quiet 10min, which waits until they are done"),
    Rule("unstable", "load", lambda m: m.busy and m.others_cpus is None,
         "the machine was busy at the start (load {load_1min}): times scatter more", END),
    Rule("unstable", "steal", lambda m: m.steal_share > MAX_STEAL,
         "the hypervisor gave {steal_share:.1%} of the processors' time since the start to others", UNSHARED),
    Rule("unstable", "memory",
         lambda m: m.swap_used_bytes > MAX_SWAPPED * m.memory_bytes and {"gib": m.swap_used_bytes / 2**30},
         "{gib:.1f} GiB are swapped out", "sudo swapoff -a; sudo swapon -a"),
    Rule("unstable", "governor", lambda m: _all_true(slow=_slow_governor(m)),
         "the processor's governor is {slow}: its clock may stay low", PERFORMANCE),
    Rule("unstable", "governor",
         lambda m: not _slow_governor(m) and len(m.governors) > 1 and {"all": " and ".join(m.governors)},
         "the processors have different governors, {all}", PERFORMANCE),
    Rule("note", "governor", lambda m: m.governor in ("ondemand", "schedutil"),
         "the governor is {governor}: the clock follows the load", PERFORMANCE),
    Rule("unstable", "power", lambda m: m.power == "battery",
         "the machine runs on its battery: its clock may stay low", "plug it in"),
    Rule("note", "turbo", lambda m: m.turbo == "on",
         "turbo is on: the clock falls as the processor warms up", TUNE),
    Rule("note", "turbo", lambda m: m.turbo is None,
         "whether the clock may rise above its nominal speed is unknown here",
         "look into the firmware's settings, or ask who runs the virtual machine"),
    Rule("unstable", "temperature", lambda m: m.temperature_c >= HOT_C,
         "{temperature_c} degrees Celsius: the clock may fall", COOL),
    Rule("unstable", "memory layout", lambda m: m.aslr == 0,
         "ASLR is off: every process gets the same memory layout, lucky or not, and repeats its luck",
         "sudo sysctl kernel.randomize_va_space=2"),
    Rule("note", "memory layout", lambda m: m.transparent_huge_pages == "always",
         "huge pages are used always: large arrays get them or not, as memory happens to be",
         "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled"),
    Rule("unstable", "clock", lambda m: m.clock_ns > SLOW_CLOCK_NS and {"source": m.clocksource or "unknown"},
         "one reading of the clock costs {clock_ns} ns (clock source: {source}): values must be longer",
         "echo tsc | sudo tee /sys/devices/system/clocksource/clocksource0/current_clocksource"),
    Rule("note", "isolation", lambda m: m.on_linux and not m.isolated_cpus,
         "no processor is kept free of other work",
         "start the kernel with isolcpus=..., then: taskset -c ... rnnbench run"),
    Rule("note", "virtual machine", lambda m: m.hypervisor,
         "this is a virtual machine ({hypervisor}): its neighbours share caches and memory with it",
         "a machine of its own for results to publish"),
    Rule("note", "allocator", lambda m: m.preloaded_everywhere,
         "/etc/ld.so.preload loads a library into every process: memory may not be allocated as usual",
         "sudo mv /etc/ld.so.preload /etc/ld.so.preload.off", banner=True),
    # NumPy's variants call more Python than a compiled graph does
    Rule("unfair", "Python", lambda m: m.python_debug,
         "this Python is a debug build: every call from Python costs more", USUAL),
    Rule("note", "Python", lambda m: m.python_optimised is False and not m.python_debug,
         "this Python was built without --enable-optimizations: its calls cost more", USUAL),
    Rule("note", "Python", lambda m: m.python_gil == "off",
         "this Python runs without the GIL: its calls cost more", USUAL),
    *(Rule("unstable", "load", partial(_waits, kind, most),
           f"tasks waited for {what} {{percent:.0f}} % of ten seconds", END)
      for kind, most, what in PRESSURES),
)
LIBRARY = (  # ``asked``: for how many threads; ``units``: vector units of the processor
    Rule("unfair", "threads", lambda x: x.threads is not None and x.threads != x.asked,
         "{name} computes with {threads} threads where {asked} were asked for", "{upgrade}"),
    Rule("unfair", "BLAS", lambda x: x.blas and x.blas.lower() in SLOW_BLAS and {"blas": x.blas.lower()},
         "{label} has no fast BLAS here ({blas})", "{upgrade}"),
    Rule("note", "BLAS",
         lambda x: () < (old := _openblas_version(x)) < OLDEST_OPENBLAS and {"old": ".".join(map(str, old))},
         "{label} computes with OpenBLAS {old}, which is old", "{upgrade}", banner=True),
    Rule("unfair", "BLAS", lambda x: x.kernel and x.kernel.lower() in OLD_KERNELS and "avx2" in x.units,
         "{label}'s BLAS computes with its kernel for {kernel}, and this processor has AVX2", "{upgrade}"),
    Rule("note", "BLAS", lambda x: x.kernel and x.kernel.lower() in AVX2_KERNELS and "avx512f" in x.units,
         "{label}'s BLAS computes with its kernel for {kernel}, and this processor has AVX-512", "{upgrade}"),
    Rule("unfair", "{label}", lambda x: x.cpu_capability in ("DEFAULT", "NO AVX") and "avx2" in x.units,
         "{label}'s loops do not use this processor's AVX2", "{upgrade}"),
    Rule("unfair", "{label}", lambda x: x.debug, "this {label} is a debug build", "{upgrade}"),
    Rule("unfair", "{label}", lambda x: x.deterministic_algorithms,
         "deterministic algorithms are switched on in every process: they can be slower",
         "look for {name}.use_deterministic_algorithms in sitecustomize.py"),
    Rule("unfair", "{label}", lambda x: x.mkldnn == "off",
         "oneDNN is missing or off: matrix products are slower", "{upgrade}"),
    Rule("unfair", "precision",
         lambda x: _all_true(low=", ".join(sorted(k for k, v in (x.precision or {}).items() if v != "ieee"))),
         "{low} would not compute in IEEE float32, although all were set to", "{upgrade}"),
    Rule("note", "precision", _below_float32,
         "by {label}'s own defaults {switches} may compute in {mode}, and the other switches do not: a run "
         "sets all of them to IEEE",
         '{name}.backends.{first}.fp32_precision = "ieee", ...  (in what is timed without rnnbench)'),
)
DEVICE = (
    Rule("unstable", "accelerator", lambda d: _all_true(reasons=int(d.throttle_reasons or 0) & ~CALM_REASONS),
         "{id} holds its clock back (NVML's reasons 0x{reasons:x})",
         "nvidia-smi -q -d PERFORMANCE  (tells why: power, heat)"),
    Rule("unstable", "accelerator", lambda d: d.temperature_c >= HOT_DEVICE_C,
         "{id} is at {temperature_c} degrees Celsius", COOL),
    Rule("unstable", "accelerator",
         lambda d: (used := d.memory_taken_bytes) > MAX_TAKEN * d.memory_bytes and {"gib": used / 2**30},
         "{gib:.1f} GiB of {id} are in use by somebody else", WHO),
)
AGAIN = "run again without --keep-env {name}"
KEPT = (  # a variable that reaches the workers, since somebody asked for it
    Rule("unfair", "threads", lambda v: v.name in THREAD_LIMITS,
         "{name}={value} was kept: the libraries may have unequal threads", AGAIN),
    Rule("unfair", "precision", lambda v: v.lowers,
         "{name}={value} was kept: {lowers} may compute with less than float32", AGAIN),
    Rule("unfair", "accelerator", lambda v: v.blocks and v.value not in ("", "0"),
         "{name}={value} was kept: {blocks} waits for every kernel", AGAIN),
    Rule("unstable", "debugging", lambda v: v.name in DEBUG,
         "{name}={value} was kept: every allocation costs more", AGAIN),
    Rule("note", "allocator", lambda v: v.name.startswith(ALLOCATOR) and v.name not in DEBUG,
         "{name}={value} was kept: memory is not allocated as usual", AGAIN, banner=True),
)
PINNED = (  # variables that hold a part of a library back on a processor that can do more
    Rule("note", "pinned kernels", lambda v: not v.kept,
         "{values}, set here to pin {part}, {do} not reach the workers of a run{kernels}; --keep-env NAME "
         "times with such a variable",
         "unset {names}  (for pytest --benchmark, which cannot drop what is set)", banner=True),
    Rule("unfair", "pinned kernels", lambda v: v.kept,
         "{values} pinned {part}: {label} may be slower than it can be", "run again without {options}"),
)
SHELL = (  # variables of the shell, which a run replaces, and which meet whatever is timed without it
    Rule("note", "threads", lambda v: v.limits,
         "{values} in this shell{alike} {do} not count: a run sets every limit alike for both libraries; "
         "choose with --threads", "unset {names}  (for what is timed without rnnbench)"),
    Rule("note", "variables", lambda v: not v.limits, "{values} {do} not reach the workers of a run",
         "unset {names}  (for what is timed without rnnbench)"),
)
FLUSH = "look for set_flush_denormal, or for a library built with -ffast-math that sets it when loaded"
SUBNORMALS = (
    Rule("unfair", "subnormal numbers", lambda x: x.flushing and x.others,
         "{flushing} flushes subnormal numbers to zero, and the other library does not", FLUSH),
    Rule("note", "subnormal numbers", lambda x: x.flushing and not x.others,
         "{flushing} flushes subnormal numbers to zero: results differ from IEEE arithmetic", FLUSH,
         banner=True),
)
SILENT = Rule("note", "{name}", bool, "nothing is known about {name}: {reason}", "pip install {name}")
SAMPLE = Rule("unstable", "now", bool, "while nothing was asked of it, {words}", "{remedy}")
SAMPLED = {  # what mends what the gates saw while nothing was asked of the machine
    "waiting": END,
    "steal": UNSHARED,
    "throttled": "raise the container's quota, or end what else runs in it",
}
# fmt: on


def audit(
    facts: Mapping[str, Any],
    *,
    threads: int,
    dropped: Mapping[str, str] | None = None,
    kept: Mapping[str, str] | None = None,
    shell: Mapping[str, str] | None = None,
    probed: Mapping[str, Inventory] | None = None,
    sample: Mapping[str, float] | None = None,
) -> list[Finding]:
    """Return what is unfair or unstable, the worst first; rules without their facts stay silent.

    Args:
        facts: of the machine, as ``host.describe`` gives them.
        threads: the most that an arm has.
        dropped, kept: variables that bear on speed and do not, or do, reach the workers.
        shell: variables that bear on speed as they are set now.
        probed: what each library tells in a process with ``threads`` threads.
        sample: what the gates read over a moment in which nothing was asked of the machine.
    """
    subjects = [
        *_pinned(dropped or {}, probed or {}),
        *_pinned(kept or {}, {}, kept=True),
        *_shell(shell or {}),
        *((KEPT, _variable(*item)) for item in (kept or {}).items()),
        *_libraries(probed or {}, threads, facts.get("vector_units") or ()),
        (MACHINE, _machine_facts(facts, threads)),
        *_sampled(sample or {}),
    ]
    findings = [finding for rules, subject in subjects for rule in rules for finding in rule.find(subject)]
    return sorted(findings, key=lambda finding: LEVELS.index(finding.level))


def banners(findings: Iterable[Finding]) -> list[str]:
    """Return what a report says above its numbers: clauses without a full stop, with what mends them."""
    return [
        finding.what if finding.level == "note" else f"{finding.what}. To mend it: {finding.mend}"
        for finding in findings
        if finding.banner
    ]


def warnings(
    facts: Mapping[str, Any], dropped: Mapping[str, str], kept: Mapping[str, str], threads: int
) -> list[str]:
    """Return what a reader of the numbers should know about the state of this machine."""
    return banners(audit(facts, dropped=dropped, kept=kept, threads=threads))


def audit_here(devices: Sequence[str] | None = None) -> list[Finding]:
    """Look at this machine, ask every library, and audit. ``devices``: accelerators; None for all."""
    before = gates.read()
    time.sleep(SAMPLE_S)
    sample = gates.between(before, gates.read())
    facts = host.describe()  # before the children start, which are a load of their own
    threads = host.usable_cpus()
    environment = worker_environment(threads)
    pins = [name for name in environment.dropped if _pin(name)]
    return audit(
        facts,
        threads=threads,
        dropped=environment.dropped,
        kept=environment.kept,
        shell=speed_variables(),
        probed=probe_libraries(threads, pins, devices=devices),
        sample=sample,
    )


def _machine_facts(facts: Mapping[str, Any], threads: int) -> Facts:
    """Return the facts of a machine with what several rules need of them."""
    machine = Facts(facts, threads=threads, usable_cpus=facts.get("usable_cpus") or None)
    with suppress(TypeError):
        machine["busy"] = machine.load_1min > BUSY * machine.usable_cpus
    if machine.others_cpus is not None:  # says more: the load is also of what has just ended
        machine["busy"] = machine.others_cpus >= QUIET
    return Facts(
        machine,
        governors=list(dict.fromkeys((machine.governor or "").split(", "))),
        clock_ns=(machine.timer or {}).get("cost_ns"),
        on_linux=(machine.system or "").startswith("Linux"),
    )


def _libraries(probed: Mapping[str, Inventory], threads: int, units: Sequence[str]) -> Iterator[Subject]:
    """Yield each library with its accelerators, and all of them together."""
    for name, inventory in probed.items():
        own = library(name)
        named = {"name": name, "label": own.label, "upgrade": own.upgrade or "rnnbench run --threads 1"}
        if inventory.missing:
            yield [SILENT], Facts(name=name, reason=inventory.missing)
        yield LIBRARY, Facts(inventory.facts, **named, asked=threads, units=units)
        for device, state in inventory.devices.items():
            yield DEVICE, Facts(state, id=device)
    flushes = {name: inventory.facts.get("flushes_subnormals") for name, inventory in probed.items()}
    flushing = " and ".join(name for name, value in flushes.items() if value)
    yield SUBNORMALS, Facts(flushing=flushing, others=False in flushes.values())


def _variable(name: str, value: str) -> Facts:
    """Return a variable, with the labels of the libraries that it holds back and how."""
    lowers = " and ".join(each.label for each in LIBRARIES.values() if name in each.low_precision)
    blocks = " and ".join(each.label for each in LIBRARIES.values() if name in each.blocking)
    return Facts(name=name, value=value, lowers=lowers, blocks=blocks)


def _variables(values: Mapping[str, str], names: Collection[str], **more: Any) -> Facts:
    """Return several variables that one sentence is about."""
    return Facts(
        values=" and ".join(f"{name}={values[name]}" for name in names),
        names=" ".join(names),
        options=" ".join(f"--keep-env {name}" for name in names),
        do="does" if len(names) == 1 else "do",
        **more,
    )


def _pin(variable: str) -> tuple[str, str] | None:
    """Return what part a variable holds back on a processor that can do more, and of which library."""
    pins = ((each.pins[variable], each.label) for each in LIBRARIES.values() if variable in each.pins)
    return next(pins, None)


def _pinned(
    variables: Mapping[str, str], probed: Mapping[str, Inventory], *, kept: bool = False
) -> Iterator[Subject]:
    """Yield the variables that pin something, those of one part together."""
    facts = probed[NUMPY.name].facts if NUMPY.name in probed else {}
    pinned, own = facts.get("pinned_kernel"), facts.get("kernel")
    parts = dict.fromkeys(filter(None, map(_pin, variables)))
    for part, label in parts:
        kernels = ""
        if pinned and own and part == BLAS:
            without = "and without them" if pinned == own else f"them, {own} without"
            kernels = f" ({NUMPY.label} gets the kernel {pinned} with {without})"
        names = [name for name in variables if _pin(name) == (part, label)]
        yield PINNED, _variables(variables, names, part=part, label=label, kernels=kernels, kept=kept)


def _shell(shell: Mapping[str, str]) -> Iterator[Subject]:
    limits = [name for name in THREAD_LIMITS if name in shell]
    others = [name for name in sorted(set(shell) - set(limits)) if not _pin(name)]
    if limits:
        alike = "" if len({shell[name] for name in limits}) == 1 else ", and not alike,"
        yield SHELL, _variables(shell, limits, limits=True, alike=alike)
    if noted := [name for name in others if name.startswith(NOTED) or name in DEBUG]:
        yield SHELL, _variables(shell, noted)


def _sampled(sample: Mapping[str, float]) -> Iterator[Subject]:
    """Yield what happened between two readings of the gates while this process slept."""
    for name in gates.fired({name: sample[name] for name in SAMPLED if name in sample}, gates.LIMITS):
        yield [SAMPLE], Facts(words=gates.in_words(name, sample[name]), remedy=SAMPLED[name])
