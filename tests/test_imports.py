"""Imports run one way and cost no more than needed: what loads what."""

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("impl_numpy", "impl_torch", "bench")
ROOMS = (  # each imports only those before it
    "machine", "workload", "records", "proof", "gradients", "analysis", "measure", "training", "cluster",
    "reporting", "api", "cli",
)  # fmt: skip
DOORS = ("bench", "bench.__main__")  # all that stands beside the rooms
HEAVY = {"pandas", "matplotlib", "scipy"}
NAMING_CODE = {f"bench.workload.{name}" for name in ("catalog", "rnn", "gru", "lstm")}  # that is timed

Sources = dict[str, str]  # module -> its text
parse = cache(ast.parse)


def read_sources() -> Sources:
    """Every module of the three packages."""
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return {module_name(path): path.read_text(encoding="utf-8") for path in paths}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(text: str, modules: Sources) -> Iterator[str]:
    """The modules a text imports, inside functions too; ``from package import module`` counts as module."""
    for node in ast.walk(parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written in full"
            origin = node.module or ""
            for alias in node.names:
                inner = f"{origin}.{alias.name}"
                yield inner if inner in modules else origin


def names_in_strings(text: str) -> Iterator[str]:
    """Strings that the code uses, docstrings left out."""
    tree = parse(text)
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value


def wrong_way(sources: Sources) -> list[str]:
    """Imports against the direction: impl_* know only themselves; the catalogue and its cells know them."""
    found = []
    for module, text in sources.items():
        package = module.partition(".")[0]
        others = {name.partition(".")[0] for name in imported(text, sources)}
        if package != "bench":
            found += [f"{module} imports {other}" for other in PACKAGES if other in others - {package}]
        elif module not in NAMING_CODE:
            named = others | {name.partition(".")[0] for name in names_in_strings(text)}
            found += [f"{module} names {other}" for other in PACKAGES[:2] if other in named]
    return found


def room_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "bench" and module not in DOORS else None


def upward(sources: Sources) -> list[str]:
    """Imports of a later room, and modules that stand in no room."""
    found = [f"{module} is in no room" for module in sources if room_of(module) not in (None, *ROOMS)]
    for module, text in sources.items():
        here = room_of(module)
        for name in imported(text, sources):
            there = room_of(name)
            if here in ROOMS and there in ROOMS and ROOMS.index(there) > ROOMS.index(here):
                found.append(f"{module} imports {name}")
    return found


def cycle(sources: Sources) -> list[str]:
    """One import cycle, or nothing; ``bench`` itself names the API for type checkers alone."""
    graph = {module: set(imported(text, sources)) & set(sources) for module, text in sources.items()}
    graph.pop("bench", None)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def loaded_by(*modules: str) -> set[str]:
    """Every module that a fresh interpreter has loaded after importing ``modules``."""
    code = f"import {', '.join(modules)}, sys; print(*sys.modules)"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(child.stdout.split())


def modules_of(package: str) -> list[str]:
    return [module for module in read_sources() if module.partition(".")[0] == package]


def test_imports_run_one_way() -> None:
    assert wrong_way(read_sources()) == []


def test_every_room_imports_only_those_before_it() -> None:
    assert upward(read_sources()) == []


@pytest.mark.parametrize(
    ("module", "text", "said"),
    [
        (
            "bench.machine.host",
            "from bench.measure import clock",
            "bench.machine.host imports bench.measure.clock",
        ),
        (
            "bench.training.result",
            "def f():\n    from bench.reporting.words import listing",
            "bench.training.result imports bench.reporting.words",
        ),
        ("bench.loose", "", "bench.loose is in no room"),
    ],
)
def test_an_import_of_a_later_room_is_noticed(module: str, text: str, said: str) -> None:
    assert upward({module: text, "bench.measure.clock": "", "bench.reporting.words": ""}) == [said]


def test_no_imports_go_round_in_a_circle() -> None:
    assert cycle(read_sources()) == []


@pytest.mark.parametrize(
    ("module", "text", "said"),
    [
        ("impl_numpy.new", "import bench.workload.data", "impl_numpy.new imports bench"),
        ("impl_numpy.new", "from bench import data", "impl_numpy.new imports bench"),
        ("impl_torch.new", "def f():\n    import impl_numpy.rnn", "impl_torch.new imports impl_numpy"),
        ("bench.new", "from impl_torch import rnn", "bench.new names impl_torch"),
        ("bench.new", "importlib.import_module('impl_numpy.rnn')", "bench.new names impl_numpy"),
    ],
)  # fmt: skip
def test_an_import_the_wrong_way_is_noticed(module: str, text: str, said: str) -> None:
    assert wrong_way({module: text, "bench.workload.data": ""}) == [said]


def test_a_word_in_a_docstring_is_no_import() -> None:
    assert wrong_way({"bench.new": '"""impl_numpy is mentioned here."""'}) == []


def test_a_circle_is_noticed() -> None:
    sources = {"bench.a": "from bench import b", "bench.b": "def f():\n    import bench.c", "bench.c": ""}
    assert cycle(sources) == []
    sources["bench.c"] = "from bench.a import x"
    assert set(cycle(sources)) == {"bench.a", "bench.b", "bench.c"}


def test_the_numpy_side_loads_neither_torch_nor_the_harness() -> None:
    loaded = loaded_by(*modules_of("impl_numpy"))
    assert not loaded & ({"torch", "bench", "impl_torch"} | HEAVY)
    assert "numpy" in loaded


def test_the_torch_side_loads_neither_the_numpy_side_nor_the_harness() -> None:
    loaded = loaded_by(*modules_of("impl_torch"))
    assert not loaded & ({"bench", "impl_numpy"} | HEAVY)
    assert "torch" in loaded


def test_the_command_line_starts_without_any_library() -> None:
    loaded = loaded_by("bench", "bench.cli.main")
    third_party = {name for name in top_level(loaded) if name not in sys.stdlib_module_names}
    assert third_party <= top_level(loaded_by("sys")) | {"bench"}


def test_a_worker_starts_without_torch_and_the_reports_libraries() -> None:
    loaded = loaded_by("bench.measure.worker", "bench.machine.devices", "bench.machine.libraries")
    assert not loaded & ({"torch", "jinja2", "rich"} | HEAVY)
    assert "bench.machine.clock" in loaded


def test_an_answer_of_two_sentences_loads_nothing_that_draws() -> None:
    assert not loaded_by("bench.api.advise") & {"torch", "jinja2", "matplotlib", "pandas"}


def test_no_module_of_the_harness_loads_torch_by_being_imported() -> None:
    modules = [module for module in modules_of("bench") if not module.endswith("__main__")]
    assert "torch" not in loaded_by(*modules)


@pytest.mark.parametrize("module", ["bench.machine.clock", "bench.machine.probe", "bench.machine.environ"])
def test_what_must_stay_light_needs_the_standard_library_alone(module: str) -> None:
    loaded = top_level(loaded_by(module)) - top_level(loaded_by("sys"))
    assert loaded <= {"bench", *sys.stdlib_module_names}


def top_level(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}
