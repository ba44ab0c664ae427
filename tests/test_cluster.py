"""A plan measured on other hosts: by real workers of Dask on this machine, which play what they measure."""

import gc
import json
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import psutil
import pytest
from faults.runs import start_program
from loopback import PATIENCE_S, Loopback, loopback, python_without, wait_for

from bench.api import sweep
from bench.api.run import Measured, carry_out
from bench.cluster.pool import connected
from bench.machine import devices, host_lock
from bench.machine.environ import KEEPS_MEMORY
from bench.machine.errors import HostInUse, UserError
from bench.machine.host import usable_cpus
from bench.measure.split import split
from bench.records.journal import FILE_NAME, load_run
from bench.records.sweep import SavedSweep, load_sweep
from bench.reporting.display import SweepProgress
from bench.workload.options import RunOptions

OPTIONS = RunOptions(preset="grid", hidden=(4, 8), batch=(1,), variant=("numpy-inplace",), seed=5)
PARTS = ["001-train_step-B1-T6-H4", "002-train_step-B1-T6-H8"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    """A scheduler; each test says which workers it needs, since any may be the first."""
    with loopback(tmp_path_factory.mktemp("cluster")) as made:
        yield made


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "LOOK_S", 0.02)
    for name in ("CONNECT_S", "WORKERS_S", "ANSWER_S"):  # however busy the machine is
        monkeypatch.setattr(f"bench.cluster.pool.{name}", PATIENCE_S)


def run(cluster: Loopback, folder: Path, said: list[str] | None = None, **options: Any) -> Measured:
    """Measure the small grid on the cluster."""
    args = replace(OPTIONS, scheduler=cluster.address, out=str(folder), **options)
    return carry_out(args, ["rnnbench", "run"], say=(said if said is not None else []).append)


def as_written(cluster: Loopback, measured: Measured) -> SavedSweep:
    """A sweep that is complete, each of its journals as it was written where it was measured."""
    saved = load_sweep(measured.folder)
    assert measured.end == saved.end
    assert measured.end.status == "complete"
    for tile in saved.tiles:
        journal = (tile.folder / FILE_NAME).read_bytes()
        assert journal in [path.read_bytes() for path in cluster.folder.glob(f"{tile.part.name}-by-*")]
        assert tile.measured.seal == json.loads(journal.splitlines()[-1])["seal"]
        run = load_run(tile.folder)
        assert run.plan == split(saved.declared.plan)[tile.part.name]
        assert run.environment.machine["host"] == tile.host.host
    return saved


# --- a cluster as it should be


def test_everywhere_each_host_measures_the_whole_plan(cluster: Loopback, tmp_path: Path) -> None:
    cluster.only("a", "b")
    saved = as_written(cluster, run(cluster, tmp_path / "s", everywhere=True))
    assert {(tile.host.name, tile.part.name) for tile in saved.tiles} == {
        (host, part) for host in ("host-1", "host-2") for part in PARTS
    }
    assert len({tile.folder for tile in saved.tiles}) == 4


def test_a_host_that_is_there_is_seen_at_every_look(cluster: Loopback) -> None:
    cluster.only("a")
    # Dask's own look at the scheduler, which asks for no workers, comes between two of ours
    often = dask.config.set({"distributed.client.scheduler-info-interval": "1ms"})
    with often, connected(cluster.address) as pool:
        assert {len(pool.hosts()) for _ in range(300)} == {1}


# --- what goes wrong


def test_a_part_whose_worker_is_killed_is_measured_by_another(cluster: Loopback, tmp_path: Path) -> None:
    cluster.only("a", "b")
    begun = cluster.hold("b")

    def kill() -> None:
        wait_for(begun.exists)
        cluster.kill("b")

    killer = threading.Thread(target=kill)
    killer.start()
    saved = as_written(cluster, run(cluster, tmp_path / "s"))
    killer.join()
    assert len({tile.host.name for tile in saved.tiles}) == 1
    assert "its host was lost while it measured" in (tmp_path / "s" / "sweep.jsonl").read_text()
    wait_for(lambda: not psutil.pid_exists(int(begun.read_text())))  # what measured has ended with its worker
    (cluster.folder / "hold-b").unlink()


def test_after_a_killed_client_its_part_ends_and_resume_measures_the_rest(
    cluster: Loopback, tmp_path: Path
) -> None:
    cluster.only("a")
    begun = cluster.hold("a")
    options = (
        "--preset",
        "grid",
        "--hidden",
        "4",
        "--batch",
        "1",
        "--batch",
        "2",
        "--variant",
        "numpy-inplace",
    )
    client = start_program("run", *options, "--scheduler", cluster.address, "--out", str(tmp_path / "s"))
    wait_for(begun.exists)
    client.kill()
    client.communicate()
    wait_for(lambda: not psutil.pid_exists(int(begun.read_text())))
    (cluster.folder / "hold-a").unlink()
    assert load_sweep(tmp_path / "s").end is None
    resumed = RunOptions(resume=str(tmp_path / "s"), scheduler=cluster.address)
    assert carry_out(resumed, ["rnnbench"]).end.status == "complete"
    assert load_sweep(tmp_path / "s").missing == []
    with pytest.raises(UserError, match="there is nothing to go on with"):
        carry_out(resumed, ["rnnbench"])


def test_a_worker_of_other_versions_is_refused_by_name_or_told(cluster: Loopback, tmp_path: Path) -> None:
    python = python_without(tmp_path / "venv", "numpy", "torch", versions=["numpy-1.0.dist-info"])
    cluster.only("a")
    lock = str(cluster.folder / "a.lock")  # it is of the same host
    cluster.worker("odd", python=python, played=False, lock=lock)
    cluster.await_hosts(2)
    with pytest.raises(UserError) as refused:
        run(cluster, tmp_path / "s")
    for told in (r"numpy: .*1\.0 on tcp://[\d.:]+", r"torch: .*none on tcp://[\d.:]+"):
        assert re.search(told, str(refused.value))
    assert "python" not in str(refused.value)
    assert not (tmp_path / "s").exists()
    said: list[str] = []
    with connected(cluster.address) as pool:
        assert len(sweep.usable(pool, RunOptions(any_environment=True), said.append)) == 2
    assert [line.partition(" (")[0] for line in said] == ["the hosts differ"]
    cluster.kill("odd")


def test_a_worker_without_rnnbench_is_refused_in_one_line(cluster: Loopback, tmp_path: Path) -> None:
    cluster.only("a")
    cluster.worker("bare", python=python_without(tmp_path / "venv", project=False), played=False)
    with connected(cluster.address) as pool:
        wait_for(lambda: pool.hosts() and pool.unusable)
    with pytest.raises(UserError, match=r"the worker tcp://\S+ cannot run rnnbench: .*No module.*; install"):
        run(cluster, tmp_path / "s")
    cluster.kill("bare")


def test_a_scheduler_that_is_not_there_is_told_within_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.cluster.pool.CONNECT_S", 0.2)
    with pytest.raises(UserError, match=r"no scheduler answers at tcp://127\.0\.0\.1:1; start one"):
        carry_out(replace(OPTIONS, scheduler="tcp://127.0.0.1:1", out=str(tmp_path / "s")), ["rnnbench"])


def test_a_variant_that_a_host_lacks_is_refused_before_anything_is_measured(
    cluster: Loopback, tmp_path: Path
) -> None:
    cluster.only("a")
    with pytest.raises(UserError, match=r"the hosts differ \(mine:variant: none on tcp://"):
        run(cluster, tmp_path / "s", variant=("mine:variant",))
    assert not (tmp_path / "s").exists()
    digests = set()
    for text in ("variant = 1", "variant = 2"):
        (cluster.folder / "mine.py").write_text(text)  # in the worker's folder
        with connected(cluster.address, ["mine:variant"]) as pool:
            digests |= {host.description.versions["mine:variant"] for host in pool.hosts().values()}
    assert len(digests) == 2
    assert "none" not in digests


def test_another_program_at_the_address_is_told_within_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.cluster.pool.CONNECT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UserError, match=f"no scheduler answers at {address}"):
            carry_out(replace(OPTIONS, scheduler=address, out=str(tmp_path / "s")), ["rnnbench"])


def test_tls_that_is_not_set_up_is_told_in_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match=r"cannot connect to tls://127\.0\.0\.1:1: set TLS up for Dask"):
        carry_out(replace(OPTIONS, scheduler="tls://127.0.0.1:1"), ["rnnbench"])
    gc.collect()
    assert capfd.readouterr().err == ""


def test_a_frozen_worker_is_told_within_seconds(
    cluster: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.only("a", "b")
    monkeypatch.setattr("bench.cluster.pool.ANSWER_S", 2.0)
    cluster.processes["b"].send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(UserError, match=r"the worker tcp://\S+ gives no answer: wake it up, or end it"):
            run(cluster, tmp_path / "s")
    finally:
        cluster.kill("b")


def test_a_worker_that_another_client_keeps_busy_is_waited_for(
    cluster: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed import Client, Event

    cluster.only("a")
    monkeypatch.setattr("bench.cluster.pool.BUSY_S", 0.1)
    with Client(cluster.address, set_as_default=False) as other:
        free = Event("free", client=other)
        task = other.submit(Event.wait, free)

        class Said(list[str]):
            def append(self, line: str) -> None:
                super().append(line)
                free.set()

        wait_for(lambda: any(other.processing().values()))
        with pytest.raises(HostInUse):
            run(cluster, tmp_path / "s", no_wait=True)
        as_written(cluster, run(cluster, tmp_path / "s", said := Said()))
        assert task.result()
    assert re.match(r"waits for tcp://\S+, which does not answer yet", said[0])


def test_a_case_that_waits_for_the_lock_of_its_host_says_for_whom(
    cluster: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.only("a")
    monkeypatch.setenv(host_lock.VARIABLE, str(cluster.folder / "a.lock"))
    told: list[str] = []
    with ExitStack() as lock:

        def line(progress: SweepProgress, host: str, text: str) -> None:
            if "waits" in text:
                told.append(text)
                lock.close()

        monkeypatch.setattr(SweepProgress, "line", line)
        lock.enter_context(host_lock.host_lock(["another"]))
        as_written(cluster, run(cluster, tmp_path / "s"))
    (text,) = told
    assert re.fullmatch(
        rf"waits for process {os.getpid()} of \S+ \(since \d\d:\d\d\); --no-wait refuses", text
    )


def test_a_worker_that_is_not_heard_is_silent(cluster: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.only("a")
    with connected(cluster.address) as pool:

        def silent() -> bool:
            return all(pool.silent_since(host) for host in pool.hosts().values())

        assert not silent()
        cluster.processes["a"].send_signal(signal.SIGSTOP)
        try:
            monkeypatch.setattr("bench.cluster.pool.SILENT_S", 1.0)
            wait_for(silent)
        finally:
            cluster.processes["a"].send_signal(signal.SIGCONT)
        wait_for(lambda: not silent())


def test_a_scheduler_without_workers_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import LocalCluster

    monkeypatch.setattr("bench.cluster.pool.WORKERS_S", 0.1)
    with (
        LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as empty,
        pytest.raises(UserError, match="has no worker; start one on every host: dask worker tcp://"),
    ):
        carry_out(replace(OPTIONS, scheduler=empty.scheduler_address), ["rnnbench"])


def test_without_dask_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UserError, match=r'pip install "rnnbench\[cluster\]"'):
        carry_out(replace(OPTIONS, scheduler=1), ["rnnbench"])


# --- what reaches a process that times


def test_nothing_of_dask_reaches_a_process_that_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "telling.py").write_text(TELLING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)  # as in a process that began with it
    monkeypatch.setenv("RNNBENCH_LOCK", str(tmp_path / "lock"))
    monkeypatch.setattr("bench.cluster.pool.find_devices", devices.find_cpu)
    threads = min(2, usable_cpus())
    options = RunOptions(
        quick=True, blocks=1, batch=(4,), hidden=(4,), variant=("telling:variant",), threads=(threads,),
        scheduler=1, out=str(tmp_path / "s"),
    )  # fmt: skip
    assert carry_out(options, ["rnnbench"]).end.status == "complete"
    told = json.loads((tmp_path / "told.json").read_text())
    assert told["parent"]["OMP_NUM_THREADS"] == "1"  # the nanny's, in the worker of Dask
    assert told["parent"]["MALLOC_TRIM_THRESHOLD_"] == "65536"
    assert told["environment"]["OMP_NUM_THREADS"] == str(threads)
    assert told["environment"]["MALLOC_TRIM_THRESHOLD_"] == KEEPS_MEMORY["MALLOC_TRIM_THRESHOLD_"]
    assert [name for name in told["environment"] if name.startswith("DASK")] == []
    assert told["threads"] == ["MainThread"]
    kept = load_run(next((tmp_path / "s").glob("0*"))).environment.kept
    assert kept["PYTHONPATH"].split(os.pathsep) == [str(tmp_path)]  # as the user gave it
    assert told["modules"] == []


TELLING = """
import json, os, pathlib, sys, threading
import psutil
from types import SimpleNamespace
from impl_numpy.contract import rnn_batched

def bind(*arguments, **options):
    parents = psutil.Process().parents()
    worker = next(each for each in parents if "multiprocessing" in " ".join(each.cmdline()))
    told = {
        "environment": dict(os.environ), "parent": worker.environ(),
        "threads": [thread.name for thread in threading.enumerate()],
        "modules": [name for name in sys.modules if name.partition(".")[0] in ("dask", "distributed")],
    }
    pathlib.Path(__file__).with_name("told.json").write_text(json.dumps(told))
    return rnn_batched(*arguments, **options)

variant = SimpleNamespace(name="telling", library="numpy", bind=bind)
"""
