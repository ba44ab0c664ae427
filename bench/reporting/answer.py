"""Write a run's answer: the headline, its certainty, what would change the answer, and the next step.

The page, Markdown, the terminal and a notebook show the same ``hero``. Every sentence claims only what the
verdict allows (``words.SENTENCES``).
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from bench.analysis.crossover import Crossing, Line, MapCell, SizeMap, lines
from bench.analysis.outcome import WITHIN_BUDGET
from bench.analysis.verdict import Comparison, Word, proposal
from bench.machine import units, wording
from bench.machine.busy import QUIET
from bench.machine.wording import full_stop
from bench.reporting import packing, peers, words
from bench.reporting.facts import REQUEST_PRESETS, Facts
from bench.reporting.section import Hero, Pairs
from bench.reporting.sections.cells import hero as cells_hero
from bench.workload.catalog import VARIANTS, by_name

# status of an entry that ended without any result -> label
BROKEN_LABELS = {"crashed": "CRASHED", "timeout": "TIMEOUT", "oom": "OUT OF MEMORY"}
MAX_BROKEN = 5  # broken entries that the caveats list
COMPILED_VARIANTS = {variant.name for variant in VARIANTS if variant.compiles}
COUNTED_SIZES = {"T": "step", "I": "feature", "O": "output"}  # written as a count: "6 steps"
NAMED_SIZES = {"B": "batch", "H": "hidden"}  # written with a name: "hidden 32"
MAX_LISTED = 12  # sentences, or sizes in one sentence
MAX_TITLE_COMPARISONS = 3  # with more comparisons, the title only counts them
WITHOUT_WINNER: dict[Word, str] = {
    "EQUIVALENT": "both the same within the margin at", "MISSING": "no result at",
}  # fmt: skip
OF_ONE_MACHINE = (
    "Both sides of a ratio were measured on one machine; a crossing is between two sizes of one machine."
)
LIMIT_DIGITS = 3  # significant digits of a crossing's limits


def terminal_lines(facts: Facts) -> tuple[str, ...]:
    """Return the lines for a terminal: first the caveats, then the answer."""
    run_hero = hero(facts)
    word_line = f"{run_hero.word}: {'; '.join(run_hero.small)}".strip(": ")
    machines = () if facts.run.machines and facts.is_grid else words.machines(facts.run)
    fact_lines = (f"{label}: {text}" for label, text in run_hero.facts)
    return (*caveats(facts), *filter(None, (run_hero.title, word_line, *machines, *fact_lines)))


def main_comparison(facts: Facts) -> Comparison | None:
    """Return the main comparison: of the usual forms, else of the fastest, else of a table's first row.

    Usual forms that were left out to keep within the time make way for the fastest.
    """
    usual, fastest = facts.summary.headline("as_written"), facts.summary.headline("best")
    if headline := fastest if usual is None or (usual.left_out and fastest) else usual:
        return headline
    rows = sorted(facts.rows.values(), key=lambda row: row.arm.peer)
    pairs = (row.comparison for row in rows if not row.arm.known_wrong)
    return next((pair for pair in pairs if pair and pair.ratio and pair.same_work and not pair.twin), None)


def hero(facts: Facts, *, why: str = "", turns: str = "", right: str = "") -> Hero:
    """Return the answer of a run; ``why``, ``turns`` and ``right`` are sentences of the page's sections.

    ``why`` gives the cause, ``turns`` where the faster side changes, ``right`` whether results are correct.
    What peers change about it comes first, and never in the title.
    """

    def name(peer: peers.Peer, compared: Sequence[peers.Peer]) -> str:
        return _difference(facts, peer.pairs[0], [other.pairs[0] for other in compared])

    of_peers = _drop_empty(((peers.LABEL, peers.answer(facts.sources, name)),))
    of_libraries = _of_libraries(facts, why, turns, right)
    return replace(of_libraries, facts=(*of_peers, *of_libraries.facts))


def _of_libraries(facts: Facts, why: str, turns: str, right: str) -> Hero:
    """Return the answer without the peers."""
    if facts.is_grid:
        return _of_maps(facts, right)
    if costs := cells_hero(facts, right, _noise(facts)):
        return costs
    main = main_comparison(facts)
    if main is None or not any(row.median_ns for row in facts.rows.values()):
        return _of_nothing(facts, main)
    requested = _requested(facts, main)
    verdict_words = {_word(facts, comparison) for comparison in requested}
    pairs = (
        ("What was asked for", _requested_lines(facts, requested)),
        ("What was measured", _setting(facts, main, requested)),
        ("Fastest forms", _fastest(facts, main, requested)),
        ("Your own", _own(facts, requested)),
        (packing.LABEL, "\n".join(packing.sentences(facts))),
        ("On an accelerator", _accelerators(facts, main)),
        ("Why", why if words.is_decided(main) else ""),  # without a decision there is no cause
        ("What would change it", f"{_elsewhere(facts, main, requested)} {turns}"),
        ("The tutorial’s claim, “orders of magnitude faster”", _claim(facts)),
        ("A second look", _second_look(facts, main)),
        ("Is it right?", right),
    )
    return Hero(
        title=_title(facts, requested),
        word=verdict_words.pop() if len(verdict_words) == 1 else "it depends",
        tone=words.sentences(main).tone if len({pair.verdict for pair in requested}) == 1 else "calm",
        small=tuple(filter(None, _small(facts, main, requested))),
        facts=_drop_empty(pairs),
    )


def caveats(facts: Facts) -> tuple[str, ...]:
    """Return the warnings before the answer: a missing verdict, an early end, failures, wrong results."""
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
        ending = "Partial result" if state == "partial" else "The run was interrupted"
        counted = f"{summary.blocks} of {wording.count(planned, 'block')} hold values"
        texts.append(f"{ending}: {summary.ending.rstrip('.')}; {counted}.")
    controlled = {facts.mark(twin.entry) for twin in summary.twins}
    for number, one in enumerate(summary.controls if not control.failure else ()):
        on = words.mark(number)
        if one.failure:
            texts.append(_no_verdict(f"on {on} {one.failure}", one.mend))
        elif on not in controlled and facts.run.plan.verdicts:
            texts.append(f"No A/A control was measured on {on}: its verdicts stand without one.")
    tables = {group.name for group in facts.run.plan.groups}
    lost = [f"{item.what}: {item.reason}" for item in facts.run.plan.missing if item.what in tables]
    texts += [full_stop(f"Missing: {wording.listing(lost, MAX_BROKEN)}")] * bool(lost)
    broken = [trouble for trouble in summary.troubles if trouble.status in BROKEN_LABELS]
    lines = [
        f"{facts.arm(trouble.entry).variant} {BROKEN_LABELS[trouble.status]}: {trouble.reason}"
        for trouble in broken
    ]
    lines = list(dict.fromkeys(map(full_stop, lines)))
    texts += lines[:MAX_BROKEN]
    if len(lines) > MAX_BROKEN:
        texts.append(f"{len(lines) - MAX_BROKEN} more failed so: see the failures.")
    if summary.disagrees:
        wrong = [trouble for trouble in summary.troubles if trouble.status == "disagrees"]
        named = dict.fromkeys(f" --variant {facts.arm(trouble.entry).spec}" for trouble in wrong)
        texts.append(
            "Something that claims to be right gives wrong results, and has no times. What is wrong with it: "
            f"rnnbench verify{''.join(named)}."
        )
    return tuple(texts)


def _no_verdict(why: str, mend: str) -> str:
    """Return that no verdict is given, why, and what to do next."""
    return " ".join(full_stop(text) for text in (f"No verdict: {why}", mend) if text)


def _what_gives_verdicts(facts: Facts) -> str:
    """Return how to get a verdict, and what disturbed this run."""
    others = facts.run.environment.machine.get("others_cpus") or 0.0
    busy = [f"used {units.number(others)} processors before it began"] if others >= QUIET else []
    if disturbed := sum(outcome.disturbed for outcome in facts.summary.measured):
        counted = sum(len(row.outcome.medians) for row in facts.rows.values())
        busy.append(f"disturbed {disturbed} of {wording.count(counted, 'measurement')}")
    if not busy:
        return "Verdicts take a run that is not quick."
    return (
        f"The machine was busy: other programs {' and '.join(busy)}. Verdicts take a run that is not quick "
        "on a quiet machine: the same command with `--wait-quiet 10min` in place of `--quick`."
    )


def _drop_empty(pairs: Pairs) -> Pairs:
    """Return the pairs whose text is not empty."""
    return tuple((label, text.strip()) for label, text in pairs if text.strip())


# the headline and its certainty


def _title(facts: Facts, asked: Sequence[Comparison]) -> str:
    """Return the answer in a dozen words: each comparison if few, else how often each side is faster."""
    for_cell = words.for_cell(facts.case(asked[0].entry))
    if len(asked) == 1:
        return words.sentences(asked[0]).title.format(**words.parts(asked[0]), for_cell=for_cell)
    decided = [words.is_decided(comparison) for comparison in asked]
    verb = "is" if all(decided) else "measured"
    end = "" if all(decided) else ": not all decided" if any(decided) else ": undecided"
    parts = [texts for pair in asked if "winner" in (texts := words.parts(pair))]
    if len(parts) == len(asked) <= MAX_TITLE_COMPARISONS:
        sentence = f"{{winner}} {verb} {{factor}} times faster than {{loser}}".format
        clauses = [
            f"{sentence(**texts)} with {_difference(facts, pair, asked)}"
            for pair, texts in zip(asked, parts, strict=True)
        ]
        return ", ".join(clauses) + for_cell + end
    win_counts = Counter(texts["winner"] for texts in parts).most_common()
    clauses = [f"{winner} {verb} faster in {count}" for winner, count in win_counts]
    clauses += [f"{len(asked) - len(parts)} without a result"] * (len(parts) < len(asked))
    of_cell = words.of_cell(facts.case(asked[0].entry))
    return f"Of {len(asked)} comparisons{of_cell} {wording.listing(clauses)}{end}"


def _word(facts: Facts, comparison: Comparison) -> str:
    """Return the verdict from the view of the faster side."""
    lead = words.lead(comparison) if words.is_decided(comparison) else None
    return f"{words.names(lead.winner, lead.loser)[0]} FASTER" if lead else words.verdict(comparison)


def _time(facts: Facts, entry: str, asked: Sequence[Comparison] = ()) -> str:
    """Return a variant with the time of a call; without the time where ``asked`` holds several cases."""
    variant = words.variant(facts.arm(entry))
    return variant if len(asked) > 1 else f"{variant} {facts.time(entry)}"


def _small(facts: Facts, main: Comparison, asked: Sequence[Comparison]) -> list[str]:
    """Return the compared forms, the interval, the noise floor, and the number of blocks."""
    texts, sides = list[str](), (main.baseline, main.entry)
    if main.ratio is not None:
        times = ", ".join(_time(facts, entry, asked) for entry in sides)
        usual = ", each as usually written" if main.kind == "as_written" else ""
        texts.append(f"{times}{' a call' if len(asked) == 1 else ''}{usual}")
    if len(asked) > 1:
        return [*texts, *_noise(facts)]
    lead = words.lead(main)
    if lead and lead.low is not None:
        interval = f"95 % interval {units.interval(lead.low, lead.high)}"
        quotient = f"{words.parts(main)['quotient']}, 95 % interval"
        texts += [interval if words.is_decided(main) else quotient, main.reason]
    texts += _noise(facts)
    for entry in reversed(sides):
        if entry in facts.summary.modes:
            slow_blocks, slower = facts.summary.modes[entry]
            share = f"{slow_blocks} of {wording.count(len(facts.rows[entry].outcome.medians), 'block')}"
            variant = words.variant(facts.arm(entry))
            texts.append(f"{variant} ran at two speeds: {units.percent(slower)} slower in {share}")
    return texts


def _noise(facts: Facts) -> list[str]:
    """Return the noise floor, the difference between two measurements of the same code, and the blocks."""
    floor, summary = facts.noise_floor, facts.summary
    return [f"noise floor {floor}"] * bool(floor) + [summary.counted] * bool(summary.blocks)


def _of_nothing(facts: Facts, main: Comparison | None) -> Hero:
    """Return why nothing was measured, or nothing was compared, in the words of the journal."""
    summary = facts.summary
    variants = {facts.arm(trouble.entry).variant for trouble in summary.troubles}
    prefix = f"{variants.pop()}: " if len(variants) == 1 else ""
    reasons = [prefix + trouble.reason for trouble in summary.troubles]
    reasons = reasons or [missing.reason for missing in facts.run.plan.missing]
    if facts.run.state == "interrupted" or not reasons:
        reasons = [summary.ending]
    measured = any(row.median_ns for row in facts.rows.values())
    return Hero(
        f"Nothing was {'compared' if measured else 'measured'}",
        main.verdict if main else "",
        tone="trouble",
        facts=(("Why", full_stop(wording.listing(list(dict.fromkeys(reasons)), 3))),),
    )


# the other comparisons


def _requested(facts: Facts, main: Comparison) -> list[Comparison]:
    """Return the main comparison and the requested ones of the same kind: other work, other threads.

    Other devices are left out: every device found is measured, and has its own sentence.
    """
    if facts.run.plan.preset not in REQUEST_PRESETS:
        return [main]
    similar = [pair for pair in facts.summary.headlines if pair.kind == main.kind]
    groups = {facts.entries[pair.entry].group for pair in (main, *similar)}
    for table in facts.summary.tables:
        rows = [row.comparison for row in table.rows if row.arm == main.arm and row.comparison]
        if table.kind == "table" and table.name not in groups:
            similar += [pair for pair in rows if pair.baseline_arm == main.baseline_arm]
    device, sides = facts.arm(main.entry).device, (main.entry, main.baseline)
    on_device = (pair for pair in similar if facts.arm(pair.entry).device == device)
    return [main, *(pair for pair in on_device if (pair.entry, pair.baseline) != sides)]


def _difference(facts: Facts, comparison: Comparison, others: Sequence[Comparison]) -> str:
    """Return how a comparison differs from the others: "hidden 256 and 2 threads"."""
    case, arm = facts.case(comparison.entry), comparison.arm
    cases = [facts.case(pair.entry) for pair in others]
    arms = [pair.arm for pair in others]
    differences = []
    if any(other_case.cell != case.cell for other_case in cases):
        differences.append(words.a_cell(case))
    if any(other_case.task != case.task for other_case in cases):
        differences.append(f"the {words.TASKS[case.task]}")
    if any(other_case.layout != case.layout for other_case in cases) and case.data != "random":
        differences.append(f"{case.layout} input")
    same_layout = [other_case for other_case in cases if other_case.layout == case.layout]
    shapes = [other_case.shape for other_case in same_layout]  # a layout fixes T and I
    for name in "TBIHO":
        size = getattr(case.shape, name)
        if any(getattr(shape, name) != size for shape in shapes):
            counted = name in COUNTED_SIZES
            text = wording.count(size, COUNTED_SIZES[name]) if counted else f"{NAMED_SIZES[name]} {size}"
            differences.append(text)
    if any(other_case.lengths != case.lengths for other_case in cases):
        differences.append(f"lengths {case.lengths}")
    if any(other_arm.device != arm.device for other_arm in arms):
        differences.append(words.on_device(arm))
    elif any(other_arm.threads != arm.threads for other_arm in arms):
        differences.append(words.threads(arm))
    if len({facts.mark(pair.entry) for pair in (comparison, *others)}) > 1:
        differences.append(f"machine {facts.mark(comparison.entry)}")
    return wording.listing(differences, len(differences)) or (
        f"the table {facts.entries[comparison.entry].group}"
    )


def _place(facts: Facts, comparison: Comparison) -> tuple[object, ...]:
    """Return the case of a comparison, and where its entry was measured."""
    arm = facts.arm(comparison.entry)
    return facts.case(comparison.entry), arm.device, arm.threads, facts.mark(comparison.entry)


def _comparison(facts: Facts, start: str, comparison: Comparison) -> str:
    """Return a sentence: the compared sides, their times if any, and what the verdict allows."""
    times = ""
    if comparison.ratio is not None:
        times = f" ({_time(facts, comparison.baseline)}, {_time(facts, comparison.entry)})"
    return full_stop(f"{wording.capital(start)}{times}, {words.clause(comparison)}")


def _requested_lines(facts: Facts, asked: Sequence[Comparison]) -> str:
    """Return a line for each requested comparison; empty if only one was requested."""
    if len(asked) == 1:
        return ""
    listed = asked[:MAX_LISTED]
    sentences = [_comparison(facts, f"with {_difference(facts, pair, asked)}", pair) for pair in listed]
    more = f"{len(asked) - MAX_LISTED} more stand in the tables."
    return "\n".join([*sentences, *[more] * (len(asked) > MAX_LISTED)])


def _own(facts: Facts, asked: Sequence[Comparison]) -> str:
    """Return a line for each comparison of a user's variant with the baseline, unless it was ``asked``."""
    rows = [row for row in facts.rows.values() if by_name(row.arm.spec) is None and not row.arm.twin]
    pairs = [row.comparison for row in rows if row.comparison and row.comparison.ratio is not None]
    listed = [pair for pair in pairs if pair not in asked][:MAX_LISTED]
    starts = (f"at {words.work(facts.case(pair.entry))}" for pair in listed)
    if len({facts.entries[pair.entry].group for pair in listed}) > 1:
        starts = (f"with {_difference(facts, pair, listed)}" for pair in listed)
    return "\n".join(map(partial(_comparison, facts), starts, listed))


def _setting(facts: Facts, main: Comparison, asked: Sequence[Comparison]) -> str:
    """Return all conditions of the main comparison: work, shape, dtype, activation, device, threads."""
    case = facts.case(main.entry)
    place = words.places(facts.arm(main.baseline), facts.arm(main.entry))
    work = f"{words.work(case)}, {words.shape(case)}, {words.numbers(case)}; {place}."
    if main.ratio is None:
        return f"{wording.capital(words.clause(main))}, at {work}"
    start = "The first of these is " if len(asked) > 1 else ""
    return f"{wording.capital(start + work)} Ratios are taken within blocks, not from these times."


def _fastest(facts: Facts, main: Comparison, asked: Sequence[Comparison]) -> str:
    """Return a sentence each on the fastest forms, at the main work and place, and on compiled forms."""
    best = [pair for pair in facts.summary.headlines if pair.kind == "best" and pair != main]
    sentences = []
    if fastest := next((pair for pair in best if _place(facts, pair) == _place(facts, main)), None):
        group = facts.entries[main.entry].group
        variants = {facts.arm(entry.id).variant for entry in facts.entries.values() if entry.group == group}
        start = "at the first of these, " if len(asked) > 1 else ""
        start += "with or without a compiler" if COMPILED_VARIANTS & variants else "without a compiler"
        is_main = (fastest.entry, fastest.baseline) == (main.entry, main.baseline)
        no_faster_form = "The same: block 0 found none that is faster."
        sentences.append(no_faster_form if is_main else _comparison(facts, start, fastest))
    if compiled := facts.summary.headline("compiled"):
        start = f"with {words.library(facts.arm(compiled.entry))} compiled"
        sentences.append(_comparison(facts, start, compiled))
    return " ".join(sentences)


def _accelerators(facts: Facts, main: Comparison) -> str:
    """Return one sentence per accelerator: its fastest form against the fastest form on the CPU."""
    main_device, case, sentences = facts.arm(main.entry).device, facts.case(main.entry), []
    for best in facts.summary.headlines:
        device = facts.arm(best.entry).device
        on_accelerator = best.kind == "best" and device not in ("cpu", main_device)
        if on_accelerator and best.ratio is not None and facts.case(best.entry) == case:
            start = f"on {words.device(facts.run, device)} against {words.place(facts.arm(best.baseline))}"
            sentences.append(_comparison(facts, start, best))
    return " ".join(sentences)


def _elsewhere(facts: Facts, main: Comparison, asked: Sequence[Comparison]) -> str:
    """Return whether other threads, devices, layouts or shapes change the answer; empty if undecided."""
    main_lead = words.lead(main)
    if main_lead is None or not words.is_decided(main) or len(asked) > 1:
        return ""
    winner = words.names(main_lead.winner, main_lead.loser)[0]
    places = {f"{winner} stays ahead with": list[str]()}
    usual = [pair for pair in facts.summary.headlines if pair.kind == "as_written"]
    usual = [pair for pair in usual if _place(facts, pair) != _place(facts, main)]
    for pair in usual:
        lead, place = words.lead(pair), _difference(facts, pair, [main])
        if lead is None:
            start = f"not measured, {WITHIN_BUDGET if pair.left_out else f'({pair.reason})'}, with"
        elif not words.is_decided(pair):
            start, place = "it is open with", f"{place} ({words.verdict(pair)})"
        elif lead.winner.library == main_lead.winner.library:
            start, place = f"{winner} stays ahead with", f"{place} ({units.ratio(lead.factor)} times)"
        else:
            start = f"it turns round, {words.names(lead.winner, lead.loser)[0]} being faster, with"
            place += f" ({lead.times})"
        places.setdefault(start, []).append(place)
    clauses = [f"{start} {wording.listing(group, len(group))}" for start, group in places.items() if group]
    return f"{wording.capital('; '.join(clauses))}." if clauses else ""


def _second_look(facts: Facts, main: Comparison) -> str:
    """Return that this is a second look at the data, or how to take one where a verdict is open."""
    if facts.run.extended is not None:
        return words.extended(facts.run.extended)
    blocks = proposal(facts.run, facts.summary.headlines or (main,))
    return "" if blocks is None else words.look_again("FOLDER", blocks)


def _claim(facts: Facts) -> str:
    """Return how the tutorial's two programs compare here, and the work of each; empty if not measured."""
    claim = facts.summary.headline("claim")
    if claim is None:
        return ""
    if (lead := words.lead(claim)) is None:
        return full_stop(f"The tutorial's claim could not be tried: {claim.reason}")
    programs = [
        f"{_time(facts, entry)}, {how} over {wording.count(facts.case(entry).shape.T, 'step')} in "
        f"{facts.case(entry).dtype}"
        for entry, how in ((claim.baseline, "one sample at a time"), (claim.entry, "the whole batch"))
    ]
    direction = "faster" if lead.winner == facts.arm(claim.entry) else "slower"
    times = lead.times.replace("times", f"times {direction}", 1)
    verb = "is" if words.is_decided(claim) else "measured"
    return f"Its PyTorch program {verb} {times}, but at other work: {'; '.join(programs)}."


# a map of sizes


def _of_maps(facts: Facts, right: str) -> Hero:
    """Return the answer of a size map: the result at most sizes, and a line for each batch of each map."""
    first, maps, pairs = facts.maps[0], facts.maps, []
    for size_map in maps:
        answers = by_batch(size_map)
        if first.machines and len(answers) > MAX_LISTED:  # a line for each machine
            answers[MAX_LISTED:] = [f"{len(answers) - MAX_LISTED} more stand in the table"]
        text = ";\n".join(answers) + "."
        if size_map is not first:
            text = f"{title([size_map])}." + f"\n{text}" * (not first.machines)
        pairs.append((wording.capital(how(size_map, maps)), text))
    if first.machines:
        on = ";\n".join(words.machines(facts.run))
        pairs.append(("On which machine", f"{on}. {OF_ONE_MACHINE}"))
    pairs += [("What was measured", f"All sizes: {work(maps)}."), ("Is it right?", right)]
    return Hero(
        title=title(maps),
        word=f"decided at {_decided(first)} of {len(first.cells)} sizes",
        tone="good" if _decided(first) else "calm",
        small=(f"{how(first, maps)}; B samples in a batch, H hidden units", *_noise(facts)),
        facts=_drop_empty(tuple(pairs)),
    )


def title(maps: Sequence[SizeMap]) -> str:
    """Return the first map's answer: which library is faster at how many sizes, and where that changes."""
    cells, rows, of_cell = maps[0].cells, lines(maps[0]), words.of_cell(maps[0].case)
    counts = Counter(_faster(cell) for cell in cells if cell.faster)
    start, verb = "", "is"
    if not counts:
        known = [cell for cell in cells if cell.comparison.verdict != "MISSING"]
        if not known:
            return f"Nothing was measured at any of {len(cells)} sizes{of_cell}"
        if not all(cell.comparison.verdict == "NONE" and cell.comparison.ratio for cell in known):
            sizes, lost = wording.count(len(known), "size"), len(cells) - len(known)
            rest = f", and {lost} without a result" * bool(lost)
            return f"Neither is proved to be faster at any of {sizes}{of_cell}{rest}"
        counts = Counter(map(_faster, known))
        start, verb = "No verdict: ", "measured"
    (winner, wins), *other_counts = counts.most_common()
    among = "all" if wins == len(cells) else f"{wins} of"
    rest = "".join(f", {library} at {count}" for library, count in other_counts)
    machines = len(maps[0].machines)
    turns = "".join(f"; {text}" for text in ([] if machines else _turns(rows)))
    if machines:
        turns = f"; each measured on one of {machines} machines" if machines > 1 else "; on one machine"
    return f"{start}{winner} {verb} faster at {among} {len(cells)} sizes{of_cell}{rest}{turns}"


def certainty(maps: Sequence[SizeMap]) -> str:
    """Return how many sizes have a verdict, and the share of false verdicts to expect."""
    counted = [f"{_decided(size_map)} of {len(size_map.cells)} {how(size_map, maps)}" for size_map in maps]
    return (
        f"Decided are {wording.listing(counted)}. Each size is judged by itself: of those where both take "
        "the same time, about 5 % may be called wrongly."
    )


def by_batch(size_map: SizeMap) -> list[str]:
    """Return a line for each answer, with all batch sizes B that share it: "B = 4: PyTorch above ...".

    Of several machines each has its own lines: "B = 4 on ①: ...".
    """
    texts: list[str] = []
    for machine in size_map.machines or (None,):
        rows, batches_of = [row for row in lines(size_map) if row.machine == machine], dict[str, list[int]]()
        for row in rows:
            batches_of.setdefault(clause(row), []).append(row.fixed)
        all_batches, on = [row.fixed for row in rows], on_machine(machine)
        texts += [f"B = {reach(batches, all_batches)}{on}: {text}" for text, batches in batches_of.items()]
    return texts or ["no machine measured two sizes of a row"]


def on_machine(number: int | None) -> str:
    """Return " on ②"; empty for a run of one machine."""
    return "" if number is None else f" on {words.mark(number)}"


def how(size_map: SizeMap, maps: Sequence[SizeMap] = ()) -> str:
    """Return the compared forms, the place, and the sizes in which this map differs from ``maps``."""
    return f"{words.FORM_PHRASES[size_map.kind]} {where(size_map, maps)}"


def where(size_map: SizeMap, maps: Sequence[SizeMap] = ()) -> str:
    """Return a map's place, "on cpu with one thread", and those of T, I and O that differ between maps."""
    counts = sorted({cell.comparison.baseline_arm.threads for cell in size_map.cells})
    threads = wording.listing(["one" if n == 1 else str(n) for n in counts]).replace(" and ", " or ")
    place = f"on cpu with {threads} {'thread' if counts == [1] else 'threads'}"
    pair = size_map.cells[0].comparison
    if size_map.device != "cpu":
        place = f"with {words.on_device(pair.arm)} and {words.library(pair.baseline_arm)} {place}"
    elif len({shown_map.library for shown_map in maps}) > 1:
        place = f"with {words.library(pair.arm)} and {words.library(pair.baseline_arm)} {place}"
    if len({shown_map.case.layout for shown_map in maps}) > 1:
        place += f", {size_map.case.layout} input"
    if len({shown_map.case.cell for shown_map in maps}) > 1:
        place += f", {words.cell(size_map.case.cell)}"
    shapes = [shown_map.case.shape for shown_map in maps]
    varied = [name for name in "TIO" if len({getattr(shape, name) for shape in shapes}) > 1]
    sizes = " and ".join(f"{name} = {getattr(size_map.case.shape, name)}" for name in varied)
    return f"{place} at {sizes}" if sizes else place


def work(maps: Sequence[SizeMap]) -> str:
    """Return what all sizes share: the training step on random data, 6 steps of 6 features, float32."""
    case = maps[0].case
    data = "random data" if case.data == "random" else f"{case.layout} input"
    shapes = [
        f"{wording.count(s.T, 'step')} of {wording.count(s.I, 'feature')}, {wording.count(s.O, 'output')}"
        for s in dict.fromkeys(shown_map.case.shape for shown_map in maps)
    ]
    task = f"{words.TASKS[case.task]}{words.of_cell(case)}"
    return f"the {task} on {data}, {'; '.join(shapes)}, {words.numbers(case)}"


def clause(line: Line) -> str:
    """Return a row's answer: the faster library, where the other library overtakes, and what is undecided."""
    name, sizes = line.axis, [size(cell, line) for cell in line.cells]
    among = sizes if line.machine is None else []  # else sizes of other machines may stand between
    whole = f"{name} from {sizes[0]} to {sizes[-1]}" if among else f"{name} of {reach(sizes, among)}"
    open_cells = line.undecided
    if line.first is None:
        open_cells = tuple(cell for cell in open_cells if cell.comparison.verdict == "MISSING")
        if len(open_cells) == len(line.cells):
            return f"nothing was measured at any {whole}"
        text = f"neither is proved to be faster at any {whole}"
    elif line.crossings:
        starts = [f"above some {name}", *["again above one"] * (len(line.crossings) - 1)]
        pairs = zip(line.crossings, starts, strict=True)
        text = ", ".join(
            f"{_faster(crossing.above)} {start} between {between(crossing)}" for crossing, start in pairs
        )
    elif line.undecided:
        decided = [size(cell, line) for cell in line.cells if cell.faster]
        text = f"{_faster(line.first)} at {name} = {reach(decided, among)}"
    else:
        text = f"{_faster(line.first)} at every {whole}"
    unproved: dict[str, list[str]] = {}
    for cell in open_cells:
        label = WITHOUT_WINNER.get(cell.comparison.verdict, "undecided at")
        unproved.setdefault(label, []).append(str(size(cell, line)))
    unproved_text = ", ".join(f"{label} {wording.listing(at, MAX_LISTED)}" for label, at in unproved.items())
    return f"{text} ({unproved_text})" if unproved_text else text


def between(crossing: Crossing) -> str:
    """Return a crossing's limits, rounded outwards to three digits and to whole numbers: "180 and 260"."""
    low_unit, high_unit = (
        10.0 ** max(0, math.floor(math.log10(n)) + 1 - LIMIT_DIGITS) for n in (crossing.low, crossing.high)
    )
    low = math.floor(crossing.low / low_unit) * low_unit
    high = math.ceil(crossing.high / high_unit) * high_unit
    return f"{low:.0f} and {high:.0f}"


def size(cell: MapCell, line: Line) -> int:
    """Return a cell's size along the axis of its row."""
    return cell.H if line.axis == "H" else cell.B


def reach(sizes: Sequence[int], among: Sequence[int]) -> str:
    """Return ascending sizes: "4 to 32" if three or more follow each other in ``among``, else a list."""
    start = among.index(sizes[0]) if among else 0
    if len(sizes) > 2 and list(among[start : start + len(sizes)]) == list(sizes):
        return f"{sizes[0]} to {sizes[-1]}"
    return wording.listing([str(number) for number in sizes], MAX_LISTED)


def _faster(cell: MapCell) -> str:
    """Return the label of the library with the shorter time at a size."""
    pair = cell.comparison
    return words.library(pair.baseline_arm if (pair.ratio or 1) > 1 else pair.arm)


def _decided(size_map: SizeMap) -> int:
    """Count the sizes with a verdict FASTER or SLOWER."""
    return sum(cell.faster is not None for cell in size_map.cells)


def _turns(rows: Sequence[Line]) -> list[str]:
    """Return for each library that overtakes: at which batch sizes, and above about which H."""
    batches, texts = [row.fixed for row in rows], []
    crossings = [(_faster(crossing.above), row.fixed, crossing) for row in rows for crossing in row.crossings]
    for winner in dict.fromkeys(winner for winner, *_ in crossings):
        winner_batches = list(dict.fromkeys(fixed for name, fixed, _ in crossings if name == winner))
        intervals = [(crossing.low, crossing.high) for name, _, crossing in crossings if name == winner]
        limits = min(low for low, _ in intervals), max(high for _, high in intervals)
        sizes = " to ".join(dict.fromkeys(f"{float(f'{end:.2g}'):.0f}" for end in limits))  # two digits
        at_all = len(winner_batches) == len(rows) > 1
        at = "every B" if at_all else f"B = {reach(winner_batches, batches)}"
        texts.append(f"{winner} overtakes at {at}, above an H of about {sizes}")
    return texts
