"""How often training diverged, by arm."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from bamgate.reports.figures.drawing import shortened, wrapped
from bamgate.reports.figures.parts import Design, Records, Stats, in_order, left_out, names, number
from bamgate.reports.figures.style import FAINT, SMALL, arm_styles, new_figure, styled
from bamgate.reports.words.figures import failures as words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME = "failures"
COLUMNS = ["context", "arm", "failed", "n", "share", "low", "high"]


def frame(records: Records, design: Design, stats: Stats) -> pd.DataFrame:
    """By context and arm: share of the n ended runs that diverged, and its Wilson 95 % interval, percent.

    Only contexts in which a run diverged.
    """
    rows: list[dict[str, Any]] = []
    for entry in stats.get("failures", []):
        rate = entry["rate"]
        shares = {name: 100 * number(rate.get(name)) for name in ("share", "low", "high")}
        rows.append(
            {"context": entry["context"] or "", "arm": entry["arm"], "failed": rate["failed"], "n": rate["n"], **shares}
        )
    table = pd.DataFrame(rows, columns=COLUMNS)
    some = table.groupby("context")["failed"].transform("sum") > 0
    known = table["context"].isin(list(design.contexts)) & table["arm"].isin(list(design.arms))
    return in_order(table[known & some & (table["n"] > 0)], design)[COLUMNS]


@styled
def draw(frame: pd.DataFrame, design: Design) -> "Figure":
    contexts = names(frame, "context")
    sizes = [int((frame["context"] == context).sum()) + 1 for context in contexts]
    figure = new_figure(0.27 * sum(sizes) + 0.55)
    grid = figure.subplots(len(contexts), 1, sharex=True, squeeze=False, height_ratios=sizes)[:, 0]
    for axis, context in zip(grid, contexts, strict=True):
        _shares(axis, frame[frame["context"] == context], design)
        axis.set_title(wrapped(shortened(context, 80), 80), fontweight="bold")
    grid[-1].set_xlabel(words.AXIS)
    return figure


def _shares(axis: "Axes", rows: pd.DataFrame, design: Design) -> None:
    styles = arm_styles(design)
    axis.set_xlim(-1, 101)
    for y, row in enumerate(rows.itertuples()):
        style = styles[row.arm]
        axis.plot([row.low, row.high], [y, y], color=style.colour, linewidth=3.4, solid_capstyle="butt", alpha=0.45)
        axis.plot([row.share], [y], **{**style.point, "markersize": 8}, clip_on=False, zorder=3)
        share = words.share(row.failed, row.n)
        axis.text(1.02, y, share, transform=axis.get_yaxis_transform(), va="center", fontsize=SMALL)
    axis.set_yticks(range(len(rows)), [shortened(arm, 30) for arm in rows["arm"]])
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.xaxis.grid(True, color=FAINT, linewidth=0.6)


def title(design: Design) -> str:
    return words.TITLE


def caption(frame: pd.DataFrame, design: Design) -> str:
    return words.caption(some_contexts=bool(left_out(design.contexts, frame, "context")))


def alt(frame: pd.DataFrame, design: Design) -> str:
    failed = frame[frame["failed"] > 0]
    return words.alt((row.arm, row.context, row.failed, row.n) for row in failed.itertuples())


def applies(frame: pd.DataFrame) -> bool:
    return bool((frame["failed"] > 0).any())
