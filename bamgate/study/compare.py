"""Arms beside each other, context by context: the metric over seeds, and the difference on the same seeds."""

import math
import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from bamgate.errors import DataError
from bamgate.record.metric import ACCURACY, Metric
from bamgate.study.state import CellState


@dataclass(frozen=True, kw_only=True)
class ArmRow:
    """An arm in a context.

    Args:
        values: seed -> the metric's value, of the cells that have ended, as a diverged one ended; one that has no
            value stands in `diverged` alone.
        differences: seed -> value above the reference arm's, for the seeds that both have; empty for the reference.
        metric: what the values are of; None as long as no cell of the study has ended.
    """

    context: dict[str, Any]
    arm: str
    values: dict[int, float]
    differences: dict[int, float]
    diverged: int
    metric: Metric | None

    @property
    def mean(self) -> float | None:
        return statistics.fmean(self.values.values()) if self.values else None

    @property
    def sd(self) -> float | None:
        """Over seeds; None for fewer than two."""
        return statistics.stdev(self.values.values()) if len(self.values) > 1 else None

    def to_dict(self) -> dict[str, Any]:
        """Plain types only."""
        differences = list(self.differences.values())
        return {
            "context": self.context,
            "arm": self.arm,
            "n": len(self.values),
            "mean": self.mean,
            "sd": self.sd,
            "diverged": self.diverged,
            "pairs": len(differences),
            "difference": statistics.fmean(differences) if differences else None,
            "smallest": min(differences, default=None),
            "largest": max(differences, default=None),
            **({} if self.metric in (None, ACCURACY) else {"metric": asdict(self.metric)}),
        }


def compare(content: dict[str, Any], states: Iterable[CellState]) -> list[ArmRow]:
    """A row for each arm in each context, in the study's order.

    Args:
        content: study.json.

    Raises:
        DataError: cells are judged by different metrics.
    """
    states = list(states)
    metric = metric_of_ended(states)
    ended = {state.cell: state for state in states if state.ended}
    cells: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in content["cells"]:
        cells.setdefault((tuple(row["context"].values()), row["arm"]), []).append(row)
    reference = content["study"]["reference"]
    order = sorted(cells, key=lambda key: [other[0] for other in cells].index(key[0]))
    found = []
    for context, arm in order:
        rows = cells[context, arm]
        values = _values(rows, ended)
        base = {} if arm == reference else _values(cells.get((context, reference), []), ended)
        differences = {seed: value - base[seed] for seed, value in values.items() if seed in base}
        diverged = sum(row["cell"] in ended and ended[row["cell"]].status == "diverged" for row in rows)
        facts: dict[str, Any] = {"context": rows[0]["context"], "arm": arm, "values": values, "metric": metric}
        found.append(ArmRow(**facts, differences=differences, diverged=diverged))
    return found


def metric_of_ended(states: Iterable[CellState]) -> Metric | None:
    """What the cells that have ended are judged by; None if there is none, DataError that names two that differ."""
    ended = [state for state in states if state.ended]
    for state in ended:
        if state.metric != ended[0].metric:
            raise DataError(
                f"{ended[0].name} is judged by {ended[0].metric}, {state.name} by {state.metric}; "
                "the two cannot be compared"
            )
    return ended[0].metric if ended else None


def _values(rows: list[dict[str, Any]], ended: dict[str, CellState]) -> dict[int, float]:
    values = {row["seed"]: ended[row["cell"]].value for row in rows if row["cell"] in ended}
    return {seed: value for seed, value in values.items() if not math.isnan(value)}
