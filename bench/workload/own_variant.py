"""A variant of the user's own, ``module:object``: loaded and checked in a process that it may ruin.

The main process never imports a user's module: it asks a child that runs this one. Workers, which are
children themselves, call ``load_variant``.
"""

import os
import re
import sys
from collections.abc import Collection, Iterable
from contextlib import suppress
from itertools import islice
from typing import Any

import msgspec

from bench.machine.errors import UserError
from bench.machine.libraries import ACCELERATORS, LIBRARIES, Library, library, register
from bench.machine.lifeline import replies
from bench.machine.wording import is_name, one_line
from bench.workload import catalog
from bench.workload.case import ACTIVATIONS, DEFAULT_CELL, DTYPES, LAYOUTS, TASKS
from bench.workload.catalog import Description, Variant
from bench.workload.cell import find_cell
from bench.workload.own_object import load_object

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


def _checked_library(own: Any, spec: str) -> Library:
    if not isinstance(own, Library):
        raise UserError(f"{spec!r} is no library: it must be a bench.machine.libraries.Library")
    for name in (own.name, own.label):
        if not (isinstance(name, str) and NAME.fullmatch(name) and is_name(name)):
            raise UserError(f"{spec!r}: name and label of a library must be names, not {_short(name)}")
    for colour in (own.colour, own.dark_colour):
        if not (isinstance(colour, str) and COLOUR.fullmatch(colour)):
            raise UserError(f"{spec!r}: a colour must be written as #117733, not {_short(colour)}")
    return own


def _checked(own: Any, spec: str) -> Variant:
    """Make a variant of the object; reading its attributes may run more of the user's code."""
    missing = [needed for needed in ("name", "library", "bind") if not hasattr(own, needed)]
    if missing:
        raise UserError(f"{spec!r} is no variant: it lacks {', '.join(missing)}")
    name, uses, summary = own.name, own.library, getattr(own, "summary", "your own")
    if not isinstance(name, str):
        raise UserError(f"{spec!r}: name must be text, not {_kind(name)}")
    if not (NAME.fullmatch(name) and name.isprintable() and name == name.strip()):
        raise UserError(
            f"{spec!r}: name must be 1 to {LONGEST_NAME} visible characters, no slash, not {_short(name)}"
        )
    if any(variant.name == name for variant in catalog.VARIANTS):
        raise UserError(f"{spec!r}: the name {name!r} is taken; choose another")
    own_library = uses if isinstance(uses, str) and ":" in uses else ""
    if own_library:
        uses = load_library(own_library).name
    elif not (isinstance(uses, str) and uses in HOUSE_LIBRARIES):
        known = ", ".join(map(repr, HOUSE_LIBRARIES))
        raise UserError(f"{spec!r}: library must be {known} or module:object, not {_short(uses)}")
    if not callable(own.bind):
        raise UserError(f"{spec!r}: bind must be a function, not {_kind(own.bind)}")
    if not isinstance(summary, str):
        raise UserError(f"{spec!r}: summary must be text, not {_kind(summary)}")
    cell = getattr(own, "cell", DEFAULT_CELL)
    if not isinstance(cell, str):
        raise UserError(f"{spec!r}: cell must be a name or module:object, not {_kind(cell)}")
    find_cell(cell)
    limits: dict[str, Any] = {
        what: _names(getattr(own, what), what, known, spec)
        for what, known in LIMITS.items()
        if hasattr(own, what)
    }
    summary = one_line(summary)[:LONGEST_SUMMARY]
    return Variant(
        *(str(name), str(uses), f"{spec}.bind", summary),
        cell=cell,
        own=True,
        own_library=own_library,
        **limits,
    )


def _names(value: str | Iterable[str], what: str, known: Collection[str], spec: str) -> tuple[str, ...]:
    """Return one name or several as a tuple: in a bare string every part of a name would count as a name."""
    if not isinstance(value, Iterable):
        raise UserError(f"{spec!r}: {what} must be a list of names, not {_kind(value)}")
    several = (value,) if isinstance(value, str) else tuple(islice(value, len(known) + 1))
    for name in several or ("nothing",):
        if not (isinstance(name, str) and name in known):
            raise UserError(f"{spec!r}: {what} must be of {', '.join(known)}, not {_short(name)}")
    return tuple(dict.fromkeys(map(str, several)))


def _kind(value: object) -> str:
    return type(value).__name__


def _short(value: object) -> str:
    """Show whatever it is in one line."""
    line = one_line(repr(value))
    return line if len(line) <= LONGEST_NAME else f"{line[:LONGEST_NAME]}... ({_kind(value)})"


if __name__ == "__main__":
    main()
