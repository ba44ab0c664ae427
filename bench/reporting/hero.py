"""The first screen of a result: the answer in large type, how sure it is, and what carries it."""

from collections.abc import Iterable

from bench.analysis.verdict import Comparison
from bench.machine import units, wording
from bench.reporting import answer, asked, elsewhere, map_answer, turning, words
from bench.reporting.facts import Facts
from bench.reporting.section import Hero, Section

# what a sentence of the answer is about, in the reader's words
ABOUT = {
    "nothing": "What was measured",
    "first": "Each as it is usually written",
    "setting": "What was measured",
    answer.ASKED: "What else was asked for",
    "best": "The fastest form of each",
    "compiled": "The fastest form of each",
    "accelerators": "On an accelerator",
    "elsewhere": "What would change it",
    "not_measured": "What would change it",
    "claim": "The tutorial’s claim",
    "looks": "A second look",
}
# sections whose first sentence belongs into the answer, and where it stands there
WHY = "limits"  # what is not decided has no why
FROM_SECTIONS = {WHY: "Why", "crossover": "What would change it", "proof": "Is it right?"}
ORDER = ("Each as it is usually written", "What was measured", "What else was asked for",
         "The fastest form of each",
         "On an accelerator", "A second look", "Why", "What would change it", "The tutorial’s claim",
         "Is it right?")  # fmt: skip
LAST = "not_measured"  # what is not known follows what is


def hero(facts: Facts, sections: Iterable[Section]) -> Hero:
    """The answer of a run; ``sections`` add why it is so, where it ends and whether results are right."""
    main = answer.main_comparison(facts)
    told = [
        (FROM_SECTIONS[one.id], one.lead[0])
        for one in sections
        if one.id in FROM_SECTIONS and one.lead and (one.id != WHY or words.is_decided(main))
    ]
    if facts.is_grid:
        return _of_maps(facts, [(about, said) for about, said in told if about == FROM_SECTIONS["proof"]])
    found = asked.compared(facts, main) if main else []
    verdicts = {word(facts, one) for one in found} or {word(facts, main)}
    parts = [(part, _about(part, main), sentence) for part, sentence in answer.parts(facts)]
    made = [(ABOUT["elsewhere"], elsewhere.forms(facts, main))] if main else []
    made += [(about, sentence) for part, about, sentence in parts if part != LAST]
    made += [*told, *((about, sentence) for part, about, sentence in parts if part == LAST)]
    said: dict[str, list[str]] = {about: [] for about in ORDER}
    for about, sentence in made:
        if sentence:
            said[about].append(sentence)
    return Hero(
        title=asked.title(facts, found) if len(found) > 1 else title(facts, main),
        word=verdicts.pop() if len(verdicts) == 1 else "it depends",
        tone=tone(main) if len({one.verdict for one in found}) < 2 else "calm",
        sure=tuple(sure(facts, main if len(found) < 2 else None)),
        about=_of_what(facts, main),
        facts=tuple((about, " ".join(sentences)) for about, sentences in said.items() if sentences),
    )


def title(facts: Facts, made: Comparison | None) -> str:
    """The answer in a dozen words, and no more than its verdict allows."""
    if made is None:
        measured = any(row.median_ns for row in facts.rows.values())
        return "Nothing was compared" if measured else "Nothing was measured"
    entry, baseline = words.names(facts.arm(made.entry), facts.arm(made.baseline))
    ahead = words.lead(facts.run, made)
    if ahead is None:
        return f"{entry} was not compared with {baseline}"
    winner, loser = words.names(ahead.winner, ahead.loser)
    if made.verdict in words.DECIDED:
        return f"{winner} is {units.ratio(ahead.factor)} times faster than {loser}"
    if made.verdict == "EQUIVALENT":
        return f"{entry} and {baseline} take the same time"
    if made.verdict == "UNRESOLVED":
        return f"Whether {entry} or {baseline} is faster is not resolved"
    if made.verdict == "INVALID":
        return f"{entry} against {baseline} has no valid result"
    return f"{winner} measured {units.ratio(ahead.factor)} times faster than {loser}: undecided"


def word(facts: Facts, made: Comparison | None) -> str:
    """The verdict, seen from the side that is ahead."""
    if made is None:
        return ""
    ahead = words.lead(facts.run, made)
    if ahead is not None and made.verdict in words.DECIDED:
        return f"{words.names(ahead.winner, ahead.loser)[0]} FASTER"
    return "no verdict" if made.verdict == "NONE" else made.verdict


def _of_what(facts: Facts, made: Comparison | None) -> str:
    """Which forms the title compares; empty where nothing was compared."""
    if made is None or made.ratio is None:
        return ""
    each = "each as usually written: " if made.kind == "as_written" else ""
    return f"{each}{words.variant(facts.arm(made.baseline))} and {words.variant(facts.arm(made.entry))}"


def tone(made: Comparison | None) -> str:
    """How the verdict looks: good where there is an answer, whoever is ahead."""
    if made is None or made.verdict in ("INVALID", "MISSING"):
        return "trouble"
    return "good" if made.verdict in words.DECIDED else "calm"


def sure(facts: Facts, made: Comparison | None) -> list[str]:
    """How sure it is: the interval, what measuring the same thing twice gives, how often it was measured."""
    said = []
    floor, where = facts.summary.floor, ""
    ahead = None if made is None else words.lead(facts.run, made)
    if made is not None and ahead is not None and ahead.low is not None and ahead.high is not None:
        if made.verdict in words.DECIDED:
            said.append(f"95 % interval {units.ratio(ahead.low)} to {units.ratio(ahead.high)} times")
            if floor is not None and not made.reason:  # which tells a difference below the floor
                beyond = ahead.low > 1 + floor
                where = (
                    ", all of the interval lies beyond it" if beyond else ", the interval begins within it"
                )
        else:
            entry, baseline = words.names(facts.arm(made.entry), facts.arm(made.baseline))
            quotient = units.with_interval(made.ratio, made.low, made.high)
            said.append(f"{entry} ÷ {baseline} {quotient}, 95 % interval")
        if made.reason:
            said.append(made.reason)
    if facts.noise_floor:
        said.append(f"noise floor {facts.noise_floor} (the same thing measured twice){where}")
    if facts.summary.blocks:
        said.append(f"{wording.count(facts.summary.blocks, 'block')} of fresh processes in random order")
    return said + (_two_speeds(facts, made) if made else [])


def _two_speeds(facts: Facts, made: Comparison) -> list[str]:
    """Which side of the comparison has processes of two speeds."""
    said = []
    for entry in (made.entry, made.baseline):
        if entry in facts.summary.modes:
            blocks, slower = facts.summary.modes[entry]
            often = f"{blocks} of {wording.count(facts.rows[entry].blocks, 'block')}"
            variant = words.variant(facts.arm(entry))
            said.append(f"{variant} ran at two speeds: {units.percent(slower)} slower in {often}")
    return said


def _of_maps(facts: Facts, right: Iterable[tuple[str, str]]) -> Hero:
    """What holds at most sizes, and each map batch by batch, a line each."""
    first = facts.maps[0]
    decided = map_answer.decided(first)
    said = []
    for one in facts.maps:
        about = f"{ABOUT['best' if one.kind == 'best' else 'first']}, {turning.where(one, facts.maps)}"
        batches = ";\n".join(turning.by_batch(one)) + "."
        said.append((about, batches if one is first else f"{map_answer.title([one])}.\n{batches}"))
    return Hero(
        title=map_answer.title(facts.maps),
        word=f"decided at {decided} of {len(first.cells)} sizes",
        tone="good" if decided else "calm",
        sure=tuple(sure(facts, None)),
        about=f"{turning.how(first, facts.maps)}; B samples in a batch, H hidden units",
        facts=(*said, (ABOUT["setting"], f"All sizes: {turning.work(facts.maps)}."), *right),
    )


def _about(part: str, main: Comparison | None) -> str:
    """In whose words a sentence stands; the first one is of whatever the run compares."""
    if part == "first" and main is not None and main.kind != "as_written":
        return ABOUT["best"] if main.kind == "best" else ABOUT["setting"]
    return ABOUT[part]
