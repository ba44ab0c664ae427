"""From views to files' text: one HTML page that needs nothing else, and the same facts in Markdown."""

import base64
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jinja2
from markupsafe import Markup

from bench.printable import printable
from bench.reporting.view import RunView


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
    environment.filters["emphasise"] = emphasise
    return environment


def render_html(content: Mapping[str, Any], images: Mapping[str, bytes]) -> str:
    """The page; ``images`` are SVG or GIF by stem, which become part of it."""
    links = {stem: data_uri(image) for stem, image in images.items()}
    text = _environment().get_template("page.html.j2").render(content, images=links)
    return printable(text).strip() + "\n"


def data_uri(image: bytes) -> str:
    """An SVG or a GIF as a link that holds it."""
    kind = "gif" if image.startswith(b"GIF8") else "svg+xml"
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"


def render_markdown(content: Mapping[str, Any]) -> str:
    """The same facts in Markdown, with links to the plots' files."""
    text = _environment().get_template("report.md.j2").render(content)
    return re.sub(r"\n{3,}", "\n\n", printable(text)).strip() + "\n"


def render_cell(view: RunView) -> str:
    """A run's answer and its first table, for the output of a notebook's cell."""
    return _environment().get_template("cell.html.j2").render(view=view).strip() + "\n"


def emphasise(text: str) -> Markup:
    """HTML of a sentence with its factors in bold; escaped first, so that the tags are ours alone."""
    text = re.sub(r"(?<=\d) (?=[%µmn]|s\b)", "\N{NO-BREAK SPACE}", text)  # a number stays with its unit
    factor = r"(?:[\d.,\u202f]+ to )?[\d.,\u202f]+ times(?: faster)?(?: \[[^\]]*\])?"
    return Markup(re.sub(f"({factor})", r"<strong>\1</strong>", str(Markup.escape(text))))


def escape_markdown(text: object) -> str:
    """Text that no Markdown reader takes for markup, a table's border, HTML or a new line.

    Brackets stay as they are, unless what follows would make a link of them: every interval has them.
    """
    line = " ".join(str(text).split())
    line = re.sub(r"([\\`*_<>|#~$&])", r"\\\1", line)
    line = re.sub(r"\](?=[(\[:])", r"\]", line)
    return re.sub(r"^(\d*)([-+.)])(?=\s|$)", r"\1\\\2", line)
