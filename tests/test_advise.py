"""``rnnbench advise``: its sentences are true to the verdict, its time is kept, its JSON can be relied on."""

import json
import math
import re
import shlex
import signal
from pathlib import Path
from typing import Any

import pytest
from advised import (
    CPU,
    CPU_ONLY,
    NO_TORCH,
    SMALL,
    STILL,
    WILD,
    Simulated,
    arguments,
    declared,
    measured,
)
from msgspec.structs import replace
from reports import write_run

import bench
from bench.api.advise import Timer, declare, exit_code
from bench.cli.main import main
from bench.machine.devices import Device, Devices
from bench.machine.signals import OutOfTime, time_limit, undisturbed
from bench.measure.budget import decide, fastest_anywhere
from bench.measure.costs import Costs
from bench.measure.plan import HELD_ROUNDS, LEAST_ROUNDS, fewest_blocks
from bench.measure.runner import Runner
from bench.records.record import AnyRecord, Burst, Decision, End, Failure, Plan
from bench.records.run import make_run
from bench.reporting.advice import Advice, make_advice

WHERE = "for the forward pass at H 64, B 1, T 100, I 1, O 8 (float32)"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, a machine whose devices need no child process, a runner that makes it up."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bench.api.advise.find_devices", lambda **limits: CPU_ONLY)
    monkeypatch.setattr("bench.api.advise.since_start_s", lambda: 0.1)
    monkeypatch.setattr("bench.measure.costs.usable_cpus", lambda: 1)
    monkeypatch.setattr("bench.api.run.Runner", Simulated)
    monkeypatch.setattr(Simulated, "options", {})
    return tmp_path


def advice(records: list[AnyRecord], budget_s: float = 30.0) -> Advice:
    return make_advice(make_run(records), Path("mine"), budget_s)


def logs(inplace: Any) -> dict[str, Any]:
    """Log ratios: the NumPy side as fast as its baseline, torch-inplace by these, torch-rnn slow."""
    return {"numpy-inplace": [-0.1 + x for x in STILL], "torch-inplace": [-0.1 + x for x in inplace],
            "torch-rnn": [1.0] * 10}  # fmt: skip


def around(ratio: float) -> list[float]:
    return [math.log(ratio) - x for x in STILL]


# what is measured, and how the first sentence begins; every other beginning must be absent
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
    made = advice(measured(declared(), **options))
    first = made.sentences[0]
    assert (made.verdict, made.use) == (word, use)
    assert first.startswith(begins)
    assert WHERE in first
    assert "numpy-inplace 18.1 µs, torch-inplace" in first
    if made.low is not None and word in ("EQUIVALENT", "UNRESOLVED", "INVALID"):
        assert f"PyTorch's time over NumPy's is {made.ratio:.3f}"[:-1] in first
    assert first.count("[") == (0 if word == "NONE" else 1)
    assert len(made.sentences) == (1 if word == "NONE" else 2)  # of what is not decided, nothing is the cause
    assert ("rnnbench check" in made.sentences[-1]) == (word == "INVALID")


def test_a_library_that_is_missing_gives_no_advice_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.api.advise.find_devices", lambda **limits: NO_TORCH)
    made = advice(measured(declared()))
    assert (made.verdict, made.use, made.ratio) == ("MISSING", "", None)
    assert made.sentences == ("No advice: PyTorch is not installed.",)


def test_too_short_a_time_says_what_would_do() -> None:
    made = advice(
        measured(declared(), blocks=3, reason="the time budget of 28 s ended the run after 3 blocks")
    )
    # 2 s beside the measuring, 24 s for 4 blocks, 7 are needed
    assert (
        "the budget of 30 s held 3 of the 6 blocks that it needs, for which a budget of 45 s should do"
        in str(made)
    )
    assert "so far NumPy measured 3.00 times faster than PyTorch" in made.sentences[0]


def test_a_run_that_ended_in_block_0_gives_no_numbers() -> None:
    records = [r for r in measured(declared(), blocks=1) if getattr(r, "block", 0) == 0]
    made = advice(records)
    assert (made.verdict, made.times) == ("MISSING", ())
    assert "held 0 of the 6 blocks" in made.sentences[0]


def test_six_blocks_of_a_table_that_needs_eight_are_no_verdict_either() -> None:
    """A pair that is a row of the table shares its error rate with the others; one apart from it does not."""
    row = {"numpy-inplace": [0.3] * 10, "torch-rnn": [1.0] * 10, "torch-inplace": around(3.0)}
    made = advice(measured(declared(), row, blocks=6))
    assert made.verdict == "UNRESOLVED"
    assert "held 6 of the 8 blocks that it needs" in made.sentences[0]
    assert advice(measured(declared(), blocks=6)).verdict == "SLOWER"


def test_the_pair_is_chosen_by_block_0_alone() -> None:
    plan = declared()
    records = measured(plan)
    swapped = [
        replace(r, elapsed_ns=[1] * 5)
        if isinstance(r, Burst) and r.block > 0 and "torch-rnn" in r.entry
        else r
        for r in records
    ]
    pairs = [fastest_anywhere(run.plan, run.bursts) for run in (make_run(swapped), make_run(records))]
    assert pairs[0] is not None
    assert "torch-inplace" in pairs[0].entry
    assert pairs[0] == pairs[1]


def test_a_pair_across_places_is_judged_as_any_headline() -> None:
    records = measured(declared())
    plain = make_run([replace(r, pairs=[]) if type(r).__name__ == "Decision" else r for r in records])
    made = make_advice(plain, Path("mine"), 30.0)
    assert made.verdict == "SLOWER"
    assert made.ratio == pytest.approx(3.0, rel=1e-3)


def test_what_disagrees_is_told_and_exits_with_1() -> None:
    made = advice(with_failure("torch-rnn", "disagrees", "y_hat is off by 0.4"))
    assert (made.disagrees, exit_code(made)) == (True, 1)
    assert any("torch-rnn" in one and "y_hat is off by 0.4" in one for one in made.sentences)


def with_failure(variant: str, status: Any, reason: str) -> list[AnyRecord]:
    plan = declared()
    entry = f"{plan.groups[0].name} | {variant}@cpu x1"
    kept = [r for r in measured(plan) if not (isinstance(r, Burst) and r.entry == entry)]
    return [*kept[:-1], Failure(0, entry, status, reason), kept[-1]]


def test_the_cost_of_calls_is_the_reason_where_it_makes_the_difference() -> None:
    made = advice(measured(declared(), calls={"numpy": 0.5, "torch": 0.91}))
    assert re.match(r"PyTorch spends .* more on .*dispatch", made.sentences[1])


def test_another_part_is_the_reason_where_the_calls_are_not() -> None:
    made = advice(measured(declared(), calls={"numpy": 0.5, "torch": 0.2}))
    assert re.match(
        r"PyTorch spends [\d.]+ µs more on work on arrays, which is all but dispatch; in all, 32.0 µs lie",
        made.sentences[1],
    )


def test_without_a_dispatch_table_the_start_is_what_else_counts() -> None:
    made = advice(measured(declared()))
    assert made.sentences[1].startswith("PyTorch never catches up with NumPy at this size: it starts 1.50 s")


def test_the_json_round_trips_and_holds_finite_numbers_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["advise", *SMALL, "--json", "--out", "mine"]) == 0
    text = capsys.readouterr().out

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    found = json.loads(text, parse_constant=refuse)
    assert found["verdict"] == "SLOWER"
    assert found["use"] == "numpy"
    low, high = found["interval"]
    assert low < found["ratio"] < high
    assert found["case"]["shape"] == {"T": 100, "B": 1, "I": 1, "H": 64, "O": 8}
    assert found["times"]["torch-inplace@cpu x1"]["ns"] == pytest.approx(20_000 * 2.4, rel=1e-2)
    assert found["machine"]["processor"]
    assert found["journal"] == "mine"
    assert (Path(found["journal"]) / "journal.jsonl").exists()
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("word", CASES)
def test_every_verdict_has_json(word: str) -> None:
    options, _, _ = CASES[word]
    made = advice(measured(declared(), **options))
    assert json.loads(made.to_json())["verdict"] == word


def test_a_number_that_is_not_finite_never_leaves_as_json() -> None:
    made = advice(measured(declared()))
    object.__setattr__(made, "ratio", math.nan)
    with pytest.raises(ValueError, match="not JSON compliant"):
        made.to_json()


def test_the_command_measures_the_same_again(capsys: pytest.CaptureFixture[str]) -> None:
    main(["advise", "--hidden", "16", "--features", "3", "--threads", "1", "--budget", "2m", "--out", "mine"])
    told = capsys.readouterr().out
    (line,) = (line for line in told.splitlines() if line.startswith("Again: "))
    command = shlex.split(line.removeprefix("Again: "))
    assert command[:2] == ["rnnbench", "advise"]
    again = declare(arguments(*command[2:]), Timer(120.0, clock=lambda: 0.0))[1]
    first = bench.load("mine").run.plan
    assert (again.seed, again.groups, again.arms, again.command) == (
        first.seed, first.groups, first.arms, first.command,
    )  # fmt: skip
    assert "--budget 120s" in line


def test_without_a_seed_each_time_has_a_new_one_for_order_and_data() -> None:
    one, other = (declare(arguments(), Timer(30.0, clock=lambda: 0.0))[1] for _ in range(2))
    assert one.seed != other.seed
    assert one.groups[0].entries[0].case.seed == one.seed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--hidden", "0"], "argument --hidden: '0' is not a whole number of 1 or more"),
        (["--batch", "six"], "argument --batch: 'six' is not a whole number of 1 or more"),
        (["--seq-len", "1.5"], "argument --seq-len: '1.5' is not a whole number of 1 or more"),
        (["--budget", "0"], "argument --budget: '0' is no time above 0: give 30 or 30s, or minutes as 2m"),
        (["--budget", "-3s"], "is no time above 0"),
        (["--budget", "nan"], "'nan' is no time above 0"),
        (["--budget", "inf"], "'inf' is no time above 0"),
        (["--budget", "2h"], "'2h' is no time above 0"),
        (["--budget", ""], "'' is no time above 0"),
        (["--task", "sleep"], "argument --task: invalid choice: 'sleep'"),
    ],
)
def test_bad_arguments_get_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["advise", words[0] + "=" + words[1]])
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--budget", "1s"], "--budget 1s: "),
        (["--device", "cuda"], "no device 'cuda' here: no such device"),
        (["--threads", "4000"], "--threads 4000: this machine has"),
        (["--out", "taken"], "taken already holds a run; choose another --out"),
    ],
)
def test_wishes_that_cannot_be_met_get_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(Path("taken"), measured(declared()))
    assert main(["advise", *SMALL, *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "budget_s"), [("30", 30.0), ("30s", 30.0), ("2m", 120.0), ("1.5m", 90.0), ("0.5", 0.5)]
)
def test_a_time_is_seconds_or_minutes(text: str, budget_s: float) -> None:
    assert arguments("--budget", text).budget == budget_s


def test_its_one_question_is_adjusted_for_no_row_of_the_table_it_may_stand_in() -> None:
    """Six blocks are enough for it, and too few for a table of three."""
    slower = {"numpy-inplace": [0.2 + x for x in STILL], "torch-inplace": [0.4 - x for x in STILL],
              "torch-rnn": [1.4] * 10}  # fmt: skip
    records = measured(declared(), slower, blocks=6)
    chosen = [replace(one, pairs=[]) if isinstance(one, Decision) else one for one in records]
    made = advice(chosen)  # torch-inplace against the baseline, which is a row
    assert (made.verdict, made.use, made.blocks) == ("SLOWER", "numpy", 6)


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


def test_the_time_counts_from_the_start_and_leaves_some_for_the_answer() -> None:
    now = [100.0]
    timer = Timer(30.0, 4.0, clock=lambda: now[0])
    assert (timer.spent_s, timer.left_s) == (4.0, 25.0)
    now[0] = 110.0
    assert (timer.spent_s, timer.left_s) == (14.0, 15.0)
    plan = declare(arguments(*SMALL), timer)[1]
    assert (plan.budget_s, plan.budget_rule) == (15.0, "hold")


def costs_of(plan: Plan, start_s: float) -> Costs:
    """Block 0 showed 10 s until its end, half a second to prove an entry, and a worker for each arm."""
    entries = [entry.id for group in plan.groups for entry in group.entries]
    return Costs(
        spent_s=10.0,
        slowness=1.0,
        ready_s={arm.id: start_s / len(plan.arms) for arm in plan.arms},
        holds={arm.id: {arm.id} for arm in plan.arms},
        prove_s=dict.fromkeys(entries, 0.5),
        turn_s=dict.fromkeys(entries, 0.0),
    )


def test_a_budget_that_holds_is_ended_by_its_time_and_one_that_does_not_by_the_blocks_of_a_verdict() -> None:
    plan = declared()
    bursts = [record for record in measured(plan, blocks=0) if isinstance(record, Burst)]
    for rule, budget_s, blocks, rounds in (
        ("hold", 26.0, plan.blocks, HELD_ROUNDS),  # its time ends it
        ("refuse", 57.0, fewest_blocks(plan.groups, plan.arms), LEAST_ROUNDS),
    ):
        short = replace(plan, budget_rule=rule, budget_s=budget_s, probes=[])
        decision = decide(short, bursts, costs_of(plan, 3.0))
        assert (decision.blocks, decision.rounds) == (blocks, rounds)
    with pytest.raises(bench.UserError, match=r"--budget 26s cannot be kept: .* about 57 s"):
        decide(replace(short, budget_s=26.0), bursts, costs_of(plan, 3.0))


class Alarming:
    """A display that lets the alarm go off when the first block starts."""

    def starting(self, block: int, blocks: int) -> None:
        signal.raise_signal(signal.SIGALRM)


def test_a_run_that_is_out_of_time_says_so_in_its_journal() -> None:
    written: list[AnyRecord] = []
    with time_limit(1000):
        end = Runner(declared("--budget", "20s"), written.append, Alarming()).run()  # type: ignore[arg-type]
    assert (end.status, end.reason) == ("interrupted", "the time budget of 19 s ended it")
    assert written[-1] == end


def test_the_alarm_waits_until_workers_are_gone_and_is_off_afterwards() -> None:
    reached: list[str] = []
    before = signal.getsignal(signal.SIGALRM)

    def stop_workers() -> None:
        with time_limit(1000), undisturbed():
            signal.raise_signal(signal.SIGALRM)
            reached.append("the end")

    with pytest.raises(OutOfTime):
        stop_workers()
    assert reached == ["the end"]
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_in_python_it_is_a_function_like_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    made = bench.advise(hidden=64, batch=1, seq_len=100, task="forward", budget="30s", seed=7, out="mine")
    assert capsys.readouterr() == ("", "")
    assert made.verdict == "SLOWER"
    assert repr(made).startswith("Use NumPy: 3.00 times faster")
    assert bench.load("mine").run.plan.seed == 7
    with pytest.raises(
        bench.UserError, match=r"bench.advise\(\) knows no wish 'hiden' .* there are: batch, budget"
    ):
        bench.advise(hiden=3)
    with pytest.raises(bench.UserError, match="'soon' is no time above 0"):
        bench.advise(budget="soon")


def test_interrupting_it_in_python_is_raised_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Simulated, "options", {"stopped_by": "user"})
    with pytest.raises(KeyboardInterrupt, match=r"bench\.load\('mine'\) has what was measured"):
        bench.advise(out="mine")


def test_names_from_a_journal_never_reach_the_terminal_as_codes() -> None:
    made = advice(measured(declared()))
    object.__setattr__(made, "sentences", ("\x1b[31mred",))
    assert "\x1b" not in str(made)


def test_a_real_one_measures_and_answers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """However slow the machine: NumPy alone, one block, and a time that it will not need."""
    monkeypatch.setattr("bench.api.advise.find_devices", lambda **limits: NO_TORCH)
    monkeypatch.setattr("bench.api.run.Runner", Runner)
    monkeypatch.setattr("bench.measure.runner.decide", lambda *args: replace(decide(*args), blocks=1))
    size = ("--hidden", "4", "--batch", "2", "--seq-len", "2", "--seed", "3", "--budget", "10m")
    assert main(["advise", *size, "--json", "--out", "mine"]) == 3
    found = json.loads(capsys.readouterr().out)
    assert set(found["times"]) == {"numpy-batched@cpu x1", "numpy-inplace@cpu x1"}
    assert all(time["ns"] > 0 for time in found["times"].values())
    assert found["verdict"] == "MISSING"
    assert found["sentences"][0].startswith("No advice: PyTorch is not installed")  # a busy machine adds more
    end = bench.load("mine").run.end
    assert isinstance(end, End)
    assert end.status == "complete"


def test_a_budget_that_holds_leaves_out_slower_forms_before_blocks() -> None:
    plan = replace(declared(), probes=[])
    bursts = [record for record in measured(plan, blocks=1) if isinstance(record, Burst)]
    costs = costs_of(plan, 3.0)
    for rule, budget_s, dropped in (("hold", 26.0, ["torch-rnn@cpu x1"]), ("refuse", 57.0, [])):
        short = replace(plan, budget_rule=rule, budget_s=budget_s)
        assert decide(short, bursts, costs).dropped_arms == dropped
    assert decide(replace(plan, budget_s=1000.0), bursts, costs).dropped_arms == []


def on_gpu(plan: Plan) -> list[AnyRecord]:
    """The records of a plan with an accelerator, on which PyTorch takes a hundredth of the time."""
    arms = {arm.id: arm for arm in plan.arms}
    return [
        replace(record, elapsed_ns=[ns // 100 for ns in record.elapsed_ns])
        if isinstance(record, Burst) and "cuda" in arms[record.entry.rpartition("| ")[2]].device
        else record
        for record in measured(plan)
    ]


def with_gpu(monkeypatch: pytest.MonkeyPatch, *words: str) -> Plan:
    gpu = Device("cuda:0", "cuda", "a GPU", None, ("float32", "float64"))
    found = Devices((CPU, gpu), ())
    monkeypatch.setattr("bench.api.advise.find_devices", lambda **limits: found)
    monkeypatch.setattr("bench.machine.host.usable_cpus", lambda: 16)
    return replace(declared(*words), probes=[])


def test_an_accelerator_that_is_fastest_is_the_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    made = advice(on_gpu(with_gpu(monkeypatch)))
    assert made.sentences[0].startswith("Use PyTorch on cuda:0: ")
    assert (made.verdict, made.use) == ("FASTER", "torch")


def test_a_budget_that_holds_leaves_out_slower_places_but_no_pair_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = with_gpu(monkeypatch)
    bursts = [record for record in on_gpu(plan) if isinstance(record, Burst)]
    costs = costs_of(plan, 9.0)
    kept = {
        budget_s: {arm.id for arm in plan.arms}
        - set(decide(replace(plan, budget_s=budget_s), bursts, costs).dropped_arms)
        for budget_s in (1000.0, 40.0)
    }
    assert len(kept[1000.0]) == len(plan.arms)
    base = "numpy-batched@cpu x1"
    assert kept[40.0] == {base, f"{base} twin", "numpy-inplace@cpu x1", "torch-inplace@cuda:0 x16"}


def test_the_basic_operations_are_left_out_where_the_time_is_short() -> None:
    assert declared("--budget", "30s").probes == []
    assert declared("--budget", "2m").probes


def test_calls_that_never_settle_are_told() -> None:
    records = [
        replace(r, settled=False) if isinstance(r, Burst) and r.block == 0 and "torch" in r.entry else r
        for r in measured(declared())
    ]
    said = advice(records).sentences[0]
    assert said.endswith(
        "torch-inplace came to no steady time; wait until nothing else runs (--wait-quiet 5min)."
    )
    assert said.count("torch-inplace") == 1
