"""What all figures share: the study and its records as they are read here, what a figure is, and tidy pieces."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from bamgate.record.metric import Metric
from bamgate.reports.words.measure import Measure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Stats = Mapping[str, Any]
MOST_EPOCHS = 60


class Design(Protocol):
    """The study as declared: names in the order of its file."""

    @property
    def arms(self) -> Sequence[str]: ...
    @property
    def contexts(self) -> Sequence[str]: ...
    @property
    def reference(self) -> str: ...
    @property
    def headline(self) -> str: ...
    @property
    def rope(self) -> float: ...
    @property
    def seeds(self) -> Sequence[int]: ...
    @property
    def metric(self) -> Metric: ...
    @property
    def settings(self) -> dict[str, Any]: ...
    @property
    def arm_settings(self) -> dict[str, dict[str, Any]]: ...


class Records(Protocol):
    """The study's tables; the column `value` of runs and epochs is the metric's."""

    @property
    def runs(self) -> pd.DataFrame: ...
    @property
    def epochs(self) -> pd.DataFrame: ...
    @property
    def gates(self) -> pd.DataFrame: ...
    @property
    def curves(self) -> pd.DataFrame: ...


@dataclass(frozen=True, kw_only=True)
class FigureSpec:
    """A figure of the report.

    Args:
        frame: (records, design, stats) -> what is drawn, tidy, rows in a fixed order; empty where there is nothing.
        draw: (frame, design) -> the figure, from the frame alone.
        title: design -> its heading.
        caption: (frame, design) -> what is drawn, n, and what the bands are.
        alt: (frame, design) -> one or two sentences with the main numbers, for who cannot see it.
        applies: frame -> whether there is something to show.
    """

    name: str
    title: Callable[[Design], str]
    frame: Callable[[Records, Design, Stats], pd.DataFrame]
    draw: "Callable[[pd.DataFrame, Design], Figure]"
    caption: Callable[[pd.DataFrame, Design], str]
    alt: Callable[[pd.DataFrame, Design], str]
    applies: Callable[[pd.DataFrame], bool]


def places(records: Records, design: Design) -> pd.DataFrame:
    """The runs that ended: arm, context, seed, cell, status, value, in the order of the design."""
    runs = records.runs[["arm", "context", "seed", "cell", "status", "value"]]
    runs = runs.assign(context=runs["context"].fillna(""))
    known = runs["arm"].isin(list(design.arms)) & runs["context"].isin(list(design.contexts))
    return in_order(runs[known], design, ["seed"])


def in_order(frame: pd.DataFrame, design: Design, then: Sequence[str] = ()) -> pd.DataFrame:
    """Sorted by context and arm as the design names them, then by the columns `then`."""
    arm = {name: i for i, name in enumerate(design.arms)}
    context = {name: i for i, name in enumerate(design.contexts)}
    keys = frame.assign(_context=frame["context"].map(context), _arm=frame["arm"].map(arm))
    return (
        keys.sort_values(["_context", "_arm", *then], kind="stable")
        .drop(columns=["_context", "_arm"])
        .reset_index(drop=True)
    )


def of_cells(table: pd.DataFrame, records: Records, design: Design) -> pd.DataFrame:
    """Rows of epochs or gates with arm, context and seed: of finished runs, once for each place of a cell."""
    runs = places(records, design)
    finished = runs.loc[runs["status"] == "finished", ["context", "arm", "seed", "cell"]]
    return finished.merge(table.drop(columns=["arm", "context", "seed"], errors="ignore"), on="cell", how="inner")


def t_band(frame: pd.DataFrame, keys: list[str], column: str) -> pd.DataFrame:
    """Over the rows of each group: n, mean and the bounds of its 95 % t interval (NaN for n = 1).

    Groups in the order in which they come; values that are missing count for nothing.
    """
    from scipy import stats

    groups = frame.dropna(subset=[column]).groupby(keys, sort=False)[column]
    table = groups.agg(n="count", mean="mean", sd="std").reset_index()
    many = table["n"] > 1
    reach = stats.t.ppf(0.975, np.maximum(table["n"] - 1, 1)) * table["sd"] / np.sqrt(table["n"])
    reach = reach.where(many)
    return table.drop(columns="sd").assign(low=table["mean"] - reach, high=table["mean"] + reach)


def thinned(epochs: Iterable[int], most: int = MOST_EPOCHS) -> list[int]:
    """At most `most` + 2 of the epochs, evenly, the first and the last among them."""
    every = sorted(set(map(int, epochs)))
    stride = max(1, -(-len(every) // most))
    return sorted({*every[:1], *every[::-1][::stride]})


def main_arms(design: Design, most: int) -> list[str]:
    """Reference, headline, then the others in the design's order: at most so many."""
    first = [design.reference, design.headline]
    return [*first, *(arm for arm in design.arms if arm not in first)][:most]


def names(frame: pd.DataFrame, column: str) -> list[str]:
    """The values of a column in the order in which they come."""
    return [str(value) for value in frame[column].unique()]


def left_out(given: Iterable[str], frame: pd.DataFrame, column: str) -> list[str]:
    """Those of `given` that have no row in the frame."""
    shown = set(names(frame, column)) if len(frame) else set()
    return [name for name in given if name not in shown]


def number(value: float | None) -> float:
    """NaN for what is not there."""
    return float("nan") if value is None else float(value)


def finite(value: float | None) -> float | None:
    """None for what is not there, as words take it."""
    found = number(value)
    return found if math.isfinite(found) else None


def measure_of(design: Design) -> Measure:
    """How the design's metric is written."""
    return Measure.of(design.metric, design.rope)
