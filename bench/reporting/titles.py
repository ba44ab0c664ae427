"""Tell results of one kind apart: by the work, the sizes and the settings in which they differ."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from bench.machine import wording
from bench.records.record import Arm
from bench.reporting import words
from bench.reporting.section import Article
from bench.workload.case import Case

MAX_VALUES = 3  # of an aspect, as sizes; more are counted
SIZES = {"T": "T = {}", "B": "batch {}", "I": "I = {}", "H": "hidden {}", "O": "O = {}"}


def aspects(cases: Iterable[Case], arms: Iterable[Arm] = ()) -> dict[str, str]:
    """Return what a result measured, by aspect: {"task": "forward pass", "H": "hidden 64 and 256"}.

    It is empty where a result has none: no lengths, no threads of a CPU.
    """
    cases, arms = [*cases], [*arms]
    lengths = _listed(case.lengths for case in cases if case.lengths)
    inputs = ["random data" if case.data == "random" else f"{case.layout} input" for case in cases]
    return {
        "task": _listed(words.TASKS.get(case.task, case.task) for case in cases),
        "input": _listed(inputs),
        **{
            name: form.format(_listed(getattr(case.shape, name) for case in cases))
            for name, form in SIZES.items()
        },
        "lengths": lengths and f"lengths {lengths}",
        "numbers": _listed(map(words.numbers, cases)),
        "threads": _listed(words.threads(arm) for arm in arms if arm.device == "cpu"),
    }


def told_apart(articles: Sequence[Article]) -> list[Article]:
    """Return the articles; the title of each gets those aspects in which another of its kind differs."""
    of_kind: dict[str, list[Mapping[str, str]]] = {}
    for article in articles:
        of_kind.setdefault(article.kind, []).append(article.aspects)
    return [
        replace(
            article,
            difference=", ".join(
                text
                for name, text in article.aspects.items()
                if text and any(other.get(name) != text for other in of_kind[article.kind])
            ),
        )
        for article in articles
    ]


def _listed(values: Iterable[object]) -> str:
    return wording.listing([*dict.fromkeys(map(str, values))], MAX_VALUES)
