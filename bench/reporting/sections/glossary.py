"""Build the glossary: the meaning of the words on a page."""

from bench.analysis.statistics import FIRST_LOOK
from bench.machine import units
from bench.records.run import Run
from bench.reporting import words
from bench.reporting.facts import Facts
from bench.reporting.section import Pairs, Section
from bench.workload.catalog import BASELINE, LENGTHS, VARIANTS

LAYOUT_MEANINGS = {
    "positional": "six steps; step t sees value t in component t, zeros elsewhere: the tutorial's NumPy "
    "program",
    "sequence": "six steps; step t sees value t alone: what people mean by a series",
    "single_step": "one step that sees all six values at once: the tutorial's PyTorch program",
}
CELL_MEANINGS = {
    "gru": "a cell with two gates, numbers between 0 and 1: one says how much of the hidden state stays, the "
    "other how much of it enters the candidate for the rest",
    "lstm": "a cell with three gates, numbers between 0 and 1, and a second state, the cell state: one gate "
    "says how much of it stays, one how much of the candidate is added, one how much leaves as hidden state",
}
BIASES = ("bU, bW, bV", "the biases, which are added to the products with U, W and V")
TERMS: Pairs = (
    ("T, B, I, H, O", "steps, samples in a batch, features of a step, hidden units, outputs"),
    ("hidden state", "h, what a step hands to the next; the outputs are made of the last one"),
    ("U, W, V", "the parameters: input to hidden, hidden to hidden, hidden to output"),
    ("baseline", f"what others are compared with: {BASELINE} on the CPU with as many threads"),
    ("samples", "times of an entry in one block: each of so many calls that the clock can tell them apart"),
    ("A/A control", "the same code measured twice: the baseline once more, in a process of its own"),
    ("busy machine", "other programs used its processors while it measured: no time can be relied on"),
    ("noise floor", "how far the interval of the A/A control reaches from 1"),
    ("block", "one round, in which every variant has a fresh process; block 0 proves and does not count"),
    ("dispatch", "what asking for operations costs by itself: the same calls on arrays of one number each"),
    ("rung", "one program of the ladder: one change away from the program above it"),
)


def words_section(facts: Facts, prefix: str) -> Section:
    """Return the section: what the plan has, the terms of the measurement, and the verdicts."""
    run = facts.run
    arms = {arm.variant for arm in run.plan.arms}
    cases = [entry.case for entry in run.entries.values()]
    layouts = {case.layout for case in cases if case.data != "random"}
    variants = tuple(
        (variant.name, variant.summary) for variant in (*VARIANTS, *LENGTHS) if variant.name in arms
    )
    inputs = tuple((f"{name} input", meaning) for name, meaning in LAYOUT_MEANINGS.items() if name in layouts)
    measured = {case.cell for case in cases}
    cells = tuple((words.cell(name), meaning) for name, meaning in CELL_MEANINGS.items() if name in measured)
    biases = (BIASES,) if any(case.bias for case in cases) else ()
    pairs = (*cells, *variants, *inputs, *biases, *TERMS, *_verdicts(run))
    return Section(id="words", title="What do the words mean?", pairs=pairs)


def _verdicts(run: Run) -> Pairs:
    """Return each verdict with what the verdict means for an entry and its baseline."""
    margin = units.percent(run.plan.margin)
    confidence = 1 - 2 * (run.extended.level if run.extended else FIRST_LOOK)
    return (
        ("FASTER, SLOWER", "the times differ, also after allowing for the number of comparisons"),
        (
            "EQUIVALENT",
            f"the same time within {margin}: the {100 * confidence:.0f} % interval of the ratio lies there",
        ),
        ("UNRESOLVED", "neither could be shown; more blocks would be needed"),
        ("INVALID", "proof, inputs, device or A/A control failed: there is a number, but no answer"),
        ("MISSING", "it was not measured, for the reason given"),
        ("BIMODAL", "the processes of an entry have two speeds"),
    )
