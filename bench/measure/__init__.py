"""Measure: hold the plan, the workers that hold entries, the checks of samples, and the runner."""
