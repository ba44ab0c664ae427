"""What a training returns, read back from its folder."""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.machine.errors import UserError
from bench.machine.files import atomic_text
from bench.machine.wording import printable
from bench.records.table import csv_line
from bench.records.training import AnyRecord, Header, Point, Start, Stop, read_records
from bench.records.training_contradictions import contradictions
from bench.training.curves import Training, default_target, file_name, make_run
from bench.training.params import Params, load_params
from bench.training.sentences import sentences


@dataclass(frozen=True)
class TrainResult(Training):
    """A training and its folder, which holds pictures, animation, losses and the report."""

    folder: Path

    def summary(self) -> str:
        """What came out, in a few sentences."""
        return printable("\n".join(sentences(self)))

    def _repr_html_(self) -> str:
        """For a notebook: the summary and the animation."""
        told = "".join(f"<p>{html.escape(line)}</p>" for line in sentences(self))
        try:
            moving = base64.b64encode((self.folder / "animation.gif").read_bytes()).decode()
        except OSError:
            return told
        return f'{told}<img alt="predictions over the truth" src="data:image/gif;base64,{moving}">'

    def write_losses(self, path: Path) -> None:
        """The curves as CSV, a line for each variant and report."""
        with atomic_text(path) as file:
            file.write(csv_line(("variant", "epoch", "loss", "training_s", "since_start_s")))
            for run in self.runs:
                for epoch, loss, s in zip(run.epochs, run.losses, run.seconds, strict=True):
                    times = f"{s:.9f}", f"{run.startup_s + s:.9f}"
                    file.write(csv_line((run.variant, int(epoch), repr(float(loss)), *times)))


def load_result(path: Path) -> TrainResult:
    """Read a training from its folder or its file.

    Raises:
        UserError: it cannot be read, or contradicts itself.
    """
    records = read_records(path)
    folder = path if path.is_dir() else path.parent
    header = records[0]
    assert isinstance(header, Header)
    for problem in contradictions(records):
        raise UserError(f"{path} contradicts itself: {problem}; the file was edited or is damaged")
    for own in header.libraries:
        own.introduce()
    stops = {record.variant: record for record in records if isinstance(record, Stop)}
    parts = [
        (start, points, stops.setdefault(start.variant, Stop(start.variant, "interrupted", "it was cut off")))
        for start, points in _by_variant(records[1:])
    ]
    ended = [points[-1].loss for _, points, stop in parts if points and stop.status != "diverged"]
    target = header.settings.target or default_target(ended)
    runs = [
        make_run(header, start, points, stop, _params(folder, start.variant), target)
        for start, points, stop in parts
    ]
    return TrainResult(header, tuple(runs), tuple(stops.values()), target, folder)


def _by_variant(records: Sequence[AnyRecord]) -> list[tuple[Start, list[Point]]]:
    """Each variant's points, which stand between its start and the next."""
    parts: list[tuple[Start, list[Point]]] = []
    for record in records:
        if isinstance(record, Start):
            parts.append((record, []))
        elif isinstance(record, Point):
            parts[-1][1].append(record)
    return parts


def _params(folder: Path, variant: str) -> Params:
    """The variant's parameters, empty where the folder has them no more."""
    path = folder / "params" / file_name(variant)
    try:
        return load_params(path) if path.exists() else {}
    except UserError:
        return {}
