"""Hand parts of a plan to other hosts through Dask; only this room knows of it, and imports it where used."""
