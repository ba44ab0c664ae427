"""Results: the records of a run, the journal they are written to, and tables made of it."""
