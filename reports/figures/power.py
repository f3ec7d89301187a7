"""How small a difference so many seeds can see, at the spread that was measured."""

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from bamgate.reports.figures.drawing import PLATE, plain_log_ticks
from bamgate.reports.figures.parts import Design, Records, Stats, measure_of, names
from bamgate.reports.figures.style import BASE, FAINT, MUTED, ROPE, SMALL, arm_styles, new_figure, styled
from bamgate.reports.words.figures import power as words
from bamgate.reports.words.measure import Measure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME = "power"
COLUMNS = ["context", "arm", "kind", "n", "points", "power_at_rope"]
FEWEST, MOST = 3, 5000
MOST_CONTEXTS = 6
LINES: tuple[Any, ...] = ("-", (0, (6, 1.6)), (0, (1.4, 1.3)), (0, (6, 1.5, 1.4, 1.5)), (0, (3, 1.2)), (0, (9, 2.5)))


def frame(records: Records, design: Design, stats: Stats) -> pd.DataFrame:
    """For the headline arm by context: `curve` (n seeds, smallest true difference that a two-sided paired t test at
    0.05 finds with power 0.8), `ours` (the pairs at hand) and `needed` (the seeds that find the ROPE's bound).

    The column `points` is in the metric's unit.
    """
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
    _axes(axis, frame, curves, design)
    place: dict[str, Any] = {
        "transform": axis.transAxes,
        "fontsize": SMALL,
        "color": MUTED,
        "ha": "left",
        "va": "bottom",
    }
    axis.text(0.008, 0.02, words.margin_note(design.rope, measure_of(design)), **place)
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
        _explain(axis, ours, needed, measure_of(design))


def _explain(axis: "Axes", ours: pd.DataFrame, needed: pd.DataFrame, measure: Measure) -> None:
    """Words at the two points, if there is one curve."""
    place: dict[str, Any] = {"textcoords": "offset points", "fontsize": BASE, "zorder": 5, "bbox": PLATE}
    for n, points in zip(ours["n"], ours["points"], strict=True):
        text = words.ours(int(n), points, measure)
        axis.annotate(text, (n, points), xytext=(9, 5), ha="left", va="bottom", fontweight="bold", **place)
    for n, points in zip(needed["n"], needed["points"], strict=True):
        if n in set(ours["n"]):
            continue  # the seeds at hand are said already
        axis.annotate(words.needed(int(n)), (n, points), xytext=(0, 8), ha="center", va="bottom", **place)


def _axes(axis: "Axes", frame: pd.DataFrame, curves: pd.DataFrame, design: Design) -> None:
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlim(min(frame["n"]) * 0.95, max(frame["n"]) * 1.05)
    axis.set_ylim(min([*curves["points"], design.rope * 1.6]) / 1.25, max(frame["points"]) * 1.25)
    plain_log_ticks(axis.xaxis, *axis.get_xlim())
    plain_log_ticks(axis.yaxis, *axis.get_ylim())
    axis.yaxis.grid(True, color=FAINT, linewidth=0.6)
    axis.set_xlabel(words.SEEDS)
    axis.set_ylabel(words.axis(measure_of(design)))


def title(design: Design) -> str:
    return words.TITLE


def caption(frame: pd.DataFrame, design: Design) -> str:
    contexts = names(frame, "context") if any(frame["context"]) else []
    return words.caption(design.headline, design.reference, contexts, ring=bool((frame["kind"] == "needed").any()))


def alt(frame: pd.DataFrame, design: Design) -> str:
    return words.alt((_seen(frame, context) for context in names(frame, "context")), design.rope, measure_of(design))


def _seen(frame: pd.DataFrame, context: str) -> words.Seen:
    here = frame[frame["context"] == context]
    ours, needed = here[here["kind"] == "ours"].iloc[0], here[here["kind"] == "needed"]
    known = int(needed["n"].iloc[0]) if len(needed) else None
    return words.Seen(context, int(ours["n"]), float(ours["points"]), known)


def applies(frame: pd.DataFrame) -> bool:
    return bool((frame["kind"] == "curve").any())
