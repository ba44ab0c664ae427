"""The answer of a run in a few sentences, each true to the journal and to its verdict."""

from bench.analysis.verdict import Comparison, proposal
from bench.machine import units, wording
from bench.machine.busy import QUIET
from bench.machine.wording import full_stop
from bench.reporting import asked, map_answer, words
from bench.reporting.elsewhere import accelerators, elsewhere, fastest_forms, not_measured
from bench.reporting.facts import Facts as Facts  # re-exported: whoever makes sentences needs it
from bench.workload.catalog import VARIANTS

ORDERS_OF_MAGNITUDE = 100.0
# how an entry ended that gave no result at all
BROKE = {"crashed": "CRASHED", "timeout": "TIMEOUT", "oom": "OUT OF MEMORY"}
MOST_BROKE = 5
ASKED, SUMMED_UP = "asked", ("elsewhere", "not_measured")
COMPILING = {variant.name for variant in VARIANTS if variant.compiles}


def sentences(facts: Facts) -> list[str]:
    """The answer: as usually written, best against best, elsewhere, and the tutorial's claim."""
    return [sentence for _, sentence in parts(facts)]


def parts(facts: Facts) -> list[tuple[str, str]]:
    """The sentences, each with what it is about: the names of those that say it, and the claim."""
    if not any(row.median_ns for row in facts.rows.values()):
        return [("nothing", full_stop(f"{_where(facts)} nothing was measured: {_reasons(facts)}"))]
    if facts.is_grid:
        return map_answer.parts(facts.maps, _where(facts))
    main = main_comparison(facts)
    if main is None:
        made = [("nothing", full_stop(f"{_where(facts)} nothing was compared: {_reasons(facts)}"))]
    else:
        said_by = (first, setting, best, compiled, accelerators, elsewhere, not_measured, looks)
        made = [(say.__name__, say(facts, main)) for say in said_by]
        if told := asked.sentences(facts, main):  # which say what elsewhere and not_measured sum up
            made = [(about, said) for about, said in made if about not in SUMMED_UP]
            made[2:2] = [(ASKED, said) for said in told]
    return [(about, said) for about, said in (*made, ("claim", claim(facts, main))) if said]


def main_comparison(facts: Facts) -> Comparison | None:
    """What the answer is about: the first declared headline that is no claim, else a table's first row."""
    if made := facts.summary.headline("as_written") or facts.summary.headline("best"):
        return made
    rows = (row.comparison for row in facts.rows.values() if not row.arm.known_wrong)
    return next((made for made in rows if made and made.ratio and made.same_work and not made.twin), None)


def caveats(facts: Facts) -> list[str]:
    """What must be known before the answer: no verdict and why, an early end, something that is wrong."""
    summary, main, made = facts.summary, main_comparison(facts), []
    if summary.control:
        made.append(no_verdict(summary.control, summary.mend))
    elif not summary.verdicts:
        made.append(
            f"A quick run, {wording.count(summary.blocks, 'block')}: times, but no verdict. {_quick(facts)}"
        )
    elif not facts.is_grid and main and main.ratio is not None and main.verdict in ("NONE", "INVALID"):
        made.append(no_verdict(main.reason, main.mend))
    if summary.state != "complete":
        run = facts.run
        planned = run.decision.blocks if run.decision else run.plan.blocks
        how = "Partial result" if summary.state == "partial" else "The run was interrupted"
        hold = "holds" if planned == 1 else "hold"
        counted = f"{summary.blocks} of {wording.count(planned, 'block')} {hold} values"
        made.append(f"{how}: {summary.ending.rstrip('.')}; {counted}.")
    broke = dict.fromkeys(
        full_stop(f"{facts.arm(one.entry).variant} {BROKE[one.status]}: {one.reason}")
        for one in summary.troubles
        if one.status in BROKE
    )
    made += list(broke)[:MOST_BROKE]
    if len(broke) > MOST_BROKE:
        made.append(f"{len(broke) - MOST_BROKE} more failed so: see the failures.")
    if summary.disagrees:
        made.append(
            "Something that claims to be right gives wrong results, and has no times: see the failures."
        )
    return made


def no_verdict(why: str, mend: str) -> str:
    """Say why there is none, and what to do next."""
    return " ".join(full_stop(text) for text in (f"No verdict: {why}", mend) if text)


def _quick(facts: Facts) -> str:
    """What would give a verdict, and what was in the way of one."""
    others = facts.run.environment.machine.get("others_cpus") or 0.0
    seen = [f"used {units.number(others)} processors before it began"] if others >= QUIET else []
    if often := facts.summary.disturbed:
        seen.append(f"disturbed {often} of {wording.count(_counted(facts), 'measurement')}")
    if not seen:
        return "Verdicts take a run that is not quick."
    return (
        f"The machine was busy: other programs {' and '.join(seen)}. Verdicts take a run that is not quick "
        "on a quiet machine: rnnbench run --wait-quiet 10min."
    )


def _counted(facts: Facts) -> int:
    """Measurements that count: one for each entry and block."""
    return sum(row.blocks for row in facts.rows.values())


def first(facts: Facts, main: Comparison) -> str:
    """The main comparison in one sentence."""
    baseline, entry = facts.arm(main.baseline), facts.arm(main.entry)
    as_written = ", each as it is usually written" if main.kind == "as_written" else ""
    times = f"{baseline.variant} {facts.time(main.baseline)}, {entry.variant} {facts.time(main.entry)} a call"
    work = words.work(facts.entries[main.entry].case)
    clause = words.clause(facts.run, main)
    if main.ratio is None:
        return f"{_where(facts)} at {work}, {clause}."
    if main.verdict in ("EQUIVALENT", "UNRESOLVED"):  # a long clause goes last
        return f"{_where(facts)} at {work}{as_written}, {clause}; {times}."
    return f"{_where(facts)} {clause} at {work}{as_written}: {times}."


def setting(facts: Facts, main: Comparison) -> str:
    """All that makes its number one number: shape, dtype, device, threads."""
    case = facts.entries[main.entry].case
    place = words.places(facts.arm(main.baseline), facts.arm(main.entry))
    brackets = " Brackets hold 95 % intervals." if main.low is not None else ""
    explained = "" if main.ratio is None else f" {words.RATIOS}"
    return f"That is {words.shape(case)}, {case.dtype}, {case.activation}; {place}.{explained}{brackets}"


def best(facts: Facts, main: Comparison) -> str:
    """The fastest form of each library, at the work and place of the main comparison."""
    made = fastest_forms(facts, main)
    if made is None or made == main:
        return ""
    if (made.entry, made.baseline) == (main.entry, main.baseline):
        return "These are also the fastest forms that block 0 found for each library."
    numpy, torch = facts.arm(made.baseline), facts.arm(made.entry)
    forms = f"{numpy.variant} {facts.time(made.baseline)}, {torch.variant} {facts.time(made.entry)}"
    group = facts.entries[main.entry].group
    arms = [facts.arm(entry.id).variant for entry in facts.entries.values() if entry.group == group]
    needs_none = "" if COMPILING.intersection(arms) else " that needs no compiler"
    start = "At the first of these, with" if len(asked.compared(facts, main)) > 1 else "With"
    return f"{start} the fastest form of each{needs_none} ({forms}) {words.clause(facts.run, made)}."


def compiled(facts: Facts, main: Comparison) -> str:
    """Compiled code against the baseline, where the run measured it."""
    made = facts.summary.headline("compiled")
    if made is None:
        return ""
    entry, baseline = facts.arm(made.entry), facts.arm(made.baseline)
    times = f"{entry.variant} {facts.time(made.entry)}, {baseline.variant} {facts.time(made.baseline)}"
    return f"With PyTorch compiled ({times}) {words.clause(facts.run, made)}."


def looks(facts: Facts, main: Comparison) -> str:
    """Whether this is the second look at the run, or that there may be one, where it left something open."""
    run = facts.run
    if run.extended is not None:
        return words.extended(run.extended)
    blocks = proposal(run, facts.summary.headlines or (main,))
    return "" if blocks is None else words.look_again("FOLDER", blocks)


def claim(facts: Facts, main: Comparison | None) -> str:
    """What the tutorial says, what its two programs do here, and why that is no contest of libraries."""
    made = facts.summary.headline("claim")
    if made is None:
        return ""
    if (ahead := words.lead(facts.run, made)) is None:
        return full_stop(f"The tutorial's claim could not be tried: {made.reason}")
    old, new = facts.entries[made.baseline].case, facts.entries[made.entry].case
    return (
        f"The tutorial says PyTorch is orders of magnitude faster. {_apart(facts, made, ahead)} do not do "
        f"the same work: {words.variant(facts.arm(made.baseline))}, {old.dtype}, one sample at a time over "
        f"{wording.count(old.shape.T, 'step')} ({facts.time(made.baseline)}), against "
        f"{facts.arm(made.entry).variant}, {new.dtype}, the whole batch at once over "
        f"{wording.count(new.shape.T, 'step')} ({facts.time(made.entry)}){_equal_work(facts, main)}."
    )


def _apart(facts: Facts, made: Comparison, ahead: words.Lead) -> str:
    """How far the two programs of the claim lie apart, up to what they do not have in common."""
    decided, large = made.verdict in words.DECIDED, ahead.factor >= ORDERS_OF_MAGNITUDE
    if ahead.winner != facts.arm(made.entry):
        how = f"is {ahead.times_slower}" if decided else f"measured {ahead.times_slower}"
        return f"Here its PyTorch program {how} than its NumPy program, and the two"
    if decided and large:
        return f"Its two programs do differ {ahead.times}, but they"
    only = "" if large else "only "
    return f"Here its two programs {'differ' if decided else 'measured'} {only}{ahead.times}" + (
        ", and they" if decided else " apart, and they"
    )


def _where(facts: Facts) -> str:
    return f"On this machine ({words.machine(facts.run.environment.machine)}),"


def _equal_work(facts: Facts, main: Comparison | None) -> str:
    """Who is ahead at equal work, where that was decided."""
    if main is None or main.verdict not in words.DECIDED or not main.same_work:
        return ""
    if (ahead := words.lead(facts.run, main)) is None:
        return ""
    return f"; at equal work {words.names(ahead.winner, ahead.loser)[0]} is ahead, as above"


def _reasons(facts: Facts) -> str:
    """Why there is nothing, in the words of the journal."""
    summary = facts.summary
    variants = {facts.arm(trouble.entry).variant for trouble in summary.troubles}
    whose = f"{variants.pop()}: " if len(variants) == 1 else ""
    found = [whose + trouble.reason for trouble in summary.troubles] or [
        item.reason for item in summary.missing
    ]
    if summary.state == "interrupted":
        found = [summary.ending]
    return wording.listing(list(dict.fromkeys(found)), 3) or summary.ending
