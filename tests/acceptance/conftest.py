"""The fixture ``validity``: acceptance tests write what they promise and what they found (validity.py)."""

from pathlib import Path

import pytest
from acceptance.validity import Recorder, Validity

from bench.host.machine import utc_now

DOCS = Path(__file__).parents[2] / "docs"
PAGE = pytest.StashKey[Validity]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--validity",
        type=Path,
        default=DOCS,
        metavar="FOLDER",
        help="Where validity.json and validity.md are written; another than docs for trying things out.",
    )


@pytest.fixture
def validity(request: pytest.FixtureRequest) -> Recorder:
    """Where a test writes its rows: ``validity.record(key, ...)``, ``validity.table(key, ...)``."""
    stash = request.config.stash
    if PAGE not in stash:
        stash[PAGE] = Validity(request.config.getoption("--validity"), utc_now()[:10])
    return Recorder(stash[PAGE])


def pytest_sessionfinish(session: pytest.Session) -> None:
    if PAGE in session.config.stash:
        session.config.stash[PAGE].write_page()
