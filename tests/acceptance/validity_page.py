"""The page of measured rates as text: a table a topic, in a fixed order, and what fell short at the end."""

import re
from collections.abc import Sequence
from typing import Any

TOPICS = {
    "T1": "The same code against itself",
    "T2": "The analysis on simulated series",
    "T3": "Slowdowns put in on purpose",
    "T4": "Power",
    "T5": "Known durations",
    "T6": "Known noise",
    "T7": "Twice the work, twice the time",
    "T8": "Agreement with other tools",
    "T9": "Devices that work on their own time",
    "T10": "Order within a round",
    "T11": "Drift",
    "T12": "Warm-up",
    "T13": "Broken clocks",
    "T14": "The schedule",
    "T15": "The statistics against references",
    "T16": "A busy machine",
    "T17": "Repeated at other hours",
    "T18": "Wrong gradients",
    "T19": "Threads",
    "T20": "Isolation",
    "T21": "Work left out of the clock",
    "T22": "The mistake in a wrong gradient",
    "T23": "Installed without a clone",
    "T24": "Measured on other hosts",
    "ADVISE": "Answers about other sizes",
    "F": "Faults",
    "SPEED": "The speed of the suite itself",
    "TIME": "Time to a verdict",
}
INTRODUCTION = """\
# Measured rates

A number that is meant to be believed comes from a harness that has been tested like any other instrument: on
things whose answer is known. This page holds what those tests promise and what they found. Most of them
have a mutant, a harness with one fault put in, which the same check must catch; rows about mutants say so.

`make acceptance` measures everything here and writes this page (from `docs/validity.json`); it is not edited
by hand. Every row has the day on which it was measured, in UTC. A promise that was not kept says **NO**, and
stands once more at the end.
"""

Data = dict[str, Any]


def topic_of(key: str) -> str:
    """What stands before the first dash; all faults, F1 to F36, are one topic."""
    first = key.partition("-")[0]
    return "F" if re.fullmatch("F[0-9]+", first) else first


def order(key: str) -> tuple[Any, ...]:
    """T1 to T24, the other known topics, then whatever else there is; mutants last within their topic."""
    topic, known = topic_of(key), [*TOPICS]
    place = known.index(topic) if topic in known else len(known)
    parts = [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", key)]
    return place, topic, "mutant" in key.split("-"), parts, key


def render(data: Data) -> str:
    """The page's text, from what the file holds alone."""
    several = len(data["machines"]) > 1
    parts = [INTRODUCTION, _machines(data["machines"])]
    keys = sorted(data["rows"].keys() | data["tables"].keys(), key=order)
    for topic in dict.fromkeys(map(topic_of, keys)):
        title = TOPICS.get(topic, topic.capitalize())
        parts.append(f"## {title} ({topic})\n")
        members = [key for key in keys if topic_of(key) == topic]
        rows = [_cells(data["rows"][key], several) for key in members if key in data["rows"]]
        if rows:
            parts.append(_table(("claim", "promised", "measured", "kept", "when"), rows))
        for table in (data["tables"][key] for key in members if key in data["tables"]):
            when = _when(table, several)
            parts.append(f"### {_line(table['title'])}\n\n{_line(table['text'])} Measured {when}.\n")
            parts.append(_table(table["header"], table["rows"]))
    if checks := data["checks"]:
        rows = []
        for file, check in sorted(checks.items()):
            names = [", ".join(check[end]) or "none" for end in ("failed", "skipped")]
            rows.append((file, check["passed"], *names, _when(check, several)))
        parts.append("## The tests themselves\n\nOf each file in tests/acceptance its last whole run.\n")
        parts.append(_table(("file", "passed", "failed", "skipped", "when"), rows))
    parts.append(_fell_short(data["rows"]))
    return "\n".join(parts)


def _machines(machines: list[dict[str, Any]]) -> str:
    lines = []
    for number, facts in enumerate(machines, start=1):
        name = f"Machine {number}" if len(machines) > 1 else "The machine"
        usable = f"{facts['usable_cpus']} of {facts['cpus']} processors usable"
        versions = f"{facts['python']}, NumPy {facts['numpy']}, PyTorch {facts['torch']}"
        lines.append(
            f"{name}: {_line(facts['processor'])}, {usable}, {_line(facts['system'])}, {versions}.\n"
        )
    return "\n".join(lines)


def _cells(row: Data, several: bool) -> list[str]:
    kept = "yes" if row["kept"] else "**NO**"
    return [row["claim"], row["promised"], row["measured"], kept, _when(row, several)]


def _when(entry: Data, several: bool) -> str:
    return entry["date"] + f", machine {entry['machine'] + 1}" * several


def _fell_short(rows: Data) -> str:
    lines = ["## What fell short\n"]
    for key in sorted(rows, key=order):
        if not rows[key]["kept"]:
            claim, promised, measured = (_line(rows[key][name]) for name in ("claim", "promised", "measured"))
            lines.append(f"* {key}: {claim}. Promised: {promised}. Measured: {measured}.")
    return "\n".join(lines if len(lines) > 1 else [*lines, "Nothing."]) + "\n"


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(_line, line))} |" for line in lines) + "\n"


def _line(text: object) -> str:
    """One line that no table and no tag breaks out of."""
    line = " ".join(str(text).split())
    for special, written in (("\\", "\\\\"), ("|", "\\|"), ("<", "&lt;")):
        line = line.replace(special, written)
    return line
