"""How much of the loss's gradient reaches the attention, beside the trunk."""

from typing import TYPE_CHECKING

import pandas as pd

from bamgate.reports.figures.drawing import arm_legend, plain_log_ticks, shortened, wrapped
from bamgate.reports.figures.lines import arm_lines, over_sites
from bamgate.reports.figures.panels import gate_rows, note_panels
from bamgate.reports.figures.parts import Design, Records, Stats, names, thinned
from bamgate.reports.figures.style import new_figure, styled
from bamgate.reports.words.figures import gradient as words
from bamgate.reports.words.figures.common import ALL_SITES, EPOCH

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "gradient"
COLUMNS = ["context", "site", "sites", "arm", "epoch", "n", "median", "low", "high"]


def frame(records: Records, design: Design, stats: Stats) -> pd.DataFrame:
    """By context, site, arm and epoch: gradient norm in the site's attention over that in the trunk.

    Median of n runs, the smallest and the largest of them; without the arms that have no gradient there. With several
    contexts a run's ratio is the mean over its sites.
    """
    rows = gate_rows(records, design)
    trunk = rows["gradient_trunk"].astype(float)
    rows = rows.assign(ratio=rows["gradient_attention"].astype(float) / trunk.where(trunk > 0)).dropna(subset=["ratio"])
    rows = over_sites(rows, design, ["ratio"])
    groups = rows.groupby(["context", "site", "sites", "arm", "epoch"], sort=False)["ratio"]
    table = groups.agg(n="count", median="median", low="min", high="max").reset_index()
    kept = (table["median"] > 0) & table["epoch"].isin(thinned(table["epoch"]))
    return table[kept].reset_index(drop=True)[COLUMNS]


@styled
def draw(frame: pd.DataFrame, design: Design) -> "Figure":
    places = list(dict.fromkeys(zip(frame["context"], frame["site"], strict=True)))
    figure = new_figure(3.3)
    grid = figure.subplots(1, len(places), sharey=True, squeeze=False)[0]
    ends = frame[["median", "low", "high"]].astype(float)
    ends = ends[ends > 0]
    for axis in grid:
        axis.set_yscale("log")
    # Before there are lines: values that are all equal would leave matplotlib no room.
    grid[0].set_ylim(max(ends.min().min(), ends["median"].min() / 10) / 1.3, ends.max().max() * 1.3)
    for axis, (context, site) in zip(grid, places, strict=True):
        arm_lines(axis, frame[(frame["context"] == context) & (frame["site"] == site)], design, "median")
        axis.set_title(wrapped(shortened(context or site, 60), 76 // len(places)), fontweight="bold")
        axis.set_xlabel(EPOCH)
    plain_log_ticks(grid[0].yaxis, *grid[0].get_ylim())
    grid[0].set_ylabel(words.AXIS)
    arm_legend(figure, [arm for arm in design.arms if arm in names(frame, "arm")], design)
    return figure


def title(design: Design) -> str:
    return words.TITLE


def caption(frame: pd.DataFrame, design: Design) -> str:
    over = ALL_SITES in names(frame, "site")
    text = words.caption(design.reference, design.headline, list(frame["n"]), over_sites=over)
    return text + note_panels(frame, design)


def alt(frame: pd.DataFrame, design: Design) -> str:
    last = frame[frame["arm"].isin([design.reference, design.headline])]
    last = last.groupby(["context", "site", "arm"], sort=False).tail(1)
    return words.alt((row.arm, row.context or row.site, row.median) for row in last.itertuples())


def applies(frame: pd.DataFrame) -> bool:
    return not frame.empty
