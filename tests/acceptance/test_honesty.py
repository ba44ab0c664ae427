"""T21: work that is not done within the clock is noticed, with real variants and a real clock. Minutes."""

import itertools
from functools import partial

import pytest
from acceptance.validity import Recorder
from trial import reasons
from tricks import TRICKS, honest

from bench.machine.libraries import limit_threads
from bench.measure import honesty
from bench.workload.case import TASKS, sine_case
from bench.workload.catalog import VARIANTS

LIBRARIES = ("numpy", "torch")
TRIED = [*itertools.product(TRICKS, TASKS, LIBRARIES)]


def unnoticed() -> list[str]:
    """Tricks that no check notices at the tutorial's size; all of them on one thread."""
    limit_threads(1)
    return [
        f"{trick}, {task}, {library}" for trick, task, library in TRIED if not refused(trick, task, library)
    ]


def refused(trick: str, task: str, library: str) -> bool:
    """Whether a check speaks against it, or it falls over: torch sees inputs change under a thread."""
    bind = partial(TRICKS[trick], partial(honest, library))
    try:
        return bool(reasons(bind, library, sine_case(task, "positional")))
    except RuntimeError:
        return True


def test_every_trick_is_noticed(validity: Recorder) -> None:
    pytest.importorskip("torch")
    missed = unnoticed()
    validity.record(
        "T21",
        claim="variants that would win by not computing within the clock, in both libraries and every task",
        promised=f"all {len(TRIED)} refused",
        measured=f"{len(TRIED) - len(missed)} refused" + "".join(f"; missed: {name}" for name in missed),
        kept=not missed,
    )
    assert not missed


def test_no_variant_of_the_catalogue_is_accused(validity: Recorder) -> None:
    pytest.importorskip("torch")
    limit_threads(1)
    tried, accused = 0, []
    for variant, task in itertools.product(VARIANTS, TASKS):
        case = sine_case(task, "positional")
        if variant.unsupported(case, "cpu") is None:
            tried += 1
            found = reasons(variant.load(), variant.library, case, known_wrong=variant.wrong_gradients)
            accused += [f"{variant.name}, {task}: {check}, {reason}" for check, reason in found.items()]
    validity.record(
        "T21-honest",
        claim="the variants of the catalogue, in every task",
        promised=f"none of {tried} refused",
        measured=f"{len(accused)} refused" + "".join(f"; {reason}" for reason in accused),
        kept=not accused,
    )
    assert not accused


def test_without_the_check_for_it_a_kept_result_is_missed(
    validity: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each check is needed: without ``linear``, or ``deferred`` and ``unasked``, some trick wins."""
    pytest.importorskip("torch")
    missed: dict[str, int] = {}
    for checks in (("linear",), ("deferred", "unasked")):
        with monkeypatch.context() as patch:
            for check in checks:
                patch.setattr(honesty, check, lambda *_, **__: "")
            missed[" and ".join(checks)] = len(unnoticed())
    validity.record(
        "T21-mutant",
        claim="mutants: a harness without some of the checks of time",
        promised="caught: each misses tricks",
        measured="; ".join(f"without {checks} {n} missed" for checks, n in missed.items()),
        kept=all(missed.values()),
    )
    assert all(missed.values())
