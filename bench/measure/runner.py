"""Run a plan from block 0 to its end, or continue a run that was interrupted.

Block 0 proves, calibrates and decides; only the other blocks count. Every record is written to the journal
immediately.
"""

import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Literal

import numpy.random  # noqa: F401  (loaded at first use, it may lose a Ctrl-C; workers do without)
from msgspec.structs import replace

from bench.machine.child import ending_children
from bench.machine.errors import UserError
from bench.machine.files import scratch_folder
from bench.machine.host import sleep_clock, slept, utc_now
from bench.machine.signals import OutOfTime, Terminated, time_limit
from bench.machine.units import percent
from bench.machine.wording import count
from bench.measure.block import Blocks, Progress
from bench.measure.budget import (
    MIN_BLOCKS_BEFORE_STOP,
    Ledger,
    decide,
    entries_of,
    over_at_first,
    precise,
    too_short,
    trimmed,
    usual_s,
)
from bench.measure.messages import JobMaker
from bench.measure.plan import active, min_blocks_of_plan, probing
from bench.records.record import (
    AnyRecord,
    Decision,
    End,
    Extended,
    Failure,
    Group,
    Pair,
    Plan,
    Resumed,
    measured_as,
)
from bench.workload.catalog import by_name

ROUNDS_OF_BLOCK_0 = 5  # enough to estimate the time of a round and the re-warming calls of an entry


class Runner:
    """Run a plan once; ``write`` appends a record to the journal, ``keep`` names variables to pass on.

    ``earlier`` holds the valid records of the journal when a run is resumed, else nothing. A block that was
    interrupted is measured again as a whole, so that every counted block is complete.
    """

    def __init__(
        self,
        plan: Plan,
        write: Callable[[AnyRecord], None],
        progress: Progress,
        *,
        keep: Collection[str] = (),
        earlier: Collection[AnyRecord] = (),
    ) -> None:
        self._plan, self._write, self._progress = plan, write, progress
        self._keep = keep
        self._resumes, self._started = bool(earlier), time.perf_counter()
        self._extended = any(isinstance(record, Extended) for record in earlier)  # measure all blocks then
        self._decision = next((record for record in earlier if isinstance(record, Decision)), None)
        # block 0 applied the budget; a resumed run measures everything that block 0 chose
        self._budget_s = plan.budget_s if self._decision is None else None
        self._first = self._first_missing(Ledger(plan, earlier)) if self._decision else 0
        earlier_blocks = [record for record in earlier if getattr(record, "block", 0) < self._first]
        self._ledger = Ledger(plan, earlier_blocks)

    def run(self) -> End:
        """Measure everything; return how the run ended, which is also the journal's last record."""
        self._started, start_clocks = time.perf_counter(), sleep_clock()

        def end(
            status: Literal["complete", "partial", "interrupted"],
            reason: str,
            stopped_by: Literal["user", "signal"] | None = None,
        ) -> End:
            seconds, slept_s = round(self._spent_s, 1), round(slept(start_clocks, sleep_clock()), 1)
            end_record = End(status, reason, seconds, utc_now(), slept_s, stopped_by)
            self._write(end_record)
            return end_record

        try:
            with scratch_folder("run") as folder:
                reason = self._measure(JobMaker(folder))
        except UserError as error:  # about the time budget
            end("interrupted", str(error))
            raise
        except OutOfTime:
            reason = f"the time budget of {self._plan.budget_s:g} s ended the run"
            if not any(block for block, _ in self._ledger.done):
                return end("interrupted", reason)
        except Terminated:
            return end("interrupted", "ended by a signal", "signal")
        except KeyboardInterrupt:
            return end("interrupted", "stopped by the user", "user")
        if n_failed := self._ledger.failures.total():
            return end("partial", f"{count(n_failed, 'burst')} failed; {reason}")
        return end("complete", reason)

    @property
    def _spent_s(self) -> float:
        return time.perf_counter() - self._started

    def _first_missing(self, ledger: Ledger) -> int:
        """Return the first counted block that is not finished."""
        assert self._decision is not None
        block, groups = 1, trimmed(self._plan.groups, self._decision)
        while block <= self._decision.blocks:
            groups_of_block = [  # without those that cannot be proved: they have no probes either
                group
                for group in active(groups, block)
                if not all(entry.id in ledger.lost for entry in group.entries)
            ]
            if not ledger.finished(
                block, entries_of(groups_of_block), probing(self._plan, groups_of_block, block)
            ):
                break
            block += 1
        return block

    def _measure(self, jobs: JobMaker) -> str:
        """Measure everything that is left; return why the measurement stopped."""
        if self._resumes:
            self._write(Resumed(self._first, utc_now()))
        provable = [group for group in self._plan.groups if self._provable(group, jobs)]
        if not provable:
            return "no case can be proved"
        blocks = Blocks(self._plan, self._write, self._progress, jobs, self._ledger, keep=self._keep)
        with ending_children():
            decision = self._decision
            if decision is None:
                for conditions in jobs.conditions():
                    self._write(conditions)
                decision = self._block_0(blocks, provable)
                self._write(decision)
            self._progress.decided(decision)
            groups = trimmed(provable, decision)
            for entry in entries_of(groups):  # compute expected parameters now, not between two samples
                if calibration := self._ledger.calibrations.get(self._ledger.work(entry)):
                    for batch_index in (0, 1):
                        jobs.after(entry.case, calibration.n_calls, batch_index)
            return self._count(blocks, groups, decision)

    def _block_0(self, blocks: Blocks, groups: list[Group]) -> Decision:
        """Prove and calibrate the entries; decide which blocks, rounds and entries fit the time budget."""
        plan, costs, min_blocks = self._plan, blocks.costs, min_blocks_of_plan(self._plan, groups)

        def refuse_at_once() -> None:
            """Raise before any measurement if starting the workers alone exceeds the budget."""
            least_s = self._spent_s + min_blocks * costs.starting_s()
            if plan.budget_s is not None and least_s > plan.budget_s and plan.budget_rule == "refuse":
                raise too_short(plan, least_s + usual_s(groups, min_blocks))

        rounds = min(plan.rounds, ROUNDS_OF_BLOCK_0)
        with self._within_budget():
            blocks.run(0, plan.blocks, lambda block: groups, rounds, refuse_at_once)
        costs.spent_s = self._spent_s
        return decide(plan, self._ledger.bursts, costs)

    @contextmanager
    def _within_budget(self) -> Iterator[None]:
        """End block 0 once a budget that must be kept or refused is over: compiling alone may take longer.

        Raises:
            UserError: the budget is over.
        """
        plan = self._plan
        if plan.budget_s is None or plan.budget_rule != "refuse":
            yield
            return
        try:
            with time_limit(max(0.01, plan.budget_s - self._spent_s)):
                yield
        except OutOfTime:
            raise over_at_first(plan) from None

    def _count(self, blocks: Blocks, groups: list[Group], decision: Decision) -> str:
        """Measure the counted blocks that are left; return why the measurement stopped."""
        plan, last, budget_s = self._plan, decision.blocks, self._budget_s
        headlines = _measured(groups, [*plan.pairs, *decision.pairs, *_own(plan)])
        for block in range(self._first or 1, last + 1):
            before_s = self._spent_s
            blocks.run(block, last, partial(active, groups), decision.rounds)
            left_s = math.inf if budget_s is None else budget_s - self._spent_s
            if block == 1 and self._compiles_too_long(groups, last, self._spent_s - before_s, left_s):
                compiled = [group.name for group in groups if group.kind == "compiled"]
                decision = replace(decision, dropped_groups=[*decision.dropped_groups, *compiled])
                groups = trimmed(groups, decision)
                headlines = _measured(groups, headlines)
                self._write(decision)
                self._progress.decided(decision)
            if block == last or block < min_blocks_of_plan(plan, groups):
                continue
            if blocks.next_s > left_s:
                return f"the time budget of {budget_s:g} s ended the run"
            half_width = plan.precision if block >= MIN_BLOCKS_BEFORE_STOP and not self._extended else None
            if half_width is not None and precise(
                headlines, self._ledger.bursts, measured_as(plan.groups), half_width
            ):
                return f"every headline is known to within {percent(half_width)}"
        reason = f"{count(last, 'block')} {'was' if last == 1 else 'were'} measured"
        if budget_s is not None and self._spent_s > budget_s:
            why = "" if plan.budget_rule == "hold" else ": verdicts need as many"
            reason += f", beyond the time budget of {budget_s:g} s{why}"
        return reason

    def _compiles_too_long(self, groups: list[Group], last: int, block_s: float, left_s: float) -> bool:
        """Return whether block 1 compiled again and more compiled blocks would exceed the time left."""
        n_more = [min(group.blocks or last, last) - 1 for group in groups if group.kind == "compiled"]
        return self._ledger.compiles_again and any(n * block_s > left_s for n in n_more)

    def _provable(self, group: Group, jobs: JobMaker) -> bool:
        """Make the inputs of a group; if impossible, write the reason once for each entry, return False."""
        arms = {arm.id: arm for arm in self._plan.arms}
        try:
            for entry in group.entries:
                jobs.prove(entry, arms[entry.arm], None)
        except UserError as error:
            for failure in (Failure(0, entry.id, "missing", str(error)) for entry in group.entries):
                if self._decision is None:
                    self._write(failure)
                    self._ledger.note(failure)
            return False
        return True


def _own(plan: Plan) -> list[Pair]:
    """Pair each variant that is not of the catalogue with its baseline: who names it wants to know it."""
    own = {arm.id for arm in plan.arms if by_name(arm.spec) is None}
    entries = [entry for entry in entries_of(plan.groups) if entry.arm in own]
    return [Pair("as_written", entry.id, entry.baseline) for entry in entries if entry.baseline]


def _measured(groups: Iterable[Group], pairs: Iterable[Pair]) -> list[Pair]:
    """Return the pairs of which both sides are in these groups: nothing waits for what was left out."""
    entry_ids = {entry.id for entry in entries_of(groups)}
    return [pair for pair in pairs if entry_ids >= {pair.entry, pair.baseline}]
