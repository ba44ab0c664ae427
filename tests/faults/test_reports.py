"""F29, F35, F36: whatever a journal says and wherever it ends, its report renders and says so."""

import os
import random
import re
from pathlib import Path

import pytest
from journals import example_plan, example_records
from msgspec.structs import replace
from reports import Reader, write_run

from bench.cli.main import main
from bench.records.journal import FILE_NAME, load_run
from bench.records.record import AnyRecord, Arm, Burst, Decision, Environment, Failure, Missing, Plan
from bench.records.run import make_run
from bench.records.table import write_values_csv
from bench.reporting import page
from bench.reporting.article import run_article
from bench.reporting.build import content_of, headline
from bench.reporting.display import run_progress

PAYLOADS = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "{{ 7 * 7 }}{% raw %}",
    "[x](javascript:alert(1))",
    "![x](http://example.invalid/x.png)",
    "| a | b |\n| - | - |",
    "`code` *bold* _em_ # title",
    "\x1b[31mred\x1b]0;title\x07",
    "\x9b31m",
    "\u202eesrever",
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1+1",
    "$\\frac{1}{0}$",
    "]]><!--",
]
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def spoiled(payload: str) -> list[AnyRecord]:
    """The records of a broken run with the payload in every text that can be a stranger's."""
    made: list[AnyRecord] = []

    def arm(one: Arm) -> Arm:
        return replace(one, variant=payload) if one.variant == "torch-cell" else one

    for record in example_records(quick=True, broken=True):
        if isinstance(record, Plan):
            record = replace(
                record,
                run=payload,
                version=payload,
                preset=payload,
                started_utc=payload,
                command=["rnnbench", payload],
                arms=[arm(one) for one in record.arms],
                missing=[Missing(payload, payload)],
                ladder=[replace(rung, change=payload) for rung in record.ladder],
            )
        elif isinstance(record, Environment):
            machine = dict.fromkeys(record.machine, payload) | {"packages": {payload: payload}}
            numbers = {k: v for k, v in record.machine.items() if not isinstance(v, str | dict)}
            record = Environment(machine | numbers, {"A": payload}, {"B": payload}, {"C": payload}, [payload])
        elif isinstance(record, Failure):
            record = replace(record, reason=payload, stderr=payload)
        elif isinstance(record, Decision):
            record = replace(record, dropped_groups=[payload], dropped_arms=[payload])
        elif hasattr(record, "facts"):
            record = replace(record, facts={**record.facts, "version": payload, "kernel": payload})
        elif hasattr(record, "ended_utc"):
            record = replace(record, reason=payload)
        made.append(record)
    return made


def rendered(records: list[AnyRecord]) -> tuple[str, str, str]:
    """HTML, Markdown and the terminal's text of a run; no plots are drawn, which take long."""
    run = make_run(records)
    shown = run_article(run, anchor="result-1")
    content = content_of([shown])
    images = {drawing.stem: b"<svg/>" for drawing in shown.pictures}
    return page.render_html(content, images), page.render_markdown(content), headline(run)


def handlers(html: str) -> set[str]:
    """Attributes of any element that would run something."""
    return {name for _, attributes in Reader(html).tags for name in attributes if name.startswith("on")}


# --- F29: what a text says stays text


@pytest.mark.parametrize("payload", PAYLOADS)
def test_html_stays_text(payload: str) -> None:
    html, _, _ = rendered(spoiled(payload))
    assert html.count("<script") == 1  # its own
    assert html.count("</script") == 1
    assert not handlers(html)
    assert ("{{ 7 * 7 }}" in payload) == ("{{ 7 * 7 }}" in html)  # no template in a template


@pytest.mark.parametrize("payload", PAYLOADS)
def test_markdown_stays_text(payload: str) -> None:
    _, markdown, _ = rendered(spoiled(payload))
    tidy = rendered(example_records(quick=True, broken=True))[1]
    assert not re.search(r"(?<!\\)<(?!br>)[a-zA-Z/!]", markdown)
    assert not re.search(r"(?<!\\)\]\((?!plots/)", markdown)
    assert max(map(len, re.findall(r"(?m)^#+ ", markdown))) == max(map(len, re.findall(r"(?m)^#+ ", tidy)))
    assert markdown.count("\n| - ") == tidy.count("\n| - ")


@pytest.mark.parametrize("payload", [one for one in PAYLOADS if CONTROLS.search(one)])
@pytest.mark.parametrize("place", range(3), ids=["html", "markdown", "terminal"])
def test_control_characters_of_a_journal_are_not_shown(payload: str, place: int) -> None:
    assert not CONTROLS.search(rendered(spoiled(payload))[place].replace("\n", ""))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_cell_of_the_table_is_a_formula(tmp_path: Path, payload: str) -> None:
    write_values_csv(make_run(spoiled(payload)), tmp_path / "values.csv")
    text = (tmp_path / "values.csv").read_text(encoding="utf-8")
    cells = re.split(r'[,\n]"?', text)
    assert not [cell for cell in cells if re.match(r"[=+@\t]|-(?![\d.])", cell)]


def test_the_payloads_are_dangerous() -> None:
    """The negative control: unescaped, each of these would be found."""
    assert "<script" in PAYLOADS[0]
    assert handlers(PAYLOADS[1])
    assert handlers(PAYLOADS[2] + "</svg>")
    assert re.search(r"(?<!\\)\]\((?!plots/)", PAYLOADS[4])
    assert all(CONTROLS.search(payload) for payload in PAYLOADS[8:11])
    assert all(re.match(r"[=+@\t]|-(?![\d.])", payload) for payload in (PAYLOADS[11], PAYLOADS[14]))


def test_control_characters_on_the_command_line_do_not_reach_the_terminal(tmp_path: Path, capsys) -> None:
    main(["report", str(tmp_path / "\x1b[31mred")])
    assert "\x1b" not in capsys.readouterr().err


def test_markup_in_a_name_does_not_end_the_display_of_a_run(monkeypatch, capsys) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")  # as on a terminal
    monkeypatch.setenv("COLUMNS", "200")  # wide enough for the name
    plan = example_plan(quick=True)
    entry = replace(plan.groups[0].entries[0], group="[/nothing] [red]name")
    with run_progress(plan) as display:
        display.measuring(0, entry)
    assert "[/nothing] [red]name" in capsys.readouterr().err


# --- F35: a journal cut anywhere


def cuts(records: list[AnyRecord]) -> list[int]:
    """Where to cut: around every change of kind, and at a few other places."""
    kinds = [type(record) for record in records]
    changes = [n for n in range(1, len(kinds)) if kinds[n] is not kinds[n - 1]]
    others = random.Random(1).sample(range(1, len(records)), 10)
    return sorted({1, len(records) - 1, *changes[:12], *changes[-6:], *others})


@pytest.mark.parametrize("broken", [False, True])
def test_a_journal_cut_after_any_record_has_a_report_that_says_it_is_not_whole(broken: bool) -> None:
    records = example_records(quick=True, broken=broken)
    for length in cuts(records):
        html, markdown, said = rendered(records[:length])
        for text in (html, markdown, said):
            assert re.search(r"interrupted|cut off|cut short", text), length
        assert html.rstrip().endswith("</html>")


def test_a_whole_one_does_not_say_so() -> None:
    html, markdown, said = rendered(example_records(quick=True))
    for text in (html, markdown, said):
        assert not re.search(r"cut off|cut short|was interrupted", text)


def test_a_cut_run_tells_how_many_blocks_hold_values_and_who_is_missing() -> None:
    records = example_records(quick=True)
    last = max(n for n, record in enumerate(records) if isinstance(record, Burst) and record.block == 0)
    _, markdown, said = rendered(records[: last + 1])
    assert "0 of 3 blocks hold values" in said
    assert "missing" in markdown or "not measured" in markdown


def test_a_torn_journal_is_reported_by_the_command(tmp_path: Path, capsys) -> None:
    folder = write_run(tmp_path / "run", example_records(quick=True))
    whole = (folder / FILE_NAME).read_bytes()
    (folder / FILE_NAME).write_bytes(whole[: len(whole) * 2 // 3])
    assert main(["report", str(folder), "--out", str(tmp_path / "out")]) == 3
    assert "torn" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert load_run(folder).state == "interrupted"
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"rnnbench: not complete: {os.path.relpath(folder)}; the page says why"
