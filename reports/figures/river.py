"""How the scale s = 1 + g(z) spreads while the network learns: orange where it amplifies, blue where it attenuates."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bamgate.reports.figures.drawing import PLATE, epoch_axis, with_crossings
from bamgate.reports.figures.panels import draw_panels, gate_rows, note_panels
from bamgate.reports.figures.parts import Design, Records, Stats, thinned
from bamgate.reports.figures.style import ABOVE, BELOW, INK, MUTED, SMALL, styled
from bamgate.reports.words.figures import scales as words
from bamgate.reports.words.figures.common import EPOCH

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME = "river"
QUANTILES = ["q01", "q05", "q25", "q50", "q75", "q95", "q99"]
BANDS = (("q01", "q99", words.WIDEST), ("q05", "q95", words.WIDE), ("q25", "q75", words.MIDDLE))
COLUMNS = ["context", "arm", "site", "sites", "epoch", "n", *QUANTILES, "attenuated"]


def frame(records: Records, design: Design, stats: Stats) -> pd.DataFrame:
    """By context, arm, site and epoch (0: before training): quantiles of s and the share of s < 1 in percent.

    Each is the mean over the n finished runs of the figure of one run.
    """
    rows = gate_rows(records, design)
    rows = rows.assign(attenuated=100 * rows["attenuated"] / rows["values"]).dropna(subset=QUANTILES)
    rows = rows[rows["epoch"].isin(thinned(rows["epoch"]))]
    groups = rows.groupby(["context", "arm", "site", "sites", "epoch"], sort=False)
    table = groups[[*QUANTILES, "attenuated"]].mean().assign(n=groups.size()).reset_index()
    return table[COLUMNS]


@styled
def draw(frame: pd.DataFrame, design: Design) -> "Figure":
    low, high = min(frame["q01"].min(), 0.0), max(frame["q99"].max(), 2.0)

    def panel(axis: "Axes", rows: pd.DataFrame, large: bool) -> None:
        _river(axis, rows)
        axis.set_ylim(low, high)
        axis.set_yticks(np.arange(np.ceil(low), np.floor(high) + 1) if high - low < 8 else [low, 1, high])
        epoch_axis(axis, rows["epoch"], label=False)
        share = words.below_one(rows["attenuated"].iloc[-1], at_the_end=large)
        # Where the river leaves more room: at the foot or at the top.
        late = rows.iloc[len(rows) // 2 :] if large else rows
        top = high - late["q95"].max() > late["q05"].min() - low
        place: dict[str, Any] = {
            "transform": axis.transAxes,
            "fontsize": SMALL,
            "ha": "right",
            "va": "top" if top else "bottom",
        }
        axis.text(0.985, 0.965 if top else 0.035, share, bbox=PLATE, color=INK, **place)

    figure = draw_panels(frame, design, panel, ylabel=words.SCALE, xlabel=EPOCH)
    _key(figure)
    return figure


def _river(axis: "Axes", rows: pd.DataFrame) -> None:
    for (low, high, _), above, below in zip(BANDS, ABOVE, BELOW, strict=True):
        x, bottom, top = with_crossings(rows["epoch"], rows[low], rows[high], 1.0)
        for colour, edges in (
            (above, (np.maximum(bottom, 1), np.maximum(top, 1))),
            (below, (np.minimum(bottom, 1), np.minimum(top, 1))),
        ):
            if (edges[0] != edges[1]).any():
                axis.fill_between(x, *edges, color=colour, linewidth=0)
    marker: dict[str, Any] = {"marker": "o", "markersize": 3.5} if len(rows) == 1 else {}
    axis.plot(rows["epoch"], rows["q50"], color=INK, linewidth=1.5, **marker)
    axis.axhline(1, color=MUTED, linewidth=0.9, linestyle=(0, (1, 1.5)))


def _key(figure: "Figure") -> None:
    """Above the panels: which band is which."""
    from matplotlib.legend_handler import HandlerTuple
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [Line2D([], [], color=INK, linewidth=1.5)]
    labels = [words.MEDIAN]
    for (_, _, label), above, below in reversed(list(zip(BANDS, ABOVE, BELOW, strict=True))):
        handles.append((Patch(color=above, linewidth=0), Patch(color=below, linewidth=0)))
        labels.append(label)
    handles.append(Line2D([], [], color=MUTED, linewidth=0.9, linestyle=(0, (1, 1.5))))
    labels.append(words.IDENTITY)
    tuples = {tuple: HandlerTuple(ndivide=None, pad=0)}
    figure.legend(
        handles, labels, loc="outside upper left", ncols=5, handler_map=tuples, columnspacing=1.4, borderaxespad=0.2
    )


def title(design: Design) -> str:
    return words.RIVER_TITLE


def caption(frame: pd.DataFrame, design: Design) -> str:
    return words.river_caption(list(frame["n"])) + note_panels(frame, design)


def alt(frame: pd.DataFrame, design: Design) -> str:
    last = frame.groupby(["context", "arm", "site"], sort=False).tail(1)
    last = last[last["arm"].isin([design.reference, design.headline])]
    return words.river_alt(
        words.Spread(row.arm, row.site, row.q05, row.q95, row.attenuated) for row in last.itertuples()
    )


def applies(frame: pd.DataFrame) -> bool:
    return not frame.empty
