"""Define what is timed: the case, its data, and the variants that compute it."""
