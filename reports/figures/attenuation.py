"""Whether the gates use their freedom: shares of values that are attenuated or saturated, over training."""

from typing import TYPE_CHECKING

import pandas as pd

from bamgate.reports.figures.drawing import arm_legend, shortened, wrapped
from bamgate.reports.figures.lines import arm_lines, over_sites
from bamgate.reports.figures.panels import gate_rows, note_panels
from bamgate.reports.figures.parts import Design, Records, Stats, names, t_band, thinned
from bamgate.reports.figures.style import new_figure, styled
from bamgate.reports.words.figures import attenuation as words
from bamgate.reports.words.figures.common import ALL_SITES, EPOCH

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "attenuation"
MEASURES = tuple(words.MEASURES)
COLUMNS = ["context", "site", "sites", "measure", "arm", "epoch", "n", "mean", "low", "high"]


def frame(records: Records, design: Design, stats: Stats) -> pd.DataFrame:
    """By context, site, measure, arm and epoch: mean share of values in percent over n runs, 95 % t interval.

    With several contexts a run's share is the mean over its sites.
    """
    rows = gate_rows(records, design)
    shares = rows.assign(**{name: 100 * rows[name] / rows["values"] for name in MEASURES})
    shares = over_sites(shares, design, list(MEASURES))
    keys = ["context", "site", "sites", "arm", "epoch"]
    tables = [t_band(shares, keys, measure).assign(measure=measure) for measure in MEASURES]
    table = pd.concat(tables, ignore_index=True)
    return table[table["epoch"].isin(thinned(table["epoch"]))].reset_index(drop=True)[COLUMNS]


@styled
def draw(frame: pd.DataFrame, design: Design) -> "Figure":
    places = list(dict.fromkeys(zip(frame["context"], frame["site"], strict=True)))
    figure = new_figure(5.3)
    grid = figure.subplots(len(MEASURES), len(places), sharex=True, sharey="row", squeeze=False)
    for i, measure in enumerate(MEASURES):
        for j, (context, site) in enumerate(places):
            axis = grid[i, j]
            here = (frame["context"] == context) & (frame["site"] == site) & (frame["measure"] == measure)
            arm_lines(axis, _within(frame[here]), design)
            axis.set_ylim(-4, 104)
            axis.set_yticks([0, 50, 100])
            if i == 0:
                axis.set_title(wrapped(shortened(context or site, 60), 76 // len(places)), fontweight="bold")
            if i == len(MEASURES) - 1:
                axis.set_xlabel(EPOCH)
        grid[i, 0].set_ylabel(words.axis(measure))
    arm_legend(figure, [arm for arm in design.arms if arm in names(frame, "arm")], design)
    return figure


def _within(rows: pd.DataFrame) -> pd.DataFrame:
    """Bands drawn no further than a share can go."""
    return rows.assign(low=rows["low"].clip(lower=0), high=rows["high"].clip(upper=100))


def title(design: Design) -> str:
    return words.TITLE


def caption(frame: pd.DataFrame, design: Design) -> str:
    over = ALL_SITES in names(frame, "site")
    text = words.caption(design.reference, design.headline, list(frame["n"]), over_sites=over)
    return text + note_panels(frame, design)


def alt(frame: pd.DataFrame, design: Design) -> str:
    last = frame[(frame["measure"] == "attenuated") & frame["arm"].isin([design.reference, design.headline])]
    last = last.groupby(["context", "site", "arm"], sort=False).tail(1)
    return words.alt((row.arm, row.context or row.site, row.mean) for row in last.itertuples())


def applies(frame: pd.DataFrame) -> bool:
    return not frame.empty
