"""The page of measured rates: what the acceptance tests promise, and what they found.

``docs/validity.json`` holds one row a claim, as the last run of its test wrote it, and ``docs/validity.md``
is drawn from that file alone (validity_page.py). A row stays until its test runs again, or a person takes it
out. Of every file of tests it holds how its last whole run ended, and of which source that was: run as a
program, this module names the files without such a run of their present source, and `make check` fails.
"""

import ast
import hashlib
import importlib.metadata
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from acceptance.validity_page import Data, order, render

from bench.machine import host

JSON_NAME, PAGE_NAME = "validity.json", "validity.md"
KINDS = ("rows", "tables", "checks")
ENDS = ("passed", "failed", "skipped")
TESTS = Path(__file__).parent
KEY = re.compile(r"[A-Z]+[0-9]*(-[A-Za-z0-9._]+)*")


class Validity:
    """The rows and tables in one folder; every call is on the disk before it returns."""

    def __init__(self, folder: Path, date: str, facts: dict[str, Any] | None = None) -> None:
        """``date`` as YYYY-MM-DD in UTC; ``facts`` about the machine, found out where they are not given."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.date = folder, date
        self.facts = describe_machine() if facts is None else facts

    def record(
        self, key: str, *, claim: str, promised: str, measured: str, kept: bool, seconds: float
    ) -> None:
        """Write one row, in place of an older one of that key."""
        assert KEY.fullmatch(key), f"{key!r} is no key: T5, T5-mutant, SPEED-journal"
        row = {"claim": claim, "promised": promised, "measured": measured, "kept": bool(kept)}
        self._put("rows", key, row | {"seconds": round(seconds, 1)})

    def table(
        self, key: str, title: str, text: str, header: Sequence[str], rows: Iterable[Sequence[object]]
    ) -> None:
        """Write one table of its own, in place of an older one of that key; ``text`` stands above it."""
        cells = [[str(cell) for cell in row] for row in rows]
        assert all(len(row) == len(header) for row in cells), f"{key}: rows as long as the header"
        self._put("tables", key, {"title": title, "text": text, "header": [*header], "rows": cells})

    def checks(self, file: Path, outcomes: dict[str, str]) -> None:
        """Write how the tests of a file ended, in place of its run before."""
        names = {end: sorted(name for name in outcomes if outcomes[name] == end) for end in ENDS}
        ended = names | {"passed": len(names["passed"])}
        self._put("checks", file.name, {"source": digest(file)} | ended)

    def write_page(self) -> None:
        """Draw the page anew."""
        write_atomically(self.folder / PAGE_NAME, render(load(self.folder)))

    def _put(self, kind: str, key: str, entry: Data) -> None:
        data = load(self.folder)
        if self.facts not in data["machines"]:
            data["machines"].append(self.facts)
        where = data["machines"].index(self.facts)
        data[kind][key] = entry | {"date": self.date, "machine": where}
        write_atomically(self.folder / JSON_NAME, dump(data))


class Recorder:
    """What a test sees of the page. It records before it asserts, so that a broken promise is written too."""

    def __init__(self, page: Validity) -> None:
        self._page = page
        self._started = time.perf_counter()

    def record(self, key: str, *, claim: str, promised: str, measured: str, kept: bool) -> None:
        """One row: a claim, the figure promised for it, the figure measured, and whether they agree."""
        seconds = time.perf_counter() - self._started
        print(f"{key}: {claim}\n    {'kept' if kept else 'NOT KEPT'}: {measured} (promised: {promised})")
        self._page.record(key, claim=claim, promised=promised, measured=measured, kept=kept, seconds=seconds)

    def table(
        self, key: str, title: str, text: str, header: Sequence[str], rows: Sequence[Sequence[object]]
    ) -> None:
        """A table of its own, under a title and a line or two of text."""
        self._page.table(key, title, text, header, rows)


def describe_machine() -> dict[str, Any]:
    """What the figures depend on most; nothing in it names a host."""
    known = host.describe()
    found = {name: known[name] for name in ("processor", "cpus", "usable_cpus", "system", "python")}
    if known.get("family"):  # processors of one name may be years apart
        found["processor"] += f" (family {known['family']}, model {known['model']})"
    return found | {name: importlib.metadata.version(name) for name in ("numpy", "torch")}


def digest(file: Path) -> str:
    """Return a digest of what a source does: its comments, docstrings and lay-out do not count."""
    code = _WithoutTexts().visit(ast.parse(file.read_text(encoding="utf-8")))
    return hashlib.sha256(ast.dump(code).encode()).hexdigest()[:16]


class _WithoutTexts(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        return None if isinstance(node.value, ast.Constant) else node


def not_run_since(folder: Path, tests: Path = TESTS) -> list[str]:
    """Return the files of tests of which ``folder`` holds no whole run, or one of another source."""
    sources = {name: entry["source"] for name, entry in load(folder)["checks"].items()}
    files = sorted(tests.glob("test_*.py"))
    return [file.name for file in files if sources.get(file.name) != digest(file)]


def load(folder: Path) -> Data:
    """What is written there so far."""
    path = folder / JSON_NAME
    if not path.exists():
        return {"machines": [], "rows": {}, "tables": {}, "checks": {}}
    data: Data = json.loads(path.read_text(encoding="utf-8"))
    return data


def dump(data: Data) -> str:
    """The file's text: rows in the page's order, machines that no row names any more left out."""
    entries = [entry for kind in KINDS for entry in data[kind].values()]
    used = sorted({entry["machine"] for entry in entries})
    kept: Data = {"machines": [data["machines"][number] for number in used]}
    for kind in KINDS:
        kept[kind] = {
            key: data[kind][key] | {"machine": used.index(data[kind][key]["machine"])}
            for key in sorted(data[kind], key=order)
        }
    return json.dumps(kept, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def write_atomically(path: Path, text: str) -> None:
    """The old text or the new one, whatever happens."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


if __name__ == "__main__":
    if names := not_run_since(TESTS.parents[1] / "docs"):
        sys.exit(
            f"not run since they were changed: {', '.join(names)} in tests/acceptance; "
            "`make acceptance` runs them all, pytest -s tests/acceptance/NAME one of them"
        )
