"""The distribution of the scale s by site, before training, halfway and at its end."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bamgate.record.tables import SCALE_EDGES
from bamgate.reports.figures.panels import draw_panels, gate_rows, note_panels
from bamgate.reports.figures.parts import Design, Records, Stats
from bamgate.reports.figures.style import ABOVE, BELOW, INK, MUTED, styled
from bamgate.reports.words.numbers import seeds_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME = "scales"
TITLE = "Distribution of the scale"
COLUMNS = ["context", "arm", "site", "sites", "when", "epoch", "n", "low", "high", "count", "share"]
STEP = SCALE_EDGES[1] - SCALE_EDGES[0]
LOWS, HIGHS = [math.nan, *SCALE_EDGES], [*SCALE_EDGES, math.nan]  # the outermost bins have no end


def frame(records: Records, design: Design, stats: Stats) -> pd.DataFrame:
    """By context, arm, site and time (`start`, `middle`, `end`): a row a bin, values low <= s < high.

    `count` is pooled over the n finished runs, `share` is in percent of all their values.
    """
    rows = gate_rows(records, design)
    tables = []
    for key, part in rows.groupby(["context", "arm", "site", "sites"], sort=False):
        for when, epoch in _times(part["epoch"]).items():
            there = part[(part["epoch"] == epoch) & part["histogram"].notna()]
            if there.empty:
                continue
            counts = np.sum([list(map(int, text.split())) for text in there["histogram"]], axis=0)
            beside = dict(zip(["context", "arm", "site", "sites"], key, strict=True))
            bins = {"low": LOWS, "high": HIGHS, "count": counts, "share": 100 * counts / max(1, counts.sum())}
            tables.append(pd.DataFrame({**beside, "when": when, "epoch": epoch, "n": len(there), **bins}))
    return pd.concat(tables, ignore_index=True)[COLUMNS] if tables else pd.DataFrame(columns=COLUMNS)


def _times(epochs: pd.Series) -> dict[str, int]:
    """First, middle and last epoch that the gates were read after; fewer where there are fewer."""
    every = sorted(set(map(int, epochs)))
    times = {"start": every[0], "end": every[-1]}
    middle = min(every, key=lambda epoch: (abs(epoch - (every[0] + every[-1]) / 2), epoch))
    if middle not in times.values():
        times = {"start": every[0], "middle": middle, "end": every[-1]}
    return times if times["start"] != times["end"] else {"end": every[-1]}


@styled
def draw(frame: pd.DataFrame, design: Design) -> "Figure":
    def panel(axis: "Axes", rows: pd.DataFrame, large: bool) -> None:
        _histogram(axis, rows)
        axis.set_xlim(-0.1, 2.1)
        axis.set_xticks([0, 0.5, 1, 1.5, 2], ["0", "½", "1", "1½", "2"])
        axis.set_yticks([])
        axis.spines["left"].set_visible(False)
        axis.set_ylim(0, None)

    figure = draw_panels(frame, design, panel, ylabel="share of values", xlabel="scale s")
    _key(figure, frame)
    return figure


def _histogram(axis: "Axes", rows: pd.DataFrame) -> None:
    """The end filled in two colours at s = 1, start and middle as outlines; the outer bins as wide as the others."""
    edges = np.array([SCALE_EDGES[0] - STEP, *SCALE_EDGES, SCALE_EDGES[-1] + STEP])
    for when, style in (("end", None), ("middle", _MIDDLE), ("start", _START)):
        shares = rows.loc[rows["when"] == when, "share"].to_numpy(dtype=float)
        if not len(shares):
            continue
        if style is None:
            below = edges[:-1] < 1 - STEP / 2
            axis.stairs(np.where(below, shares, 0), edges, fill=True, color=BELOW[2], linewidth=0)
            axis.stairs(np.where(below, 0, shares), edges, fill=True, color=ABOVE[2], linewidth=0)
        else:
            axis.stairs(shares, edges, **style)
    axis.axvline(1, color=MUTED, linewidth=0.9, linestyle=(0, (1, 1.5)))


_START: dict[str, Any] = {"color": "#8a8a8a", "linewidth": 1.1}
_MIDDLE: dict[str, Any] = {"color": INK, "linewidth": 1.0, "linestyle": (0, (2.2, 1.4))}


def _key(figure: "Figure", frame: pd.DataFrame) -> None:
    from matplotlib.legend_handler import HandlerTuple
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    epochs = frame.groupby("when")["epoch"].max()
    filled = (Patch(color=BELOW[2], linewidth=0), Patch(color=ABOVE[2], linewidth=0))
    known = {
        "start": (
            Line2D([], [], **_START),
            "before training" if epochs.get("start") == 0 else f"epoch {epochs.get('start')}",
        ),
        "middle": (Line2D([], [], **_MIDDLE), f"after epoch {epochs.get('middle')}"),
        "end": (filled, f"after epoch {epochs.get('end')}: s below and above 1"),
    }
    handles, labels = zip(*(known[when] for when in known if when in epochs), strict=True)
    tuples = {tuple: HandlerTuple(ndivide=None, pad=0)}
    figure.legend(handles, labels, loc="outside upper left", ncols=3, handler_map=tuples, borderaxespad=0.2)


def caption(frame: pd.DataFrame, design: Design) -> str:
    return (
        "How the scale s = 1 + g(z) is distributed by arm and site, in bins of 0.05; all values of all finished runs "
        f"together ({seeds_text(frame['n'])}), each panel to its own height. The outermost bins hold all that lies "
        f"below 0, and 2 and above.{note_panels(frame, design)}"
    )


def alt(frame: pd.DataFrame, design: Design) -> str:
    end = frame[(frame["when"] == "end") & frame["arm"].isin([design.reference, design.headline])]
    said = []
    for (_, arm, site), part in end.groupby(["context", "arm", "site"], sort=False):
        below = part.loc[part["high"] < 1 + STEP / 2, "share"].sum()
        said.append(f"{arm} at {site}: {below:.0f} % of the values below 1")
    return f"Histograms of the scale; at the end of training {'; '.join(said)}."


def applies(frame: pd.DataFrame) -> bool:
    return not frame.empty
