"""F29 in a browser: a journal that is hostile in every text it holds makes a page in which nothing runs."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from browsing import OVERFLOW, PHONE, TORN, visit
from journals import example_records
from reports import write_run

from bench.records.record import AnyRecord
from bench.reporting.build import build_report

PAYLOAD = (
    "</script><script>window.pwned=1</script><img src=x onerror=window.pwned=2>'\">"
    "<iframe src=https://example.invalid/></iframe><svg onload=window.pwned=3>"
    "</title></style><a href=javascript:window.pwned=4>"
    "--><![CDATA[]]>{{ 7 * 7 }}${window.pwned=5}<base href=https://example.invalid/>\x1b[31m\u202e=1+1"
)
# what the program itself goes by, by the name of the field; anything else a stranger may choose
CHOSEN = {
    "kind", "status", "task", "layout", "dtype", "activation", "data", "split", "library", "schema",
    "budget_rule", "stopped_by", "stored",
}  # fmt: skip
KEPT = {"cpu", "ladder", "dispatch", "compiled", "numpy-batched", "numpy-published", "product"}


def spoiled(value: Any, name: str = "") -> Any:
    """The value with the payload at the end of every text in it, in keys too."""
    if isinstance(value, str):
        return value if name in CHOSEN or value in KEPT else value + PAYLOAD
    if isinstance(value, dict):
        of_strangers = {key + PAYLOAD: spoiled(one) for key, one in value.items() if name in FREE}
        return of_strangers | {key: spoiled(one, key) for key, one in value.items()}
    return [spoiled(one, name) for one in value] if isinstance(value, list) else value


FREE = {"machine", "packages", "set", "dropped", "kept", "facts"}  # dictionaries whose keys are anyone's


def hostile_records(**wishes: bool) -> list[AnyRecord]:
    """An example's records with the payload in every text."""
    made = []
    for record in example_records(**wishes):
        built = spoiled(msgspec.to_builtins(record))
        made.append(msgspec.convert(built, type(record)))
    return made


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    records = hostile_records(broken=True)
    return build_report([write_run(tmp_path_factory.mktemp("hostile"), records)], None)


def test_nothing_of_a_hostile_journal_runs_or_leaves_the_page(chromium: Any, hostile: Path) -> None:
    with visit(chromium, hostile, PHONE) as seen:
        assert seen.run("() => window.pwned") is None
        assert (seen.complaints, seen.dialogs, seen.left_the_page()) == ([], [], [])
        assert seen.page.locator("script").count() == 1
        assert seen.page.locator("iframe, base, svg, object, link, form, img:not(.drawing)").count() == 0
        assert seen.page.locator("a[href^='javascript']").count() == 0
        assert seen.run(TORN)["twice"] == []
        assert seen.run(OVERFLOW) <= 0
        handlers = "() => [...document.querySelectorAll('*')].filter((one) => one.getAttributeNames().some("
        assert seen.run(handlers + "(name) => name.startsWith('on'))).length") == 0
        text = seen.page.locator("body").inner_text()
        assert text.count("window.pwned=1") > 50  # it is there, as text
        assert "49" not in text.partition("{{ 7 * 7 }}")[0][-20:]


def test_sorting_and_filtering_a_hostile_page_runs_nothing_either(chromium: Any, hostile: Path) -> None:
    with visit(chromium, hostile) as seen:
        seen.run("() => document.querySelectorAll('details').forEach((one) => (one.open = true))")
        for button in seen.page.locator("thead th button").all()[:12]:
            button.click()
        seen.page.locator("input[type=search]").first.fill("<img src=x onerror=window.pwned=9>")
        assert seen.run("() => window.pwned") is None
        assert seen.complaints == []


def test_the_payload_is_live(chromium: Any, tmp_path: Path) -> None:
    """The negative control: where a page does not escape it and has no policy, it runs."""
    page = tmp_path / "open.html"
    page.write_text(f"<!doctype html><meta charset=utf-8><title>open</title><p>{PAYLOAD}", encoding="utf-8")
    with visit(chromium, page) as seen:
        seen.page.wait_for_function("() => window.pwned === 3 || window.pwned === 2")
        assert seen.left_the_page() != []


def test_the_policy_alone_would_stop_it(chromium: Any, hostile: Path, tmp_path: Path) -> None:
    """The second line of defence: even unescaped, within the page's own policy nothing runs."""
    text = hostile.read_text(encoding="utf-8")
    page = tmp_path / "unescaped.html"
    page.write_text(text.replace("<main>", f"<main>{PAYLOAD}", 1), encoding="utf-8")
    with visit(chromium, page) as seen:
        assert seen.run("() => window.pwned") is None
        assert any("Content Security Policy" in said for said in seen.complaints)
