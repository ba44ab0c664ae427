"""What acceptance tests share: the page that they write (validity.py), and how many runs they make."""

from collections import Counter
from collections.abc import Generator
from pathlib import Path

import pytest
from acceptance.validity import Recorder, Validity

from bench.machine.host import utc_now

FOLDER = Path(__file__).parent
DOCS = FOLDER.parents[1] / "docs"
PAGE = pytest.StashKey[Validity]()
TESTS = pytest.StashKey[Counter[Path]]()  # how many each file has
ENDED = pytest.StashKey[dict[Path, dict[str, str]]]()  # how those that were run ended, by file


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
    return Recorder(_page(request.config))


def _page(config: pytest.Config) -> Validity:
    if PAGE not in config.stash:
        config.stash[PAGE] = Validity(config.getoption("--validity"), utc_now()[:10])
    return config.stash[PAGE]


@pytest.hookimpl(tryfirst=True)  # before -k and its like take tests out
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Count the tests of each file that was asked for as a whole."""
    if not any("::" in argument for argument in config.args):
        config.stash[TESTS] = Counter(item.path for item in items if item.path.parent == FOLDER)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep how a test ended: by its call, or by what went wrong around it."""
    report = yield
    if report.when == "call" or not report.passed:
        item.config.stash.setdefault(ENDED, {}).setdefault(item.path, {})[item.name] = report.outcome
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write how each file ended of which every test was run, and the page."""
    config = session.config
    tests = config.stash.get(TESTS, Counter())
    for file, outcomes in config.stash.get(ENDED, {}).items():
        if len(outcomes) == tests[file]:
            _page(config).checks(file, outcomes)
    if PAGE in config.stash:
        config.stash[PAGE].write_page()
