"""The metric on the test set over training, by arm."""

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from bamgate.record.metric import PERCENT, Metric
from bamgate.reports.figures.drawing import end_labels, epoch_axis, shortened, wrapped
from bamgate.reports.figures.parts import (
    Design,
    Records,
    Stats,
    in_order,
    left_out,
    measure_of,
    names,
    of_cells,
    t_band,
    thinned,
)
from bamgate.reports.figures.style import FAINT, MUTED, SMALL, arm_styles, new_figure, styled
from bamgate.reports.words.figures import curves as words
from bamgate.reports.words.figures.common import EPOCH

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME = "curves"
COLUMNS = ["context", "arm", "epoch", "n", "mean", "low", "high", "lr_drop"]
TOGETHER = 3  # so many arms share a panel; more get a panel each, beside the reference
MOST_PANELS = 20
LONG = 10  # with more epochs than this the first tenth may leave the picture, at the worse end


def frame(records: Records, design: Design, stats: Stats) -> pd.DataFrame:
    """By context, arm and epoch: mean of the metric over the finished runs, its 95 % t interval, n.

    `lr_drop` marks an epoch whose learning rate is half of a constant one before it, or less.
    """
    rows = of_cells(records.epochs, records, design)
    kept = _panels(rows, design)
    rows = rows[rows["context"].isin([c for c, _ in kept]) & rows["arm"].isin([a for _, a in kept])]
    if rows.empty:
        return pd.DataFrame(columns=COLUMNS)
    drops = _lr_drops(rows)
    bands = in_order(t_band(rows, ["context", "arm", "epoch"], "value"), design, ["epoch"])
    bands = bands.assign(lr_drop=[key in drops for key in zip(bands["context"], bands["epoch"], strict=True)])
    return bands[bands["epoch"].isin(thinned(bands["epoch"])) | bands["lr_drop"]].reset_index(drop=True)[COLUMNS]


def _panels(rows: pd.DataFrame, design: Design) -> set[tuple[str, str]]:
    """Contexts and arms that there is room for: all, or else the headline arm, in the first contexts."""
    there = dict.fromkeys(zip(rows["context"], rows["arm"], strict=True))
    others = [key for key in there if key[1] != design.reference]
    if len(others) > MOST_PANELS:
        others = [key for key in others if key[1] == design.headline][:MOST_PANELS]
    return {
        *others,
        *((c, a) for c, a in there if a == design.reference and (not others or c in {c for c, _ in others})),
    }


def _lr_drops(rows: pd.DataFrame) -> set[tuple[str, int]]:
    rates = rows.groupby(["context", "epoch"], sort=True)["lr"].median().reset_index()
    drops = set()
    for context, part in rates.groupby("context", sort=False):
        lr, epochs = part["lr"].to_list(), part["epoch"].to_list()
        for i in range(2, len(lr)):
            if lr[i - 1] == lr[i - 2] and lr[i] <= 0.5 * lr[i - 1]:
                drops.add((str(context), int(epochs[i])))
    return drops


@styled
def draw(frame: pd.DataFrame, design: Design) -> "Figure":
    contexts, arms = names(frame, "context"), names(frame, "arm")
    together = len(arms) <= TOGETHER
    panels = [(c, None) for c in contexts] if together else _own_panels(frame, design)
    columns = min(len(panels), 2 if together else 4)
    rows = -(-len(panels) // columns)
    figure = new_figure(3.4 if len(panels) == 1 else (2.6 if together else 1.85) * rows + 0.3)
    grid = figure.subplots(rows, columns, sharex=True, sharey=len(contexts) == 1, squeeze=False).ravel()
    for axis, (context, arm) in zip(grid, panels, strict=False):
        here = frame[frame["context"] == context]
        here = here if arm is None else here[here["arm"].isin([design.reference, arm])]
        _panel(axis, here, design)
        _limit(axis, frame if len(contexts) == 1 else frame[frame["context"] == context], design.metric)
        title = [shortened(context, 60)] * bool(context) + ([] if arm is None else [arm])
        colour = "black" if arm is None else arm_styles(design)[arm].colour
        axis.set_title(
            wrapped(shortened(", ".join(title), 68), {1: 76, 2: 36, 3: 23, 4: 17}[columns]),
            color=colour,
            fontweight="bold",
        )
    for i, axis in enumerate(grid):
        if i >= len(panels):
            axis.remove()
        elif i + columns >= len(panels):
            axis.tick_params(labelbottom=True)
            axis.set_xlabel(EPOCH)
    for axis in grid[: len(panels) : columns]:
        axis.set_ylabel(words.axis(measure_of(design)))
    for i, (axis, (context, arm)) in enumerate(zip(grid, panels, strict=False)):
        _name_lines(axis, frame[frame["context"] == context], design, every=arm is None, first=i == 0)
    return figure


def _own_panels(frame: pd.DataFrame, design: Design) -> list[tuple[str, str | None]]:
    keys = dict.fromkeys(zip(frame["context"], frame["arm"], strict=True))
    return [(context, arm) for context, arm in keys if arm != design.reference]


def _panel(axis: "Axes", here: pd.DataFrame, design: Design) -> None:
    for arm in names(here, "arm"):
        rows, style = here[here["arm"] == arm], arm_styles(design)[arm]
        axis.fill_between(
            rows["epoch"].astype(float),
            rows["low"].astype(float),
            rows["high"].astype(float),
            color=style.colour,
            alpha=0.16,
            linewidth=0,
        )
        mark: dict[str, Any] = {"marker": style.marker, "markersize": 4, "clip_on": False, "zorder": 4}
        axis.plot(rows["epoch"], rows["mean"], **style.line)
        axis.plot(rows["epoch"].iloc[-1:], rows["mean"].iloc[-1:], color=style.colour, **mark)
    for epoch in here.loc[here["lr_drop"], "epoch"].unique():
        axis.axvline(epoch - 0.5, color=MUTED, linewidth=0.8, linestyle=":", zorder=0)
    axis.yaxis.grid(True, color=FAINT, linewidth=0.6)
    epoch_axis(axis, here["epoch"], label=False)


def _limit(axis: "Axes", here: pd.DataFrame, metric: Metric) -> None:
    """From the worst mean after the first tenth of a long training; a percentage stays within what it can be."""
    first, last = here["epoch"].min(), here["epoch"].max()
    late = here[here["epoch"] >= first + (last - first) / 10] if last - first > LONG else here
    low, high = late["mean"].min(), late["mean"].max()
    if metric.higher_is_better:
        high = max(high, late["high"].astype(float).max())
    else:
        low = min(low, late["low"].astype(float).min())
    room = 0.06 * (high - low) or abs(high) / 10 or 1.0
    bounds = (0.0, 100.5) if metric.unit == PERCENT else (-math.inf, math.inf)
    axis.set_ylim(max(bounds[0], low - room), min(bounds[1], high + room))


def _name_lines(axis: "Axes", here: pd.DataFrame, design: Design, *, every: bool, first: bool) -> None:
    """At the line ends; beside a panel's own arm only the first panel says which line is the reference."""
    arms = names(here, "arm") if every else [design.reference] * first
    last = here.groupby("arm", sort=False).tail(1).set_index("arm")
    styles = arm_styles(design)
    if every:
        ends = [
            (float(last["epoch"][a]), float(last["mean"][a]), shortened(a, 24), styles[a].colour)
            for a in arms
            if a in last.index
        ]
        end_labels(axis, ends, gap=7)
    elif first and design.reference in last.index:
        # Where lines have left: at the foot, or at the top if the metric comes down.
        rises = design.metric.higher_is_better
        text: dict[str, Any] = {
            "color": styles[design.reference].colour,
            "fontsize": SMALL,
            "ha": "right",
            "va": "bottom" if rises else "top",
        }
        axis.text(
            0.98,
            0.04 if rises else 0.96,
            words.reference_line(shortened(design.reference, 16)),
            transform=axis.transAxes,
            **text,
        )


def title(design: Design) -> str:
    return words.TITLE


def caption(frame: pd.DataFrame, design: Design) -> str:
    return words.caption(
        list(frame["n"]),
        measure_of(design),
        beside=design.reference if len(names(frame, "arm")) > TOGETHER else "",
        drops=bool(frame["lr_drop"].any()),
        cut=frame["epoch"].max() - frame["epoch"].min() > LONG,
        missing=[*left_out(design.contexts, frame, "context"), *left_out(design.arms, frame, "arm")],
    )


def alt(frame: pd.DataFrame, design: Design) -> str:
    last = frame.groupby(["context", "arm"], sort=False).tail(1)
    ends = [(row.arm, row.context, row.mean) for row in last.itertuples()]
    return words.alt(int(frame["epoch"].max()), ends, measure_of(design))


def applies(frame: pd.DataFrame) -> bool:
    return not frame.empty
