"""What a person can ask for: the Python API, and the verbs of the command line."""
