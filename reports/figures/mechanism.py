"""Whether runs that attenuate more do better: a point a run. A hint at the mechanism, no proof."""

from typing import TYPE_CHECKING

import pandas as pd

from bamgate.reports.figures.drawing import arm_legend, padded, rope_band, shortened, wrapped
from bamgate.reports.figures.parts import (
    Design,
    Records,
    Stats,
    in_order,
    left_out,
    measure_of,
    names,
    of_cells,
    places,
)
from bamgate.reports.figures.style import BASE, FAINT, arm_styles, new_figure, styled
from bamgate.reports.words.figures import mechanism as words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "mechanism"
COLUMNS = ["context", "arm", "seed", "attenuated", "difference"]
MOST_CONTEXTS = 6
ASIDE = 0.018


def frame(records: Records, design: Design, stats: Stats) -> pd.DataFrame:
    """A row a run of an arm other than the reference, where both runs of the seed finished.

    `attenuated`: share of values with s < 1 after the last epoch, percent, mean over the run's sites; `difference`:
    the metric minus the reference's with the same seed.
    """
    gates = of_cells(records.gates, records, design)
    gates = gates[gates["epoch"] == gates.groupby("cell")["epoch"].transform("max")]
    share = gates.assign(attenuated=100 * gates["attenuated"] / gates["values"])
    keys = ["context", "arm", "seed"]
    share = share.groupby(keys, sort=False)["attenuated"].mean().reset_index()
    runs = places(records, design)
    runs = runs[(runs["status"] == "finished") & runs["context"].isin(list(design.contexts)[:MOST_CONTEXTS])]
    base = runs.loc[runs["arm"] == design.reference, ["context", "seed", "value"]]
    both = runs.merge(base, on=["context", "seed"], suffixes=("", "_reference")).merge(share, on=keys)
    both = both.assign(difference=both["value"] - both["value_reference"])
    both = both[both["arm"] != design.reference].dropna(subset=["attenuated", "difference"])
    return in_order(both, design, ["seed"])[COLUMNS]


@styled
def draw(frame: pd.DataFrame, design: Design) -> "Figure":
    contexts, styles = names(frame, "context"), arm_styles(design)
    right, never = max(10.0, frame["attenuated"].max()), _never(frame)
    columns = min(3, len(contexts))
    rows = -(-len(contexts) // columns)
    figure = new_figure((3.4 if rows == 1 else 2.4 * rows) + 0.4)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axis in grid[len(contexts) :]:
        axis.remove()
    for axis, context in zip(grid, contexts, strict=False):
        rope_band(axis, design.rope, along="y")
        for arm in names(frame, "arm"):
            aside = columns * ASIDE * right * never.index(arm) if arm in never else 0.0
            runs = frame[(frame["context"] == context) & (frame["arm"] == arm)]
            size = 8 if arm == design.headline else 6.5
            axis.plot(
                runs["attenuated"] + aside,
                runs["difference"],
                **{**styles[arm].point, "markersize": size, "markeredgewidth": 0.7},
            )
        axis.grid(True, color=FAINT, linewidth=0.6)
        axis.set_title(wrapped(shortened(context, 60), 76 // columns), fontweight="bold")
        axis.tick_params(labelbottom=True)
    grid[0].set_xlim(-0.04 * right, 1.04 * right)
    grid[0].set_ylim(*padded([*frame["difference"], -design.rope, design.rope]))
    measure = measure_of(design)
    figure.supxlabel(words.share_axis(design.rope, measure), fontsize=BASE)
    figure.supylabel(words.difference_axis(shortened(design.reference, 24), measure), fontsize=BASE)
    arm_legend(figure, names(frame, "arm"), design, lines=False, columns=6, place="outside upper left")
    return figure


def _never(frame: pd.DataFrame) -> list[str]:
    """The arms that attenuated nothing in any run; at the one value 0 their points would hide one another."""
    most = frame.groupby("arm", sort=False)["attenuated"].max()
    return [arm for arm in names(frame, "arm") if most[arm] == 0]


def title(design: Design) -> str:
    return words.title(measure_of(design))


def caption(frame: pd.DataFrame, design: Design) -> str:
    others = [arm for arm in design.arms if arm != design.reference]
    missing = [*left_out(design.contexts, frame, "context"), *left_out(others, frame, "arm")]
    return words.caption(
        design.reference,
        len(frame),
        design.rope,
        measure_of(design),
        side_by_side=len(_never(frame)) > 1,
        missing=missing,
    )


def alt(frame: pd.DataFrame, design: Design) -> str:
    means = frame.groupby(["context", "arm"], sort=False)[["attenuated", "difference"]].mean().reset_index()
    shown = [row for row in means.itertuples() if row.arm == design.headline or len(means) <= 8]
    rows = [(row.arm, row.context, row.attenuated, row.difference) for row in shown]
    return words.alt(design.reference, rows, measure_of(design))


def applies(frame: pd.DataFrame) -> bool:
    return not frame.empty
