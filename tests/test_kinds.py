"""What a thing is, is a field or a type: nothing takes names, ids, reasons or labels of its own apart.

Text of others (files, /proc, a program's output, what a person typed) has to be taken apart somewhere: the
places are listed, each with its reason.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TAKE_APART = {
    "startswith", "endswith", "split", "rsplit", "partition", "rpartition", "removeprefix", "removesuffix",
}  # fmt: skip
TEXTS = {  # names of values in which a piece of text may not be looked for
    "arm", "entry", "error", "group", "id", "kind", "label", "message", "name", "operation", "reason",
    "sentence", "spec", "status", "text", "title", "variant", "what",
}  # fmt: skip
DEVICE = "a library's own id of a device, kind:number"
TYPED = "module:object, as a person typed it"
FOREIGN = {  # files that read what others wrote
    "api/functions.py": "puts an error of the command line into the words of Python",
    "workload/options.py": "what a person typed",
    "cli/main.py": "what a person typed",
    "cli/parser.py": "what a person typed",
    "gradients/edits.py": "the source of a function",
    "gradients/assignment.py": "names of Python's modules",
    "gradients/exact.py": "errors of a function, and names of NumPy's functions",
    "gradients/function.py": "errors of a function",
    "gradients/student.py": "names of Python's modules",
    "gradients/submission.py": "errors of a process",
    "machine/arrays.py": "names of an archive's members",
    "machine/audit.py": "environment variables, and what the system tells",
    "machine/child.py": "the lines that a process writes",
    "machine/devices.py": "the output of nvidia-smi",
    "machine/environ.py": "environment variables",
    "machine/errors.py": "names of Python's modules, and words that a person typed",
    "machine/host.py": "the output of git",
    "machine/libraries/library.py": "errors of a library, and names of its attributes",
    "machine/libraries/torch_library.py": "names of a library's attributes",
    "machine/lifeline.py": "an environment variable",
    "machine/linux.py": "/proc and /sys",
    "machine/terminal.py": "lines of a text that is printed",
    "records/formats/exports.py": "what the system and Python tell of themselves",
    "records/formats/foreign.py": "files of other tools",
    "records/results.py": "names of files",
    "records/saved.py": "the first bytes of a file",
    "records/sealed.py": "bytes of a line",
    "records/table.py": "cells that a spreadsheet would compute",
    "training/torch_names.py": "names of PyTorch's parameters",
    "workload/plugins.py": "entry points of packages",
    "workload/series.py": "a file of somebody's own",
}
PLACES = {  # single expressions of other files
    ("analysis/statistics.py", "contrasts.partition"): "numbers",
    ("analysis/statistics.py", "np.partition"): "numbers",
    ("cluster/part.py", "line.removeprefix"): "a line that a process printed",
    ("gradients/signs.py", "np.split"): "numbers",
    ("machine/wording.py", "printable(str(text)).split"): "white space",
    ("machine/wording.py", "sentence.partition"): "the first word, which may be a name",
    ("proof/tolerance.py", "device.partition"): DEVICE,
    ("records/training.py", "':' in spec"): TYPED,
    ("reporting/environment.py", "name.endswith"): "the unit in which the name of a fact ends",
    ("reporting/environment.py", "name.removesuffix"): "the unit in which the name of a fact ends",
    ("reporting/facts.py", "low.removesuffix"): "the sign of a share that was written the line before",
    ("reporting/page.py", "image.startswith"): "the first bytes of a picture",
    ("reporting/page.py", "name.endswith"): "the file of a template",
    ("reporting/page.py", "str(text).split"): "white space",
    ("reporting/sections/limits.py", "units.percent(limit).removesuffix"): "the sign of a share",
    ("training/setup.py", "device.partition"): DEVICE,
    ("workload/catalog.py", "device.partition"): DEVICE,
    ("workload/catalog.py", "self.cells[cell].target.partition"): TYPED,
    ("workload/catalog.py", "spec.partition"): TYPED,
    ("workload/catalog.py", "':' in plugin.name"): "an entry point's name, as somebody typed it",
    ("workload/catalog.py", "':' in spec"): TYPED,
    ("workload/catalog.py", "':' not in spec"): TYPED,
    ("workload/catalog.py", "'\\x00' in spec"): TYPED,
    ("workload/cell.py", "':' not in spec"): TYPED,
    ("workload/objects.py", "spec.partition"): TYPED,
    ("workload/objects.py", "spec.partition(':')[0].split"): TYPED,
    ("workload/peers/jax_scan.py", "jnp.split"): "numbers",
}


def taken_apart(source: str) -> Iterator[str]:
    """Yield the expressions that take a text apart, or look into it for another one."""
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in TAKE_APART
        ):
            yield ast.unparse(node.func)
        if (
            isinstance(node, ast.Compare)
            and isinstance(node.ops[0], ast.In | ast.NotIn)
            and isinstance(node.left, ast.Constant)
            and isinstance(node.left.value, str)
            and _last_name(node.comparators[0]) in TEXTS
        ):
            yield ast.unparse(node)


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def unlisted(file: str, source: str) -> list[str]:
    """Return what a file takes apart without a reason."""
    if file in FOREIGN:
        return []
    return [each for each in taken_apart(source) if (file, each) not in PLACES]


def test_no_kind_is_read_from_a_text() -> None:
    files = {path.relative_to(ROOT / "bench").as_posix(): path for path in (ROOT / "bench").rglob("*.py")}
    found = {name: unlisted(name, path.read_text(encoding="utf-8")) for name, path in files.items()}
    assert {name: each for name, each in found.items() if each} == {}
    assert FOREIGN.keys() <= files.keys()


@pytest.mark.parametrize(
    "mutant",
    [
        "is_twin = arm.id.endswith(' twin')",
        "left_out = [r for r in rows if 'left out' in row.reason]",
        "if 'signal' not in end.reason: pass",
        "best = next(h for h in headlines if h.name.startswith('best against best'))",
        "form = kernel.name.split()[1:]",
        "operation, _, form = name.partition(' ')",
    ],
)
def test_a_kind_that_is_read_from_a_text_is_noticed(mutant: str) -> None:
    assert unlisted("measure/plan.py", mutant)
    assert unlisted("machine/linux.py", mutant) == []
