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
    plugins: dict[str, list[Plugin]] = {}
    for distribution in distributions(path=list(path)):
        text = ""
        with suppress(OSError):  # nothing shows that such a file is of a plug-in
            try:
                text = distribution.read_text("entry_points.txt") or ""
            except UnicodeDecodeError as error:
                text = error.object.decode(errors="replace")
        if f"[{GROUP}" in text:
            package, offered = _read(distribution)
            plugins.setdefault(package, offered)
    return tuple(sorted((plugin for offered in plugins.values() for plugin in offered), key=lambda p: p.name))


def _read(distribution: Distribution) -> tuple[str, list[Plugin]]:
    """Return a package and its entry points; files that cannot be read give one without a target."""
    package, version, entries = "(a package without a name)", "(no version)", list[tuple[str, str]]()
    # Python raises various errors about a file that is not as it should be
    with suppress(Exception):
        package = one_line(distribution.metadata["Name"] or package)
        version = one_line(distribution.metadata["Version"] or version)
    with suppress(Exception):
        entries = [(entry.name, entry.value) for entry in distribution.entry_points if entry.group == GROUP]
    return package, [
        Plugin(one_line(name), value.partition("[")[0].strip(), package, version)
        for name, value in entries or [(package, "")]
    ]
