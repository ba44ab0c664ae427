"""Render articles as text: one HTML page that needs no other file, and the same facts in Markdown."""

import base64
import hashlib
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup, escape

from bench.machine.libraries import library
from bench.machine.wording import printable
from bench.reporting.section import Drawing, Image, TextTable, data_uri

SCRIPT = "page.js"
NARROW = "-narrow"  # suffix of the name of a drawing for narrow screens
# a factor, alone or with its limits; not after "only", nor after "measured", which stands for no verdict
FACTOR = re.compile(
    r"(?<!measured )(?<!only )(?<![\d.,\u202f])"
    r"((?:\d[\d.,\u202f]* to )?\d[\d.,\u202f]* times(?: faster| slower)?(?: \[[^\]]*\])?)"
)
# commands that a reader can type: "`top`", "rnnbench run --preset grid", "rnnbench run --refine FOLDER"
COMMAND = re.compile(
    r"`([^`]+)`|(rnnbench [a-z]+(?: --[a-z-]+(?: (?:[A-Z]+|grid|full|gru|lstm|\d+(?:s|m|min)?)\b)?)*)"
)


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    """Return the templates of this package; HTML templates escape all inserted text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bench", "reporting"),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "md": escape_markdown,
        "commands": commands,
        "emphasise": emphasise,
        "library": library,
    }
    return environment


def render_html(content: Mapping[str, Any], images: Mapping[str, bytes]) -> str:
    """Return the HTML page; it contains ``images``, which are SVG or GIF by name."""
    script = resources.files("bench.reporting").joinpath(SCRIPT).read_text(encoding="utf-8")
    # the page's security policy allows this script alone
    digest = "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    template = _environment().get_template("page.html.j2")
    uris = {name: _image_uri(image) for name, image in images.items()}

    def picture(drawing: Drawing | Image) -> Mapping[str, str | None]:
        image = images[drawing.stem]
        still = data_uri(last_frame(image), "image/png") if image.startswith(b"GIF8") else None
        return {"wide": uris[drawing.stem], "narrow": uris.get(drawing.stem + NARROW), "still": still}

    text = template.render(content, picture=picture, script=Markup(script), script_hash=digest)
    return printable(text).strip() + "\n"


def _image_uri(image: bytes) -> str:
    return data_uri(image, "image/gif" if image.startswith(b"GIF8") else "image/svg+xml")


def last_frame(animation: bytes) -> bytes:
    """Return the last frame of a GIF as PNG, for readers whose system asks for less motion."""
    from PIL import Image as Picture  # slow to load; installed with matplotlib
    from PIL import ImageSequence

    buffer = io.BytesIO()
    with Picture.open(io.BytesIO(animation)) as frames:
        for frame in ImageSequence.Iterator(frames):
            last = frame.convert("RGB")
        last.save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def render_markdown(content: Mapping[str, Any]) -> str:
    """Return the same facts in Markdown, with links to the plots' files."""
    text = _environment().get_template("report.md.j2").render(content)
    return re.sub(r"\n{3,}", "\n\n", printable(text)).strip() + "\n"


def render_cell(sentences: Iterable[str], tables: Sequence[TextTable]) -> str:
    """Return a run's answer and its first table, for the output of a notebook's cell."""
    cell = _environment().get_template("cell.html.j2")
    return cell.render(sentences=sentences, tables=tables).strip() + "\n"


def commands(text: str) -> Markup:
    """Return a sentence in HTML with marked commands; the text is escaped before tags are added."""
    text = re.sub(r"(?<=\d) (?=[%µmn]|s\b)", "\N{NO-BREAK SPACE}", text)  # a number stays with its unit
    return Markup(COMMAND.sub(r"<code>\1\2</code>", str(escape(text))))


def emphasise(text: str) -> Markup:
    """Return a sentence in HTML with marked commands and with its factors in bold."""
    return Markup(FACTOR.sub(r"<strong>\1</strong>", str(commands(text))))


def escape_markdown(text: object) -> str:
    """Return one line of text in which Markdown finds no markup, table border, HTML or line break.

    Brackets are escaped only where the next character would make a link; every interval contains brackets.
    """
    line = " ".join(str(text).split())
    line = re.sub(r"([\\`*_<>|#~$&])", r"\\\1", line)
    line = re.sub(r"\](?=[(\[:])", r"\]", line)
    return re.sub(r"^(\d*)([-+.)])(?=\s|$)", r"\1\\\2", line)
