"""Several results side by side: one line each, so that machines can be compared."""

from collections.abc import Iterable
from dataclasses import dataclass

from bench.machine import units
from bench.records.record import PairKind
from bench.reporting.asked import EXACTLY_ASKED
from bench.reporting.foreign import ForeignView
from bench.reporting.view import RunView


@dataclass(frozen=True, slots=True)
class OverviewLine:
    """One result; the ratios are those of its first headline of each kind, with interval and verdict."""

    name: str
    machine: str
    ratios: tuple[str, ...]
    noise: str

    @property
    def told(self) -> bool:
        """Whether it has any number: files of other people's benchmarks have none under these heads."""
        return any(text != units.NOTHING for text in (*self.ratios, self.noise))


KINDS: tuple[PairKind, ...] = ("as_written", "best", "claim")


def overview(views: Iterable[RunView | ForeignView]) -> list[OverviewLine]:
    """One line a result, in the order given."""
    return [_foreign(view) if isinstance(view, ForeignView) else _run(view) for view in views]


def _run(view: RunView) -> OverviewLine:
    ratios = []
    for kind in KINDS:
        found = [headline for headline in view.headlines if headline.kind == kind]
        several = f" (the first of {len(found)})" if len(found) > 1 and view.preset in EXACTLY_ASKED else ""
        first = next(iter(found), None)
        said = f"{first.ratio} {first.interval}".rstrip() + f": {first.verdict}{several}" if first else None
        ratios.append(said or units.NOTHING)
    return OverviewLine(
        view.name, view.machine, tuple(ratios), view.noise[0][2] if view.noise else units.NOTHING
    )


def _foreign(view: ForeignView) -> OverviewLine:
    ratio = f"{view.usual_ratio}: {view.how_sure}" if view.usual_ratio else units.NOTHING
    return OverviewLine(view.name, view.machine, (ratio, *[units.NOTHING] * 2), units.NOTHING)
