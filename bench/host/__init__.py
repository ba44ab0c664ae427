"""What this machine is, what it tells while something runs, and what of it reaches a worker."""
