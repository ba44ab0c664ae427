"""The Python API: light to import, the command line's wishes, results that show themselves, plain errors."""

import importlib
import inspect
import pkgutil
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from declared import declare, machine
from journals import example_records
from msgspec.structs import replace
from reports import Reader, write_run
from trainings import settings

import bench
from bench.machine.devices import Absent
from bench.proof.child import Row
from bench.records.record import Decision, End, Environment, Plan
from bench.reporting.display import run_progress, train_progress, verify_progress
from bench.reporting.notebook import Verification
from bench.workload.case import Shape

ROOT = Path(__file__).parents[1]
HOSTILE = "<script>alert(1)</script>&\"'"
CPU_ONLY = machine(absent=[Absent("cuda", "no such device")])
SMALL: dict[str, Any] = {"quick": True, "blocks": 1, "variants": "numpy-inplace", "batch": 4, "hidden": 4}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to stand in, and a machine whose devices need no child process to find."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))  # where children find third_parties
    for module in ("bench.api.run", "bench.api.verify"):
        monkeypatch.setattr(f"{module}.find_devices", lambda: CPU_ONLY)
    return tmp_path


@pytest.fixture
def saved(tmp_path):
    return write_run(tmp_path / "saved", example_records())


class Stopped:
    """A runner that is interrupted at once, as the real one writes it."""

    def __init__(self, plan, write, progress, **options):
        self.write = write

    def run(self):
        end = End("interrupted", "stopped by the user", 0.1, "2026-01-02T03:04:06+00:00", 0.0, "user")
        self.write(end)
        return end


def test_importing_bench_loads_the_standard_library_alone():
    code = "import bench, sys; dir(bench); print(*sys.modules)"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    bare = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in child.stdout.split()} - set(bare.stdout.split())
    assert loaded <= {"bench", *sys.stdlib_module_names}
    assert "bench" in loaded


def test_no_submodule_takes_a_functions_place_and_what_is_not_there_is_an_attribute_error():
    submodules = {module.name for module in pkgutil.iter_modules(bench.__path__)}
    assert submodules & set(bench.__all__) == set()
    assert "reporting" in submodules  # the question would find them
    for module in pkgutil.walk_packages(bench.__path__, "bench."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in ("verify", "run", "train", "report", "load"):
        assert inspect.isfunction(getattr(bench, name)), name
        assert name in dir(bench)
    with pytest.raises(AttributeError, match="has no attribute 'rum'"):
        _ = bench.rum


def test_a_small_run_comes_back_with_its_values_its_summary_and_its_answer(here, capsys):
    handler = signal.getsignal(signal.SIGTERM)
    result = bench.run(**SMALL, layouts=["sequence"], seed=5, out=Path("mine"))

    assert signal.getsignal(signal.SIGTERM) is handler
    assert capsys.readouterr() == ("", "")  # no terminal, no notebook: not a word
    assert (result.path, result.run.plan.seed) == (Path("mine"), 5)
    assert set(result.frame.variant) == {"numpy-batched", "numpy-inplace"}
    assert (result.frame.T.loc["layout"] == "sequence").all()
    assert set(result.summary().cell) == {"rnn"}
    assert list(result.summary().variant) == ["numpy-batched", "numpy-batched", "numpy-inplace"]
    assert "numpy-inplace" in repr(result)


def stopped(out: str, **options: Any) -> Plan:
    """The plan of a run that is interrupted at once."""
    with pytest.raises(KeyboardInterrupt, match=rf"bench\.load\('{out}'\) has what was measured"):
        bench.run(quick=True, out=out, **options)
    return bench.load(out).run.plan


def test_an_interrupted_run_is_raised_again_can_be_loaded_and_typed_again(here, monkeypatch):
    monkeypatch.setattr("bench.api.run.Runner", Stopped)
    first = stopped("mine", task=("forward", "gradient"), hidden=[8, 16], dtype="float64")
    options = ("--task=forward", "--task=gradient", "--dtype=float64", "--hidden=8", "--hidden=16")
    assert first.command == ["rnnbench", "run", "--quick", *options, "--out=mine"]

    result = bench.load("mine")
    assert result.run.state == "interrupted"
    assert "The run was interrupted: stopped by the user" in repr(result)
    assert len(result.frame) == 0
    assert result.summary().reason.str.endswith("the run ended before it was measured").all()
    assert Reader(result._repr_html_()).all("table")

    gru = stopped("gru", cell="gru", bias=False)
    assert gru.command == ["rnnbench", "run", "--quick", "--cell=gru", "--no-bias", "--out=gru"]
    cases = [entry.case for group in gru.groups for entry in group.entries]
    assert {(case.cell, case.bias) for case in cases} == {("gru", False)}

    # singular and plural mean the same, and None nothing
    one, other = stopped("one", task="forward"), stopped("other", tasks=["forward"], blocks=None)
    assert one.groups == other.groups
    assert {entry.case.task for group in one.groups for entry in group.entries} == {"forward"}


NO_SIZE = "is not a whole number of 1 or more"
NO_LOOP = "no variant 'numpy-lop' (did you mean 'numpy-loop'?)"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "run",
            {"hiden": 32},
            "knows no wish 'hiden' (did you mean 'hidden'?); there are: activation, batch",
        ),
        ("run", {"layout": "spiral"}, "layout: invalid choice: 'spiral' (choose from positional, sequence,"),
        ("run", {"batch": 0}, f"batch: '0' {NO_SIZE}"),
        ("run", {"variants": ["numpy-lop"]}, f"{NO_LOOP}; there are: numpy-published"),
        ("run", {"device": "cuda"}, "no device 'cuda' here: no such device"),
        ("run", {"out": "taken"}, "taken already holds a run; choose another out="),
        (
            "run",
            {"features": 3, "layout": "sequence"},
            "features= makes random data of any shape, which has no layout=",
        ),
        ("run", {"seed": [1, 2]}, "seed= takes one value, not 2"),
        ("run", {"cell": "transformer"}, "no cell 'transformer'; there are: rnn, gru, lstm; or module"),
        ("run", {"cells": ["gru", "lstm"]}, "cell= takes one value, not 2"),
        ("run", {"cell": "gru", "activation": "relu"}, "activation='relu': the cell gru has no such"),
        ("run", {"preset": "cells", "cell": "gru"}, "preset='cells' measures every cell, each with"),
        ("run", {"bias": "no"}, "bias: is True or False, not 'no'"),
        ("run", {"cell": "third_parties.mgu:MGU", "bias": True}, "bias=True: the cell third_parties."),
        ("run", {"variant": "third_parties.own_gru:silent"}, "bias = True if it does, or give bias=False"),
        ("run", {"keep_env": "OMP_NUM_THREADS"}, "keep_env='OMP_NUM_THREADS': both libraries get the same"),
        ("run", {"refine": "taken"}, "make one with bench.run(preset='grid')"),
        ("run", {"devcie": "cpu"}, "bench.run() knows no wish 'devcie' (did you mean 'dev"),
        ("train", {"devcie": "cpu"}, "bench.train() knows no wish 'devcie' (did you mean 'dev"),
        ("train", {"layout": "spiral"}, "layout: invalid choice: 'spiral'"),
        ("train", {"split": "trail"}, "split: invalid choice: 'trail' (did you mean 'tail'?)"),
        ("train", {"epochs": 2.5}, f"epochs: '2.5' {NO_SIZE}"),
        ("train", {"lr": -1}, "lr= must be a number above 0"),
        ("train", {"column": "x"}, "column= is about a CSV file; give that too: series="),
        ("train", {"variant": "numpy-lop"}, NO_LOOP),
        ("verify", {"devcie": "cpu"}, "bench.verify() knows no wish 'devcie' (did you mean 'dev"),
        ("verify", {"variant": "numpy-lop"}, NO_LOOP),
        ("verify", {"device": "tpu"}, "no device is called 'tpu'; here there is: cpu"),
        ("verify", {"device": "cdua"}, "no device is called 'cdua' (did you mean 'cuda'?)"),
        ("advise", {"devcie": "cpu"}, "bench.advise() knows no wish 'devcie' (did you mean 'dev"),
        ("advise", {"hidden": [32, 64]}, "hidden= takes one value, not 2"),
        ("advise", {"device": "cpu", "budget": 1.5}, "budget='1.5s': 0.0 s went before anything"),
        ("advise", {"device": "cpu", "budget": 1.5}, "give more, as budget='30s'"),
    ],
)
def test_what_python_complains_of_is_said_in_its_own_words(here, capsys, name, options, message):
    if "taken" in options.values():
        write_run(Path("taken"), example_records())
    with pytest.raises(bench.UserError) as raised:
        getattr(bench, name)(**options)
    assert message in str(raised.value)
    assert "--" not in str(raised.value)
    assert "\n" not in str(raised.value)
    assert capsys.readouterr() == ("", "")


def test_the_frame_has_a_row_a_value_and_the_summary_a_row_an_entry(saved):
    result = bench.load(saved)
    run, frame, summary = result.run, result.frame, result.summary()
    assert isinstance(frame, pd.DataFrame)
    assert len(frame) == sum(len(burst.elapsed_ns) for burst in run.bursts)
    assert list(summary.entry) == list(run.entries)
    row = summary.set_index("entry").loc["train_step positional | torch-layer@cpu x1"]
    counted = frame[frame.counted & (frame.entry == row.name)]
    assert row.median_ns == pytest.approx(counted.groupby("block").per_call_ns.median().median())
    assert row.low < row.ratio < row.high
    assert row.verdict == "SLOWER"
    base = summary.set_index("entry").loc[row.baseline]
    assert (base.verdict, base.baseline) == ("", "")
    assert pd.isna(base.ratio)
    assert row.ratio == pytest.approx(row.median_ns / base.median_ns, rel=0.05)


@pytest.mark.usefixtures("unrendered")
def test_a_result_shows_the_reports_sentences_and_its_first_table(saved):
    result = bench.load(saved)
    page = result._repr_html_()
    reader = Reader(page)
    report = Reader(bench.report(result).read_text(encoding="utf-8"))
    text, whole = ("".join(one.text.split()) for one in (reader, report))
    for sentence in re.split(r"\n|: |; ", repr(result)):
        assert "".join(sentence.split()) in text
        assert "".join(sentence.split()) in whole
    assert len(reader.all("table")) == 1
    first = text[text.index("VariantTimeacall") :]
    assert "torch-layer" in first
    assert first in whole  # the same rows, from the same template


def test_what_a_result_shows_needs_no_script_and_no_address_and_escapes_every_name(tmp_path):
    records = [
        replace(record, machine={**record.machine, "processor": HOSTILE})
        if isinstance(record, Environment)
        else record
        for record in example_records()
    ]
    page = bench.load(write_run(tmp_path / "hostile", records))._repr_html_()
    reader = Reader(page)
    assert "alert(1)" in reader.text
    assert not {"script", "link", "iframe", "img"} & {tag for tag, _ in reader.tags}
    assert not any(word in page for word in ("http:", "https:", "url(", "onload"))
    assert "script" in {tag for tag, _ in Reader(f"<p>{HOSTILE}</p>").tags}  # it would be noticed


@pytest.mark.usefixtures("unrendered")
def test_what_can_be_loaded_can_be_reported_also_several_at_once(saved, tmp_path):
    journal = saved / "journal.jsonl"
    assert repr(bench.load(journal)) == repr(bench.load(str(saved)))
    assert bench.report(bench.load(journal)) == saved / "report.html"
    page = bench.report(saved, bench.load(saved), out=tmp_path / "both")
    assert page == tmp_path / "both" / "report.html"
    assert page.exists()
    with pytest.raises(bench.UserError, match="several results make one report; name its folder with out="):
        bench.report(saved, saved)
    with pytest.raises(bench.UserError, match="nothing to report on"):
        bench.report()
    with pytest.raises(bench.UserError, match="cannot read"):
        bench.load(tmp_path / "nowhere")


def proof(variant: str, status: str, **errors: float) -> Row:
    shape, tolerances = Shape(2, 3, 1, 4, 1), dict.fromkeys(errors, 1e-6)
    return Row(
        variant, "numpy", "cpu", "float64", "gradient", "sequence", "tanh", shape, errors, tolerances, status,
        "rnn", bias=False, reason="dU is off" if status == "disagrees" else "",
    )  # fmt: skip


def test_a_verification_says_its_conclusion_and_has_a_row_a_proof(here, monkeypatch):
    asked = {}

    def prove(specs, devices, *, machine, progress, done, **chosen):
        asked.update(specs=specs, devices=devices, **chosen)
        progress(2, 2)
        return [
            proof("reference", "ok"),
            proof("numpy-loop", "ok", dU=1e-9),
            proof("mine", "disagrees", dU=0.5),
        ]

    monkeypatch.setattr("bench.api.verify.verify", prove)
    found = bench.verify(["numpy-loop", "mine"], cell="gru", bias=False)

    assert asked == {"specs": ("numpy-loop", "mine"), "devices": ["cpu"], "cells": ("gru",), "bias": False}
    assert not found.ok
    assert "WRONG: mine" in repr(found)
    assert list(found.frame.status) == ["ok", "ok", "disagrees"]
    assert list(found.summary().dU.dropna()) == [1e-9, 0.5]
    assert not found.frame.bias.any()
    of_a_gru = replace(found.rows[1], cell="gru")
    cells = Verification([*found.rows, of_a_gru]).summary()
    assert list(cells[cells.variant == "numpy-loop"].cell) == ["rnn", "gru"]
    assert "WRONG: mine" in Reader(found._repr_html_()).text
    assert Verification([proof("reference", "ok"), proof("numpy-loop", "ok", dU=1e-9)]).ok


def test_verify_asks_for_every_variant_or_for_those_that_are_named_however(here, monkeypatch):
    asked: list[Any] = []
    monkeypatch.setattr("bench.api.verify.verify", lambda specs, ids, **_: asked.append((specs, ids)) or [])
    bench.verify()
    assert "torch-layer" in asked.pop()[0]
    bench.verify("numpy-loop")
    bench.verify("numpy-loop", "cpu")
    bench.verify(variants=["numpy-loop"], devices=("cpu",))
    bench.verify(variant="numpy-loop", device="cpu")
    assert asked == [(("numpy-loop",), ["cpu"])] * 4


def test_train_takes_one_variant_or_several_and_passes_wishes_on(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "bench.api.train.run_training", lambda settings, out, tell, *_: asked.append((settings, tell))
    )
    monkeypatch.setattr("bench.api.train.draw", lambda folder: None)
    monkeypatch.setattr("bench.api.train.load_result", lambda folder: None)
    monkeypatch.setattr("bench.api.train.save", lambda result, paths: None)
    bench.train("numpy-loop", epochs=5)
    bench.train(variant=["numpy-loop", "torch-cell"], seq_len=4, outputs=3, progress=print)
    bench.train(lr=0.25, series=Path("a.csv"), column="x", device="cpu")
    (first, _), (second, told), (third, _) = asked
    assert (first.variants, first.epochs) == (("numpy-loop",), 5)
    assert second.variants == ("numpy-loop", "torch-cell")
    assert (second.window, second.horizon, told) == (4, 3, print)
    assert third.variants == ("numpy-inplace", "torch-layer")
    assert (third.lr, third.series, third.column) == (0.25, "a.csv", "x")


def test_a_notebook_sees_one_line_that_is_rewritten_and_then_gone(monkeypatch):
    said = []

    class Shown:
        def update(self, content, *, raw):
            said.append(content["text/plain"])

    ipython = pytest.importorskip("IPython.display")
    monkeypatch.setattr(ipython, "display", lambda *content, **options: Shown())
    monkeypatch.setattr("bench.reporting.display.in_notebook", lambda: True)
    plan = declare(quick=True)
    with run_progress(plan) as progress:
        progress.starting(0, 3)
        progress.measuring(0, plan.groups[0].entries[0])
        progress.decided(Decision([], 1.0, 3, 15, [], []))
    with verify_progress() as proved:
        proved(1, 2)
    with train_progress(settings("numpy-loop"), lines=False) as trained:
        trained("numpy-loop", 100, 0.5)
    what, entries = "checking results and finding how long a call takes", plan.groups[0].entries
    first = (
        f"entry 1 of {sum(len(group.entries) for group in plan.groups)}: {entries[0].group}, numpy-batched"
    )
    assert said == [
        *(f"{what}: starting fresh processes", f"{what}, {first}", ""),
        *("computing the reference", "1 of 2 proofs", ""),
        *("numpy-loop · epoch 100 · loss 5.0000e-01", ""),
    ]
