"""The page's answer to "Is the gradient right?" is what the proofs in the journal say."""

import pytest
from journals import example_plan, example_records
from msgspec.structs import replace
from reports import facts_of

from bench.analysis.outcome import outcomes
from bench.records.record import AnyRecord, Burst, Check
from bench.records.run import make_run
from bench.reporting.section import Cell, Section
from bench.reporting.sections.proof import proof_section


def section_of(records: list[AnyRecord]) -> Section:
    run = make_run(records)
    made = proof_section(facts_of(run), outcomes(run), "")
    assert made is not None
    return made


def rows(section: Section) -> dict[tuple[str, str], dict[str, Cell]]:
    """Cells by column, by variant and dtype; those of the first place where there are several."""
    (table,) = section.tables
    titles = [column.title for column in table.columns]
    found: dict[tuple[str, str], dict[str, Cell]] = {}
    for row in table.rows:
        dtype = row[0].note.rpartition(" ")[2]
        found.setdefault((row[0].text, dtype), dict(zip(titles, row, strict=True)))
    return found


def with_checks(variant: str, *checks: Check) -> list[AnyRecord]:
    """The example, but every burst of a variant's update has these checks besides."""
    return [
        replace(record, checks=[*record.checks, *checks])
        if isinstance(record, Burst) and f"| {variant}@" in record.entry
        else record
        for record in example_records()
    ]


@pytest.fixture(scope="module")
def default() -> Section:
    return section_of(example_records())


def test_each_variant_has_its_largest_errors_and_what_is_allowed(default: Section) -> None:
    cells = rows(default)["torch-rnn", "float32"]
    assert (cells["Gradient of W"].text, cells["Gradient of W"].note) == ("6.3e-07", "≤ 1.0e-05")
    assert (cells["Loss"].text, cells["Loss"].note) == ("1.0e-07", "≤ 3.0e-06")
    assert cells["Conclusion"].text == "right"
    assert rows(default)["numpy-batched", "float64"]["Gradient of U"].note == "≤ 3.0e-14"


def test_the_largest_of_all_proofs_is_shown_and_named() -> None:
    made = section_of(with_checks("torch-cell", Check("update V", 9.5e-6, 1e-5, True, quantity="V")))
    assert rows(made)["torch-cell", "float32"]["Gradient of V"].text == "9.5e-06"
    assert (
        "Nearest to its limit: gradient of V of torch-cell (float32), 9.5e-06 of 1.0e-05 allowed."
        in made.lead
    )


def test_the_published_gradient_is_marked_and_its_error_told(default: Section) -> None:
    cells = rows(default)["numpy-published", "float64"]
    assert (cells["Gradient of U"].text, cells["Gradient of U"].note) == (
        "off by 31 %",
        "allowed 3.0e-14",
    )
    assert (cells["Conclusion"].text, cells["Conclusion"].tone) == ("known wrong gradient", "trouble")
    assert cells["Gradient of V"].text == "1.2e-15"
    assert default.lead[0] == (
        "Yes: 9 variants agree with an independent float64 reference; the tutorial’s own gradient is wrong "
        "(U off by 31 %)."
    )
    assert default.notes[-1].endswith("and is never called a winner.")


def test_what_disagrees_is_no_and_comes_first() -> None:
    made = section_of(example_records(broken=True))
    assert made.lead[0] == "No: torch-inplace claims to be right and is not, and has no times."
    assert rows(made)["torch-inplace", "float32"]["Conclusion"].text == "failed"
    assert rows(made)["torch-inplace", "float32"]["Gradient of W"].note.startswith("> ")
    assert made.lead[1].startswith("All others, 8 variants, agree with an independent float64 reference")
    assert not any(line.startswith("Yes") for line in made.lead)


def test_what_fails_without_being_known_is_not_taken_for_the_known_error() -> None:
    made = section_of(with_checks("numpy-published", Check("update V", 0.2, 3e-14, False, quantity="V")))
    assert "numpy-published" in made.lead[0]
    known = section_of(with_checks("numpy-published", Check("update U", 0.9, 3e-14, False, True, "U")))
    assert "wrong (U off by 90 %)" in known.lead[0]


def test_questions_are_no_distances_but_a_no_counts() -> None:
    made = section_of(with_checks("torch-rnn", Check("inputs unchanged", 1.0, 0.0, False)))
    assert rows(made)["torch-rnn", "float32"]["Conclusion"].text == "failed"
    assert rows(made)["torch-rnn", "float32"]["Loss"].text == "1.0e-07"


def test_a_run_that_proved_nothing_has_no_such_section() -> None:
    run = make_run([example_plan()])
    assert proof_section(facts_of(run), outcomes(run), "") is None
