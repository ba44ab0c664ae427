"""``rnnbench advise``: its sentences are true to the verdict, its time is kept, its JSON can be relied on."""

import json
import math
import re
import shlex
import signal
from pathlib import Path
from typing import Any

import pytest
from advised import CPU, CPU_ONLY, NO_TORCH, SMALL, STILL, WILD, Simulated, arguments, declared, measured
from msgspec.structs import replace
from played import Asked, Stage, run, set_stage
from reports import around, write_run

import bench
from bench.api.advise import Timer, declare, exit_code
from bench.cli.main import main
from bench.machine.devices import Device, Devices
from bench.machine.signals import OutOfTime, signals_held_back, time_limit
from bench.measure.budget import Forms, decide
from bench.measure.runner import Runner
from bench.records.record import AnyRecord, Burst, Decision, End, Failure
from bench.records.run import make_run
from bench.reporting import answer
from bench.reporting.advice import Advice, make_advice
from bench.reporting.article import left_out
from bench.reporting.display import run_progress
from bench.reporting.facts import Facts

WHERE = "for the forward pass at H 64, B 1, T 100, I 1, O 8 (float32)"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, a machine whose devices need no child process, a runner that makes it up."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bench.api.advise.find_devices", lambda **limits: CPU_ONLY)
    monkeypatch.setattr("bench.api.advise.since_start_s", lambda: 0.1)
    monkeypatch.setattr("bench.api.run.Runner", Simulated)
    monkeypatch.setattr(Simulated, "options", {})
    return tmp_path


def advice(records: list[AnyRecord], budget_s: float = 30.0) -> Advice:
    return make_advice(make_run(records), Path("mine"), budget_s)


def logs(inplace: Any) -> dict[str, Any]:
    """Log ratios: the NumPy side as fast as its baseline, torch-inplace by these, torch-layer slow."""
    return {"numpy-inplace": [-0.1 + x for x in STILL], "torch-inplace": [-0.1 + x for x in inplace],
            "torch-layer": [1.0] * 10}  # fmt: skip


ROW = {"numpy-inplace": [0.3] * 10, "torch-layer": [1.0] * 10, "torch-inplace": around(3.0)}

# what is measured, how the first sentence begins (every other beginning must be absent), whom to use
CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "FASTER": ({"logs": logs(around(0.5))}, "Use PyTorch: 2.00 times faster [", "torch"),
    "SLOWER": ({"logs": logs(around(3.0))}, "Use NumPy: 3.00 times faster [", "numpy"),
    "EQUIVALENT": ({"logs": logs(around(1.001))}, "Use either: ", "either"),
    "UNRESOLVED": ({"logs": logs(WILD)}, "Either may be faster ", "either"),
    "INVALID": ({"logs": logs(around(3.0)), "twin": around(1.5)}, "No advice for ", ""),
    "NONE": ({"logs": logs(around(3.0)), "blocks": 3}, "No verdict: ", ""),
}


@pytest.mark.parametrize("word", CASES)
def test_the_sentence_says_what_the_verdict_allows(word: str) -> None:
    options, begins, use = CASES[word]
    answer = advice(measured(declared(), **options))
    first = answer.sentences[0]
    assert (answer.verdict, answer.use) == (word, use)
    assert first.startswith(begins)
    assert WHERE in first
    assert "numpy-inplace 18.1 µs, torch-inplace" in first
    if word in ("EQUIVALENT", "UNRESOLVED", "INVALID"):
        assert f"PyTorch's time over NumPy's is {answer.ratio:.3f}"[:-1] in first
    assert first.count("[") == (0 if word == "NONE" else 1)
    assert len(answer.sentences) == (1 if word == "NONE" else 2)  # what is not decided has no cause
    assert ("rnnbench check" in answer.sentences[-1]) == (word == "INVALID")
    assert json.loads(answer.to_json())["verdict"] == word


def with_failure(variant: str, status: Any, reason: str) -> list[AnyRecord]:
    plan = declared()
    entry = f"{plan.groups[0].name} | {variant}@cpu x1"
    kept = [r for r in measured(plan) if not (isinstance(r, Burst) and r.entry == entry)]
    return [*kept[:-1], Failure(0, entry, status, reason), kept[-1]]


def test_a_library_that_is_missing_gives_no_advice_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.api.advise.find_devices", lambda **limits: NO_TORCH)
    answer = advice(measured(declared()))
    assert (answer.verdict, answer.use, answer.ratio) == ("MISSING", "", None)
    assert answer.sentences == ("No advice: PyTorch is not installed.",)


@pytest.mark.parametrize(
    ("options", "verdict", "parts"),
    [
        (  # 2 s beside the measuring, 24 s for 4 blocks, 7 are needed
            {"blocks": 3, "reason": "the time budget of 28 s ended the run after 3 blocks"},
            "NONE",
            ["the budget of 30 s held 3 of the 6 blocks that it needs, for which a budget of 45 s should do",
             "so far NumPy measured 3.00 times faster than PyTorch"],
        ),
        # a pair that is a row of the table shares its error rate with the others; one apart does not
        ({"logs": ROW, "blocks": 6}, "UNRESOLVED", ["held 6 of the 8 blocks that it needs"]),
        ({"blocks": 6}, "SLOWER", ["Use NumPy"]),
    ],
)  # fmt: skip
def test_too_short_a_time_says_what_would_do(options: Any, verdict: str, parts: list[str]) -> None:
    answer = advice(measured(declared(), **options))
    assert answer.verdict == verdict
    assert all(part in answer.sentences[0] for part in parts)


def test_a_run_that_ended_in_block_0_gives_no_numbers() -> None:
    answer = advice([r for r in measured(declared(), blocks=1) if getattr(r, "block", 0) == 0])
    assert (answer.verdict, answer.times) == ("MISSING", ())
    assert "held 0 of the 6 blocks" in answer.sentences[0]


def test_the_pair_is_chosen_by_block_0_alone() -> None:
    plan = declared()
    records = measured(plan)
    later = [
        replace(r, elapsed_ns=[1] * 5)
        if isinstance(r, Burst) and r.block > 0 and "torch-layer" in r.entry
        else r
        for r in records
    ]
    chosen, same = [Forms(run.plan, run.bursts).anywhere() for run in (make_run(later), make_run(records))]
    assert ["torch-inplace" in pair.entry for pair in chosen] == [True]
    assert chosen == same


def test_a_pair_that_block_0_did_not_write_down_is_judged_as_any_headline() -> None:
    """Its one question is adjusted for no row of the table: six blocks do, too few for a table of three."""
    row = {"numpy-inplace": [0.2 + x for x in STILL], "torch-inplace": [0.4 - x for x in STILL],
           "torch-layer": [1.4] * 10}  # fmt: skip
    for options, ratio in (({}, 3.0), ({"logs": row, "blocks": 6}, math.exp(0.4))):
        records = measured(declared(), **options)
        answer = advice([replace(one, pairs=[]) if isinstance(one, Decision) else one for one in records])
        assert (answer.verdict, answer.use, answer.blocks) == ("SLOWER", "numpy", options.get("blocks", 10))
        assert answer.ratio == pytest.approx(ratio, rel=5e-3)


def test_what_disagrees_is_told_and_exits_with_1() -> None:
    answer = advice(with_failure("torch-layer", "disagrees", "y_hat is off by 0.4"))
    assert (answer.disagrees, exit_code(answer)) == (True, 1)
    assert any("torch-layer" in text and "y_hat is off by 0.4" in text for text in answer.sentences)


@pytest.mark.parametrize(
    ("calls", "reason"),
    [
        ({"numpy": 0.5, "torch": 0.91}, "PyTorch spends .* more on .*dispatch"),
        ({"numpy": 0.5, "torch": 0.2},
         r"PyTorch spends [\d.]+ µs more on work on arrays, which is everything except dispatch; in all, "
         "32.0 µs lie"),
        (None, "PyTorch never catches up with NumPy at this size: it starts 1.50 s"),
    ],
)  # fmt: skip
def test_the_reason_is_the_part_that_makes_the_difference_or_else_the_start(calls: Any, reason: str) -> None:
    assert re.match(reason, advice(measured(declared(), calls=calls)).sentences[1])


def test_calls_that_never_settle_are_told() -> None:
    records = [
        replace(r, settled=False) if isinstance(r, Burst) and r.block == 0 and "torch" in r.entry else r
        for r in measured(declared())
    ]
    first = advice(records).sentences[0]
    assert first.endswith(
        "torch-inplace came to no steady time; wait until nothing else runs (--wait-quiet 5min)."
    )
    assert first.count("torch-inplace") == 1


# what programs get


def test_the_json_round_trips_and_holds_finite_numbers_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["advise", *SMALL, "--json", "--out", "mine"]) == 0
    tree = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert (tree["verdict"], tree["use"], tree["journal"]) == ("SLOWER", "numpy", "mine")
    low, high = tree["interval"]
    assert low < tree["ratio"] < high
    assert tree["case"]["shape"] == {"T": 100, "B": 1, "I": 1, "H": 64, "O": 8}
    assert tree["times"]["torch-inplace@cpu x1"]["ns"] == pytest.approx(20_000 * 2.4, rel=1e-2)
    assert tree["machine"]["processor"]
    assert Path("mine/journal.jsonl").exists()
    answer = advice(measured(declared()))
    object.__setattr__(answer, "ratio", math.nan)
    with pytest.raises(ValueError, match="not JSON compliant"):
        answer.to_json()


def test_names_from_a_journal_never_reach_the_terminal_as_codes() -> None:
    answer = advice(measured(declared()))
    object.__setattr__(answer, "sentences", ("\x1b[31mred",))
    assert "\x1b" not in str(answer)


def test_in_python_it_is_a_function_like_the_others(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = bench.advise(hidden=64, batch=1, seq_len=100, task="forward", budget="30s", seed=7, out="mine")
    assert capsys.readouterr() == ("", "")
    assert answer.verdict == "SLOWER"
    assert repr(answer).startswith("Use NumPy: 3.00 times faster")
    assert bench.load("mine").run.plan.seed == 7
    for wishes, error in (
        ({"hiden": 3}, r"bench.advise\(\) knows no wish 'hiden' .* there are: batch, bias, budget"),
        ({"budget": "soon"}, "'soon' is no time above 0"),
    ):
        with pytest.raises(bench.UserError, match=error):
            bench.advise(**wishes)
    monkeypatch.setattr(Simulated, "options", {"stopped_by": "user"})
    with pytest.raises(KeyboardInterrupt, match=r"bench\.load\('stopped'\) has what was measured"):
        bench.advise(out="stopped")


# arguments, and exit codes


def test_the_command_measures_the_same_again(capsys: pytest.CaptureFixture[str]) -> None:
    main(["advise", "--hidden", "16", "--features", "3", "--threads", "1", "--budget", "2m", "--out", "mine"])
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("Again: "))
    command = shlex.split(line.removeprefix("Again: "))
    assert command[:2] == ["rnnbench", "advise"]
    again = declare(arguments(*command[2:]), Timer(120.0, clock=lambda: 0.0))[1]
    first = bench.load("mine").run.plan
    for field in ("seed", "groups", "arms", "command"):
        assert getattr(again, field) == getattr(first, field)
    assert "--budget 120s" in line


def test_another_cell_is_measured_named_and_asked_for_again() -> None:
    for words, told in ((["--cell", "lstm"], "of an LSTM"), (["--bias"], "of an RNN with biases")):
        plan = declared(*words)
        assert " ".join(words) in " ".join(plan.command)
        assert f"for the forward pass {told} at H 64, B 1" in advice(measured(plan)).sentences[0]


def test_without_a_seed_each_time_has_a_new_one_for_order_and_data() -> None:
    one, other = (declare(arguments(), Timer(30.0, clock=lambda: 0.0))[1] for _ in range(2))
    assert one.seed != other.seed
    assert one.groups[0].entries[0].case.seed == one.seed


@pytest.mark.parametrize(
    ("word", "error"),
    [
        ("--seq-len=1.5", "argument --seq-len: '1.5' is not a whole number of 1 or more"),
        ("--budget=0", "argument --budget: '0' is no time above 0: give 30 or 30s, or minutes as 2m"),
        *((f"--budget={text}", f"'{text}' is no time above 0") for text in ("-3s", "nan", "inf", "2h", "")),
        ("--task=sleep", "argument --task: invalid choice: 'sleep'"),
    ],
)
def test_bad_arguments_get_one_line(word: str, error: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["advise", word])
    assert stopped.value.code == 2
    assert error in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--budget", "1s"], "--budget 1s: "),
        (["--device", "cuda"], "no device 'cuda' here: no such device"),
        (["--threads", "4000"], "--threads 4000: this machine has"),
        (["--out", "taken"], "taken already holds a run; choose another --out"),
    ],
)
def test_wishes_that_cannot_be_met_get_one_line(
    words: list[str], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(Path("taken"), measured(declared()))
    assert main(["advise", *SMALL, *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert error in line


def test_a_time_is_seconds_or_minutes() -> None:
    times = {"30": 30.0, "30s": 30.0, "2m": 120.0, "1.5m": 90.0, "0.5": 0.5}
    assert {text: arguments("--budget", text).budget for text in times} == times


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({}, 0),
        ({"logs": logs(WILD)}, 0),
        ({"blocks": 3}, 3),
        ({"twin": around(1.5)}, 3),
        ({"stopped_by": "user"}, 130),
        ({"stopped_by": "signal"}, 143),
    ],
)
def test_exit_codes(options: dict[str, Any], code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Simulated, "options", options)
    assert main(["advise", *SMALL]) == code


# its time


def test_the_time_counts_from_the_start_and_leaves_some_for_the_answer() -> None:
    now = [100.0]
    timer = Timer(30.0, 4.0, clock=lambda: now[0])
    assert (timer.spent_s, timer.left_s) == (4.0, 25.0)
    now[0] = 110.0
    assert (timer.spent_s, timer.left_s) == (14.0, 15.0)
    plan = declare(arguments(*SMALL), timer)[1]
    assert (plan.budget_s, plan.budget_rule) == (15.0, "hold")


def test_the_basic_operations_are_left_out_where_the_time_is_short() -> None:
    assert declared("--budget", "30s").probes == []
    assert declared("--budget", "2m").probes


def test_an_accelerator_that_is_fastest_is_the_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Device("cuda:0", "cuda", "a GPU", None, ("float32", "float64"))
    monkeypatch.setattr("bench.api.advise.find_devices", lambda **limits: Devices((CPU, gpu), ()))
    monkeypatch.setattr("bench.machine.host.usable_cpus", lambda: 16)
    plan = replace(declared(), probes=[])
    there = {arm.id for arm in plan.arms if arm.device == "cuda:0"}
    answer = advice(
        [
            replace(record, elapsed_ns=[ns // 100 for ns in record.elapsed_ns])
            if isinstance(record, Burst) and record.entry.rpartition("| ")[2] in there
            else record
            for record in measured(plan)
        ]
    )
    assert answer.sentences[0].startswith("Use PyTorch on cuda:0: ")
    assert (answer.verdict, answer.use) == ("FASTER", "torch")


class Alarming:
    """A display that lets the alarm go off when the first block starts."""

    def starting(self, block: int, blocks: int) -> None:
        signal.raise_signal(signal.SIGALRM)


def test_a_run_that_is_out_of_time_says_so_in_its_journal() -> None:
    written: list[AnyRecord] = []
    with time_limit(1000):
        end = Runner(declared("--budget", "20s"), written.append, Alarming()).run()  # type: ignore[arg-type]
    assert (end.status, end.reason) == ("interrupted", "the time budget of 19 s ended the run")
    assert written[-1] == end


def test_a_run_that_is_out_of_time_in_a_counted_block_has_ended_as_planned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def react(asked: Asked) -> None:
        if asked.block == 3:
            raise OutOfTime

    set_stage(monkeypatch, Stage(react))
    end, records = run(declared("--budget", "200s"))
    assert (end.status, end.reason) == ("complete", "the time budget of 199 s ended the run")
    assert {record.block for record in records if isinstance(record, Burst)} == {0, 1, 2}


def test_what_is_left_out_names_no_time_with_which_it_would_be_left_out_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    dropped = Decision([], 25.0, 10, 30, [], ["torch-layer@cpu x1"])
    held, whole = "To stay within the budget (a longer one includes them)", "The whole plan would take 25 s"
    for rule, begins, on_page in (("hold", held, " budget: torch"), ("aim", whole, "(the whole plan would")):
        plan = replace(declared(), budget_rule=rule)
        with run_progress(plan) as progress:
            progress.decided(dropped)
        line = capsys.readouterr().err
        assert line.startswith(begins)
        assert line.endswith("these are left out: torch-layer.\n")
        records = [
            replace(record, dropped_arms=dropped.dropped_arms) if isinstance(record, Decision) else record
            for record in measured(plan)
        ]
        kept = [record for record in records if "torch-layer" not in getattr(record, "entry", "")]
        facts = Facts.of(make_run(kept))
        assert on_page in left_out(facts)[0]
        assert "with the table" not in dict(answer.hero(facts).facts).get("What would change it", "")


def test_the_alarm_waits_until_workers_are_gone_and_is_off_afterwards() -> None:
    reached: list[str] = []
    before = signal.getsignal(signal.SIGALRM)

    def stop_workers() -> None:
        with time_limit(1000), signals_held_back():
            signal.raise_signal(signal.SIGALRM)
            reached.append("the end")

    with pytest.raises(OutOfTime):
        stop_workers()
    assert reached == ["the end"]
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_a_real_one_measures_and_answers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """However slow the machine: NumPy alone, one block, and a time that it will not need."""
    monkeypatch.setattr("bench.api.advise.find_devices", lambda **limits: NO_TORCH)
    monkeypatch.setattr("bench.api.run.Runner", Runner)
    monkeypatch.setattr("bench.measure.runner.decide", lambda *args: replace(decide(*args), blocks=1))
    size = ("--hidden", "4", "--batch", "2", "--seq-len", "2", "--seed", "3", "--budget", "10m")
    assert main(["advise", *size, "--json", "--out", "mine"]) == 3
    tree = json.loads(capsys.readouterr().out)
    assert set(tree["times"]) == {"numpy-batched@cpu x1", "numpy-inplace@cpu x1"}
    assert all(time["ns"] > 0 for time in tree["times"].values())
    assert tree["verdict"] == "MISSING"
    assert tree["sentences"][0].startswith("No advice: PyTorch is not installed")  # a busy machine adds more
    end = bench.load("mine").run.end
    assert isinstance(end, End)
    assert end.status == "complete"
