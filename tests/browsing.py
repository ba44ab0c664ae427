"""Debian's chromium through playwright: a page opened from its file, and all that it did meanwhile.

No browser is ever downloaded. Modules that look at pages import the fixture ``chromium``.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
PHONE, TABLET, DESK = (360, 800), (800, 1000), (1280, 900)


@dataclass
class Visit:
    """An open page; what it complained of and what it asked for."""

    page: Any
    complaints: list[str] = field(default_factory=list)  # console errors and warnings, uncaught errors
    requests: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    def run(self, script: str, *values: Any) -> Any:
        """The value of a JavaScript function in the page."""
        return self.page.evaluate(script, *values)

    def left_the_page(self) -> list[str]:
        """Requests for anything but files and what the page holds."""
        return [url for url in self.requests if not url.startswith(("file:", "data:"))]


@pytest.fixture(scope="session")
def chromium(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A browser for all tests."""
    if request.config.getoption("--fast"):
        pytest.skip("starts a process")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(OPTIONS))
        yield browser
        browser.close()


@contextmanager
def visit(
    browser: Any,
    path: Path,
    size: tuple[int, int] = DESK,
    *,
    dark: bool = False,
    still: bool = False,
    script: bool = True,
) -> Iterator[Visit]:
    """Open a file at a window's size, as a person who likes it dark or still, or has scripts switched off."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce" if still else "no-preference",
        java_script_enabled=script,
        accept_downloads=True,
    )
    page = context.new_page()
    visited = Visit(page)
    page.on("console", lambda said: visited.complaints.append(said.text) if said.type != "log" else None)
    page.on("pageerror", lambda error: visited.complaints.append(str(error)))
    page.on("request", lambda request: visited.requests.append(request.url))

    def dismiss(dialog: Any) -> None:
        visited.dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", dismiss)
    page.goto(path.as_uri())
    yield visited
    context.close()


# --- what is measured in a page

# elements with text of their own that is seen, whose colour stands out too little from what lies behind it
LOW_CONTRAST = """() => {
  const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
  const rgba = (text) => {
    const n = numbers(text);
    const of = text.startsWith("color(srgb") ? n.map((x, i) => i < 3 ? x * 255 : x) : n;
    return [of[0], of[1], of[2], of[3] ?? 1];
  };
  const over = (top, below) => top.slice(0, 3).map((c, i) => c * top[3] + below[i] * (1 - top[3]));
  const light = (c) => {
    const linear = (x) => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = c.map((x) => linear(x / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const layers = [];
    for (let one = element; one; one = one.parentElement) {
      layers.push(rgba(getComputedStyle(one).backgroundColor));
    }
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const found = [];
  for (const element of document.body.querySelectorAll("*")) {
    const text = [...element.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data.trim()).join("");
    if (!text || element.closest("svg, script, style, .skip") || !element.checkVisibility()) continue;
    const back = behind(element);
    const [one, other] = [light(over(rgba(getComputedStyle(element).color), back)), light(back)];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) found.push(`${ratio.toFixed(2)} ${element.tagName} ${text.slice(0, 40)}`);
  }
  return found;
}"""

# how far the page is wider than its window
OVERFLOW = "() => document.scrollingElement.scrollWidth - innerWidth"

# links within the page that lead nowhere, and ids that are there twice
TORN = """() => {
  const known = new Set();
  const twice = [];
  for (const { id } of document.querySelectorAll("[id]")) (known.has(id) ? twice.push(id) : known.add(id));
  const used = [...document.querySelectorAll("a[href^='#']")].map((one) => one.getAttribute("href").slice(1));
  return { twice, lost: used.filter((id) => !known.has(id)), used: used.length };
}"""

# what can be scrolled sideways, or reaches beyond the window, and pictures that could not be decoded
CUT = """() => [...document.querySelectorAll(".scroll, img, td, th, p, li, dd")]
  .filter((one) => one.checkVisibility())
  .filter((one) => (one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== "inline")
    || one.getBoundingClientRect().right > innerWidth || one.naturalWidth === 0)
  .map((one) => `${one.tagName} ${one.alt ?? one.textContent}`.slice(0, 90))"""
