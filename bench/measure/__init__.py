"""Measuring: the plan, the clock, the workers that hold entries, and the runner that drives them."""
