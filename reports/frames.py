"""The CSV files of a folder of runs as pandas frames, checked against their schema."""

import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from bamgate.errors import DataError
from bamgate.record.environment import EXECUTION
from bamgate.record.metric import metric_fault, value_of
from bamgate.record.tables import GATES, RUNS, Columns, columns_in, is_regular, parse_rows, plain_text, read_text, split

_TYPES: dict[type, str] = {int: "Int64", float: "float64", str: "object"}
# Later versions read every digit without being asked.
_EXACT: dict[str, Any] = (
    {"float_precision": "round_trip"} if tuple(map(int, pd.__version__.split(".")[:2])) < (3, 1) else {}
)


def read_frame(columns: Columns, path: Path) -> pd.DataFrame:
    """A typed frame, its rows as in the file; DataError that names file, line and column of what is wrong.

    A last line without its newline was never written.
    """
    text = read_text(path)
    text = text[: text.rfind("\n") + 1]
    if not is_regular(columns_in(columns, text), text):
        # The slow reader knows line and column of what is wrong.
        rows = parse_rows(columns, text, path)
        return pd.DataFrame({name: [row[name] for row in rows] for name in columns}).astype(_types(columns))
    frame = pd.read_csv(
        io.StringIO(text),
        dtype=_types(columns),
        keep_default_na=False,
        na_values={name: [""] if kind is not float else ["", "nan"] for name, kind in columns.items()},
        **_EXACT,
    )
    frame = frame.reindex(columns=list(columns)).astype(_types(columns))  # optional columns of older files are empty
    for name in [name for name, kind in columns.items() if kind is str]:
        frame[name] = frame[name].map(plain_text, na_action="ignore")
    return frame


def _types(columns: Columns) -> dict[str, str]:
    return {name: _TYPES[kind] for name, kind in columns.items()}


def line_of(frame: pd.DataFrame, wrong: "pd.Series[bool]") -> int:
    """The line in the file of the first row that is wrong."""
    before = frame.iloc[: int(wrong.to_numpy().argmax())]
    breaks = sum(before[name].str.count("\n").sum() for name in before if before[name].dtype == "object")
    return len(before) + int(breaks) + 2


def refuse(frame: pd.DataFrame, path: Path, column: str, wrong: Any, why: Callable[[Any], str]) -> None:
    """DataError for the first row where `wrong` is true; `why` makes the message's end from the row."""
    wrong = wrong.fillna(True).astype(bool)
    if wrong.any():
        row = frame[wrong].iloc[0]
        raise DataError(f"{path}, line {line_of(frame, wrong)}, column {column!r}: {why(row)}")


NEEDED = [
    *("arm", "cell", "seed", "total", "status", "gate", "dataset", "model", "attention", "epochs", "params"),
    *("macs", *EXECUTION, "design_sha256"),
]


def check_runs(runs: pd.DataFrame, path: Path) -> None:
    """DataError if a row of runs.csv cannot be: no counts and no metric, more correct than there are, a cell twice."""
    counted = ["correct"] if runs["metric"].isna().all() else []
    for name in [*NEEDED, *counted]:
        refuse(runs, path, name, runs[name].isna(), lambda row: "is empty")
    _check_metrics(runs, path)
    pairs = zip(runs["arm"], runs["context"], strict=True)
    uneven = pd.Series([isinstance(c, str) and len(split(c)) != len(split(a)) for a, c in pairs], dtype=bool)
    refuse(runs, path, "context", uneven, lambda row: f"{row['context']!r} is not a context for each arm")
    refuse(runs, path, "total", runs["total"] < 1, lambda row: f"{row['total']} test images")
    over = (runs["correct"] > runs["total"]).fillna(False)
    refuse(runs, path, "correct", over, lambda row: f"{row['correct']} correct of {row['total']} test images")
    over = (runs["top5_correct"] > runs["total"]).fillna(False)
    many = "{top5_correct} among the five best of {total} test images"
    refuse(runs, path, "top5_correct", over, lambda row: many.format(**row))
    known = runs["status"].isin(["finished", "diverged"])
    refuse(runs, path, "status", ~known, lambda row: f"{row['status']!r} (allowed: finished, diverged)")
    twice = runs["cell"].duplicated()
    refuse(runs, path, "cell", twice, lambda row: f"cell {row['cell']} stands here a second time")


def _check_metrics(runs: pd.DataFrame, path: Path) -> None:
    faults = [metric_fault(row) for row in runs.to_dict("records")]
    wrong = pd.Series([fault is not None for fault in faults], dtype=bool)
    column, why = next((fault for fault in faults if fault is not None), ("metric", ""))
    refuse(runs, path, column, wrong, lambda row: why)


def check_rows(rows: pd.DataFrame, path: Path, key: list[str], cells: set[str]) -> None:
    """DataError where rows of epochs.csv or gates.csv are of no run, or stand there twice."""
    refuse(rows, path, "cell", ~rows["cell"].isin(cells), lambda row: f"cell {row['cell']!r} is not in runs.csv")
    twice = rows.duplicated(key)
    refuse(rows, path, key[-1], twice, lambda row: f"{', '.join(f'{k} {row[k]}' for k in key)} is there already")


def check_shares(rows: pd.DataFrame, path: Path, parts: Iterable[str], whole: str) -> None:
    """DataError where a count, if it is there, is larger than the one that it is a part of, or that one is 0."""
    refuse(rows, path, whole, (rows[whole] < 1).fillna(False), lambda row: "is 0")
    for name in parts:
        over = (rows[name] > rows[whole]).fillna(False)
        refuse(rows, path, name, over, _part_of(name, whole))


def _part_of(name: str, whole: str) -> Callable[[Any], str]:
    return lambda row: f"{row[name]} of {row[whole]} {whole}"


def runs_frame(folder: Path) -> pd.DataFrame:
    """One row a finished cell; `value` is its metric's. A diverged cell keeps the value that it ended with, if any."""
    runs = read_frame(RUNS, folder / "runs.csv")
    return runs.assign(value=pd.Series([value_of(row) for row in runs.to_dict("records")], dtype="float64"))


def last_gates_frame(folder: Path) -> pd.DataFrame:
    """One row a cell and site: the gate's figures after the last epoch, with gate and seed."""
    gates = read_frame(GATES, folder / "gates.csv")
    last = gates[gates["epoch"] == gates.groupby("cell")["epoch"].transform("max")]
    names = runs_frame(folder)[["cell", "attention", "gate", "seed"]]
    return last.merge(names, on="cell", validate="many_to_one")
