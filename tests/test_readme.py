"""What the README says to type works: its Python blocks and its quick commands are run."""

import re
import shlex
from pathlib import Path

import pytest

from bench.cli.main import build_parser, main
from bench.measure.plan import PRESETS
from bench.proof.cases import agreement_cases, reference_cases

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The README's fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    """Every ``rnnbench`` line of the README's blocks, without its comment."""
    lines = "\n".join(blocks("sh") + blocks("")).splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("rnnbench ")]


@pytest.mark.usefixtures("few_cases")
def test_every_command_is_understood_and_the_quick_ones_work(tmp_path, monkeypatch):
    """The lists, and the proof of one variant; the others run in test_cli and test_gradients."""
    assert len(commands()) > 15
    for command in commands():
        build_parser().parse_args(command)
    monkeypatch.chdir(tmp_path)
    for command in (["variants"], ["devices"], ["verify", "--variant", "numpy-published"]):
        assert command in commands()
        assert main(command) == 0


@pytest.mark.parametrize("block", blocks("python"))
def test_the_python_blocks_print_what_they_promise(block, capsys):
    exec(compile(block, "README.md", "exec"), {})
    promised = re.findall(r"^ *print\(.*\)  # (.*)$", block, re.MULTILINE)
    assert promised
    assert capsys.readouterr().out.splitlines() == promised


def test_the_help_names_the_defaults_that_a_run_has_and_the_readme_what_is_needed_and_proved(capsys):
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    counts = {name: preset.blocks for name, preset in PRESETS.items()}
    others = ", ".join(f"{name}: {counts[name]}" for name in ("grid", "full", "quick"))
    assert f"(default: {counts['primer']}, {others})" in text
    assert PRESETS["primer"].budget_s == PRESETS["cells"].budget_s
    limits = f"{PRESETS['primer'].budget_s:g}s, grid: {PRESETS['grid'].budget_s:g}s"
    assert f"(default run, cells: {limits})" in text
    proved = {(case.shape, case.layout) for case in agreement_cases()}
    assert (len(proved), len({case.shape for case in reference_cases()})) == (10, 4)
    for words in ("at ten shapes", "at four more", "`--benchmark-histogram` needs", "[histogram]"):
        assert words in README.replace("\n", " ")
    assert "all its flags" not in README


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
)
def test_links_between_the_pages_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name}: {target}"
