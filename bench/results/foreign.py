"""JSON files of other tools: read within limits, and told apart by what they hold.

They may be anybody's: no equal keys, no number that is none, no tree deeper than any such tool writes.
"""

from pathlib import Path
from typing import Any

from bench.errors import UserError
from bench.results import strict

MAX_BYTES = 2**28  # 256 MiB; a million values have a tenth of it
TOOLS = "pytest-benchmark or pyperf"
SHORTEST_S, LONGEST_S = 1e-12, 1e9  # of a call


def read_tree(path: Path) -> dict[str, Any]:
    """The JSON object that a file holds.

    Raises:
        UserError: it cannot be read, is too large, or no such JSON.
    """
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise UserError(f"{path} has {size / 2**20:.0f} MiB; files up to {MAX_BYTES >> 20} MiB are read")
        tree = strict.parse(path.read_bytes())
        strict.check_sizes(tree)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path} is no JSON file of {TOOLS}: {error}") from error
    if not isinstance(tree, dict):
        raise UserError(f"{path} is no JSON file of {TOOLS}: it is no object")
    return tree


def is_pyperf(tree: dict[str, Any]) -> bool:
    """Whether it looks like pyperf's: its benchmarks have runs, and there is no ``machine_info``."""
    benchmarks = tree.get("benchmarks")
    return (
        "machine_info" not in tree
        and isinstance(benchmarks, list)
        and all(isinstance(one, dict) and "runs" in one for one in benchmarks)
        and "version" in tree
    )


def is_time(seconds: float) -> bool:
    """Whether a call can have taken so long: a picosecond to thirty years."""
    return SHORTEST_S <= seconds <= LONGEST_S
