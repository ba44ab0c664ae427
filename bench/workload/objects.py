"""Import what a user names as ``module:object``: a variant, a library or a cell."""

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.machinery import PathFinder
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

from bench.machine.errors import UserError, describe_error, did_you_mean

T = TypeVar("T")


def load_object(spec: str, kind: str, check: Callable[[Any], T]) -> T:
    """Import the module of ``module:object``, and return the result of ``check`` on the object.

    ``check`` may run more of the user's code; ``kind`` is the object's kind in messages.

    Raises:
        UserError: the module or object does not exist, or the module raises an error or exits.
    """
    module, _, attribute = spec.partition(":")
    try:
        if (folder := str(Path.cwd())) not in sys.path:
            sys.path.append(folder)  # an installed command does not search the current folder
        return check(attrgetter(attribute)(importlib.import_module(module)))
    except UserError:
        raise
    except SystemExit as error:
        reason = f"its module asks to exit (SystemExit: {error}), where it should only define things"
        raise UserError(f"cannot load the {kind} {spec!r}: {reason}") from error
    except BaseException as error:  # the user's code may raise anything
        reason = describe_error(error, module)
        if isinstance(error, AttributeError) and module in sys.modules:
            reason += did_you_mean(attribute, vars(sys.modules[module]))
        reason += _wrong_file_hint(module)
        raise UserError(f"cannot load the {kind} {spec!r}: {reason}") from error


def file_digest(spec: str) -> str:
    """Return a digest of the file of ``module:object``, which is not imported; empty if there is no file."""
    first, *rest = spec.partition(":")[0].split(".")
    with suppress(Exception):  # of any kind: whatever finders of other packages raise
        found = importlib.util.find_spec(first) or PathFinder.find_spec(first, [str(Path.cwd())])
        for name in rest:
            found = found and PathFinder.find_spec(name, found.submodule_search_locations or [])
        if found and found.origin:
            return hashlib.sha256(Path(found.origin).read_bytes()).hexdigest()[:12]
    return ""


def _wrong_file_hint(module: str) -> str:
    """Return a hint if the user gave a file name, or if Python imported another file of the same name."""
    if (path := Path(module)).suffix == ".py":
        return f"; give the name of the module, {path.stem}, and run from its folder"
    local_file, imported_file = Path(f"{module}.py"), getattr(sys.modules.get(module), "__file__", None)
    with suppress(OSError):  # the name is too long for a file name
        if local_file.exists() and not (imported_file and local_file.samefile(imported_file)):
            return f"; Python has another module of that name: rename {local_file}"
    return ""
