"""Figures with a panel for each arm and site: reference and headline large side by side, the other arms small below.

Sites go down the page as they go down the network.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pandas as pd

from bamgate.reports.figures.drawing import shortened, wrapped
from bamgate.reports.figures.parts import Design, Records, left_out, main_arms, names, of_cells
from bamgate.reports.figures.style import BASE, SMALL, arm_styles, new_figure
from bamgate.reports.words.figures.common import NO_GATE, not_shown, sites_note

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_SITES, MOST_CONTEXTS, MOST_ARMS = 4, 3, 8
Panel = Callable[["Axes", pd.DataFrame, bool], None]  # axis, rows of one arm and site, whether it is a large one


def gate_rows(records: Records, design: Design) -> pd.DataFrame:
    """Rows of the gates with context, arm and seed that there is room for, sites in the network's order.

    At most MOST_SITES sites (evenly, first and last among them; `sites` says how many there are), MOST_CONTEXTS
    contexts, MOST_ARMS arms; with several contexts the reference and the headline arm only.
    """
    rows = of_cells(records.gates, records, design)
    contexts = list(design.contexts)[:MOST_CONTEXTS]
    arms = main_arms(design, MOST_ARMS if len(design.contexts) == 1 else 2)
    rows = rows[rows["context"].isin(contexts) & rows["arm"].isin(arms)]
    parts = []
    for context in contexts:
        here = rows[rows["context"] == context]
        every = sorted(here["site"].unique(), key=natural)
        for arm in arms:
            for site in evenly(every, MOST_SITES if len(contexts) == 1 else 3):
                part = here[(here["arm"] == arm) & (here["site"] == site)].sort_values(["epoch", "seed"], kind="stable")
                parts.append(part.assign(sites=len(every)))
    return pd.concat(parts, ignore_index=True) if parts else rows.assign(sites=0)


def natural(site: str) -> list[tuple[int, int | str]]:
    """Sorts layer2 before layer10."""
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", site) if part]


def evenly(sites: list[str], most: int) -> list[str]:
    """At most so many of them, the first and the last among them."""
    if len(sites) <= most:
        return sites
    return [sites[round(i * (len(sites) - 1) / (most - 1))] for i in range(most)]


def draw_panels(frame: pd.DataFrame, design: Design, panel: Panel, *, ylabel: str, xlabel: str) -> "Figure":
    """The large panels, and the small ones where the frame has further arms."""
    arms = names(frame, "arm")
    large = [arm for arm in (design.reference, design.headline) if arm in arms] or arms[:2]
    small = [arm for arm in arms if arm not in large]
    places = list(dict.fromkeys(zip(frame["context"], frame["site"], strict=True)))
    heights = [1.55 * len(places) + 0.5] + [1.02 * len(places) + 0.5] * bool(small)
    figure = new_figure(sum(heights) + 0.35)
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False).ravel()
    _grid(parts[0], frame, design, large, places, panel, (xlabel, ylabel), True)
    if small:
        _grid(parts[1], frame, design, small, places, panel, (xlabel, ylabel), False)
    return figure


def _grid(
    figure: "Figure", frame: pd.DataFrame, design: Design, arms: list[str], places: list[tuple[str, str]],
    panel: Panel, labels: tuple[str, str], large: bool,
) -> None:  # fmt: skip
    styles = arm_styles(design)
    grid = figure.subplots(len(places), len(arms), sharex=True, squeeze=False)
    for i, (context, site) in enumerate(places):
        for j, arm in enumerate(arms):
            axis = grid[i, j]
            rows = frame[(frame["context"] == context) & (frame["site"] == site) & (frame["arm"] == arm)]
            if i == 0:
                width = 40 if large else max(15, 72 // len(arms))
                axis.set_title(wrapped(shortened(arm, 40), width), color=styles[arm].colour, fontweight="bold")
            if rows.empty:
                axis.axis("off")
                continue
            panel(axis, rows, large)
            axis.set_xlabel(labels[0] if i == len(places) - 1 else "")
            if j:
                axis.tick_params(labelleft=False)
        name = wrapped(shortened(site, 24), 20 if large else 12)
        name += f"\n{wrapped(shortened(context, 44), 22)}" if context else ""
        grid[i, 0].set_ylabel(f"{name}\n{labels[1]}" if large else name, fontsize=BASE if large else SMALL)


def note_panels(frame: pd.DataFrame, design: Design) -> str:
    """Which sites, contexts and arms are not in the picture."""
    sites = frame.groupby("context", sort=False)["site"].nunique(), frame.groupby("context", sort=False)["sites"].max()
    shown, there = (int(numbers.max()) if len(numbers) else 0 for numbers in sites)
    missing = [*left_out(design.contexts, frame, "context"), *left_out(design.arms, frame, "arm")]
    return sites_note(shown, there) + not_shown(missing, NO_GATE)
