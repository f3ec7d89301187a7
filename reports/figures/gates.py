"""The gates themselves: by what a feature is multiplied, and how steep that is, over the logit."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from bamgate.config import WITHOUT_GATE
from bamgate.config.gate_names import is_code
from bamgate.record.metric import ACCURACY
from bamgate.reports.figures.drawing import legend_handle, shortened
from bamgate.reports.figures.parts import Design, Records, Stats, names
from bamgate.reports.figures.style import FAINT, MUTED, SMALL, ArmStyle, arm_styles, new_figure, save_as, styled
from bamgate.reports.gate_curves import gate_curves
from bamgate.reports.words.figures import gates as words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME = "gates"
COLUMNS = ["arm", "gate", "z", "scale", "slope"]
LONGEST = 40  # characters of a name in the legend


def frame(records: Records, design: Design, stats: Stats) -> pd.DataFrame:
    """Scale and slope of each gate of the design over the logit, under the first arm that has it.

    As the runs have stored them, whatever gates they are; from older runs, which stored none, those that are built in.
    """
    runs = records.runs[~records.runs["attention"].isin(WITHOUT_GATE)]
    gate_of = dict(zip(runs["arm"], runs["gate"], strict=True))
    first = {gate_of[arm]: arm for arm in reversed(design.arms) if arm in gate_of}
    stored = dict(tuple(records.curves.groupby("gate", sort=False)))
    wanted = dict.fromkeys(gate_of[arm] for arm in design.arms if arm in gate_of)
    parts = [stored[gate] if gate in stored else gate_curves([gate]) for gate in wanted]
    curves = pd.concat([part for part in parts if len(part)] or [gate_curves([])], ignore_index=True)
    return curves.assign(arm=curves["gate"].map(first))[COLUMNS]


@styled
def draw(frame: pd.DataFrame, design: Design) -> "Figure":
    styles = arm_styles(design)
    return _draw(frame, {gate: styles[arm] for arm, gate in zip(frame["arm"], frame["gate"], strict=True)})


def plot_gates(curves: pd.DataFrame, path: Path) -> None:
    """Scale and slope of gates over the logit.

    Args:
        curves: long frame with the columns gate, z, scale (s = 1 + g) and slope (g').
        path: its ending names the format: .png, .svg or .pdf.
    """
    gates = names(curves, "gate")
    styles = arm_styles(_Names(gates))
    save_as(styled(_draw)(curves, styles), path)


class _Names:
    """Gates as the arms of a design, the first of them the reference."""

    rope, contexts, seeds = 1.0, ("",), ()

    def __init__(self, gates: list[str]) -> None:
        self.metric = ACCURACY
        self.settings: dict[str, Any] = {}
        self.arm_settings: dict[str, dict[str, Any]] = {}
        self.arms, self.reference, self.headline = gates, gates[0], gates[-1]


def _draw(curves: pd.DataFrame, styles: dict[str, ArmStyle]) -> "Figure":
    from matplotlib.lines import Line2D

    gates = names(curves, "gate")
    columns = 4 if max(map(len, gates)) <= 20 else 2
    figure = new_figure(3.1 + 0.22 * -(-len(gates) // columns))
    for axis, (column, (label, heading)) in zip(figure.subplots(1, 2), words.PANELS.items(), strict=True):
        for gate in reversed(gates):
            curve = curves[curves["gate"] == gate]
            mark: dict[str, Any] = {
                "marker": styles[gate].marker,
                "markersize": 4.5,
                "markeredgecolor": "white",
                "markeredgewidth": 0.4,
            }
            axis.plot(
                curve["z"],
                curve[column],
                **styles[gate].line,
                **mark,
                markevery=_marks(len(curve), gates.index(gate)),
                linewidth=1.8,
            )
        axis.set(xlabel=words.LOGIT, ylabel=label)
        axis.set_title(heading, fontweight="bold")
        axis.grid(True, color=FAINT, linewidth=0.6)
        axis.margins(x=0)
        if column == "scale":
            _mark_identity(axis)
    handles = [legend_handle(Line2D, styles[gate], shortened(gate, LONGEST), lines=True) for gate in gates]
    figure.legend(handles=handles, loc="outside lower left", ncols=min(columns, len(gates)), handlelength=3.4)
    return figure


def _marks(points: int, place: int) -> list[int]:
    """Three markers a curve, not at the same logits as its neighbours'."""
    return [round(points * (share + 0.033 * (place % 8 - 3.5))) for share in (0.17, 0.5, 0.83)]


def _mark_identity(axis: "Axes") -> None:
    """The line s = 1, where the feature passes as it is."""
    axis.axhline(1, color=MUTED, linewidth=1, zorder=1)
    place: dict[str, Any] = {"transform": axis.get_yaxis_transform(), "ha": "right", "color": MUTED, "fontsize": SMALL}
    axis.text(0.99, 1.02, words.AMPLIFIED, va="bottom", **place)
    axis.text(0.99, 0.98, words.ATTENUATED, va="top", **place)


def title(design: Design) -> str:
    return words.TITLE


def caption(frame: pd.DataFrame, design: Design) -> str:
    drawn = names(frame, "gate")
    there = dict.fromkeys(zip(frame["arm"], frame["gate"], strict=True))
    lacking = [arm for arm in design.arms if (gate := _gate_of(design, arm)) and gate not in drawn]
    learns = any(gate == "learned-depth" or is_code(gate) for gate in drawn)
    return words.caption([(arm, gate) for arm, gate in there if arm != gate], lacking, learns=learns)


def _gate_of(design: Design, arm: str) -> str:
    """The gate that an arm declares, its name if it declares nothing; empty without attention."""
    settings = {**design.settings, **design.arm_settings.get(arm, {})}
    return "" if settings.get("attention") in WITHOUT_GATE else str(settings.get("gate", arm))


def alt(frame: pd.DataFrame, design: Design) -> str:
    curves = frame.groupby("gate", sort=False)
    return words.alt(
        words.Reach(str(gate), curve["scale"].min(), curve["scale"].max(), curve["slope"].max())
        for gate, curve in curves
    )


def applies(frame: pd.DataFrame) -> bool:
    return len(names(frame, "gate")) > 1
