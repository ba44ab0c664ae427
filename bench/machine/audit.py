"""Audit a machine: find what is unfair or unstable, for the verb ``check`` and for every journal.

The rules are tables. A rule says when a problem exists, how bad the problem is, what is wrong and what mends
the problem. A rule whose facts are unknown reports nothing.
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

# unfair: favours one library; unstable: times scatter or drift; note: good to know
Level = Literal["unfair", "unstable", "note"]
LEVELS: tuple[Level, ...] = ("unfair", "unstable", "note")

SAMPLE_S = 0.5  # how long the gates are watched
MAX_LOAD_PER_CPU = 0.5  # with a higher load, the machine counts as busy
MAX_STEAL = 0.01
MAX_THROTTLED = 0.01  # share of the quota's periods that used up the quota
MAX_SWAPPED = 0.05  # share of the memory
MAX_IN_USE = 0.1  # share of an accelerator's memory that other programs may use
SLOW_CLOCK_NS = 1000  # cost of one reading of the clock
HOT_C, HOT_DEVICE_C = 90, 85  # of the processor, of an accelerator
CALM_REASONS = 0x1 | 0x2  # harmless reasons of NVML for a slow clock: idle; set by an application
# kind, maximum percent of ten seconds in which tasks waited, what the tasks waited for
PRESSURES = (("cpu", 10.0, "a processor"), ("memory", 1.0, "memory"), ("io", 20.0, "a disk"))
SLOW_BLAS = ("lapack_lite", "netlib", "reference", "none")
# OpenBLAS kernels for processors without AVX2
OLD_KERNELS = {
    "generic", "prescott", "core2", "penryn", "dunnington", "nehalem", "atom", "athlon", "opteron",
    "opteron_sse3", "barcelona", "bobcat", "nano", "sandybridge", "bulldozer", "piledriver", "katmai",
    "coppermine", "northwood", "banias", "dynamic",
}  # fmt: skip
AVX2_KERNELS = {"haswell", "zen", "excavator", "steamroller"}
OLDEST_OPENBLAS = (0, 3, 26)  # lower versions are older than those shipped with NumPy 2
DEBUG_NAMES = ("PYTHONDEVMODE", "PYTHONMALLOC", "PYTHONTRACEMALLOC", "MALLOC_PERTURB_")
ALLOCATOR_PREFIXES = ("LD_PRELOAD", "GLIBC_TUNABLES", "MALLOC_")
NOTED_PREFIXES = (*ALLOCATOR_PREFIXES, "OMP_", "GOMP_", "KMP_")  # shell variables that get a note

# remedies
TUNE_SYSTEM = "sudo python -m pyperf system tune  (of the package pyperf; lasts until the next start)"
SET_GOVERNOR = "sudo cpupower frequency-set -g performance"
END_PROGRAMS = "see what runs with `top`, end it, wait a minute"
UNSHARED_CPUS = "a machine, or a kind of virtual machine, whose processors are not shared"
USUAL_PYTHON = "use the python of your distribution, of python.org or of uv"
COOL_DOWN = "let it cool down"
SHOW_USERS = "nvidia-smi  (tells who)"


@dataclass(frozen=True, slots=True)
class Finding:
    """Hold a problem (``what``: a clause without a full stop) and its remedy (``mend``: often a command)."""

    topic: str
    level: Level
    what: str
    mend: str
    banner: bool = True  # whether a report shows the finding above its numbers


class Facts(dict[str, Any]):
    """Hold facts by name, also readable as attributes; an unknown fact is None."""

    def __missing__(self, name: str) -> None:
        return None

    def __getattr__(self, name: str) -> Any:
        return self[name]


@dataclass(frozen=True, slots=True)
class Rule:
    """Describe a possible problem: when it exists, and the texts ``what`` and ``mend``, with facts in braces.

    ``holds`` returns a true value if the problem exists. The texts may also name facts of a returned dict.
    A comparison with an unknown fact raises TypeError: then the rule reports nothing.
    """

    level: Level
    topic: str
    holds: Callable[[Facts], object]
    what: str
    mend: str
    banner: bool = False  # whether a note is shown above a report's numbers; other levels always are

    def find(self, facts: Facts) -> Iterator[Finding]:
        """Yield a finding if the rule holds for the facts."""
        with suppress(TypeError):
            if reason := self.holds(facts):
                values = Facts(facts | reason) if isinstance(reason, dict) else facts
                topic, what, mend = (text.format_map(values) for text in (self.topic, self.what, self.mend))
                yield Finding(topic, self.level, what, mend, self.banner or self.level != "note")


Subject = tuple[Sequence[Rule], Facts]  # rules, and the facts that these rules check


def _all_true(**values: Any) -> dict[str, Any] | None:
    """Return the values if all of them are true, else None."""
    return values if all(values.values()) else None


def _waited_percent(kind: str, most: float, machine: Facts) -> dict[str, float] | None:
    """Return the percent of ten seconds that tasks waited, if above ``most``, else None.

    On a busy machine, waits for a processor are expected: the result is None, too.
    """
    percent = (machine.pressure_percent or {}).get(kind, 0.0)
    return {"percent": percent} if percent > most and not (kind == "cpu" and machine.busy) else None


def _slow_governor(machine: Facts) -> str | None:
    return next((name for name in machine.governors if name in ("powersave", "conservative")), None)


def _openblas_version(facts: Facts) -> tuple[int, ...]:
    numbers = re.findall(r"\d+", str(facts.blas_version or ""))
    return tuple(map(int, numbers[:3])) if "openblas" in str(facts.blas).lower() else ()


def _below_float32(facts: Facts) -> dict[str, Any] | None:
    """Return the switches that a library sets below float32 by default, by their short names."""
    modes = {
        name.removeprefix(f"{facts.name}.backends."): mode.upper()
        for name, mode in (facts.default_precision or {}).items()
        if mode in ("tf32", "bf16")
    }
    first_switch = min(modes, default="")
    return _all_true(switches=" and ".join(sorted(modes)), first=first_switch, mode=modes.get(first_switch))


# fmt: off
MACHINE_RULES = (
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
         "the machine was busy at the start (load {load_1min}): times scatter more", END_PROGRAMS),
    Rule("unstable", "steal", lambda m: m.steal_share > MAX_STEAL,
         "the hypervisor gave {steal_share:.1%} of the processors' time since the start to others",
         UNSHARED_CPUS),
    Rule("unstable", "memory",
         lambda m: m.swap_used_bytes > MAX_SWAPPED * m.memory_bytes and {"gib": m.swap_used_bytes / 2**30},
         "{gib:.1f} GiB are swapped out", "sudo swapoff -a; sudo swapon -a"),
    Rule("unstable", "governor", lambda m: _all_true(slow=_slow_governor(m)),
         "the processor's governor is {slow}: its clock may stay low", SET_GOVERNOR),
    Rule("unstable", "governor",
         lambda m: not _slow_governor(m) and len(m.governors) > 1 and {"all": " and ".join(m.governors)},
         "the processors have different governors, {all}", SET_GOVERNOR),
    Rule("note", "governor", lambda m: m.governor in ("ondemand", "schedutil"),
         "the governor is {governor}: the clock follows the load", SET_GOVERNOR),
    Rule("unstable", "power", lambda m: m.power == "battery",
         "the machine runs on its battery: its clock may stay low", "plug it in"),
    Rule("note", "turbo", lambda m: m.turbo == "on",
         "turbo is on: the clock falls as the processor warms up", TUNE_SYSTEM),
    Rule("note", "turbo", lambda m: m.turbo is None,
         "whether the clock may rise above its nominal speed is unknown here",
         "look into the firmware's settings, or ask who runs the virtual machine"),
    Rule("unstable", "temperature", lambda m: m.temperature_c >= HOT_C,
         "{temperature_c} degrees Celsius: the clock may fall", COOL_DOWN),
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
    # affects NumPy's variants more: these call more Python than a compiled graph does
    Rule("unfair", "Python", lambda m: m.python_debug,
         "this Python is a debug build: every call from Python costs more", USUAL_PYTHON),
    Rule("note", "Python", lambda m: m.python_optimised is False and not m.python_debug,
         "this Python was built without --enable-optimizations: its calls cost more", USUAL_PYTHON),
    Rule("note", "Python", lambda m: m.python_gil == "off",
         "this Python runs without the GIL: its calls cost more", USUAL_PYTHON),
    *(Rule("unstable", "load", partial(_waited_percent, kind, most),
           f"tasks waited for {what} {{percent:.0f}} % of ten seconds", END_PROGRAMS)
      for kind, most, what in PRESSURES),
)
LIBRARY_RULES = (  # ``asked``: the requested number of threads; ``units``: the processor's vector units
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
DEVICE_RULES = (
    Rule("unstable", "accelerator", lambda d: _all_true(reasons=int(d.throttle_reasons or 0) & ~CALM_REASONS),
         "{id} holds its clock back (NVML's reasons 0x{reasons:x})",
         "nvidia-smi -q -d PERFORMANCE  (tells why: power, heat)"),
    Rule("unstable", "accelerator", lambda d: d.temperature_c >= HOT_DEVICE_C,
         "{id} is at {temperature_c} degrees Celsius", COOL_DOWN),
    Rule("unstable", "accelerator",
         lambda d: (used := d.memory_taken_bytes) > MAX_IN_USE * d.memory_bytes and {"gib": used / 2**30},
         "{gib:.1f} GiB of {id} are in use by somebody else", SHOW_USERS),
)
RUN_WITHOUT = "run again without --keep-env {name}"
KEPT_RULES = (  # for a variable that reaches the workers because the user asked for that
    Rule("unfair", "threads", lambda v: v.name in THREAD_LIMITS,
         "{name}={value} was kept: the libraries may have unequal threads", RUN_WITHOUT),
    Rule("unfair", "precision", lambda v: v.lowers,
         "{name}={value} was kept: {lowers} may compute with less than float32", RUN_WITHOUT),
    Rule("unfair", "accelerator", lambda v: v.blocks and v.value not in ("", "0"),
         "{name}={value} was kept: {blocks} waits for every kernel", RUN_WITHOUT),
    Rule("unstable", "debugging", lambda v: v.name in DEBUG_NAMES,
         "{name}={value} was kept: every allocation costs more", RUN_WITHOUT),
    Rule("note", "allocator", lambda v: v.name.startswith(ALLOCATOR_PREFIXES) and v.name not in DEBUG_NAMES,
         "{name}={value} was kept: memory is not allocated as usual", RUN_WITHOUT, banner=True),
)
PINNED_RULES = (  # for variables that limit a part of a library on a processor that can do more
    Rule("note", "pinned kernels", lambda v: not v.kept,
         "{values}, set here to pin {part}, {do} not reach the workers of a run{kernels}; --keep-env NAME "
         "times with such a variable",
         "unset {names}  (for pytest --benchmark, which cannot drop what is set)", banner=True),
    Rule("unfair", "pinned kernels", lambda v: v.kept,
         "{values} pinned {part}: {label} may be slower than it can be", "run again without {options}"),
)
SHELL_RULES = (  # for variables of the shell that a run replaces; other programs still get these variables
    Rule("note", "threads", lambda v: v.limits,
         "{values} in this shell{alike} {do} not count: a run sets every limit alike for both libraries; "
         "choose with --threads", "unset {names}  (for what is timed without rnnbench)"),
    Rule("note", "variables", lambda v: not v.limits, "{values} {do} not reach the workers of a run",
         "unset {names}  (for what is timed without rnnbench)"),
)
FIND_FLUSH = "look for set_flush_denormal, or for a library built with -ffast-math that sets it when loaded"
SUBNORMAL_RULES = (
    Rule("unfair", "subnormal numbers", lambda x: x.flushing and x.others,
         "{flushing} flushes subnormal numbers to zero, and the other library does not", FIND_FLUSH),
    Rule("note", "subnormal numbers", lambda x: x.flushing and not x.others,
         "{flushing} flushes subnormal numbers to zero: results differ from IEEE arithmetic", FIND_FLUSH,
         banner=True),
)
MISSING_RULE = Rule("note", "{name}", bool, "nothing is known about {name}: {reason}", "pip install {name}")
SAMPLE_RULE = Rule("unstable", "now", bool, "while nothing was asked of it, {words}", "{remedy}")
SAMPLE_REMEDIES = {  # for what the gates saw while this process slept
    "waiting": END_PROGRAMS,
    "steal": UNSHARED_CPUS,
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
    """Return what is unfair or unstable, the worst first; a rule with unknown facts reports nothing.

    Args:
        facts: of the machine, as ``host.describe`` returns them.
        threads: the largest number of threads of an arm.
        dropped, kept: variables that affect speed and do not, or do, reach the workers.
        shell: variables that affect speed, as they are set now.
        probed: each library's inventory in a process with ``threads`` threads.
        sample: the gates' values over a moment in which this process slept.
    """
    subjects = [
        *_pinned(dropped or {}, probed or {}),
        *_pinned(kept or {}, {}, kept=True),
        *_shell(shell or {}),
        *((KEPT_RULES, _variable(*item)) for item in (kept or {}).items()),
        *_libraries(probed or {}, threads, facts.get("vector_units") or ()),
        (MACHINE_RULES, _machine_facts(facts, threads)),
        *_sampled(sample or {}),
    ]
    findings = [finding for rules, subject in subjects for rule in rules for finding in rule.find(subject)]
    return sorted(findings, key=lambda finding: LEVELS.index(finding.level))


def banners(findings: Iterable[Finding]) -> list[str]:
    """Return the texts that a report shows above its numbers; all but notes include the remedy."""
    return [
        finding.what if finding.level == "note" else f"{finding.what}. To mend it: {finding.mend}"
        for finding in findings
        if finding.banner
    ]


def warnings(
    facts: Mapping[str, Any], dropped: Mapping[str, str], kept: Mapping[str, str], threads: int
) -> list[str]:
    """Return the warnings about this machine's state that belong above the numbers of a report."""
    return banners(audit(facts, dropped=dropped, kept=kept, threads=threads))


def audit_here(devices: Sequence[str] | None = None) -> list[Finding]:
    """Audit this machine and every library on it; ``devices``: accelerators, None for all."""
    before = gates.read()
    time.sleep(SAMPLE_S)
    sample = gates.between(before, gates.read())
    facts = host.describe()  # before the children start, since they cause load
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
    """Return the facts of a machine, with derived facts that several rules need."""
    machine = Facts(facts, threads=threads, usable_cpus=facts.get("usable_cpus") or None)
    with suppress(TypeError):
        machine["busy"] = machine.load_1min > MAX_LOAD_PER_CPU * machine.usable_cpus
    if machine.others_cpus is not None:  # more exact: the load also counts programs that just ended
        machine["busy"] = machine.others_cpus >= QUIET
    return Facts(
        machine,
        governors=list(dict.fromkeys((machine.governor or "").split(", "))),
        clock_ns=(machine.timer or {}).get("cost_ns"),
        on_linux=(machine.system or "").startswith("Linux"),
    )


def _libraries(probed: Mapping[str, Inventory], threads: int, units: Sequence[str]) -> Iterator[Subject]:
    """Yield rules and facts: of each library, of its accelerators, and of all libraries together."""
    for name, inventory in probed.items():
        lib = library(name)
        texts = {"name": name, "label": lib.label, "upgrade": lib.upgrade or "rnnbench run --threads 1"}
        if inventory.missing:
            yield [MISSING_RULE], Facts(name=name, reason=inventory.missing)
        yield LIBRARY_RULES, Facts(inventory.facts, **texts, asked=threads, units=units)
        for device, state in inventory.devices.items():
            yield DEVICE_RULES, Facts(state, id=device)
    flushes = {name: inventory.facts.get("flushes_subnormals") for name, inventory in probed.items()}
    flushing = " and ".join(name for name, value in flushes.items() if value)
    yield SUBNORMAL_RULES, Facts(flushing=flushing, others=False in flushes.values())


def _variable(name: str, value: str) -> Facts:
    """Return a variable's facts, with the labels of the libraries whose precision or speed is lowered."""
    lowers = " and ".join(lib.label for lib in LIBRARIES.values() if name in lib.low_precision)
    blocks = " and ".join(lib.label for lib in LIBRARIES.values() if name in lib.blocking)
    return Facts(name=name, value=value, lowers=lowers, blocks=blocks)


def _variables(values: Mapping[str, str], names: Collection[str], **more: Any) -> Facts:
    """Return the facts of several variables that share one sentence."""
    return Facts(
        values=" and ".join(f"{name}={values[name]}" for name in names),
        names=" ".join(names),
        options=" ".join(f"--keep-env {name}" for name in names),
        do="does" if len(names) == 1 else "do",
        **more,
    )


def _pin(variable: str) -> tuple[str, str] | None:
    """Return the part that a variable limits and the label of its library; None if no part is limited."""
    pins = ((lib.pins[variable], lib.label) for lib in LIBRARIES.values() if variable in lib.pins)
    return next(pins, None)


def _pinned(
    variables: Mapping[str, str], probed: Mapping[str, Inventory], *, kept: bool = False
) -> Iterator[Subject]:
    """Yield rules and facts of the variables that limit the same part, for each part."""
    facts = probed[NUMPY.name].facts if NUMPY.name in probed else {}
    pinned_kernel, default_kernel = facts.get("pinned_kernel"), facts.get("kernel")
    parts = dict.fromkeys(filter(None, map(_pin, variables)))
    for part, label in parts:
        kernels = ""
        if pinned_kernel and default_kernel and part == BLAS:
            comparison = (
                "and without them" if pinned_kernel == default_kernel else f"them, {default_kernel} without"
            )
            kernels = f" ({NUMPY.label} gets the kernel {pinned_kernel} with {comparison})"
        names = [name for name in variables if _pin(name) == (part, label)]
        yield PINNED_RULES, _variables(variables, names, part=part, label=label, kernels=kernels, kept=kept)


def _shell(shell: Mapping[str, str]) -> Iterator[Subject]:
    limits = [name for name in THREAD_LIMITS if name in shell]
    other_names = [name for name in sorted(set(shell) - set(limits)) if not _pin(name)]
    if limits:
        alike = "" if len({shell[name] for name in limits}) == 1 else ", and not alike,"
        yield SHELL_RULES, _variables(shell, limits, limits=True, alike=alike)
    if noted := [name for name in other_names if name.startswith(NOTED_PREFIXES) or name in DEBUG_NAMES]:
        yield SHELL_RULES, _variables(shell, noted)


def _sampled(sample: Mapping[str, float]) -> Iterator[Subject]:
    """Yield a finding's rule and facts for each gate above its limit while this process slept."""
    for name in gates.fired({name: sample[name] for name in SAMPLE_REMEDIES if name in sample}, gates.LIMITS):
        yield [SAMPLE_RULE], Facts(words=gates.in_words(name, sample[name]), remedy=SAMPLE_REMEDIES[name])
