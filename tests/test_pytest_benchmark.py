"""``pytest --benchmark`` as a whole: what it times and writes, and that who disagrees has no time."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

TASKS = ("train_step", "gradient", "forward")
ROOT = Path(__file__).parents[1]
EXTRA_INFO = {
    "variant", "library", "device", "cell", "bias", "task", "layout", "dtype", "shape", "threads", "errors",
    "known_wrong",
}  # fmt: skip

BROKEN = '''
"""Variants that are wrong: one from the start, one only after it has been proved."""

from impl_numpy.contract import Bound
from impl_numpy.contract import rnn_batched as batched


class Early:
    name, library, tasks = "own-early", "numpy", ["gradient"]

    @staticmethod
    def bind(task, *arrays, **options):
        bound = batched(task, *arrays, **options)
        return Bound(bound.call, bound.reset, lambda: bound.result() | {"dW": 1.01 * bound.result()["dW"]})


class Late:
    name, library, tasks = "own-late", "numpy", ["forward"]

    @staticmethod
    def bind(task, *arrays, **options):
        bound, calls = batched(task, *arrays, **options), []

        def call():
            bound.call()
            calls.append(1)

        def result():
            return {"y_hat": (1.01 if len(calls) > 10 else 1) * bound.result()["y_hat"]}

        return Bound(call, bound.reset, result)
'''


def run_pytest(*args: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """pytest on this project, with ``args``, in a process of its own."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *args],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=inherited | environ,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """One run that times right, wrong and later wrong variants, with what it printed and saved."""
    folder = tmp_path_factory.mktemp("benchmark")
    (folder / "broken.py").write_text(BROKEN)
    variants = ("numpy-batched", "numpy-published", "torch-manual", "broken:Early", "broken:Late")
    child = run_pytest(
        "tests/benchmarks",
        f"--benchmark-json={folder / 'out.json'}",  # implies --benchmark
        "--benchmark-max-time=0.02",
        *(f"--benchmark-variant={variant}" for variant in variants),
        PYTHONPATH=str(folder),
        OPENBLAS_L2_SIZE="512",
    )
    assert (folder / "out.json").exists(), child.stdout + child.stderr
    saved = json.loads((folder / "out.json").read_text())
    entries = {(one["extra_info"]["variant"], one["group"]): one for one in saved["benchmarks"]}
    return SimpleNamespace(child=child, printed=child.stdout, entries=entries, saved=saved)


def test_every_variant_is_timed_on_every_task_and_extra_info_says_what_it_was(
    finished: SimpleNamespace,
) -> None:
    right = ("numpy-batched", "numpy-published", "torch-manual")
    assert set(finished.entries) == {(variant, task) for variant in right for task in TASKS}
    assert len(finished.saved["benchmarks"]) == 9
    for (variant, _), one in finished.entries.items():
        assert one["stats"]["min"] > 0
        assert set(one["extra_info"]) == EXTRA_INFO
        wrong = variant == "numpy-published"
        assert ("known wrong gradient" in one["name"], one["extra_info"]["known_wrong"]) == (wrong, wrong)
    assert "numpy-published (known wrong gradient)-cpu" in finished.printed
    info = finished.entries["torch-manual", "train_step"]["extra_info"]
    assert info["errors"].pop("update W") < 1e-5
    assert set(info.pop("errors")) >= {"loss", "update U", "update V"}
    assert info == {
        "variant": "torch-manual", "library": "torch", "device": "cpu", "cell": "rnn", "bias": False,
        "task": "train_step",
        "layout": "positional", "dtype": "float32", "shape": {"T": 6, "B": 128, "I": 6, "H": 32, "O": 8},
        "threads": 1, "known_wrong": False,
    }  # fmt: skip
    assert finished.entries["numpy-batched", "forward"]["extra_info"]["threads"] in (1, None)


def test_a_variant_that_disagrees_fails_and_has_no_time(finished: SimpleNamespace) -> None:
    assert finished.child.returncode == 1
    assert "own-early disagrees with the reference: dW: error 0.01" in finished.printed
    assert "own-late disagrees with the reference: y_hat: error 0.01" in finished.printed
    assert "2 failed, 9 passed, 4 skipped" in finished.printed  # skipped: what they do not support
    table = finished.printed.partition("Name (time in")[2].partition("short test summary")[0]
    assert "numpy-batched" in table
    assert "own-" not in table


def test_machine_info_and_header_name_libraries_and_kernel(finished: SimpleNamespace) -> None:
    info = finished.saved["machine_info"]
    assert info["threads"] == 1
    assert {"numpy", "torch", "blas", "blas_version", "blas_kernel"} <= set(info)
    for told in (f"NumPy {info['numpy']} on {info['blas']}", f"kernel {info['blas_kernel']}",
                 "WARNING: ", "OPENBLAS_L2_SIZE=512"):  # fmt: skip
        assert told in finished.printed


def test_plain_pytest_does_not_look_at_the_benchmarks() -> None:
    ignored = [f"--ignore-glob={ROOT}/tests/test_*", "--ignore=tests/acceptance", "--ignore=tests/faults"]
    plain = run_pytest("--collect-only", "-q", *ignored)
    assert plain.returncode == pytest.ExitCode.NO_TESTS_COLLECTED
    assert "wall_clock" not in plain.stdout
    options = ("--benchmark", "--benchmark-variant=numpy-batched", "--benchmark-cell=gru")
    asked = run_pytest("--collect-only", "-q", *ignored, *options)
    assert "test_wall_clock[gru-forward-numpy-batched-cpu]" in asked.stdout


def test_benchmarks_asked_for_by_path_alone_say_what_is_missing() -> None:
    child = run_pytest("tests/benchmarks/test_wall_clock.py")
    assert child.returncode == pytest.ExitCode.USAGE_ERROR
    assert "pytest --benchmark tests/benchmarks/test_wall_clock.py" in child.stderr


def test_benchmark_skip_wins_and_disable_proves_without_timing() -> None:
    options = ("tests/benchmarks", "--benchmark", "--benchmark-variant=numpy-batched")
    skipped = run_pytest(*options, "--benchmark-skip", "--benchmark-json=never-written.json").stdout
    assert "3 skipped" in skipped
    assert not (ROOT / "never-written.json").exists()
    disabled = run_pytest(*options, "--benchmark-disable").stdout
    assert "3 passed" in disabled
    assert "Name (time in" not in disabled
