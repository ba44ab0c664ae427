"""Describe errors to users: what is wrong, where, and what to do next."""

import difflib
import errno
import inspect
import tempfile
import traceback
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path, PurePath
from types import FrameType
from typing import Any

from bench.machine.wording import one_line

ROOT = Path(__file__).parents[2]
STANDARD_LIBRARY = Path(traceback.__file__).parent
PACKAGE_FOLDERS = {"site-packages", "dist-packages"}
NO_ROOM_CODES = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # disk, quota or `ulimit -f`
MAX_ERROR_CHARS = 500  # of an error's text: a compiler's error is as long as the compiled code


class UserError(Exception):
    """Report bad input or usage; the command line prints only the message and exits with ``exit_code``."""

    exit_code = 2


class Unfinished(UserError):
    """Report that a part of the requested result exists and is safe, but not all."""

    exit_code = 3


class HostInUse(UserError):
    """Report that another process measures on this host; it may be tried again later."""

    exit_code = 75  # of sysexits.h: a temporary failure


def error_text(error: Exception) -> str:
    """Return what failed: our own message, a system's error with its file, or another error with its type."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        if error.errno in NO_ROOM_CODES and not error.filename and tempfile.tempdir:
            return f"{error.strerror}; temporary files are in {tempfile.tempdir}, which TMPDIR chooses"
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"{type(error).__name__}: {error}"


def describe_error(error: BaseException, module: str) -> str:
    """Return an error of a user's code in one line, with the last place in that code.

    Args:
        error: the raised exception.
        module: of the user's code: ``somebodys.variants``, or a target such as ``mine:fast.bind``.

    Returns:
        ``ZeroDivisionError: division by zero (mine.py, line 12, in call)``; without the place if no line of
        the user's code was running, as when a function was called with wrong arguments.
    """
    type_name = type(error).__name__
    try:
        message = str(error)
    except BaseException:  # the exception's class is the user's code, and may raise, too
        message = ""
    clause = f"{type_name}: {one_line(message)[:MAX_ERROR_CHARS]}" if message.strip() else type_name
    package = module.partition(":")[0].partition(".")[0]
    places = [
        f"{_file_name(frame.f_code.co_filename, frame.f_globals)}, line {line}, in {frame.f_code.co_name}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if _is_theirs(frame, package)
    ]
    return f"{clause} ({places[-1]})" if places else clause


def check_arguments(function: Callable[..., Any], *arguments: Any, **options: Any) -> None:
    """Raise TypeError with the place, ``(mine.py, line 12, in bind)``, if the arguments do not fit."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some C functions have no signature
        return
    try:
        signature.bind(*arguments, **options)
    except TypeError as error:
        name = getattr(function, "__name__", "bind")
        raise TypeError(f"cannot call {name}: {error}{place_of(function)}") from None


def place_of(function: Callable[..., Any]) -> str:
    """Return where a function is written, `` (mine.py, line 12, in bind)``; empty for a C function."""
    while isinstance(function, partial):
        function = function.func
    function = inspect.unwrap(getattr(function, "__func__", function))
    if not (code := getattr(function, "__code__", None)):
        return ""
    file = _file_name(code.co_filename, function.__globals__)
    return f" ({file}, line {code.co_firstlineno}, in {code.co_name})"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'forward'?)`` if a word is similar to a known word, else an empty text."""
    word = word.lower().lstrip("-")  # dashes do not make two options similar
    if len(word) < 2:  # too many words begin with one letter
        return ""
    forms: dict[str, str] = {}
    for name in known:
        plain = name.lower().lstrip("-")
        # the beginning is compared, too, so that "trian" finds "train_step"
        forms |= {plain[: len(word)]: name, plain: name}
    matches = difflib.get_close_matches(word, forms, n=1)
    return f" (did you mean {forms[matches[0]]!r}?)" if matches else ""


def _is_theirs(frame: FrameType, package: str) -> bool:
    """Return whether a frame runs user code: the package's, or neither a library's nor this project's."""
    if str(frame.f_globals.get("__name__")).partition(".")[0] == package:
        return True
    path = Path(frame.f_code.co_filename)
    in_library = path.is_relative_to(STANDARD_LIBRARY) or PACKAGE_FOLDERS.intersection(path.parts)
    in_project = path.is_relative_to(ROOT) and path.parent != ROOT
    return path.is_absolute() and not in_library and not in_project  # "<string>" is no file


def _file_name(file: str, module: dict[str, Any]) -> str:
    """Return a file's path below its import folder: ``mine.py``, ``somebodys/variants.py``."""
    path = PurePath(file)
    depth = str(module.get("__name__")).count(".") + 1 + (path.name == "__init__.py")
    return PurePath(*path.parts[-depth:]).as_posix()
