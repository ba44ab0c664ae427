"""For the tests of the ladder: its entries, the example run with changes, and what is made of it."""

from collections.abc import Callable

from journals import example_plan, example_records
from reports import facts_of, medians

from bench.analysis.ladder import Ladder, ladder
from bench.analysis.summary import summarise
from bench.records.record import Burst, measured_as
from bench.records.run import Run, make_run
from bench.reporting.section import Section
from bench.reporting.sections.ladder import ladder_section

BATCHED = "ladder | numpy-batched@cpu x1 positional float64 tanh"
SINGLE = "ladder | numpy-batched@cpu x1 positional float32 tanh"
MANUAL = "ladder | torch-manual@cpu x1 positional float32 tanh"
INPLACE = "ladder | numpy-inplace@cpu x1 positional float32 tanh"
AUTOGRAD, COMPILED = "compiled | torch-autograd@cpu x1", "compiled | torch-compile@cpu x1"
MEASURED_AS = measured_as(example_plan().groups)


def edited(change: Callable[[Burst], Burst | None], **options: bool) -> Run:
    """The example run, every burst replaced by what ``change`` makes of it; None leaves it out."""
    made = [change(record) if isinstance(record, Burst) else record for record in example_records(**options)]
    return make_run([record for record in made if record is not None])


def without(*entries: str, blocks: range = range(1, 99)) -> Run:
    """The example run without the bursts of some entries, under whatever names they were measured."""
    names = {MEASURED_AS[entry] for entry in entries}
    return edited(lambda burst: None if burst.entry in names and burst.block in blocks else burst)


def taken(run: Run) -> Ladder:
    return ladder(summarise(run))


def section(run: Run) -> Section:
    return ladder_section(facts_of(run), "")


def per_block(run: Run, above: str, entry: str) -> list[float]:
    """How many times faster the entry is in each block, worked out from the records."""
    before, after = medians(run, above), medians(run, entry)
    return [before[block] / after[block] for block in sorted(before.keys() & after.keys())]
