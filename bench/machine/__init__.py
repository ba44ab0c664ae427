"""This computer: files, processes, devices, libraries, the clock, and what is unfair on it."""
