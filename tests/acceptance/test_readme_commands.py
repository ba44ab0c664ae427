"""The README's quick commands as they stand there: the whole proof, a quick run, and what they print."""

from pathlib import Path

import pytest
from test_readme import commands

from bench.cli.main import main


@pytest.mark.parametrize("command", [["verify"], ["run", "--quick"]], ids=" ".join)
def test_it_works_as_it_is_typed(command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command in commands()
    monkeypatch.chdir(tmp_path)
    assert main(command) == 0
