"""All rows that a report is made of, checked together and in one order, whatever the order in the files."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bamgate.errors import DataError, UsageError
from bamgate.record.collect import CURVES
from bamgate.record.ended import EndedCell, gate_mark, same_gate
from bamgate.record.metric import Metric, value_of
from bamgate.record.tables import EPOCHS, GATE_CURVES, GATES, OUTCOMES, RUNS, columns_in, parse_rows, read_text
from bamgate.reports.design import Design, places_of
from bamgate.reports.frames import check_rows, check_runs, check_shares, read_frame, refuse

CURVE_COLUMNS = ["gate", "z", "scale", "slope"]
OUTCOMES_FILE = "outcomes.csv.gz"
FACTS = ("correct", "total", "metric_value", "status", "config_sha256", "gate_fingerprint")  # of one run
# column of runs.csv -> the same in the last row of the run in epochs.csv
LAST_EPOCH = {"epochs": "epoch", "correct": "test_correct", "total": "test_total", "metric_value": "test_metric"}
PARTS = {  # of a count in the same row
    "epochs.csv": {"train_total": ["train_correct"], "test_total": ["test_correct", "test_top5_correct"]},
    "gates.csv": {"values": ["attenuated", "relatively_attenuated", "saturated"]},
}


@dataclass(frozen=True, kw_only=True)
class Records:
    """The frames of one comparison.

    Args:
        runs: a row a place (arm, context, seed) whose cell has ended; `value` is that of the design's metric.
        epochs, gates: of those cells, by cell and epoch (and site); `value` likewise.
        curves: gate, z, scale s = 1 + g(z) and slope g'(z) of the gates whose curve was stored with the runs.
    """

    runs: pd.DataFrame
    epochs: pd.DataFrame
    gates: pd.DataFrame
    curves: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=CURVE_COLUMNS))

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
    facts = runs.drop_duplicates(["cell", *FACTS])
    twice = facts.loc[facts["cell"].duplicated(), "cell"]
    if len(twice):
        raise DataError(f"cell {twice.iloc[0]} ended differently in two of the folders; `bamgate study verify` each")
    runs = runs.drop_duplicates("cell").sort_values("cell", ignore_index=True)
    _refuse_two_gates(runs)
    return runs


def _refuse_two_gates(runs: pd.DataFrame) -> None:
    """UsageError if one name stands for two functions: such runs are not of one arm, whatever they are called."""
    columns = {"name": "gate", "fingerprint": "gate_fingerprint", "source_sha256": "gate_source_sha256"}
    known: dict[str, tuple[str, str]] = {}
    for row in runs.dropna(subset=list(columns.values())).to_dict("records"):
        mark = gate_mark({name: row[column] for name, column in columns.items()})
        cell, before = known.setdefault(row["gate"], (row["cell"], mark))
        if not same_gate(before, mark):
            raise UsageError(
                f"gate {row['gate']!r} is not the same function in cells {cell} and {row['cell']}, so their runs are "
                "not of one arm; train one of the two again, under a name of its own"
            )


def read_records(folders: Sequence[Path], design: Design, runs: pd.DataFrame) -> Records:
    """The rows of the design's cells.

    Raises:
        DataError: a file is missing or damaged; it is named with line and column.
    """
    _require_places(folders, design, runs)
    placed = _placed(design, runs)
    placed = placed.assign(value=pd.Series([value_of(row) for row in placed.to_dict("records")], dtype="float64"))
    cells = set(placed["cell"])
    known = set(runs["cell"])
    epochs = _table(folders, "epochs.csv", EPOCHS, ["cell", "epoch"], known)
    gates = _table(folders, "gates.csv", GATES, ["cell", "epoch", "site"], known)
    epochs = epochs[epochs["cell"].isin(cells)].reset_index(drop=True)
    gates = gates[gates["cell"].isin(cells)].reset_index(drop=True)
    _require_last_epochs(runs, epochs)
    epochs = epochs.assign(value=_values_of(epochs, design.metric))
    return Records(runs=placed, epochs=epochs, gates=gates, curves=_curves(folders))


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


def _require_last_epochs(runs: pd.DataFrame, epochs: pd.DataFrame) -> None:
    """DataError if runs.csv and the last row of a run in epochs.csv, two records of the same numbers, differ."""
    last = epochs.groupby("cell", sort=False).tail(1).set_index("cell")
    rows = runs[runs["cell"].isin(last.index)]
    for name, of_epoch in LAST_EPOCH.items():
        said, found = (pd.Series(values.to_numpy()) for values in (rows[name], last.loc[rows["cell"], of_epoch]))
        wrong = rows[((said != found).fillna(True) & ~(said.isna() & found.isna())).to_numpy(dtype=bool)]
        if len(wrong):
            row = wrong.iloc[0]
            raise DataError(
                f"cell {row['cell']}: runs.csv says {name} {row[name]}, the last row of the run in epochs.csv says "
                f"{of_epoch} {last.loc[row['cell'], of_epoch]}"
            )


def _words(arm: str, context: object, seed: int) -> str:
    named = [context] if isinstance(context, str) and context else []
    return ", ".join([f"arm {arm}", *named, f"seed {seed}"])


def _table(folders: Sequence[Path], name: str, columns: Any, key: list[str], cells: set[str]) -> pd.DataFrame:
    frames = []
    for folder in folders:
        rows = read_frame(columns, folder / name)
        check_rows(rows, folder / name, key, cells)
        for whole, parts in PARTS[name].items():
            check_shares(rows, folder / name, parts, whole)
        frames.append(rows)
    rows = pd.concat(frames, ignore_index=True).drop_duplicates(key)
    return rows.sort_values(key, ignore_index=True)


def _curves(folders: Sequence[Path]) -> pd.DataFrame:
    """A curve a gate, of the first folder that has it; folders of before curves were stored have none."""
    found: dict[str, pd.DataFrame] = {}
    for path in (folder / CURVES for folder in folders):
        if not path.is_file():
            continue
        rows = read_frame(GATE_CURVES, path)
        for name in ("gate", "z"):
            refuse(rows, path, name, rows[name].isna(), lambda row: "is empty")
        twice = rows.duplicated(["gate", "z"])
        refuse(rows, path, "z", twice, lambda row: f"gate {row['gate']}, z {row['z']} is there already")
        rows = rows.assign(scale=1 + rows["g"]).replace([np.inf, -np.inf], np.nan)
        for gate, curve in rows.groupby("gate", sort=False):
            found.setdefault(str(gate), curve[CURVE_COLUMNS].sort_values("z"))
    return pd.concat(found.values(), ignore_index=True) if found else pd.DataFrame(columns=CURVE_COLUMNS)


def _values_of(epochs: pd.DataFrame, metric: Metric) -> "pd.Series[float]":
    """The metric on the test set after each epoch."""
    if metric.is_count:
        return 100 * epochs["test_correct"].astype(float) / epochs["test_total"].astype(float)
    return epochs["test_metric"].astype(float)


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
    return placed.assign(seed=placed["seed"].astype(int))


class Outcomes:
    """Which test images each cell got right, read from the cells' folders when they are asked for."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = tuple(folders)
        self._known: dict[str, np.ndarray | None] = {}
        self._labels: dict[str, np.ndarray] = {}

    def of(self, cell: str) -> np.ndarray | None:
        """bool, a value a test image in the data set's order; None where the file is not here."""
        if cell not in self._known:
            self._known[cell] = self._read(cell)
        return self._known[cell]

    def _read(self, cell: str) -> np.ndarray | None:
        for folder in self._folders:
            path = folder / "cells" / cell / OUTCOMES_FILE
            ended = EndedCell.at(path.parent)
            if not path.is_file() and not (ended and ended.has(OUTCOMES_FILE)):
                continue
            text = ended.text(OUTCOMES_FILE) if ended else read_text(path)
            frame = _outcomes(text, path)
            if ended:
                ended.require_outcomes(len(frame), int(frame["correct"].sum()))
            self._labels[cell] = frame["label"].to_numpy()
            return np.asarray(frame["correct"].to_numpy() == 1)
        return None

    def of_runs(self, runs: pd.DataFrame) -> list[np.ndarray] | None:
        """`of` each run that is compared; None if a file is not here.

        Args:
            runs: rows with cell, correct and total.

        Raises:
            DataError: outcomes contradict the counts of the run, or are of other images than the first run's.
        """
        found = []
        for cell, correct, total in runs[["cell", "correct", "total"]].itertuples(index=False):
            answers = self.of(cell)
            if answers is None:
                return None
            if (int(answers.sum()), len(answers)) != (int(correct), int(total)):
                raise DataError(
                    f"{OUTCOMES_FILE} of cell {cell}: {int(answers.sum())} correct of {len(answers)} images, "
                    f"but runs.csv says {correct} of {total}"
                )
            found.append(answers)
        labels = [self._labels[cell] for cell in runs["cell"] if cell in self._labels]
        if any(not np.array_equal(one, labels[0]) for one in labels):
            raise DataError(f"{OUTCOMES_FILE} of the cells {', '.join(runs['cell'])}: not all of the same images")
        return found


def _outcomes(text: str, path: Path) -> pd.DataFrame:
    """The rows of outcomes.csv.gz, a test image each in the data set's order; DataError that names a wrong line."""
    if text.count("\n") < 2:
        raise DataError(f"{path} holds no images")
    columns = columns_in(OUTCOMES, text)
    try:
        frame = pd.read_csv(io.StringIO(text), dtype="int64")
    except ValueError:  # pandas would not say where
        frame = pd.DataFrame(parse_rows(OUTCOMES, text, path), columns=list(columns))
    versions = frame["schema"] if "schema" in frame else pd.Series([0])
    if list(frame.columns) != list(columns) or not versions.between(1, columns.newest).all() or text[-1] != "\n":
        parse_rows(OUTCOMES, text, path)
        raise DataError(f"{path} is cut off, or has other columns than {', '.join(OUTCOMES)}")
    misplaced = frame["index"] != np.arange(len(frame))
    refuse(frame, path, "index", misplaced, lambda row: f"image {row['index']} stands where another belongs")
    right = (frame["label"] == frame["predicted"]).astype("int64")
    contradicts = frame["correct"] != right
    words = "label {label}, predicted {predicted}, but correct is {correct}"
    refuse(frame, path, "correct", contradicts, lambda row: words.format(**row.to_dict()))
    return frame
