"""The command line: what a person types, what comes back, and with which exit code."""

import json
import os
import pkgutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from declared import machine

from bench.cli.main import VERBS, build_parser, main
from bench.machine.devices import Absent

SMALL = ["--quick", "--blocks", "1", "--variant", "numpy-inplace", "--batch", "4", "--hidden", "4"]
CPU_ONLY = machine(absent=[Absent("cuda", "no such device")])

# what verbs cannot do without
NEEDED = {
    "report": ["x"],
    "compare": ["x", "y"],
    "export": ["x", "--to", "csv"],
    "grade": ["x", "--assignment", "rnn"],
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to stand in, and a machine whose devices need no child process to find."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))  # where children find third_parties
    monkeypatch.setattr("bench.api.run.find_devices", lambda: CPU_ONLY)
    return tmp_path


def test_every_verb_has_a_function_and_stands_in_the_help_as_the_exit_codes_do(capsys):
    for verb, declared in VERBS.items():
        assert callable(pkgutil.resolve_name(declared.target)), verb
        assert build_parser().parse_args([verb, *NEEDED.get(verb, [])]).verb == verb
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert all(verb in text for verb in VERBS)
    assert "130, 143 interrupted" in text


def test_a_small_run_leaves_a_journal_a_report_and_its_headline(here, capsys):
    assert main(["run", *SMALL, "--out", "mine", "--seed", "5"]) == 0
    printed = capsys.readouterr().out
    assert "numpy-inplace" in printed
    assert printed.rstrip().endswith(str(Path("mine", "report.html")))
    names = {path.relative_to("mine").as_posix() for path in Path("mine").rglob("*") if path.is_file()}
    assert {"journal.jsonl", "values.csv", "report.html", "report.md"} < names
    assert {Path(name).suffix for name in names if name.startswith("plots/")} == {".svg"}

    journal = Path("mine/journal.jsonl").read_text()
    plan, environment, *_ = (json.loads(line)["record"] for line in journal.splitlines())
    assert (plan["kind"], plan["seed"], plan["run"]) == ("plan", 5, "mine")
    assert plan["missing"][0] == {"what": "cuda", "reason": "no such device", "library": ""}
    assert environment["kind"] == "environment"
    assert environment["set"]["OPENBLAS_NUM_THREADS"] == "1"

    assert main(["run", *SMALL, "--out", "mine"]) == 2
    assert "mine already holds a run; choose another --out" in capsys.readouterr().err
    assert Path("mine/journal.jsonl").read_text() == journal


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["run", "--variant", "torch-laye"],
            "no variant 'torch-laye' (did you mean 'torch-layer'?); there are: numpy",
        ),
        (["verify", "--variant", "NumPy-Loop"], "no variant 'NumPy-Loop' (did you mean 'numpy-loop'?)"),
        (["variants", "--variant", "json:lods"], "no attribute 'lods' (did you mean 'loads'?)"),
        (["run", "--device", "cuda"], "cuda"),
        (["run", "--device", "CPU"], "no device is called 'CPU' (did you mean 'cpu'?)"),
        (["run", "--device", "cude"], "no device is called 'cude' (did you mean 'cuda'?)"),
        (["run", "--device", "gpu"], "no device is called 'gpu'; here there is: cpu"),
        (["run", "--blocks", "6"], "needs 9 blocks for a verdict"),
        (["run", "--out", "file/below"], "cannot make the folder file/below"),
        (["report", "nowhere"], "nowhere"),
        (["run", "--cell", "transformer"], "no cell 'transformer'; there are: rnn, gru, lstm; or module"),
        (["verify", "--cell", "Gru"], "no cell 'Gru' (did you mean 'gru'?)"),
        (["run", "--cell", "gru", "--activation", "sigmoid"], "no such activation; it has tanh"),
        *(
            ([verb, "--cell", "third_parties.mgu:MGU", "--bias"], "third_parties.mgu:MGU has no biases")
            for verb in ("run", "verify")
        ),
        (["run", "--preset", "cells", "--cell", "gru"], "--preset=cells measures every cell, each"),
        (["run", "--preset", "cells", "--activation", "relu"], "usual activation; leave --activation out"),
        (
            ["run", "--preset", "cells", "--variant", "third_parties.mgu:numpy"],
            "measures rnn, gru, lstm, not third_parties.mgu:MGU; choose",
        ),
        (
            ["run", "--variant", "third_parties.own_gru:silent"],
            "nothing to measure: own-silent does not support a cell with biases; set its attribute bias",
        ),
    ],
)
def test_bad_input_gets_one_clear_line_and_exit_code_2(here, monkeypatch, capsys, arguments, message):
    monkeypatch.setattr("bench.api.verify.find_devices", lambda: CPU_ONLY)
    Path("file").write_text("")
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_keeps_its_journal_and_still_reports(tmp_path, number, code):
    command = [sys.executable, "-m", "bench", "run", *SMALL, "--blocks", "500", "--out", "mine"]
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    running = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    journal = tmp_path / "mine" / "journal.jsonl"
    for _ in range(600):
        if journal.exists() and '"kind":"decision"' in journal.read_text():
            break
        time.sleep(0.1)
    running.send_signal(number)
    _, errors = running.communicate(timeout=60)

    assert running.returncode == code, errors
    last = json.loads(journal.read_text().splitlines()[-1])["record"]
    assert (last["kind"], last["status"]) == ("end", "interrupted")
    assert (tmp_path / "mine" / "report.html").exists()


def test_a_disagreement_is_exit_code_1_and_json_alone_goes_to_standard_output(here, capsys):
    Path("liar.py").write_text(
        "import types\n"
        "from impl_numpy.contract import rnn_batched as batched\n"
        "def bind(*args, **options):\n"
        "    bound = batched(*args, **options)\n"
        "    result = lambda: {name: 1.01 * array for name, array in bound.result().items()}\n"
        "    return types.SimpleNamespace(call=bound.call, reset=bound.reset, result=result)\n"
        "variant = types.SimpleNamespace(name='liar', library='numpy', bind=bind)\n"
    )
    small = ["--quick", "--blocks", "1", "--batch", "4", "--hidden", "4"]

    assert main(["run", *small, "--variant", "liar:variant", "--out", "mine", "--json"]) == 1
    assert "liar" in Path("mine/report.md").read_text()
    document = json.loads(capsys.readouterr().out)
    (tree,) = document["results"]
    assert (tree["path"], document["report"], tree["status"]) == ("mine", "mine/report.html", "partial")
    answer = " ".join(tree["answer"])
    assert "Something that claims to be right gives wrong results" in answer
    assert "What is wrong with it: rnnbench verify --variant liar:variant." in answer
    statuses = {row["variant"]: row["status"] for row in tree["rows"]}
    assert statuses["liar"] == "disagrees" != statuses["numpy-batched"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--task", "trian"], "argument --task: invalid choice: 'trian' (did you mean 'train_step'?)"),
        (["run", "--layout", "seq"], "invalid choice: 'seq' (did you mean 'sequence'?)"),
        (["run", "--dtype", "Float64"], "invalid choice: 'Float64' (did you mean 'float64'?)"),
        (["run", "--activation", "gelu"], "invalid choice: 'gelu' (did you mean 'relu'?)"),
        (["run", "--hiden", "64"], "unrecognized arguments: --hiden 64 (did you mean '--hidden'?)"),
        (["run", "--batches=64"], "unrecognized arguments: --batches=64 (did you mean '--batch'?)"),
        (["run", "stray\nword"], "unrecognized arguments: stray word"),
        (["run", "--hidden"], "argument --hidden: expected one argument"),
        *(
            (["run", "--hidden", size], f"argument --hidden: '{size}' is not a whole number of 1 or more")
            for size in ("0", "-3", "six", "1.5")
        ),
        (["export", "x", "--to", "cvs"], "argument --to: invalid choice: 'cvs' (did you mean 'csv'?)"),
        (["export", "--to", "csv"], "the following arguments are required: RUN"),
        (["train", "--epoch", "3", "--laoyut", "x"], "--laoyut x (did you mean '--layout'?)"),
        (["run", "--cell", "gru", "--cell", "lstm"], "argument --cell: takes one value, not gru and lstm"),
        (["advise", "--hidden", "32", "--hidden", "64"], "argument --hidden: takes one value, not 32 and 64"),
        (["run", "--bias", "--no-bias"], "argument --bias/--no-bias: give one of the two, not both"),
        (["train", "--no-bias", "--bias"], "argument --bias/--no-bias: give one of the two, not both"),
        (["run", "--out", ""], "argument --out: is empty"),
        (["train", "--save", ""], "argument --save: is empty"),
        (["train", "--series", ""], "argument --series: is empty"),
        (["report", ""], "argument FILE: is empty"),
        (["run", "--variant", ""], "argument --variant: is empty"),
        (["run", "--hidden", "\u0663"], "is not a whole number of 1 or more"),
        (["run", "--seed", "\u0663"], "is not a whole number of 0 or more"),
        (["train", "--lr", "1_0"], "argument --lr: '1_0' is not a number"),
        (["train", "--lr", "x"], "argument --lr: 'x' is not a number"),
        (["run", "--budget", "1_0"], "is no time above 0"),
        (["run", "run"], "unrecognized arguments: run"),
        *(
            (["compare", "a", "b", "--fail-slower", share], "is not a percentage, such as 5%")
            for share in ("5", "x%", "%", "nan%", "1e9%", "1_0%")
        ),
        (["rum"], "argument VERB: invalid choice: 'rum' (did you mean 'run'?)"),
        ([], "the following arguments are required: VERB"),
    ],
)
def test_a_usage_error_is_one_line_that_knows_what_was_meant_and_where_help_is(arguments, said, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)

    assert stopped.value.code == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.count("\n") == 1
    verb = " ".join(["rnnbench", *arguments[:1]]) if arguments[:1] != ["rum"] else "rnnbench"
    assert error.startswith(f"{verb}: ")
    assert said in error
    assert error.endswith(f"; see {verb} --help\n")


def test_an_option_may_be_repeated_with_the_value_it_has(here, capsys):
    assert build_parser().parse_args(["advise", "--hidden", "64", "--hidden", "64"]).hidden == 64
    assert build_parser().parse_args(["train", "--seq-len", "4", "--outputs", "3"]).window == 4
    assert build_parser().parse_args(["run", "--no-bias", "--no-bias"]).bias is False
