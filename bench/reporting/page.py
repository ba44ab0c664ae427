"""From views to files' text: one HTML page that needs nothing else, and the same facts in Markdown."""

import base64
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jinja2
from markupsafe import Markup


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


def render_html(content: Mapping[str, Any], svgs: Mapping[str, bytes]) -> str:
    """The page; ``svgs`` are the plots by stem, which become part of it."""
    images = {
        stem: f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}" for stem, svg in svgs.items()
    }
    return _environment().get_template("page.html.j2").render(content, images=images).strip() + "\n"


def render_markdown(content: Mapping[str, Any]) -> str:
    """The same facts in Markdown, with links to the plots' files."""
    text = _environment().get_template("report.md.j2").render(content)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def emphasise(text: str) -> Markup:
    """HTML of a sentence with its factors in bold; escaped first, so that the tags are ours alone."""
    text = re.sub(r"(?<=\d) (?=[%µmn])", "\N{NO-BREAK SPACE}", text)  # a number stays with its unit
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
