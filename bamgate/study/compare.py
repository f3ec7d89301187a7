"""Arms beside each other, context by context: accuracy over seeds, and the difference on the same seeds."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bamgate.study.state import CellState


@dataclass(frozen=True, kw_only=True)
class ArmRow:
    """An arm in a context.

    Args:
        accuracies: seed -> percent, of the cells that have ended, as a diverged one ended.
        differences: seed -> points above the reference arm, for the seeds that both have; empty for the reference.
    """

    context: dict[str, Any]
    arm: str
    accuracies: dict[int, float]
    differences: dict[int, float]
    diverged: int

    @property
    def mean(self) -> float | None:
        return statistics.fmean(self.accuracies.values()) if self.accuracies else None

    @property
    def sd(self) -> float | None:
        """Over seeds; None for fewer than two."""
        return statistics.stdev(self.accuracies.values()) if len(self.accuracies) > 1 else None

    def to_dict(self) -> dict[str, Any]:
        """Plain types only."""
        differences = list(self.differences.values())
        return {
            "context": self.context,
            "arm": self.arm,
            "n": len(self.accuracies),
            "mean": self.mean,
            "sd": self.sd,
            "diverged": self.diverged,
            "pairs": len(differences),
            "difference": statistics.fmean(differences) if differences else None,
            "smallest": min(differences, default=None),
            "largest": max(differences, default=None),
        }


def compare(content: dict[str, Any], states: Iterable[CellState]) -> list[ArmRow]:
    """A row for each arm in each context, in the study's order.

    Args:
        content: study.json.
    """
    ended = {state.cell: state for state in states if state.ended}
    cells: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in content["cells"]:
        cells.setdefault((tuple(row["context"].values()), row["arm"]), []).append(row)
    reference = content["study"]["reference"]
    order = sorted(cells, key=lambda key: [other[0] for other in cells].index(key[0]))
    found = []
    for context, arm in order:
        rows = cells[context, arm]
        accuracies = _accuracies(rows, ended)
        base = {} if arm == reference else _accuracies(cells.get((context, reference), []), ended)
        differences = {seed: value - base[seed] for seed, value in accuracies.items() if seed in base}
        diverged = sum(row["cell"] in ended and ended[row["cell"]].status == "diverged" for row in rows)
        facts: dict[str, Any] = {"context": rows[0]["context"], "arm": arm, "accuracies": accuracies}
        found.append(ArmRow(**facts, differences=differences, diverged=diverged))
    return found


def _accuracies(rows: list[dict[str, Any]], ended: dict[str, CellState]) -> dict[int, float]:
    return {row["seed"]: ended[row["cell"]].accuracy for row in rows if row["cell"] in ended}
