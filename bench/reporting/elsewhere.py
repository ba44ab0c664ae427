"""What would change the answer: other forms of each library, other threads, devices, layouts and shapes.

Every sentence is about declared comparisons beside the main one, and says no more than their verdicts allow.
"""

from bench.analysis.outcome import WITHIN_BUDGET
from bench.analysis.verdict import Comparison
from bench.machine import units, wording
from bench.records.record import PairKind
from bench.reporting import words
from bench.reporting.facts import Facts

INPLACE = "-inplace"  # how the names of both forms end that compute in place
OPEN = {"EQUIVALENT": "the two take the same time", "UNRESOLVED": "which is faster is not resolved"}


def fastest_forms(facts: Facts, main: Comparison) -> Comparison | None:
    """The fastest form of each library, at the work and place of the main comparison."""
    return _alike(facts, main, "best")


def forms(facts: Facts, main: Comparison) -> str:
    """What other forms of the two libraries make of the answer: its lead falls, grows or turns round.

    The main comparison is one of the usual forms; without a word on that there is nothing to change.
    """
    if main.kind != "as_written" or main.verdict not in (*words.DECIDED, *OPEN):
        return ""
    compiled = _alike(facts, main, "compiled")
    said: list[str] = []
    before = ""
    for made, form in ((fastest_forms(facts, main), ""), (compiled, "with PyTorch compiled")):
        if made is None or (made.entry, made.baseline) == (main.entry, main.baseline):
            continue
        if changed := _changed(facts, made, main):
            start, end = changed
            said.append(f"{form or _form(facts, made)}, {end if start and start == before else start + end}")
            before = start
    return wording.capital("; ".join(said)) + "." if said else ""


def accelerators(facts: Facts, main: Comparison) -> str:
    """On every accelerator, the fastest form of PyTorch against NumPy's on the CPU: a sentence for each."""
    said, here, case = [], facts.arm(main.entry).device, facts.entries[main.entry].case
    for made in facts.summary.headlines:
        torch, numpy = facts.arm(made.entry), facts.arm(made.baseline)
        if made.kind != "best" or torch.device in ("cpu", here) or made.ratio is None:
            continue
        if facts.entries[made.entry].case == case:
            times = f"{torch.variant} {facts.time(made.entry)}; {numpy.variant} {facts.time(made.baseline)}"
            where = f"{words.device(facts.run, torch.device)} against NumPy on the CPU"
            clause = words.clause(facts.run, made)
            said.append(f"With PyTorch on {where} ({times} with {words.threads(numpy)}) {clause}.")
    return " ".join(said)


def elsewhere(facts: Facts, main: Comparison) -> str:
    """Whether more threads, another device, layout or shape change the answer; only where it has one."""
    ahead = words.lead(facts.run, main)
    if ahead is None or main.verdict not in words.DECIDED:
        return ""
    same, turned, open_ = [], [], []
    for made in _others(facts, main):
        other, where = words.lead(facts.run, made), difference(facts, made, main)
        if made.verdict == "MISSING":
            continue
        if other is None or made.verdict not in words.DECIDED:
            open_.append(f"{where} ({made.verdict.lower()})")
        elif other.winner.library == ahead.winner.library:
            same.append((where, other))
        else:
            turned.append(f"{where} ({other.times})")
    winner, loser = words.names(ahead.winner, ahead.loser)
    parts = []
    if same:
        parts.append(f"{winner} stays ahead {_by(same)}")
    if turned:
        parts.append(f"it turns round, {loser} being faster, {wording.listing(turned)}")
    if open_:
        parts.append(f"it is open {wording.listing(open_)}")
    return wording.capital("; ".join(parts)) + "." if parts else ""


def not_measured(facts: Facts, main: Comparison) -> str:
    """What was declared and has no times, a sentence for each reason."""
    if main.ratio is None or main.verdict not in words.DECIDED:
        return ""
    missing: dict[str, list[str]] = {}
    for made in _others(facts, main):
        if made.verdict == "MISSING":
            why = f", {WITHIN_BUDGET}" if made.left_out else f" ({made.reason})"
            missing.setdefault(why, []).append(difference(facts, made, main).removeprefix("with "))
    return " ".join(f"Not measured{why}: {wording.listing(what)}." for why, what in missing.items())


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
    return " ".join(parts) or f"in {facts.entries[made.entry].group}"


def _changed(facts: Facts, made: Comparison, main: Comparison) -> tuple[str, str] | None:
    """What one comparison makes of the main one, in two parts, of which the first may repeat."""
    other, ahead = words.lead(facts.run, made), words.lead(facts.run, main)
    if other is None or ahead is None:
        return None
    if made.verdict not in words.DECIDED:
        return ("", OPEN[made.verdict]) if made.verdict in OPEN else None
    winner, loser = words.names(other.winner, other.loser)
    if main.verdict not in words.DECIDED:
        return "", f"{winner} is {units.ratio(other.factor)} times faster than {loser}"
    if other.winner.library != ahead.winner.library:
        return "it turns round: ", f"{winner} is {units.ratio(other.factor)} times faster than {loser}"
    lead, factor = f"{winner}'s lead", f"{units.ratio(other.factor)} times"
    if other.high is not None and ahead.low is not None and other.high < ahead.low:
        return f"{lead} falls from {units.ratio(ahead.factor)} ", f"to {factor}"
    if other.low is not None and ahead.high is not None and other.low > ahead.high:
        return f"{lead} grows from {units.ratio(ahead.factor)} ", f"to {factor}"
    return f"{lead} stays much the same, ", factor


def _form(facts: Facts, made: Comparison) -> str:
    """What to call the fastest forms: what they have in common, where it says how they compute."""
    variants = [facts.arm(entry).variant for entry in (made.entry, made.baseline)]
    in_place = all(variant.endswith(INPLACE) for variant in variants)
    return "in place" if in_place else "with the fastest form of each"


def _others(facts: Facts, main: Comparison) -> list[Comparison]:
    """The usual forms at other work or in another place."""
    return [made for made in facts.summary.headlines if made.kind == "as_written" and made != main]


def _alike(facts: Facts, main: Comparison, kind: PairKind) -> Comparison | None:
    """The first headline of a kind that is about the same work in the same place."""
    arm, case = facts.arm(main.entry), facts.entries[main.entry].case
    for made in (one for one in facts.summary.headlines if one.kind == kind):
        own = facts.arm(made.entry)
        if (own.device, own.threads) == (arm.device, arm.threads) and facts.entries[made.entry].case == case:
            return made
    return None


def _by(same: list[tuple[str, words.Lead]]) -> str:
    """Where the same side leads: each with its factor, or their range where they are many."""
    if len(same) <= 2:
        return wording.listing([f"{where} ({other.times})" for where, other in same])
    factors = [other.factor for _, other in same]
    reach = f"{units.ratio(min(factors))} to {units.ratio(max(factors))} times"
    return f"{wording.listing([where for where, _ in same])} ({reach})"
