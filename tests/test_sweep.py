"""How parts are handed out, and what is kept of them: with hosts that are played, without Dask."""

import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from declared import declare
from msgspec import structs

from bench.api import sweep
from bench.api.run import carry_out, exit_code
from bench.api.sweep import Sharing
from bench.cluster.part import VERSIONS as VERSION_NAMES
from bench.cluster.part import Description, Job
from bench.cluster.pool import Pool, PoolHost, differences
from bench.machine.errors import HostInUse, Unfinished, UserError
from bench.machine.signals import Terminated
from bench.measure.split import split
from bench.records.journal import Journal
from bench.records.record import End, Environment, Plan
from bench.records.sweep import (
    SCHEMA,
    Host,
    Measured,
    Part,
    Sweep,
    SweepFile,
    Unmeasured,
    load_sweep,
)
from bench.workload.options import RunOptions, scheduler

PLAN = declare("numpy-inplace", preset="grid", hidden=(4, 8, 16), batch=(1,))
PARTS = list(split(PLAN))
SEAL = "0123456789abcdef"
VERSIONS = dict.fromkeys(VERSION_NAMES, "1")
A, B = (PoolHost(Description(name, name, 2, VERSIONS), (f"tcp://{name}:1",)) for name in "ab")
OTHER = replace(B, description=Description("b", "b", 2, VERSIONS | {"numpy": "2"}))
Outcome = bytes | str | None


@dataclass
class PlayedPool:
    """Hosts that answer at once: ``react`` gives the outcome of a part on a host, asked so often."""

    react: Callable[[str, str, int], Outcome]
    there: Callable[[int], Sequence[PoolHost]] = lambda look: [A, B]
    unusable: list[str] = field(default_factory=list)
    started: list[tuple[str, str]] = field(default_factory=list)  # host, part
    cancelled: list[Any] = field(default_factory=list)
    silent: Callable[[int], str] = lambda look: ""  # since when A is silent
    taken: str = ""  # hosts that another sweep has
    looks: int = 0

    def hosts(self) -> dict[str, PoolHost]:
        self.looks += 1
        return {host.description.id: host for host in self.there(self.looks)}

    def silent_since(self, host: PoolHost) -> str:
        return self.silent(self.looks) if host.description.id == "a" else ""

    def busy(self, host: PoolHost) -> bool:
        return host.description.id in self.taken

    def start(self, host: PoolHost, job: Job, say: Callable[[str], object]) -> list[Any]:
        say("waits for another")
        self.started.append((host.description.id, job.plan.run))
        return [host.description.id, job.plan.run, 0]

    def outcome(self, task: list[Any]) -> Outcome:
        task[2] += 1
        return self.react(*task)

    def wait(self, seconds: float) -> bool:
        return False

    def cancel(self, task: list[Any]) -> None:
        self.cancelled.append(task[:2])


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "LOOK_S", 0.0)
    monkeypatch.setattr(sweep, "AWAIT_S", 0.0)


@pytest.fixture
def whole(tmp_path: Path) -> Callable[..., bytes]:
    """Makes the journal of a part: whole, unless its end is another."""

    def make(part: str, *, plan: Plan = PLAN, status: Any = "complete", ends: bool = True) -> bytes:
        path = tmp_path / "made.jsonl"
        path.unlink(missing_ok=True)
        with Journal(path) as journal:
            journal.write(split(plan)[part])
            journal.write(Environment({}, {}, {}, {}, []))
            if ends:
                journal.write(End(status, "played", 1.0, "2026-01-02T03:04:05+00:00"))
        return path.read_bytes()

    return make


def declared(*, everywhere: bool = False) -> Sweep:
    parts = [Part(name, [group.name for group in one.groups]) for name, one in split(PLAN).items()]
    return Sweep(SCHEMA, "1", PLAN.started_utc, ["rnnbench"], everywhere, [], False, PLAN, parts)


def share(
    folder: Path, pool: PlayedPool, *, everywhere: bool = False, **options: Any
) -> tuple[End, list[str]]:
    """Hand out the parts, anew or again; return the end, and what was said."""
    said: list[str] = []
    if not (folder / "sweep.jsonl").exists():
        folder.mkdir(exist_ok=True)
        with SweepFile(folder / "sweep.jsonl") as new:
            new.write(declared(everywhere=everywhere))
    file, saved = SweepFile.reopen(folder)
    with file:
        return Sharing(pool, file, saved, RunOptions(**options), said.append).run(), said  # type: ignore[arg-type]


def test_a_wait_is_over_when_a_part_ends() -> None:
    ends: list[Callable[[Any], object]] = []
    task = SimpleNamespace(key="part", add_done_callback=ends.append)
    pool = Pool(Mock(**{"submit.return_value": task}), [])
    assert pool.start(A, Job(PLAN, [], False, None, False), print) is task
    assert not pool.wait(0.0)
    ends[0](task)
    assert pool.wait(0.0)
    assert not pool.wait(0.0)


# --- who measures what


def test_one_part_at_a_time_is_handed_to_each_host(tmp_path, whole) -> None:
    busy: dict[str, str] = {}

    def react(host: str, part: str, asked: int) -> Outcome:
        assert busy.setdefault(host, part) == part, "a second part at once"
        return (busy.pop(host) and whole(part)) if asked == 2 else None

    pool = PlayedPool(react)
    end, said = share(tmp_path / "s", pool)
    assert (end.status, end.reason, said) == ("complete", "3 cases measured", [])
    assert sorted(part for _, part in pool.started) == PARTS
    assert {host for host, _ in pool.started} == {"a", "b"}
    assert exit_code(end, disagrees=False) == 0


def test_each_host_begins_with_a_case_that_has_a_control(tmp_path, whole) -> None:
    plan = declare("numpy-inplace", preset="grid", hidden=(4, 8, 16, 32, 64), batch=(1,))
    plans = split(plan)
    parts = [Part(name, [group.name for group in one.groups]) for name, one in plans.items()]
    controls = {name for name, one in plans.items() if any(arm.twin for arm in one.arms)}
    assert controls == set(list(plans)[::2])
    with SweepFile(tmp_path / "sweep.jsonl") as new:
        new.write(Sweep(SCHEMA, "1", plan.started_utc, ["rnnbench"], False, [], False, plan, parts))
    pool = PlayedPool(lambda host, part, asked: whole(part, plan=plan))
    assert share(tmp_path, pool)[0].status == "complete"
    first, second, third, *_ = pool.started
    assert {(host, part in controls) for host, part in (first, second)} == {("a", True), ("b", True)}
    assert third[1] not in controls  # the third is for a host that may come


def test_what_fails_on_one_host_is_measured_on_another(tmp_path, whole) -> None:
    pool = PlayedPool(lambda host, part, asked: "no room" if host == "a" else whole(part))
    end, _ = share(tmp_path / "s", pool)
    assert end.status == "complete"
    assert {tile.host.host for tile in load_sweep(tmp_path / "s").tiles} == {"b"}
    assert len(pool.started) == len(set(pool.started))  # no host tries a part twice


def test_what_fails_everywhere_is_missing_with_its_reason(tmp_path, whole) -> None:
    pool = PlayedPool(lambda host, part, asked: "no room\nat all" if part == PARTS[1] else whole(part))
    end, said = share(tmp_path / "s", pool)
    assert (end.status, end.reason) == ("partial", "1 case missing")
    assert said == [f"{PARTS[1]} is missing: no room at all"]
    (missing,) = load_sweep(tmp_path / "s").missing
    assert (missing.part.name, missing.host, missing.reason) == (PARTS[1], None, "no room at all")
    assert exit_code(end, disagrees=False) == 3


def test_where_nothing_could_be_measured_there_is_no_result(tmp_path) -> None:
    with pytest.raises(Unfinished, match="nothing was measured: no room"):
        share(tmp_path / "s", PlayedPool(lambda host, part, asked: "no room"))


def test_everywhere_the_parts_of_a_lost_host_are_missing_there(tmp_path, whole) -> None:
    pool = PlayedPool(
        lambda host, part, asked: whole(part) if host == "a" else None,
        there=lambda look: [A, B] if look < 3 else [A],
    )
    end, said = share(tmp_path / "s", pool, everywhere=True)
    saved = load_sweep(tmp_path / "s")
    assert (end.status, end.reason) == ("partial", "3 cases missing")
    assert {(tile.host.host, tile.reason) for tile in saved.missing} == {
        ("b", "its host was lost while it measured"),
        ("b", "no host measured it before the end"),
    }
    assert pool.cancelled == [["b", PARTS[0]]]
    assert [line for line in said if "is missing on host-2" in line] == said != []


def test_a_host_with_a_new_worker_goes_on_with_other_parts(tmp_path, whole) -> None:
    """As where a nanny replaces a worker that was killed."""
    new = replace(A, workers=("tcp://a:2",))
    pool = PlayedPool(
        lambda host, part, asked: None if part == PARTS[0] else whole(part),
        there=lambda look: [A] if look < 3 else [new],
    )
    share(tmp_path / "s", pool)
    assert pool.started == [("a", part) for part in PARTS]
    assert [tile.part.name for tile in load_sweep(tmp_path / "s").missing] == [PARTS[0]]


@pytest.mark.parametrize(("allowed", "hosts"), [(False, {"a"}), (True, {"a", "b"})])
def test_a_host_of_other_versions_that_comes_later(tmp_path, whole, allowed: bool, hosts: set[str]) -> None:
    pool = PlayedPool(
        lambda host, part, asked: whole(part) if asked > 2 else None,
        there=lambda look: [A] if look == 1 else [A, OTHER],
    )
    _, said = share(tmp_path / "s", pool, any_environment=allowed)
    assert {host for host, _ in pool.started} == hosts
    (line,) = (line for line in said if "came later" in line)
    used = "" if allowed else " and is not used"
    assert line == f"tcp://b:1 came later{used}: the hosts differ (numpy: 1 on host-1, 2 on tcp://b:1)"


def test_a_worker_that_comes_later_and_cannot_be_used_is_told_once(tmp_path, whole) -> None:
    pool = PlayedPool(lambda host, part, asked: whole(part), unusable=["b has no rnnbench"])
    assert share(tmp_path / "s", pool)[1] == ["b has no rnnbench"]


def test_a_silent_host_and_what_a_case_says_have_a_line_each(tmp_path, whole, capsys) -> None:
    pool = PlayedPool(
        lambda host, part, asked: whole(part) if asked == 5 else None,
        there=lambda look: [A],
        silent=lambda look: "12:34:56" if look in (2, 3) else "",
    )
    share(tmp_path / "s", pool)
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "waits" in line] == ["host-1: waits for another"] * len(PARTS)
    assert [line for line in lines if "silent" in line or "heard" in line] == [
        "host-1: silent since 12:34:56", "host-1: heard again",
    ]  # fmt: skip


def test_with_no_wait_a_busy_host_is_passed_over(tmp_path, whole) -> None:
    pool = PlayedPool(lambda host, part, asked: whole(part), taken="a")
    assert share(tmp_path / "s", pool, no_wait=True)[0].status == "complete"
    assert {host for host, _ in pool.started} == {"b"}
    pool.taken = "ab"
    with pytest.raises(HostInUse, match="another sweep has every worker; without --no-wait"):
        sweep.usable(pool, RunOptions(no_wait=True), print)  # type: ignore[arg-type]


def test_how_versions_differ_names_the_hosts() -> None:
    assert differences([("a", VERSIONS), ("b", VERSIONS)]) == ""
    assert differences([("a", VERSIONS | {"torch": "none", "commit": "none"})]) == "torch: none on a"
    lacks = VERSIONS | {"mine:variant": "none"}  # code of a user, unlike a commit, has to be there
    assert differences([("a", lacks)]) == "mine:variant: none on a"
    assert differences([("a", VERSIONS), ("b", VERSIONS | {"mine:variant": "c0de"})]) == ""  # not asked of a
    hosts = [("a", VERSIONS), ("b", OTHER.description.versions), ("c", VERSIONS)]
    assert differences(hosts) == "numpy: 1 on a and c, 2 on b"


@pytest.mark.parametrize("allowed", [False, True])
def test_a_resumed_sweep_is_held_to_the_versions_of_its_results(
    tmp_path, whole, monkeypatch, allowed: bool
) -> None:
    share(tmp_path, PlayedPool(lambda host, part, asked: whole(part), lambda look: [A]), everywhere=True)
    pool = PlayedPool(lambda host, part, asked: whole(part), lambda look: [OTHER])
    monkeypatch.setattr(sweep, "connected", lambda *_: nullcontext(pool))
    args = RunOptions(resume=str(tmp_path), scheduler=1, any_environment=allowed)
    different, said = r"the hosts differ \(numpy: 1 on host-1, 2 on tcp://b:1\)", list[str]()
    if not allowed:
        with pytest.raises(UserError, match=different):
            carry_out(args, ["rnnbench"], say=said.append)
        return
    assert carry_out(args, ["rnnbench"], say=said.append).end.status == "complete"
    assert [bool(re.fullmatch(different, line)) for line in said] == [True]


def test_a_later_host_is_held_to_the_results_of_hosts_that_are_gone(tmp_path, whole) -> None:
    failing = PlayedPool(
        lambda host, part, asked: whole(part) if part == PARTS[0] else "no room", there=lambda look: [A]
    )
    share(tmp_path, failing)
    _, said = share(
        tmp_path, other := PlayedPool(lambda host, part, asked: whole(part), there=lambda _: [OTHER])
    )
    assert other.started == []
    assert "is not used: the hosts differ (numpy: 1 on host-1" in said[0]


def test_what_is_in_the_way_of_a_case_is_told_before_anything_is_measured(tmp_path, whole) -> None:
    (tmp_path / PARTS[-1]).touch()
    pool = PlayedPool(lambda host, part, asked: whole(part))
    with pytest.raises(UserError, match="cannot make the folder"):
        share(tmp_path, pool)
    assert pool.started == []


# --- what is kept


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, Terminated])
def test_what_was_whole_at_an_interrupt_is_kept_and_resume_measures_the_rest(
    tmp_path, whole, interrupt
) -> None:
    def react(host: str, part: str, asked: int) -> Outcome:
        if part == PARTS[1]:
            raise interrupt
        return whole(part)

    pool = PlayedPool(react, there=lambda look: [A])
    end, _ = share(tmp_path / "s", pool)
    assert end.status == "interrupted"
    assert pool.cancelled == [["a", PARTS[1]]]
    assert exit_code(end, disagrees=False) == (143 if interrupt is Terminated else 130)
    before = load_sweep(tmp_path / "s")
    assert [tile.part.name for tile in before.missing] == PARTS[1:]
    assert before.missing[0].reason == end.reason != before.missing[1].reason
    again = PlayedPool(lambda host, part, asked: whole(part), there=lambda look: [B, A])
    end, _ = share(tmp_path / "s", again)
    assert end.status == "complete"
    assert sorted(part for _, part in again.started) == PARTS[1:]
    after = load_sweep(tmp_path / "s")
    assert after.end == end
    assert {name: host.host for name, host in after.hosts.items()} == {"host-1": "a", "host-2": "b"}


def test_a_scheduler_that_is_gone_ends_the_sweep_with_what_it_has(tmp_path, whole) -> None:
    def there(look: int) -> Sequence[PoolHost]:
        if look > 2:
            raise UserError("the scheduler is gone")
        return [A]

    with pytest.raises(UserError, match="the scheduler is gone"):
        share(tmp_path / "s", PlayedPool(lambda host, part, asked: whole(part), there=there))
    saved = load_sweep(tmp_path / "s")
    assert saved.end.status == "interrupted"
    assert [tile.part.name for tile in saved.missing] == PARTS[1:]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda data: data[:-20], "it was cut off"),
        (lambda data: data.replace(b"played", b"flayed"), "the file is damaged"),
        (lambda data: b"", "is no journal"),
    ],
)
def test_a_broken_journal_never_counts(tmp_path, whole, spoil, reason: str) -> None:
    with pytest.raises(Unfinished, match=reason):
        share(tmp_path / "s", PlayedPool(lambda host, part, asked: spoil(whole(part))))
    assert list((tmp_path / "s").glob("*/journal.jsonl")) == []


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        ({"status": "interrupted"}, "it was cut off: played"),
        ({"ends": False}, "it was cut off: its journal has no end"),
    ],
)
def test_an_interrupted_journal_never_counts(tmp_path, whole, made: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unfinished, match=reason):
        share(tmp_path / "s", PlayedPool(lambda host, part, asked: whole(part, **made)))


def test_a_journal_of_another_plan_never_counts(tmp_path, whole) -> None:
    other = declare("numpy-inplace", preset="grid", hidden=(4, 8, 16), batch=(1,), seed=2)
    with pytest.raises(Unfinished, match="its journal is of another plan"):
        share(tmp_path / "s", PlayedPool(lambda host, part, asked: whole(part, plan=other)))


def test_a_partial_part_makes_the_sweep_partial(tmp_path, whole) -> None:
    end, _ = share(tmp_path / "s", PlayedPool(lambda host, part, asked: whole(part, status="partial")))
    assert end.status == "partial"
    assert load_sweep(tmp_path / "s").missing == []


def deleted(folder: Path) -> None:
    shutil.rmtree(folder)


def renamed(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


def damaged(folder: Path) -> None:
    file = folder / "journal.jsonl"
    file.write_bytes(file.read_bytes().replace(b"played", b"flayed"))


def of_another(folder: Path) -> None:
    file = folder / "journal.jsonl"
    file.write_bytes(file.read_bytes().splitlines(keepends=True)[0])


@pytest.mark.parametrize("breaks", [deleted, renamed, damaged, of_another])
def test_resume_measures_again_what_cannot_be_read(tmp_path, whole, breaks) -> None:
    folder, again = tmp_path / "s", PlayedPool(lambda host, part, asked: whole(part))
    share(folder, again)
    breaks(folder / PARTS[1])
    assert [tile.part.name for tile in load_sweep(folder).missing] == [PARTS[1]]
    again.started.clear()
    assert share(folder, again)[0].status == "complete"
    assert [part for _, part in again.started] == [PARTS[1]]
    assert load_sweep(folder).missing == []


def test_what_is_gone_and_cannot_be_measured_again_is_missing(tmp_path, whole) -> None:
    share(tmp_path / "s", PlayedPool(lambda host, part, asked: whole(part)))
    shutil.rmtree(tmp_path / "s" / PARTS[1])
    end, (line,) = share(tmp_path / "s", PlayedPool(lambda host, part, asked: "no room"))
    assert (end.status, end.reason) == ("partial", "1 case missing")
    assert f"{PARTS[1]} is missing on host-" in line


def test_resume_measures_again_what_is_partial_and_keeps_it_where_that_fails(tmp_path, whole) -> None:
    def react(host: str, part: str, asked: int) -> Outcome:
        return whole(part, status="partial" if part == PARTS[1] else "complete")

    share(tmp_path / "s", PlayedPool(react))
    again = PlayedPool(lambda host, part, asked: "no room")
    assert share(tmp_path / "s", again)[0].status == "partial"
    assert {part for _, part in again.started} == {PARTS[1]}
    assert load_sweep(tmp_path / "s").missing == []
    assert share(tmp_path / "s", PlayedPool(lambda host, part, asked: whole(part)))[0].status == "complete"


# --- the file


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (Measured("nothing", "host-1", SEAL, "complete", 1.0), "it has no case 'nothing'"),
        (Measured(PARTS[0], "host-2", SEAL, "complete", 1.0), "it has no host 'host-2'"),
        (Measured(PARTS[0], "", SEAL, "complete", 1.0), "it has no host ''"),
        (Unmeasured("nothing", "", "why"), "it has no case 'nothing'"),
    ],
)
def test_a_sweep_that_contradicts_itself_is_refused(tmp_path: Path, record: Any, problem: str) -> None:
    write(tmp_path, declared(), Host("host-1", "a", {}), record)
    with pytest.raises(UserError, match=f"contradicts itself: {problem}"):
        load_sweep(tmp_path)


def test_parts_that_are_not_the_plan_are_refused(tmp_path: Path) -> None:
    write(tmp_path, structs.replace(declared(), parts=declared().parts[1:]))
    with pytest.raises(UserError, match="its cases are not the groups of its plan, each once"):
        load_sweep(tmp_path)


def test_a_plan_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    plan = structs.replace(PLAN, arms=PLAN.arms[1:])
    write(tmp_path, structs.replace(declared(), plan=plan))
    with pytest.raises(UserError, match="contradicts itself: the plan has no arm"):
        load_sweep(tmp_path)


@pytest.mark.parametrize("name", ["..", "a/b", "", ".hidden"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="cannot be written"):
        write(tmp_path, declared(), Host(name, "a", {}))


def test_two_programs_do_not_write_one_sweep(tmp_path: Path) -> None:
    write(tmp_path, declared())
    file, _ = SweepFile.reopen(tmp_path)
    with file, pytest.raises(UserError, match="is being written by another run"):
        SweepFile.reopen(tmp_path)


def write(folder: Path, *records: Any) -> None:
    with SweepFile(folder / "sweep.jsonl") as file:
        for record in records:
            file.write(record)


# --- options


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"everywhere": True}, "about the hosts of a --scheduler"),
        ({"any_environment": True}, "about the hosts of a --scheduler"),
        (
            {"refine": "x", "scheduler": 1},
            "--refine measures as the grid was measured: leave out --scheduler",
        ),
        ({"resume": "x", "scheduler": 1, "everywhere": True}, "leave out --everywhere"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        carry_out(RunOptions(**options), ["rnnbench"])


def test_a_sweep_is_resumed_on_a_scheduler(tmp_path: Path) -> None:
    write(tmp_path, declared())
    with pytest.raises(UserError, match="is a sweep: go on with it by --resume and --scheduler"):
        carry_out(RunOptions(resume=str(tmp_path)), ["rnnbench"])


@pytest.mark.parametrize(("text", "read"), [("local:2", 2), ("tcp://host:8786", "tcp://host:8786")])
def test_a_scheduler_is_an_address_or_a_number_of_workers(text: str, read: str | int) -> None:
    assert scheduler(text) == read


@pytest.mark.parametrize(
    "text",
    ["local", "local:0", "local:65", "local:x", "host:8786", "tcp://host", "tcp://:1", "http://host:1"],
)
def test_what_is_no_scheduler_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"is no scheduler: give tcp://HOST:PORT, or local:N"):
        scheduler(text)
