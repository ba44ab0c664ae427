"""Carry out the commands: the Python API, and the functions behind the command line."""
