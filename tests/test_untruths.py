"""What a page or a terminal says is so: of what is not there nothing, and all of what was asked for."""

import re
from pathlib import Path
from unittest import mock

import pytest
from declared import declare
from grids import crossing_at, records_of, with_ratio
from msgspec.structs import replace
from reports import TWIN, USUAL, write_run

from bench.cli.main import main
from bench.records.record import Burst, Environment, Failure, Missing, Plan

DOUBLED = re.compile(r"(?<=\w)[.;:,!?][.;:,!?](?=\s|$)")  # two marks of a sentence in a row
OF_INTERVALS = ("the bar its 95 % interval", "exact interval", "t interval")
FORMS = ("numpy-inplace", "torch-rnn", "torch-inplace")


def asked(**options):
    """The records of a run of these options: NumPy is faster below 100 hidden units, PyTorch above."""
    with mock.patch(
        "bench.machine.libraries.torch_library.why_not_compile", return_value=None
    ):  # else this machine would decide
        plan = declare(run="asked", command=["rnnbench", "run"], **options)
    return records_of(plan, with_ratio(crossing_at(100)))


def reported(folder, records, capsys):
    """What ``report`` prints of the records, and its page as Markdown."""
    assert main(["report", str(write_run(folder, records))]) in (0, 1)
    return capsys.readouterr().out, (folder / "report.md").read_text(encoding="utf-8")


def title(page):
    return next(line for line in page.splitlines() if line.startswith("**"))


@pytest.mark.parametrize("quick", [True, False])
def test_each_size_that_was_asked_for_is_answered_on_the_terminal_and_in_the_title(tmp_path, capsys, quick):
    printed, page = reported(tmp_path / "run", asked(hidden=(64, 256), quick=quick), capsys)
    verb = "measured" if quick else "is"
    assert re.search(rf"NumPy {verb} [\d.]+ times faster .* hidden 64,", printed, re.DOTALL)
    assert re.search(
        rf"^With hidden 256 \(numpy-batched .*, torch-rnn .*\), PyTorch {verb} 1\.3", printed, re.MULTILINE
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
def test_whatever_else_was_asked_for_is_answered_as_well(tmp_path, capsys, options, places):
    printed, page = reported(tmp_path / "run", asked(quick=True, **options), capsys)
    assert all(f"with {place}" in title(page) for place in places)
    assert f"With {places[1]} (" in printed


def test_many_answers_are_counted_in_the_title_and_told_one_by_one(tmp_path, capsys):
    printed, page = reported(
        tmp_path / "run", asked(quick=True, hidden=(64, 256), task=("forward", "gradient")), capsys
    )
    assert "Of 4 comparisons NumPy measured faster in 2 and PyTorch measured faster in 2" in title(page)
    assert len(re.findall("With the .* and hidden ", printed)) == 4


def test_one_size_has_the_title_that_it_had(tmp_path, capsys):
    _, page = reported(tmp_path / "run", asked(quick=True, hidden=(64,)), capsys)
    assert re.fullmatch(r"\*\*NumPy measured [\d.]+ times faster than PyTorch: undecided\*\*", title(page))


def test_a_compiled_form_that_was_chosen_is_not_one_that_needs_no_compiler(tmp_path, capsys):
    both = asked(variant=("numpy-inplace", "torch-rnn", "torch-compile"), quick=True)
    printed, page = reported(tmp_path / "chosen", both, capsys)
    assert "With or without a compiler (" in printed
    assert "Without a compiler" not in printed + page
    usual = asked(variant=FORMS, quick=True)
    assert "Without a compiler (" in reported(tmp_path / "usual", usual, capsys)[0]


def test_what_explains_a_ratio_stands_beside_it_and_intervals_are_explained_where_there_are_any(
    tmp_path, capsys
):
    printed, page = reported(tmp_path / "run", asked(variant=FORMS), capsys)
    explained = "Ratios are taken within blocks, not from these times"
    assert explained in printed
    assert page.count(explained) == 1
    assert "taken within each block, so it need not be the ratio of the two times shown" in page
    assert all(told in page for told in OF_INTERVALS)


def test_a_page_without_intervals_does_not_explain_them(tmp_path, capsys):
    printed, page = reported(tmp_path / "quick", asked(variant=FORMS, quick=True), capsys)
    assert "95 %" not in printed
    assert not [told for told in OF_INTERVALS if told in page]


def test_a_quick_run_of_many_blocks_has_intervals_and_does_not_deny_it(tmp_path, capsys):
    printed, page = reported(tmp_path / "quick", asked(quick=True, blocks=8), capsys)
    assert "A quick run, 8 blocks: times, but no verdict." in printed
    assert "95 % interval" in printed
    assert "the bar its 95 % interval" in page
    assert "Without --quick" not in printed


def test_a_twin_that_has_a_value_is_not_called_absent(tmp_path, capsys):
    records = [
        replace(one, settled=False)
        if isinstance(one, Burst) and one.entry == TWIN and one.block == 0
        else one
        for one in asked(variant=("torch-rnn",))
    ]
    printed, page = reported(tmp_path / "run", records, capsys)
    assert "has no result: calls came to no steady time" in printed
    assert "no twin" not in printed + page


def test_a_sentence_ends_in_one_mark_whatever_it_quotes(tmp_path, capsys):
    reasons = ["is something else running?", "it fell over.", "what now!", "as told"]
    made = []
    for one in asked(variant=("torch-rnn",), quick=True):
        if isinstance(one, Plan):
            one = replace(one, missing=[Missing("something", reason) for reason in reasons])
        if isinstance(one, Environment):
            one = replace(one, warnings=reasons)
        made.append(one)
    failures = [Failure(3, USUAL, "crashed", reason, []) for reason in reasons]
    kept = [one for one in made if not (isinstance(one, Burst) and one.entry == USUAL and one.block == 3)]
    end = replace(kept[-1], status="partial", reason="something else ran.")
    printed, page = reported(tmp_path / "broken", [*kept[:-1], *failures, end], capsys)
    for text in (printed, page):
        told = "\n".join(line for line in text.splitlines() if not line.startswith(("|", "![")))
        assert not DOUBLED.findall(told)
        assert all(reason in told for reason in reasons)


def test_no_module_says_two_marks_where_it_asks():
    for path in sorted((Path(__file__).parents[1] / "bench").rglob("*.py")):
        assert '?."' not in path.read_text(encoding="utf-8"), path


@pytest.mark.parametrize("option", ["--dtype=float64", "--quick", "--hidden=3", "--blocks=7", "--seed=0"])
def test_no_other_option_goes_with_resume(tmp_path, capsys, option):
    name = option.partition("=")[0]
    if name != "--blocks":  # which extends a run
        assert main(["run", "--resume", str(tmp_path), option]) == 2
        assert (
            f"--resume goes on with the plan that was declared: leave out {name}" in capsys.readouterr().err
        )
    assert main(["run", "--refine", str(tmp_path), "--budget=1m", option]) == 2
    assert f"--refine measures as the grid was measured: leave out {name}" in capsys.readouterr().err


def test_a_quick_run_on_a_busy_machine_says_so_and_promises_no_verdict(tmp_path, capsys):
    calm = asked(variant=("torch-rnn",), quick=True)
    assert "Verdicts take a run that is not quick." in reported(tmp_path / "calm", calm, capsys)[0]
    busy = [
        replace(one, machine={**one.machine, "others_cpus": 1.3})
        if isinstance(one, Environment)
        else replace(one, flags=["preempted"])
        if isinstance(one, Burst) and one.block == 2
        else one
        for one in calm
    ]
    counted = [one for one in calm if isinstance(one, Burst) and one.block >= 1]
    often = f"{sum(one.block == 2 for one in counted)} of {len(counted)} measurements"
    printed, page = reported(tmp_path / "busy", busy, capsys)
    for text in (printed, page):
        assert (
            "The machine was busy: other programs used 1.30 processors before it began and disturbed "
            f"{often}. Verdicts take a run that is not quick on a quiet machine"
        ) in text
    assert "rnnbench run --wait-quiet 10min" in printed
