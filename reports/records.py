"""All rows that a report is made of, checked together and in one order, whatever the order in the files."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bamgate.errors import DataError
from bamgate.reports.design import Design, places_of
from bamgate.reports.frames import check_rows, check_runs, read_frame, refuse
from bamgate.tables import EPOCHS, GATES, OUTCOMES, RUNS, parse_rows, read_text

EXECUTION = ("torch", "device", "device_name", "threads", "compile", "executor")


@dataclass(frozen=True, kw_only=True)
class Records:
    """The frames of one comparison.

    Args:
        runs: a row a place (arm, context, seed) whose cell has ended, with its accuracy in percent.
        epochs, gates: of those cells, by cell and epoch (and site).
    """

    runs: pd.DataFrame
    epochs: pd.DataFrame
    gates: pd.DataFrame

    def of(self, arm: str, context: str) -> pd.DataFrame:
        """The runs of an arm in a context, indexed by seed."""
        runs = self.runs[(self.runs["arm"] == arm) & (self.runs["context"] == context)]
        return runs.set_index("seed", drop=False)


def read_runs(folders: Sequence[Path]) -> pd.DataFrame:
    """The rows of all folders' runs.csv; a cell that stands in two of them must be the same run.

    Raises:
        DataError: a file is damaged, or two folders disagree about a cell.
    """
    frames = []
    for folder in folders:
        runs = read_frame(RUNS, folder / "runs.csv")
        check_runs(runs, folder / "runs.csv")
        frames.append(runs)
    if all(frame.empty for frame in frames):
        raise DataError(f"{folders[0] / 'runs.csv'} holds no runs yet")
    runs = pd.concat(frames, ignore_index=True)
    facts = runs.drop_duplicates(["cell", "correct", "total", "status", "config_sha256", "gate_fingerprint"])
    twice = facts.loc[facts["cell"].duplicated(), "cell"]
    if len(twice):
        raise DataError(f"cell {twice.iloc[0]} ended differently in two of the folders; `bamgate study verify` each")
    return runs.drop_duplicates("cell").sort_values("cell", ignore_index=True)


def read_records(folders: Sequence[Path], design: Design, runs: pd.DataFrame) -> Records:
    """The rows of the design's cells.

    Raises:
        DataError: a file is missing or damaged; it is named with line and column.
    """
    _require_places(folders, design, runs)
    placed = _placed(design, runs)
    cells = set(placed["cell"])
    known = set(runs["cell"])
    epochs = _table(folders, "epochs.csv", EPOCHS, ["cell", "epoch"], known)
    gates = _table(folders, "gates.csv", GATES, ["cell", "epoch", "site"], known)
    epochs = epochs[epochs["cell"].isin(cells)].reset_index(drop=True)
    gates = gates[gates["cell"].isin(cells)].reset_index(drop=True)
    return Records(runs=placed, epochs=_with_accuracies(epochs), gates=gates)


def _require_places(folders: Sequence[Path], design: Design, runs: pd.DataFrame) -> None:
    """DataError where a row of runs.csv has another arm, context or seed than the design has for its cell."""
    wrong = {place.cell for place in set(places_of(runs)) - set(design.places)}
    if not wrong:
        return
    planned: dict[str, str] = {}
    for place in design.places:
        planned.setdefault(place.cell, _words(place.arm, place.context, place.seed))

    def why(row: Any) -> str:
        here = _words(row["arm"], row["context"], row["seed"])
        return f"{here} here; in the study it is {planned.get(row['cell'], 'no cell')}"

    for path in (folder / "runs.csv" for folder in folders):
        rows = read_frame(RUNS, path)
        refuse(rows, path, "cell", rows["cell"].isin(wrong), why)


def _words(arm: str, context: object, seed: int) -> str:
    named = [context] if isinstance(context, str) and context else []
    return ", ".join([f"arm {arm}", *named, f"seed {seed}"])


def _table(folders: Sequence[Path], name: str, columns: Any, key: list[str], cells: set[str]) -> pd.DataFrame:
    frames = []
    for folder in folders:
        rows = read_frame(columns, folder / name)
        check_rows(rows, folder / name, key, cells)
        frames.append(rows)
    rows = pd.concat(frames, ignore_index=True).drop_duplicates(key)
    return rows.sort_values(key, ignore_index=True)


def _with_accuracies(epochs: pd.DataFrame) -> pd.DataFrame:
    shares = {
        name: 100 * epochs[f"{split}_correct"].astype(float) / epochs[f"{split}_total"].astype(float)
        for name, split in (("accuracy", "test"), ("train_accuracy", "train"))
    }
    return epochs.assign(**shares)


def _placed(design: Design, runs: pd.DataFrame) -> pd.DataFrame:
    """A row a place, in the design's order."""
    places = pd.DataFrame(
        [(p.context, p.arm, p.seed, p.cell) for p in design.places], columns=["context", "arm", "seed", "cell"]
    )
    placed = places.merge(runs.drop(columns=["arm", "context", "seed"]), on="cell", how="inner", validate="many_to_one")
    order = {"context": design.contexts, "arm": design.arms}
    ranks = {name: placed[name].map({value: rank for rank, value in enumerate(known)}) for name, known in order.items()}
    keys = np.lexsort((placed["seed"].to_numpy(), ranks["arm"].to_numpy(), ranks["context"].to_numpy()))
    placed = placed.iloc[keys].reset_index(drop=True)
    accuracy = 100 * placed["correct"].astype(float) / placed["total"].astype(float)
    return placed.assign(accuracy=accuracy, seed=placed["seed"].astype(int))


class Outcomes:
    """Which test images each cell got right, read from the cells' folders when they are asked for."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = tuple(folders)
        self._known: dict[str, np.ndarray | None] = {}

    def of(self, cell: str) -> np.ndarray | None:
        """bool, a value a test image in the data set's order; None where the file is not here."""
        if cell not in self._known:
            self._known[cell] = self._read(cell)
        return self._known[cell]

    def _read(self, cell: str) -> np.ndarray | None:
        for folder in self._folders:
            path = folder / "cells" / cell / "outcomes.csv.gz"
            if not path.is_file():
                continue
            text = read_text(path)
            try:
                frame = pd.read_csv(io.StringIO(text), usecols=["index", "correct"], dtype="int64")
            except ValueError:  # pandas would not say where
                frame = pd.DataFrame(parse_rows(OUTCOMES, text, path))
            return np.asarray(frame.sort_values("index")["correct"].to_numpy() == 1)
        return None
