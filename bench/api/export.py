"""Run the ``export`` command: write a run's times in another tool's format."""

from bench.api.options import ExportOptions
from bench.machine.errors import UserError
from bench.machine.files import as_path, write_atomic
from bench.machine.terminal import say
from bench.records.folder import display_path
from bench.records.formats import FILES
from bench.records.formats.exports import pyperf_json, pytest_benchmark_json
from bench.records.joined import load_measured
from bench.records.saved import refuse_others
from bench.records.table import write_values_csv


def main(args: ExportOptions) -> int:
    """Write the file, print its path, and return 0.

    Raises:
        UserError: the run cannot be read, holds no counted value, or the file cannot be written.
    """
    path = as_path(args.run)
    refuse_others(path)
    run = load_measured(path)
    folder = path if path.is_dir() else path.parent
    out = folder / FILES[args.to] if args.out is None else as_path(args.out)
    try:
        if args.to == "csv":
            write_values_csv(run, out)
        else:
            write_atomic(out, pyperf_json(run) if args.to == "pyperf" else pytest_benchmark_json(run))
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror}; choose another --out") from error
    say(f"Exported for {args.to}: {display_path(out)}")
    return 0
