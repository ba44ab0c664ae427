"""The answer of a run in a few sentences, each true to the journal and to its verdict."""

from dataclasses import dataclass

from bench.answer.comparison import Comparison
from bench.answer.summary import Row, Summary
from bench.reporting import units, words
from bench.results.journal import Run
from bench.results.record import Arm, Entry

AS_WRITTEN = "as written"
BEST = "best against best"
CLAIM = "claim"
COMPILED = "compiled"
ORDERS_OF_MAGNITUDE = 100.0


@dataclass(frozen=True, slots=True)
class Facts:
    """A run and what was worked out from it, with the look-ups that sentences need."""

    run: Run
    summary: Summary
    rows: dict[str, Row]
    entries: dict[str, Entry]

    @classmethod
    def of(cls, run: Run, summary: Summary) -> "Facts":
        """Make the look-ups once."""
        rows = {row.entry: row for table in summary.tables for row in table.rows}
        return cls(run, summary, rows, run.entries)

    def arm(self, entry: str) -> Arm:
        """The arm of an entry."""
        return self.rows[entry].arm

    def time(self, entry: str) -> str:
        """The median time of a call, for people."""
        return units.duration(self.rows[entry].median_ns)


def sentences(facts: Facts) -> list[str]:
    """The answer: as usually written, best against best, elsewhere, and the tutorial's claim."""
    if not any(row.median_ns for row in facts.rows.values()):
        return [f"{_where(facts)} nothing was measured: {_reasons(facts)}."]
    main = main_comparison(facts)
    if main is None:
        made = [f"{_where(facts)} nothing was compared: {_reasons(facts)}."]
    else:
        made = [say(facts, main) for say in (first, setting, best, compiled, elsewhere)]
    return [sentence for sentence in (*made, claim(facts, main)) if sentence]


def main_comparison(facts: Facts) -> Comparison | None:
    """What the answer is about: the first declared headline that is no claim, else a table's first row."""
    for name in (AS_WRITTEN, BEST):
        if made := facts.summary.headline(name):
            return made
    rows = (row.comparison for row in facts.rows.values() if not row.arm.known_wrong)
    return next((made for made in rows if made and made.ratio and made.same_work and not made.twin), None)


def caveats(facts: Facts) -> list[str]:
    """What must be known before the answer: no verdict and why, an early end, something that is wrong."""
    summary, main, made = facts.summary, main_comparison(facts), []
    if summary.control:
        made.append(f"No verdict: {summary.control}.")
    elif not summary.verdicts:
        made.append(
            f"A quick run, {words.count(summary.blocks, 'block')}: times, but no verdict. "
            "Without --quick there are intervals and verdicts."
        )
    elif main is not None and main.ratio is not None and main.verdict in ("NONE", "INVALID"):
        made.append(f"No verdict: {main.reason}.")
    if summary.state != "complete":
        run = facts.run
        planned = run.decision.blocks if run.decision else run.plan.blocks
        how = "Partial result" if summary.state == "partial" else "The run was interrupted"
        counted = f"{summary.blocks} of {words.count(planned, 'block')} hold values"
        made.append(f"{how}: {summary.ending}; {counted}.")
    if summary.disagrees:
        made.append(
            "Something that claims to be right gives wrong results, and has no times: see the failures."
        )
    return made


def first(facts: Facts, main: Comparison) -> str:
    """The main comparison in one sentence."""
    baseline, entry = facts.arm(main.baseline), facts.arm(main.entry)
    as_written = ", each as it is usually written" if main.name.startswith(AS_WRITTEN) else ""
    times = f"{baseline.variant} {facts.time(main.baseline)}, {entry.variant} {facts.time(main.entry)} a call"
    times += " (medians; the ratio is taken within each block)"
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
    return f"That is {words.shape(case)}, {case.dtype}, {case.activation}; {place}.{brackets}"


def best(facts: Facts, main: Comparison) -> str:
    """The fastest form of each library, at the work and place of the main comparison."""
    headlines = (made for made in facts.summary.headlines if made.name.startswith(BEST))
    made = next((made for made in headlines if _alike(facts, made, main)), None)
    if made is None or made.name == main.name:
        return ""
    if (made.entry, made.baseline) == (main.entry, main.baseline):
        return "These are also the fastest forms that block 0 found for each library."
    numpy, torch = facts.arm(made.baseline), facts.arm(made.entry)
    forms = f"{numpy.variant} {facts.time(made.baseline)}, {torch.variant} {facts.time(made.entry)}"
    return f"With the fastest form of each that needs no compiler ({forms}) {words.clause(facts.run, made)}."


def compiled(facts: Facts, main: Comparison) -> str:
    """Compiled code against the baseline, where the run measured it."""
    made = facts.summary.headline(COMPILED)
    if made is None:
        return ""
    entry, baseline = facts.arm(made.entry), facts.arm(made.baseline)
    times = f"{entry.variant} {facts.time(made.entry)}, {baseline.variant} {facts.time(made.baseline)}"
    return f"With PyTorch compiled ({times}) {words.clause(facts.run, made)}."


def elsewhere(facts: Facts, main: Comparison) -> str:
    """Whether more threads, another device, layout or shape change the answer; only where it has one."""
    ahead = words.lead(facts.run, main)
    if ahead is None or main.verdict not in words.DECIDED:
        return ""
    same, turned, open_ = [], [], []
    for made in facts.summary.headlines:
        if not made.name.startswith(AS_WRITTEN) or made.name == main.name:
            continue
        other, where = words.lead(facts.run, made), difference(facts, made, main)
        if other is None or made.verdict not in words.DECIDED:
            why = made.reason if made.verdict == "MISSING" else made.verdict.lower()
            open_.append(f"{where} ({why})")
        elif other.winner.library == ahead.winner.library:
            same.append((where, other))
        else:
            turned.append(f"{where} ({other.times})")
    winner, loser = words.names(ahead.winner, ahead.loser)
    made_parts = []
    if same:
        made_parts.append(f"{winner} stays ahead {_by(same)}")
    if turned:
        made_parts.append(f"it turns round, {loser} being faster, {words.listing(turned)}")
    if open_:
        made_parts.append(f"it is open {words.listing(open_)}")
    return words.capital("; ".join(made_parts)) + "." if made_parts else ""


def claim(facts: Facts, main: Comparison | None) -> str:
    """The tutorial's two programs against each other, and why that is not one library against the other."""
    made = facts.summary.headline(CLAIM)
    if made is None:
        return ""
    ahead = words.lead(facts.run, made)
    if ahead is None:
        return f"The tutorial's claim could not be tried: {made.reason}."
    faster = ahead.winner == facts.arm(made.entry)
    if faster and ahead.factor >= ORDERS_OF_MAGNITUDE:
        how = "is reproduced" if made.verdict in words.DECIDED else "shows in the times"
        found = f"{how}, {ahead.times},"
    else:
        found = f"is {ahead.times} here," if faster else "is not reproduced here,"
    old, new = facts.entries[made.baseline].case, facts.entries[made.entry].case
    return (
        f"The tutorial's “orders of magnitude” {found} but compares different work: "
        f"{words.variant(facts.arm(made.baseline))}, {old.dtype}, one sample at a time over {old.shape.T} "
        f"steps ({facts.time(made.baseline)}), against {facts.arm(made.entry).variant}, {new.dtype}, the "
        f"whole batch at once over {new.shape.T} step ({facts.time(made.entry)}){_equal_work(facts, main)}."
    )


def difference(facts: Facts, made: Comparison, main: Comparison) -> str:
    """In what a comparison's place and work differ from the main one's: "with 2 threads", "on cuda:0"."""
    arm, other = facts.arm(made.entry), facts.arm(main.entry)
    case, usual = facts.entries[made.entry].case, facts.entries[main.entry].case
    parts = []
    if arm.device != other.device:
        parts.append(
            f"with PyTorch on {arm.device} against NumPy on {words.threads(facts.arm(made.baseline))}"
        )
    elif arm.threads != other.threads:
        parts.append(f"with {words.threads(arm)} each")
    if case.layout != usual.layout:
        parts.append(f"with {case.layout} input")
    elif case.shape != usual.shape:
        parts.append(f"at {case.shape}")
    return " ".join(parts) or f"in {made.name}"


def _where(facts: Facts) -> str:
    return f"On this machine ({words.machine(facts.run.environment.machine)}),"


def _alike(facts: Facts, made: Comparison, main: Comparison) -> bool:
    """Whether two comparisons are about the same work in the same place."""
    one, other = facts.arm(made.entry), facts.arm(main.entry)
    same_place = (one.device, one.threads) == (other.device, other.threads)
    return same_place and facts.entries[made.entry].case == facts.entries[main.entry].case


def _equal_work(facts: Facts, main: Comparison | None) -> str:
    """Who is ahead at equal work, where that was decided."""
    if main is None or main.verdict not in words.DECIDED or not main.same_work:
        return ""
    if (ahead := words.lead(facts.run, main)) is None:
        return ""
    return f"; at equal work {words.names(ahead.winner, ahead.loser)[0]} is ahead, as above"


def _by(same: list[tuple[str, words.Lead]]) -> str:
    """Where the same side leads: each with its factor, or their range where they are many."""
    if len(same) <= 2:
        return words.listing([f"{where} ({other.times})" for where, other in same])
    factors = [other.factor for _, other in same]
    reach = f"{units.ratio(min(factors))} to {units.ratio(max(factors))} times"
    return f"{words.listing([where for where, _ in same])} ({reach})"


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
    return words.listing(list(dict.fromkeys(found)), 3) or summary.ending
