"""The short answer after a run: the metric by gate and seed, and what each gate did at each site."""

from pathlib import Path

import pandas as pd

from bamgate.record.environment import EXECUTION
from bamgate.reports.frames import last_gates_frame, runs_frame


def accuracy_table(folder: Path) -> pd.DataFrame:
    """A row a gate: the metric by seed (NaN: no such cell), then n, mean and SD over seeds (NaN for n = 1)."""
    runs = runs_frame(folder)
    table = runs.pivot(index="gate", columns="seed", values="value")
    return table.assign(n=table.count(axis=1), mean=table.mean(axis=1), sd=table.std(axis=1, ddof=1))


def diverged(folder: Path) -> pd.DataFrame:
    """Gate and seed of the cells that ended with a loss that was not finite."""
    runs = runs_frame(folder)
    return runs.loc[runs["status"] == "diverged", ["gate", "seed"]]


def executions(folder: Path) -> pd.DataFrame:
    """The ways in which the cells were executed, one a row, the columns that differ. One row or none: comparable."""
    ways = runs_frame(folder)[list(EXECUTION)].drop_duplicates()
    return ways.loc[:, ways.nunique() > 1] if len(ways) > 1 else ways.iloc[:1]


def paired_difference(folder: Path, gate: str, reference: str) -> pd.Series:
    """The metric of `gate` minus that of `reference`, by seed, for the seeds that both have."""
    table = runs_frame(folder).pivot(index="seed", columns="gate", values="value")
    return (table[gate] - table[reference]).dropna()


def site_table(folder: Path) -> pd.DataFrame:
    """A row a gate and site: quantiles of s and the share below 1 in percent, as means over seeds."""
    last = last_gates_frame(folder)
    last = last.assign(attenuated=100 * last["attenuated"] / last["values"])
    columns = ["q05", "q50", "q95", "attenuated", "on_object", "off_object"]
    # skipna=False: a cell that diverged must not drop out unseen.
    return last.groupby(["gate", "site"], sort=False)[columns].agg(lambda values: values.mean(skipna=False))
