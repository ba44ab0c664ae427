"""Say at which spreads of the lengths packed sequences are ahead of masked ones, for each library."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from bench.analysis.verdict import DECIDED, Comparison, Word
from bench.machine import units
from bench.reporting import words
from bench.reporting.facts import Facts

LABEL = "Packed sequences, against masked"
VERDICTS: dict[Word, str] = {"FASTER": "faster", "SLOWER": "slower", "EQUIVALENT": "as fast"}


def sentences(facts: Facts) -> Iterator[str]:
    """Yield a sentence for each library, task and place; lengths go from equal ones to the widest spread.

    Where it says "slower" and next "faster", the answer turns round between the two lengths.
    """
    rows: dict[tuple[str, str, str], list[Comparison]] = {}
    for pair in facts.summary.headlines:
        if pair.kind == "packed" and pair.ratio is not None:
            names = (words.library(pair.arm), words.TASKS[facts.case(pair.entry).task], words.place(pair.arm))
            rows.setdefault(names, []).append(pair)
    differ = [len({*column}) > 1 for column in zip(*rows, strict=True)]
    for names, pairs in rows.items():
        where = ", ".join(name for name, shown in zip(names, (True, *differ[1:]), strict=True) if shown)
        pairs.sort(key=lambda pair: facts.case(pair.entry).shortest or 0, reverse=True)
        yield f"{where}: {_spans(facts, pairs)}"


def _spans(facts: Facts, pairs: Sequence[Comparison]) -> str:
    """Return the verdict at each spread, together for neighbours that share it, with the outer factors."""
    texts = []
    for verdict, span in groupby(pairs, key=lambda pair: VERDICTS.get(pair.verdict, "no verdict")):
        first, *others = span
        ends = (first, *others[-1:])
        lengths = " to ".join(facts.case(pair.entry).lengths for pair in ends)
        if first.verdict in DECIDED:
            factors = " to ".join(lead.times for pair in ends if (lead := words.lead(pair)))
        else:
            times = " to ".join(units.with_interval(pair.ratio, pair.low, pair.high) for pair in ends)
            factors = f"{times} of the time"
        texts.append(f"{verdict} at lengths {lengths}, {factors}")
    return "; ".join(texts)
