"""The site of docs: it has every page, links and pictures hold, it builds and loads nothing from outside."""

import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli.main import build_parser

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
HOOK = runpy.run_path(str(DOCS / "site_hook.py"))
NAV = re.findall(r"^ +- [^:]+: (\S+)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
FILES = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.*") if "__pycache__" not in path.parts}
SITE = FILES | set(NAV)
OTHER_MACHINE = "crossover_h200.png"  # a GPU's, which make figures cannot draw everywhere


def source(page: str) -> str:
    """The text of a page's own file."""
    return (ROOT / HOOK["ELSEWHERE"].get(page, f"docs/{page}")).read_text(encoding="utf-8")


def test_the_site_has_every_page_once_and_no_other():
    assert len(NAV) > 15
    assert sorted(NAV) == sorted({*HOOK["ELSEWHERE"], *(file for file in FILES if file.endswith(".md"))})


def test_the_readme_links_the_page_of_each_use():
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    (uses,) = re.findall(r"^  - Use it:\n((?:      - .*\n)+)", text, re.MULTILINE)
    pages = re.findall(r": (\S+)\n", uses)
    assert len(pages) > 8
    readme = source("index.md")
    assert not [
        page for page in pages if f"](docs/{page.replace('notebook.md', 'notebook.ipynb')}" not in readme
    ]


@pytest.mark.parametrize("page", NAV)
def test_links_of_a_page_lead_to_files_of_the_site_or_of_the_repository(page):
    text = HOOK["linked"](source(page), page, SITE, "https://host/me/rnnbench")
    folder = DOCS / page
    for target in re.findall(r"(?<!`)\]\(([^)#\s]+)[^)\s]*\)", text):
        if target.startswith("https://host/me/rnnbench/blob/HEAD/"):
            assert (ROOT / target.split("HEAD/")[1]).exists(), target
        elif not target.startswith("https:"):
            assert os.path.relpath(folder.parent / target, DOCS) in SITE, target


@pytest.mark.parametrize(
    ("page", "text", "linked", "without"),
    [
        ("index.md", "[a\nb](docs/method.md#c)", "[a\nb](method.md#c)", None),
        ("index.md", "![a](docs/images/limits.png)", "![a](images/limits.png)", None),
        ("teaching/assignment.md", "[a](../../CHANGELOG.md)", "[a](../changelog.md)", None),
        ("verify.md", "[a](notebook.ipynb)", "[a](notebook.md)", None),
        ("method.md", "[a.py](../bench/data.py)", "[a.py](U/blob/HEAD/bench/data.py)", "`a.py`"),
        ("method.md", "[`a`](../bench/api/)", "[`a`](U/blob/HEAD/bench/api)", "`a`"),
        ("method.md", "[two words](../LICENSE)", "[two words](U/blob/HEAD/LICENSE)", "two words"),
        ("method.md", "[a](#here) [b](https://c/d)", "[a](#here) [b](https://c/d)", None),
        ("method.md", "`[a](../b.py)`", "`[a](../b.py)`", None),
        ("method.md", "```\n[a](../b.py)\n```", "```\n[a](../b.py)\n```", None),
    ],
)  # fmt: skip
def test_a_link_leads_to_the_page_or_to_the_repository_where_that_has_an_address(page, text, linked, without):
    assert HOOK["linked"](text, page, SITE, "U/") == linked
    assert HOOK["linked"](text, page, SITE, "") == (linked if without is None else without)


def test_a_notebook_is_its_cells_with_the_best_form_of_each_output():
    page = HOOK["notebook"](source("notebook.md"))
    assert "# rnnbench in a notebook" in page
    assert "```python\nimport bench\n```" in page
    assert page.count('<table border="1" class="dataframe">') > 1
    assert "![A picture](data:image/png;base64," in page
    assert "```text\nA loss of" in page


def test_every_picture_is_shown_and_made_by_make_figures_but_that_of_another_machine():
    shown = {
        Path(picture).name for page in NAV for picture in re.findall(r"!\[[^]]*]\(([^)]+)\)", source(page))
    }
    code = (DOCS / "figures.py").read_text(encoding="utf-8")
    made = set(re.findall(r'^    "(\w+\.\w+)": "', code, re.MULTILINE))
    assert shown == made | {OTHER_MACHINE} == {path.name for path in (DOCS / "images").iterdir()}


@pytest.mark.parametrize("page", [page for page in NAV if page in FILES and "/" not in page])
def test_commands_of_a_page_are_understood(page):
    for block in re.findall(r"^```sh\n(.*?)^```", source(page), re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("rnnbench "):
                build_parser().parse_args(shlex.split(line, comments=True)[1:])


def test_it_builds_without_warnings_and_loads_nothing_from_elsewhere(tmp_path):
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONDONTWRITEBYTECODE": ""}  # with what it leaves
    built = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    pages = {
        page.relative_to(tmp_path).as_posix(): page.read_text("utf-8") for page in tmp_path.rglob("*.html")
    }
    names = {page.replace("README.md", "index.md").replace(".md", ".html") for page in NAV}
    assert set(pages) == names | {"404.html"}
    for page in ("contributing.html", "teaching/index.html"):
        steps = re.findall(r"<ol>.*?</ol>", pages[page], re.DOTALL)
        assert any("<pre" in step for step in steps), page  # code inside of a step
    for text in pages.values():
        assert not re.search(r"""<(?:script|img|link|iframe)[^>]*(?:src|href)=["']?(?:https?:)?//""", text)
    kept = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert {"teaching/starter_rnn.py", "teaching/answers_lstm.py", "notebook.ipynb"} <= kept
    assert not {"validity.json", "figures.py", "site_hook.py"} & kept
    assert not any("__pycache__" in path for path in kept)
