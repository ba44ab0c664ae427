"""The verb ``export``: a run's times in the format of another tool."""

from bench.api.options import ExportOptions
from bench.machine.files import as_path
from bench.records.folder import shown
from bench.records.formats import FILES, export
from bench.records.journal import load_run
from bench.records.saved import refuse_training


def main(args: ExportOptions) -> int:
    """Write the file, say where it is, and return 0.

    Raises:
        UserError: the run cannot be read, holds no counted value, or the file cannot be written.
    """
    path = as_path(args.run)
    refuse_training(path)
    run = load_run(path)
    folder = path if path.is_dir() else path.parent
    out = folder / FILES[args.to] if args.out is None else as_path(args.out)
    export(run, args.to, out)
    print(f"Exported for {args.to}: {shown(out)}")
    return 0
