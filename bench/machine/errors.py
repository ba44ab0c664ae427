"""Errors for people: what is wrong, where, and what to do next."""

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
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # disk, quota or `ulimit -f`
MOST_WORDS = 500  # characters of what an error says: a compiler's is as long as what it compiles


class UserError(Exception):
    """Bad input or usage; the command line prints the message alone and exits with ``exit_code``."""

    exit_code = 2


class Unfinished(UserError):
    """A part of what was asked for is there and safe, but not all of it."""

    exit_code = 3


def what_failed(error: Exception) -> str:
    """Return what failed in few words: our own, the system's with the file, or a library's with its kind."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        if error.errno in NO_ROOM and not error.filename and tempfile.tempdir:
            return f"{error.strerror}; temporary files are in {tempfile.tempdir}, which TMPDIR chooses"
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"{type(error).__name__}: {error}"


def describe_error(error: BaseException, module: str) -> str:
    """Return an error of somebody's code in one line, with the last place in that code.

    Args:
        error: what was raised.
        module: where that code is: ``somebodys.variants``, or a target such as ``mine:fast.bind``.

    Returns:
        ``ZeroDivisionError: division by zero (mine.py, line 12, in call)``; without the place where the
        error met no line of theirs, as when a function was called that takes other arguments.
    """
    kind = type(error).__name__
    try:
        words = str(error)
    except BaseException:  # an exception is a class of theirs, and may raise as well
        words = ""
    clause = f"{kind}: {one_line(words)[:MOST_WORDS]}" if words.strip() else kind
    package = module.partition(":")[0].partition(".")[0]
    places = [
        f"{_file_name(frame.f_code.co_filename, frame.f_globals)}, line {line}, in {frame.f_code.co_name}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if _is_theirs(frame, package)
    ]
    return f"{clause} ({places[-1]})" if places else clause


def check_arguments(function: Callable[..., Any], *arguments: Any, **options: Any) -> None:
    """Raise a TypeError with a function's place, ``(mine.py, line 12, in bind)``, if it takes others."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some of C's have none
        return
    try:
        signature.bind(*arguments, **options)
    except TypeError as error:
        name = getattr(function, "__name__", "bind")
        raise TypeError(f"cannot call {name}: {error}{place_of(function)}") from None


def place_of(function: Callable[..., Any]) -> str:
    """Return where a function is written, `` (mine.py, line 12, in bind)``; nothing for one of C's."""
    while isinstance(function, partial):
        function = function.func
    function = inspect.unwrap(getattr(function, "__func__", function))
    if not (code := getattr(function, "__code__", None)):
        return ""
    file = _file_name(code.co_filename, function.__globals__)
    return f" ({file}, line {code.co_firstlineno}, in {code.co_name})"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'forward'?)`` where a word is near to a known one, else nothing."""
    word = word.lower().lstrip("-")  # two options are not alike for their dashes
    if len(word) < 2:  # which begins anything
        return ""
    forms: dict[str, str] = {}
    for name in known:
        plain = name.lower().lstrip("-")
        forms |= {plain[: len(word)]: name, plain: name}  # "trian" is meant to begin "train_step"
    near = difflib.get_close_matches(word, forms, n=1)
    return f" (did you mean {forms[near[0]]!r}?)" if near else ""


def _is_theirs(frame: FrameType, package: str) -> bool:
    """Return whether a frame is of the package, or of code that is no library's and not this project's."""
    if str(frame.f_globals.get("__name__")).partition(".")[0] == package:
        return True
    path = Path(frame.f_code.co_filename)
    library = path.is_relative_to(STANDARD_LIBRARY) or PACKAGE_FOLDERS.intersection(path.parts)
    ours = path.is_relative_to(ROOT) and path.parent != ROOT
    return path.is_absolute() and not library and not ours  # "<string>" is no file


def _file_name(file: str, module: dict[str, Any]) -> str:
    """Return the file below the folder that it is imported from: ``mine.py``, ``somebodys/variants.py``."""
    path = PurePath(file)
    depth = str(module.get("__name__")).count(".") + 1 + (path.name == "__init__.py")
    return PurePath(*path.parts[-depth:]).as_posix()
