"""A pytest plugin with the option of pytest-xdist that pytest-benchmark looks at: xdist need not be here."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--dist", default="no")
