"""Who is measured where and when: names of workers, sessions of a block, the order of a round."""

import random
from collections import Counter
from dataclasses import replace as replace_case

import pytest
from msgspec.structs import replace

from bench.measure import schedule
from bench.measure.schedule import SLOW_ROUNDS, Session, round_order, sessions, worker_name
from bench.records.record import Arm, Entry, Group, measured_as
from bench.workload.case import sine_case

CASE = sine_case("forward", "positional", batch=4, hidden=4)
ARM = Arm("numpy-batched@cpu x2", "numpy-batched", "numpy-batched", "numpy", "cpu", 2)


def group(name: str, *arms: str, batch: int = 4) -> Group:
    """A table of arms on a case of its size; the first one is the baseline."""
    case = replace_case(CASE, shape=replace_case(CASE.shape, B=batch))
    base = f"{name} | {arms[0]}"
    return Group(
        name, [Entry(f"{name} | {arm}", name, arm, case, base if arm != arms[0] else None) for arm in arms]
    )


def put(*groups: Group) -> list[Session]:
    return sessions(groups, measured_as(groups).__getitem__)


def names(entries: list[Entry]) -> list[str]:
    return [entry.id for entry in entries]


@pytest.mark.parametrize(
    ("fields", "alone", "name"),
    [
        ({}, False, "numpy@cpu x2"),
        ({"spec": "numpy-loop"}, False, "numpy@cpu x2"),
        ({"library": "torch", "device": "cuda:0"}, False, "torch@cuda:0 x2"),
        ({"twin": True}, False, "numpy@cpu x2 control"),
        ({}, True, ARM.id),
    ],
)
def test_a_worker_is_of_a_library_at_a_place_or_of_one_arm_alone(fields, alone: bool, name: str) -> None:
    assert worker_name(replace(ARM, **fields), alone=alone) == name


def test_tables_of_different_work_are_sessions_of_their_own_in_the_plans_order() -> None:
    first, second = group("b", "x", "y"), group("a", "x", "y", batch=8)
    assert [session.groups for session in put(first, second)] == [(first,), (second,)]


def test_tables_that_share_an_arm_on_a_case_are_one_session_in_which_it_stands_once() -> None:
    one, other, apart = group("one", "x", "y"), group("other", "y", "z"), group("apart", "x", batch=8)
    (shared, alone) = sorted(put(one, apart, other), key=lambda session: -len(session.groups))
    assert shared.groups == (one, other)
    assert names(shared.entries) == ["one | x", "one | y", "other | z"]
    assert alone.groups == (apart,)


def test_a_table_that_shares_with_two_others_joins_them() -> None:
    one, other, both = group("one", "x"), group("other", "y"), group("both", "y", "x", "z")
    (session,) = put(one, other, both)
    assert Counter(names(session.entries)) == Counter(["one | x", "other | y", "both | z"])
    assert {table.name for table in session.groups} == {"one", "other", "both"}


def test_an_entry_keeps_the_name_it_is_measured_under_where_its_first_table_was_left_out() -> None:
    """Else nobody would find its values."""
    one, other = group("one", "x", "y"), group("other", "y", "z")
    (session,) = sessions([other], measured_as([one, other]).__getitem__)
    assert names(session.entries) == ["one | y", "other | z"]


@pytest.fixture
def session() -> Session:
    """Two tables that share the arm y; c is on an accelerator."""
    (session,) = put(group("one", "x", "y", "c"), group("other", "y", "z", "w", "v"))
    return session


def orders(session: Session, rounds: int, **kinds: set[str]) -> list[list[str]]:
    generator = random.Random(5)
    return [names(round_order(session, number, generator, **kinds)) for number in range(rounds)]


def test_a_round_has_every_entry_once_and_is_shuffled_anew(session: Session) -> None:
    rounds = orders(session, 50)
    assert all(sorted(order) == sorted(names(session.entries)) for order in rounds)
    assert len({tuple(order) for order in rounds}) > 25
    assert len({order[0] for order in rounds}) == len(session.entries)
    assert orders(session, 50) == rounds


def test_entries_of_a_table_are_neighbours_and_one_that_two_share_goes_with_either(session: Session) -> None:
    shared, beside = "one | y", set()
    for order in orders(session, 50):
        tables = [name.partition(" | ")[0] for name in order if name != shared]
        assert tables in (sorted(tables), sorted(tables, reverse=True))
        beside.add(
            "other"
            if order.index(shared) in (0, 6) and tables[0 if order[0] == shared else -1] == "other"
            else tables[min(order.index(shared), 5)]
        )
    assert beside == {"one", "other"}


def test_accelerators_stand_together_first_or_last(session: Session) -> None:
    on = {"one | c", "other | z"}
    seen = set()
    for order in orders(session, 30, accelerated=on):
        places = [number for number, name in enumerate(order) if name in on]
        assert places in ([0, 1], [len(order) - 2, len(order) - 1])
        seen.add(places[0] == 0)
    assert seen == {True, False}


def test_slow_entries_come_last_and_in_every_third_round_alone(session: Session) -> None:
    slow = {"one | x", "other | z"}
    for number, order in enumerate(orders(session, 9, slow=slow, accelerated={"one | c"})):
        assert slow.isdisjoint(order[:4])
        assert set(order[4:]) == (slow if number % SLOW_ROUNDS == 0 else set())


def test_a_slow_entry_between_two_sides_of_a_pair_would_be_noticed(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control of the test above."""
    source = "return quick + [entry for entry in shuffled if entry.id in slow and number % SLOW_ROUNDS == 0]"
    from acceptance.plans import mutated

    mutant = mutated(schedule.round_order, source, "return shuffled")
    order = names(mutant(session, 0, random.Random(5), slow={"one | x", "other | z"}))
    assert {"one | x", "other | z"} & set(order[:4])
