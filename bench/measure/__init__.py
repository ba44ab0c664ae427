"""Measuring: the plan, the clock, the worker that holds one arm, and the runner that drives them."""
