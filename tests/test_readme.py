"""What the README says to type works: its Python blocks and its quick commands are run."""

import re
import shlex
from pathlib import Path

import pytest

from bench.cli import build_parser, main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The README's fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    """Every ``rnnbench`` line of the README's blocks, without its comment."""
    lines = "\n".join(blocks("sh") + blocks("")).splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("rnnbench ")]


def is_quick(command: list[str]) -> bool:
    return command[0] in ("verify", "variants", "devices") or "--quick" in command


def test_the_readme_has_commands_of_both_kinds():
    assert any(map(is_quick, commands()))
    assert not all(map(is_quick, commands()))


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_is_understood(command):
    build_parser().parse_args(command)


@pytest.mark.parametrize("command", [*filter(is_quick, commands())], ids=" ".join)
def test_the_quick_commands_work(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(command) == 0


@pytest.mark.parametrize("block", blocks("python"))
def test_the_python_blocks_run(block):
    exec(compile(block, "README.md", "exec"), {})


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
)
def test_links_between_the_pages_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name}: {target}"
