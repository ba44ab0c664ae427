"""Load and check the variants and libraries of users and of plug-ins, named ``module:object``.

The main process never imports the module of a user's variant or library, because this code may do anything
to its process. The main process starts a child that runs ``describe``. Workers, which are children
themselves, call ``load_variant``.
"""

import re
from collections.abc import Collection, Iterable
from itertools import islice
from typing import Any

from bench.machine.errors import UserError
from bench.machine.libraries import ACCELERATORS, LIBRARIES, Library, register
from bench.machine.wording import is_name, one_line
from bench.workload import catalog
from bench.workload.case import ACTIVATIONS, DEFAULT_CELL, DTYPES, LAYOUTS, STREAM, TASKS
from bench.workload.catalog import Implementation, Variant
from bench.workload.objects import load_object

ALLOWED_NAMES = {
    "devices": ("cpu", *ACCELERATORS),
    "tasks": (*TASKS, STREAM),
    "layouts": LAYOUTS,
    "dtypes": DTYPES,
    "activations": ACTIVATIONS,
}
BUILT_IN_LIBRARIES = tuple(LIBRARIES)  # these need no ``module:object``
COLOUR = re.compile("#[0-9a-fA-F]{6}")
MAX_NAME, MAX_SUMMARY = 60, 200  # characters
NAME = re.compile(rf"[^/\\]{{1,{MAX_NAME}}}")  # the name becomes part of file names


def load_variant(spec: str) -> Variant:
    """Return the catalogue's variant or peer of this name, or import that of a plug-in or ``module:object``.

    Raises:
        UserError: unknown name, module or object, a module that raises an error or exits, or an object
            without an attribute that a variant needs.
    """
    found = catalog.listed(spec)
    if isinstance(found, Variant):
        if found.peer:
            load_library(found.own_library)
        return found
    target = spec if found is None else found.target
    return load_object(target, "variant", lambda loaded: _check_variant(loaded, target))


def load_library(spec: str) -> Library:
    """Import the library ``module:object`` and register the library in this process.

    Raises:
        UserError: the library cannot be loaded, is no ``Library``, or has an invalid name, label or colour.
    """
    return register(load_object(spec, "library", lambda loaded: _check_library(loaded, spec)))


def _require(holds: object, spec: str, rule: str) -> None:
    """Raise UserError with ``spec`` and the broken ``rule``, unless ``holds`` is true."""
    if not holds:
        raise UserError(f"{spec!r}{rule}")


def _check_library(own: Any, spec: str) -> Library:
    """Return the object as a library, or raise UserError if the object is no valid library."""
    _require(isinstance(own, Library), spec, " is no library: it must be a bench.machine.libraries.Library")
    for name in (own.name, own.label):
        is_valid = isinstance(name, str) and NAME.fullmatch(name) and is_name(name)
        _require(is_valid, spec, f": name and label of a library must be names, not {_short(name)}")
    for colour in (own.colour, own.dark_colour):
        is_colour = isinstance(colour, str) and COLOUR.fullmatch(colour)
        _require(is_colour, spec, f": a colour must be written as #117733, not {_short(colour)}")
    library: Library = own
    return library


def _check_variant(own: Any, spec: str) -> Variant:
    """Make a variant from the object; reading the object's attributes may run more of the user's code."""
    missing = [attribute for attribute in ("name", "library", "bind") if not hasattr(own, attribute)]
    _require(not missing, spec, f" is no variant: it lacks {', '.join(missing)}")
    name, library_name, summary = own.name, own.library, getattr(own, "summary", "")
    cell = getattr(own, "cell", DEFAULT_CELL)
    _require(isinstance(name, str), spec, f": name must be text, not {_kind(name)}")
    is_valid_name = NAME.fullmatch(name) and name.isprintable() and name == name.strip()
    length_rule = f"1 to {MAX_NAME} visible characters"
    _require(is_valid_name, spec, f": name must be {length_rule}, no slash, not {_short(name)}")
    _require(catalog.by_name(name) is None, spec, f": the name {name!r} is taken; choose another")
    own_library = library_name if isinstance(library_name, str) and ":" in library_name else ""
    if own_library:
        library_name = load_library(own_library).name
    built_in = ", ".join(map(repr, BUILT_IN_LIBRARIES))
    is_built_in = isinstance(library_name, str) and library_name in BUILT_IN_LIBRARIES
    _require(
        own_library or is_built_in,
        spec,
        f": library must be {built_in} or module:object, not {_short(library_name)}",
    )
    _require(callable(own.bind), spec, f": bind must be a function, not {_kind(own.bind)}")
    _require(isinstance(summary, str), spec, f": summary must be text, not {_kind(summary)}")
    _require(isinstance(cell, str), spec, f": cell must be a name or module:object, not {_kind(cell)}")
    also = {name: getattr(own, name, False) for name in ("bias", "lengths")}
    for attribute, value in also.items():
        _require(isinstance(value, bool), spec, f": {attribute} must be True or False, not {_kind(value)}")
    optional: dict[str, Any] = {
        field: _check_names(getattr(own, field), field, allowed, spec)
        for field, allowed in ALLOWED_NAMES.items()
        if hasattr(own, field)
    }
    biases, lengths = ((False, True) if value else (False,) for value in also.values())
    optional |= {"biases": biases, "lengths": lengths, "own": True, "own_library": own_library}
    cells = {str(cell): Implementation(f"{spec}.bind")}
    return Variant(
        str(name), str(library_name), cells, summary and one_line(summary)[:MAX_SUMMARY], **optional
    )


def _check_names(value: str | Iterable[str], what: str, known: Collection[str], spec: str) -> tuple[str, ...]:
    """Return a name, or an iterable of names, as a tuple without duplicates.

    Raises:
        UserError: the value is not iterable, empty, or contains a name that is not in ``known``.
    """
    _require(isinstance(value, Iterable), spec, f": {what} must be a list of names, not {_kind(value)}")
    # a text is one name, not an iterable of letters
    names = (value,) if isinstance(value, str) else tuple(islice(value, len(known) + 1))
    for name in names or ("nothing",):
        is_allowed = isinstance(name, str) and name in known
        _require(is_allowed, spec, f": {what} must be of {', '.join(known)}, not {_short(name)}")
    return tuple(dict.fromkeys(map(str, names)))


def _kind(value: object) -> str:
    """Return the name of the value's type."""
    return type(value).__name__


def _short(value: object) -> str:
    """Return the value as text in one line, shortened if too long."""
    line = one_line(repr(value))
    return line if len(line) <= MAX_NAME else f"{line[:MAX_NAME]}... ({_kind(value)})"
