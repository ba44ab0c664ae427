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
from streams import write_stream
from trainings import FALL, write_training

from bench.records.journal import load_run
from bench.reporting import answer
from bench.reporting.build import build_report
from bench.training.result import load_result

COLOURS = {"NumPy": (0, 114, 178), "PyTorch": (192, 78, 0)}
SIZES = {"phone": PHONE, "tablet": TABLET, "desk": DESK}
SLOW = [*[8000.0] * 2960, *range(9000, 49_000, 1000)]  # calls of a block, in ns
OPENED = "() => [...document.querySelectorAll('section:has(> details[open])')].map((one) => one.id)"
OPEN_ALL = "() => document.querySelectorAll('details').forEach((one) => (one.open = true))"
# what a column of the page's n-th table is sorted by, row by row
COLUMN = """([table, number]) => [...document.querySelectorAll("table.data")[table].tBodies[0].rows]
  .map((row) => row.cells[number].dataset.value ?? row.cells[number].textContent.trim())"""
TABLE = """(caption) => [...document.querySelectorAll("table.data")]
  .findIndex((table) => table.caption.textContent.startsWith(caption))"""
ROWS = "() => [...document.querySelectorAll('table.data')].map((table) => table.tBodies[0].rows.length)"


@pytest.fixture
def page(default_page: Path) -> Path:
    """The page of one run."""
    return default_page


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A quick run, a training and a stream on one page."""
    from bench.reporting.training_plots import draw_pictures

    folder = tmp_path_factory.mktemp("several")
    training = write_training(folder / "training", {"numpy-inplace": FALL, "torch-layer": FALL})
    draw_pictures(load_result(training), training)
    run = write_run(folder / "run", example_records(quick=True))
    times = {"numpy-inplace": SLOW, "torch-layer": [2 * t for t in SLOW], "control": SLOW}
    stream = write_stream(folder / "stream", times, rate=1000.0)
    return build_report([run, training, stream], folder / "out")


def pixels(visited: Any) -> np.ndarray:
    """The window as pixels (height, width, 3)."""
    with Image.open(io.BytesIO(visited.page.screenshot())) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def colours(picture: np.ndarray) -> int:
    """How many different ones."""
    return len(np.unique(picture @ (65536, 256, 1)))


def has(picture: np.ndarray, colour: tuple[int, int, int]) -> bool:
    """Whether a colour fills more than a few pixels, within what smoothing changes."""
    return int((np.abs(picture - colour).max(axis=2) <= 3).sum()) > 50


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("which", ["page", "several", "grid_page"])
def test_the_page_fits_its_window_and_is_quiet(
    chromium: Any, size: str, which: str, request: pytest.FixtureRequest
) -> None:
    with visit(chromium, request.getfixturevalue(which), SIZES[size]) as seen:
        assert seen.run(OVERFLOW) <= 0
        assert (seen.complaints, seen.left_the_page()) == ([], [])
        assert colours(pixels(seen)) > 100
        torn = seen.run(TORN)
        assert (torn["twice"], torn["lost"]) == ([], [])
        assert torn["used"] > 5
        seen.run(OPEN_ALL)
        assert size == "tablet" or seen.run(CUT) == []


def test_a_page_that_is_wide_loud_or_faint_would_be_noticed(
    chromium: Any, page: Path, tmp_path: Path
) -> None:
    text = page.read_text(encoding="utf-8")
    bad = "<p style='width: 90rem; color: #999'>wide<script>document.title = 'pwned'</script></p>"
    bad += "<img src='https://example.invalid/x.png' alt=''>"
    (tmp_path / "bad.html").write_text(text.replace("<main>", f"<main>{bad}"), encoding="utf-8")
    with visit(chromium, tmp_path / "bad.html", PHONE) as seen:
        assert seen.run(OVERFLOW) > 0
        assert sum("Content Security Policy" in text for text in seen.complaints) == 2
        for script in (CUT, LOW_CONTRAST):
            assert any("wide" in text for text in seen.run(script))
        assert seen.page.title() != "pwned"
    blank = tmp_path / "blank.html"
    blank.write_text("<!doctype html><title>3.65</title>", encoding="utf-8")
    with visit(chromium, blank) as seen:
        assert colours(pixels(seen)) == 1


@pytest.mark.parametrize("size", ["phone", "desk"])
def test_the_answer_is_in_the_first_screen_and_plots_have_their_librarys_colours(
    chromium: Any, page: Path, size: str
) -> None:
    with visit(chromium, page, SIZES[size]) as seen:
        for part in (".claim", ".sure"):
            box = seen.page.locator(part).bounding_box()
            assert box["y"] + box["height"] < SIZES[size][1] / 2
        assert seen.page.locator(".claim").inner_text() == "NumPy is 3.64 times faster than PyTorch"
        plot = seen.page.locator("#times-1 img")
        plot.scroll_into_view_if_needed()
        picture = pixels(seen)
        assert all(has(picture, colour) for colour in COLOURS.values())
        wide, width = plot.evaluate("(one) => [one.currentSrc === one.src, one.naturalWidth]")
        assert wide is (size == "desk")
        assert width < 450 or size == "desk"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("which", ["page", "several"])
def test_all_text_stands_out_from_what_is_behind_it(
    chromium: Any, which: str, dark: bool, request: pytest.FixtureRequest
) -> None:
    with visit(chromium, request.getfixturevalue(which), dark=dark) as seen:
        assert seen.run(LOW_CONTRAST) == []
        assert (pixels(seen)[-1, 2].mean() < 60) == dark


def test_a_click_on_a_heading_sorts_and_a_second_one_turns_it_round(chromium: Any, page: Path) -> None:
    with visit(chromium, page) as seen:
        number = seen.run(TABLE, "Training step, positional input")
        headings = seen.page.locator("table.data").nth(number).locator("thead th")

        def click(column: int, press: str = "") -> list[str]:
            button = headings.nth(column).get_by_role("button")
            button.press(press) if press else button.click()
            values: list[str] = seen.run(COLUMN, [number, column])
            return values

        before = [float(value) for value in seen.run(COLUMN, [number, 1])]
        up = [float(value) for value in click(1)]
        assert headings.nth(1).get_attribute("aria-sort") == "ascending"
        assert up == sorted(before) != before  # it was not in that order already
        assert [float(value) for value in click(1, press="Enter")] == up[::-1]
        assert headings.nth(1).get_attribute("aria-sort") == "descending"
        names = click(0)
        assert names == sorted(names)
        assert headings.nth(1).get_attribute("aria-sort") is None
        for _ in range(2):  # what has no number comes last in both directions
            values = click(2)  # ÷ baseline
            last = values.index("–")
            assert set(values[last:]) == {"–"}


def test_long_tables_and_only_they_can_be_filtered(chromium: Any, page: Path) -> None:
    with visit(chromium, page) as seen:
        long = sum(count > 8 for count in seen.run(ROWS))
        assert seen.page.locator("input[type=search]").count() == long > 0
        box, rows = seen.page.locator("#times-1 input[type=search]"), seen.page.locator("#times-1 tbody tr")
        box.fill("torch cpu")
        shown = [row for row in rows.all() if row.is_visible()]
        names = seen.run(COLUMN, [seen.run(TABLE, "Training step, positional input"), 0])
        assert 0 < len(shown) == sum(name.startswith("torch") for name in names) < len(names)
        assert seen.page.locator("#times-1 output").inner_text() == f"{len(shown)} of {len(names)} rows"
        box.fill("")
        assert all(row.is_visible() for row in rows.all())


def test_sections_beyond_the_first_questions_open_by_key_by_link_and_all_at_once(
    chromium: Any, page: Path
) -> None:
    with visit(chromium, page) as seen:
        at_first = set(seen.run(OPENED))
        assert {"limits", "times"} <= at_first
        assert not {"ladder", "sure", "contents", "machine", "again", "words", "values"} & at_first
        inside = seen.page.locator("#sure table").first
        seen.page.locator("#sure > details > summary").focus()
        for key, open_ in (("Enter", True), ("Space", False)):
            seen.page.keyboard.press(key)
            assert inside.is_visible() is open_
        seen.page.locator("nav.contents a[href='#sure']").press("Enter")
        inside.wait_for(state="visible")
        fold, closed = seen.page.locator("nav.contents button"), "section > details:not([open])"
        assert fold.inner_text() == "Open all sections"
        fold.click()
        assert seen.page.locator(closed).count() == 0
        assert fold.inner_text() == "Close all sections"
        fold.click()
        assert seen.run(OPENED) == []
        seen.page.goto(f"{page.as_uri()}#noise")  # a part within a closed section
        seen.page.locator("#noise table").wait_for(state="visible")


def test_without_scripts_every_fact_is_there_and_nothing_that_does_nothing(chromium: Any, page: Path) -> None:
    with visit(chromium, page, script=False) as seen:
        assert seen.page.locator("button, input, output").count() == 0
        text = " ".join(seen.page.locator("body").inner_text().split())
        hero = answer.hero(facts_of(load_run(page.parent)))
        for sentence in (hero.title, *hero.small, *(text for _, text in hero.facts)):
            assert " ".join(sentence.split()) in text
        assert all(one.is_visible() for one in seen.page.locator("table.data, img.drawing").all())
    with visit(chromium, page) as seen:
        assert seen.page.locator("button").count() > 10


def test_on_paper_all_is_open_and_dark_is_light(chromium: Any, page: Path) -> None:
    with visit(chromium, page, dark=True) as seen:
        there = "() => document.querySelector('#sure table').checkVisibility()"
        closed = seen.page.locator("details:not([open])").count()
        assert closed > 3
        assert not seen.run(there)
        seen.page.emulate_media(media="print")
        assert seen.run(there)
        assert not seen.page.locator("nav.contents").is_visible()
        assert not seen.page.locator("input[type=search]").first.is_visible()
        assert seen.run("() => getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert seen.run(LOW_CONTRAST) == []
        seen.page.emulate_media(media="screen")
        assert not seen.run(there)
        for event, shut in (
            ("beforeprint", 0),
            ("afterprint", closed),
        ):  # older browsers, which the style misses
            seen.run(f"() => dispatchEvent(new Event('{event}'))")
            assert seen.page.locator("details:not([open])").count() == shut
        paper = seen.page.pdf(format="A4")
        assert paper.startswith(b"%PDF")
        assert paper.count(b"/Type /Page\n") + paper.count(b"/Type /Page ") > 4


def test_the_values_can_be_kept(chromium: Any, page: Path, tmp_path: Path) -> None:
    run = load_run(page.parent)
    with visit(chromium, page) as seen:
        with seen.page.expect_download() as waiting:
            seen.run(OPEN_ALL)
            seen.page.locator("a.file").click()
        assert waiting.value.suggested_filename == "values.csv"
        waiting.value.save_as(tmp_path / "values.csv")
        assert (seen.complaints, seen.page.url) == ([], page.as_uri())
    rows = list(csv.DictReader(io.StringIO((tmp_path / "values.csv").read_text(encoding="utf-8"))))
    assert len(rows) == sum(len(burst.elapsed_ns) for burst in run.bursts)


def test_a_page_of_several_results_collects_their_answers_first_and_guides_a_screen_reader(
    chromium: Any, several: Path
) -> None:
    with visit(chromium, several, PHONE) as seen:
        for role in ("main", "banner", "contentinfo", "navigation"):
            assert seen.page.get_by_role(role).count() >= 1, role
        seen.page.keyboard.press("Tab")
        assert seen.run("() => document.activeElement.textContent") == "To the answer"
        claims = seen.page.locator("#answer .claim").all_inner_texts()
        assert claims[0].startswith("NumPy measured")
        assert re.fullmatch(r"numpy-inplace reached the target loss in .*, torch-layer in .*", claims[2])
        seen.run(OPEN_ALL)
        names = [image.get_attribute("alt") for image in seen.page.get_by_role("img").all()]
        assert len(names) > 3
        assert all(name and len(name) > 60 for name in names)
        seen.page.locator("#answer a").nth(1).click()
        assert seen.page.url.endswith("#result-2")
        assert seen.page.locator("#result-2 img").last.evaluate("(image) => image.naturalWidth") > 100


@pytest.mark.parametrize(("still", "kind"), [(False, "image/gif"), (True, "image/png")])
def test_who_asked_for_less_motion_sees_the_end_of_the_animation(
    chromium: Any, several: Path, still: bool, kind: str
) -> None:
    shown = "(image) => image.decode().then(() => [image.currentSrc.slice(5, 14), image.naturalWidth > 100])"
    with visit(chromium, several, still=still) as seen:
        seen.run(OPEN_ALL)
        animation = seen.page.locator("picture:has(source[media*=motion]) img")
        assert animation.evaluate(shown) == [kind, True]
        assert seen.complaints == []
