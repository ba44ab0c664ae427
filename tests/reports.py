"""For the tests of the report: example journals in which entries take other times, and readers of files."""

import html.parser
import math
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from journals import POSITIONAL, example_records
from msgspec.structs import replace

from bench.analysis.statistics import rank_interval
from bench.records.journal import FILE_NAME, Journal
from bench.records.record import AnyRecord, Burst, Plan, measured_as
from bench.records.run import Run, make_run
from bench.reporting.facts import Facts

BASE = f"{POSITIONAL} | numpy-batched@cpu x1"
USUAL = f"{POSITIONAL} | torch-layer@cpu x1"
TWIN = f"{BASE} twin"
BEST_NUMPY, BEST_TORCH = f"{POSITIONAL} | numpy-inplace@cpu x1", f"{POSITIONAL} | torch-inplace@cpu x1"
CLAIM_OLD = "ladder | numpy-published@cpu x1 positional float64 sigmoid"
CLAIM_NEW = "ladder | torch-cell@cpu x1 single_step float32 tanh"
PROSE = {"p", "li", "dd", "dt", "figcaption", "caption", "td", "th"}
VOID = {"meta", "img", "br", "source"}
STILL = (0.0, 0.001, -0.001, 0.002, -0.002, 0.0005, -0.0005, 0.0015, -0.0015, 0.0)  # log ratios: hardly any


def with_ratios(records: Sequence[AnyRecord], logs: Mapping[str, Sequence[float]]) -> list[AnyRecord]:
    """The records, but entries take exp(log ratio) of BASE's time, a log ratio for each counted block."""
    plan = records[0]
    assert isinstance(plan, Plan)
    names = measured_as(plan.groups)
    logs = {names[entry]: of_blocks for entry, of_blocks in logs.items()}
    base = {r.block: r for r in records if isinstance(r, Burst) and r.entry == BASE}
    made = []
    for record in records:
        if isinstance(record, Burst) and record.entry in logs and record.block >= 1:
            of_base = base[record.block]
            factor = math.exp(logs[record.entry][record.block - 1]) * record.n_calls / of_base.n_calls
            elapsed = [round(value * factor) for value in of_base.elapsed_ns]
            record = replace(record, elapsed_ns=elapsed, rounds=of_base.rounds, places=of_base.places)
        made.append(record)
    return made


def around(ratio: float, noise: Sequence[float] = STILL) -> list[float]:
    """Log ratios of ten blocks around one ratio."""
    return [math.log(ratio) + small for small in noise]


def run_with(logs: Mapping[str, Sequence[float]]) -> Run:
    """The default example with other times."""
    return make_run(with_ratios(example_records(), logs))


def write_run(folder: Path, records: Sequence[AnyRecord]) -> Path:
    """A run's folder with its journal."""
    folder.mkdir(parents=True, exist_ok=True)
    with Journal(folder / FILE_NAME) as journal:
        for record in records:
            journal.write(record)
    return folder


def counted(run: Run, entry: str) -> dict[int, Burst]:
    """An entry's counted bursts by block, under whatever name it was measured."""
    name = measured_as(run.plan.groups)[entry]
    return {burst.block: burst for burst in run.bursts if burst.entry == name and burst.block >= 1}


def medians(run: Run, entry: str) -> dict[int, float]:
    """Nanoseconds a call by block, worked out from the records, not with what the report uses."""
    found = counted(run, entry)
    return {block: float(np.median(found[block].elapsed_ns)) / found[block].n_calls for block in found}


def factor(run: Run, slower: str, faster: str) -> list[float]:
    """How much faster, and the limits: from the median over rounds of every block's paired log ratios."""
    before, after = counted(run, slower), counted(run, faster)
    logs = []
    for block in sorted(before.keys() & after.keys()):
        one, other = (dict(zip(b.rounds, b.elapsed_ns, strict=True)) for b in (before[block], after[block]))
        ratios = [one[number] / other[number] for number in one.keys() & other.keys()]
        calls = after[block].n_calls / before[block].n_calls
        logs.append(float(np.median(np.log(ratios)) + math.log(calls)))
    interval = rank_interval(logs)
    return [math.exp(value) for value in (interval.estimate, interval.low, interval.high)]


def facts_of(run: Run) -> Facts:
    """A run as the sentences see it."""
    return Facts.of(run)


class Reader(html.parser.HTMLParser):
    """Tags, attributes and text of a page, its script and style apart; complains where tags do not match."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        assert self._open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] not in (["script"], ["style"]):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


class Prose(Reader):
    """The texts of a page's paragraphs, lists, captions and cells, but for those of sections ``apart``."""

    def __init__(self, page: str, apart: Collection[str]) -> None:
        self.texts: list[tuple[str, str]] = []
        self._apart = apart
        self._into: list[bool | None] = [False]  # of each open element, whether its text counts; None: never
        super().__init__(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        super().handle_starttag(tag, attributes)
        known = dict(attributes)
        if (
            known.get("class") in ("unseen", "contents")
            or known.get("id") in self._apart
            or (self._into[-1] is None and tag not in VOID)
        ):
            self._into.append(None)
        elif tag in PROSE:
            self.texts.append((tag, ""))
            self._into.append(True)
        elif tag not in VOID:
            self._into.append(self._into[-1])

    def handle_endtag(self, tag: str) -> None:
        super().handle_endtag(tag)
        self._into.pop()

    def handle_data(self, data: str) -> None:
        super().handle_data(data)
        if self._into[-1]:
            tag, text = self.texts[-1]
            self.texts[-1] = (tag, text + data)


def table_rows(markdown: str) -> list[list[str]]:
    """Cells of every line of a Markdown table, at bars that are not escaped."""
    return [re.split(r"(?<!\\)\|", line)[1:-1] for line in markdown.splitlines() if line.startswith("|")]
