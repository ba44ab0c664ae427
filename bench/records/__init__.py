"""Store results: the journal of a run, tables of its values, and files of other tools."""
