"""Errors for people: what is wrong, where, and what to do next."""


class UserError(Exception):
    """Bad input or usage; the command line prints the message alone and exits with 2."""
