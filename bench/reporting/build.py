"""From journals, trainings and files of pytest-benchmark to report.html, report.md, values.csv and plots."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.answer.summary import summarise
from bench.errors import UserError
from bench.printable import printable
from bench.reporting import answer, page, plots
from bench.reporting.foreign import ForeignView, foreign_view
from bench.reporting.overview import overview
from bench.reporting.training import TrainingView, training_view
from bench.reporting.view import Plot, RunView, view
from bench.results.exchange import read_pytest_benchmark
from bench.results.files import write_atomic
from bench.results.journal import Run, different_machines, load_run
from bench.results.table import write_values_csv
from bench.training.records import is_training

HTML, MARKDOWN, PLOTS = "report.html", "report.md", "plots"


@dataclass(frozen=True, slots=True)
class Source:
    """One saved result: a run, or a file of pytest-benchmark."""

    run: Run | None
    view: RunView | ForeignView


@dataclass(frozen=True, slots=True)
class Report:
    """A report that was written."""

    page: Path
    answers: dict[Path, str]  # of each run, in plain English
    disagrees: bool  # whether anything that claims to be right was proved wrong


@dataclass(frozen=True, slots=True)
class Training:
    """One saved training, and its images by stem."""

    view: TrainingView
    images: dict[str, bytes]


def build_report(paths: list[Path], out_dir: Path | None, *, any_machine: bool = False) -> Path:
    """``write_report``'s HTML file."""
    return write_report(paths, out_dir, any_machine=any_machine).page


def write_report(paths: list[Path], out_dir: Path | None, *, any_machine: bool = False) -> Report:
    """Write the report of saved results, one section each.

    ``paths`` are folders of runs or trainings, journals, or JSON files of pytest-benchmark; trainings come
    last on the page. Without ``out_dir`` the report of one result goes beside it. Each file that is there
    already stays whole until the new one is.

    Raises:
        UserError: one cannot be read, the report cannot be written, several have no ``out_dir``, or runs are
            of different machines and not ``any_machine``.
    """
    if not paths:
        raise UserError("nothing to report on; give a run's folder, a journal or a file of pytest-benchmark")
    if len(paths) > 1 and out_dir is None:
        raise UserError("several results make one report; name its folder with --out DIR")
    prefixes = {path: f"{n}-" if len(paths) > 1 else "" for n, path in enumerate(paths, start=1)}
    loaded = {path: _load(path, prefixes[path]) for path in paths if not is_training(path)}
    sources = list(loaded.values())
    runs = [source.run for source in sources if source.run is not None]
    if not any_machine and (differ := different_machines(runs)):
        raise UserError(
            f"the runs are of different machines ({', '.join(differ)}), so their times do not compare; "
            "report them one by one, or together with --any-machine"
        )
    folder = out_dir or (paths[0] if paths[0].is_dir() else paths[0].parent)
    try:
        (folder / PLOTS).mkdir(parents=True, exist_ok=True)
        images = {
            plot.stem: _write_plot(plot, folder / PLOTS) for source in sources for plot in source.view.plots
        }
        trainings = [
            Training(*training_view(path, folder, prefix=prefixes[path]))
            for path in paths
            if is_training(path)
        ]
        for training in trainings:
            images |= training.images
        content = _content(sources, trainings)
        write_atomic(folder / HTML, page.render_html(content, images).encode())
        write_atomic(folder / MARKDOWN, page.render_markdown(content).encode())
    except OSError as error:
        raise UserError(f"cannot write {error.filename}: {error.strerror}; choose another --out") from error
    for number, run in enumerate(runs, start=1):
        write_values_csv(run, folder / ("values.csv" if len(runs) == 1 else f"values-{number}.csv"))
    return Report(
        page=folder / HTML,
        answers={
            path: printable("\n".join([*source.view.banners, *source.view.answer]))
            for path, source in loaded.items()
            if isinstance(source.view, RunView)
        },
        disagrees=any(failure.status == "disagrees" for run in runs for failure in run.failures),
    )


def headline(run: Run) -> str:
    """The answer in plain English for a terminal: no markup, a paragraph."""
    facts = answer.Facts.of(run, summarise(run))
    return printable("\n".join([*answer.caveats(facts), *answer.sentences(facts)]))


def _load(path: Path, prefix: str) -> Source:
    if path.suffix == ".json":
        return Source(None, foreign_view(read_pytest_benchmark(path), path.name, prefix=prefix))
    run = load_run(path)
    return Source(run, view(run, prefix=prefix))


def _content(sources: list[Source], trainings: list[Training]) -> dict[str, Any]:
    """What both templates are given."""
    kinds = [(source.view, "run" if source.run is not None else "foreign") for source in sources]
    return {
        "sources": [
            {"view": view, "kind": kind, "anchor": f"result-{number}"}
            for number, (view, kind) in enumerate(
                [*kinds, *((training.view, "training") for training in trainings)], start=1
            )
        ],
        "overview": overview([source.view for source in sources]) if len(sources) > 1 else [],
    }


def _write_plot(plot: Plot, folder: Path) -> bytes:
    """Draw a plot into both its files; return the SVG."""
    figure = plots.ladder_plot(plot.marks) if plot.is_ladder else plots.dot_plot(plot.marks)
    files = plots.draw(figure)
    for kind, content in files.items():
        write_atomic(folder / f"{plot.stem}.{kind}", content)
    return files["svg"]
