"""Write report.html, report.md, values.csv and plots from runs, trainings, streams and other tools' files."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from bench.machine import wording
from bench.machine.busy import Say, complain
from bench.machine.errors import UserError
from bench.machine.files import write_atomic
from bench.machine.wording import printable
from bench.records.folder import display_path, refinement_folders
from bench.records.joined import sweep_of
from bench.records.journal import load_run
from bench.records.results import PAGE, Selection, find_results, holds_results
from bench.records.run import Run, different_machines
from bench.records.saved import Kind, Saved, kind_of, load_saved
from bench.records.sealed import collector_paused
from bench.records.table import write_values_csv
from bench.reporting import answer, page, plots
from bench.reporting.article import run_article
from bench.reporting.facts import Facts, map_beside
from bench.reporting.machines import machine_tables
from bench.reporting.other_tools import tool_article
from bench.reporting.section import Article, Cell, Drawing
from bench.reporting.streamed import StreamAnswer, load_streamed
from bench.reporting.tables import overview_table
from bench.reporting.titles import told_apart
from bench.reporting.training import training_article
from bench.training.result import TrainResult, load_result

MARKDOWN, PLOTS = "report.md", "plots"
ORDER: tuple[Kind, ...] = ("measured", "stream", "training")  # on a page
VALUES: dict[Kind, str] = {
    "measured": "the files", "stream": "stream.jsonl", "training": "training.jsonl and losses.csv"
}  # fmt: skip
FILES_NOTE = "The raw values are in {}, the plots in the folder beside this page."
Loaded = TypeVar("Loaded")


@dataclass(frozen=True, slots=True)
class Results:
    """Hold the results of a page, and how they were selected."""

    loaded: dict[Path, Saved | TrainResult | StreamAnswer]
    runs: dict[Path, tuple[Run, ...]]  # each run with its refinements
    selection: Selection


@dataclass(frozen=True, slots=True)
class Report:
    """Describe a report that was written."""

    page: Path
    results: Results
    summaries: dict[Path, tuple[str, ...]]  # of each result, the lines for a terminal
    banners: list[str]  # warnings about the results together
    differences: Mapping[Path, str] = field(default_factory=dict)  # of results of one kind: "hidden 64"

    @property
    def answers(self) -> dict[Path, str]:
        """Return the text for a terminal of each result that has one."""
        return {path: printable("\n".join(lines)) for path, lines in self.summaries.items() if lines}

    def heading(self, path: Path) -> str:
        """Return a result's path, with what tells it apart from others of its kind."""
        return ": ".join(filter(None, (display_path(path), self.differences.get(path))))

    @property
    def disagrees(self) -> bool:
        """Return whether a result that claims to be correct was proved wrong."""
        results = self.results
        runs = (run for group in results.runs.values() for run in group)
        streams = (result for result in results.loaded.values() if isinstance(result, StreamAnswer))
        return any(stream.disagrees for stream in streams) or any(
            failure.status == "disagrees" for run in runs for failure in run.failures
        )

    @property
    def incomplete(self) -> list[str]:
        """Return the paths of the results that were cut off or of which a part failed."""
        return [
            display_path(path)
            for path, result in self.results.loaded.items()
            if {"partial", "interrupted"}.intersection(
                [run.state for run in self.results.runs.get(path, ())]
                if isinstance(result, Run)
                else [getattr(result, "status", "")]  # a file of another tool has none
            )
        ]


def build_report(paths: list[Path], out_dir: Path | None, *, any_machine: bool = False) -> Path:
    """Write the report as ``write_report`` does; return its HTML file."""
    return write_report(paths, out_dir, any_machine=any_machine).page


@collector_paused()
def write_report(
    paths: list[Path], out_dir: Path | None, *, any_machine: bool = False, png: bool = False
) -> Report:
    """Write the report of saved results, with an article for each.

    ``paths`` are folders of runs, trainings or streams, folders of such folders, their files, or files of
    other tools; on the page runs come first and trainings last. Without ``out_dir``, the report of one path
    goes there or beside it, that of a folder of results into its folder ``report``. An existing file stays
    whole until a complete new file replaces it. With ``png``, each plot is also written as PNG. What cannot
    be read below a folder is told and left out.

    Raises:
        UserError: a named result cannot be read, the report cannot be written, several results have no
            ``out_dir``, or named runs are of different machines without ``any_machine``.
    """
    if not paths:
        raise UserError(
            "nothing to report on; give a run's folder, a journal or a file of another tool, or --latest"
        )
    if len(paths) > 1 and out_dir is None:
        raise UserError("several results make one report; name its folder with --out DIR")
    results = load_results(paths, complain)
    folder = out_dir or (paths[0] if paths[0].is_dir() else paths[0].parent)
    if out_dir is None and holds_results(paths[0]) and not sweep_of(paths[0]):
        folder /= "report"  # so that a folder of results holds nothing else
    paths = [*results.loaded]
    prefixes = {path: f"{n}-" if len(paths) > 1 else "" for n, path in enumerate(paths, start=1)}
    ordered = sorted(results.loaded.items(), key=lambda item: ORDER.index(kind_of(item[0])))
    named = [run for path in results.selection.named for run in results.runs.get(path, ())]
    if len(results.selection.named) > 1:
        named = [machine for run in named for machine in run.machines or (run,)]
    if not any_machine and (differences := different_machines(named)):
        raise UserError(
            f"the runs are of different machines ({', '.join(differences)}), so their times do not compare; "
            "report them one by one, or together with --any-machine"
        )
    articles: dict[Path, Article] = {}
    images: dict[str, bytes] = {}
    value_files = wording.listing(list(dict.fromkeys(VALUES[kind_of(path)] for path, _ in ordered)))
    try:
        (folder / PLOTS).mkdir(parents=True, exist_ok=True)
        for n, (path, result) in enumerate(ordered, start=1):
            anchor, prefix = f"result-{n}", prefixes[path]
            if isinstance(result, Run):
                map_name = map_beside(result, (run for run, *_ in results.runs.values()))
                refinements = results.runs[path][1:]
                articles[path] = run_article(
                    result, anchor=anchor, prefix=prefix, refinements=refinements, map_beside=map_name
                )
            elif isinstance(result, TrainResult):
                articles[path], new_images = training_article(result, folder, anchor, prefix=prefix)
                images |= new_images
            elif isinstance(result, StreamAnswer):
                articles[path] = result.article(anchor, prefix)
            else:
                articles[path] = tool_article(result, path.name, anchor, prefix=prefix)
            images |= _write_plots(articles[path], folder / PLOTS, png)
        articles = dict(zip(articles, told_apart([*articles.values()]), strict=True))
        content = content_of([*articles.values()])
        content["banners"] += results.selection.copy_lines
        banners = [printable(banner) for banner in content["banners"]]
        content["banners"] += [f"Not on this page: {line}" for line in results.selection.unread]
        content["files"] = FILES_NOTE.format("the journal and in values.csv" if results.runs else value_files)
        write_atomic(folder / PAGE, page.render_html(content, images).encode())
        write_atomic(folder / MARKDOWN, page.render_markdown(content).encode())
    except OSError as error:
        raise UserError(f"cannot write {error.filename}: {error.strerror}; choose another --out") from error
    for n, (path, (run, *refining)) in enumerate(results.runs.items(), start=1):
        write_values_csv(run, folder / ("values.csv" if len(results.runs) == 1 else f"values-{n}.csv"))
        for k, refinement in enumerate(refining, start=1):
            write_values_csv(refinement, folder / f"values-{prefixes[path]}refine-{k}.csv")
    return Report(
        page=folder / PAGE,
        results=results,
        summaries={path: articles[path].summary for path in paths},
        banners=banners,
        differences={path: article.difference for path, article in articles.items()},
    )


def load_results(paths: Sequence[Path], tell: Say) -> Results:
    """Load results and their refinements; tell what cannot be read below a folder of results.

    Raises:
        UserError: a named result cannot be read, or nothing can.
    """
    results = Results({}, {}, selection := find_results(paths))
    readers: dict[Kind, Callable[[Path], Saved | TrainResult | StreamAnswer]] = {
        "measured": partial(load_saved, unread=selection.unread),
        "training": load_result,
        "stream": load_streamed,
    }

    def load(path: Path, read: Callable[[Path], Loaded], place: Path) -> Loaded | None:
        """Return the result ``path`` or a part of it; None if that cannot be read, and was not named."""
        try:
            return read(place)
        except UserError as error:
            if path in selection.named:
                raise
            selection.unread.append(str(error))
            return None

    for path in selection.paths:
        read = readers[kind_of(path)]
        result = load(path, read, path)
        if result is not None:
            results.loaded[path] = result
        if isinstance(result, Run):
            refinements = (load(path, load_run, folder) for folder in refinement_folders(path))
            results.runs[path] = (result, *filter(None, refinements))
    for line in selection.unread:
        tell(line)
    if not results.loaded:
        raise UserError(f"nothing in {wording.listing(list(map(str, paths)))} can be read")
    return results


def headline(run: Run, refinements: Sequence[Run] = ()) -> str:
    """Return the answer in plain English for a terminal, in lines without markup."""
    return printable("\n".join(answer.terminal_lines(Facts.of(run, refinements))))


def content_of(articles: Sequence[Article]) -> dict[str, Any]:
    """Return the content for both templates."""
    rows = [
        (
            Cell(article.name, article.difference, link=article.anchor),
            Cell(article.machine),
            *article.overview,
        )
        for article in articles
        if article.overview
    ]
    cells = list(dict.fromkeys(cell for article in articles for cell in article.cells))
    cells = cells or [("a", "recurrent net")]  # other tools tell of none
    subjects = [" ".join(cell) for cell in cells] if len(cells) > 1 else [f"this {name}" for _, name in cells]
    return {
        "articles": articles,
        "banners": _machine_warnings(articles),
        "overview": overview_table(rows) if len(rows) > 1 else None,
        "by_machine": machine_tables([article.facts for article in articles if article.facts]),
        "question": f"NumPy or PyTorch for {wording.listing(subjects, len(subjects))}?",
        "files": "",
    }


def _machine_warnings(articles: Sequence[Article]) -> list[str]:
    """Return a warning if the results are of different machines; empty if not."""
    facts: dict[str, dict[str, None]] = {}
    for article in articles:
        for name, values in article.machine_facts.items():
            facts.setdefault(name, {}).update(dict.fromkeys(filter(None, values)))
    differences = [
        f"{name}: {wording.listing([wording.short(value) for value in values])}"
        for name, values in facts.items()
        if len(values) > 1
    ]
    if not differences or len(articles) < 2:
        return []
    return [
        f"These results are of different machines ({'; '.join(differences)}), so their times do not compare."
    ]


def _write_plots(article: Article, folder: Path, png: bool) -> dict[str, bytes]:
    """Write every plot into its file; return the SVGs by name, including those for narrow screens."""
    images = {}
    for drawing in article.pictures:
        if not isinstance(drawing, Drawing):
            continue
        files = plots.draw(drawing.draw(), ("svg", "png") if png else ("svg",))
        for kind, content in files.items():
            write_atomic(folder / f"{drawing.stem}.{kind}", content)
        images[drawing.stem] = files["svg"]
        images[drawing.stem + page.NARROW] = plots.draw(drawing.draw(narrow=True))["svg"]
    return images
