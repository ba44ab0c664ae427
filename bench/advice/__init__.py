"""Advice: one size is measured now, within a time, and two sentences say what to use there and why."""
