"""What else runs is read, said in one line, waited for and kept; a quiet machine is not spoken of."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from journals import example_plan
from msgspec.structs import replace
from trainings import settings

import bench
from bench.api.advise import Timer
from bench.cli.main import main
from bench.machine import busy
from bench.machine.busy import NEIGHBOURS, Counters, Usage, report_usage, wait
from bench.records.journal import load_run
from bench.reporting.display import run_progress, train_progress
from bench.reporting.page import emphasise

QUIET, BUSY = Usage(0.02, 2, 0.1, ()), Usage(1.3, 2, 2.25, ("tar", "chromium"))
SEEN = "other programs use 65 % of 2 processors (mostly tar and chromium), load 2.2"
RUN = "run --quick --device cpu --variant numpy-inplace --hidden 4 --batch 2 --blocks 1"


def see(monkeypatch: pytest.MonkeyPatch, *usages: Usage | None) -> None:
    """Let these be what is seen, one after the other, the last one for good."""
    left = list(usages)
    monkeypatch.setattr(busy, "look", lambda sample_s: left.pop(0) if len(left) > 1 else left[0])


def steps(each_s: float) -> Iterator[float]:
    now = 0.0
    while True:
        yield now
        now += each_s


def counters(at_s: float, busy_s: float, **programs: float) -> Counters:
    used = {pid: (name.strip("_"), spent_s) for pid, (name, spent_s) in enumerate(programs.items())}
    return Counters(at_s, busy_s, 0.0, at_s / 10, used)


NOTHING = Counters(0, 0, 0, 0, {})


@pytest.mark.parametrize(
    ("before", "after", "others", "names"),
    [
        # all that was used but our own
        (counters(10, 100, tar=5, idle=7), counters(12, 103, tar=6.5, idle=7.05, new=0.9), 1.4,
         ("tar", "new")),
        # processes of one name count together
        (counters(0, 0, tar=0, worker=0, worker_=0), counters(1, 1, tar=0.4, worker=0.3, worker_=0.3), 0.9,
         ("worker", "tar")),
        (counters(0, 0, tar=0), counters(1, 0.15, tar=0.04), 0.05, ()),  # small ones are not named
        (NOTHING, Counters(1, 0.6, 0.5, 0.0, {}), 0.6, (NEIGHBOURS,)),
    ],
)  # fmt: skip
def test_what_others_used_is_known_by_how_much_and_by_whom(before, after, others, names):
    usage = busy.between(before, after, cpus=1, load_1min=None)
    assert usage.others == pytest.approx(others)
    assert (usage.names, usage.quiet) == (names, others < 0.1)


def test_a_program_that_computes_is_seen_by_its_name():
    """Whatever else this machine does: the counters of a child that computed have grown.

    They count whole ticks of 10 ms, of its own time and of the system's: up to two are not seen yet.
    """
    code = (
        "import time; t = time.process_time()\nwhile time.process_time() < t + 0.12: pass\nprint(); input()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1) as child:
        assert child.stdout is not None
        child.stdout.readline()
        name, spent_s = busy.count().programs[child.pid]
        child.communicate(b"\n")
    assert name.startswith("python")
    assert spent_s >= 0.1


def test_a_busy_machine_is_one_line_and_a_quiet_or_unknown_one_none(monkeypatch, capsys):
    see(monkeypatch, BUSY)
    assert report_usage(None) == {"others_cpus": 1.3}
    line = capsys.readouterr().err
    assert line.startswith(f"rnnbench: the machine is busy: {SEEN}. ")
    assert line.endswith("--wait-quiet 5min\n")
    see(monkeypatch, QUIET)
    assert report_usage(None) == {"others_cpus": 0.02}
    see(monkeypatch, None)
    assert report_usage(None) == report_usage(60.0) == {}
    assert capsys.readouterr().err == ""


BEGUN = f"waiting until the machine is quiet, at most 60.0 s: {SEEN}"


@pytest.mark.parametrize(
    ("usages", "step_s", "last", "waited_s", "lines"),
    [
        ((BUSY, BUSY, QUIET, BUSY), 1.0, QUIET, 3.0, [BEGUN, "the machine is quiet after 3.00 s"]),
        ((BUSY,), 12.0, BUSY, 72.0,
         [BEGUN, f"the machine is still busy after 72.0 s, measuring all the same: {SEEN}"]),
        ((QUIET, BUSY), 0.0, QUIET, 0.0, []),
    ],
)  # fmt: skip
def test_waiting_ends_when_it_is_quiet_or_with_its_time(monkeypatch, usages, step_s, last, waited_s, lines):
    see(monkeypatch, *usages)
    said: list[str] = []
    assert wait(60.0, said.append, steps(step_s).__next__) == (last, waited_s)
    assert said == lines


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize(
    "verb", [RUN.split(), ["advise", "--device", "cpu", "--budget", "1000m"], ["train", "--epochs", "1"]]
)
def test_a_signal_ends_the_waiting(verb, sent, code, monkeypatch, tmp_path):
    seen = [BUSY]

    def look(sample_s: float) -> Usage:
        if not seen:
            signal.raise_signal(sent)
        return seen.pop()

    monkeypatch.setattr(busy, "look", look)
    out = tmp_path / "out"
    assert main([*verb, "--wait-quiet", "5min", "--out", str(out)]) == code
    assert not out.exists()


def test_what_was_seen_is_kept_without_names(monkeypatch, tmp_path):
    see(monkeypatch, BUSY)
    folder = tmp_path / "run"
    assert main([*RUN.split(), "--out", str(folder)]) == 0
    assert load_run(folder).environment.machine["others_cpus"] == 1.3
    assert "chromium" not in (folder / "journal.jsonl").read_text()


def test_the_waiting_takes_nothing_of_a_budget():
    now = 100.0
    timer = Timer(30.0, clock=lambda: now)
    now += 300
    timer.pause(299.0)
    assert timer.spent_s == pytest.approx(1.0)


def test_from_python_the_line_speaks_of_the_keyword(monkeypatch, tmp_path, capsys):
    see(monkeypatch, BUSY)
    result = bench.train("numpy-inplace", epochs=2, out=tmp_path / "busy")
    assert "wait_quiet='5min'\n" in capsys.readouterr().err
    assert result.header.machine["others_cpus"] == 1.3
    waited: list[float] = []
    monkeypatch.setattr(busy, "wait", lambda most_s, say: (QUIET, waited.append(most_s) or 7.0))
    result = bench.train("numpy-inplace", epochs=2, out=tmp_path / "quiet", wait_quiet="5min")
    assert waited == [300.0]
    assert json.loads(json.dumps(result.header.machine))["waited_s"] == 7.0


def test_block_0_says_in_plain_words_how_far_it_is(monkeypatch, capsys):
    """Where nobody watches: a line every ten seconds, and one when it begins."""
    plan = example_plan()
    monkeypatch.setattr("bench.reporting.display.time.monotonic", steps(4.0).__next__)
    entries = [entry for group in plan.groups for entry in group.entries]
    with run_progress(plan) as display:
        display.starting(0, plan.blocks)
        for entry in entries[:7]:
            display.measuring(0, entry)
    words = "checking results and finding how long a call takes"
    later = [f"{words}, entry {number} of {len(entries)}" for number in (3, 6)]
    assert capsys.readouterr().err.splitlines() == [words, *later]


@pytest.mark.parametrize(("rule", "left"), [("hold", "about 26 s left"), ("aim", "about 95 s left")])
def test_no_more_time_is_left_than_a_budget_that_holds(rule, left, monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr("bench.reporting.display.time.monotonic", lambda: now[0])
    plan = replace(example_plan(), budget_rule=rule, budget_s=36.0)
    with run_progress(plan) as display:
        now[0] = 105.0
        display.starting(1, 20)
        now[0] = 110.0  # a block took 5 s, and 19 are to come
        display.starting(2, 20)
    assert capsys.readouterr().err.splitlines()[-1] == f"block 2 of 20, {left}"


def test_a_training_that_nobody_watches_is_told_in_a_handful_of_lines(capsys):
    with train_progress(settings("numpy-loop", epochs=20000)) as tell:
        for epoch in (1, *range(100, 20001, 100)):
            tell("numpy-loop", epoch, 0.5)
    epochs = [int(line.split()[2]) for line in capsys.readouterr().out.splitlines()]
    assert epochs == [1, 4000, 8000, 12000, 16000, 20000]


@pytest.mark.parametrize("verb", [["compare", "HERE", "HERE"], ["export", "HERE", "--to", "csv"]])
@pytest.mark.parametrize("name", ["", "training.jsonl"])
def test_a_training_is_called_one_and_not_a_run_without_a_journal(verb, name, tmp_path, capsys):
    (tmp_path / "training.jsonl").touch()
    assert main([str(tmp_path / name) if word == "HERE" else word for word in verb]) == 2
    said = capsys.readouterr().err
    assert "is a training" in said
    assert "rnnbench report" in said
    assert "journal" not in said


def test_a_factor_without_a_verdict_is_not_in_bold():
    assert emphasise("NumPy is 3.64 times faster") == "NumPy is <strong>3.64 times faster</strong>"
    for text in ("NumPy measured 3.64 times faster [3, 4].", "the two measured only 23.5 times apart"):
        assert emphasise(text) == text
    for command in ("rnnbench run --wait-quiet 10min", "rnnbench run --resume FOLDER --blocks 31"):
        assert f"<code>{command}</code>." in emphasise(f"So: {command}.")


def test_our_own_time_is_read_before_the_walk_over_all_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """That walk takes time of our own, which would be taken off what the others used."""
    readings: list[str] = []
    times, programs = busy.os.times, busy.psutil.process_iter
    monkeypatch.setattr(busy.os, "times", lambda: readings.append("own") or times())
    monkeypatch.setattr(
        busy.psutil, "process_iter", lambda attributes: readings.append("programs") or programs(attributes)
    )
    busy.count()
    assert readings == ["own", "programs"]
