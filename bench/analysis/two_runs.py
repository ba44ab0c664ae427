"""Two runs of the same entries: what takes longer than before, and what only seems to.

The machine is not the same twice, so what is compared is each entry's ratio to its baseline: per block the
log of (median of the entry / median of the baseline), as within a run, and the drift between the two runs,
which both share, cancels. ``absolute`` compares the times themselves, with the drift in them. What one
session does to one library alone, in all of its blocks, is in no interval of either.

The control are the twins, adjusted for among themselves: the same code over itself, whose ratio must not have
changed. Where it has, or a run by itself gives no verdict, this gives none.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from statistics import median

from bench.analysis.change import OTHER_ENVIRONMENT, Change, Changes, judged, measured
from bench.analysis.comparison import Comparison, Word, compare
from bench.analysis.outcome import Outcome, outcomes
from bench.analysis.statistics import ALPHA
from bench.analysis.surroundings import surroundings
from bench.analysis.verdict import judge
from bench.records.record import Entry
from bench.records.run import Run, different_machines


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two runs, and what became of its entries."""

    run: Run
    found: Mapping[str, Outcome]
    which: str  # "old run"

    @classmethod
    def of(cls, run: Run, which: str) -> "Side":
        """A run with its outcomes."""
        return cls(run, outcomes(run), which)

    def logs(self, entry: str, reference: str) -> tuple[Comparison, tuple[float, ...]]:
        """What this run says of an entry, and a log a block: of its ratio; of its time where it is its own
        reference."""
        made = compare(self.run, self.found, entry, reference)
        if entry != reference:
            return made, made.log_ratios
        return made, tuple(math.log(time) for time in self.found[entry].medians.values())


def compare_runs(
    before: Run,
    after: Run,
    *,
    names: tuple[str, str] = ("old", "new"),
    absolute: bool = False,
    any_environment: bool = False,
    limit: float | None = None,
) -> Changes:
    """Every entry of the new run over that of the old one: the same arm on the same case, in the same group.

    The seed of the data may be another one: it is the same work.
    """
    old, new = Side.of(before, "old run"), Side.of(after, "new run")
    around = surroundings(before, after)
    then, now, arms, margin = before.entries, after.entries, after.arms, after.plan.margin
    shared = [entry for entry in now.values() if _same(then.get(entry.id), entry)]
    compared = [entry for entry in shared if absolute or entry.baseline is not None]
    drafts = {entry.id: _draft(old, new, entry, absolute=absolute) for entry in compared}
    twins = judged([drafts[entry.id] for entry in compared if arms[entry.arm].twin], margin)
    rows = [drafts[entry.id] for entry in compared if not arms[entry.arm].twin]
    word, warning = _control(old, new, () if absolute else twins)
    if not warning and around.conditions and not any_environment:
        word, warning = "NONE", OTHER_ENVIRONMENT
    if warning:
        rows = [row if row.p is None else replace(row, verdict=word, reason=warning, p=None) for row in rows]
    baselines = dict.fromkeys(entry.baseline for entry in shared if entry.baseline is not None)
    return Changes(
        old=names[0],
        new=names[1],
        unit="ns" if absolute else "ratio",
        rows=judged(rows, margin, limit),
        baselines=() if absolute else tuple(_drift(old, new, name) for name in baselines),
        twins=twins,
        only_old=tuple(_only(then, now)),
        only_new=tuple(_only(now, then)),
        without_baseline={
            entry.id: entry.group for entry in shared if entry.id not in drafts and entry.id not in baselines
        },
        machines=tuple(different_machines([before, after])),
        versions=(*around.versions, *_other_inputs(old, new, shared)),
        conditions=around.conditions,
        warning=warning,
        limit=limit,
    )


def _same(before: Entry | None, now: Entry) -> bool:
    if before is None:
        return False
    cases = [replace(entry.case, seed=0) for entry in (before, now)]
    return (before.arm, before.group, cases[0]) == (now.arm, now.group, cases[1])


def _only(these: Mapping[str, Entry], others: Mapping[str, Entry]) -> Iterator[str]:
    """Entries that the others lack; with the case where they have one of that name for other work."""
    for entry in these.values():
        if not _same(others.get(entry.id), entry):
            yield f"{entry.id} ({entry.case})" if entry.id in others else entry.id


def _draft(old: Side, new: Side, entry: Entry, *, absolute: bool) -> Change:
    """The change of one entry; its verdict INVALID, MISSING or NONE is final where there is no p."""
    made = Change(entry.id, "NONE", group=entry.group)
    reference = entry.id if absolute or entry.baseline is None else entry.baseline
    if not _same(old.run.entries.get(reference), new.run.entries[reference]):
        return replace(made, verdict="MISSING", reason="its baseline is not the same in both runs")
    (was, logs_then), (now, logs_now) = (side.logs(entry.id, reference) for side in (old, new))
    final = False
    for side, said in ((new, now), (old, was)):
        if said.p is None:
            reason = f"{side.which}: {said.reason}"
            made = replace(made, verdict=said.verdict, reason=reason, left_out=said.left_out)
            final = True
    if not logs_then or not logs_now:
        return made
    values = (math.exp(median(logs_then)), math.exp(median(logs_now))) if absolute else (was.ratio, now.ratio)
    made = replace(made, old_value=values[0], new_value=values[1])
    return measured(made, logs_then, logs_now, final=final)


def _drift(old: Side, new: Side, baseline: str) -> Change:
    """What a baseline did in absolute time."""
    made = Change(baseline, "NONE")
    if baseline not in old.run.entries or baseline not in new.run.entries:
        return replace(made, verdict="MISSING", reason="it is not in both runs")
    then, now = (side.logs(baseline, baseline)[1] for side in (old, new))
    if not then or not now:
        return replace(made, verdict="MISSING", reason="it has no times in both runs")
    made = replace(made, old_value=math.exp(median(then)), new_value=math.exp(median(now)))
    return measured(made, then, now, final=True)


def _control(old: Side, new: Side, twins: tuple[Change, ...]) -> tuple[Word, str]:
    """Why no row may be believed; empty where they may."""
    for side in (old, new):
        if failure := judge(side.run, side.found).control.failure:
            return "INVALID", f"the {side.which} gives no verdict by itself: {failure}"
    for twin in twins:
        if twin.p_holm is not None and twin.p_holm <= ALPHA:
            return "INVALID", (
                "the A/A control failed: the same code was measured twice in both runs, and yet the ratio of "
                f"its times changed by a factor of {twin.change:.4g}"
            )
    return "NONE", ""


def _other_inputs(old: Side, new: Side, shared: list[Entry]) -> Iterator[str]:
    """Whether the same case came as other bytes."""
    digests = [(old.found[entry.id].digests, new.found[entry.id].digests) for entry in shared]
    told = [then == now for then, now in digests if then and now]
    if not all(told):
        count = f"{told.count(False)} of {len(told)}"
        yield f"inputs: other bytes for {count} entries (another seed, or a library that rounds otherwise)"
