"""A second look: whether a run that is over may be extended, to how many blocks, and what that costs.

To go on with a run because it came out undecided is to look at the same data twice, and two looks at 5 % err
in 8 to 9 runs of 100. So the 5 % are shared beforehand: every run is judged at 0.04, and an extended one
anew, over all its blocks, at 0.01. Their sum is a bound whatever the noise, the number of blocks and of
comparisons. A third look has no share left.
"""

from collections.abc import Iterable
from pathlib import Path

from bench.analysis.comparison import Comparison
from bench.analysis.statistics import MIN_BLOCKS, SECOND_LOOK, blocks_needed
from bench.analysis.verdict import judge
from bench.machine.errors import UserError
from bench.records.record import MAX_BLOCKS, Extended
from bench.records.run import Run

MOST_PROPOSED = 40  # blocks in all: where it would take more, other means are better


def extension(run: Run, blocks: int, folder: Path, now_utc: str) -> Extended:
    """The record that extends a run to ``blocks`` in all.

    Raises:
        UserError: it is not over, was extended before, gives no verdict, has all its verdicts already, or
            would have none after so many blocks either.
    """
    before = counted_blocks(run)
    if run.state == "interrupted":
        raise UserError(f"{folder} was cut off: go on with it first, without --blocks")
    if (earlier := run.extended) is not None:
        raise UserError(
            f"{folder} was extended already, from {earlier.before} to {earlier.blocks} blocks, and a third "
            "look would find what is not there; measure anew with rnnbench run"
        )
    judgement = judge(run)
    if not run.plan.verdicts or judgement.control.failure:
        why = judgement.control.failure or "a quick run gives none"
        raise UserError(f"{folder} has no verdict to look for: {why}; measure anew with rnnbench run")
    open_ones = undecided(run, judgement.headlines or judgement.rows.values())
    if not open_ones:
        raise UserError(
            f"{folder} left nothing undecided that more blocks could decide: its verdicts stand; to see "
            "whether they come again, measure anew with rnnbench run"
        )
    if not before < blocks <= MAX_BLOCKS:
        raise UserError(
            f"--blocks {blocks}: counted in all, and {folder} has {before} already; give more, up to "
            f"{MAX_BLOCKS}"
        )
    least = min(blocks_needed(made.family, SECOND_LOOK) for made in open_ones)
    if blocks < least:
        raise UserError(f"--blocks {blocks}: a second look at it needs {least} blocks in all for any verdict")
    return Extended(before, blocks, SECOND_LOOK, now_utc)


def proposal(run: Run, made: Iterable[Comparison]) -> int | None:
    """Blocks in all that should decide what is undecided here, as far as 40 can; None: no extension."""
    if run.state == "interrupted" or run.extended is not None:
        return None
    needed = [one.blocks_needed for one in undecided(run, made) if one.blocks_needed is not None]
    return max((blocks for blocks in needed if blocks <= MOST_PROPOSED), default=None)


def undecided(run: Run, made: Iterable[Comparison]) -> list[Comparison]:
    """Those without a word, or without enough blocks for one, in tables that an extension measures on."""
    whole = {group.name for group in run.plan.groups if group.blocks is None}
    return [
        one
        for one in made
        if not one.twin
        and run.entries[one.entry].group in whole
        and (one.verdict == "UNRESOLVED" or (one.verdict == "NONE" and one.blocks < MIN_BLOCKS))
    ]


def counted_blocks(run: Run) -> int:
    """The last block that counts and of which anything was measured."""
    return max((burst.block for burst in run.bursts), default=0)
