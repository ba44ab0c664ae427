"""What is timed: the case, its data, and the variants that do it."""
