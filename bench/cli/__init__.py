"""Provide the command line: its parser, and its output."""
