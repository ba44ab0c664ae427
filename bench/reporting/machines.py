"""Put runs of several machines side by side: a column for each machine, each ratio taken within a machine."""

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bench.analysis.verdict import Comparison
from bench.records.record import Arm
from bench.records.run import different_machines
from bench.reporting import environment, tables, words
from bench.reporting.facts import Facts
from bench.reporting.section import Cell, Column, Section, TextTable

CHOSEN_KINDS = ("best", "compiled", "peer")  # of these, each machine chose the variants itself
SHOWN_FACTS = ("Processor", "Processors", "Memory", "System", "Python", "Host")
NOTE = (
    "Entry ÷ other, below 1 the entry is faster. Both were measured beside each other on the same machine; "
    "no time is compared with that of another machine."
)


def machine_tables(runs: Sequence[Facts]) -> tuple[TextTable, ...]:
    """Return the results and the versions with a column for each machine; empty for runs of one machine."""
    of_one = [facts for facts in runs if not facts.run.machines]  # the others name theirs themselves
    machines = _by_machine(sorted(of_one, key=lambda facts: facts.run.plan.started_utc))
    if len(machines) < 2:
        return ()
    titles: list[str] = []
    seen: Counter[str] = Counter()
    for machine in machines:
        run = machine[0].run
        title = ": ".join(filter(None, (run.host, words.machine(run.environment.machine))))
        seen[title] += 1
        titles.append(f"{title} ({seen[title]})" if seen[title] > 1 else title)
    headings: dict[Hashable, Cell] = {}
    results: list[dict[Hashable, Cell]] = []
    versions: list[dict[str, Cell]] = []
    for machine in machines:
        cells: dict[Hashable, list[tuple[Facts, Comparison]]] = {}
        for facts in machine:
            for pair in _comparisons(facts):
                question = _question(facts, pair)
                headings.setdefault(question, _heading(facts, pair))
                cells.setdefault(question, []).append((facts, pair))
        results.append({question: _result(answers) for question, answers in cells.items()})
        known = list(dict.fromkeys(version for facts in machine for version in _versions(facts)))
        versions.append(
            {name: Cell(", ".join(value for other, value in known if other == name)) for name, _ in known}
        )
    names = {name: Cell(name) for machine_versions in versions for name in machine_versions}
    return (
        _table("By machine", ["What was compared", *titles], headings, results, NOTE),
        _table("Versions by machine", ["Of what", *titles], names, versions),
    )


def machine_section(facts: Facts, prefix: str) -> Section:
    """Return the section on the machine; of a sweep over several, a column for each."""
    section, run = environment.environment_section(facts, prefix), facts.run
    if not run.machines:
        return section
    columns = [
        {name: Cell(value) for name, value in _versions(replace(facts, run=part))} for part in run.machines
    ]
    names = {name: Cell(name) for column in columns for name in column}
    titles = [f"{words.mark(number)} {part.host}" for number, part in enumerate(run.machines)]
    table = _table("Machine by machine", ["Of what", *titles], names, columns)
    return replace(section, pairs=(), tables=(table, *section.tables))


def _table(
    caption: str,
    titles: Sequence[str],
    headings: Mapping[Any, Cell],
    columns: Sequence[Mapping[Any, Cell]],
    note: str = "",
) -> TextTable:
    """Return a table with a row for each heading, of which a column may hold nothing."""
    rows = ((heading, *(cells.get(key, Cell("")) for cells in columns)) for key, heading in headings.items())
    return TextTable(caption, tuple(map(Column, titles)), tuple(rows), note)


def _by_machine(runs: Sequence[Facts]) -> list[list[Facts]]:
    """Return the runs in groups of one machine each; two hosts of a sweep are two machines."""
    machines: list[list[Facts]] = []
    for facts in runs:
        for machine in machines:
            runs_of_one = [facts.run, *(other.run for other in machine)]
            hosts = set(filter(None, (run.host for run in runs_of_one)))
            if len(hosts) < 2 and not different_machines(runs_of_one):
                machine.append(facts)
                break
        else:
            machines.append([facts])
    return machines


def _comparisons(facts: Facts) -> list[Comparison]:
    """Return the declared comparisons of a run; without any, those of its tables."""
    rows = (row.comparison for row in facts.rows.values())
    pairs = facts.summary.headlines or [pair for pair in rows if pair and not pair.twin]
    return [pair for pair in pairs if not pair.left_out]


def _question(facts: Facts, pair: Comparison) -> Hashable:
    """Return what a comparison answers: the same value for the same question on any machine."""
    chosen = pair.kind in CHOSEN_KINDS
    sides = (pair.entry, pair.arm), (pair.baseline, pair.baseline_arm)
    return pair.kind, *(
        (replace(facts.case(entry), seed=0), arm.device, arm.threads, _side(arm, chosen=chosen))
        for entry, arm in sides
    )


def _side(arm: Arm, *, chosen: bool) -> str:
    """Return what a side is on every machine: its variant, or if chosen its library; any peer is a peer."""
    return arm.variant if not chosen else "" if arm.peer else arm.library


def _heading(facts: Facts, pair: Comparison) -> Cell:
    case = facts.case(pair.entry)
    sides = "" if pair.kind in CHOSEN_KINDS else _sides(pair)
    work = f"{tables.work(case)}, {case.size}, {words.numbers(case)}" if pair.same_work else "different work"
    text = ": ".join(filter(None, [tables.HEADLINES.get(pair.kind, ""), sides]))
    return Cell(text, f"{work}; {words.places(pair.baseline_arm, pair.arm)}")


def _sides(pair: Comparison) -> str:
    return f"{words.variant(pair.arm)} ÷ {words.variant(pair.baseline_arm)}"


def _result(answers: Sequence[tuple[Facts, Comparison]]) -> Cell:
    """Return the verdict with ratio and interval; of several runs, those of the last with a verdict."""
    facts, pair = max(
        answers, key=lambda answer: (answer[1].verdict != "NONE", answer[0].run.plan.started_utc)
    )
    ratio = pair.reason if pair.ratio is None else tables.ratio_text(pair)
    chosen = _sides(pair) if pair.kind in CHOSEN_KINDS else ""
    which = f"in {facts.run.plan.run}, one of {len(answers)} runs" if len(answers) > 1 else ""
    note = "; ".join(filter(None, (ratio, chosen, which)))
    return Cell(words.verdict(pair), note, pair.ratio, tables.tone(pair))


def _versions(facts: Facts) -> Iterator[tuple[str, str]]:
    """Yield the machine, its accelerators, and every version, each as a name and a text."""
    machine = facts.run.environment.machine
    known = dict(environment.machine(machine))
    yield from ((name, known[name]) for name in SHOWN_FACTS if name in known)
    for device in dict.fromkeys(arm.device for arm in facts.run.plan.arms if arm.device != "cpu"):
        yield "Accelerator", words.device(facts.run, device)
    packages = {"rnnbench": facts.run.plan.version} | (machine.get("packages") or {})
    yield from ((name, str(version)) for name, version in packages.items())
