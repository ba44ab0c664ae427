"""A plot within the page: complete, small, with ids of its own, and nothing in it that acts."""

import re
import xml.etree.ElementTree as ET

import pytest
from matplotlib.figure import Figure

from bench.reporting.inline_svg import inline_svg
from bench.reporting.plots import Mark, dot_plot, draw

MARKS = (
    Mark("numpy-batched", "numpy", "CPU", 100e3, 98e3, 103e3, (99e3, 101e3), "baseline", baseline=True),
    Mark("--> <script>alert(1)</script>", "torch", "CPU", 365e3, text="3.65"),
)
SVG = draw(dot_plot(MARKS))["svg"]
HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="9pt" '
    'viewBox="0 0 9 9">'
)


def clean(inner: str) -> str:
    return str(inline_svg(f"{HEAD}{inner}</svg>".encode(), "p-", "a plot"))


def ids(svg: str) -> list[str]:
    return re.findall(r' id="([^"]*)"', svg)


def test_every_shape_of_the_drawing_is_there() -> None:
    made = str(inline_svg(SVG, "one-", "a plot"))
    for tag in ("path", "use"):
        assert made.count(f"<{tag} ") == len(re.findall(rf"<{tag}\b", SVG.decode())) > 10
    assert len(made) < 0.85 * len(SVG)


def test_ids_have_the_figures_prefix_and_every_reference_leads_to_one() -> None:
    one, two = (str(inline_svg(SVG, prefix, "a plot")) for prefix in ("one-", "two-"))
    assert ids(one)
    assert all(name.startswith("one-") for name in ids(one))
    assert len(set(ids(one))) == len(ids(one))
    assert not set(ids(one)) & set(ids(two))
    used = re.findall(r'href="#([^"]*)"', one) + re.findall(r"url\(#([^)]*)\)", one)
    assert set(used) == set(ids(one))


def test_a_pattern_of_hatches_keeps_its_reference() -> None:
    figure = Figure(figsize=(2, 2))
    figure.add_axes((0, 0, 1, 1)).fill_between([0, 1], [0, 1], hatch="//", facecolor="none")
    made = str(inline_svg(draw(figure)["svg"], "map-", "hatched"))
    (pattern,) = re.findall(r'<pattern[^>]* id="(map-[^"]*)"', made)
    assert f"url(#{pattern})" in made


def test_it_says_what_it_shows_and_has_no_other_text() -> None:
    made = str(inline_svg(SVG, "one-", 'numbers: "3" & <5>'))
    root = ET.fromstring(made)
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == 'numbers: "3" & <5>'
    assert not "".join(root.itertext()).strip()
    assert "alert" not in made
    assert "<!--" not in made


@pytest.mark.parametrize(
    ("inner", "left"),
    [
        ("<script>alert(1)</script>", ""),
        ('<g onload="alert(1)"><path d="M 0 0"/></g>', '<path d="M 0 0"/>'),
        ('<a href="javascript:alert(1)"><path d="M 0 0"/></a>', ""),
        ('<use xlink:href="https://example.invalid/x.svg#a"/>', "<use/>"),
        ('<image xlink:href="https://example.invalid/x.png"/>', "<image/>"),
        ('<image xlink:href="data:image/png;base64,AA=="/>', '<image href="data:image/png;base64,AA=="/>'),
        ('<path style="fill: url(https://example.invalid/)" d="M 1 1"/>', '<path d="M 1 1"/>'),
        ('<path style="fill: url(#h)" d="M 1 1"/>', '<path style="fill: url(#p-h)" d="M 1 1"/>'),
        ("<foreignObject><p>x</p></foreignObject>", ""),
        ("<metadata>who</metadata><style>* { color: red }</style>", ""),
        (
            '<g id="figure_1"><path id="a" d="M 0.123456 9.999999 L -3.5 4"/></g>',
            '<path d="M 0.12 10 L -3.5 4"/>',
        ),
        (
            '<g transform="translate(1.23456 7) scale(0.015625)"><path d="M 1 1"/></g>',
            '<g transform="translate(1.23 7) scale(0.015625)"><path d="M 1 1"/></g>',
        ),
        ('<path d="M &quot; onload=&quot;x"/>', '<path d="M &#34; onload=&#34;x"/>'),
    ],
)
def test_only_what_a_plot_needs_comes_through(inner: str, left: str) -> None:
    assert clean(inner).partition(">")[2].removesuffix("</svg>") == left


def test_what_is_no_svg_is_refused() -> None:
    with pytest.raises(ValueError, match="not an SVG but 'html'"):
        inline_svg(b"<html/>", "p-", "")


def test_a_picture_is_never_wider_than_it_was_drawn() -> None:
    assert 'style="--drawn: 9pt"' in clean("")
