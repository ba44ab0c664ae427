"""What CONTRIBUTING says of adding a variant, done to a copy of the project: tests and checks stay green."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```", TEXT, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for block in found]


TEMPLATE, *_ = blocks("python")
LINE = next(line for line in TEXT.splitlines() if line.strip().startswith('Variant("numpy-mine"'))
# what may be the only thing that somebody's variant does
NARROW = (
    'tasks=("forward",), layouts=("sequence",), dtypes=("float32",), activations=("sigmoid",), '
    "biases=(False,)"
)
OF_THE_CATALOGUE = (
    "test_agreement.py", "test_catalog.py", "test_counts.py", "test_benchmark_plugin.py", "test_findings.py",
    "test_toolchain.py",
)  # fmt: skip
# of these files, what looks at all variants, and at the new ones one by one
PICKED = (
    "numpy-mine or numpy-narrow or names_are or on_the_cpu_alone or lists_the_catalogue or "
    "words_of_the_case or formulas_are_of or one_benchmark or only_what_compiles or "
    "(stay_together and rnn and tanh)"
)
UNTYPED = """
from impl_numpy.rnn import predict


class Bound:
    pass


def bind(task, params, x, y, *, activation, delta, lr):
    if task != "forward":
        raise ValueError(task)
    bound, last = Bound(), {}

    def call():
        last["y_hat"] = predict(params, x, activation=activation)

    bound.call, bound.reset, bound.result = call, lambda: None, lambda: last
    return bound
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The project with two variants more: the template's as it stands, and a narrow one without a type."""
    folder = tmp_path_factory.mktemp("project")
    ignored = shutil.ignore_patterns("__pycache__", "images", "data", "acceptance", "faults")
    for name in ("impl_numpy", "impl_torch", "bench", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in ("pyproject.toml", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, folder)
    (folder / "impl_numpy" / "mine.py").write_text(TEMPLATE)
    (folder / "impl_numpy" / "narrow.py").write_text(f'"""Variant numpy-narrow."""\n{UNTYPED}')
    narrow = (
        f'    Variant("numpy-narrow", "numpy", _rnn("impl_numpy.narrow:bind"), "forward alone", {NARROW}),'
    )
    catalogue = folder / "bench" / "workload" / "catalog.py"
    before, last = catalogue.read_text().split("# fmt: on")
    catalogue.write_text(
        f"{before.rstrip().removesuffix(')')}    {LINE.strip()}\n{narrow}  # noqa: E501\n)\n# fmt: on{last}"
    )
    return folder


def within(folder, *command):
    """What a command says in the copy, whose packages go before the installed ones."""
    environment = os.environ | {"PYTHONPATH": str(folder)}
    ended = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env=environment, capture_output=True, text=True
    )
    return ended.returncode, ended.stdout + ended.stderr


def test_the_tests_that_go_through_the_catalogue_stay_green_and_prove_the_new_variants(copy):
    files = [f"tests/{name}" for name in OF_THE_CATALOGUE]
    code, said = within(copy, "pytest", "-v", "-p", "no:cacheprovider", "-k", PICKED, *files)
    assert code == 0, said
    assert re.search(r"agrees_with_the_reference\[numpy-mine rnn float64\] PASSED", said)
    assert re.search(r"agrees_with_the_reference\[numpy-narrow rnn float32\] PASSED", said)


CHECKED = ("impl_numpy", "bench/workload/catalog.py", "CONTRIBUTING.md")


@pytest.mark.parametrize(
    "command",
    [
        ("ruff", "check", *CHECKED),
        ("ruff", "format", "--check", *CHECKED),
        ("mypy", "--cache-dir", "cache", "-m", "impl_numpy.mine", "-m", "impl_numpy.narrow"),
    ],
    ids=["rules", "format", "types"],
)
def test_ruff_and_mypy_find_nothing_in_it_typed_or_not(copy, command):
    pytest.importorskip(command[0])
    code, output = within(copy, *command)
    assert code == 0, output


def test_params_are_a_dict_and_it_is_said():
    assert "`params` is a dict" in TEXT
