"""An object of the user's own, named as ``module:object``: imported in the process that asks for it."""

import importlib
import sys
from collections.abc import Callable
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

from bench.machine.errors import UserError, describe_error, did_you_mean

T = TypeVar("T")


def load_object(spec: str, kind: str, check: Callable[[Any], T]) -> T:
    """Import the module of ``module:object`` and return what ``check`` makes of the object.

    ``check`` may run more of the user's code; ``kind`` is what messages call the object.

    Raises:
        UserError: there is no such module or object, or the module raises or leaves.
    """
    module, _, attribute = spec.partition(":")
    try:
        if (here := str(Path.cwd())) not in sys.path:
            sys.path.append(here)  # an installed command does not look where the user stands
        return check(attrgetter(attribute)(importlib.import_module(module)))
    except UserError:
        raise
    except SystemExit as error:
        leaves = f"its module asks to exit (SystemExit: {error}), where it should only define things"
        raise UserError(f"cannot load the {kind} {spec!r}: {leaves}") from error
    except BaseException as error:  # the user's own code runs, which may raise anything
        reason = describe_error(error, module)
        if isinstance(error, AttributeError) and module in sys.modules:
            reason += did_you_mean(attribute, vars(sys.modules[module]))
        reason += _other_file(module)
        raise UserError(f"cannot load the {kind} {spec!r}: {reason}") from error


def _other_file(module: str) -> str:
    """Return a hint where the name of the module stands for another file than the user means, or for none."""
    if (path := Path(module)).suffix == ".py":
        return f"; give the name of the module, {path.stem}, and run from its folder"
    here, imported = Path(f"{module}.py"), getattr(sys.modules.get(module), "__file__", None)
    with suppress(OSError):  # its name is too long for a file's
        if here.exists() and not (imported and here.samefile(imported)):
            return f"; Python has another module of that name: rename {here}"
    return ""
