"""Define what ``bench.run``, ``bench.load`` and ``bench.verify`` return: objects that a notebook displays.

The objects hold data frames, but are no data frames: a frame would lose the run that it carries at the first
operation, or keep a run that no longer matches, and would display its rows instead of the answer.
"""

from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.analysis.summary import Row, summarise
from bench.gradients.proved import Diagnosis
from bench.proof import child
from bench.records.folder import load_refinements
from bench.records.joined import load_measured
from bench.records.run import Run
from bench.workload.cell import find_cell

if TYPE_CHECKING:
    import pandas as pd

FLOAT_COLUMNS = ("median_ns", "median_low_ns", "median_high_ns", "samples_per_second", "ratio", "low", "high")
ARM_FIELDS = ("variant", "library", "device", "threads", "twin", "known_wrong")
CASE_FIELDS = ("cell", "bias", "task", "layout", "dtype", "activation", "lengths")
PROOF_FIELDS = ("variant", "library", "device", *CASE_FIELDS)


class Result:
    """Hold a run, read from its journal; display the answer, and give ``frame`` and ``summary()`` as data.

    ``path`` is the folder or journal of the run; ``run`` holds all records of the journal.
    """

    def __init__(self, path: Path, run: Run) -> None:
        self.path = path
        self.run = run

    @classmethod
    def load(cls, path: str | Path) -> "Result":
        """Read a run from its folder or its journal, or a sweep.

        Raises:
            UserError: the journal cannot be read, or contradicts its own plan.
        """
        return cls(Path(path), load_measured(Path(path), []))

    @cached_property
    def frame(self) -> "pd.DataFrame":
        """Return a row per sample: arm and case, ``block`` (0 is not ``counted``), ``per_call_ns``."""
        from bench.records.table import values_frame

        return values_frame(self.run)

    def summary(self) -> "pd.DataFrame":
        """Return a row per entry, in the plan's order, with the numbers of the report.

        ``median_ns`` is the time of a call, ``median_low_ns`` and ``median_high_ns`` are its 95 % interval;
        ``ratio`` is the time over the baseline's time, ``low`` and ``high`` are its 95 % interval. A missing
        number is NaN, and ``reason`` says why.
        """
        import pandas as pd

        tables = summarise(self.run).tables
        frame = pd.DataFrame([summary_row(table.name, row) for table in tables for row in table.rows])
        return frame.astype(dict.fromkeys(FLOAT_COLUMNS, float))

    def __repr__(self) -> str:
        """Return the answer in plain English."""
        from bench.reporting.build import headline

        return headline(self.run, load_refinements(self.path))

    def _repr_html_(self) -> str:
        """Return the answer and the first table as HTML."""
        from bench.reporting import answer, page, tables
        from bench.reporting.facts import Facts

        facts = Facts.of(self.run, load_refinements(self.path))
        first_tables = [tables.times_table(facts, table) for table in facts.summary.tables[:1]]
        return page.render_cell(answer.terminal_lines(facts), first_tables)


class Verification:
    """Hold the proofs; display the conclusion, and give ``frame`` and ``summary()`` as data.

    ``diagnoses`` hold what explains wrong gradients.
    """

    def __init__(self, rows: Sequence[child.Row], diagnoses: Sequence[Diagnosis] = ()) -> None:
        self.rows = tuple(rows)
        self.diagnoses = tuple(diagnoses)

    @property
    def ok(self) -> bool:
        """Return whether every variant that claims to be right is right."""
        return not any(map(child.proof_failed, self.rows))

    @cached_property
    def frame(self) -> "pd.DataFrame":
        """Return a row per proof: a variant on a device and a case, and its errors (NaN if not computed).

        The rows of the variant ``reference`` compare its gradient with complex steps and with central
        differences.
        """
        import pandas as pd

        return pd.DataFrame([_proof_row(row) for row in self.rows])

    def summary(self) -> "pd.DataFrame":
        """Return a row per variant, device and cell: the proofs by status, and the largest errors."""
        import pandas as pd

        proved = self.frame[self.frame.status != "missing"]
        keys = ["variant", "device", "cell"]
        counts = proved.groupby(keys, sort=False).size().rename("proofs")
        statuses = pd.crosstab([proved[key] for key in keys], proved.status).reindex(counts.index)
        parameters = dict.fromkeys(
            name for row in self.rows for name in find_cell(row.cell).arrays(bias=row.bias)
        )
        names = ["y_hat", "loss", *(what + name for what in ("d", "update ") for name in parameters)]
        errors = proved.groupby(keys, sort=False)[[name for name in names if name in proved]].max()
        return pd.concat([counts, statuses, errors], axis=1).reset_index()

    def __repr__(self) -> str:
        """Return the conclusion in plain English."""
        from bench.reporting.verify_table import below

        return "\n".join(below(self.rows, self.diagnoses))

    def _repr_html_(self) -> str:
        """Return the conclusion and the summary as HTML."""
        from bench.reporting import page

        table = self.summary().to_html(index=False, border=0, na_rep="", float_format="{:.1e}".format)
        said = page.render_cell(repr(self).splitlines(), [])
        return f'{said}<div class="rnnbench"><div class="scroll">{table}</div></div>'


def summary_row(group: str, row: Row) -> dict[str, Any]:
    """Return all numbers of a row of a table, by name; a missing number is None."""
    from bench.reporting.words import verdict

    pair, case, outcome = row.comparison, row.entry.case, row.outcome
    return {
        "group": group,
        "entry": row.entry.id,
        **_attributes(row.arm, ARM_FIELDS),
        **_attributes(case, CASE_FIELDS),
        **asdict(case.shape),
        **_attributes(outcome, ("status", "proof")),
        "blocks": len(outcome.medians),
        "median_ns": row.median_ns,
        "median_low_ns": row.low_ns,
        "median_high_ns": row.high_ns,
        "samples_per_second": row.samples_per_second,
        "baseline": pair.baseline if pair else "",
        **_attributes(pair, ("ratio", "low", "high")),
        "verdict": verdict(pair) if pair else "",
        "reason": (pair.reason if pair else "") or outcome.reason,
    }


def _proof_row(row: child.Row) -> dict[str, Any]:
    return {
        **_attributes(row, PROOF_FIELDS),
        **asdict(row.shape),
        **_attributes(row, ("status", "reason")),
        **row.errors,
    }


def _attributes(thing: object, names: Sequence[str]) -> dict[str, Any]:
    """Return these attributes by name, None for an attribute that is missing."""
    return {name: getattr(thing, name, None) for name in names}
