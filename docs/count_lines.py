"""Counts lines of code: no blank lines, comments or docstrings; templates without blank lines.

``python docs/count_lines.py [FOLDER]`` prints them by room, for the tree in FOLDER or here.
"""

import ast
import io
import sys
import tokenize
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("bench", "impl_numpy", "impl_torch", "rnnbench_pytest", "action", "tests")
TEMPLATES = (".j2", ".js", ".css")
NOT_CODE = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER,
}  # fmt: skip


def code_lines(text: str) -> int:
    """Return how many lines of a Python source hold code."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    lines: set[int] = set()
    for token in tokens:
        if token.type not in NOT_CODE:
            lines |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            lines -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def room(path: Path) -> str:
    """Return the room of a file: the folder below bench, else the package."""
    parts = path.parts
    return "/".join(parts[:2]) if parts[0] == "bench" and len(parts) > 2 else parts[0]


def count(root: Path) -> Counter[str]:
    """Return the lines of code below ``root``, by room; those of templates count to their room."""
    found: Counter[str] = Counter()
    for package in PACKAGES:
        for path in (root / package).rglob("*"):
            if path.suffix == ".py":
                found[room(path.relative_to(root))] += code_lines(path.read_text(encoding="utf-8"))
            elif path.suffix in TEMPLATES:
                lines = path.read_text(encoding="utf-8").splitlines()
                found[room(path.relative_to(root))] += sum(bool(line.strip()) for line in lines)
    return found


if __name__ == "__main__":
    counted = count(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
    tests = counted.pop("tests", 0)
    for name, lines in sorted(counted.items()):
        print(f"{lines:6} {name}")
    print(f"{sum(counted.values()):6} together; {tests} of tests")
