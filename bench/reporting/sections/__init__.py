"""One answer a module, each a section of the page: sentences, pictures and tables from saved results."""
