"""Compute intervals, verdicts and answers from the measured values; write no report text and no files."""
