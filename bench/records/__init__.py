"""What is kept: the journal of a run, tables of it, and the files of other tools."""
