"""The runner: drives a plan from block 0 to its end, or on from where a run was cut off.

Block 0 proves, calibrates and decides; the other blocks count. Every record goes to the journal as it comes.
"""

import math
import time
from collections.abc import Callable, Collection
from contextlib import closing
from functools import partial
from typing import Literal

from msgspec.structs import replace

from bench.machine.errors import UserError
from bench.machine.files import scratch_folder
from bench.machine.host import sleep_clock, slept, utc_now
from bench.machine.signals import OutOfTime, Terminated
from bench.measure.block import Blocks, Progress
from bench.measure.budget import active, decide, too_short, trimmed, usual_s
from bench.measure.ledger import Ledger
from bench.measure.limits import probing
from bench.measure.messages import JobMaker
from bench.measure.plan import least_blocks
from bench.measure.stopping import EARLIEST, precise
from bench.records.record import (
    AnyRecord,
    Decision,
    End,
    Entry,
    Extended,
    Failure,
    Group,
    Plan,
    Resumed,
    measured_as,
)

Ended = Literal["complete", "partial", "interrupted"]
ROUNDS_OF_BLOCK_0 = 5  # enough to see what a round costs, and when an entry is warm again
StoppedBy = Literal["user", "signal"]


class Runner:
    """One run of a plan; ``write`` appends a record to the journal, ``keep`` names variables to pass on.

    ``earlier`` are the records of the plan's journal that count, where the run goes on: what a block that
    was cut off had measured is measured anew, so that the blocks that count are whole.
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
        self._plan = plan
        self._write = write
        self._progress = progress
        self._keep = keep
        self._earlier = list(earlier)
        self._ledger = Ledger(plan)

    def run(self) -> End:
        """Measure everything; return how it ended, which is also the journal's last line."""
        started, clocks = time.perf_counter(), sleep_clock()
        status: Ended = "complete"
        stopped_by: StoppedBy | None = None
        try:
            with scratch_folder("run") as folder:
                reason = self._measure(JobMaker(folder), started)
        except UserError as error:  # of the time budget
            self._write(self._end("interrupted", str(error), started, clocks))
            raise
        except OutOfTime:
            status, reason = "interrupted", f"the time budget of {self._plan.budget_s:g} s ended it"
        except KeyboardInterrupt as stop:
            status, reason, stopped_by = "interrupted", "stopped by the user", "user"
            if isinstance(stop, Terminated):
                reason, stopped_by = "ended by a signal", "signal"
        if status == "complete" and (failed := self._ledger.failures.total()):
            status, reason = "partial", f"{_count(failed, 'burst')} failed; {reason}"
        end = self._end(status, reason, started, clocks, stopped_by)
        self._write(end)
        return end

    def _end(
        self,
        status: Ended,
        reason: str,
        started: float,
        clocks: dict[str, float],
        stopped_by: StoppedBy | None = None,
    ) -> End:
        seconds = round(time.perf_counter() - started, 1)
        return End(status, reason, seconds, utc_now(), round(slept(clocks, sleep_clock()), 1), stopped_by)

    def _measure(self, jobs: JobMaker, started: float) -> str:
        """Everything that is still to be done; return why it stopped there."""
        plan = self._plan
        decision = next((one for one in self._earlier if isinstance(one, Decision)), None)
        provable = [group for group in plan.groups if self._provable(group, jobs, tell=decision is None)]
        if not provable:
            return "no case can be proved"
        if decision is not None:
            return self._go_on(provable, decision, jobs)
        if self._earlier:
            self._write(Resumed(0, utc_now()))
        for conditions in jobs.conditions():
            self._write(conditions)
        blocks = self._blocks(jobs)
        costs = blocks.costs

        def refuse_at_once() -> None:
            """Before anything is measured: starting the workers alone would take longer than the budget."""
            least_s = time.perf_counter() - started + least_blocks(plan, provable) * costs.starting_s()
            if plan.budget_s is not None and least_s > plan.budget_s and plan.budget_rule == "refuse":
                raise too_short(plan, least_s + usual_s(provable, least_blocks(plan, provable)))

        rounds = min(plan.rounds, ROUNDS_OF_BLOCK_0)
        blocks.run(0, plan.blocks, lambda block: provable, rounds, refuse_at_once)
        costs.spent_s = time.perf_counter() - started
        decision = decide(plan, self._ledger.bursts, costs)
        self._write(decision)
        self._progress.decided(decision)
        with closing(blocks):
            return self._count(blocks, trimmed(provable, decision), decision, jobs, started, first=1)

    def _go_on(self, provable: list[Group], decision: Decision, jobs: JobMaker) -> str:
        """The blocks that are missing. The time budget was block 0's to keep: what it left is measured."""
        groups = trimmed(provable, decision)
        whole = Ledger(self._plan, self._earlier)
        first = 1
        while first <= decision.blocks and _is_whole(whole, self._plan, active(groups, first), first):
            first += 1
        self._write(Resumed(first, utc_now()))
        counted = [record for record in self._earlier if getattr(record, "block", 0) < first]
        self._ledger = Ledger(self._plan, counted)
        self._progress.decided(decision)
        with closing(self._blocks(jobs)) as blocks:
            return self._count(blocks, groups, decision, jobs, None, first=first)

    def _count(
        self,
        blocks: Blocks,
        groups: list[Group],
        decision: Decision,
        jobs: JobMaker,
        started: float | None,
        *,
        first: int,
    ) -> str:
        """The counted blocks from ``first`` on; without ``started`` no time budget holds."""
        plan, last = self._plan, decision.blocks
        budget_s = None if started is None else plan.budget_s
        fewest = least_blocks(plan, groups)
        headlines = [*plan.pairs, *decision.pairs]
        extended = any(isinstance(one, Extended) for one in self._earlier)  # all that was asked for
        for entry in _entries(groups):  # the trajectories: computed now, not between two bursts
            if found := self._ledger.found.get(self._ledger.work(entry)):
                for which in (0, 1):
                    jobs.after(entry.case, found.n_calls, which)
        for block in range(first, last + 1):
            begun = time.perf_counter()
            blocks.run(block, last, partial(active, groups), decision.rounds)
            ended = time.perf_counter()
            left_s = math.inf if started is None or budget_s is None else budget_s - (ended - started)
            if block == 1 and self._compiles_too_long(groups, last, ended - begun, left_s):
                compiled = [group.name for group in groups if group.kind == "compiled"]
                decision = replace(decision, dropped_groups=[*decision.dropped_groups, *compiled])
                groups = trimmed(groups, decision)
                fewest = least_blocks(plan, groups)
                left = {entry.id for entry in _entries(groups)}
                headlines = [pair for pair in headlines if pair.entry in left]
                self._write(decision)
                self._progress.decided(decision)
            if block == last or block < fewest:
                continue
            if blocks.next_s > left_s:
                return f"the time budget of {budget_s:g} s ended the run after {_count(block, 'block')}"
            width = plan.precision if block >= EARLIEST and not extended else None
            if width is not None and precise(headlines, self._ledger.bursts, measured_as(plan.groups), width):
                return f"every headline was known to within {width:.0%} after {_count(block, 'block')}"
        reason = f"{_count(last, 'block')} {'was' if last == 1 else 'were'} measured"
        if budget_s is not None and started is not None and time.perf_counter() - started > budget_s:
            why = "" if plan.budget_rule == "hold" else ": verdicts need as many"
            reason += f", beyond the time budget of {budget_s:g} s{why}"
        return reason

    def _compiles_too_long(self, groups: list[Group], last: int, block_s: float, left_s: float) -> bool:
        """Whether compiled code was compiled anew in block 1, and its other blocks do not fit the time."""
        of_compiled = [group for group in groups if group.kind == "compiled"]
        blocks = [min(group.blocks or last, last) - 1 for group in of_compiled]
        return self._ledger.compiles_again and any(n * block_s > left_s for n in blocks)

    def _blocks(self, jobs: JobMaker) -> Blocks:
        """What runs the blocks."""
        return Blocks(self._plan, self._write, self._progress, jobs, self._ledger, keep=self._keep)

    def _provable(self, group: Group, jobs: JobMaker, *, tell: bool) -> bool:
        """Make the inputs of a group; where that cannot be, write why for each entry if ``tell``."""
        try:
            for entry in group.entries:
                jobs.prove(entry, self._ledger.arm(entry), None)
        except UserError as error:
            for failure in (Failure(0, entry.id, "missing", str(error)) for entry in group.entries):
                if tell:
                    self._write(failure)
                    self._ledger.note(failure)
            return False
        return True


def _is_whole(ledger: Ledger, plan: Plan, groups: list[Group], block: int) -> bool:
    """Whether nothing of a block is missing."""
    return ledger.finished(block, _entries(groups), probing(plan.probes, groups, block))


def _entries(groups: list[Group]) -> list[Entry]:
    return [entry for group in groups for entry in group.entries]


def _count(number: int, noun: str) -> str:
    """Return 1 block, 10 blocks."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
