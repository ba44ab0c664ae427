"""Prove every variant on every device, dtype, layout and activation that the variant supports.

Expected results are computed here, in the NumPy process. Each variant runs in a separate process per device,
one that compiles even per cell; several processes run in parallel, and a crash of a process is reported as
rows. Variants that compile are proved on few cases.
"""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import msgspec

from bench import proof
from bench.machine.child import DEADLINE_S, Child, ChildError, ending_children, wait_for_any
from bench.machine.devices import Devices
from bench.machine.environ import worker_environment
from bench.machine.errors import UserError, describe_error
from bench.machine.files import scratch_folder
from bench.machine.libraries import library
from bench.machine.signals import OutOfTime, time_limit
from bench.proof.cases import agreement_cases, reference_cases, worth_compiling
from bench.proof.child import REFERENCE, Row, make_row
from bench.proof.gradcheck import check_reference
from bench.workload import catalog, data
from bench.workload.case import STREAM, TASKS, Case
from bench.workload.catalog import Variant
from bench.workload.cell import find_cell

CHILD = "bench.proof.child"


def verify(
    specs: Sequence[str],
    devices: Sequence[str],
    *,
    machine: Devices,
    cells: Sequence[str] = (),
    bias: bool | None = None,
    cases: Sequence[Case] | None = None,
    timeout_s: float = DEADLINE_S,
    progress: Callable[[int, int], None] = lambda done, total: None,
    done: Callable[["Job"], None] = lambda job: None,
) -> list[Row]:
    """Prove the variants on the devices; return rows about the reference, then rows in the given order.

    Without ``cells``, the cells are those of the variants; without ``bias``, with biases and without.
    An unsupported case gives a row with status ``missing`` and the reason, an unsupported cell only one row.
    ``progress`` is called with the number of rows so far and the final number of rows; ``done`` with each
    job in the end, while its files are still there.

    Raises:
        UserError: no such variant, a case without a usable reference result, or a cell that does not exist
            or has no biases where ``bias`` asks for them.
    """
    variants = {spec: catalog.find(spec) for spec in dict.fromkeys(specs)}
    if cases is None:
        known = cells or [cell for variant in variants.values() for cell in variant.cells]
        with redirect_stdout(sys.stderr):  # this imports the module of a user's cell, which may print
            cases = [
                case
                for cell in dict.fromkeys(known)
                for case in agreement_cases(cell, _provable_bias(variants.values(), cell, bias))
            ]
    first_of_cell = dict[str, int]()
    for number, case in enumerate(cases):
        first_of_cell.setdefault(case.cell, number)
    rows: list[Row] = []
    jobs: list[Job] = []
    with scratch_folder("verify") as folder:
        for spec, variant in sorted(variants.items(), key=lambda item: not item[1].compiles):  # slowest first
            for device in devices:
                left: dict[str, list[int]] = {}  # case numbers, by cell for a variant that compiles
                for number, case in enumerate(cases):
                    if case.cell not in variant.cells and number != first_of_cell[case.cell]:
                        continue
                    if case.task == STREAM and STREAM not in variant.tasks:  # not one of the tasks of all
                        continue
                    if (case.shortest is not None) not in variant.lengths:  # likewise
                        continue
                    if variant.compiles and not worth_compiling(case, bias):
                        continue
                    if reason := why_missing(variant, case, device, machine):
                        rows.append(make_row(variant, device, case, [], "missing", reason))
                    else:
                        left.setdefault(case.cell if variant.compiles else "", []).append(number)
                jobs += [Job(spec, variant, device, part, folder, cases, timeout_s) for part in left.values()]
        total = sum(len(job.left) for job in jobs)
        reference_rows = compute_reference(folder, cases)
        rows += run_jobs(jobs, progress=lambda done: progress(done, total))
        for job in jobs:
            done(job)
    order = {variant.name: place for place, variant in enumerate(variants.values())}
    last = len(order)  # for a user's variant that has another name in its own process
    return reference_rows + sorted(
        rows,
        key=lambda row: (
            *(order.get(row.variant, last), devices.index(row.device), row.status == "missing"),
            first_of_cell[row.cell],
        ),
    )


def _provable_bias(variants: Iterable[Variant], cell: str, asked: bool | None) -> bool | None:
    """Return ``asked``, else the only choice that the variants of a cell have, which gives all its cases."""
    choices = {choice for variant in variants if cell in variant.cells for choice in variant.biases}
    return choices.pop() if asked is None and len(choices) == 1 and find_cell(cell).biases else asked


def why_missing(variant: Variant, case: Case, device: str, machine: Devices) -> str | None:
    """Return why the variant cannot be proved on the case, or None if the proof is possible."""
    if reason := machine.missing.get(variant.library):
        return f"{library(variant.library).label} cannot be used: {reason}"
    dtypes = {usable.id: usable.dtypes for usable in machine.present}
    if case.dtype not in dtypes[device]:
        return f"{device} does not support dtype {case.dtype}"
    if case.layout not in variant.layouts:  # also for random data, where the layout is a label
        return f"{variant.name} does not support layout {case.layout}"
    return variant.unsupported(case, device)


def compute_reference(folder: Path, cases: Sequence[Case]) -> list[Row]:
    """Return the rows about the reference; write its expected results to ``folder``, for the children.

    Raises:
        OSError: the files cannot be written, for example on a full disk.
        UserError: a case cannot be proved, or a user's cell raised an error, exited or took too long.
    """
    cells = dict.fromkeys(case.cell for case in cases)
    try:
        with redirect_stdout(sys.stderr), time_limit(DEADLINE_S):  # a user's cell may print, or never end
            rows = [reference_row(case) for cell in cells for case in reference_cases(cell)]
            write_expected(folder, cases)
    except (UserError, OSError):
        raise
    except OutOfTime as error:
        raise UserError(f"the reference took more than {DEADLINE_S:g} s") from error
    except (Exception, SystemExit) as error:
        names = " and ".join(cells)
        raise UserError(f"the reference cannot be computed: {describe_error(error, names)}") from error
    return rows


def reference_row(case: Case) -> Row:
    """Return a row with the errors of the reference's gradient, by the method of gradcheck."""
    checks = check_reference(case)
    by_method = [msgspec.structs.replace(check, what=check.quantity or check.what) for check in checks]
    status, reason = proof.status(checks), proof.failures(checks)
    return make_row(Variant(REFERENCE, "numpy", {}, ""), "cpu", case, by_method, status, reason)


def write_expected(folder: Path, cases: Sequence[Case]) -> None:
    """Write the cases, their inputs and their expected results to ``folder``, for the children.

    Raises:
        UserError: a case cannot be proved.
    """

    @cache
    def solved(case: Case) -> tuple[data.Batch, proof.Expected]:
        batch = data.make(case)
        return batch, proof.expected(case, batch)

    (folder / "cases.json").write_bytes(msgspec.json.encode(cases))
    for number, case in enumerate(cases):
        # the tasks without a state have their inputs and their expected results in common
        batch, expected = solved(case if case.task == STREAM else replace(case, task=TASKS[0]))
        batch.save(folder / f"inputs{number}.npz")
        expected.save(folder / f"expected{number}.npz")


@dataclass
class Job:
    """Prove a variant on a device in a separate process, one case after the other."""

    spec: str
    variant: Variant
    device: str
    left: list[int]  # numbers of the cases without a reply
    folder: Path
    cases: Sequence[Case]
    timeout_s: float
    child: Child = field(init=False)
    rows: dict[int, Row] = field(default_factory=dict)  # the replies, by number of the case

    def start(self) -> None:
        """Start the child with one thread, and with the folder as cache for compiled code."""
        environment = worker_environment(1, compiled=str(self.folder / "compiled")).variables
        arguments = [str(self.folder), self.spec, self.device]
        self.child = Child(CHILD, arguments, environment, deadline_s=self.timeout_s)
        self.child.send(self.left[0])

    def advance(self) -> list[Row]:
        """Return the new rows; stop the child if all cases are done or the child failed."""
        try:
            row: Row | None = self.child.take(Row)
            if row is None:
                return []
            self.rows[self.left.pop(0)] = row
            if self.left:
                self.child.send(self.left[0])
            else:
                self.child.stop()
            return [row]
        except ChildError as error:
            explanation = self.child.explain(error)
            reason = str(error) if error.status == "timeout" else explanation
            remaining, self.left = self.left, []
            cases = [self.cases[number] for number in remaining]
            return [make_row(self.variant, self.device, case, [], error.status, reason) for case in cases]


def run_jobs(
    jobs: Sequence[Job], *, parallel: int = os.cpu_count() or 1, progress: Callable[[int], None]
) -> list[Row]:
    """Run every job, ``parallel`` at a time, and return all their rows.

    If a process dies or takes too long for a case, the remaining rows of its variant report this failure.
    """
    waiting, running = list(jobs), list[Job]()
    rows: list[Row] = []
    with ending_children():
        while waiting or running:
            while waiting and len(running) < parallel:
                running.append(waiting.pop(0))
                running[-1].start()
            wait_for_any([job.child for job in running])
            for job in running:
                rows += job.advance()
            running = [job for job in running if job.left]
            progress(len(rows))
    return rows
