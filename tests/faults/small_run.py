"""``rnnbench`` on a machine that has a CPU only, as a program that a test can kill.

Looking for devices would import torch, and the references of all cases take their time: seconds in which
nothing of the run could be hit. With ``--without-report`` first, a run is over with its journal, a training
with its file.
"""

import sys
from types import SimpleNamespace

from bench.machine.signals import loading

with loading():
    from bench.api import run
    from bench.cli.main import main
    from bench.machine.devices import Absent, Device, Devices

CPU = Device("cpu", "cpu", "a processor", None, ("float32", "float64"))
CPU_ONLY = Devices((CPU,), (Absent("cuda", "no such device"),))


def prove_little() -> None:
    """Let ``verify`` prove few cases, on the CPU."""
    with loading():
        from bench.api import verify
        from bench.proof import verify as proof

    listed = proof.agreement_cases
    proof.agreement_cases = lambda *asked: listed(*asked)[:9]
    proof.reference_cases = lambda *asked: []
    verify.find_devices = lambda: CPU_ONLY


def draw_nothing() -> None:
    """Let a training be over with its file."""
    with loading():
        from bench.api import train

    train.draw = lambda folder: None


if __name__ == "__main__":
    arguments = sys.argv[1:]
    run.find_devices = lambda: CPU_ONLY
    if arguments[0] == "--without-report":
        arguments = sys.argv[1:] = arguments[1:]
        run.write_report = lambda paths, out: SimpleNamespace(disagrees=False)
        run.show_report = lambda report, **options: None
        if arguments[0] == "train":
            draw_nothing()
    if arguments[0] == "verify":
        prove_little()
    sys.exit(main(arguments))
