"""T24: a grid on hosts of a Dask scheduler, one of whose workers is killed on the way. Half an hour.

Scheduler and workers are processes on this machine. Two workers count as two hosts, since each names the lock
of the host in its own way; but it is one file, so they time one after the other, as they must.
"""

import datetime
import re
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from acceptance.validity import Recorder
from loopback import Loopback, loopback, wait_for

from bench.api.run import carry_out, declare, write_report
from bench.machine.devices import find_cpu
from bench.machine.errors import UserError
from bench.machine.host import usable_cpus
from bench.measure.split import split
from bench.records.journal import load_run
from bench.records.sweep import FILE_NAME, load_sweep
from bench.workload.options import RunOptions

SCALE = Path(__file__).parents[2] / "docs" / "scale.md"
SIZES: dict[str, Any] = {"hidden": (8, 512), "batch": (1, 16, 128)}  # of the rates
GRID: dict[str, Any] = {}  # its sizes: those of the preset
KILLED_AFTER = 10  # parts
SAME = 1.15  # times of one host with one worker and with two


def measuring(worker: psutil.Process) -> bool:
    """Whether a worker of Dask has a part whose processes time something, and do not wait for the lock."""
    return any(
        child.children()
        for child in worker.children()
        if child.is_running() and "bench.api.part" in " ".join(child.cmdline())
    )


def kill_on_the_way(cluster: Loopback, folder: Path, lock: str) -> None:
    """Kill the second worker in the middle of a part, and start another one in its place."""
    worker = psutil.Process(cluster.processes["b"].pid)
    ends = time.monotonic() + 3600
    while (folder / FILE_NAME).read_text().count('"measured"') < KILLED_AFTER or not measuring(worker):
        assert time.monotonic() < ends, "no part was there to be killed"
        time.sleep(0.2)
    time.sleep(3.0)
    cluster.kill("b")
    cluster.worker("b", played=False, lock=lock)


def test_a_grid_with_a_worker_killed_on_the_way(tmp_path: Path, validity: Recorder) -> None:
    lock, folder = f"{tmp_path}/./host.lock", tmp_path / "sweep"
    with loopback(tmp_path) as cluster:
        cluster.worker("a", played=False, lock=f"{tmp_path}/host.lock")
        cluster.worker("b", played=False, lock=lock)
        cluster.await_hosts(2)
        options = RunOptions(
            preset="grid", device=("cpu",), seed=24, scheduler=cluster.address, out=str(folder), **GRID
        )

        def kill() -> None:
            wait_for((folder / FILE_NAME).exists)
            kill_on_the_way(cluster, folder, lock)

        killer = threading.Thread(target=kill)
        killer.start()
        measured = carry_out(options, ["rnnbench", "run", "--preset", "grid"])
        killer.join()
    saved = load_sweep(folder)
    runs = {tile.part.name: load_run(tile.folder) for tile in saved.tiles if tile.folder}
    started = datetime.datetime.fromisoformat(saved.declared.started_utc)
    plain = declare(options, find_cpu(), folder, started, saved.declared.command, "aim")
    same_plan = plain == saved.declared.plan and {n: run.plan for n, run in runs.items()} == split(plain)
    lost = (folder / FILE_NAME).read_text().count("its host was lost while it measured")
    whole = sum(run.end is not None and run.end.status == "complete" for run in runs.values())
    by_host = [sum(tile.host == host for tile in saved.tiles) for host in saved.hosts.values()]
    page = write_report([folder], None).page
    print(f"the page of the sweep: {page}")
    validity.record(
        "T24",
        claim=f"a grid of {len(saved.tiles)} sizes by two workers of Dask on one host, one killed in mid-run",
        promised="all journals whole, in all the plan of a plain run; the killed part measured elsewhere",
        measured=f"{whole} of {len(runs)} whole, {' and '.join(map(str, by_host))} by host; plan "
        f"{'equal' if same_plan else 'NOT equal'}; {lost} lost and measured again; "
        f"{3600 * len(runs) / measured.end.seconds:.0f} cases an hour",
        kept=whole == len(saved.tiles) and same_plan and lost == 1 and measured.end.status == "complete",
    )
    assert measured.end.status == "complete"
    assert (whole, lost) == (len(saved.tiles), 1)
    assert same_plan


def test_cases_an_hour_of_one_host(tmp_path: Path, validity: Recorder) -> None:
    cases = len(SIZES["hidden"]) * len(SIZES["batch"])

    def cases_an_hour(name: str, scheduler: int | None) -> float:
        began_s = time.perf_counter()
        options = RunOptions(
            preset="grid", device=("cpu",), seed=24, budget=16.25 * cases, scheduler=scheduler,
            out=str(tmp_path / name), **SIZES,
        )  # fmt: skip
        assert carry_out(options, ["rnnbench", "run"]).end.status == "complete"
        return 3600 * cases / (time.perf_counter() - began_s)

    rates = {
        "rnnbench run, without a scheduler": cases_an_hour("plain", None),
        "--scheduler local:1": cases_an_hour("one", 1),
        "--scheduler local:2": cases_an_hour("two", 2),
    }
    rows = [(how, f"{rate:.0f}") for how, rate in rates.items()]
    text = (
        f"{cases} cases of the grid (H 8 and 512, B 1, 16 and 128), with 4 or 5 variants each and a time "
        f"budget of 16 s a case, on {usable_cpus()} processors."
    )
    validity.table("T24-rate", "Cases an hour of one host", text, ("how", "cases an hour"), rows)
    one, two = rates["--scheduler local:1"], rates["--scheduler local:2"]
    validity.record(
        "T24-rate",
        claim="a second worker on one host",
        promised=f"as many cases an hour as with one, within {SAME - 1:.0%}: a host times one at a time",
        measured=f"{one:.0f} with one, {two:.0f} with two",
        kept=1 / SAME < two / one < SAME,
    )
    table = "\n".join(f"| {' | '.join(row)} |" for row in (("how", "cases an hour"), ("---", "---"), *rows))
    filled = re.sub(
        r"(<!-- cases an hour -->\n).*?(<!-- end -->)",
        lambda found: f"{found[1]}{text}\n\n{table}\n{found[2]}",
        SCALE.read_text(encoding="utf-8"),
        flags=re.DOTALL,
    )
    SCALE.write_text(filled, encoding="utf-8")
    assert 1 / SAME < two / one < SAME


def test_a_scheduler_that_is_lost(tmp_path: Path, validity: Recorder) -> None:
    folder = tmp_path / "sweep"
    with loopback(tmp_path) as cluster:
        cluster.only("a")
        begun = cluster.hold("a")
        killer = threading.Thread(target=lambda: (wait_for(begun.exists), cluster.kill("scheduler")))
        killer.start()
        options = RunOptions(
            preset="grid", device=("cpu",), scheduler=cluster.address, out=str(folder), **SIZES
        )
        began_s = time.monotonic()
        with pytest.raises(UserError) as told:
            carry_out(options, ["rnnbench", "run"])
        killer.join()
        wait_for(lambda: not psutil.pid_exists(int(begun.read_text())))
        seconds = time.monotonic() - began_s
    said = "the scheduler is gone" in str(told.value) and load_sweep(folder).end is not None
    validity.record(
        "T24-lost",
        claim="a scheduler that is killed while a case is measured",
        promised="one line, an interrupted sweep, and what measured has ended, all within 30 s",
        measured=f"{'so' if said else 'NOT so'}, after {seconds:.0f} s",
        kept=said and seconds < 30,
    )
    assert said
    assert seconds < 30
