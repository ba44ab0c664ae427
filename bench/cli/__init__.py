"""The command line: its parser, and what it prints to."""
