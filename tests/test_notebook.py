"""docs/notebook.ipynb does what it shows: it is run again, and gives outputs of the same kinds.

``python tests/test_notebook.py`` runs it and keeps its new outputs.
"""

import copy
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "docs" / "notebook.ipynb"
QUICKER = """
from bench.api import run
from bench.api import verify as verb
from bench.machine.devices import find_cpu
from bench.proof import verify

listed, shape = verify.agreement_cases, verify.agreement_cases()[-1].shape
verify.agreement_cases = lambda *asked: [case for case in listed(*asked) if case.shape == shape]
first = verify.reference_cases()[:1]
verify.reference_cases = lambda cell: first
verb.find_devices = run.find_devices = find_cpu
"""  # what the kernel begins with in a test: it is shown what verify says, not proved anew
CELL_SECONDS = 120  # for the slowest machine; the whole takes a quarter of it

Notebook = nbformat.NotebookNode


def executed(notebook: Notebook, folder: Path) -> Notebook:
    """A copy, run in a fresh kernel that stands in ``folder``, without outputs that show nothing any more."""
    fresh = copy.deepcopy(notebook)
    stands_in = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(fresh, timeout=CELL_SECONDS, record_timing=False, resources=stands_in).execute()
    for cell in fresh.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not is_empty(output)]
    return fresh


def is_empty(output: Notebook) -> bool:
    """Whether it shows nothing, or only how busy this machine happened to be."""
    busy = re.fullmatch(r"(rnnbench: the machine is busy: .*\n)+", output.get("text", ""))
    return bool(busy) or output.get("data") == {"text/plain": ""}


def kinds(notebook: Notebook) -> list[list[tuple[str, ...]]]:
    """For every code cell what its outputs are, whatever is in them."""

    def kind(output: Notebook) -> tuple[str, ...]:
        return output.output_type, *sorted(output.get("data", {})), output.get("name", "")

    return [list(map(kind, cell.outputs)) for cell in notebook.cells if cell.cell_type == "code"]


def texts(notebook: Notebook) -> Iterator[str]:
    """All text in outputs."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            yield output.get("text", "")
            yield from (text for kind, text in output.get("data", {}).items() if not kind.startswith("image"))


def paths_of_a_machine(text: str) -> list[str]:
    return re.findall(r"(?<![\w.<])/(?:home|root|Users|tmp|work|usr|opt|var)\b\S*|[A-Z]:\\\S+", text)


@pytest.fixture(scope="module")
def saved() -> Notebook:
    return nbformat.read(NOTEBOOK, as_version=4)


def test_it_runs_and_its_outputs_are_of_the_kinds_that_are_saved(saved, tmp_path, monkeypatch):
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    startup = tmp_path / "IPYTHONDIR" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "quicker.py").write_text(QUICKER)
    assert kinds(executed(saved, tmp_path)) == kinds(saved)


def test_every_cell_was_run_in_order_none_failed_and_all_forms_of_results_are_there(saved):
    code = [cell for cell in saved.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    shown = {mime for cell in kinds(saved) for kind in cell for mime in kind}
    assert {"text/plain", "text/html", "image/png"} <= shown
    assert not shown & {"error", "stderr"}


def test_no_path_of_a_machine_is_in_it(saved):
    assert [found for text in texts(saved) for found in paths_of_a_machine(text)] == []
    assert paths_of_a_machine("wrote /home/me/results") == ["/home/me/results"]
    assert paths_of_a_machine("PosixPath('results/x/report.html'), 3/4, <br/>") == []


def test_another_kind_of_output_is_noticed(saved):
    changed = copy.deepcopy(saved)
    next(cell for cell in changed.cells if cell.get("outputs")).outputs.pop()
    assert kinds(changed) != kinds(saved)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        os.environ["IPYTHONDIR"] = name
        nbformat.write(executed(nbformat.read(NOTEBOOK, as_version=4), Path(name)), NOTEBOOK)
