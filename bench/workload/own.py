"""What is of the user's own, ``module:object``: loaded and checked in a process that it may ruin.

The main process never imports the module of a variant or a library: it asks a child that runs this one.
Workers, which are children themselves, call ``load_variant``.
"""

import importlib
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from bench.machine.errors import UserError, describe_error, did_you_mean
from bench.machine.libraries import ACCELERATORS, LIBRARIES, Library, library, register
from bench.machine.lifeline import replies
from bench.machine.wording import is_name, one_line
from bench.workload import catalog
from bench.workload.case import ACTIVATIONS, DEFAULT_CELL, DTYPES, LAYOUTS, TASKS
from bench.workload.catalog import Description, Variant

T = TypeVar("T")
LIMITS = {
    "devices": ("cpu", *ACCELERATORS),
    "tasks": TASKS,
    "layouts": LAYOUTS,
    "dtypes": DTYPES,
    "activations": ACTIVATIONS,
}
HOUSE_LIBRARIES = tuple(LIBRARIES)  # those that need no declaration
COLOUR = re.compile("#[0-9a-fA-F]{6}")
LONGEST_NAME, LONGEST_SUMMARY = 60, 200  # characters
NAME = re.compile(rf"[^/\\]{{1,{LONGEST_NAME}}}")  # it becomes part of files' names


def main() -> None:
    """Describe the variant that the command line names, and wait to be ended with all its module started."""
    with replies() as send:
        try:
            variant = load_variant(sys.argv[1])
            own = library(variant.library)
            shown = (own.label, own.colour, own.dark_colour) if variant.own_library else None
            answer = Description(variant, shown)
        except UserError as error:
            answer = Description(error=str(error))
        send(msgspec.json.encode(answer))
    with suppress(OSError):  # its module may have closed it
        os.read(0, 1)
    os._exit(0)


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


def load_variant(spec: str) -> Variant:
    """Return the variant of a name in the catalogue, or of ``module:object``, whose module is imported here.

    Raises:
        UserError: unknown name, module or object, a module that raises or leaves, or an object without what
            a variant needs.
    """
    if (listed := catalog.listed(spec)) is not None:
        return listed
    return load_object(spec, "variant", lambda own: _checked(own, spec))


def load_library(spec: str) -> Library:
    """Import the library of ``module:object`` and add it to those of this process.

    Raises:
        UserError: it cannot be loaded, is no library, or cannot be shown.
    """
    return register(load_object(spec, "library", lambda own: _checked_library(own, spec)))


def _require(holds: object, spec: str, rule: str) -> None:
    """Raise UserError with the rule that an object of the user's own breaks."""
    if not holds:
        raise UserError(f"{spec!r}{rule}")


def _checked_library(own: Any, spec: str) -> Library:
    _require(isinstance(own, Library), spec, " is no library: it must be a bench.machine.libraries.Library")
    for name in (own.name, own.label):
        is_one = isinstance(name, str) and NAME.fullmatch(name) and is_name(name)
        _require(is_one, spec, f": name and label of a library must be names, not {_short(name)}")
    for colour in (own.colour, own.dark_colour):
        is_colour = isinstance(colour, str) and COLOUR.fullmatch(colour)
        _require(is_colour, spec, f": a colour must be written as #117733, not {_short(colour)}")
    library: Library = own
    return library


def _checked(own: Any, spec: str) -> Variant:
    """Make a variant of the object; reading its attributes may run more of the user's code."""
    missing = [needed for needed in ("name", "library", "bind") if not hasattr(own, needed)]
    _require(not missing, spec, f" is no variant: it lacks {', '.join(missing)}")
    name, uses, summary = own.name, own.library, getattr(own, "summary", "your own")
    cell = getattr(own, "cell", DEFAULT_CELL)
    _require(isinstance(name, str), spec, f": name must be text, not {_kind(name)}")
    visible = NAME.fullmatch(name) and name.isprintable() and name == name.strip()
    length = f"1 to {LONGEST_NAME} visible characters"
    _require(visible, spec, f": name must be {length}, no slash, not {_short(name)}")
    _require(catalog.by_name(name) is None, spec, f": the name {name!r} is taken; choose another")
    own_library = uses if isinstance(uses, str) and ":" in uses else ""
    if own_library:
        uses = load_library(own_library).name
    known, is_known = ", ".join(map(repr, HOUSE_LIBRARIES)), isinstance(uses, str) and uses in HOUSE_LIBRARIES
    _require(own_library or is_known, spec, f": library must be {known} or module:object, not {_short(uses)}")
    _require(callable(own.bind), spec, f": bind must be a function, not {_kind(own.bind)}")
    _require(isinstance(summary, str), spec, f": summary must be text, not {_kind(summary)}")
    _require(isinstance(cell, str), spec, f": cell must be a name or module:object, not {_kind(cell)}")
    optional: dict[str, Any] = {
        what: _names(getattr(own, what), what, known, spec)
        for what, known in LIMITS.items()
        if hasattr(own, what)
    }
    optional |= {"cell": cell, "own": True, "own_library": own_library}
    return Variant(str(name), str(uses), f"{spec}.bind", one_line(summary)[:LONGEST_SUMMARY], **optional)


def _names(value: str | Iterable[str], what: str, known: Collection[str], spec: str) -> tuple[str, ...]:
    """Return one name or several as a tuple: in a bare string every part of a name would count as a name."""
    _require(isinstance(value, Iterable), spec, f": {what} must be a list of names, not {_kind(value)}")
    several = (value,) if isinstance(value, str) else tuple(islice(value, len(known) + 1))
    for name in several or ("nothing",):
        is_one = isinstance(name, str) and name in known
        _require(is_one, spec, f": {what} must be of {', '.join(known)}, not {_short(name)}")
    return tuple(dict.fromkeys(map(str, several)))


def _kind(value: object) -> str:
    return type(value).__name__


def _short(value: object) -> str:
    """Show whatever it is in one line."""
    line = one_line(repr(value))
    return line if len(line) <= LONGEST_NAME else f"{line[:LONGEST_NAME]}... ({_kind(value)})"


if __name__ == "__main__":
    main()
