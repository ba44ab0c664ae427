"""A worker gets an allow-list, thread limits, and a record of everything that was dropped."""

import os
import site
from pathlib import Path

import msgspec
import pytest

from bench.machine import environ, host
from bench.machine.audit import warnings
from bench.machine.environ import HIDDEN, KEEPS_MEMORY, THREAD_LIMITS, worker_environment
from bench.records.record import Environment

BASE = {
    "PATH": "/bin", "HOME": "/home/me", "LC_NUMERIC": "C", "SECRET_TOKEN": "no business of a worker",
    "OPENBLAS_CORETYPE": "Haswell", "MALLOC_ARENA_MAX": "1", "PYTHONPATH": "/mine",
    "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "64", "CUDA_VISIBLE_DEVICES": "1",
    "CUDA_LAUNCH_BLOCKING": "1", "ZE_AFFINITY_MASK": "0",
}  # fmt: skip
ADDED = {"PYTHONUTF8", "RNNBENCH_PADDING", *THREAD_LIMITS, *KEEPS_MEMORY}


def test_what_is_not_allowed_does_not_get_through():
    variables = worker_environment(1, base=BASE).variables
    passed = {"PATH", "HOME", "LC_NUMERIC", "PYTHONPATH", "CUDA_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"}
    assert set(variables) == passed | ADDED
    assert all(variables[name] == BASE[name] for name in passed)


@pytest.mark.parametrize("threads", [1, 16])
def test_every_thread_limit_is_set_and_what_bears_on_speed_is_on_record(threads):
    environment = worker_environment(threads, base=BASE)
    assert environment.set == dict.fromkeys(THREAD_LIMITS, str(threads)) | KEEPS_MEMORY
    assert environment.set.items() <= environment.variables.items()
    dropped = ("CUDA_LAUNCH_BLOCKING", "MALLOC_ARENA_MAX", "OPENBLAS_CORETYPE", "PYTHONDONTWRITEBYTECODE")
    assert environment.dropped == {name: BASE[name] for name in dropped}
    assert environment.kept == {"CUDA_VISIBLE_DEVICES": "1", "PYTHONPATH": "/mine"}


def test_a_variable_can_be_kept_even_a_thread_limit():
    environment = worker_environment(2, keep=["OPENBLAS_CORETYPE", "OMP_NUM_THREADS"], base=BASE)
    assert environment.variables["OPENBLAS_CORETYPE"] == "Haswell"
    assert environment.variables["OMP_NUM_THREADS"] == "64"
    assert environment.variables["OPENBLAS_NUM_THREADS"] == "2"
    assert "OPENBLAS_CORETYPE" in environment.kept
    assert "OPENBLAS_CORETYPE" not in environment.dropped


def test_a_variable_to_keep_that_is_not_set_stays_unset():
    """So that the system's own way with freed memory is had by keeping its variables."""
    name, other = KEEPS_MEMORY
    environment = worker_environment(1, keep=["OPENBLAS_CORETYPE", name, other], base={other: "7"})
    assert set(environment.variables) == ADDED - {name}
    assert (environment.variables[other], environment.kept) == ("7", {other: "7"})
    assert environment.dropped == {}


def test_padding_has_a_random_length_so_that_no_stack_layout_is_measured_every_time():
    lengths = {len(worker_environment(1, base={}).variables["RNNBENCH_PADDING"]) for _ in range(50)}
    assert len(lengths) > 10
    assert max(lengths) < 4096


def test_the_callers_own_environment_is_the_default_and_is_left_alone(monkeypatch):
    monkeypatch.setenv("OPENBLAS_L2_SIZE", "512")
    before = dict(os.environ)
    assert worker_environment(1).dropped["OPENBLAS_L2_SIZE"] == "512"
    assert dict(os.environ) == before


def test_compiled_code_is_kept_in_the_folder_of_the_run():
    environment = worker_environment(1, compiled="/run/compiled", base={"TORCHINDUCTOR_CACHE_DIR": "/mine"})
    assert environment.variables["TORCHINDUCTOR_CACHE_DIR"] == "/run/compiled"
    assert environment.set["TRITON_CACHE_DIR"] == "/run/compiled"


CANARY, PERSON = "canary-7f3a", "canary-person"
# what may stand in a shell: secrets of others, and names that look like a library's own
SECRETS = {
    name: f"{CANARY}-{name}"
    for name in (
        "SECRET_TOKEN", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "HF_TOKEN", "DATABASE_URL", "SSH_AUTH_SOCK",
        "CUDA_SECRET", "TORCH_HUB_TOKEN", "PYTORCH_PASSWORD", "PYTHON_KEYRING_PASSWORD", "NVIDIA_API_KEY",
        "NGC_API_KEY", "OMP_TOKEN", "MKL_LICENSE",
    )
}  # fmt: skip
SHELL = SECRETS | {
    "HOME": f"/home/{PERSON}", "USER": PERSON, "PATH": f"/home/{PERSON}/bin:/bin",
    "PYTHONPATH": f"/home/{PERSON}/code", "LD_PRELOAD": f"/home/{PERSON}/lib/libjemalloc.so",
    "TORCHINDUCTOR_CACHE_DIR": f"/tmp/torchinductor_{PERSON}", "OPENBLAS_CORETYPE": "Haswell",
    "PYTHONHOME": f"https://user:{CANARY}@example.org",
}  # fmt: skip


def test_no_secret_and_no_person_gets_into_a_record(monkeypatch):
    for name, value in SHELL.items():
        monkeypatch.setenv(name, value)
    passed = worker_environment(1, keep=["CUDA_SECRET", "LD_PRELOAD", "HF_TOKEN"])
    facts = host.describe()
    said = warnings(facts, passed.dropped, passed.kept, 1)
    record = msgspec.json.encode(Environment(facts, passed.set, passed.dropped, passed.kept, said)).decode()

    assert CANARY not in record
    assert PERSON not in record
    assert PERSON in str(passed.variables)  # which are for the worker alone
    on_record = passed.dropped | passed.kept
    assert on_record["OPENBLAS_CORETYPE"] == "Haswell"
    assert on_record["TORCHINDUCTOR_CACHE_DIR"] == "/tmp/torchinductor_USER"
    assert (on_record["LD_PRELOAD"], on_record["PYTHONPATH"]) == ("~/lib/libjemalloc.so", "~/code")
    # the names tell a reader what else differed; a value that was asked for reaches the worker all the same
    assert {on_record[name] for name in ("NVIDIA_API_KEY", "PYTHONHOME", "HF_TOKEN")} == {HIDDEN}
    assert passed.variables["CUDA_SECRET"] == SECRETS["CUDA_SECRET"]
    assert not {"SECRET_TOKEN", "AWS_SECRET_ACCESS_KEY", "NVIDIA_API_KEY"} & set(passed.variables)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("OMP_NUM_THREADS", "4", "4"),
        ("GLIBC_TUNABLES", "glibc.malloc.arena_max=1", "glibc.malloc.arena_max=1"),
        ("CUDA_UNHEARD_OF", "1", HIDDEN),
        ("OMP_PLACES", "x" * 301, HIDDEN),
        ("OMP_PLACES", "cores\x1b[2J", HIDDEN),
        ("LD_PRELOAD", "https://example.org/x", HIDDEN),
    ],
)
def test_only_harmless_values_are_recorded(name, value, said):
    assert environ.recorded(name, value, {}) == said


@pytest.mark.parametrize(
    ("project", "path"),
    [("/a/clone", f"/a/clone{os.pathsep}/mine"), (site.getsitepackages()[0], "/mine")],
    ids=["clone", "installed"],
)
def test_children_find_bench_and_an_installed_package_never_goes_before_pythons_own(
    monkeypatch, project, path
):
    monkeypatch.setattr(environ, "PROJECT", Path(project))
    assert environ.with_project(BASE)["PYTHONPATH"] == path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("/home/ann/x:/home/ann", "~/x:~"),
        ("/home/anna/x", "/home/anna/x"),
        ("/tmp/cache_ann/annex", "/tmp/cache_USER/annex"),
        ("/var/x", "/var/x"),
    ],
)
def test_home_and_name_are_taken_out_and_nothing_else(text, said):
    assert environ.without_person(text, {"HOME": "/home/ann", "USER": "ann"}) == said
    assert environ.without_person(text, {"HOME": "/", "USER": "root"}) == text
