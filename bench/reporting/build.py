"""Write report.html, report.md, values.csv and plots from journals, trainings and files of other tools."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.machine import wording
from bench.machine.errors import UserError
from bench.machine.files import write_atomic
from bench.machine.wording import printable
from bench.records.folder import load_refinements
from bench.records.run import Run, different_machines
from bench.records.saved import load_saved
from bench.records.sealed import collector_paused
from bench.records.table import write_values_csv
from bench.records.training import is_training
from bench.reporting import answer, page, plots
from bench.reporting.article import run_article
from bench.reporting.facts import Facts, map_beside
from bench.reporting.other_tools import tool_article
from bench.reporting.section import Article, Cell, Drawing
from bench.reporting.tables import overview_table
from bench.reporting.training import training_article

HTML, MARKDOWN, PLOTS = "report.html", "report.md", "plots"
FILES_NOTE = "The raw values are in {}, the plots in the folder beside this page."


@dataclass(frozen=True, slots=True)
class Report:
    """Describe a report that was written."""

    page: Path
    answers: list[str]  # of each result, the text for a terminal
    banners: list[str]  # warnings about the results together
    disagrees: bool  # whether a result that claims to be correct was proved wrong


def build_report(paths: list[Path], out_dir: Path | None, *, any_machine: bool = False) -> Path:
    """Write the report as ``write_report`` does; return its HTML file."""
    return write_report(paths, out_dir, any_machine=any_machine).page


@collector_paused()
def write_report(
    paths: list[Path], out_dir: Path | None, *, any_machine: bool = False, png: bool = False
) -> Report:
    """Write the report of saved results, with an article for each.

    ``paths`` are folders of runs or trainings, journals, or files of other tools; trainings come last on the
    page. Without ``out_dir``, the report of one result goes beside the result. An existing file stays whole
    until a complete new file replaces it. With ``png``, each plot is also written as PNG.

    Raises:
        UserError: a result cannot be read, the report cannot be written, several results have no ``out_dir``,
            or runs are of different machines without ``any_machine``.
    """
    if not paths:
        raise UserError("nothing to report on; give a run's folder, a journal or a file of another tool")
    if len(paths) > 1 and out_dir is None:
        raise UserError("several results make one report; name its folder with --out DIR")
    prefixes = {path: f"{n}-" if len(paths) > 1 else "" for n, path in enumerate(paths, start=1)}
    saved = {path: load_saved(path) for path in paths if not is_training(path)}
    runs = {path: result for path, result in saved.items() if isinstance(result, Run)}
    refinements = {path: load_refinements(path) for path in runs}
    every_run = [*runs.values(), *(run for group in refinements.values() for run in group)]
    if not any_machine and (differences := different_machines(every_run)):
        raise UserError(
            f"the runs are of different machines ({', '.join(differences)}), so their times do not compare; "
            "report them one by one, or together with --any-machine"
        )
    folder = out_dir or (paths[0] if paths[0].is_dir() else paths[0].parent)
    articles: dict[Path, Article] = {}
    images: dict[str, bytes] = {}
    value_files = "training.jsonl and losses.csv" if not saved else "the files"
    try:
        (folder / PLOTS).mkdir(parents=True, exist_ok=True)
        for n, path in enumerate([*saved, *filter(is_training, paths)], start=1):
            anchor, prefix = f"result-{n}", prefixes[path]
            result = saved.get(path)
            if isinstance(result, Run):
                map_name = map_beside(result, runs.values())
                articles[path] = run_article(
                    result, anchor=anchor, prefix=prefix, refinements=refinements[path], map_beside=map_name
                )
            elif result is not None:
                articles[path] = tool_article(result, path.name, anchor, prefix=prefix)
            else:
                articles[path], new_images = training_article(path, folder, anchor, prefix=prefix)
                images |= new_images
            images |= _write_plots(articles[path], folder / PLOTS, png)
        content = content_of([*articles.values()])
        content["files"] = FILES_NOTE.format("the journal and in values.csv" if runs else value_files)
        write_atomic(folder / HTML, page.render_html(content, images).encode())
        write_atomic(folder / MARKDOWN, page.render_markdown(content).encode())
    except OSError as error:
        raise UserError(f"cannot write {error.filename}: {error.strerror}; choose another --out") from error
    for n, (path, run) in enumerate(runs.items(), start=1):
        write_values_csv(run, folder / ("values.csv" if len(runs) == 1 else f"values-{n}.csv"))
        for k, refinement in enumerate(refinements[path], start=1):
            write_values_csv(refinement, folder / f"values-{prefixes[path]}refine-{k}.csv")
    return Report(
        page=folder / HTML,
        answers=[printable("\n".join(articles[path].summary)) for path in paths if articles[path].summary],
        banners=[printable(banner) for banner in content["banners"]],
        disagrees=any(failure.status == "disagrees" for run in every_run for failure in run.failures),
    )


def headline(run: Run, refinements: Sequence[Run] = ()) -> str:
    """Return the answer in plain English for a terminal, in lines without markup."""
    return printable("\n".join(answer.terminal_lines(Facts.of(run, refinements))))


def content_of(articles: Sequence[Article]) -> dict[str, Any]:
    """Return the content for both templates."""
    rows = [
        (Cell(article.name, link=article.anchor), Cell(article.machine), *article.overview)
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
