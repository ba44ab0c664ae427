"""The answer of a run: the headline, how sure it is, what would change it, what to do next.

The page, Markdown, the terminal and a notebook show the same ``hero``. Every sentence says no more than a
verdict allows (``words.SENTENCES``).
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from bench.analysis.crossover import Crossing, Line, MapCell, SizeMap, lines
from bench.analysis.outcome import WITHIN_BUDGET
from bench.analysis.verdict import Comparison, proposal
from bench.machine import units, wording
from bench.machine.busy import QUIET
from bench.machine.wording import full_stop
from bench.records.record import PairKind
from bench.reporting import words
from bench.reporting.facts import EXACTLY_ASKED
from bench.reporting.facts import Facts as Facts  # re-exported: whoever makes sentences needs it
from bench.reporting.section import Hero, Section
from bench.workload.catalog import VARIANTS

# how an entry ended that gave no result at all
BROKE = {"crashed": "CRASHED", "timeout": "TIMEOUT", "oom": "OUT OF MEMORY"}
MOST_BROKE = 5
COMPILING = {variant.name for variant in VARIANTS if variant.compiles}
FORMS: dict[PairKind, str] = {
    "as_written": "each as usually written", "best": "with the fastest form of each library",
}  # fmt: skip
COUNTED = {"T": "step", "I": "feature", "O": "output"}  # sizes that are so many of something
NAMED = {"B": "batch", "H": "hidden"}
MOST = 12  # sentences, or sizes in one sentence
FEW = 3  # comparisons that a title names
DIGITS = 3  # of a size that was worked out


def sentences(facts: Facts) -> tuple[str, ...]:
    """Return the answer line by line, as a terminal shows it."""
    made = hero(facts)
    sure = f"{made.word}: {'; '.join(made.small)}".strip(": ")
    machine = words.machine(facts.run.environment.machine)
    facts_ = (f"{about}: {text}" for about, text in made.facts)
    return tuple(filter(None, (made.title, sure, machine, *facts_)))


def main_comparison(facts: Facts) -> Comparison | None:
    """Return what the answer is about: the usual forms, else the fastest, else the first row of a table."""
    if made := facts.summary.headline("as_written") or facts.summary.headline("best"):
        return made
    rows = (row.comparison for row in facts.rows.values() if not row.arm.known_wrong)
    return next((made for made in rows if made and made.ratio and made.same_work and not made.twin), None)


def hero(facts: Facts, sections: Iterable[Section] = ()) -> Hero:
    """Return the answer of a run.

    Of ``sections`` the first sentences tell why it is so, where it turns round and whether results are right.
    """
    first = {section.id: section.lead[0] for section in sections if section.lead}
    right = ("Is it right?", first.get("proof", ""))
    if facts.is_grid:
        return _of_maps(facts, right)
    main = main_comparison(facts)
    if main is None or not any(row.median_ns for row in facts.rows.values()):
        return _of_nothing(facts, main)
    asked = _asked(facts, main)
    verdicts = {_word(facts, one) for one in asked}
    found = [
        ("What was asked for", _each(facts, asked)),
        ("What was measured", _setting(facts, main, asked)),
        ("Fastest forms", f"{_best(facts, main, asked)} {_compiled(facts)}"),
        ("On an accelerator", _accelerators(facts, main)),
        ("Why", first.get("limits", "") if words.is_decided(main) else ""),  # else nothing is the cause
        ("What would change it", f"{_elsewhere(facts, main, asked)} {first.get('crossover', '')}"),
        ("The tutorial’s claim, “orders of magnitude faster”", _claim(facts)),
        ("A second look", _looks(facts, main)),
        right,
    ]
    return Hero(
        title=_title(facts, asked),
        word=verdicts.pop() if len(verdicts) == 1 else "it depends",
        tone=words.sentences(main).tone if len({one.verdict for one in asked}) == 1 else "calm",
        sure=tuple(_sure(facts, main if len(asked) == 1 else None)),
        about=_forms(facts, main, asked),
        facts=tuple((about, text.strip()) for about, text in found if text.strip()),
    )


def caveats(facts: Facts) -> tuple[str, ...]:
    """Return what must be known before the answer: no verdict and why, an early end, what is wrong."""
    summary, main, made = facts.summary, main_comparison(facts), []
    control, state = summary.control, facts.run.state
    if control.failure:
        made.append(_no_verdict(control.failure, control.mend))
    elif not facts.run.plan.verdicts:
        blocks = wording.count(summary.blocks, "block")
        made.append(f"A quick run, {blocks}: times, but no verdict. {_quick(facts)}")
    elif not facts.is_grid and main and main.ratio is not None and main.verdict in ("NONE", "INVALID"):
        made.append(_no_verdict(main.reason, main.mend))
    if state != "complete":
        planned = facts.run.decision.blocks if facts.run.decision else facts.run.plan.blocks
        how = "Partial result" if state == "partial" else "The run was interrupted"
        counted = f"{summary.blocks} of {wording.count(planned, 'block')} hold values"
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
    return tuple(made)


def _no_verdict(why: str, mend: str) -> str:
    """Return that there is none, why, and what to do next."""
    return " ".join(full_stop(text) for text in (f"No verdict: {why}", mend) if text)


def _quick(facts: Facts) -> str:
    """Return what would give a verdict, and what was in the way of one."""
    others = facts.run.environment.machine.get("others_cpus") or 0.0
    busy = [f"used {units.number(others)} processors before it began"] if others >= QUIET else []
    if often := sum(outcome.disturbed for outcome in facts.summary.measured):
        counted = sum(len(row.outcome.medians) for row in facts.rows.values())
        busy.append(f"disturbed {often} of {wording.count(counted, 'measurement')}")
    if not busy:
        return "Verdicts take a run that is not quick."
    return (
        f"The machine was busy: other programs {' and '.join(busy)}. Verdicts take a run that is not quick "
        "on a quiet machine: rnnbench run --wait-quiet 10min."
    )


# the headline, and how sure it is


def _title(facts: Facts, asked: Sequence[Comparison]) -> str:
    """Return the answer in a dozen words: of few comparisons each, of many how often who is ahead."""
    if len(asked) == 1:
        return words.sentences(asked[0]).title.format(**words.parts(asked[0]))
    decided = [words.is_decided(one) for one in asked]
    verb = "is" if all(decided) else "measured"
    end = "" if all(decided) else ": not all decided" if any(decided) else ": undecided"
    parts = [filled for one in asked if "winner" in (filled := words.parts(one))]
    if len(parts) == len(asked) <= FEW:
        times = f"{{winner}} {verb} {{factor}} times faster than {{loser}}".format
        each = zip(asked, parts, strict=True)
        return ", ".join(f"{times(**of)} with {_difference(facts, one, asked)}" for one, of in each) + end
    counts = Counter(of["winner"] for of in parts).most_common()
    often = [f"{winner} {verb} faster in {count}" for winner, count in counts]
    often += [f"{len(asked) - len(parts)} without a result"] * (len(parts) < len(asked))
    return f"Of {len(asked)} comparisons {wording.listing(often)}{end}"


def _word(facts: Facts, made: Comparison) -> str:
    """Return the verdict, seen from the side that is ahead."""
    if made.ratio is None:
        return made.verdict
    return words.sentences(made).word.format(**words.parts(made))


def _forms(facts: Facts, main: Comparison, asked: Sequence[Comparison]) -> str:
    """Return which forms the title compares, with their times; empty where nothing was compared."""
    if main.ratio is None:
        return ""
    times = ", ".join(_time(facts, entry, asked) for entry in (main.baseline, main.entry))
    each = ", each as usually written" if main.kind == "as_written" else ""
    return f"{times}{' a call' if len(asked) == 1 else ''}{each}"


def _time(facts: Facts, entry: str, asked: Sequence[Comparison] = ()) -> str:
    """Return a variant and the time of a call, which is not one where several cases were asked for."""
    variant = words.variant(facts.arm(entry))
    return variant if len(asked) > 1 else f"{variant} {facts.time(entry)}"


def _sure(facts: Facts, made: Comparison | None) -> list[str]:
    """Return the interval, what measuring the same thing twice gives, and how often it was measured."""
    said = []
    ahead = None if made is None else words.lead(made)
    if made and ahead and ahead.low is not None and ahead.high is not None:
        interval = f"95 % interval {units.interval(ahead.low, ahead.high)}"
        quotient = f"{words.parts(made)['quotient']}, 95 % interval"
        said += [interval if words.is_decided(made) else quotient, made.reason]
    if facts.noise_floor:
        said.append(f"noise floor {facts.noise_floor}")
    if facts.summary.blocks:
        said.append(f"{wording.count(facts.summary.blocks, 'block')}")
    for entry in (made.entry, made.baseline) if made else ():
        if entry in facts.summary.modes:
            blocks, slower = facts.summary.modes[entry]
            often = f"{blocks} of {wording.count(len(facts.rows[entry].outcome.medians), 'block')}"
            variant = words.variant(facts.arm(entry))
            said.append(f"{variant} ran at two speeds: {units.percent(slower)} slower in {often}")
    return list(filter(None, said))


def _of_nothing(facts: Facts, main: Comparison | None) -> Hero:
    """Return why nothing was measured, or nothing compared, in the words of the journal."""
    summary = facts.summary
    variants = {facts.arm(trouble.entry).variant for trouble in summary.troubles}
    whose = f"{variants.pop()}: " if len(variants) == 1 else ""
    reasons = [whose + trouble.reason for trouble in summary.troubles] or [
        item.reason for item in facts.run.plan.missing
    ]
    if facts.run.state == "interrupted":
        reasons = [summary.ending]
    why = wording.listing(list(dict.fromkeys(reasons)), 3) or summary.ending
    measured = any(row.median_ns for row in facts.rows.values())
    title = f"Nothing was {'compared' if measured else 'measured'}"
    word = "" if main is None else main.verdict
    return Hero(title, word, tone="trouble", facts=(("Why", full_stop(why)),))


# what else was compared


def _asked(facts: Facts, main: Comparison) -> list[Comparison]:
    """Return the main comparison, and those like it that were asked for: other work, other threads.

    Other devices are measured wherever they are found, and have sentences of their own.
    """
    if facts.run.plan.preset not in EXACTLY_ASKED:
        return [main]
    made = [one for one in facts.summary.headlines if one.kind == main.kind]
    groups = {facts.entries[one.entry].group for one in (main, *made)}
    for table in facts.summary.tables:
        rows = [row.comparison for row in table.rows if row.arm == main.arm and row.comparison]
        if table.kind == "table" and table.name not in groups:
            made += [one for one in rows if one.baseline_arm == main.baseline_arm]
    device, sides = facts.arm(main.entry).device, (main.entry, main.baseline)
    here = (one for one in made if facts.arm(one.entry).device == device)
    return [main, *(one for one in here if (one.entry, one.baseline) != sides)]


def _difference(facts: Facts, made: Comparison, others: Sequence[Comparison]) -> str:
    """Return in what a comparison differs from any other: "hidden 256 and 2 threads"."""
    case, arm = facts.entries[made.entry].case, facts.arm(made.entry)
    cases = [facts.entries[one.entry].case for one in others]
    arms = [facts.arm(one.entry) for one in others]
    found = []
    if any(one.task != case.task for one in cases):
        found.append(f"the {words.TASKS[case.task]}")
    if any(one.layout != case.layout for one in cases) and case.data != "random":
        found.append(f"{case.layout} input")
    alike = [one.shape for one in cases if one.layout == case.layout]  # the layout makes T and I
    for name in "TBIHO":
        size = getattr(case.shape, name)
        if any(getattr(shape, name) != size for shape in alike):
            found.append(wording.count(size, COUNTED[name]) if name in COUNTED else f"{NAMED[name]} {size}")
    if any(one.device != arm.device for one in arms):
        found.append(f"{words.library(arm)} on {arm.device}")
    elif any(one.threads != arm.threads for one in arms):
        found.append(words.threads(arm))
    return wording.listing(found, len(found)) or f"the table {facts.entries[made.entry].group}"


def _comparison(facts: Facts, start: str, made: Comparison) -> str:
    """Return a sentence: who was compared, the times where there are any, and what the verdict allows."""
    times = f" ({_time(facts, made.baseline)}, {_time(facts, made.entry)})" if made.ratio is not None else ""
    return full_stop(f"{wording.capital(start)}{times}, {words.clause(made)}")


def _each(facts: Facts, asked: Sequence[Comparison]) -> str:
    """Return a line for each comparison that was asked for, where that is more than one."""
    if len(asked) == 1:
        return ""
    each = [_comparison(facts, f"with {_difference(facts, one, asked)}", one) for one in asked[:MOST]]
    more = f"{len(asked) - MOST} more stand in the tables."
    return "\n".join([*each, *[more] * (len(asked) > MOST)])


def _setting(facts: Facts, main: Comparison, asked: Sequence[Comparison]) -> str:
    """Return all that makes the number one number: times, work, shape, dtype, device, threads."""
    case = facts.entries[main.entry].case
    place = words.places(facts.arm(main.baseline), facts.arm(main.entry))
    work = f"{words.work(case)}, {words.shape(case)}, {case.dtype}, {case.activation}; {place}."
    if main.ratio is None:
        return f"{wording.capital(words.clause(main))}, at {work}"
    start = "The first of these is " if len(asked) > 1 else ""
    return f"{wording.capital(start + work)} Ratios are taken within blocks, not from these times."


def _best(facts: Facts, main: Comparison, asked: Sequence[Comparison]) -> str:
    """Return the fastest form of each library, at the work and place of the main comparison."""
    entry = facts.entries[main.entry]
    best = [one for one in facts.summary.headlines if one.kind == "best" and one != main]
    made = next((one for one in best if _alike(facts, one, main)), None)
    if made is None:
        return ""
    if (made.entry, made.baseline) == (main.entry, main.baseline):
        return "The same: block 0 found none that is faster."
    variants = [facts.arm(one.id).variant for one in facts.entries.values() if one.group == entry.group]
    start = "at the first of these, " if len(asked) > 1 else ""
    needs = "with or without" if COMPILING.intersection(variants) else "without"
    return _comparison(facts, f"{start}{needs} a compiler", made)


def _alike(facts: Facts, one: Comparison, other: Comparison) -> bool:
    """Return whether two comparisons are about the same work in the same place."""
    arms = [facts.arm(made.entry) for made in (one, other)]
    same_place = len({(arm.device, arm.threads) for arm in arms}) == 1
    return same_place and facts.entries[one.entry].case == facts.entries[other.entry].case


def _compiled(facts: Facts) -> str:
    """Return compiled code against the baseline, where the run measured it."""
    made = facts.summary.headline("compiled")
    return (
        ""
        if made is None
        else _comparison(facts, f"with {words.library(facts.arm(made.entry))} compiled", made)
    )


def _accelerators(facts: Facts, main: Comparison) -> str:
    """Return the fastest form on every accelerator against that on the CPU: a sentence for each."""
    here, case = facts.arm(main.entry).device, facts.entries[main.entry].case
    found = []
    for made in facts.summary.headlines:
        arm = facts.arm(made.entry)
        if made.kind != "best" or arm.device in ("cpu", here) or made.ratio is None:
            continue
        if facts.entries[made.entry].case == case:
            against = words.place(facts.arm(made.baseline))
            start = f"on {words.device(facts.run, arm.device)} against {against}"
            found.append(_comparison(facts, start, made))
    return " ".join(found)


def _elsewhere(facts: Facts, main: Comparison, asked: Sequence[Comparison]) -> str:
    """Return whether more threads, another device, layout or shape change the answer, where it has one."""
    ahead = words.lead(main)
    if ahead is None or not words.is_decided(main) or len(asked) > 1:
        return ""
    same, found = [], dict[str, list[str]]()
    for made in (one for one in facts.summary.headlines if one.kind == "as_written" and one != main):
        other, where = words.lead(made), _difference(facts, made, [main])
        if other is None:
            why = WITHIN_BUDGET if made.left_out else f"({made.reason})"
            found.setdefault(f"not measured, {why}, with", []).append(where)
        elif not words.is_decided(made):
            found.setdefault("it is open with", []).append(f"{where} ({words.sentences(made).word})")
        elif other.winner.library == ahead.winner.library:
            same.append((where, other))
        else:
            winner = words.names(other.winner, other.loser)[0]
            turned = f"it turns round, {winner} being faster, with"
            found.setdefault(turned, []).append(f"{where} ({other.times})")
    parts = [f"{start} {wording.listing(where)}" for start, where in found.items()]
    if same:
        factors = [units.ratio(of(other.factor for _, other in same)) for of in (min, max)]
        reach = f"({' to '.join(dict.fromkeys(factors))} times)"
        winner = words.names(ahead.winner, ahead.loser)[0]
        parts.insert(0, f"{winner} stays ahead with {wording.listing([where for where, _ in same])} {reach}")
    return f"{wording.capital('; '.join(parts))}." if parts else ""


def _looks(facts: Facts, main: Comparison) -> str:
    """Return that this is the second look at the run, or that there may be one where something is open."""
    if facts.run.extended is not None:
        return words.extended(facts.run.extended)
    blocks = proposal(facts.run, facts.summary.headlines or (main,))
    return "" if blocks is None else words.look_again("FOLDER", blocks)


def _claim(facts: Facts) -> str:
    """Return what the tutorial says, what its two programs do here, and why that compares no libraries."""
    made = facts.summary.headline("claim")
    if made is None:
        return ""
    if (ahead := words.lead(made)) is None:
        return full_stop(f"The tutorial's claim could not be tried: {made.reason}")
    programs = [
        f"{_time(facts, one)}, {how} over "
        f"{wording.count(facts.entries[one].case.shape.T, 'step')} in {facts.entries[one].case.dtype}"
        for one, how in ((made.baseline, "one sample at a time"), (made.entry, "the whole batch"))
    ]
    faster = "faster" if ahead.winner == facts.arm(made.entry) else "slower"
    times = ahead.times.replace("times", f"times {faster}", 1)
    verb = "is" if words.is_decided(made) else "measured"
    return f"Its PyTorch program {verb} {times}, but at other work: {'; '.join(programs)}."


# a map of sizes


def _of_maps(facts: Facts, right: tuple[str, str]) -> Hero:
    """Return what holds at most sizes, and each map batch by batch, a line each."""
    first, maps = facts.maps[0], facts.maps
    found = []
    for one in maps:
        batches = ";\n".join(by_batch(one)) + "."
        text = batches if one is first else f"{title([one])}.\n{batches}"
        found.append((wording.capital(how(one, maps)), text))
    return Hero(
        title=title(maps),
        word=f"decided at {_decided(first)} of {len(first.cells)} sizes",
        tone="good" if _decided(first) else "calm",
        sure=tuple(_sure(facts, None)),
        about=f"{how(first, maps)}; B samples in a batch, H hidden units",
        facts=(*found, ("What was measured", f"All sizes: {work(maps)}."), *[right] * bool(right[1])),
    )


def title(maps: Sequence[SizeMap]) -> str:
    """Return the answer of the first map: who is faster at how many sizes, and where that changes."""
    cells, rows = maps[0].cells, lines(maps[0])
    counts = Counter(_faster(cell) for cell in cells if cell.faster)
    start, verb = "", "is"
    if not counts:
        if not all(cell.comparison.verdict == "NONE" and cell.comparison.ratio for cell in cells):
            return f"Neither is proved to be faster at any of {len(cells)} sizes"
        counts = Counter(map(_faster, cells))
        start, verb = "No verdict: ", "measured"
    (winner, most), *others = counts.most_common()
    among = "all" if most == len(cells) else f"{most} of"
    behind = "".join(f", {other} at {count}" for other, count in others)
    turns = "".join(f"; {text}" for text in _changes(rows))
    return f"{start}{winner} {verb} faster at {among} {len(cells)} sizes{behind}{turns}"


def certainty(maps: Sequence[SizeMap]) -> str:
    """Return how many sizes have a verdict, and how often one of those is by chance."""
    counted = [f"{_decided(one)} of {len(one.cells)} {how(one, maps)}" for one in maps]
    return (
        f"Decided are {wording.listing(counted)}. Each size is judged by itself: of those where both take "
        "the same time, about 5 % may be called wrongly."
    )


def by_batch(size_map: SizeMap) -> list[str]:
    """Return a line for each B, those with the same answer taken together: "B = 4: PyTorch above ..."."""
    rows = lines(size_map)
    alike: dict[str, list[int]] = {}
    for row in rows:
        alike.setdefault(clause(row), []).append(row.fixed)
    return [f"B = {reach(own, [row.fixed for row in rows])}: {text}" for text, own in alike.items()]


def how(size_map: SizeMap, maps: Sequence[SizeMap] = ()) -> str:
    """Return which forms were compared, where, and in what else the map differs from others."""
    return f"{FORMS[size_map.kind]} {where(size_map, maps)}"


def where(size_map: SizeMap, maps: Sequence[SizeMap] = ()) -> str:
    """Return a map's place: "on cpu with one thread"; and its T, I and O where the maps differ in them."""
    counts = sorted({cell.comparison.baseline_arm.threads for cell in size_map.cells})
    threads = wording.listing(["one" if n == 1 else str(n) for n in counts]).replace(" and ", " or ")
    place = f"on cpu with {threads} {'thread' if counts == [1] else 'threads'}"
    if size_map.device != "cpu":
        pair = size_map.cells[0].comparison
        other = f"{words.library(pair.arm)} on {size_map.device}"
        place = f"with {other} and {words.library(pair.baseline_arm)} {place}"
    shapes = [one.case.shape for one in maps]
    varied = [name for name in "TIO" if len({getattr(shape, name) for shape in shapes}) > 1]
    sizes = " and ".join(f"{name} = {getattr(size_map.case.shape, name)}" for name in varied)
    return f"{place} at {sizes}" if sizes else place


def work(maps: Sequence[SizeMap]) -> str:
    """Return what all sizes share: the training step on random data, 6 steps of 6 features, float32."""
    case = maps[0].case
    data = "random data" if case.data == "random" else f"{case.layout} input"
    shapes = [
        f"{wording.count(s.T, 'step')} of {wording.count(s.I, 'feature')}, {wording.count(s.O, 'output')}"
        for s in dict.fromkeys(one.case.shape for one in maps)
    ]
    return f"the {words.TASKS[case.task]} on {data}, {'; '.join(shapes)}, {case.dtype}, {case.activation}"


def clause(line: Line) -> str:
    """Return what a row says: who is faster where, from where on the other is, and what is not proved."""
    name, first = line.axis, line.first
    sizes = [size(cell, line) for cell in line.cells]
    if first is None:
        return f"neither is proved to be faster at any {name} from {sizes[0]} to {sizes[-1]}"
    if line.crossings:
        first_above = f"above some {name}"
        text = ", ".join(
            f"{_faster(one.above)} {'again above one' if n else first_above} between {between(one)}"
            for n, one in enumerate(line.crossings)
        )
    elif line.undecided:
        decided = [size(cell, line) for cell in line.cells if cell.faster]
        text = f"{_faster(first)} at {name} = {reach(decided, sizes)}"
    else:
        text = f"{_faster(first)} at every {name} from {sizes[0]} to {sizes[-1]}"
    unproved: dict[str, list[str]] = {}
    for cell in line.undecided:
        alike = cell.comparison.verdict == "EQUIVALENT"
        what = "both the same within the margin at" if alike else "undecided at"
        unproved.setdefault(what, []).append(str(size(cell, line)))
    open_ = ", ".join(f"{what} {wording.listing(at, MOST)}" for what, at in unproved.items())
    return f"{text} ({open_})" if open_ else text


def between(crossing: Crossing) -> str:
    """Return the interval, its ends rounded outwards: "180 and 260"."""
    return f"{_rounded(crossing.low, math.floor)} and {_rounded(crossing.high, math.ceil)}"


def size(cell: MapCell, line: Line) -> int:
    """Return a cell's place on its row."""
    return cell.H if line.axis == "H" else cell.B


def reach(sizes: Sequence[int], among: Sequence[int]) -> str:
    """Return sizes in ascending order: "4 to 32" where none of ``among`` lies between that is not one."""
    start = among.index(sizes[0])
    if len(sizes) > 2 and list(among[start : start + len(sizes)]) == list(sizes):
        return f"{sizes[0]} to {sizes[-1]}"
    return wording.listing([str(number) for number in sizes], MOST)


def _faster(cell: MapCell) -> str:
    """Return the library that took less time at a size."""
    pair = cell.comparison
    return words.library(pair.baseline_arm if (pair.ratio or 1) > 1 else pair.arm)


def _decided(size_map: SizeMap) -> int:
    """Return how many sizes have a verdict FASTER or SLOWER."""
    return sum(cell.faster is not None for cell in size_map.cells)


def _changes(rows: Sequence[Line]) -> list[str]:
    """Return who overtakes, at which batches, and from about which H on."""
    found: dict[str, dict[int, list[Crossing]]] = {}
    for row in rows:
        for crossing in row.crossings:
            found.setdefault(_faster(crossing.above), {}).setdefault(row.fixed, []).append(crossing)
    batches = [row.fixed for row in rows]
    turns = []
    for winner, by_size in found.items():
        crossings = [crossing for own in by_size.values() for crossing in own]
        ends = min(one.low for one in crossings), max(one.high for one in crossings)
        sizes = " to ".join(dict.fromkeys(f"{float(f'{end:.2g}'):.0f}" for end in ends))  # two digits
        at = "every B" if len(by_size) == len(rows) > 1 else f"B = {reach(list(by_size), batches)}"
        turns.append(f"{winner} overtakes at {at}, above an H of about {sizes}")
    return turns


def _rounded(number: float, whole: Callable[[float], int]) -> str:
    """Return three digits; below 1000 a whole number."""
    step = 10.0 ** max(0, math.floor(math.log10(number)) + 1 - DIGITS)
    return f"{whole(number / step) * step:.0f}"
