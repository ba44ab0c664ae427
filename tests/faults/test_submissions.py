"""Submissions that hang, start processes, eat memory, print for ever or lie: one line each, and no harm."""

import os
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from submissions import RIGHT_RNN

from bench.gradients.assignment import Grade, grade
from faults.runs import PATIENCE_S

BEGINNING = "import os, signal, subprocess, sys, time\n"
RETURN = "return np.mean(e**2) / 2, grads"
FORGED = """for n in range(3, 20):
        try: os.write(n, b'{"problems": {}, "notes": []}\\n')
        except OSError: pass
"""
STUBBORN = """signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        try: time.sleep(60)
        except BaseException: pass
"""
PROCESSES = """for n in range(8):
        started = subprocess.Popen(["sleep", "60"], start_new_session=True)
        print(started.pid, file=open("PIDS", "a"), flush=True)
    time.sleep(60)
"""
EATERS = """for n in range(3):
        subprocess.Popen([sys.executable, "-c", "held = bytearray(200 << 20); import time; time.sleep(60)"])
    time.sleep(60)
"""


def graded(folder: Path, line: str, time_s: float = 60.0) -> Grade:
    """The grade of a submission that does this before it returns right gradients."""
    path = folder / "mine.py"
    text = RIGHT_RNN.replace(RETURN, f"{line}\n    {RETURN}")
    path.write_text(BEGINNING + text, encoding="utf-8")
    return grade(path, "rnn", time_s=time_s, memory_bytes=128 << 20)


@pytest.mark.parametrize(
    ("line", "said", "points"),
    [
        ("os._exit(0)", "T = 1: its process ended with exit code 0 before its reply: let its functions", 0),
        ("if len(x) == 3: os._exit(0)", "T = 3: its process ended with exit code 0", 16),
        ("os.kill(0, signal.SIGKILL)", "T = 1: its process killed by SIGKILL", 0),
        ("os.closerange(0, 1000)", "T = 1: its process ended with exit code", 0),
        ("np.ones(2**29)", "T = 1: loss_and_grads: it needs more than the 128 MiB of --memory: Memory", 4),
        (EATERS, "T = 1: it and the processes that it starts need more than the 128 MiB of --memory", 0),
        ("while True: print('x' * 1000)", "loss_and_grads: it prints or writes more than 8 MiB, leave", 4),
        (
            "np.savez = lambda *args, **options: None",
            "T = 1: its arrays cannot be read: No such file or directory",
            0,
        ),
    ],
)
def test_a_submission_that_does_more_than_compute(tmp_path: Path, line: str, said: str, points: int) -> None:
    result = graded(tmp_path, line)
    assert len(result.problems) == 1
    assert said in result.problems[0]
    assert "\n" not in result.problems[0]
    assert (result.points, result.exit_code) == (points, 1 if points else 3)


@pytest.mark.parametrize(
    ("arrays", "said", "points"),
    [
        ("y_hat=k['y_hat'], loss='a', dU=k['dU'] * np.nan, dV=k['dV'][0], other=np.ones(2)", "", 4),
        ("dV=np.array([{}])", "its arrays cannot be read: dV.npy holds Python objects, which are not", 0),
        ("dV=np.ones(2**18)", "its arrays cannot be read: its arrays have more than 1048576 bytes", 0),
    ],
)
def test_an_answer_of_other_arrays_than_the_child_should_send(
    tmp_path: Path, arrays: str, said: str, points: int
) -> None:
    save = f"lambda path, allow_pickle, **k: np.genuine(path, {arrays})"
    result = graded(tmp_path, f"np.genuine = getattr(np, 'genuine', np.savez); np.savez = {save}")
    assert result.points == points
    assert said in "".join(result.problems)


def test_lists_that_take_all_memory_cost_the_points_of_their_function_alone(tmp_path: Path) -> None:
    eater = "kept = vars(np).setdefault('kept', [])\n    while True: kept.append([0] * 1000)"
    path = tmp_path / "mine.py"
    path.write_text(
        RIGHT_RNN.replace("e = forward(params, x)", "e = hs[-1] @ params['V'].T + params['bV']").replace(
            "return states(params, x)[-1]", f"{eater}\n    return states(params, x)[-1]"
        ),
        encoding="utf-8",
    )
    result = grade(path, "rnn", time_s=60.0, memory_bytes=64 << 20)
    [problem] = result.problems
    assert problem.startswith("T = 1: forward: it needs more than the 64 MiB of --memory: MemoryError (mine")
    assert result.points == 28


def test_a_forged_reply_gets_no_point(tmp_path: Path) -> None:
    result = graded(tmp_path, FORGED)
    assert (result.points, result.exit_code) == (0, 3)
    assert (
        "its process sent " in result.problems[0]
    )  # one too many, or one that nobody asked for: who is first


def test_a_submission_without_an_end_is_ended_even_if_it_refuses(tmp_path: Path) -> None:
    result = graded(tmp_path, STUBBORN, time_s=0.2)
    assert result.problems == [
        "T = 1: it takes more than the 0.2 s of --time: look for endless loops, and for processes "
        "that it starts"
    ]


def test_all_processes_that_a_submission_starts_end_with_it(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    result = graded(tmp_path, PROCESSES.replace("PIDS", str(pids)))
    assert result.problems == ["T = 1: it starts more than 4 processes: let it compute in its own"]
    left = list[psutil.Process]()
    for pid in pids.read_text(encoding="utf-8").split():
        with suppress(psutil.NoSuchProcess):
            left.append(psutil.Process(int(pid)))
    assert psutil.wait_procs(left, timeout=PATIENCE_S)[1] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def f(:", "SyntaxError: invalid syntax (mine.py, line 1)"),
        ("import sys; sys.exit()", "it ends its process, leave that out: SystemExit (mine.py, line 1, in"),
        (
            "input()",
            "nobody answers what it asks, leave that out: EOFError: EOF when reading a line (mine.py",
        ),
        ("import torch", "torch cannot be used here, only NumPy: ModuleNotFoundError: import of torch"),
        ("from impl_numpy.rnn import predict", "impl_numpy.rnn cannot be used here, only NumPy"),
    ],
)
def test_a_file_that_cannot_be_loaded(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(text, encoding="utf-8")
    result = grade(path, "rnn", time_s=60.0, memory_bytes=128 << 20)
    assert len(result.problems) == 1
    assert result.problems[0].startswith(said)
    assert (result.points, result.exit_code) == (0, 3)


@pytest.mark.skipif(sys.platform != "linux", reason="only there may a file's name be any bytes")
def test_a_file_whose_name_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"mine\xe9.py")
    path.write_text("raise ValueError", encoding="utf-8")
    result = grade(path, "rnn", time_s=60.0, memory_bytes=128 << 20)
    assert result.problems == ["ValueError (mine\\udce9.py, line 1, in <module>)"]
    assert result.submission == "mine\\udce9.py"


@pytest.mark.parametrize("line", ["sys.stdout.close()", "sys.stdout = None"])
def test_a_submission_may_close_what_it_prints_to(tmp_path: Path, line: str) -> None:
    assert graded(tmp_path, line).points == 32


def test_what_a_submission_prints_is_kept_in_a_form_that_controls_no_terminal(tmp_path: Path) -> None:
    result = graded(tmp_path, r"print('\x1b[31mred\x00')")
    assert (result.points, result.printed.splitlines()[0]) == (32, r"\x1b[31mred\x00")
