"""Matplotlib's SVG made fit to stand in the page itself: safe, small, and with ids of its own.

What a plot does not need is left out, whatever it is: only elements and attributes that are listed here
come through, no text, no comment, no link but to a part of the same picture.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator

from markupsafe import Markup, escape

ELEMENTS = {
    "svg", "g", "defs", "path", "use", "clipPath", "rect", "circle", "line", "polyline", "polygon", "pattern",
    "image",
}  # fmt: skip
ATTRIBUTES = {
    "id", "d", "style", "transform", "x", "y", "width", "height", "cx", "cy", "r", "x1", "y1", "x2", "y2",
    "points", "href", "clip-path", "patternUnits", "patternTransform", "preserveAspectRatio", "fill",
    "stroke", "stroke-width", "opacity",
}  # fmt: skip
PIXELS = "data:image/png;base64,"  # a map of many cells may be one
REFERENCE = re.compile(r"url\(#([^)]*)\)")
LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
ROUNDED = {"d", "x", "y", "points"}  # hundredths of a point are more than an eye sees
TRANSLATE = re.compile(r"translate\([^)]*\)")
SIZE = re.compile(r"[\d.]+")


def inline_svg(svg: bytes, prefix: str, alt: str) -> Markup:
    """HTML of the picture, with ``alt`` as what it says; every id in it starts with ``prefix``.

    It is as wide as its place, and never wider than it was drawn.

    Raises:
        ValueError: it is no SVG.
    """
    root = ET.fromstring(svg)
    if _name(root.tag) != "svg":
        raise ValueError(f"not an SVG but {_name(root.tag)!r}")
    used = {name for element in root.iter() for name in _references(element)}
    width = SIZE.match(root.get("width", ""))
    style = f"--drawn: {_rounded(width[0])}pt" if width else ""
    box = _rounded(root.get("viewBox", ""))
    opening = (
        f'<svg class="drawing" role="img" aria-label="{escape(alt)}" viewBox="{escape(box)}" style="{style}">'
    )
    inner = "".join(piece for child in root for piece in _pieces(child, prefix, used))
    return Markup(f"{opening}{inner}</svg>")


def _pieces(element: ET.Element, prefix: str, used: set[str]) -> Iterator[str]:
    """An element and what is in it, as text; nothing where it is not on the list."""
    name = _name(element.tag)
    if name not in ELEMENTS:
        return
    kept = [(key, value) for key, value in _attributes(element, prefix, used) if value]
    inner = [piece for child in element for piece in _pieces(child, prefix, used)]
    if name in ("g", "defs") and not inner:
        return
    if name == "g" and not kept:  # matplotlib groups everything
        yield from inner
        return
    opening = f"<{name}" + "".join(f' {key}="{escape(value)}"' for key, value in kept)
    yield from (f"{opening}>", *inner, f"</{name}>") if inner else (f"{opening}/>",)


def _attributes(element: ET.Element, prefix: str, used: set[str]) -> Iterator[tuple[str, str]]:
    for key, value in element.attrib.items():
        key = _name(key)
        if key not in ATTRIBUTES or (key == "id" and value not in used):
            continue
        if key == "id":
            value = prefix + value
        elif key == "href" and value.startswith("#"):
            value = f"#{prefix}{value[1:]}"
        elif key == "href" and not value.startswith(PIXELS):
            value = ""
        elif key == "transform":
            value = TRANSLATE.sub(lambda found: _rounded(found[0]), value)
        elif key in ROUNDED:
            value = _rounded(value)
        value = REFERENCE.sub(rf"url(#{prefix}\1)", " ".join(value.split()))
        yield key, "" if "url(" in REFERENCE.sub("", value) else value


def _references(element: ET.Element) -> Iterator[str]:
    """The ids that an element refers to."""
    for key, value in element.attrib.items():
        if _name(key) == "href" and value.startswith("#"):
            yield value[1:]
        yield from REFERENCE.findall(value)


def _rounded(text: str) -> str:
    return LONG_NUMBER.sub(lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), text)


def _name(tag: object) -> str:
    """Without its namespace; empty for a comment."""
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""
