"""What else was asked for: a run of several sizes, tasks, inputs or threads has an answer for each."""

from collections import Counter
from collections.abc import Sequence

from bench.analysis.verdict import Comparison
from bench.machine import units, wording
from bench.machine.wording import full_stop
from bench.reporting import words
from bench.reporting.facts import Facts

EXACTLY_ASKED = ("custom", "quick")  # presets of plans that hold what a person asked for, and no more
COUNTED = {"T": "step", "I": "feature", "O": "output"}  # sizes that are so many of something
NAMED = {"B": "batch", "H": "hidden"}
MOST = 12  # sentences
FEW = 3  # comparisons that a title names


def compared(facts: Facts, main: Comparison) -> list[Comparison]:
    """Return the main comparison, and those like it that were asked for: other work, other threads.

    Other devices are measured wherever they are found, and have sentences of their own.
    """
    if facts.run.plan.preset not in EXACTLY_ASKED:
        return [main]
    made = [one for one in facts.summary.headlines if one.kind == main.kind]
    told = {facts.entries[one.entry].group for one in (main, *made)}
    for table in facts.summary.tables:
        rows = [row.comparison for row in table.rows if row.arm.id == main.arm and row.comparison]
        if table.kind == "table" and table.name not in told:
            made += [one for one in rows if one.baseline_arm == main.baseline_arm]
    device, sides = facts.arm(main.entry).device, (main.entry, main.baseline)
    here = (one for one in made if facts.arm(one.entry).device == device)
    return [main, *(one for one in here if (one.entry, one.baseline) != sides)]


def sentences(facts: Facts, main: Comparison) -> list[str]:
    """Return a sentence for each of them but the main one."""
    found = compared(facts, main)
    said = [_sentence(facts, one, found) for one in found[1 : 1 + MOST]]
    if len(found) > 1 + MOST:
        said.append(f"{len(found) - 1 - MOST} more stand in the tables.")
    return said


def title(facts: Facts, found: Sequence[Comparison]) -> str:
    """Return the answer to several of them, each by itself where they are few."""
    leads = [ahead for one in found if (ahead := words.lead(facts.run, one))]
    decided = [words.is_decided(one) for one in found]
    verb = "is" if all(decided) else "measured"
    end = "" if all(decided) else ": not all decided" if any(decided) else ": undecided"
    sides = [words.names(ahead.winner, ahead.loser) for ahead in leads]
    if len(leads) == len(found) <= FEW:
        said, before = [], None
        for one, ahead, side in zip(found, leads, sides, strict=True):
            times, place = f"{units.ratio(ahead.factor)} times", where(facts, one, found)
            again = f"{times} {place}"
            said.append(
                again if side == before else f"{side[0]} {verb} {times} faster than {side[1]} {place}"
            )
            before = side
        return ", ".join(said) + end
    if len(leads) == len(found) and len(set(sides)) == 1:
        low, high = (units.ratio(of(ahead.factor for ahead in leads)) for of in (min, max))
        reach = f"{low} to {high} times faster than {sides[0][1]}"
        return f"{sides[0][0]} {verb} {reach} in all {len(found)} comparisons{end}"
    winners = Counter(winner for winner, _ in sides)
    said = [f"{winner} in {count}" for winner, count in winners.items()]
    if missing := len(found) - len(leads):
        said.append(f"{missing} without a result")
    return f"Which {verb} faster depends: of {len(found)} comparisons {wording.listing(said)}{end}"


def where(facts: Facts, made: Comparison, found: Sequence[Comparison]) -> str:
    """Return in what a comparison differs from others: "with hidden 256", "with the forward pass"."""
    cases = [facts.entries[one.entry].case for one in found]
    case, arm = facts.entries[made.entry].case, facts.arm(made.entry)
    said = []
    if len({one.task for one in cases}) > 1:
        said.append(f"the {words.TASKS[case.task]}")
    if len({one.layout for one in cases}) > 1 and case.data != "random":
        said.append(f"{case.layout} input")
    alike = [one.shape for one in cases if one.layout == case.layout]  # the layout makes T and I
    for name in "TBIHO":
        size = getattr(case.shape, name)
        if len({getattr(shape, name) for shape in alike}) > 1:
            said.append(wording.count(size, COUNTED[name]) if name in COUNTED else f"{NAMED[name]} {size}")
    if len({facts.arm(one.entry).threads for one in found}) > 1:
        said.append(words.threads(arm))
    return f"with {wording.listing(said, len(said))}" if said else f"in {facts.entries[made.entry].group}"


def _sentence(facts: Facts, made: Comparison, found: Sequence[Comparison]) -> str:
    times = [f"{facts.arm(entry).variant} {facts.time(entry)}" for entry in (made.baseline, made.entry)]
    measured = f" ({', '.join(times)})" if made.ratio is not None else ""
    said = f"{wording.capital(where(facts, made, found))}{measured}, {words.clause(facts.run, made)}"
    return full_stop(said)
