"""From journals, trainings and files of other tools to report.html, report.md, values.csv and plots."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.analysis.summary import summarise
from bench.machine import wording
from bench.machine.errors import UserError
from bench.machine.files import write_atomic
from bench.machine.wording import printable
from bench.records.folder import load_refinements
from bench.records.formats.foreign import Facts, as_fact
from bench.records.formats.pyperf import PyperfResults
from bench.records.run import Run, different_machines
from bench.records.saved import Saved, load_saved
from bench.records.sealed import collector_paused
from bench.records.table import write_values_csv
from bench.records.training import is_training
from bench.reporting import answer, page, plots
from bench.reporting.beside import map_beside
from bench.reporting.chapters import run_article
from bench.reporting.foreign import ForeignView, foreign_article, foreign_view
from bench.reporting.overview import overview
from bench.reporting.pyperf import pyperf_view
from bench.reporting.section import Article, Drawing
from bench.reporting.texttables import overview_table
from bench.reporting.training import training_article
from bench.reporting.view import RunView, view

HTML, MARKDOWN, PLOTS = "report.html", "report.md", "plots"
KEPT = "The raw values are in the journal and in values.csv, the plots in the folder beside this page."
KEPT_OF_FILES = "The raw values are in the files, the plots in the folder beside this page."
KEPT_OF_TRAINING = (
    "The raw values are in training.jsonl and losses.csv, the plots in the folder beside this page."
)


@dataclass(frozen=True, slots=True)
class Source:
    """One saved result: a run, or a file of another tool."""

    run: Run | None
    view: RunView | ForeignView
    refinements: tuple[Run, ...] = ()  # of the run


@dataclass(frozen=True, slots=True)
class Report:
    """A report that was written."""

    page: Path
    answers: dict[Path, str]  # of each run, in plain English; of a file, what must be known of it
    banners: list[str]  # what must be known of all results together
    disagrees: bool  # whether anything that claims to be right was proved wrong


def build_report(paths: list[Path], out_dir: Path | None, *, any_machine: bool = False) -> Path:
    """``write_report``'s HTML file."""
    return write_report(paths, out_dir, any_machine=any_machine).page


@collector_paused()
def write_report(paths: list[Path], out_dir: Path | None, *, any_machine: bool = False) -> Report:
    """Write the report of saved results, one section each.

    ``paths`` are folders of runs or trainings, journals, or files of other tools; trainings come last on the
    page. Without ``out_dir`` the report of one result goes beside it. Each file that is there already stays
    whole until the new one is.

    Raises:
        UserError: one cannot be read, the report cannot be written, several have no ``out_dir``, or runs are
            of different machines and not ``any_machine``.
    """
    if not paths:
        raise UserError("nothing to report on; give a run's folder, a journal or a file of another tool")
    if len(paths) > 1 and out_dir is None:
        raise UserError("several results make one report; name its folder with --out DIR")
    prefixes = {path: f"{n}-" if len(paths) > 1 else "" for n, path in enumerate(paths, start=1)}
    saved = {path: load_saved(path) for path in paths if not is_training(path)}
    runs = [one for one in saved.values() if isinstance(one, Run)]
    loaded = {path: _source(path, one, prefixes[path], runs) for path, one in saved.items()}
    sources = list(loaded.values())
    refined = [run for source in sources for run in source.refinements]
    if not any_machine and (differ := different_machines([*runs, *refined])):
        raise UserError(
            f"the runs are of different machines ({', '.join(differ)}), so their times do not compare; "
            "report them one by one, or together with --any-machine"
        )
    folder = out_dir or (paths[0] if paths[0].is_dir() else paths[0].parent)
    try:
        (folder / PLOTS).mkdir(parents=True, exist_ok=True)
        images = {
            drawing.stem: _write_plot(drawing, folder / PLOTS)
            for source in sources
            for drawing in source.view.drawings
        }
        trainings: list[Article] = []
        for path in filter(is_training, paths):
            anchor = f"result-{len(sources) + len(trainings) + 1}"
            article, drawn = training_article(path, folder, anchor, prefix=prefixes[path])
            trainings.append(article)
            images |= drawn
        content = content_of(sources, trainings)
        write_atomic(folder / HTML, page.render_html(content, images).encode())
        write_atomic(folder / MARKDOWN, page.render_markdown(content).encode())
    except OSError as error:
        raise UserError(f"cannot write {error.filename}: {error.strerror}; choose another --out") from error
    for number, run in enumerate(runs, start=1):
        write_values_csv(run, folder / ("values.csv" if len(runs) == 1 else f"values-{number}.csv"))
    for path, source in loaded.items():
        for number, run in enumerate(source.refinements, start=1):
            write_values_csv(run, folder / f"values-{prefixes[path]}refine-{number}.csv")
    return Report(
        page=folder / HTML,
        answers={
            path: printable("\n".join(_told(source.view)))
            for path, source in loaded.items()
            if _told(source.view)
        },
        banners=[printable(banner) for banner in content["banners"]],
        disagrees=any(failure.status == "disagrees" for run in [*runs, *refined] for failure in run.failures),
    )


def headline(run: Run, refinements: Sequence[Run] = ()) -> str:
    """The answer in plain English for a terminal: no markup, a paragraph."""
    facts = answer.Facts.of(run, summarise(run), refinements)
    return printable("\n".join([*answer.caveats(facts), *answer.sentences(facts)]))


def _source(path: Path, saved: Saved, prefix: str, runs: list[Run]) -> Source:
    """A saved result as text; ``runs`` are all on the page."""
    if isinstance(saved, Run):
        refined = load_refinements(path)
        beside = map_beside(saved, runs)
        return Source(saved, view(saved, prefix=prefix, refinements=refined, map_beside=beside), refined)
    if isinstance(saved, PyperfResults):
        return Source(None, pyperf_view(saved, path.name, prefix=prefix))
    return Source(None, foreign_view(saved, path.name, prefix=prefix))


def _told(view: RunView | ForeignView) -> list[str]:
    """Return what a terminal shows of one result."""
    if isinstance(view, RunView):
        return [*view.banners, *view.answer]
    return [f"{view.name}: {note}" for note in view.notes]


def _machines(sources: Sequence[Source]) -> list[str]:
    """Return that files of other tools are not all of one machine, in words; nothing where they are."""
    told: dict[str, dict[str, None]] = {}
    for source in sources:
        facts = (
            source.view.machine_facts if isinstance(source.view, ForeignView) else _machine_facts(source.run)
        )
        for name, values in facts.items():
            told.setdefault(name, {}).update(dict.fromkeys(filter(None, values)))
    differ = [
        f"{name}: {wording.listing([wording.short(value) for value in values])}"
        for name, values in told.items()
        if len(values) > 1
    ]
    foreign = any(isinstance(source.view, ForeignView) for source in sources)
    if not differ or not foreign or len(sources) < 2:
        return []
    return [f"These results are of different machines ({'; '.join(differ)}), so their times do not compare."]


def _machine_facts(run: Run | None) -> Facts:
    machine = run.environment.machine if run else {}
    names = {"processor": "processor", "cpus": "cpus", "host": "host_name"}
    return {name: (as_fact(machine.get(field)),) for name, field in names.items()}


def content_of(sources: list[Source], trainings: list[Article]) -> dict[str, Any]:
    """What both templates are given."""
    articles = [_article(source, f"result-{number}") for number, source in enumerate(sources, start=1)]
    compared = {
        article.anchor: source.view
        for article, source in zip(articles, sources, strict=True)
        if isinstance(source.view, ForeignView) or source.view.preset != "grid"  # a map is no line of a table
    }
    lines = overview(compared.values()) if len(compared) > 1 else []
    return {
        "articles": [*articles, *trainings],
        "banners": _machines(sources),
        "overview": overview_table(lines, compared) if lines else None,
        "files": KEPT if any(one.run for one in sources) else KEPT_OF_FILES if sources else KEPT_OF_TRAINING,
    }


def _article(source: Source, anchor: str) -> Article:
    if isinstance(source.view, RunView):
        return run_article(source.view, anchor)
    return foreign_article(source.view, anchor)


def _write_plot(drawing: Drawing, folder: Path) -> bytes:
    """Draw a plot into both its files; return the SVG."""
    files = plots.draw(drawing.draw())
    for kind, content in files.items():
        write_atomic(folder / f"{drawing.stem}.{kind}", content)
    return files["svg"]
