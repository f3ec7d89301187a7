"""How small a difference so many seeds can see, at the spread that was measured."""

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from bamgate.reports.figures.drawing import PLATE, plain_log_ticks
from bamgate.reports.figures.parts import Design, Records, Stats, context_clause, names
from bamgate.reports.figures.style import BASE, FAINT, MUTED, ROPE, SMALL, arm_styles, new_figure, styled
from bamgate.reports.words.numbers import amount, listed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME = "power"
TITLE = "What so many seeds can see"
COLUMNS = ["context", "arm", "kind", "n", "points", "power_at_rope"]
FEWEST, MOST = 3, 5000
MOST_CONTEXTS = 6
LINES: tuple[Any, ...] = ("-", (0, (6, 1.6)), (0, (1.4, 1.3)), (0, (6, 1.5, 1.4, 1.5)), (0, (3, 1.2)), (0, (9, 2.5)))


def frame(records: Records, design: Design, stats: Stats) -> pd.DataFrame:
    """For the headline arm by context: `curve` (n seeds, smallest true difference in points found with power 0.8,
    two-sided paired t at 0.05), `ours` (the pairs at hand) and `needed` (the seeds that find the ROPE's bound)."""
    rows: list[dict[str, Any]] = []
    for contrast in stats["contrasts"]:
        if contrast["arm"] == design.headline and (contrast["context"] or "") in list(design.contexts)[:MOST_CONTEXTS]:
            rows += _of_contrast(contrast, design)
    return pd.DataFrame(rows, columns=COLUMNS)


def _of_contrast(contrast: Stats, design: Design) -> list[dict[str, Any]]:
    from bamgate.stats import power_curve

    plan, sd = contrast["planning"], contrast["t"].get("sd")
    if plan.get("mde_points") is None or not sd:
        return []
    beside: dict[str, Any] = {"context": contrast["context"] or "", "arm": contrast["arm"]}
    needed = plan.get("seeds_needed")
    last = max(12, math.ceil(1.4 * plan["n"]), math.ceil(1.25 * needed) if needed and needed <= MOST else 0)
    ns = sorted({*range(FEWEST, 13), *(round(FEWEST * (last / FEWEST) ** (i / 40)) for i in range(41)), plan["n"]})
    curve = power_curve(sd, design.rope, [n for n in ns if n >= min(FEWEST, plan["n"])])
    rows = [{**beside, "kind": "curve", "n": n, "points": mde, "power_at_rope": at} for n, mde, at in curve]
    ours = {"kind": "ours", "n": plan["n"], "points": plan["mde_points"], "power_at_rope": plan.get("power_at_rope")}
    rows.append({**beside, **ours})
    if needed:
        rows.append({**beside, "kind": "needed", "n": needed, "points": design.rope})
    return rows


@styled
def draw(frame: pd.DataFrame, design: Design) -> "Figure":
    figure = new_figure(3.3)
    axis = figure.subplots()
    curves = frame[frame["kind"] == "curve"]
    axis.axhspan(design.rope / 1000, design.rope, color=ROPE, linewidth=0, zorder=0)
    axis.axhline(design.rope, color=MUTED, linewidth=0.9)
    contexts = names(frame, "context")
    for i, context in enumerate(contexts):
        _curve(axis, frame[frame["context"] == context], design, i)
    _axes(axis, frame, curves, design.rope)
    place: dict[str, Any] = {
        "transform": axis.transAxes,
        "fontsize": SMALL,
        "color": MUTED,
        "ha": "left",
        "va": "bottom",
    }
    axis.text(0.008, 0.02, f"below {amount(design.rope)}: too small to matter", **place)
    if len(contexts) > 1:
        handles = [line for line in axis.get_lines() if line.get_label() in contexts]
        figure.legend(handles=handles, loc="outside lower left", ncols=2, handlelength=4)
    return figure


def _curve(axis: "Axes", here: pd.DataFrame, design: Design, i: int) -> None:
    """The curve, our n on it as a large point, and where the curve comes down to the ROPE as a ring."""
    curve, ours, needed = (here[here["kind"] == kind] for kind in ("curve", "ours", "needed"))
    colour = arm_styles(design)[design.headline].colour
    look: dict[str, Any] = {"linestyle": LINES[i % len(LINES)], "linewidth": 2, "label": here["context"].iloc[0]}
    axis.plot(curve["n"], curve["points"], color=colour, **look)
    ring: dict[str, Any] = {"marker": "o", "color": colour, "linestyle": "none", "zorder": 4}
    axis.plot(needed["n"], needed["points"], **ring, markersize=8, markerfacecolor="white", markeredgewidth=1.6)
    axis.plot(ours["n"], ours["points"], **ring, markersize=9, markeredgecolor="white", clip_on=False)
    if len(curve) and here["context"].iloc[0] == "":
        _explain(axis, ours, needed)


def _explain(axis: "Axes", ours: pd.DataFrame, needed: pd.DataFrame) -> None:
    """Words at the two points, where there is one curve."""
    place: dict[str, Any] = {"textcoords": "offset points", "fontsize": BASE, "zorder": 5, "bbox": PLATE}
    for n, points in zip(ours["n"], ours["points"], strict=True):
        text = f"our {int(n)} seeds see {points:.2g} points or more"
        axis.annotate(text, (n, points), xytext=(9, 5), ha="left", va="bottom", fontweight="bold", **place)
    for n, points in zip(needed["n"], needed["points"], strict=True):
        axis.annotate(f"{int(n)} seeds", (n, points), xytext=(0, 8), ha="center", va="bottom", **place)


def _axes(axis: "Axes", frame: pd.DataFrame, curves: pd.DataFrame, bottom: float) -> None:
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlim(min(frame["n"]) * 0.95, max(frame["n"]) * 1.05)
    axis.set_ylim(min([*curves["points"], bottom * 1.6]) / 1.25, max(frame["points"]) * 1.25)
    plain_log_ticks(axis.xaxis, *axis.get_xlim())
    plain_log_ticks(axis.yaxis, *axis.get_ylim())
    axis.yaxis.grid(True, color=FAINT, linewidth=0.6)
    axis.set_xlabel("seeds")
    axis.set_ylabel("smallest difference seen\nwith power 0.8, points")


def caption(frame: pd.DataFrame, design: Design) -> str:
    needed = frame[frame["kind"] == "needed"]
    text = (
        f"The smallest true difference between {design.headline} and {design.reference} that so many seeds find in "
        "four of five studies (two-sided paired t test at 0.05), at the spread of the differences that was measured. "
        "Full point: the seeds at hand; grey: too small to matter."
    )
    if len(needed):
        text += " Ring: the seeds that find a difference of the band's size."
    if any(frame["context"]):
        shown = names(frame, "context")
        text += f" Contexts: {listed(shown)}."
    return text


def alt(frame: pd.DataFrame, design: Design) -> str:
    said = []
    for context in names(frame, "context"):
        here = frame[frame["context"] == context]
        ours, needed = here[here["kind"] == "ours"], here[here["kind"] == "needed"]
        text = f"{int(ours['n'].iloc[0])} seeds see {ours['points'].iloc[0]:.2f} points{context_clause(context)}"
        more = f"; {amount(design.rope)} need {int(needed['n'].iloc[0])}" if len(needed) else ""
        said.append(text + more)
    return f"Smallest difference that is found with power 0.8: {', '.join(said)}."


def applies(frame: pd.DataFrame) -> bool:
    return bool((frame["kind"] == "curve").any())
