"""What is said of a wrong gradient is judged by its label, or by whether it is true."""

import pytest
from diagnosis_rates import judge
from gradient_mistakes import Wrong, pairs, rounded, single

from bench.gradients.finding import Finding, Kind

TRANSPOSED = single("rnn", "W.T", "TRANSPOSED", "dh", ("dh = da @ W", "dh = da @ W.T"))
DOUBLED = single("gru", "V twice", "FACTOR", "dV", ('["V"] += dy', '["V"] += 2 * dy'))
DH, DV, ALL = "dh = da @ W", 'grads["V"] += dy_hat.T @ cache[-1].h', ("U", "W", "bU", "bW")


@pytest.mark.parametrize(
    ("wrong", "finding", "word"),
    [
        (TRANSPOSED, Finding(Kind.TRANSPOSED, ALL, "W transposed", "", DH), "rightly"),
        (TRANSPOSED, Finding(Kind.TRANSPOSED, ("U",), "W transposed", "", DH), "true"),  # not of W
        (TRANSPOSED, Finding(Kind.TRANSPOSED, ALL, "U transposed", "", "dU += da.T @ x[t - 1]"), "wrongly"),
        (TRANSPOSED, Finding(Kind.SIGN, ALL, "a sign", "", DH), "wrongly"),
        (TRANSPOSED, Finding(Kind.ACROSS_STEPS, ALL, "across steps", ""), "true"),
        (DOUBLED, Finding(Kind.FACTOR, ("V",), "a factor", "", DV), "rightly"),
        (DOUBLED, Finding(Kind.CONSTANT, ("V",), "twice", "", DV), "true"),
        (DOUBLED, Finding(Kind.ZERO, ("V",), "zero", "", DV), "wrongly"),
        (rounded("lstm", 0), Finding(Kind.PRECISION, ("V",), "float32", ""), "wrongly"),
        (TRANSPOSED, None, "silent"),
    ],
)
def test_a_finding_is_judged(wrong: Wrong, finding: Finding | None, word: str) -> None:
    assert judge(wrong, lambda trials, cell: [finding] if finding else []).word == word


def test_pairs_are_of_one_cell_and_have_both_labels() -> None:
    other = single("rnn", "no act'", "DERIVATIVE", "da", ("da = dh * act_prime(hs[t])", "da = dh"))
    same_line = single("rnn", "dh", "SIGN", "dh", ("dh = da @ W", "dh = -(da @ W)"))

    found = pairs([same_line, TRANSPOSED, DOUBLED, other], 9, seed=0)

    assert {frozenset(pair.kinds) for pair in found} == {
        frozenset({Kind.TRANSPOSED, Kind.DERIVATIVE}),
        frozenset({Kind.SIGN, Kind.DERIVATIVE}),
    }
    assert all(pair.lines in (("dh", "da"), ("da", "dh")) for pair in found)
