"""Whether this machine is fit for timing: what is unfair or unstable here, and what mends it."""
