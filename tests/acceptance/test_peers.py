"""T25: JAX, Numba and ONNX Runtime are proved, keep to one thread, and are timed beside both. Ten minutes.

Skipped where rnnbench[peers] is not installed. Run by hand with ``make acceptance``, on a quiet machine.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.machine import units
from bench.machine.environ import worker_environment
from bench.machine.host import usable_cpus
from bench.workload.catalog import PEERS, why_no_peer
from bench.workload.peers.libraries import MAX_OTHERS, MAX_PROCESSORS

ROOT = Path(__file__).parents[2]
LACKING = [reason for peer in PEERS if (reason := why_no_peer(peer))]
pytestmark = pytest.mark.skipif(bool(LACKING), reason="; ".join(LACKING))

SIZES = {
    "one sample": {"task": "forward", "batch": 1, "seq-len": 100, "hidden": 64},
    "tutorial": {"task": "train_step", "batch": 128, "seq-len": 6, "hidden": 32},
    "large": {"task": "train_step", "batch": 64, "seq-len": 100, "hidden": 512},
}
MORE = ()  # options of a shorter run, to try this file
FORMS = ("numpy-batched", "numpy-inplace", "torch-layer", "torch-inplace", "torch-compile")
MAX_LEFT = 0.1  # of a call's time: what ``result`` takes after it
# prints how many processors a call uses, what of its time is left to ``result``, and what a worker would say
WATCHED = """
import sys, time
from bench.workload.binding import bind_case
from bench.workload.case import Case, Shape
from bench.workload.data import make
from bench.workload.own import load_library, load_variant
from bench.workload.peers import libraries
name, task, kept = sys.argv[1:]
variant = load_variant(name)
library = load_library(variant.own_library)
if kept == "kept":
    library.load()
else:  # as JAX is by itself, but for its calls
    import jax
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    jax.devices()  # its pool, before a variable says how large
case = Case(task, Shape(100, 64, 1, 512, 8), "sequence", data="random")
bound = bind_case(variant.load(), variant.library, case, make(case), "cpu").bound
left = []
for _ in range(5):
    times = [time.perf_counter()]
    for function in (bound.call, bound.result):
        function()
        times.append(time.perf_counter())
    left.append((times[2] - times[1]) / (times[1] - times[0]))
print(*libraries.watch(bound.call), min(left), library.computes_elsewhere(bound.call))
"""


def command(*words, folder):
    """Run rnnbench; return its output."""
    asked = [sys.executable, "-m", "bench", *map(str, words)]
    ended = subprocess.run(asked, cwd=folder, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_every_peer_is_proved(validity, tmp_path):
    names = [word for peer in PEERS for word in ("--variant", peer.name)]
    rows = json.loads(command("verify", "--device", "cpu", "--json", *names, folder=tmp_path))
    proofs = [row for row in rows if row["variant"] in {peer.name for peer in PEERS}]
    right = [row for row in proofs if row["status"] == "ok"]
    wrong = [row for row in proofs if row["status"] not in ("ok", "missing")]
    validity.record(
        "T25",
        claim="JAX, Numba and ONNX Runtime compute what the reference computes",
        promised="every proof of every peer holds",
        measured=f"{len(right)} proofs hold, {len(wrong)} do not",
        kept=not wrong and {row["variant"] for row in right} == {peer.name for peer in PEERS},
    )
    assert not wrong


def watched(name, task, kept, folder):
    """Return processors and threads that a call uses, the share left, and what a worker would say of it."""
    environment = worker_environment(1, compiled=str(folder / "compiled")).variables
    ended = subprocess.run(
        [sys.executable, "-c", WATCHED, name, task, kept],
        env=environment, cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    processors, threads, left, *said = ended.stdout.split()
    return float(processors), int(threads), float(left), " ".join(said)


def test_a_call_of_a_peer_is_whole_and_of_one_thread(validity, tmp_path):
    rows = {peer.name: watched(peer.name, peer.tasks[0], "kept", tmp_path) for peer in PEERS}
    validity.record(
        "T25-thread",
        claim="At 64 x 100 x 512 a peer computes with one thread, and its result is there at a call's end",
        promised=f"at most {MAX_PROCESSORS} processors, {MAX_OTHERS} other thread, while the caller waits, "
        f"{MAX_LEFT:.0%} of the time left to the result",
        measured="; ".join(
            f"{name} {used:.2f}, {threads}, {left:.1%}" for name, (used, threads, left, _) in rows.items()
        ),
        kept=all(left <= MAX_LEFT and not said for *_, left, said in rows.values()),
    )
    assert not any(said for *_, said in rows.values())


@pytest.mark.skipif(usable_cpus() < 2, reason="a pool of one thread cannot be told from none")
def test_a_pool_of_threads_is_noticed(validity, tmp_path):
    *_, said = watched("jax-jit", "train_step", "free", tmp_path)
    validity.record(
        "T25-mutant",
        claim="JAX with a pool of threads is refused",
        promised="refused, with the number of threads",
        measured=said or "not noticed",
        kept=bool(said),
    )
    assert said


@pytest.mark.parametrize("name", SIZES)
def test_peers_are_timed_beside_both_and_the_answer_says_who_is_ahead(validity, tmp_path, name):
    words = [f"--{option}={value}" for option, value in (SIZES[name] | {"features": 1, "outputs": 8}).items()]
    words += [f"--variant={form}" for form in FORMS]
    printed = command("run", "--peers", "--json", "--out=run", *words, *MORE, folder=tmp_path)
    (result,) = json.loads(printed)["results"]
    (said,) = (line for line in result["answer"] if line.startswith("Other libraries: "))
    pairs = [pair for pair in result["comparisons"] if pair["kind"] == "peer"]
    rows = [row for row in result["rows"] if row["median_ns"] and not row["twin"]]
    validity.record(
        f"T25-{name.replace(' ', '-')}",
        claim=f"Peers, {name}: {', '.join(f'{key} {value}' for key, value in SIZES[name].items())}",
        promised="the fastest peer is judged against the best form of both libraries, in no headline",
        measured=said,
        kept=len(pairs) == 2 and result["status"] == "complete",
    )
    validity.table(
        f"T25-{name.replace(' ', '-')}-times",
        f"{name.capitalize()}: times of a call with peers",
        f"Medians over {max(row['blocks'] for row in rows)} blocks, with 95 % intervals.",
        ("variant", "median", "from", "to"),
        [
            (row["variant"], *(units.duration(row[f"median_{which}ns"]) for which in ("", "low_", "high_")))
            for row in sorted(rows, key=lambda row: row["median_ns"])
        ],
    )  # fmt: skip
    assert len(pairs) == 2
