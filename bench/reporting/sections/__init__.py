"""Build the sections of the page, a module per section: sentences, pictures and tables."""
