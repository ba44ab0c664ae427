"""Rules about the machine: how it is set, what else runs on it, what it grants."""

from collections.abc import Iterator, Mapping
from typing import Any

from bench.machine import gates
from bench.machine.audit.finding import Finding, note, unfair, unstable
from bench.machine.busy import QUIET

TUNE = "sudo python -m pyperf system tune  (of the package pyperf; lasts until the next start)"
PERFORMANCE = "sudo cpupower frequency-set -g performance"
BUSY = 0.5  # load for every usable processor
MAX_STEAL = 0.01
MAX_THROTTLED = 0.01  # share of the quota's periods
MAX_PRESSURE = {"cpu": 10.0, "memory": 1.0, "io": 20.0}  # percent of ten seconds
MAX_SWAPPED = 0.05  # of the memory
SLOW_CLOCK_NS = 1000  # of one reading
HOT_C = 90
WAITS_FOR = {"cpu": "a processor", "memory": "memory", "io": "a disk"}


def audit_threads(facts: Mapping[str, Any], threads: int) -> Iterator[Finding]:
    """More threads than processors; fewer processors than it seems."""
    usable, cpus, cores = (facts.get(name) for name in ("usable_cpus", "cpus", "physical_cores"))
    granted = facts.get("cgroup_quota")
    if usable and threads > usable:
        yield unfair(
            "threads",
            f"{threads} threads on {usable} usable processors: they compete, not every library bears it",
            f"rnnbench run --threads {usable}",
        )
    elif cores and threads > cores:
        yield note(
            "threads",
            f"{threads} threads on {cores} physical cores: two share one",
            f"rnnbench run --threads {cores}",
        )
    if granted is not None and granted < 1:
        yield unstable(
            "quota",
            f"the cgroup grants {granted:g} processors: even one thread is put aside again and again",
            "docker run --cpuset-cpus=0 instead of --cpus, or the same in what starts the container",
        )
    elif granted is not None:
        yield note(
            "quota",
            f"the cgroup grants {granted:g} processors by a quota, which puts aside whoever has used it up",
            "docker run --cpuset-cpus=0-1 instead of --cpus, or the same in what starts the container",
        )
    if (throttled := facts.get("throttled_periods")) and throttled > MAX_THROTTLED * facts["quota_periods"]:
        yield unstable(
            "quota",
            f"the cgroup's quota was used up in {throttled} of {facts['quota_periods']} periods so far",
            "raise the quota, or end what else runs in the container",
        )
    if granted is None and usable and cpus and usable < cpus:
        yield note(
            "affinity",
            f"this process may use {usable} of {cpus} processors ({facts.get('affinity')})",
            f"taskset -c 0-{cpus - 1} rnnbench run  (where all of them are meant)",
        )


def audit_load(facts: Mapping[str, Any]) -> Iterator[Finding]:
    """What else runs, here or beside this virtual machine."""
    load, usable = facts.get("load_1min"), facts.get("usable_cpus")
    end = "see what runs with `top`, end it, wait a minute"
    others = facts.get("others_cpus")  # which says more: the load is also of what has just ended
    busy = load is not None and usable and load > BUSY * usable if others is None else others >= QUIET
    if busy and others is not None:
        yield unstable(
            "load",
            f"other programs used {others:.2g} processors when the run began: times scatter more",
            "--wait-quiet 10min, which waits until they are done",
        )
    elif busy:
        yield unstable("load", f"the machine was busy at the start (load {load}): times scatter more", end)
    for what, share in (facts.get("pressure_percent") or {}).items():
        if share > MAX_PRESSURE[what] and not (what == "cpu" and busy):  # says the same
            yield unstable("load", f"tasks waited for {WAITS_FOR[what]} {share:.0f} % of ten seconds", end)
    if (steal := facts.get("steal_share")) is not None and steal > MAX_STEAL:
        yield unstable(
            "steal",
            f"the hypervisor gave {steal:.1%} of the processors' time since the start to others",
            "a machine, or a kind of virtual machine, whose processors are not shared",
        )
    swapped, memory = facts.get("swap_used_bytes"), facts.get("memory_bytes")
    if swapped and memory and swapped > MAX_SWAPPED * memory:
        yield unstable(
            "memory", f"{swapped / 2**30:.1f} GiB are swapped out", "sudo swapoff -a; sudo swapon -a"
        )


def audit_sample(sample: Mapping[str, float]) -> Iterator[Finding]:
    """What happened between two readings of the gates while this process slept."""
    mend = {
        "waiting": "see what runs with `top`, end it, wait a minute",
        "steal": "a machine, or a kind of virtual machine, whose processors are not shared",
        "throttled": "raise the container's quota, or end what else runs in it",
    }
    seen = {name: value for name, value in sample.items() if name in mend}
    for name in gates.fired(seen, gates.LIMITS):
        yield unstable(
            "now", f"while nothing was asked of it, {gates.in_words(name, seen[name])}", mend[name]
        )


def audit_clock_speed(facts: Mapping[str, Any]) -> Iterator[Finding]:
    """What changes the processor's clock while values are taken."""
    governors = (facts.get("governor") or "").split(", ")
    slow = [one for one in governors if one in ("powersave", "conservative")]
    following = [one for one in governors if one in ("ondemand", "schedutil")]
    if slow:
        yield unstable(
            "governor", f"the processor's governor is {slow[0]}: its clock may stay low", PERFORMANCE
        )
    elif len(set(governors)) > 1:
        said = " and ".join(governors)
        yield unstable("governor", f"the processors have different governors, {said}", PERFORMANCE)
    elif following:
        yield note("governor", f"the governor is {following[0]}: the clock follows the load", PERFORMANCE)
    if facts.get("power") == "battery":
        yield unstable("power", "the machine runs on its battery: its clock may stay low", "plug it in")
    if facts.get("turbo") == "on":
        yield note("turbo", "turbo is on: the clock falls as the processor warms up", TUNE)
    elif "turbo" not in facts:
        yield note(
            "turbo",
            "whether the clock may rise above its nominal speed is unknown here",
            "look into the firmware's settings, or ask who runs the virtual machine",
        )
    if (degrees := facts.get("temperature_c")) and degrees >= HOT_C:
        yield unstable("temperature", f"{degrees} degrees Celsius: the clock may fall", "let it cool down")


def audit_kernel(facts: Mapping[str, Any]) -> Iterator[Finding]:
    """How the system's kernel is set."""
    if facts.get("aslr") == 0:
        yield unstable(
            "memory layout",
            "ASLR is off: every process gets the same memory layout, lucky or not, and repeats its luck",
            "sudo sysctl kernel.randomize_va_space=2",
        )
    if facts.get("transparent_huge_pages") == "always":
        yield note(
            "memory layout",
            "huge pages are used always: large arrays get them or not, as memory happens to be",
            "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled",
        )
    if (cost := (facts.get("timer") or {}).get("cost_ns")) and cost > SLOW_CLOCK_NS:
        source = facts.get("clocksource", "unknown")
        yield unstable(
            "clock",
            f"one reading of the clock costs {cost} ns (clock source: {source}): values must be longer",
            "echo tsc | sudo tee /sys/devices/system/clocksource/clocksource0/current_clocksource",
        )
    if facts.get("system", "").startswith("Linux") and not facts.get("isolated_cpus"):
        yield note(
            "isolation",
            "no processor is kept free of other work",
            "start the kernel with isolcpus=..., then: taskset -c ... rnnbench run",
        )
    if where := facts.get("hypervisor"):
        yield note(
            "virtual machine",
            f"this is a virtual machine ({where}): its neighbours share caches and memory with it",
            "a machine of its own for results to publish",
        )
    if facts.get("preloaded_everywhere"):
        yield note(
            "allocator",
            "/etc/ld.so.preload loads a library into every process: memory may not be allocated as usual",
            "sudo mv /etc/ld.so.preload /etc/ld.so.preload.off",
            banner=True,
        )


def audit_python(facts: Mapping[str, Any]) -> Iterator[Finding]:
    """How this Python was built. NumPy's variants call more Python than a compiled graph does."""
    usual = "use the python of your distribution, of python.org or of uv"
    if facts.get("python_debug"):
        yield unfair("Python", "this Python is a debug build: every call from Python costs more", usual)
    elif facts.get("python_optimised") is False:
        yield note(
            "Python", "this Python was built without --enable-optimizations: its calls cost more", usual
        )
    if facts.get("python_gil") == "off":
        yield note("Python", "this Python runs without the GIL: its calls cost more", usual)
