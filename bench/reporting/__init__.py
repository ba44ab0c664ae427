"""Draw plots and write pages from saved results."""
