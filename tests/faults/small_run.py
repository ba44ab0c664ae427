"""``rnnbench`` on a machine that has a CPU only, as a program that a test can kill.

Looking for devices would import torch, seconds in which nothing of the run could be hit. With
``--without-report`` first, the run is over with its journal.
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

if __name__ == "__main__":
    arguments = sys.argv[1:]
    run.find_devices = lambda: CPU_ONLY
    if arguments[0] == "--without-report":
        arguments = sys.argv[1:] = arguments[1:]
        run.write_report = lambda paths, out: SimpleNamespace(disagrees=False)
        run.show_report = lambda report, **options: None
    sys.exit(main(arguments))
