"""Figures in one house style: legible in grey and to the colour-blind, every line labelled where it ends."""

from pathlib import Path
from typing import Any

import pandas as pd

STYLES: list[Any] = ["-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (7, 1.5, 1.5, 1.5)), (0, (3, 1, 1, 1, 1, 1))]

GATE_PANELS = (
    ("scale", "scale s(z) = 1 + g(z)", "What the feature is multiplied by"),
    ("slope", "slope g'(z)", "What the logit can learn from"),
)


def plot_gates(curves: pd.DataFrame, path: Path) -> None:
    """Scale and slope of gates over the logit.

    Args:
        curves: long frame with the columns gate, z, scale (s = 1 + g) and slope (g').
        path: its ending names the format: .png, .svg or .pdf.
    """
    plt, sns = _house_style()
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    gates = list(curves["gate"].unique())
    palette = sns.color_palette("colorblind", len(gates))
    for axis, (column, label, title) in zip(axes, GATE_PANELS, strict=True):
        for i, gate in enumerate(gates):
            curve = curves[curves["gate"] == gate]
            style = STYLES[i % len(STYLES)]
            axis.plot(curve["z"], curve[column], color=palette[i], linestyle=style, linewidth=2.2, label=gate)
        axis.set(xlabel="logit z", ylabel=label, title=title)
        axis.margins(x=0)
    _mark_identity(axes[0])
    sns.despine(figure)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(5, len(gates)), frameon=False, handlelength=4)
    figure.savefig(path, dpi=160, metadata=_metadata(path))
    plt.close(figure)


def _house_style() -> tuple[Any, Any]:
    """pyplot without a screen, and seaborn, both set to the house style."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import seaborn as sns

    sns.set_theme(style="ticks", context="notebook", rc={"svg.hashsalt": "bamgate", "font.family": "DejaVu Sans"})
    return plt, sns


def _mark_identity(axis: Any) -> None:
    """The line s = 1, where the feature passes as it is."""
    axis.axhline(1, color="0.45", linewidth=1, zorder=0)
    place = {"transform": axis.get_yaxis_transform(), "ha": "right", "color": "0.35", "fontsize": 9}
    axis.text(0.99, 1.02, "above 1: amplified", va="bottom", **place)
    axis.text(0.99, 0.98, "below 1: attenuated", va="top", **place)


def _metadata(path: Path) -> dict[str, Any]:
    """No date in a file: the same figure is the same bytes."""
    return {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix, {})
