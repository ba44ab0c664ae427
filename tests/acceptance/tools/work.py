"""Fixed work of about 2 ms, in Python alone: every process and every tool does exactly this."""

ROUNDS = 56_000


def work() -> int:
    """The sum of a few squares."""
    total = 0
    for number in range(ROUNDS):
        total += number * number & 7
    return total
