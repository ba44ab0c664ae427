"""What ``bench.run``, ``bench.load`` and ``bench.verify`` return: objects that show themselves in a notebook.

They hold frames, and are none themselves: a frame that carries a run along loses it at the first operation
(or keeps it where it is no longer true), and its own display would stand in the way of the answer.
"""

import html
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.analysis.summary import Row, summarise
from bench.proof import child
from bench.records.folder import load_refinements
from bench.records.journal import load_run
from bench.records.run import Run
from bench.workload.cell import find_cell

if TYPE_CHECKING:
    import pandas as pd

NUMBERS = ("median_ns", "median_low_ns", "median_high_ns", "samples_per_second", "ratio", "low", "high")
OF_ARM = ("variant", "library", "device", "threads", "twin", "known_wrong")
OF_CASE = ("task", "layout", "dtype", "activation")
OF_PROOF = ("variant", "library", "device", "dtype", "task", "layout", "activation")


class Result:
    """A run, from its journal: the answer at a glance, ``frame`` and ``summary()`` to work with.

    ``path`` is its folder or journal; ``run`` is all that the journal says, record by record.
    """

    def __init__(self, path: Path, run: Run) -> None:
        self.path = path
        self.run = run

    @classmethod
    def load(cls, path: str | Path) -> "Result":
        """Read a run from its folder or its journal.

        Raises:
            UserError: the journal cannot be read, or contradicts its own plan.
        """
        return cls(Path(path), load_run(Path(path)))

    @cached_property
    def frame(self) -> "pd.DataFrame":
        """One row a value: its entry's arm and case, ``block`` (0 is not ``counted``), ``per_call_ns``."""
        from bench.records.table import values_frame

        return values_frame(self.run)

    def summary(self) -> "pd.DataFrame":
        """One row an entry, in the plan's order, as the report has it.

        ``median_ns`` is the time of a call, ``median_low_ns`` and ``median_high_ns`` its 95 % interval;
        ``ratio`` is that time over the baseline's, ``low`` and ``high`` its 95 % interval. Where there is no
        number there is NaN, and ``reason`` says why.
        """
        import pandas as pd

        tables = summarise(self.run).tables
        frame = pd.DataFrame([_summary_row(table.name, row) for table in tables for row in table.rows])
        return frame.astype(dict.fromkeys(NUMBERS, float))

    def __repr__(self) -> str:
        """The answer in plain English."""
        from bench.reporting.build import headline

        return headline(self.run, load_refinements(self.path))

    def _repr_html_(self) -> str:
        """The answer and the first table."""
        from bench.reporting import answer, page, tables
        from bench.reporting.facts import Facts

        facts = Facts.of(self.run, load_refinements(self.path))
        first = [tables.times_table(facts, table) for table in facts.summary.tables[:1]]
        return page.render_cell(answer.terminal_lines(facts), first)


class Verification:
    """What was proved: the conclusion at a glance, ``frame`` and ``summary()`` to work with."""

    def __init__(self, rows: Sequence[child.Row]) -> None:
        self.rows = tuple(rows)

    @property
    def ok(self) -> bool:
        """Whether everything that claims to be right is right."""
        return not any(map(child.claims_wrongly, self.rows))

    @cached_property
    def frame(self) -> "pd.DataFrame":
        """One row a proof: a variant on a device and a case, and its errors (NaN where none was asked for).

        The rows of the variant ``reference`` compare its gradient with complex steps and with central
        differences.
        """
        import pandas as pd

        return pd.DataFrame([_proof_row(row) for row in self.rows])

    def summary(self) -> "pd.DataFrame":
        """One row a variant and device: how many proofs ended how, and the largest errors by quantity."""
        import pandas as pd

        shown = self.frame[self.frame.status != "missing"]
        by = ["variant", "device"]
        counts = shown.groupby(by, sort=False).size().rename("proofs")
        statuses = pd.crosstab([shown.variant, shown.device], shown.status).reindex(counts.index)
        parameters = dict.fromkeys(name for row in self.rows for name in find_cell(row.cell).parameters)
        names = ["y_hat", "loss", *(what + name for what in ("d", "update ") for name in parameters)]
        errors = shown.groupby(by, sort=False)[[name for name in names if name in shown]].max()
        return pd.concat([counts, statuses, errors], axis=1).reset_index()

    def __repr__(self) -> str:
        """The conclusion in plain English."""
        from bench.reporting.verify_table import conclusion, failures

        return "\n".join([*failures(self.rows), conclusion(self.rows)])

    def _repr_html_(self) -> str:
        """The conclusion and the summary."""
        table = self.summary().to_html(index=False, border=0, na_rep="", float_format="{:.1e}".format)
        return "".join(f"<p>{html.escape(line)}</p>" for line in repr(self).splitlines()) + table


def _summary_row(group: str, row: Row) -> dict[str, Any]:
    from bench.reporting.words import verdict

    pair, case, outcome = row.comparison, row.entry.case, row.outcome
    return {
        "group": group,
        "entry": row.entry.id,
        **_of(row.arm, OF_ARM),
        **_of(case, OF_CASE),
        **asdict(case.shape),
        **_of(outcome, ("status", "proof")),
        "blocks": len(outcome.medians),
        "median_ns": row.median_ns,
        "median_low_ns": row.low_ns,
        "median_high_ns": row.high_ns,
        "samples_per_second": row.samples_per_second,
        "baseline": pair.baseline if pair else "",
        **_of(pair, ("ratio", "low", "high")),
        "verdict": verdict(pair) if pair else "",
        "reason": (pair.reason if pair else "") or outcome.reason,
    }


def _proof_row(row: child.Row) -> dict[str, Any]:
    return {**_of(row, OF_PROOF), **asdict(row.shape), **_of(row, ("status", "reason")), **row.errors}


def _of(thing: object, names: Sequence[str]) -> dict[str, Any]:
    """Return these attributes, None where there are none."""
    return {name: getattr(thing, name, None) for name in names}
