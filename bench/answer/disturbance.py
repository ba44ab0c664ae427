"""What disturbed an entry too often for a verdict: one clause in plain words, and what to do about it.

The gates of ``bench.host.gates`` flag single measurements; here they become causes that a person knows.
"""

from bench.answer.outcome import NO_STEADY_STATE, Outcome

MAX_DISTURBED = 0.2  # share of the blocks: more, and no verdict stands on them
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
    """Why no verdict stands on an entry's times, and what to do; both empty where one does."""
    if outcome.status == NO_STEADY_STATE:
        return outcome.reason, "Wait until nothing else runs and measure again (--wait-quiet 10min)"
    blocks = len(outcome.medians)
    if outcome.disturbed <= MAX_DISTURBED * blocks:
        return "", ""
    most = max(outcome.flags, key=lambda gate: outcome.flags[gate], default="")
    cause, mend = CAUSES.get(most, OTHERS)
    return f"{cause} in {outcome.disturbed} of {blocks} blocks", mend
