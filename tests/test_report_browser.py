"""The page in a real browser: at every width, without scripts, in the dark, on paper; sorted and filtered."""

import csv
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import CUT, DESK, LOW_CONTRAST, OVERFLOW, PHONE, TABLET, TORN, visit
from journals import example_records
from PIL import Image
from reports import facts_of, write_run
from trainings import FALL, write_training

from bench.records.journal import load_run
from bench.reporting import answer
from bench.reporting.build import build_report
from bench.training.result import load_result

NUMPY_BLUE, TORCH_ORANGE = (0, 114, 178), (192, 78, 0)
SIZES = {"phone": PHONE, "tablet": TABLET, "desk": DESK}


@pytest.fixture
def page(default_page: Path) -> Path:
    """The page of one run."""
    return default_page


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A quick run and a training on one page."""
    from bench.reporting.training_plots import draw_pictures

    folder = tmp_path_factory.mktemp("several")
    training = write_training(folder / "training", {"numpy-inplace": FALL, "torch-rnn": FALL})
    draw_pictures(load_result(training), training)
    run = write_run(folder / "run", example_records(quick=True))
    return build_report([run, training], folder / "out")


def pixels(visited: Any) -> np.ndarray:
    """The window as pixels (height, width, 3)."""
    with Image.open(io.BytesIO(visited.page.screenshot())) as image:
        return np.asarray(image.convert("RGB"))


def colours(picture: np.ndarray) -> int:
    """How many different ones."""
    return len(np.unique(picture.astype(int) @ (65536, 256, 1)))


def has(picture: np.ndarray, colour: tuple[int, int, int]) -> bool:
    """Whether a colour fills more than a few pixels, within what smoothing changes."""
    near = np.abs(picture.astype(int) - colour).max(axis=2) <= 3
    return int(near.sum()) > 50


def open_all(visited: Any) -> None:
    """Open every section."""
    visited.run("() => document.querySelectorAll('details').forEach((one) => (one.open = true))")


def column(visited: Any, table: int, number: int) -> list[str]:
    """What a column of the page's n-th table is sorted by, row by row."""
    script = """([table, number]) => [...document.querySelectorAll("table.data")[table].tBodies[0].rows]
      .map((row) => row.cells[number].dataset.value ?? row.cells[number].textContent.trim())"""
    found: list[str] = visited.run(script, [table, number])
    return found


def table_number(visited: Any, caption: str) -> int:
    script = """(caption) => [...document.querySelectorAll("table.data")]
      .findIndex((table) => table.caption.textContent.startsWith(caption))"""
    found: int = visited.run(script, caption)
    assert found >= 0, caption
    return found


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("which", ["page", "several", "grid_page"])
def test_the_page_fits_its_window_and_is_quiet(
    chromium: Any, size: str, which: str, request: pytest.FixtureRequest
) -> None:
    with visit(chromium, request.getfixturevalue(which), SIZES[size]) as seen:
        assert seen.run(OVERFLOW) <= 0
        assert seen.complaints == []
        assert seen.left_the_page() == []
        assert colours(pixels(seen)) > 100
        torn = seen.run(TORN)
        assert (torn["twice"], torn["lost"]) == ([], [])
        assert torn["used"] > 5
        open_all(seen)
        if size != "tablet":
            assert seen.run(CUT) == []


@pytest.mark.parametrize("size", ["phone", "desk"])
def test_the_plots_are_drawn_in_their_librarys_colours_and_for_the_screen(
    chromium: Any, page: Path, size: str
) -> None:
    with visit(chromium, page, SIZES[size]) as seen:
        plot = seen.page.locator("#times-1 img")
        plot.scroll_into_view_if_needed()
        picture = pixels(seen)
        assert has(picture, NUMPY_BLUE)
        assert has(picture, TORCH_ORANGE)
        source = plot.evaluate("(one) => [one.currentSrc === one.src, one.naturalWidth]")
        assert source[0] is (size == "desk")
        assert source[1] < 450 or size == "desk"


def test_a_page_that_is_wide_loud_or_faint_would_be_noticed(
    chromium: Any, page: Path, tmp_path: Path
) -> None:
    text = page.read_text(encoding="utf-8")
    bad = "<p style='width: 90rem; color: #999'>wide<script>document.title = 'pwned'</script></p>"
    bad += "<img src='https://example.invalid/x.png' alt=''>"
    (tmp_path / "bad.html").write_text(text.replace("<main>", f"<main>{bad}"), encoding="utf-8")
    with visit(chromium, tmp_path / "bad.html", PHONE) as seen:
        assert seen.run(OVERFLOW) > 0
        assert any("wide" in found for found in seen.run(CUT))
        assert sum("Content Security Policy" in said for said in seen.complaints) == 2
        assert any("wide" in found for found in seen.run(LOW_CONTRAST))
        assert seen.page.title() != "pwned"
    blank = tmp_path / "blank.html"
    blank.write_text("<!doctype html><title>3.65</title>", encoding="utf-8")
    with visit(chromium, blank) as seen:
        assert colours(pixels(seen)) == 1


@pytest.mark.parametrize("size", ["phone", "desk"])
def test_the_answer_is_in_the_first_screen(chromium: Any, page: Path, size: str) -> None:
    with visit(chromium, page, SIZES[size]) as seen:
        for part in (".claim", ".sure"):
            box = seen.page.locator(part).bounding_box()
            assert box["y"] + box["height"] < SIZES[size][1] / 2
        assert seen.page.locator(".claim").inner_text() == "NumPy is 3.64 times faster than PyTorch"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("which", ["page", "several"])
def test_all_text_stands_out_from_what_is_behind_it(
    chromium: Any, which: str, dark: bool, request: pytest.FixtureRequest
) -> None:
    with visit(chromium, request.getfixturevalue(which), dark=dark) as seen:
        assert seen.run(LOW_CONTRAST) == []
        shade = pixels(seen)[-1, 2].astype(int).mean()
        assert (shade < 60) == dark


def test_a_click_on_a_heading_sorts_and_a_second_one_turns_it_round(chromium: Any, page: Path) -> None:
    with visit(chromium, page) as seen:
        number = table_number(seen, "Training step, positional input")
        before = [float(value) for value in column(seen, number, 1)]
        heading = seen.page.locator("table.data").nth(number).locator("thead th").nth(1)
        heading.get_by_role("button").click()
        assert heading.get_attribute("aria-sort") == "ascending"
        up = [float(value) for value in column(seen, number, 1)]
        assert up == sorted(before)
        assert up != before  # it was not in that order already
        heading.get_by_role("button").press("Enter")
        assert heading.get_attribute("aria-sort") == "descending"
        assert [float(value) for value in column(seen, number, 1)] == up[::-1]
        names = seen.page.locator("table.data").nth(number).locator("thead th").nth(0)
        names.get_by_role("button").click()
        assert heading.get_attribute("aria-sort") is None
        assert column(seen, number, 0) == sorted(column(seen, number, 0))


def test_what_has_no_number_comes_last_in_both_directions(chromium: Any, page: Path) -> None:
    with visit(chromium, page) as seen:
        number = table_number(seen, "Training step, positional input")
        heading = seen.page.locator("table.data").nth(number).locator("thead th").nth(2)  # ÷ baseline
        for _ in range(2):
            heading.get_by_role("button").click()
            values = column(seen, number, 2)
            assert "–" in values
            assert "–" not in values[: values.index("–")]
            assert set(values[values.index("–") :]) == {"–"}


def test_long_tables_and_only_they_can_be_filtered(chromium: Any, page: Path) -> None:
    with visit(chromium, page) as seen:
        rows = seen.run(
            "() => [...document.querySelectorAll('table.data')].map((t) => t.tBodies[0].rows.length)"
        )
        assert seen.page.locator("input[type=search]").count() == sum(count > 8 for count in rows) > 0
        number = table_number(seen, "Training step, positional input")
        box = seen.page.locator("#times-1 input[type=search]")
        box.fill("torch cpu")
        shown = [row for row in seen.page.locator("#times-1 tbody tr").all() if row.is_visible()]
        names = column(seen, number, 0)
        assert 0 < len(shown) == sum(name.startswith("torch") for name in names) < len(names)
        assert seen.page.locator("#times-1 output").inner_text() == f"{len(shown)} of {len(names)} rows"
        box.fill("")
        assert all(row.is_visible() for row in seen.page.locator("#times-1 tbody tr").all())


def test_sections_beyond_the_first_questions_open_by_key_by_link_and_all_at_once(
    chromium: Any, page: Path
) -> None:
    with visit(chromium, page) as seen:
        opened = "() => [...document.querySelectorAll('section:has(> details[open])')].map((one) => one.id)"
        at_first = seen.run(opened)
        assert {"limits", "times"} <= set(at_first)
        assert not {"ladder", "sure", "contents", "machine", "again", "words", "values"} & set(at_first)
        inside = seen.page.locator("#sure table").first
        seen.page.locator("#sure > details > summary").focus()
        for key, open_ in (("Enter", True), ("Space", False)):
            seen.page.keyboard.press(key)
            assert inside.is_visible() is open_
        seen.page.locator("nav.contents a[href='#sure']").press("Enter")
        inside.wait_for(state="visible")
        fold = seen.page.locator("nav.contents button")
        assert fold.inner_text() == "Open all sections"
        fold.click()
        assert seen.page.locator("section > details:not([open])").count() == 0
        assert fold.inner_text() == "Close all sections"
        fold.click()
        assert seen.page.locator("section > details[open]").count() == 0
        seen.page.goto(f"{page.as_uri()}#noise")  # a part within a closed section
        seen.page.locator("#noise table").wait_for(state="visible")


def test_without_scripts_every_fact_is_there_and_nothing_that_does_nothing(chromium: Any, page: Path) -> None:
    with visit(chromium, page, script=False) as seen:
        assert seen.page.locator("button, input, output").count() == 0
        text = " ".join(seen.page.locator("body").inner_text().split())
        hero = answer.hero(facts_of(load_run(page.parent)))
        for sentence in (hero.title, *hero.small, *(text for _, text in hero.facts)):
            assert " ".join(sentence.split()) in text
        assert all(table.is_visible() for table in seen.page.locator("table.data").all())
        assert all(image.is_visible() for image in seen.page.locator("img.drawing").all())
    with visit(chromium, page) as seen:
        assert seen.page.locator("button").count() > 10


def test_on_paper_all_is_open_and_dark_is_light(chromium: Any, page: Path) -> None:
    with visit(chromium, page, dark=True) as seen:
        table = seen.page.locator("#sure table").first
        assert not table.is_visible()
        seen.page.emulate_media(media="print")
        seen.run("() => dispatchEvent(new Event('beforeprint'))")
        assert table.is_visible()
        assert not seen.page.locator("nav.contents").is_visible()
        assert not seen.page.locator("input[type=search]").first.is_visible()
        assert seen.run("() => getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert seen.run(LOW_CONTRAST) == []
        seen.run("() => dispatchEvent(new Event('afterprint'))")
        seen.page.emulate_media(media="screen")
        assert not table.is_visible()
        paper = seen.page.pdf(format="A4")
        assert paper.startswith(b"%PDF")
        assert paper.count(b"/Type /Page\n") + paper.count(b"/Type /Page ") > 4


def test_the_values_can_be_kept(chromium: Any, page: Path, tmp_path: Path) -> None:
    run = load_run(page.parent)
    with visit(chromium, page) as seen:
        with seen.page.expect_download() as waiting:
            open_all(seen)
            seen.page.locator("a.file").click()
        assert waiting.value.suggested_filename == "values.csv"
        waiting.value.save_as(tmp_path / "values.csv")
        assert seen.complaints == []
        assert seen.page.url == page.as_uri()
    rows = list(csv.DictReader(io.StringIO((tmp_path / "values.csv").read_text(encoding="utf-8"))))
    assert len(rows) == sum(len(burst.elapsed_ns) for burst in run.bursts)
    burst = run.bursts[7]
    kept = [row for row in rows if (row["entry"], row["block"]) == (burst.entry, str(burst.block))]
    assert [int(row["elapsed_ns"]) for row in kept] == burst.elapsed_ns
    assert {int(row["n_calls"]) for row in kept} == {burst.n_calls}


def test_a_screen_reader_finds_its_way(chromium: Any, several: Path) -> None:
    with visit(chromium, several) as seen:
        for role in ("main", "banner", "contentinfo", "navigation"):
            assert seen.page.get_by_role(role).count() >= 1, role
        seen.page.keyboard.press("Tab")
        assert seen.run("() => document.activeElement.textContent") == "To the answer"
        open_all(seen)
        names = [image.get_attribute("alt") for image in seen.page.get_by_role("img").all()]
        assert len(names) > 3
        assert all(name and len(name) > 60 for name in names)


def test_a_page_of_several_results_collects_their_answers_first(chromium: Any, several: Path) -> None:
    with visit(chromium, several, PHONE) as seen:
        claims = seen.page.locator("#answer .claim").all_inner_texts()
        assert claims[0].startswith("NumPy measured")
        assert re.fullmatch(r"numpy-inplace reached the target loss in .*, torch-rnn in .*", claims[1])
        open_all(seen)
        seen.page.locator("#answer a").nth(1).click()
        assert seen.page.url.endswith("#result-2")
        assert seen.page.locator("#result-2 img").last.evaluate("(image) => image.naturalWidth") > 100


def test_who_asked_for_less_motion_sees_the_end_of_the_animation(chromium: Any, several: Path) -> None:
    shown = "(image) => [image.currentSrc.slice(5, 14), image.naturalWidth > 100]"
    with visit(chromium, several) as seen:
        open_all(seen)
        animation = seen.page.locator("picture:has(source[media*=motion]) img")
        assert animation.evaluate(shown) == ["image/gif", True]
    with visit(chromium, several, still=True) as seen:
        open_all(seen)
        animation = seen.page.locator("picture:has(source[media*=motion]) img")
        animation.evaluate("(image) => image.decode()")
        assert animation.evaluate(shown) == ["image/png", True]
        assert seen.complaints == []
