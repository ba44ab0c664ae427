"""From views to files' text: one HTML page that needs nothing else, and the same facts in Markdown."""

import base64
import hashlib
import io
import re
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup, escape

from bench.machine.wording import printable
from bench.reporting.download import data_uri
from bench.reporting.inline_svg import inline_svg
from bench.reporting.section import Drawing, Image
from bench.reporting.texttables import entries_table
from bench.reporting.view import RunView

SCRIPT = "page.js"
# a lone factor, or one with its limits; what a sentence is about, unless it was measured without a verdict
FACTOR = re.compile(
    r"(?<!measured )(?<!only )(?<![\d.,\u202f])"
    r"((?:\d[\d.,\u202f]* to )?\d[\d.,\u202f]* times(?: faster| slower)?(?: \[[^\]]*\])?)"
)
# what a reader can type: "`top`", "rnnbench run --preset grid", "rnnbench run --refine FOLDER"
COMMAND = re.compile(r"`([^`]+)`|(rnnbench [a-z]+(?: --[a-z-]+(?: (?:[A-Z]+|grid|full|\d+(?:s|m|min))\b)?)*)")


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    """Templates of this package; everything that goes into HTML is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bench", "reporting"),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["md"] = escape_markdown
    environment.filters["commands"] = commands
    environment.filters["emphasise"] = emphasise
    return environment


def render_html(content: Mapping[str, Any], images: Mapping[str, bytes]) -> str:
    """The page; ``images`` are SVG or GIF by stem, which become part of it."""
    script = read_script()

    def picture(drawing: Drawing | Image) -> Markup:
        return picture_html(images[drawing.stem], drawing)

    text = (
        _environment()
        .get_template("page.html.j2")
        .render(content, picture=picture, script=Markup(script), script_hash=script_hash(script))
    )
    return printable(text).strip() + "\n"


@lru_cache(maxsize=1)
def read_script() -> str:
    """The page's one script."""
    return resources.files("bench.reporting").joinpath(SCRIPT).read_text(encoding="utf-8")


def script_hash(script: str) -> str:
    """What the page's policy lets run: base64(SHA-256(script)), and nothing else."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def picture_html(image: bytes, drawing: Drawing | Image) -> Markup:
    """An SVG as a part of the page; what moves as an image that the page holds, and its end for those who
    asked their system for less motion."""
    if image.startswith(b"GIF8"):
        moving, still = data_uri(image, "image/gif"), data_uri(last_frame(image), "image/png")
        return Markup(
            '<picture><source media="(prefers-reduced-motion: reduce)" srcset="{}">'
            '<img class="drawing" src="{}" alt="{}"></picture>'
        ).format(still, moving, drawing.alt)
    return inline_svg(image, f"{drawing.stem}-", drawing.alt)


def last_frame(animation: bytes) -> bytes:
    """How a GIF ends, as PNG."""
    from PIL import Image as Picture  # matplotlib's own, and as slow to load
    from PIL import ImageSequence

    buffer = io.BytesIO()
    with Picture.open(io.BytesIO(animation)) as frames:
        for frame in ImageSequence.Iterator(frames):
            last = frame.convert("RGB")
        last.save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def render_markdown(content: Mapping[str, Any]) -> str:
    """The same facts in Markdown, with links to the plots' files."""
    text = _environment().get_template("report.md.j2").render(content)
    return re.sub(r"\n{3,}", "\n\n", printable(text)).strip() + "\n"


def render_cell(view: RunView) -> str:
    """A run's answer and its first table, for the output of a notebook's cell."""
    tables = [entries_table(table) for table in view.tables[:1]]
    return _environment().get_template("cell.html.j2").render(view=view, tables=tables).strip() + "\n"


def commands(text: str) -> Markup:
    """HTML of a sentence with commands set as such; escaped first, so that the tags are ours alone."""
    text = re.sub(r"(?<=\d) (?=[%µmn]|s\b)", "\N{NO-BREAK SPACE}", text)  # a number stays with its unit
    return Markup(COMMAND.sub(r"<code>\1\2</code>", str(escape(text))))


def emphasise(text: str) -> Markup:
    """The same, with the sentence's factors in bold."""
    return Markup(FACTOR.sub(r"<strong>\1</strong>", str(commands(text))))


def escape_markdown(text: object) -> str:
    """Text that no Markdown reader takes for markup, a table's border, HTML or a new line.

    Brackets stay as they are, unless what follows would make a link of them: every interval has them.
    """
    line = " ".join(str(text).split())
    line = re.sub(r"([\\`*_<>|#~$&])", r"\\\1", line)
    line = re.sub(r"\](?=[(\[:])", r"\]", line)
    return re.sub(r"^(\d*)([-+.)])(?=\s|$)", r"\1\\\2", line)
