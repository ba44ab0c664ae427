"""The report's files: complete in themselves, safe against any name, always the same bytes."""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from grids import crossing_at, grid_plan, records_of, with_ratio, write_grid
from journals import example_records
from msgspec.structs import replace
from reports import Reader, facts_of, table_rows, write_run

from bench.machine.errors import UserError
from bench.records.journal import load_run
from bench.records.record import AnyRecord, Arm, Environment, Missing, Plan
from bench.records.run import Run, make_run
from bench.reporting import answer, page
from bench.reporting.build import build_report, headline, write_report
from bench.reporting.facts import map_beside

HOSTILE = "<script>alert(1)</script>|`*_[x](javascript:1)&\"' $a$ --> \u202e\x07\nnext"
GRID_MACHINE = {"processor": "Example CPU 9000", "cpus": 2, "usable_cpus": 2}


@pytest.fixture(scope="module")
def run_folder(default_page: Path) -> Path:
    assert default_page.name == "report.html"
    return default_page.parent


@pytest.fixture(scope="module")
def reader(default_page: Path) -> Reader:
    return Reader(default_page.read_text(encoding="utf-8"))


def test_all_files_stand_beside_the_journal(run_folder: Path, reader: Reader) -> None:
    names = ("journal.jsonl", "report.html", "report.md", "values.csv", "plots")
    assert {path.name for path in run_folder.iterdir()} == set(names)
    plots = list((run_folder / "plots").iterdir())
    assert {"1-train_step-positional.svg", "ladder.svg"} <= {path.name for path in plots}
    for path in plots:
        assert path.suffix == ".svg"
        ET.parse(path)
    # every picture of the page is the one beside it
    sources = [str(image["src"]).partition("base64,")[2] for image in reader.all("img")]
    assert sorted(map(base64.b64decode, sources)) == sorted(path.read_bytes() for path in plots)


def test_plots_are_there_as_png_too_where_that_is_asked_for(tmp_path: Path) -> None:
    folder = write_run(tmp_path, example_records(quick=True))
    write_report([folder], None, png=True)
    pngs = [path for path in (folder / "plots").iterdir() if path.suffix == ".png"]
    assert len(pngs) == len(list((folder / "plots").glob("*.svg"))) > 1
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pngs)


def test_the_page_needs_nothing_but_itself_and_runs_no_script_but_its_own(
    default_page: Path, reader: Reader
) -> None:
    text = default_page.read_text(encoding="utf-8")
    policy = next(meta for meta in reader.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    allowed = dict(part.strip().split(" ", 1) for part in str(policy["content"]).split(";"))
    (script,) = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert allowed == {
        **dict.fromkeys(("default-src", "base-uri", "form-action"), "'none'"),
        "img-src": "data:",
        "style-src": "'unsafe-inline'",
        "script-src": f"'sha256-{digest}'",
    }
    assert not {"link", "iframe", "object", "form", "svg"} & {tag for tag, _ in reader.tags}
    images = [*reader.all("img"), *reader.all("source")]
    assert all(str(one.get("src") or one.get("srcset")).startswith("data:image/") for one in images)
    rest = re.sub(r'(href|src|srcset)="data:[^"]*"', "", text.replace(script, ""))
    assert not re.search(r"url\(|@import|\son\w+=|https?:", rest)


def test_the_page_reads_without_seeing_it(reader: Reader) -> None:
    levels = [int(tag[1]) for tag, _ in reader.tags if re.fullmatch(r"h\d", tag)]
    assert levels.count(1) == 1
    assert all(below <= above + 1 for above, below in pairwise([0, *levels]))  # no level is skipped
    texts = {str(image["alt"]) for image in reader.all("img")}
    assert len(texts) > 5
    assert any("numpy-batched 101 µs, baseline" in text for text in texts)
    assert any("torch-layer 362 µs, 3.64 [3.59, 3.70]" in text for text in texts)
    assert reader.all("html") == [{"lang": "en"}]
    assert all(cell.get("scope") in ("col", "row") for cell in reader.all("th"))
    assert len(reader.all("caption")) == len(reader.all("table")) > 8


def test_terminal_page_and_markdown_have_the_same_answer_and_every_row(
    run_folder: Path, reader: Reader
) -> None:
    run = load_run(run_folder)
    hero, text, printed = answer.hero(facts_of(run)), " ".join(reader.text.split()), headline(run)
    markdown = (run_folder / "report.md").read_text(encoding="utf-8")
    for sentence in (hero.title, *hero.small, *(text for _, text in hero.facts)):
        assert " ".join(sentence.split()) in text
        assert page.escape_markdown(sentence) in markdown
        assert printed.count(sentence) == 1
    assert text.index(hero.title) < text.index("Training step, positional input")
    rows = table_rows(markdown)
    for cell in (cell for cells in rows for cell in cells):
        plain = re.sub(r"\\(.)", r"\1", cell).strip()
        for part in re.split(r" [\[(]|: |, ", plain):
            assert part.strip("[(])-: ") in text
    assert sum(cells[0].strip().startswith("torch-layer") for cells in rows) >= 6


# any name


def hostile(records: list[AnyRecord]) -> list[AnyRecord]:
    """The same records with a name that would break out of any format that does not escape it."""

    def spoiled(arm: Arm) -> Arm:
        return replace(arm, variant=HOSTILE) if arm.variant == "torch-autograd" else arm

    changed: list[AnyRecord] = []
    for record in records:
        if isinstance(record, Plan):
            arms, missing = [spoiled(arm) for arm in record.arms], [Missing(HOSTILE, HOSTILE)]
            ladder = [replace(rung, change=HOSTILE) for rung in record.ladder]
            record = replace(record, run=HOSTILE, arms=arms, missing=missing, ladder=ladder)
            record = replace(record, command=["rnnbench", HOSTILE])
        elif isinstance(record, Environment):
            machine = {**record.machine, "processor": HOSTILE}
            record = replace(record, machine=machine, dropped={"OMP_X": HOSTILE}, warnings=[HOSTILE])
        elif hasattr(record, "stderr"):
            record = replace(record, reason=HOSTILE, stderr=HOSTILE)
        changed.append(record)
    return changed


def test_no_name_breaks_out_of_html_markdown_or_svg(tmp_path: Path) -> None:
    records = example_records(quick=True, broken=True)
    folder, tidy = write_run(tmp_path / "run", hostile(records)), write_run(tmp_path / "tidy", records)
    reader = Reader(build_report([folder], None).read_text(encoding="utf-8"))
    build_report([tidy], None)
    assert [tag for tag, _ in reader.tags].count("script") == 1  # its own
    assert "alert(1)" in reader.text  # it is there, as text
    markdown, harmless = ((one / "report.md").read_text(encoding="utf-8") for one in (folder, tidy))
    assert "alert(1)" in markdown
    assert not re.search(r"(?<!\\)<|(?<!\\)`|(?<!\\)\]\(javascript", markdown)
    assert list(map(len, table_rows(markdown))) == list(map(len, table_rows(harmless)))
    for path in (folder / "plots").glob("*.svg"):
        assert not [element for element in ET.parse(path).iter() if element.tag.endswith("script")]


def test_escaping_can_fail() -> None:
    """The checks above see what is not escaped."""
    assert len(table_rows(f"| {HOSTILE.splitlines()[0]} |")[0]) > 1
    assert "script" in {tag for tag, _ in Reader(f"<p>{HOSTILE}</p>").tags}
    with pytest.raises(AssertionError):
        Reader("<p><b>torn</p>")


def test_the_same_journal_gives_the_same_bytes(run_folder: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from bench.reporting.build import build_report; "
        "build_report([Path(sys.argv[1])], Path(sys.argv[2]))"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}
    command = [sys.executable, "-c", script, str(run_folder), str(tmp_path)]
    subprocess.run(command, check=True, timeout=60, env=environment)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) == 3 + len(list((run_folder / "plots").iterdir()))
    for path in written:
        assert path.read_bytes() == (run_folder / path.relative_to(tmp_path)).read_bytes()


def test_what_cannot_be_read_or_written_is_said_in_one_line(run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for paths, out, error in (
        ([], None, "nothing to report on"),
        ([tmp_path / "absent"], None, "cannot read"),
        ([tmp_path / "absent.json"], None, "cannot read"),
        ([run_folder], tmp_path / "file", "choose another --out"),
    ):
        with pytest.raises(UserError, match=error) as caught:
            build_report(paths, out)
        assert "\n" not in str(caught.value)


# several results


def benchmark_file(path: Path) -> Path:
    """Two benchmarks as pytest-benchmark saves them."""
    shape = {"T": 6, "B": 128, "I": 6, "H": 32, "O": 8}
    own = {"device": "cpu", "task": "train_step", "layout": "positional", "dtype": "float32", "shape": shape}

    def one(variant: str, s: float) -> dict[str, Any]:
        extra = {**own, "threads": 1, "variant": variant, "library": variant.partition("-")[0]}
        stats = {"median": s, "iqr": s / 9, "min": s / 2, "max": s * 2, "rounds": 1200, "iterations": 1}
        return {"name": f"test[{variant}]", "group": "train_step", "extra_info": extra, "stats": stats}

    info = {"cpu": {"brand_raw": "Bench CPU", "count": 4}, "numpy": "2.4.6", "blas_kernel": "SkylakeX"}
    benchmarks = [one("numpy-batched", 100e-6), one("torch-layer", 365e-6)]
    path.write_text(json.dumps({"machine_info": info, "benchmarks": benchmarks, "datetime": "2026-01-02"}))
    return path


def of_machine(records: list[AnyRecord], **facts: Any) -> list[AnyRecord]:
    """The records, told from the machine of the grids, or one that differs from it."""
    machine = {**GRID_MACHINE, **facts}
    return [replace(r, machine=machine) if isinstance(r, Environment) else r for r in records]


def runs(folder: Path, count: int = 2) -> list[Path]:
    return [write_run(folder / f"{n}", of_machine(example_records(quick=True, seed=n))) for n in range(count)]


@pytest.mark.usefixtures("unrendered")
def test_several_results_get_a_section_each_and_a_table_across(tmp_path: Path) -> None:
    path = build_report([*runs(tmp_path), benchmark_file(tmp_path / "saved.json")], tmp_path / "out")
    reader = Reader(path.read_text(encoding="utf-8"))
    assert [article["id"] for article in reader.all("article")] == ["result-1", "result-2", "result-3"]
    links = [str(link["href"]) for link in reader.all("a")]
    assert all(links.count(f"#result-{number}") == 3 for number in (1, 2, 3))  # answers, table, contents
    assert {link[1:] for link in links if link[0] == "#"} <= {
        str(known.get("id")) for _, known in reader.tags
    }
    order = ("NumPy measured", "Results side by side", "On this machine")
    assert sorted(order, key=reader.text.index) == list(order)
    assert {path.name for path in (tmp_path / "out").glob("*.csv")} == {"values-1.csv", "values-2.csv"}
    rows = {cells[0].strip(): cells for cells in table_rows((path.parent / "report.md").read_text())}
    assert [cell.strip() for cell in rows["saved.json"][1:3]] == [
        "Bench CPU, 4 processors",
        "3.65: no interval",
    ]


@pytest.mark.usefixtures("unrendered")
def test_a_map_is_pointed_to_and_is_no_line_of_the_table_across(tmp_path: Path) -> None:
    one, other = runs(tmp_path)
    map_ = write_grid(tmp_path / "map", records_of(grid_plan(batch=(1,)), with_ratio(crossing_at(300.0))))
    out = tmp_path / "out"
    build_report([one, map_], out)
    for name in ("report.html", "report.md"):
        text = " ".join((out / name).read_text(encoding="utf-8").split())
        assert "the map on this page (grid)" in text
        assert "rnnbench run --preset grid" not in re.sub("</?code>", "", text)
        assert "Results side by side" not in text
    build_report([one, map_, other], out)
    rows = table_rows((out / "report.md").read_text(encoding="utf-8"))
    assert [cells[0].strip() for cells in rows[2:4]] == ["example-0-quick", "example-1-quick"]


def test_only_a_map_of_the_same_work_on_the_same_machine_is_pointed_to() -> None:
    def grid_of(**wishes: Any) -> Run:
        return make_run(records_of(grid_plan(**{"batch": (1,), **wishes}), with_ratio(crossing_at(300.0))))

    run, other = (
        make_run(of_machine(example_records(), processor=name))
        for name in (GRID_MACHINE["processor"], "Another CPU")
    )
    assert map_beside(run, [run, grid_of()]) == "grid"
    assert map_beside(run, [run]) == map_beside(other, [other, grid_of()]) == ""
    for wishes in ({"task": ("forward",)}, {"features": (7,)}, {"hidden": (32,)}):  # one size is no map
        assert map_beside(run, [run, grid_of(**wishes)]) == ""


@pytest.mark.usefixtures("unrendered")
def test_the_machine_of_several_results_is_told_once_unless_they_differ(tmp_path: Path) -> None:
    def places(*folders: Path) -> list[int]:
        text = build_report(list(folders), tmp_path / "out", any_machine=True).read_text(encoding="utf-8")
        where = re.findall('<p class="where">(.*)</p>', text)
        return [len(re.findall("Example CPU 9000|Another CPU", place)) for place in where]

    one, same = runs(tmp_path)
    records = of_machine(example_records(quick=True, seed=3), processor="Another CPU")
    assert places(one, same) == [1, 0, 0, 0, 0]
    assert places(one, write_run(tmp_path / "other", records)) == [1] * 4
