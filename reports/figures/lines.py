"""A line for each arm over training: shared by the figures of what the gates do from epoch to epoch."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from bamgate.reports.figures.drawing import epoch_axis
from bamgate.reports.figures.parts import Design, names
from bamgate.reports.figures.style import FAINT, arm_styles
from bamgate.reports.words.figures.common import ALL_SITES

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def over_sites(rows: pd.DataFrame, design: Design, columns: list[str]) -> pd.DataFrame:
    """With several contexts, whose sites differ: each run's mean over its sites, as one site."""
    if len(design.contexts) == 1:
        return rows
    keys = ["context", "arm", "seed", "cell", "epoch"]
    return rows.groupby(keys, sort=False)[columns].mean().reset_index().assign(site=ALL_SITES, sites=1)


def arm_lines(axis: "Axes", rows: pd.DataFrame, design: Design, middle: str = "mean") -> None:
    """The column `middle` by epoch; reference and headline arm lie on top, with their bands."""
    styles = arm_styles(design)
    for depth, arm in enumerate(reversed(names(rows, "arm"))):
        part, style = rows[rows["arm"] == arm], styles[arm]
        main = arm in (design.reference, design.headline)
        if main:
            bounds = part["low"].astype(float), part["high"].astype(float)
            axis.fill_between(part["epoch"], *bounds, color=style.colour, alpha=0.15, linewidth=0)
        mark: dict[str, Any] = {
            "marker": style.marker,
            "markersize": 5 if main else 3.8,
            "markevery": _marks(len(part)),
        }
        rim: dict[str, Any] = {"markeredgecolor": "white", "markeredgewidth": 0.5}
        axis.plot(
            part["epoch"], part[middle], **style.line, **mark, **rim, linewidth=2 if main else 1.2, zorder=3 + depth
        )
    axis.yaxis.grid(True, color=FAINT, linewidth=0.6)
    epoch_axis(axis, rows["epoch"], label=False)


def _marks(points: int) -> list[int]:
    """Which points carry a marker: all of few, five of many."""
    if points <= 6:
        return list(range(points))
    return sorted({round(i * (points - 1) / 4) for i in range(5)})
