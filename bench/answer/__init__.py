"""Answers computed from saved results alone: statistics and verdicts."""
