"""T16: the words of the headline arms, and of the same code against itself, on a quiet and on a busy machine.

What is true is what a longer run on the quiet machine finds.
"""

from pathlib import Path

import pytest
from acceptance.load import LOADS, TITLES, load
from acceptance.plans import HEADLINE, STEP, again, compared, differs, least, make_plan, row
from acceptance.validity import Recorder

from bench.analysis.verdict import Judgement
from bench.measure.plan import LEAST_ROUNDS, ROUNDS

BLOCKS, TRUTH_BLOCKS = 8, 20
CLEAR = 1.03  # a ratio from here on is a difference that every run has to find
Truth = dict[str, str]  # variant -> word


def headline_run(folder: Path, seed: int, *, blocks: int = BLOCKS, rounds: int = LEAST_ROUNDS) -> Judgement:
    """The headline arms at the tutorial's size, with the baseline's code once more among them."""
    plan = make_plan(HEADLINE, blocks=blocks, seed=seed, case=STEP, rounds=rounds, again=True)
    return compared(plan, folder)[1]


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    """The words of a longer quiet run, of what differs clearly."""
    judgement = headline_run(tmp_path_factory.mktemp("truth"), 99, blocks=TRUTH_BLOCKS, rounds=ROUNDS)
    rows = [row(judgement, name) for name in HEADLINE[1:]]
    clear = [one for one in rows if one.ratio is not None and max(one.ratio, 1 / one.ratio) > CLEAR]
    return {one.arm.variant: one.verdict for one in clear}


@pytest.mark.parametrize("name", LOADS)
def test_words_are_right_whatever_else_runs(
    name: str, truth: Truth, validity: Recorder, tmp_path: Path, long: bool
) -> None:
    runs = 10 if long else 5
    with load(name):
        found = [headline_run(tmp_path, seed) for seed in range(runs)]
    words = {variant: [row(one, variant).verdict for one in found] for variant in truth}
    right = {variant: words[variant].count(truth[variant]) for variant in truth}  # type: ignore[arg-type]
    wrong = sum(
        word not in (truth[variant], "UNRESOLVED", "INVALID", "NONE")
        for variant in truth
        for word in words[variant]
    )
    kept = truth.get("torch-layer") == "SLOWER" and min(right.values()) >= least(runs) and wrong == 0
    validity.record(
        f"T16-{name}",
        claim=f"the headline arms at the tutorial's size, {TITLES[name]}, {runs} runs of {BLOCKS} blocks: "
        f"the words of a quiet run of {TRUTH_BLOCKS} blocks, where that finds more than 3 %",
        promised=f"in at least {least(runs)} of {runs} runs each; another word in none",
        measured=", ".join(f"{variant} {truth[variant]} {right[variant]}" for variant in truth)
        + f"; {wrong} others",
        kept=kept,
    )

    same = [again(one) for one in found]
    equal, apart = sum(one.verdict == "EQUIVALENT" for one in same), sum(map(differs, same))
    scatter = max(one.process_scatter or 0.0 for one in same)
    equal_kept = equal >= least(runs) and apart == 0
    validity.record(
        f"T16-{name}-same",
        claim=f"numpy-batched against its own code in those runs, {TITLES[name]}",
        promised=f"EQUIVALENT in at least {least(runs)} of {runs}; FASTER or SLOWER in none",
        measured=f"{equal}, {apart}; largest scatter between blocks {100 * scatter:.1f} %; "
        f"{sum(bool(one.control.failure) for one in found)} runs refused because of the control",
        kept=equal_kept,
    )
    assert kept
    assert equal_kept
