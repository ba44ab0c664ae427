"""The report: plots and pages drawn from saved results."""
