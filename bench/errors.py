"""Errors for people: what is wrong, where, and what to do next."""

import errno
import tempfile


class UserError(Exception):
    """Bad input or usage; the command line prints the message alone and exits with ``exit_code``."""

    exit_code = 2


class Unfinished(UserError):
    """A part of what was asked for is there and safe, but not all of it."""

    exit_code = 3


def what_failed(error: Exception) -> str:
    """What went wrong in few words: our own, the system's with the file, or a library's with its kind."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        if error.errno == errno.ENOSPC and not error.filename and tempfile.tempdir:
            return f"{error.strerror}; temporary files are in {tempfile.tempdir}, which TMPDIR chooses"
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"{type(error).__name__}: {error}"
