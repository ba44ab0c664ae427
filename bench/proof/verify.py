"""Prove every variant on every device, dtype, layout and activation it supports.

Expected results come from one NumPy process; each variant has a process of its own on each device. Those that
compile are proved on few cases.
"""

from collections.abc import Callable, Sequence

from bench.machine.device import Devices
from bench.machine.scratch import scratch_folder
from bench.proof.cases import agreement_cases, worth_compiling
from bench.proof.child import Row, make_row
from bench.proof.jobs import Job, expect, run_jobs
from bench.workload import catalog
from bench.workload.case import Case
from bench.workload.catalog import Variant

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
    cases = agreement_cases() if cases is None else cases
    variants = {spec: catalog.find(spec) for spec in dict.fromkeys(specs)}
    missing: list[Row] = []
    jobs: list[Job] = []
    for spec, variant in sorted(variants.items(), key=lambda item: not item[1].compiles):  # the slowest first
        for device in devices:
            job = Job(spec, device, [])
            for number, case in enumerate(cases):
                if variant.compiles and not worth_compiling(case):
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
    if variant.library == "torch" and found.torch_missing is not None:
        return f"PyTorch cannot be used: {found.torch_missing}"
    dtypes = {present.id: present.dtypes for present in found.present}
    if case.dtype not in dtypes[device]:
        return f"{device} does not support dtype {case.dtype}"
    if case.layout not in variant.layouts:  # for random data too, whose label here tells what x is like
        return f"{variant.name} does not support layout {case.layout}"
    return variant.unsupported(case, device)
