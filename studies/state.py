"""Where a study stands, read from its folder: which cells have finished, which are at work, which are missing."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bamgate.errors import DataError, UsageError
from bamgate.runlog import CellLog, read_json
from bamgate.storage import is_held

FINISHED, DIVERGED, RUNNING, MISSING = "finished", "diverged", "running", "missing"


@dataclass(frozen=True, kw_only=True)
class CellState:
    """One cell now.

    Args:
        names: arm and context, several where contexts share the cell.
        status: one of the four above; a cell that was begun and that nobody works on is missing.
        epoch: whole epochs that are behind it, of `epochs`.
        images_per_s: of the last epoch, 0 before.
        correct, total: of the test images, for a cell that has ended.
    """

    cell: str
    names: tuple[tuple[str, tuple[Any, ...]], ...]
    seed: int
    status: str
    epoch: int
    epochs: int
    images_per_s: float = 0.0
    correct: int = 0
    total: int = 0

    @property
    def ended(self) -> bool:
        return self.status in (FINISHED, DIVERGED)

    @property
    def accuracy(self) -> float:
        """Of a cell that has ended, in percent."""
        return 100 * self.correct / self.total

    @property
    def name(self) -> str:
        """For people: context, arm and seed."""
        arm, context = self.names[0]
        return " ".join([*map(str, context), arm, f"seed {self.seed}"])


class StudyState:
    """Reads the cells of a study's folder again and again; what has ended is read once.

    Raises:
        UsageError: `out` is no study's folder.
    """

    def __init__(self, out: Path) -> None:
        content = read_json(out / "study.json")
        if content is None:
            raise UsageError(f"{out} is no folder of a study: it has no study.json")
        self.out, self.content = out, content
        self._rows: dict[str, dict[str, Any]] = {}
        self._names: dict[str, list[tuple[str, tuple[Any, ...]]]] = {}
        for row in content["cells"]:
            self._rows.setdefault(row["cell"], row)
            self._names.setdefault(row["cell"], []).append((row["arm"], tuple(row["context"].values())))
        self._ended: dict[str, CellState] = {}

    def read(self) -> list[CellState]:
        """All cells, in the study's order."""
        states = [self._ended.get(cell) or self._state(cell) for cell in self._rows]
        self._ended.update({state.cell: state for state in states if state.ended})
        return states

    def _state(self, cell: str) -> CellState:
        row = self._rows[cell]
        known: dict[str, Any] = {"cell": cell, "names": tuple(self._names[cell]), "seed": row["seed"]}
        known["epochs"] = row["epochs"]
        log = CellLog(self.out / "cells" / cell, cell)
        if not log.folder.is_dir():
            return CellState(**known, status=MISSING, epoch=0)
        held, result = is_held(log.folder), log.result()
        if result is not None:
            ended = {name: result[name] for name in ("status", "correct", "total", "images_per_s")}
            return CellState(**known, **ended, epoch=result["epochs"])
        last = _last_epoch(log)
        speed = (last or {}).get("images_per_s") or 0.0
        status = RUNNING if held else MISSING
        return CellState(**known, status=status, epoch=last["epoch"] if last else 0, images_per_s=speed)


def _last_epoch(log: CellLog) -> dict[str, Any] | None:
    try:
        rows = log.rows("epochs.csv")
    except DataError:  # whoever goes on with the cell says so
        return None
    return rows[-1] if rows else None


def count(states: Iterable[CellState]) -> dict[str, int]:
    """How many cells there are of each status."""
    counts = dict.fromkeys((FINISHED, DIVERGED, RUNNING, MISSING), 0)
    for state in states:
        counts[state.status] += 1
    return counts
