"""Find the mistake in a hand-derived gradient: check any function, and name what went wrong."""
