"""Whether the gates use their freedom: shares of values that are attenuated or saturated, over training."""

from typing import TYPE_CHECKING

import pandas as pd

from bamgate.reports.figures.drawing import arm_legend, shortened, wrapped
from bamgate.reports.figures.lines import ALL_SITES, arm_lines, over_sites
from bamgate.reports.figures.panels import gate_rows, note_panels
from bamgate.reports.figures.parts import Design, Records, Stats, names, one_seed_note, t_band, thinned
from bamgate.reports.figures.style import new_figure, styled
from bamgate.reports.words.numbers import seeds_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "attenuation"
TITLE = "Attenuation and saturation over training"
MEASURES = {
    "attenuated": "attenuated:\ns below 1",
    "relatively_attenuated": "below the\nsite's mean",
    "saturated": "saturated:\nflat gate",
}
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
    for i, (measure, label) in enumerate(MEASURES.items()):
        for j, (context, site) in enumerate(places):
            axis = grid[i, j]
            here = (frame["context"] == context) & (frame["site"] == site) & (frame["measure"] == measure)
            arm_lines(axis, _within(frame[here]), design)
            axis.set_ylim(-4, 104)
            axis.set_yticks([0, 50, 100])
            if i == 0:
                axis.set_title(wrapped(shortened(context or site, 60), 76 // len(places)), fontweight="bold")
            if i == len(MEASURES) - 1:
                axis.set_xlabel("epoch")
        grid[i, 0].set_ylabel(f"{label}, %")
    arm_legend(figure, [arm for arm in design.arms if arm in names(frame, "arm")], design)
    return figure


def _within(rows: pd.DataFrame) -> pd.DataFrame:
    """Bands drawn no further than a share can go."""
    return rows.assign(low=rows["low"].clip(lower=0), high=rows["high"].clip(upper=100))


def caption(frame: pd.DataFrame, design: Design) -> str:
    means = " (each run's mean over its sites)" if ALL_SITES in names(frame, "site") else " by site"
    return (
        f"Share of the gates' values over training{means}: with a scale s below 1; with one below the site's own "
        "mean, which a following layer may tell from attenuation no better; and where the gate is flat, its slope "
        f"below 5 % of its steepest. Means over {seeds_text(frame['n'])}; bands, for {design.reference} and "
        f"{design.headline}: 95 % t interval.{one_seed_note(frame['n'])}{note_panels(frame, design)}"
    )


def alt(frame: pd.DataFrame, design: Design) -> str:
    last = frame[(frame["measure"] == "attenuated") & frame["arm"].isin([design.reference, design.headline])]
    last = last.groupby(["context", "site", "arm"], sort=False).tail(1)
    keys = zip(last["arm"], last["context"], last["site"], last["mean"], strict=True)
    said = [f"{arm} {mean:.0f} % at {context or site}" for arm, context, site, mean in keys]
    return f"Share of values with a scale below 1 at the end of training: {', '.join(said)}."


def applies(frame: pd.DataFrame) -> bool:
    return not frame.empty
