"""The answer of a run: the headline, how sure it is, what would change it, what to do next.

The page, Markdown, the terminal and a notebook show the same ``hero``. Every sentence says no more than a
verdict allows (``words.SENTENCES``).
"""

import math
from collections import Counter
from collections.abc import Sequence

from bench.analysis.crossover import Crossing, Line, MapCell, SizeMap, lines
from bench.analysis.outcome import WITHIN_BUDGET
from bench.analysis.verdict import Comparison, proposal
from bench.machine import units, wording
from bench.machine.busy import QUIET
from bench.machine.wording import full_stop
from bench.records.record import PairKind
from bench.reporting import words
from bench.reporting.facts import EXACTLY_ASKED, Facts
from bench.reporting.section import Hero, Pairs
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


def terminal_lines(facts: Facts) -> tuple[str, ...]:
    """Return what a terminal shows, line by line: what must be known before the answer, and the answer."""
    answer = hero(facts)
    sure = f"{answer.word}: {'; '.join(answer.small)}".strip(": ")
    machine = words.machine(facts.run.environment.machine)
    each = (f"{about}: {text}" for about, text in answer.facts)
    return (*caveats(facts), *filter(None, (answer.title, sure, machine, *each)))


def main_comparison(facts: Facts) -> Comparison | None:
    """Return what the answer is about: the usual forms, else the fastest, else the first row of a table."""
    if headline := facts.summary.headline("as_written") or facts.summary.headline("best"):
        return headline
    rows = (row.comparison for row in facts.rows.values() if not row.arm.known_wrong)
    return next((row for row in rows if row and row.ratio and row.same_work and not row.twin), None)


def hero(facts: Facts, *, why: str = "", turns: str = "", right: str = "") -> Hero:
    """Return the answer of a run; ``why``, ``turns`` and ``right`` are sentences of the page's sections.

    They say why it is so, where it turns round, and whether results are right.
    """
    if facts.is_grid:
        return _of_maps(facts, right)
    main = main_comparison(facts)
    if main is None or not any(row.median_ns for row in facts.rows.values()):
        return _of_nothing(facts, main)
    asked = _asked(facts, main)
    verdicts = {_word(facts, comparison) for comparison in asked}
    pairs = (
        ("What was asked for", _each(facts, asked)),
        ("What was measured", _setting(facts, main, asked)),
        ("Fastest forms", _fastest(facts, main, asked)),
        ("On an accelerator", _accelerators(facts, main)),
        ("Why", why if words.is_decided(main) else ""),  # else nothing is the cause
        ("What would change it", f"{_elsewhere(facts, main, asked)} {turns}"),
        ("The tutorial’s claim, “orders of magnitude faster”", _claim(facts)),
        ("A second look", _second_look(facts, main)),
        ("Is it right?", right),
    )
    return Hero(
        title=_title(facts, asked),
        word=verdicts.pop() if len(verdicts) == 1 else "it depends",
        tone=words.sentences(main).tone if len({each.verdict for each in asked}) == 1 else "calm",
        small=tuple(filter(None, _small(facts, main, asked))),
        facts=_without_empty(pairs),
    )


def caveats(facts: Facts) -> tuple[str, ...]:
    """Return what must be known before the answer: no verdict and why, an early end, what is wrong."""
    summary, main, texts = facts.summary, main_comparison(facts), list[str]()
    control, state = summary.control, facts.run.state
    if control.failure:
        texts.append(_no_verdict(control.failure, control.mend))
    elif not facts.run.plan.verdicts:
        blocks = wording.count(summary.blocks, "block")
        texts.append(f"A quick run, {blocks}: times, but no verdict. {_what_gives_verdicts(facts)}")
    elif not facts.is_grid and main and main.ratio is not None and main.verdict in ("NONE", "INVALID"):
        texts.append(_no_verdict(main.reason, main.mend))
    if state != "complete":
        planned = facts.run.decision.blocks if facts.run.decision else facts.run.plan.blocks
        how = "Partial result" if state == "partial" else "The run was interrupted"
        counted = f"{summary.blocks} of {wording.count(planned, 'block')} hold values"
        texts.append(f"{how}: {summary.ending.rstrip('.')}; {counted}.")
    broke = [one for one in summary.troubles if one.status in BROKE]
    lines = [f"{facts.arm(one.entry).variant} {BROKE[one.status]}: {one.reason}" for one in broke]
    lines = list(dict.fromkeys(map(full_stop, lines)))
    texts += lines[:MOST_BROKE]
    if len(lines) > MOST_BROKE:
        texts.append(f"{len(lines) - MOST_BROKE} more failed so: see the failures.")
    if summary.disagrees:
        texts.append(
            "Something that claims to be right gives wrong results, and has no times: see the failures."
        )
    return tuple(texts)


def _no_verdict(why: str, mend: str) -> str:
    """Return that there is none, why, and what to do next."""
    return " ".join(full_stop(text) for text in (f"No verdict: {why}", mend) if text)


def _what_gives_verdicts(facts: Facts) -> str:
    """Return what would give a verdict, and what was in the way of one."""
    others = facts.run.environment.machine.get("others_cpus") or 0.0
    busy = [f"used {units.number(others)} processors before it began"] if others >= QUIET else []
    if disturbed := sum(outcome.disturbed for outcome in facts.summary.measured):
        counted = sum(len(row.outcome.medians) for row in facts.rows.values())
        busy.append(f"disturbed {disturbed} of {wording.count(counted, 'measurement')}")
    if not busy:
        return "Verdicts take a run that is not quick."
    return (
        f"The machine was busy: other programs {' and '.join(busy)}. Verdicts take a run that is not quick "
        "on a quiet machine: rnnbench run --wait-quiet 10min."
    )


def _without_empty(pairs: Pairs) -> Pairs:
    """Return what has a sentence."""
    return tuple((about, text.strip()) for about, text in pairs if text.strip())


# the headline, and how sure it is


def _title(facts: Facts, asked: Sequence[Comparison]) -> str:
    """Return the answer in a dozen words: of few comparisons each, of many how often who is ahead."""
    if len(asked) == 1:
        return words.sentences(asked[0]).title.format(**words.parts(asked[0]))
    decided = [words.is_decided(comparison) for comparison in asked]
    verb = "is" if all(decided) else "measured"
    end = "" if all(decided) else ": not all decided" if any(decided) else ": undecided"
    parts = [filled for one in asked if "winner" in (filled := words.parts(one))]
    if len(parts) == len(asked) <= FEW:
        times = f"{{winner}} {verb} {{factor}} times faster than {{loser}}".format
        each = zip(asked, parts, strict=True)
        return ", ".join(f"{times(**of)} with {_difference(facts, one, asked)}" for one, of in each) + end
    counts = Counter(filled["winner"] for filled in parts).most_common()
    often = [f"{winner} {verb} faster in {count}" for winner, count in counts]
    often += [f"{len(asked) - len(parts)} without a result"] * (len(parts) < len(asked))
    return f"Of {len(asked)} comparisons {wording.listing(often)}{end}"


def _word(facts: Facts, comparison: Comparison) -> str:
    """Return the verdict, seen from the side that is ahead."""
    ahead = words.lead(comparison) if words.is_decided(comparison) else None
    return f"{words.names(ahead.winner, ahead.loser)[0]} FASTER" if ahead else words.verdict(comparison)


def _time(facts: Facts, entry: str, asked: Sequence[Comparison] = ()) -> str:
    """Return a variant and the time of a call, which is not one where several cases were asked for."""
    variant = words.variant(facts.arm(entry))
    return variant if len(asked) > 1 else f"{variant} {facts.time(entry)}"


def _small(facts: Facts, main: Comparison, asked: Sequence[Comparison]) -> list[str]:
    """Return which forms the title compares, the interval, the noise floor, and how often it was measured."""
    texts, sides = list[str](), (main.baseline, main.entry)
    if main.ratio is not None:
        times = ", ".join(_time(facts, entry, asked) for entry in sides)
        usual = ", each as usually written" if main.kind == "as_written" else ""
        texts.append(f"{times}{' a call' if len(asked) == 1 else ''}{usual}")
    if len(asked) > 1:
        return [*texts, *_noise(facts)]
    ahead = words.lead(main)
    if ahead and ahead.low is not None:
        interval = f"95 % interval {units.interval(ahead.low, ahead.high)}"
        quotient = f"{words.parts(main)['quotient']}, 95 % interval"
        texts += [interval if words.is_decided(main) else quotient, main.reason]
    texts += _noise(facts)
    for entry in reversed(sides):
        if entry in facts.summary.modes:
            blocks, slower = facts.summary.modes[entry]
            often = f"{blocks} of {wording.count(len(facts.rows[entry].outcome.medians), 'block')}"
            variant = words.variant(facts.arm(entry))
            texts.append(f"{variant} ran at two speeds: {units.percent(slower)} slower in {often}")
    return texts


def _noise(facts: Facts) -> list[str]:
    """Return how far the same thing measured twice differs, and the blocks."""
    floor, blocks = facts.noise_floor, facts.summary.blocks
    return [f"noise floor {floor}"] * bool(floor) + [wording.count(blocks, "block")] * bool(blocks)


def _of_nothing(facts: Facts, main: Comparison | None) -> Hero:
    """Return why nothing was measured, or nothing compared, in the words of the journal."""
    summary = facts.summary
    variants = {facts.arm(trouble.entry).variant for trouble in summary.troubles}
    whose = f"{variants.pop()}: " if len(variants) == 1 else ""
    reasons = [whose + trouble.reason for trouble in summary.troubles]
    reasons = reasons or [item.reason for item in facts.run.plan.missing]
    if facts.run.state == "interrupted" or not reasons:
        reasons = [summary.ending]
    measured = any(row.median_ns for row in facts.rows.values())
    return Hero(
        f"Nothing was {'compared' if measured else 'measured'}",
        main.verdict if main else "",
        tone="trouble",
        facts=(("Why", full_stop(wording.listing(list(dict.fromkeys(reasons)), 3))),),
    )


# what else was compared


def _asked(facts: Facts, main: Comparison) -> list[Comparison]:
    """Return the main comparison, and those like it that were asked for: other work, other threads.

    Other devices are measured wherever they are found, and have sentences of their own.
    """
    if facts.run.plan.preset not in EXACTLY_ASKED:
        return [main]
    alike = [one for one in facts.summary.headlines if one.kind == main.kind]
    groups = {facts.entries[one.entry].group for one in (main, *alike)}
    for table in facts.summary.tables:
        rows = [row.comparison for row in table.rows if row.arm == main.arm and row.comparison]
        if table.kind == "table" and table.name not in groups:
            alike += [one for one in rows if one.baseline_arm == main.baseline_arm]
    device, sides = facts.arm(main.entry).device, (main.entry, main.baseline)
    here = (one for one in alike if facts.arm(one.entry).device == device)
    return [main, *(one for one in here if (one.entry, one.baseline) != sides)]


def _difference(facts: Facts, comparison: Comparison, others: Sequence[Comparison]) -> str:
    """Return in what a comparison differs from any other: "hidden 256 and 2 threads"."""
    case, arm = facts.case(comparison.entry), facts.arm(comparison.entry)
    cases = [facts.case(other.entry) for other in others]
    arms = [facts.arm(other.entry) for other in others]
    differences = []
    if any(other.task != case.task for other in cases):
        differences.append(f"the {words.TASKS[case.task]}")
    if any(other.layout != case.layout for other in cases) and case.data != "random":
        differences.append(f"{case.layout} input")
    alike = [other.shape for other in cases if other.layout == case.layout]  # the layout makes T and I
    for name in "TBIHO":
        size = getattr(case.shape, name)
        if any(getattr(shape, name) != size for shape in alike):
            counted = name in COUNTED
            differences.append(wording.count(size, COUNTED[name]) if counted else f"{NAMED[name]} {size}")
    if any(other.device != arm.device for other in arms):
        differences.append(words.on_device(arm))
    elif any(other.threads != arm.threads for other in arms):
        differences.append(words.threads(arm))
    return wording.listing(differences, len(differences)) or (
        f"the table {facts.entries[comparison.entry].group}"
    )


def _comparison(facts: Facts, start: str, comparison: Comparison) -> str:
    """Return a sentence: who was compared, the times where there are any, and what the verdict allows."""
    times = ""
    if comparison.ratio is not None:
        times = f" ({_time(facts, comparison.baseline)}, {_time(facts, comparison.entry)})"
    return full_stop(f"{wording.capital(start)}{times}, {words.clause(comparison)}")


def _each(facts: Facts, asked: Sequence[Comparison]) -> str:
    """Return a line for each comparison that was asked for, where that is more than one."""
    if len(asked) == 1:
        return ""
    each = [_comparison(facts, f"with {_difference(facts, one, asked)}", one) for one in asked[:MOST]]
    more = f"{len(asked) - MOST} more stand in the tables."
    return "\n".join([*each, *[more] * (len(asked) > MOST)])


def _setting(facts: Facts, main: Comparison, asked: Sequence[Comparison]) -> str:
    """Return all that makes the number one number: times, work, shape, dtype, device, threads."""
    case = facts.case(main.entry)
    place = words.places(facts.arm(main.baseline), facts.arm(main.entry))
    work = f"{words.work(case)}, {words.shape(case)}, {case.dtype}, {case.activation}; {place}."
    if main.ratio is None:
        return f"{wording.capital(words.clause(main))}, at {work}"
    start = "The first of these is " if len(asked) > 1 else ""
    return f"{wording.capital(start + work)} Ratios are taken within blocks, not from these times."


def _fastest(facts: Facts, main: Comparison, asked: Sequence[Comparison]) -> str:
    """Return the fastest form of each library at the work and place of the main comparison; and compiled."""

    def setting(comparison: Comparison) -> tuple[object, ...]:
        arm = facts.arm(comparison.entry)
        return facts.case(comparison.entry), arm.device, arm.threads

    best = [one for one in facts.summary.headlines if one.kind == "best" and one != main]
    sentences = []
    if fastest := next((one for one in best if setting(one) == setting(main)), None):
        group = facts.entries[main.entry].group
        variants = {facts.arm(entry.id).variant for entry in facts.entries.values() if entry.group == group}
        start = "at the first of these, " if len(asked) > 1 else ""
        start += "with or without a compiler" if COMPILING & variants else "without a compiler"
        same = (fastest.entry, fastest.baseline) == (main.entry, main.baseline)
        none_faster = "The same: block 0 found none that is faster."
        sentences.append(none_faster if same else _comparison(facts, start, fastest))
    if compiled := facts.summary.headline("compiled"):
        start = f"with {words.library(facts.arm(compiled.entry))} compiled"
        sentences.append(_comparison(facts, start, compiled))
    return " ".join(sentences)


def _accelerators(facts: Facts, main: Comparison) -> str:
    """Return the fastest form on every accelerator against that on the CPU: a sentence for each."""
    here, case, sentences = facts.arm(main.entry).device, facts.case(main.entry), []
    for best in facts.summary.headlines:
        device = facts.arm(best.entry).device
        elsewhere = best.kind == "best" and device not in ("cpu", here)
        if elsewhere and best.ratio is not None and facts.case(best.entry) == case:
            start = f"on {words.device(facts.run, device)} against {words.place(facts.arm(best.baseline))}"
            sentences.append(_comparison(facts, start, best))
    return " ".join(sentences)


def _elsewhere(facts: Facts, main: Comparison, asked: Sequence[Comparison]) -> str:
    """Return whether more threads, another device, layout or shape change the answer, where it has one."""
    ahead = words.lead(main)
    if ahead is None or not words.is_decided(main) or len(asked) > 1:
        return ""
    winner = words.names(ahead.winner, ahead.loser)[0]
    places = {f"{winner} stays ahead with": list[str]()}
    for other in (one for one in facts.summary.headlines if one.kind == "as_written" and one != main):
        lead, place = words.lead(other), _difference(facts, other, [main])
        if lead is None:
            start = f"not measured, {WITHIN_BUDGET if other.left_out else f'({other.reason})'}, with"
        elif not words.is_decided(other):
            start, place = "it is open with", f"{place} ({words.verdict(other)})"
        elif lead.winner.library == ahead.winner.library:
            start, place = f"{winner} stays ahead with", f"{place} ({units.ratio(lead.factor)} times)"
        else:
            start = f"it turns round, {words.names(lead.winner, lead.loser)[0]} being faster, with"
            place += f" ({lead.times})"
        places.setdefault(start, []).append(place)
    clauses = [f"{start} {wording.listing(each)}" for start, each in places.items() if each]
    return f"{wording.capital('; '.join(clauses))}." if clauses else ""


def _second_look(facts: Facts, main: Comparison) -> str:
    """Return that this is the second look at the run, or that there may be one where something is open."""
    if facts.run.extended is not None:
        return words.extended(facts.run.extended)
    blocks = proposal(facts.run, facts.summary.headlines or (main,))
    return "" if blocks is None else words.look_again("FOLDER", blocks)


def _claim(facts: Facts) -> str:
    """Return what the tutorial says, what its two programs do here, and why that compares no libraries."""
    claim = facts.summary.headline("claim")
    if claim is None:
        return ""
    if (ahead := words.lead(claim)) is None:
        return full_stop(f"The tutorial's claim could not be tried: {claim.reason}")
    programs = [
        f"{_time(facts, entry)}, {how} over {wording.count(facts.case(entry).shape.T, 'step')} in "
        f"{facts.case(entry).dtype}"
        for entry, how in ((claim.baseline, "one sample at a time"), (claim.entry, "the whole batch"))
    ]
    faster = "faster" if ahead.winner == facts.arm(claim.entry) else "slower"
    times = ahead.times.replace("times", f"times {faster}", 1)
    verb = "is" if words.is_decided(claim) else "measured"
    return f"Its PyTorch program {verb} {times}, but at other work: {'; '.join(programs)}."


# a map of sizes


def _of_maps(facts: Facts, right: str) -> Hero:
    """Return what holds at most sizes, and each map batch by batch, a line each."""
    first, maps, pairs = facts.maps[0], facts.maps, []
    for size_map in maps:
        batches = ";\n".join(by_batch(size_map)) + "."
        text = batches if size_map is first else f"{title([size_map])}.\n{batches}"
        pairs.append((wording.capital(how(size_map, maps)), text))
    pairs += [("What was measured", f"All sizes: {work(maps)}."), ("Is it right?", right)]
    return Hero(
        title=title(maps),
        word=f"decided at {_decided(first)} of {len(first.cells)} sizes",
        tone="good" if _decided(first) else "calm",
        small=(f"{how(first, maps)}; B samples in a batch, H hidden units", *_noise(facts)),
        facts=_without_empty(tuple(pairs)),
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
    turns = "".join(f"; {text}" for text in _turns(rows))
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
    rows, alike = lines(size_map), dict[str, list[int]]()
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
        place = f"with {words.on_device(pair.arm)} and {words.library(pair.baseline_arm)} {place}"
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
    name, sizes = line.axis, [size(cell, line) for cell in line.cells]
    if line.first is None:
        return f"neither is proved to be faster at any {name} from {sizes[0]} to {sizes[-1]}"
    winner = _faster(line.first)
    if line.crossings:
        starts = [f"above some {name}", *["again above one"] * (len(line.crossings) - 1)]
        turns = zip(line.crossings, starts, strict=True)
        text = ", ".join(f"{_faster(one.above)} {start} between {between(one)}" for one, start in turns)
    elif line.undecided:
        decided = [size(cell, line) for cell in line.cells if cell.faster]
        text = f"{winner} at {name} = {reach(decided, sizes)}"
    else:
        text = f"{winner} at every {name} from {sizes[0]} to {sizes[-1]}"
    unproved: dict[str, list[str]] = {}
    for cell in line.undecided:
        alike = cell.comparison.verdict == "EQUIVALENT"
        what = "both the same within the margin at" if alike else "undecided at"
        unproved.setdefault(what, []).append(str(size(cell, line)))
    open_ = ", ".join(f"{what} {wording.listing(at, MOST)}" for what, at in unproved.items())
    return f"{text} ({open_})" if open_ else text


def between(crossing: Crossing) -> str:
    """Return the interval, "180 and 260": three digits, whole numbers below 1000, rounded outwards."""
    low, high = (
        10.0 ** max(0, math.floor(math.log10(n)) + 1 - DIGITS) for n in (crossing.low, crossing.high)
    )
    return f"{math.floor(crossing.low / low) * low:.0f} and {math.ceil(crossing.high / high) * high:.0f}"


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


def _turns(rows: Sequence[Line]) -> list[str]:
    """Return who overtakes, at which batches, and from about which H on."""
    batches, texts = [row.fixed for row in rows], []
    turns = [(_faster(one.above), row.fixed, one) for row in rows for one in row.crossings]
    for winner in dict.fromkeys(winner for winner, *_ in turns):
        own = list(dict.fromkeys(fixed for name, fixed, _ in turns if name == winner))
        ends = [(one.low, one.high) for name, _, one in turns if name == winner]
        limits = min(low for low, _ in ends), max(high for _, high in ends)
        sizes = " to ".join(dict.fromkeys(f"{float(f'{end:.2g}'):.0f}" for end in limits))  # two digits
        at = "every B" if len(own) == len(rows) > 1 else f"B = {reach(own, batches)}"
        texts.append(f"{winner} overtakes at {at}, above an H of about {sizes}")
    return texts
