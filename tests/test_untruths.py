"""What a page or a terminal says is so: of what is not there nothing, and all of what was asked for."""

import re
from pathlib import Path
from unittest import mock

import pytest
from declared import declare
from grids import crossing_at, records_of, with_ratio
from msgspec.structs import replace
from reports import TWIN, USUAL

from bench.cli.main import main
from bench.records.record import Burst, Environment, Failure, Missing, Plan
from bench.records.run import make_run
from bench.reporting.article import run_article
from bench.reporting.build import content_of
from bench.reporting.page import render_markdown

DOUBLED = re.compile(r"(?<=\w)[.;:,!?][.;:,!?](?=\s|$)")  # two marks of a sentence in a row
OF_INTERVALS = ("the bar its 95 % interval", "exact interval", "t interval")
FORMS = ("numpy-inplace", "torch-layer", "torch-inplace")
NO_VERDICT = "Verdicts take a run that is not quick"


def asked(**options):
    """The records of a run of these options: NumPy is faster below 100 hidden units, PyTorch above."""
    with mock.patch(
        "bench.machine.libraries.torch_library.why_not_compile", return_value=None
    ):  # else this machine would decide
        plan = declare(run="asked", command=["rnnbench", "run"], **options)
    return records_of(plan, with_ratio(crossing_at(100)))


def reported(records):
    """What a terminal shows of the records, and their page as Markdown."""
    article = run_article(make_run(records))
    return "\n".join(article.summary), render_markdown(content_of([article]))


def title(page):
    return next(line for line in page.splitlines() if line.startswith("**"))


@pytest.mark.parametrize("quick", [True, False])
def test_each_size_that_was_asked_for_is_answered_on_the_terminal_and_in_the_title(quick):
    printed, page = reported(asked(hidden=(64, 256), quick=quick))
    verb = "measured" if quick else "is"
    assert re.search(rf"NumPy {verb} [\d.]+ times faster .* hidden 64,", printed, re.DOTALL)
    assert re.search(
        rf"^With hidden 256 \(numpy-batched .*, torch-layer .*\), PyTorch {verb} 1\.3", printed, re.MULTILINE
    )
    assert re.search(
        rf"NumPy {verb} 1\.5\d times faster than PyTorch with hidden 64, "
        rf"PyTorch {verb} 1\.3\d times faster than NumPy with hidden 256",
        title(page),
    )


@pytest.mark.parametrize(
    ("options", "places"),
    [
        ({"batch": (1, 128)}, ["batch 1", "batch 128"]),
        ({"seq_len": (6, 12), "layout": ("sequence",)}, ["6 steps", "12 steps"]),
        ({"features": (3, 9)}, ["3 features", "9 features"]),
        ({"outputs": (1, 8)}, ["1 output", "8 outputs"]),
        ({"threads": (1, 2)}, ["one thread", "2 threads"]),
        ({"task": ("forward", "gradient")}, ["the forward pass", "the gradient"]),
        ({"layout": ("positional", "sequence")}, ["positional input", "sequence input"]),
        ({"hidden": (32, 64), "variant": ("numpy-loop",)}, ["hidden 32", "hidden 64"]),
    ],
)
def test_whatever_else_was_asked_for_is_answered_as_well(options, places):
    printed, page = reported(asked(quick=True, **options))
    assert all(f"with {place}" in title(page) for place in places)
    assert f"With {places[1]} (" in printed


def test_many_answers_are_counted_in_the_title_and_told_one_by_one_and_one_has_its_own():
    printed, page = reported(asked(quick=True, hidden=(64, 256), task=("forward", "gradient")))
    assert "Of 4 comparisons NumPy measured faster in 2 and PyTorch measured faster in 2" in title(page)
    assert len(re.findall("With the .* and hidden ", printed)) == 4
    _, page = reported(asked(quick=True, hidden=(64,)))
    assert re.fullmatch(r"\*\*NumPy measured [\d.]+ times faster than PyTorch: undecided\*\*", title(page))


# options, what stands on terminal and page, and on neither
SAID = [
    # a compiled form that may be chosen is not one that needs no compiler
    ({"variant": (*FORMS, "torch-compile")}, ["With or without a compiler ("], ["Without a compiler"]),
    ({"variant": FORMS}, ["Without a compiler ("], ["95 %", *OF_INTERVALS]),
    ({"variant": FORMS, "quick": False}, ["Ratios are taken within blocks, not from these times"], []),
    ({"blocks": 8}, ["A quick run, 8 blocks: times, but no verdict.", "95 % interval"], ["Without --quick"]),
]  # fmt: skip


@pytest.mark.parametrize(("options", "there", "absent"), SAID)
def test_what_is_there_is_explained_and_what_is_not_is_not(options, there, absent):
    printed, page = reported(asked(**{"quick": True, **options}))
    for text in (printed, page):
        assert [part for part in there if part not in text] == []
        assert [part for part in absent if part in text] == []
    with_intervals = options.keys() & {"quick", "blocks"} != set()
    assert ("the bar its 95 % interval" in page) == with_intervals
    assert ("over blocks, the Hodges-Lehmann estimate, with its exact" in page) == with_intervals
    assert page.count("taken within each block, so it need not be the ratio of the two times shown") == 1


def test_a_control_that_has_a_value_is_not_called_absent():
    records = [
        replace(one, settled=False)
        if isinstance(one, Burst) and one.entry == TWIN and one.block == 0
        else one
        for one in asked(variant=("torch-layer",))
    ]
    printed, page = reported(records)
    assert "has no result: calls came to no steady time" in printed
    assert "no twin" not in printed + page


def test_a_sentence_ends_in_one_mark_whatever_it_quotes():
    reasons = ["is something else running?", "it fell over.", "what now!", "as told"]
    records = []
    for one in asked(variant=("torch-layer",), quick=True):
        if isinstance(one, Plan):
            one = replace(one, missing=[Missing("something", reason) for reason in reasons])
        if isinstance(one, Environment):
            one = replace(one, warnings=reasons)
        if not (isinstance(one, Burst) and one.entry == USUAL and one.block == 3):
            records.append(one)
    failures = [Failure(3, USUAL, "crashed", reason, []) for reason in reasons]
    end = replace(records[-1], status="partial", reason="something else ran.")
    for text in reported([*records[:-1], *failures, end]):
        lines = "\n".join(line for line in text.splitlines() if not line.startswith(("|", "![")))
        assert not DOUBLED.findall(lines)
        assert all(reason in lines for reason in reasons)
    for path in sorted((Path(__file__).parents[1] / "bench").rglob("*.py")):
        assert '?."' not in path.read_text(encoding="utf-8"), path


@pytest.mark.parametrize("option", ["--dtype=float64", "--quick", "--hidden=3", "--blocks=7", "--seed=0"])
def test_no_other_option_goes_with_resume(tmp_path, capsys, option):
    name, folder = option.partition("=")[0], str(tmp_path)
    for verb, error in (
        (["--resume", folder], "--resume goes on with the plan that was declared"),
        (["--refine", folder, "--budget=1m"], "--refine measures as the grid was measured"),
    ):
        if verb[0] == "--refine" or name != "--blocks":  # which extends a run
            assert main(["run", *verb, option]) == 2
            assert f"{error}: leave out {name}" in capsys.readouterr().err


def test_a_quick_run_on_a_busy_machine_says_so_and_promises_no_verdict():
    calm = asked(variant=("torch-layer",), quick=True)
    assert f"{NO_VERDICT}." in reported(calm)[0]
    busy = [
        replace(one, machine={**one.machine, "others_cpus": 1.3})
        if isinstance(one, Environment)
        else replace(one, flags=["preempted"])
        if isinstance(one, Burst) and one.block == 2
        else one
        for one in calm
    ]
    counted = [one.block == 2 for one in calm if isinstance(one, Burst) and one.block >= 1]
    for text in reported(busy):
        assert (
            "The machine was busy: other programs used 1.30 processors before it began and disturbed "
            f"{sum(counted)} of {len(counted)} measurements. {NO_VERDICT} on a quiet machine: the same "
            "command with "
        ) in text
