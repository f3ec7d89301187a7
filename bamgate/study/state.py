"""Where a study stands, read from its folder: which cells have finished, which are at work, which are missing."""

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bamgate.errors import DataError, UsageError
from bamgate.record.metric import ACCURACY, Metric, metric_of, value_of
from bamgate.record.runlog import CellLog
from bamgate.record.storage import is_held
from bamgate.record.study_file import read_declared

FINISHED, DIVERGED, RUNNING, MISSING = "finished", "diverged", "running", "missing"


@dataclass(frozen=True, kw_only=True)
class CellState:
    """One cell now.

    Args:
        names: arm and context, several where contexts share the cell.
        status: one of the four above; a cell that was begun and that nobody works on is missing.
        epoch: whole epochs that are behind it, of `epochs`.
        images_per_s: of the last epoch, 0 before.
        metric, value: what it is judged by, for a cell that has ended; nan if it diverged and has no value.
    """

    cell: str
    names: tuple[tuple[str, tuple[Any, ...]], ...]
    seed: int
    status: str
    epoch: int
    epochs: int
    images_per_s: float = 0.0
    metric: Metric = ACCURACY
    value: float = math.nan

    @property
    def ended(self) -> bool:
        return self.status in (FINISHED, DIVERGED)

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
        # Not by bamgate.study.folder, which imports torch: where a study stands is asked often.
        content = read_declared(out)
        if content is None:
            raise UsageError(f"{out} is no folder of a study: it has no study.json")
        self.out, self.content = out, content
        self._rows: dict[str, dict[str, Any]] = {}
        names: dict[str, list[tuple[str, tuple[Any, ...]]]] = {}
        for row in content["cells"]:
            self._rows.setdefault(row["cell"], row)
            names.setdefault(row["cell"], []).append((row["arm"], tuple(row["context"].values())))
        self._untouched = {cell: _untouched(row, names[cell]) for cell, row in self._rows.items()}
        self._ended: dict[str, CellState] = {}

    def read(self) -> list[CellState]:
        """All cells, in the study's order."""
        begun = self._begun()
        return [self._ended.get(cell) or self._now(cell, cell in begun) for cell in self._rows]

    def _begun(self) -> set[str]:
        """One look at the folder, whether it has ten cells or ten thousand."""
        try:
            return set(os.listdir(self.out / "cells"))
        except FileNotFoundError:
            return set()
        except NotADirectoryError:
            raise DataError(f"{self.out / 'cells'} is not a folder; move it away") from None

    def _now(self, cell: str, begun: bool) -> CellState:
        if not begun:
            return self._untouched[cell]
        state = self._state(CellLog(self.out / "cells" / cell, cell))
        if state.ended:
            self._ended[cell] = state
        return state

    def _state(self, log: CellLog) -> CellState:
        result, held = log.result(), False
        if result is None:
            held = is_held(log.folder)
            result = None if held else log.result()  # it may have ended in between
        if result is not None:
            ended = {name: result[name] for name in ("status", "images_per_s")}
            ended |= {"metric": metric_of(result), "value": value_of(result), "epoch": result["epochs"]}
            return replace(self._untouched[log.cell], **ended)
        last = _last_epoch(log) or {"epoch": 0}
        facts: dict[str, Any] = {"epoch": last["epoch"], "images_per_s": last.get("images_per_s") or 0.0}
        return replace(self._untouched[log.cell], **facts, status=RUNNING if held else MISSING)


def _untouched(row: dict[str, Any], names: list[tuple[str, tuple[Any, ...]]]) -> CellState:
    """A cell that nobody has begun; `row` is one of study.json's."""
    facts = {name: row[name] for name in ("cell", "seed", "epochs")}
    return CellState(**facts, names=tuple(names), status=MISSING, epoch=0)


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
