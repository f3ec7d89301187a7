"""The distribution of the scale s by site, before training, halfway and at its end."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bamgate.record.tables import SCALE_EDGES
from bamgate.reports.figures.panels import draw_panels, gate_rows, note_panels
from bamgate.reports.figures.parts import Design, Records, Stats
from bamgate.reports.figures.style import ABOVE, BELOW, INK, MUTED, styled
from bamgate.reports.words.figures import scales as words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME = "scales"
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
        axis.set_xticks(list(words.TICKS), list(words.TICKS.values()))
        axis.set_yticks([])
        axis.spines["left"].set_visible(False)
        axis.set_ylim(0, None)

    figure = draw_panels(frame, design, panel, ylabel=words.SHARE, xlabel=words.SCALE)
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
    known: dict[str, Any] = {"start": Line2D([], [], **_START), "middle": Line2D([], [], **_MIDDLE), "end": filled}
    there = [when for when in known if when in epochs]
    handles, labels = [known[when] for when in there], [words.when(when, int(epochs[when])) for when in there]
    tuples = {tuple: HandlerTuple(ndivide=None, pad=0)}
    figure.legend(handles, labels, loc="outside upper left", ncols=3, handler_map=tuples, borderaxespad=0.2)


def title(design: Design) -> str:
    return words.TITLE


def caption(frame: pd.DataFrame, design: Design) -> str:
    return words.caption(list(frame["n"])) + note_panels(frame, design)


def alt(frame: pd.DataFrame, design: Design) -> str:
    end = frame[(frame["when"] == "end") & frame["arm"].isin([design.reference, design.headline])]
    parts = end.groupby(["context", "arm", "site"], sort=False)
    return words.alt(
        (arm, site, part.loc[part["high"] < 1 + STEP / 2, "share"].sum()) for (_, arm, site), part in parts
    )


def applies(frame: pd.DataFrame) -> bool:
    return not frame.empty
