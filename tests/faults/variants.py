"""Variants that go wrong, each in its own way; a worker finds them as ``faults.variants:NAME``."""

import contextlib
import ctypes
import gc
import importlib
import os
import resource
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import threadpoolctl

from impl_numpy.contract import Bound
from impl_numpy.contract import rnn_batched as batched

Call = Callable[[], None]


def variant(name: str, around: Callable[[Call], None]) -> SimpleNamespace:
    """The baseline, but ``around`` is what is called, with the baseline's own call."""

    def bind(*args: Any, **options: Any) -> Bound:
        bound = batched(*args, **options)
        return Bound(lambda: around(bound.call), bound.reset, bound.result)

    return SimpleNamespace(name=name, library="numpy", bind=bind)


def answering(name: str, spoil: Callable[[np.ndarray], np.ndarray]) -> SimpleNamespace:
    """The baseline, but its results are spoiled."""

    def bind(*args: Any, **options: Any) -> Bound:
        bound = batched(*args, **options)
        return Bound(bound.call, bound.reset, lambda: {k: spoil(v) for k, v in bound.result().items()})

    return SimpleNamespace(name=name, library="numpy", bind=bind)


def _segfault(call: Call) -> None:
    ctypes.string_at(0)


def _exit_3(call: Call) -> None:
    print("giving up", file=sys.stderr, flush=True)
    os._exit(3)


def _raise(call: Call) -> None:
    raise ValueError("no such thing")


def _import_torch(call: Call) -> None:
    sys.modules["torch"] = sys
    call()


def _kill(call: Call) -> None:
    os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does when memory runs out


def _stop(call: Call) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _stubborn(call: Call) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        print("still busy", file=sys.stderr, flush=True)
        time.sleep(0.01)


def _too_large(call: Call) -> None:
    """Ask for more memory than the process may have."""
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, resource.RLIM_INFINITY))
    np.ones(1 << 32)


class OutOfMemoryError(RuntimeError):
    """Named and derived as torch's, for a device's memory."""


def _device_full(call: Call) -> None:
    raise OutOfMemoryError("out of memory. Tried to allocate 20.00 GiB")


def _device_lost(call: Call) -> None:
    raise RuntimeError("device error: the device fell off the bus")


def _chatter(call: Call) -> None:
    os.write(1, b"x" * 100_000 + b"\n")
    call()


def _quiet(call: Call) -> None:
    call()


def _answers_another_question(call: Call) -> None:
    """Reply as to a probe, and go."""
    _write_into_the_pipe(b'{"type": "Measured", "primitives": []}\n')
    os._exit(0)


def _into_the_pipe(call: Call) -> None:
    _write_into_the_pipe(b"out of turn\n")
    call()


def _write_into_the_pipe(line: bytes) -> None:
    """Write where replies go: the only pipe besides standard input."""
    for fd in range(3, 64):
        with contextlib.suppress(OSError):
            if stat.S_ISFIFO(os.fstat(fd).st_mode):
                os.write(fd, line)


def changing(name: str, change: Callable[[], object], library: str = "numpy") -> SimpleNamespace:
    """The baseline, but it changes its process in every call."""

    def bind(task: str, params: Any, x: Any, y: Any, **options: Any) -> Bound:
        arrays = ({name: np.asarray(p) for name, p in params.items()}, np.asarray(x), np.asarray(y))
        bound = batched(task, *arrays, **options)

        def call() -> None:
            change()
            bound.call()

        return Bound(call, bound.reset, bound.result)

    return SimpleNamespace(name=name, library=library, bind=bind)


def changing_in_bind(*args: Any, **options: Any) -> Bound:
    """The baseline, once it has taken two threads."""
    threadpoolctl.threadpool_limits(2)  # type: ignore[no-untyped-call]
    return batched(*args, **options)


def flushing_in_call(*args: Any, **options: Any) -> Any:
    """PyTorch's reference, with subnormal numbers taken for zero."""
    import torch

    from impl_torch.contract import rnn_autograd as autograd

    bound = autograd(*args, **options)

    def call() -> None:
        torch.set_flush_denormal(True)
        bound.call()

    return SimpleNamespace(call=call, reset=bound.reset, result=bound.result)


def _busy(call: Call) -> None:
    """Compute for ever, and leave a file that says so where the test looks."""
    Path(os.environ["TMPDIR"], f"busy-{os.getpid()}").touch()
    while True:
        pass


def _deserting(*args: Any, **options: Any) -> Bound:
    """Leave the process group, then compute for ever."""
    os.setsid() if os.getpgid(0) != os.getpid() else os.setpgid(0, os.getppid())
    return variant("", _busy).bind(*args, **options)  # type: ignore[no-any-return]


def _with_children(*args: Any, **options: Any) -> Bound:
    """Start a process in a session of its own, then compute for ever."""
    subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(1000)"], start_new_session=True)
    return variant("", _busy).bind(*args, **options)  # type: ignore[no-any-return]


def _orphaning(*args: Any, **options: Any) -> Bound:
    """Leave a process in a session of its own to itself, then compute for ever."""
    subprocess.run('setsid sleep 1000 & echo $! > "$TMPDIR/orphan"', shell=True, check=True)
    return variant("", _busy).bind(*args, **options)  # type: ignore[no-any-return]


def _spoiling(*args: Any, **options: Any) -> Bound:
    """Right, from a copy of the inputs; then writes into them."""
    task, params, x, y = args
    usual = batched(task, params, kept := x.copy(), y, **options)

    def call() -> None:
        kept[...] = x
        usual.call()
        x[0] += 1

    return Bound(call, usual.reset, usual.result)


def _spoiling_late(*args: Any, **options: Any) -> Bound:
    """As above, but not before it has been proved."""
    task, params, x, y = args
    bound, calls = batched(task, params, kept := x.copy(), y, **options), [0]

    def call() -> None:
        kept[...] = x
        bound.call()
        calls[0] += 1
        x[0] += calls[0] > 20

    return Bound(call, bound.reset, bound.result)


segfaulting = variant("segfaulting", _segfault)
exiting = variant("exiting", _exit_3)
raising = variant("raising", _raise)
importing = variant("importing", _import_torch)
killed = variant("killed", _kill)
stopping = variant("stopping", _stop)
stubborn = variant("stubborn", _stubborn)
too_large = variant("too-large", _too_large)
device_full = variant("device-full", _device_full)
device_lost = variant("device-lost", _device_lost)
chattering = variant("chattering", _chatter)
quiet = variant("quiet", _quiet)
out_of_turn = variant("out-of-turn", _into_the_pipe)
other_question = variant("other-question", _answers_another_question)
busy = variant("busy", _busy)
busy.tasks = ("forward", "gradient", "train_step", "stream")
deserting = SimpleNamespace(name="deserting", library="numpy", bind=_deserting)
with_children = SimpleNamespace(name="with-children", library="numpy", bind=_with_children)
orphaning = SimpleNamespace(name="orphaning", library="numpy", bind=_orphaning)
threads = SimpleNamespace(name="threads", library="numpy", bind=changing_in_bind)
no_gc = changing("no-gc", gc.disable)
nice = changing("nice", lambda: os.setpriority(os.PRIO_PROCESS, 0, 17))
traced = changing("traced", lambda: sys.setprofile(lambda *event: None))
erring = changing("erring", lambda: np.seterr(all="raise", under="ignore"))
erring_hard = changing("erring-hard", lambda: np.seterr(all="raise"))
flushing = SimpleNamespace(name="flushing", library="torch", bind=flushing_in_call)
disguised = changing("disguised", lambda: None, library="torch")
converted = changing("converted", lambda: importlib.import_module("torch"))
nan = answering("nan", lambda array: array * np.nan)
infinite = answering("infinite", lambda array: array + np.inf)
wrong = answering("wrong", lambda array: array * 1.0005)
spoiling = SimpleNamespace(name="spoiling", library="numpy", bind=_spoiling)
spoiling_late = SimpleNamespace(name="spoiling-late", library="numpy", bind=_spoiling_late)
