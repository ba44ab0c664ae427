"""What acceptance tests share: the page that they write (validity.py), and how many runs they make."""

from pathlib import Path

import pytest
from acceptance.validity import Recorder, Validity

from bench.machine.host import utc_now

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
    parser.addoption("--long", action="store_true", help="As many runs as the promises name: hours.")
    parser.addoption(
        "--state",
        type=Path,
        metavar="FILE",
        help="Where the runs of the false words are kept, so that the next time goes on with them.",
    )


@pytest.fixture(scope="session")
def long(request: pytest.FixtureRequest) -> bool:
    """Whether to make as many runs as the promises name."""
    return bool(request.config.getoption("--long"))


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
