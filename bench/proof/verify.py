"""Prove every variant on every device, dtype, layout and activation it supports.

Expected results come from one NumPy process; each variant has a process of its own on each device, some at a
time, and whatever happens to one becomes rows. Those that compile are proved on few cases.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.machine.child import Child, ChildError, end_all, wait_for_any
from bench.machine.devices import Devices
from bench.machine.environ import worker_environment
from bench.machine.errors import UserError
from bench.machine.files import scratch_folder
from bench.machine.libraries import library
from bench.proof.cases import agreement_cases, worth_compiling
from bench.proof.child import Row, make_row
from bench.workload import catalog
from bench.workload.case import Case
from bench.workload.catalog import Variant

CHILD = "bench.proof.child"
TIMEOUT_S = 120.0  # for a case, and for all of the reference's: a hundred times what they take


def verify(
    specs: Sequence[str],
    devices: Sequence[str],
    *,
    found: Devices,
    cases: Sequence[Case] | None = None,
    timeout_s: float = TIMEOUT_S,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Row]:
    """Prove the variants on the devices; rows about the reference come first, then in the order given.

    What a variant does not support is a row with status ``missing`` and the reason.
    ``progress`` is called with the number of rows so far and in the end.

    Raises:
        UserError: no such variant, or the reference itself failed.
    """
    variants = {spec: catalog.find(spec) for spec in dict.fromkeys(specs)}
    if cases is None:
        cells = dict.fromkeys(variant.cell for variant in variants.values())
        cases = [case for cell in cells for case in agreement_cases(cell)]
    missing: list[Row] = []
    jobs: list[Job] = []
    for spec, variant in sorted(variants.items(), key=lambda item: not item[1].compiles):  # the slowest first
        for device in devices:
            job = Job(spec, device, [])
            for number, case in enumerate(cases):
                if case.cell != variant.cell or (variant.compiles and not worth_compiling(case)):
                    continue
                if reason := why_missing(variant, case, device, found):
                    missing.append(make_row(variant, device, case, [], "missing", reason))
                else:
                    job.numbers.append(number)
            if job.numbers:
                jobs.append(job)
    total = sum(len(job.numbers) for job in jobs)
    with scratch_folder("verify") as folder:
        rows = expect(folder, cases, timeout_s=timeout_s)
        proved = run_jobs(
            folder, cases, jobs, timeout_s=timeout_s, progress=lambda done: progress(done, total)
        )
    order = {variant.name: place for place, variant in enumerate(variants.values())}
    last = len(order)  # for a variant that names itself otherwise in every process
    return rows + sorted(
        proved + missing, key=lambda row: (order.get(row.variant, last), devices.index(row.device))
    )


def why_missing(variant: Variant, case: Case, device: str, found: Devices) -> str | None:
    """Why the variant cannot be proved on the case, or None where it can."""
    if reason := found.missing.get(variant.library):
        return f"{library(variant.library).label} cannot be used: {reason}"
    dtypes = {present.id: present.dtypes for present in found.present}
    if case.dtype not in dtypes[device]:
        return f"{device} does not support dtype {case.dtype}"
    if case.layout not in variant.layouts:  # for random data too, whose label here tells what x is like
        return f"{variant.name} does not support layout {case.layout}"
    return variant.unsupported(case, device)


@dataclass(frozen=True, slots=True)
class Job:
    """A variant to prove on a device, on cases by their number: the work of a process of its own."""

    spec: str  # the variant's name or module:object
    device: str
    numbers: list[int]


def expect(folder: Path, cases: Sequence[Case], *, timeout_s: float) -> list[Row]:
    """Have a NumPy process compute the expected results; return the rows about the reference.

    Raises:
        UserError: it died; says what it printed last.
    """
    (folder / "cases.json").write_bytes(msgspec.json.encode(cases))
    with _start(folder, timeout_s, "expect") as child:
        try:
            rows: list[Row] = child.receive(list[Row])
        except ChildError as error:
            raise UserError(f"the reference could not be computed: {child.explain(error)}") from error
    return rows


def run_jobs(
    folder: Path,
    cases: Sequence[Case],
    jobs: Sequence[Job],
    *,
    timeout_s: float,
    parallel: int = os.cpu_count() or 1,
    progress: Callable[[int], None],
) -> list[Row]:
    """Run every job in a process of its own, ``parallel`` at a time, and return all their rows.

    A process that dies, or takes longer than ``timeout_s`` for a case, costs its variant the remaining rows,
    which say so.
    """
    waiting, running = list(jobs), list[_Proving]()
    rows: list[Row] = []
    try:
        while waiting or running:
            while waiting and len(running) < parallel:
                running.append(_Proving(waiting.pop(0), folder, cases, timeout_s))
            wait_for_any([proving.child for proving in running])
            for proving in running:
                rows += proving.advance()
            running = [proving for proving in running if proving.left]
            progress(len(rows))
    finally:
        end_all([proving.child for proving in running])
    return rows


class _Proving:
    """A job in its process, which is asked for one case after the other."""

    def __init__(self, job: Job, folder: Path, cases: Sequence[Case], timeout_s: float) -> None:
        self._job, self._cases = job, cases
        self.left = list(job.numbers)
        self.child = _start(folder, timeout_s, "prove", job.spec, job.device)
        self.child.send(self.left[0])

    def advance(self) -> list[Row]:
        """Return the rows that are new; a process that is done, or has failed, is stopped."""
        try:
            row: Row | None = self.child.take(Row)
            if row is None:
                return []
            del self.left[0]
            if self.left:
                self.child.send(self.left[0])
                return [row]
        except ChildError as error:
            return self._give_up(error)
        self.child.stop()
        return [row]

    def _give_up(self, error: ChildError) -> list[Row]:
        """Return rows that say of each case left why it has no result."""
        explained = self.child.explain(error)
        reason = str(error) if error.status == "timeout" else explained
        variant, device = catalog.find(self._job.spec), self._job.device
        rows = [make_row(variant, device, self._cases[n], [], error.status, reason) for n in self.left]
        self.left = []
        return rows


def _start(folder: Path, timeout_s: float, *arguments: str) -> Child:
    """Start a child with one thread, in a worker's environment; what is compiled is kept in ``folder``."""
    variables = worker_environment(threads=1).variables
    variables |= {"TORCHINDUCTOR_CACHE_DIR": str(folder / "compiled")}
    return Child(CHILD, [str(folder), *arguments], variables, deadline_s=timeout_s)
