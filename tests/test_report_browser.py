"""The page in a real browser: it renders, its plots under its own policy too, on a screen and on a phone."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from journals import example_records
from PIL import Image
from reports import facts_of, write_run

from bench.reporting import answer
from bench.reporting.build import build_report
from bench.results.journal import load_run

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NUMPY_BLUE, TORCH_ORANGE = (0, 114, 178), (192, 78, 0)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


def browse(tmp_path: Path, page: Path, *options: str) -> str:
    """Open a page without a network and return what the browser prints."""
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [
        "--disable-background-networking",
        "--no-first-run",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    done = subprocess.run(
        [*command, *options, page.as_uri()], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def screenshot(tmp_path: Path, page: Path, width: int, height: int) -> np.ndarray:
    """The top of a page as pixels (height, width, 3)."""
    picture = tmp_path / "picture.png"
    browse(tmp_path, page, f"--window-size={width},{height}", f"--screenshot={picture}")
    with Image.open(picture) as image:
        return np.asarray(image.convert("RGB"))


def has(pixels: np.ndarray, colour: tuple[int, int, int]) -> bool:
    """Whether a colour fills more than a few pixels, within what smoothing changes."""
    near = np.abs(pixels.astype(int) - colour).max(axis=2) <= 3
    return int(near.sum()) > 50


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_report([write_run(tmp_path_factory.mktemp("run"), example_records())], None)


def test_the_headline_is_in_the_page_that_the_browser_builds(page: Path, tmp_path: Path) -> None:
    dom = browse(tmp_path, page, "--dump-dom")
    assert "<strong>3.65 times faster [3.61, 3.70]</strong> than PyTorch" in dom
    for sentence in answer.sentences(facts_of(load_run(page.parent))):
        assert sentence.partition(" (")[0].split(" is ")[0] in dom.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(("width", "height"), [(1200, 1400), (500, 1800)])
def test_the_page_and_its_plot_are_drawn(page: Path, tmp_path: Path, width: int, height: int) -> None:
    pixels = screenshot(tmp_path, page, width, height)
    assert pixels.shape == (height, width, 3)
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 100
    assert has(pixels, NUMPY_BLUE)
    assert has(pixels, TORCH_ORANGE)


def test_a_blank_page_would_be_noticed(tmp_path: Path) -> None:
    blank = tmp_path / "blank.html"
    blank.write_text("<!doctype html><title>3.65</title>", encoding="utf-8")
    pixels = screenshot(tmp_path, blank, 400, 300)
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) == 1
    assert not has(pixels, NUMPY_BLUE)
