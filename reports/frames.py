"""The CSV files of a folder of runs as pandas frames, checked against their schema."""

from pathlib import Path

import pandas as pd

from bamgate.tables import GATES, RUNS, Columns, read_rows


def read_frame(columns: Columns, path: Path) -> pd.DataFrame:
    """A typed frame; DataError that names file, line and column of what is wrong."""
    return pd.DataFrame(read_rows(columns, path), columns=list(columns))


def runs_frame(folder: Path) -> pd.DataFrame:
    """One row a finished cell, with its accuracy in percent. A diverged cell keeps the accuracy that it ended with."""
    runs = read_frame(RUNS, folder / "runs.csv")
    return runs.assign(accuracy=100 * runs["correct"] / runs["total"])


def last_gates_frame(folder: Path) -> pd.DataFrame:
    """One row a cell and site: the gate's figures after the last epoch, with gate and seed."""
    gates = read_frame(GATES, folder / "gates.csv")
    last = gates[gates["epoch"] == gates.groupby("cell")["epoch"].transform("max")]
    names = runs_frame(folder)[["cell", "attention", "gate", "seed"]]
    return last.merge(names, on="cell", validate="many_to_one")
