"""Run the child process of ``rnnbench grade``, which runs a student's file: ``SETTINGS`` as JSON.

The child limits itself and says that it is ready. Asked once more, it loads the file, and says what went
wrong; then it calls the file's functions on the inputs of each case whose number it is sent. It returns
arrays in ``answer<number>.npz``, and in its replies only texts. It never sees an expected result: the parent
gives the points. The limits stop accidents; they are no sandbox against malice.
"""

import errno
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import psutil

from bench.gradients.function import as_floats, as_loss, as_pair, gradient_in
from bench.machine.errors import UserError, check_arguments, describe_error
from bench.machine.lifeline import replies
from bench.machine.wording import listing, printable
from bench.workload.data import Array, Batch

MODULE = "submission"  # the name of the student's module
MAX_WRITTEN_BYTES = 8 << 20  # of a file, and of all that is printed
MOST_OFTEN = 8  # a case has two functions, and a submission four cases
MORE_BYTES = 16 << 20  # for what follows, whenever a student's lists have taken all memory


class Settings(msgspec.Struct, frozen=True):
    """Hold what the child is told: the file, the folder of the cases, its limits, and modules to withhold."""

    submission: bytes  # the path: its text may have no UTF-8
    folder: str
    time_s: float
    memory_bytes: int
    withheld: set[str]


class Reply(msgspec.Struct, frozen=True):
    """Hold what the child tells of a case.

    Attributes:
        problems: name of a result ("y_hat", "loss", "dW") -> why there is no array of it.
        notes: what else the student should know.
    """

    problems: dict[str, str]
    notes: list[str]


def main() -> None:
    """Load the student's file, and answer one case after the other."""
    settings = msgspec.json.decode(sys.argv[1], type=Settings)
    limit(settings)
    withheld: dict[str, Any] = dict.fromkeys(settings.withheld)  # None: an import raises ImportError
    sys.modules.update(withheld)
    messages = os.fdopen(os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # a student's input() must not take a message
    with replies() as send:
        send(b'""')  # the student's time begins now
        next(messages)
        problem = ""
        try:
            module = load(Path(os.fsdecode(settings.submission)))
        except BaseException as error:  # a student's code may raise anything, or exit
            problem = described(error, settings)
        send(msgspec.json.encode(problem))
        for number in map(int, messages):
            batch = Batch.load(Path(settings.folder, f"inputs{number}.npz"))
            arrays, reply = answer(module, batch, settings)
            np.savez(Path(settings.folder, f"answer{number}.npz"), allow_pickle=False, **arrays)
            with suppress(Exception):  # the student may have closed or replaced it
                sys.stdout.flush()
            send(msgspec.json.encode(reply))


def limit(settings: Settings) -> None:
    """Limit this process and those that it starts, in what the system lets it limit."""
    sys.dont_write_bytecode = True  # not beside the student's file
    with suppress(ImportError):
        import resource  # Windows has no such module

        square = np.ones((256, 256))
        square @ square + square @ square[0]  # OpenBLAS takes its memory now, or it would end this process
        most = psutil.Process().memory_info().vms + settings.memory_bytes
        for number, soft, hard in (
            (resource.RLIMIT_AS, most, most + MOST_OFTEN * MORE_BYTES),
            (resource.RLIMIT_FSIZE, MAX_WRITTEN_BYTES, MAX_WRITTEN_BYTES),
        ):
            with suppress(ValueError, OSError):  # a lower limit holds already
                resource.setrlimit(number, (soft, hard))


def allow_more() -> None:
    """Let this process go on after a student's lists have taken all of its memory."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        now, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (min(now + MORE_BYTES, most), most))


def load(path: Path) -> ModuleType:
    """Run the student's file as a module, which can import modules beside it."""
    sys.path.insert(0, str(path.parent))
    loader = SourceFileLoader(MODULE, str(path))
    spec = spec_from_file_location(MODULE, path, loader=loader)
    assert spec is not None
    module = sys.modules[MODULE] = module_from_spec(spec)
    loader.exec_module(module)
    return module


def results_of(batch: Batch) -> dict[str, dict[str, tuple[int, ...]]]:
    """Return name of a function -> name of a result -> shape of its array."""
    grads = {f"d{name}": array.shape for name, array in batch.params.items()}
    return {"forward": {"y_hat": batch.y.shape}, "loss_and_grads": {"loss": (), **grads}}


def answer(module: ModuleType, batch: Batch, settings: Settings) -> tuple[dict[str, Array], Reply]:
    """Return the arrays that the student's functions return for a batch, and what could not be used."""
    arrays, reply = dict[str, Array](), Reply({}, [])
    for name, shapes in results_of(batch).items():
        try:
            results = call(module, name, batch, reply.notes)
        except BaseException as error:  # as above; the other function is called all the same
            reply.problems.update(dict.fromkeys(shapes, f"{name}: {described(error, settings)}"))
            continue
        for what, shape in shapes.items():
            try:
                arrays[what] = as_array(results, what, shape, batch.params)
            except BaseException as error:
                reply.problems[what] = f"{name}: {described(error, settings)}"
    return arrays, reply


def call(module: ModuleType, name: str, batch: Batch, notes: list[str]) -> dict[str, Any]:
    """Call a student's function on a copy of the batch, and return its results by name.

    Raises:
        UserError: there is no such function, or it returned something else than asked for.
    """
    function = getattr(module, name, None)
    if not callable(function):
        raise UserError("the file does not define this function")
    own = batch.astype("float64")  # a copy
    arguments = (own.params, own.x) if name == "forward" else (own.params, own.x, own.y)
    check_arguments(function, *arguments)
    returned = function(*arguments)
    before, after = ({**one.params, "x": one.x, "y": one.y} for one in (batch, own))
    if changed := [key for key in before if not np.array_equal(before[key], after.get(key, ()))]:
        notes.append(f"{name} writes into its inputs ({listing(changed)}): compute with copies of them")
    if name == "forward":
        return {"y_hat": returned}
    loss, grads = as_pair(returned, "it")
    return {"loss": loss, "grads": grads}


def as_array(
    results: Mapping[str, Any], what: str, shape: tuple[int, ...], params: Mapping[str, Array]
) -> Array:
    """Return one result as an array.

    Raises:
        UserError: there is none, or it has another shape, or no finite real numbers.
    """
    if what == "loss":
        array = np.asarray(as_loss(results[what], "it"))
    elif what == "y_hat":
        array = as_floats(results[what], what, shape)
        if array.shape != shape:
            raise UserError(f"y_hat has shape {array.shape}, not {shape}")
    else:
        array = gradient_in(results["grads"], what[1:], params)
    if array.itemsize > np.float64().itemsize:
        array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise UserError(f"{what} holds NaN or infinity")
    return array


def described(error: BaseException, settings: Settings) -> str:
    """Return in one line what went wrong in a student's code, and what to do."""
    if isinstance(error, UserError):
        return str(error)
    what = printable(describe_error(error, MODULE))  # a file's name may be what no reply can hold
    if isinstance(error, ImportError) and str(error.name).partition(".")[0] in settings.withheld:
        return f"{error.name} cannot be used here, only NumPy: {what}"
    if isinstance(error, MemoryError):
        allow_more()
        return f"it needs more than the {settings.memory_bytes >> 20} MiB of --memory: {what}"
    if isinstance(error, OSError) and error.errno == errno.EFBIG:
        return f"it prints or writes more than {MAX_WRITTEN_BYTES >> 20} MiB, leave that out: {what}"
    if isinstance(error, SystemExit):
        return f"it ends its process, leave that out: {what}"
    if isinstance(error, EOFError):
        return f"nobody answers what it asks, leave that out: {what}"
    return what


if __name__ == "__main__":
    main()
