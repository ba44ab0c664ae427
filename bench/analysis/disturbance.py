"""What disturbed an entry often: one clause in plain words, and what to do about it.

The gates of ``bench.machine.gates`` flag single measurements; here they become causes that a person knows.
They withhold no verdict: both sides of a round stand milliseconds apart, so that what slows the machine slows
both, and widens the interval. They are told where nothing could be decided.
"""

from bench.analysis.outcome import Outcome

MANY = 0.2  # share of the blocks
UNSTEADY = "Wait until nothing else runs and measure again (--wait-quiet 10min)"
WAIT = "Wait until they are done and measure again (--wait-quiet 10min), a run also with more --blocks"
# what a gate's flag means, and what to do
CAUSES = {
    "steal": (
        "the hypervisor gave the processors to other virtual machines",
        "Measure again at another hour, or on a machine whose processors are not shared",
    ),
    "throttled": (
        "the container had used up its quota of processor time",
        "Raise the quota, or end what else runs in the container, and measure again",
    ),
}
OTHERS = ("other programs used the processors", WAIT)  # what all other gates mean


def disturbance(outcome: Outcome) -> tuple[str, str]:
    """What disturbed many of an entry's blocks, and what to do; both empty where nothing did."""
    blocks = len(outcome.medians)
    if outcome.disturbed <= MANY * blocks:
        return "", ""
    most = max(outcome.flags, key=lambda gate: outcome.flags[gate], default="")
    cause, mend = CAUSES.get(most, OTHERS)
    return f"{cause} in {outcome.disturbed} of {blocks} blocks", mend
