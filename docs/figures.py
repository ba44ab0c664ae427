"""Measures the figures of README.md and docs/findings.md and writes them there: ``make figures``.

The default run, the grid, its refinement, a training and the three cells, one after the other, about half
an hour; then one report of them all, whose sentences, tables and pictures go
into the pages between ``<!-- figures: NAME -->`` and ``<!-- end -->``. With ``--from FOLDER`` nothing is
measured: the results that are saved there are written into the pages, those of the cells also where there
are no others.
"""

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from bench.machine import wording
from bench.records.journal import load_run
from bench.records.run import Run
from bench.reporting.article import run_article
from bench.reporting.build import write_report
from bench.reporting.page import escape_markdown
from bench.reporting.section import Article, Section, TextTable
from bench.training import load_result
from bench.workload.case import Shape

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", ROOT / "docs" / "findings.md")
IMAGES = ROOT / "docs" / "images"
MEASURED = ("run", "grid", "train", "cells")  # the folders of the results
# picture in docs/images -> where the report has it; crossover_h200.png is of another machine, with a GPU
PICTURES = {
    "train_step_positional.png": "report/plots/1-1-train_step-positional.png",
    "limits.png": "report/plots/1-limits.png",
    "breakeven.png": "report/plots/1-breakeven.png",
    "crossover.png": "report/plots/2-map-1.png",
    "training_loss.png": "report/plots/3-loss.png",
    "training.gif": "train/animation.gif",
}


def main() -> None:
    """Measure, unless told where the results are; report; write the pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="saved", type=Path, metavar="FOLDER", help="results to write from")
    saved = parser.parse_args().saved
    folder = saved or ROOT / "results" / "figures"
    if saved is None and folder.exists():
        parser.exit(
            2, f"{folder} is there: write the pages from it (--from {folder}), or move it away first\n"
        )
    if saved is None:
        measure(folder)
    if not folder.is_dir():
        parser.exit(2, f"--from {folder}: there is no such folder\n")
    texts = {"cells": bullets(answer(run_article(load_run(folder / "cells"))))}
    if all((folder / name).exists() for name in MEASURED):
        write_report([folder / name for name in MEASURED], folder / "report", png=True)
        for name, source in PICTURES.items():
            shutil.copyfile(folder / source, IMAGES / name)
        texts |= blocks(folder)
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8"), texts), encoding="utf-8")


def measure(folder: Path) -> None:
    """Everything, on the CPU alone, so that the figures are those of the machine that is named."""
    for command in (
        ("run", "--device", "cpu", "--budget", "300", "--out", str(folder / "run")),
        ("run", "--preset", "grid", "--device", "cpu", "--out", str(folder / "grid")),
        ("run", "--refine", str(folder / "grid"), "--budget", "240"),
        ("train", "--out", str(folder / "train")),
        ("run", "--preset", "cells", "--device", "cpu", "--out", str(folder / "cells")),
    ):
        subprocess.run([sys.executable, "-m", "bench", *command], check=True)


def blocks(folder: Path) -> dict[str, str]:
    """What stands between the marks, by name, but for the cells."""
    run = load_run(folder / "run")
    grid = load_run(folder / "grid")
    shown = run_article(run)
    refinements = [load_run(path) for path in sorted((folder / "grid").glob("refine-*"))]
    sizes = run_article(grid, refinements=refinements)
    in_grid, refined = shapes([grid]), shapes(refinements)
    ladder = section(shown, "ladder")
    packages = run.environment.machine["packages"]
    machine = f"{shown.machine}, no GPU; NumPy {packages['numpy']}, PyTorch {packages['torch']}"
    why = [*section(shown, "limits").lead[:2], *section(shown, "breakeven").lead[:2]]
    turns = section(sizes, "crossover").lead[:2]
    counted = f"{len(in_grid)} sizes of the grid and {len(refined - in_grid)} that its refinement added."
    return {
        "answer": f"On {machine}:\n\n" + bullets([*answer(shown), f"{turns[0]} ({counted})"]),
        "ladder": bullets(ladder.lead),
        "ladder-table": table(ladder.tables[0]),
        "answers": bullets([*why, *answer(sizes)]),
        "training": bullets(load_result(folder / "train").summary().splitlines()[:2]),
    }


def shapes(runs: Iterable[Run]) -> set[Shape]:
    """Return the sizes that runs have measured."""
    return {group.entries[0].case.shape for run in runs for group in run.plan.groups}


def answer(shown: Article) -> list[str]:
    """Return the answer of a page, a sentence a bullet, without the name of the machine."""
    hero = shown.hero
    named = ((f"{term}:".replace("?:", "?"), text) for term, text in hero.facts)
    return [f"{hero.title}: {'; '.join(hero.small)}", *(f"{term} {text}" for term, text in named)]


def section(shown: Article, name: str) -> Section:
    """A section of the page by its anchor."""
    return next(section for section in shown.sections if section.id == name)


def bullets(sentences: Iterable[str]) -> str:
    """A list in Markdown; the machine is named above it."""
    unnamed = (re.sub(r"^On this machine \([^)]*\), ", "", sentence) for sentence in sentences)
    return "\n".join(f"* {escape_markdown(wording.capital(sentence))}" for sentence in unnamed)


def table(cells: TextTable) -> str:
    """A table in Markdown, notes beside their cells."""
    lines = [[column.title for column in cells.columns]]
    lines.append(["--:" if column.number else "---" for column in cells.columns])
    lines += [[f"{cell.text} {cell.note}".strip() for cell in row] for row in cells.rows]
    return "\n".join("| " + " | ".join(map(escape_markdown, line)) + " |" for line in lines)


def filled(page: str, texts: dict[str, str]) -> str:
    """The page with each marked place filled anew for which there is a text."""

    def fill(place: re.Match[str]) -> str:
        name = place[1]
        return f"<!-- figures: {name} -->\n{texts[name]}\n<!-- end -->" if name in texts else place[0]

    return re.sub(r"<!-- figures: ([a-z-]+) -->\n.*?<!-- end -->", fill, page, flags=re.DOTALL)


if __name__ == "__main__":
    main()
