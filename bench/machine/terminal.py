"""Print for people: a terminal gets lines of its width, a file or a pipe gets them whole.

Colours are rich's, which obeys NO_COLOR. FORCE_COLOR colours a file, but does not make a terminal of it: bars
that are drawn again and again and lines that are cut stay where somebody watches.
"""

import json
import os
import shutil
import sys
from textwrap import fill
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

FILE_WIDTH = 200  # columns of a table in a file without COLUMNS, enough that no cell is cut short
MIN_WIDTH = 60  # of a terminal; a narrower table shows nothing, for example with COLUMNS=0


def console(*, stderr: bool = False) -> "Console":
    """Return a console for standard output or error."""
    from rich.console import Console

    forced: dict[str, Any] = {}
    if os.environ.get("FORCE_COLOR") and not (sys.stderr if stderr else sys.stdout).isatty():
        forced = {"force_terminal": False, "color_system": "standard"}
    console = Console(stderr=stderr, highlight=False, emoji=False, **forced)
    asked_for = console.is_terminal or "COLUMNS" in os.environ
    console.width = max(console.width, MIN_WIDTH) if asked_for else FILE_WIDTH
    return console


def print_json(tree: Any) -> None:
    """Print plain objects as JSON, which has no number that is not finite."""
    print(json.dumps(tree, indent=2, allow_nan=False))


def say(text: str, *, stderr: bool = False) -> None:
    """Print a text without markup; on a terminal its lines are broken between words."""
    stream = sys.stderr if stderr else sys.stdout
    if stream.isatty():
        width = max(shutil.get_terminal_size().columns, MIN_WIDTH)
        lines = text.split("\n")
        text = "\n".join(fill(line, width, break_long_words=False, break_on_hyphens=False) for line in lines)
    print(text, file=stream, flush=stderr)
