"""The report's files: complete in themselves, safe against any name, and always the same bytes."""

import base64
import hashlib
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import pytest
from journals import example_records
from msgspec.structs import replace
from reports import Reader, facts_of, table_rows, write_run

from bench.machine.errors import UserError
from bench.records.journal import load_run
from bench.records.record import AnyRecord, Arm, Environment, Missing, Plan
from bench.reporting import answer, page
from bench.reporting.build import build_report, write_report

HOSTILE = "<script>alert(1)</script>|`*_[x](javascript:1)&\"' $a$ --> \u202e\x07\nnext"


@pytest.fixture(scope="module")
def run_folder(default_page: Path) -> Path:
    assert default_page.name == "report.html"
    return default_page.parent


def test_all_files_stand_beside_the_journal(run_folder: Path) -> None:
    assert {path.name for path in run_folder.iterdir()} == {
        *("journal.jsonl", "report.html", "report.md", "values.csv", "plots")
    }
    stems = {path.stem for path in (run_folder / "plots").iterdir()}
    assert "1-train_step-positional" in stems
    assert "ladder" in stems
    assert {path.suffix for path in (run_folder / "plots").iterdir()} == {".svg"}
    for stem in stems:
        ET.parse(run_folder / "plots" / f"{stem}.svg")


def test_plots_are_there_as_png_too_where_that_is_asked_for(tmp_path: Path) -> None:
    folder = write_run(tmp_path, example_records(quick=True))
    write_report([folder], None, png=True)
    pngs = [path for path in (folder / "plots").iterdir() if path.suffix == ".png"]
    assert len(pngs) == len(list((folder / "plots").glob("*.svg"))) > 1
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pngs)


def test_the_page_needs_nothing_but_itself_and_runs_no_script_but_its_own(run_folder: Path) -> None:
    text = (run_folder / "report.html").read_text(encoding="utf-8")
    reader = Reader(text)
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


def test_the_page_reads_without_seeing_it(run_folder: Path) -> None:
    reader = Reader((run_folder / "report.html").read_text(encoding="utf-8"))
    levels = [int(tag[1]) for tag, _ in reader.tags if re.fullmatch(r"h\d", tag)]
    assert levels.count(1) == 1
    assert all(below <= above + 1 for above, below in pairwise([0, *levels]))  # no level is skipped
    said = {str(image["alt"]) for image in reader.all("img")}
    assert len(said) > 5
    assert any("numpy-batched 101 µs, baseline" in text for text in said)
    assert any("torch-rnn 362 µs, 3.64 [3.59, 3.70]" in text for text in said)
    assert reader.all("html") == [{"lang": "en"}]
    assert all(cell.get("scope") in ("col", "row") for cell in reader.all("th"))
    assert len(reader.all("caption")) == len(reader.all("table")) > 8


def test_every_picture_of_the_page_is_the_one_beside_it(run_folder: Path) -> None:
    reader = Reader((run_folder / "report.html").read_text(encoding="utf-8"))
    sources = [str(image["src"]).partition("base64,")[2] for image in reader.all("img")]
    files = [path.read_bytes() for path in (run_folder / "plots").glob("*.svg")]
    assert sorted(map(base64.b64decode, sources)) == sorted(files)


def test_page_and_markdown_open_with_the_same_answer(run_folder: Path) -> None:
    hero = answer.hero(facts_of(load_run(run_folder)))
    sentences = [hero.title, *hero.small, *(text for _, text in hero.facts)]
    text = " ".join(Reader((run_folder / "report.html").read_text(encoding="utf-8")).text.split())
    markdown = (run_folder / "report.md").read_text(encoding="utf-8")
    for sentence in sentences:
        assert " ".join(sentence.split()) in text
        assert page.escape_markdown(sentence) in markdown
    assert text.index(" ".join(sentences[0].split())) < text.index("Training step, positional input")


def test_both_forms_hold_every_row(run_folder: Path) -> None:
    text = " ".join(Reader((run_folder / "report.html").read_text(encoding="utf-8")).text.split())
    rows = table_rows((run_folder / "report.md").read_text(encoding="utf-8"))
    for cells in rows:
        for cell in cells:
            plain = re.sub(r"\\(.)", r"\1", cell).strip()
            for part in re.split(r" [\[(]|: |, ", plain):
                assert part.strip("[(])-: ") in text
    assert sum(cells[0].strip().startswith("torch-rnn") for cells in rows) >= 6


def hostile(records: list[AnyRecord]) -> list[AnyRecord]:
    """The same records with a name that would break out of any format that does not escape it."""

    def spoiled(arm: Arm) -> Arm:
        return replace(arm, variant=HOSTILE) if arm.variant == "torch-autograd" else arm

    made: list[AnyRecord] = []
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
        made.append(record)
    return made


def test_no_name_breaks_out_of_html_markdown_or_svg(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", hostile(example_records(quick=True, broken=True)))
    reader = Reader(build_report([folder], None).read_text(encoding="utf-8"))
    assert [tag for tag, _ in reader.tags].count("script") == 1  # its own
    assert "alert(1)" in reader.text  # it is there, as text
    markdown = (folder / "report.md").read_text(encoding="utf-8")
    assert "alert(1)" in markdown
    assert not re.search(r"(?<!\\)<|(?<!\\)`|(?<!\\)\]\(javascript", markdown)
    widths = [len(cells) for cells in table_rows(markdown)]
    tidy = [len(cells) for cells in table_rows(escaped_nothing(folder))]
    assert widths == tidy
    for path in (folder / "plots").glob("*.svg"):
        assert not [element for element in ET.parse(path).iter() if element.tag.endswith("script")]


def escaped_nothing(folder: Path) -> str:
    """The Markdown of the same run under harmless names."""
    other = write_run(folder.parent / "tidy", example_records(quick=True, broken=True))
    build_report([other], None)
    return (other / "report.md").read_text(encoding="utf-8")


def test_escaping_can_fail() -> None:
    """The checks above see what is not escaped."""
    assert len(table_rows(f"| {HOSTILE.splitlines()[0]} |")[0]) > 1
    assert "script" in {tag for tag, _ in Reader(f"<p>{HOSTILE}</p>").tags}
    with pytest.raises(AssertionError):
        Reader("<p><b>torn</p>")


def test_the_same_journal_gives_the_same_bytes(run_folder: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from bench.reporting.build import build_report, write_report; "
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
    for paths, out, said in (
        ([], None, "nothing to report on"),
        ([tmp_path / "absent"], None, "cannot read"),
        ([tmp_path / "absent.json"], None, "cannot read"),
        ([run_folder], tmp_path / "file", "choose another --out"),
    ):
        with pytest.raises(UserError, match=said) as caught:
            build_report(paths, out)
        assert "\n" not in str(caught.value)
