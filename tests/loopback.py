"""A scheduler of Dask and its workers, each a process of its own on this machine, for tests that end them."""

import json
import os
import signal
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import played_part

from bench.cluster.pool import connected

PROJECT, TESTS = Path(__file__).parents[1], Path(__file__).parent
PATIENCE_S = 60.0  # a guard against tests that never end, no measure of anything


@dataclass
class Loopback:
    """A scheduler, and what its workers tell in ``folder``; each has a lock, and so counts as a host."""

    folder: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Where the scheduler listens."""
        file = self.folder / "scheduler.json"
        wait_for(file.exists)
        return str(json.loads(file.read_text())["address"])

    def start(
        self, name: str, command: str, *arguments: str, python: str = sys.executable, lock: str | None = None
    ) -> None:
        """Start a program of Dask; its lock is one of its own unless ``lock`` names another file."""
        variables = {
            "PYTHONPATH": os.pathsep.join([str(PROJECT), str(TESTS)]) if python == sys.executable else "",
            "RNNBENCH_LOCK": lock or str(self.folder / f"{name}.lock"),
            played_part.FOLDER: str(self.folder),
            played_part.NAME: name,
        }
        words = [python, "-m", f"distributed.cli.{command}", *arguments, "--dashboard-address", "127.0.0.1:0"]
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                words,
                env=os.environ | variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )

    def scheduler(self) -> None:
        """Start the scheduler, at a free port."""
        place = (
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--scheduler-file",
            str(self.folder / "scheduler.json"),
        )
        self.start("scheduler", "dask_scheduler", *place)

    def worker(
        self, name: str, *, played: bool = True, python: str = sys.executable, lock: str | None = None
    ) -> None:
        """Start a worker; it plays what it is asked to measure, or measures it."""
        places = ("--name", name, "--nthreads", "1", "--no-nanny", "--local-directory", str(self.folder))
        preload = ("--preload", str(TESTS / "played_part.py")) if played else ()
        self.start(name, "dask_worker", self.address, *places, *preload, python=python, lock=lock)

    def only(self, *names: str) -> None:
        """Have these workers and no others, each known to the scheduler."""
        for name in self.processes.keys() - {"scheduler", *names}:
            self.kill(name)
        for name in names:
            if name not in self.processes:
                self.worker(name)
        self.await_hosts(len(names))

    def await_hosts(self, count: int) -> None:
        """Wait until the scheduler has so many hosts."""
        with connected(self.address) as pool:
            wait_for(lambda: len(pool.hosts()) == count)

    def hold(self, name: str) -> Path:
        """Let a worker's next part never end; return the file that then holds the id of its process."""
        (self.folder / f"hold-{name}").touch()
        begun = self.folder / f"begun-{name}"
        begun.unlink(missing_ok=True)
        return begun

    def kill(self, name: str) -> None:
        """End a process as a power cut would."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()


@contextmanager
def loopback(folder: Path) -> Iterator[Loopback]:
    """A scheduler until the context ends."""
    made = Loopback(folder)
    try:
        made.scheduler()
        yield made
    finally:
        for process in made.processes.values():
            process.kill()
        for process in made.processes.values():
            process.wait()


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until something is so."""
    ends = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < ends, "it never came"
        time.sleep(0.02)


def python_without(folder: Path, *names: str, versions: Collection[str] = (), project: bool = True) -> str:
    """A Python that has what this one has, but no packages of these ``names``, or other ``versions`` of them.

    A version is the name of a folder of metadata: ``numpy-1.0.dist-info``.
    """
    venv.create(folder, symlinks=True)
    (packages,) = (folder / "lib").glob("python*/site-packages")
    here = [Path(entry) for entry in sys.path if entry.endswith("site-packages")]
    for path in (path for place in here for path in place.iterdir()):
        base = path.name.partition(".dist-info")[0].partition("-")[0]
        stands_for = base if path.name.endswith(".dist-info") else path.name
        link = packages / path.name
        hidden = path.suffix == ".pth" or (path.name.endswith(".dist-info") and base in names)
        if not hidden and stands_for and not link.exists():
            link.symlink_to(path)
    for version in versions:
        (packages / version).mkdir()
        name, number = version.removesuffix(".dist-info").split("-")
        (packages / version / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n"
        )
    if project:
        (packages / "project.pth").write_text(str(PROJECT))
    return str(folder / "bin" / "python")
