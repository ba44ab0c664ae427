"""List the variants that installed packages offer: their entry points of the group ``rnnbench.variants``.

Only metadata is read here. A package's module is imported in child processes, as a user's variant is.
"""

import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, distributions

from bench.machine.wording import one_line

GROUP = "rnnbench.variants"


@dataclass(frozen=True, slots=True)
class Plugin:
    """Describe an entry point; its name is the name of the variant."""

    name: str
    target: str  # module:object
    package: str
    version: str

    @property
    def origin(self) -> str:
        """Return the package with its version."""
        return f"{self.package} {self.version}"


def installed() -> tuple[Plugin, ...]:
    """Return the entry points of all installed packages, sorted by name."""
    return _installed(tuple(sys.path))


@cache
def _installed(path: tuple[str, ...]) -> tuple[Plugin, ...]:
    """Search the folders of ``path``, each package only where it is found first, as an import does."""
    found: dict[str, list[Plugin]] = {}
    for distribution in distributions(path=list(path)):
        with suppress(UnicodeDecodeError):  # nothing shows that such a file is of a plug-in
            if GROUP in (distribution.read_text("entry_points.txt") or ""):
                package = one_line(distribution.metadata["Name"] or "(a package without a name)")
                found.setdefault(package, _read(distribution, package))
    return tuple(sorted((plugin for plugins in found.values() for plugin in plugins), key=lambda p: p.name))


def _read(distribution: Distribution, package: str) -> list[Plugin]:
    """Return the entry points of a package; a file that cannot be read gives one without a target."""
    version = one_line(distribution.metadata["Version"] or "(no version)")
    try:
        entries = [(entry.name, entry.value) for entry in distribution.entry_points if entry.group == GROUP]
    except Exception:  # Python raises various errors about a file that is not as it should be
        entries = [(package, "")]
    return [
        Plugin(one_line(name), value.partition("[")[0].strip(), package, version) for name, value in entries
    ]
