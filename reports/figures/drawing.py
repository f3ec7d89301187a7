"""Pieces that several figures draw: the ROPE, points with intervals, labels at line ends, legends of arms."""

import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bamgate.reports.figures.parts import Design
from bamgate.reports.figures.style import INK, ROPE, SMALL, ArmStyle, arm_styles
from bamgate.reports.words.figures.common import EPOCH, reference_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Under a text on lines and bands. A rim around the letters would turn the text of an SVG into shapes.
PLATE: dict[str, Any] = {"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1.2}


def rope_band(axis: "Axes", rope: float, *, along: str) -> None:
    """The band of differences too small to matter, and the line of no difference, across the axis `along`."""
    span, line = (axis.axhspan, axis.axhline) if along == "y" else (axis.axvspan, axis.axvline)
    span(-rope, rope, color=ROPE, linewidth=0, zorder=0)
    line(0, color=INK, linewidth=1.1, zorder=1)


def clipped_interval(axis: "Axes", low: float, high: float, y: float, **line: Any) -> None:
    """A horizontal bar from low to high; an arrow head where it goes on outside of the picture."""
    left, right = axis.get_xlim()
    if not (math.isfinite(low) and math.isfinite(high)):
        return
    axis.plot([max(low, left), min(high, right)], [y, y], solid_capstyle="butt", **line)
    head: dict[str, Any] = {
        "color": line.get("color"),
        "zorder": line.get("zorder", 2),
        "clip_on": False,
        "markersize": 5,
    }
    if low < left:
        axis.plot([left], [y], marker="<", **head)
    if high > right:
        axis.plot([right], [y], marker=">", **head)


def end_labels(
    axis: "Axes", ends: Sequence[tuple[float, float, str, str]], *, gap: float = 4, size: float = SMALL
) -> None:
    """Texts right of the points (x, y, text, colour), moved apart where they would overlap.

    The axis must have its limits and, in the figure's layout, its place.
    """
    if not ends:
        return
    figure: Any = axis.get_figure()
    figure.draw_without_rendering()
    to_points = 72 / figure.dpi
    ordered = sorted(ends, key=lambda end: end[1])
    heights = [axis.transData.transform((x, y))[1] * to_points for x, y, _, _ in ordered]
    apart = spread(heights, size * 1.25)
    for (x, y, text, colour), height, place in zip(ordered, heights, apart, strict=True):
        axis.annotate(
            text, (x, y), xytext=(gap, place - height), textcoords="offset points", color=colour, fontsize=size,
            va="center", ha="left", annotation_clip=False,
        )  # fmt: skip


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """The same sorted heights, at least `gap` apart, each group of neighbours around its own middle."""
    groups: list[tuple[float, int]] = []  # middle, members
    for height in heights:
        groups.append((height, 1))
        while len(groups) > 1 and groups[-1][0] - groups[-2][0] < gap * (groups[-1][1] + groups[-2][1]) / 2:
            (second, m), (first, n) = groups.pop(), groups.pop()
            groups.append(((first * n + second * m) / (n + m), n + m))
    return [middle + gap * (i - (n - 1) / 2) for middle, n in groups for i in range(n)]


def arm_legend(
    figure: "Figure", arms: Iterable[str], design: Design, *, lines: bool = True, columns: int = 4,
    place: str = "outside lower left",
) -> None:  # fmt: skip
    """Outside of all panels: how each arm is drawn."""
    from matplotlib.lines import Line2D

    styles = arm_styles(design)
    labels = {arm: shortened(_named(arm, design), 50) for arm in arms}
    handles = [legend_handle(Line2D, styles[arm], label, lines=lines) for arm, label in labels.items()]
    room = max(1, int(72 * figure.get_figwidth() / (5.5 * max(map(len, labels.values())) + (48 if lines else 30))))
    shape: dict[str, Any] = {"ncols": min(columns, room, len(handles)), "handlelength": 3.4 if lines else 1.2}
    shape |= {"loc": place, "columnspacing": 1.6, "borderaxespad": 0.2}
    figure.legend(handles=handles, **shape)


def legend_handle(make: Any, style: ArmStyle, label: str, *, lines: bool) -> Any:
    point = {**style.point, "label": label, "markersize": 6}
    return make([], [], **{**point, **style.line}) if lines else make([], [], **point)


def _named(arm: str, design: Design) -> str:
    return reference_label(arm) if arm == design.reference else arm


def wrapped(text: str, width: int) -> str:
    """Lines of about `width` characters, broken between words."""
    return "\n".join(textwrap.wrap(text, width, break_on_hyphens=True)) or text


def shortened(text: str, most: int) -> str:
    """The text, or its start and its end where it is longer."""
    return text if len(text) <= most else f"{text[: most - 8]}…{text[-7:]}"


def padded(values: Iterable[float], share: float = 0.08) -> tuple[float, float]:
    """Limits that hold all finite values, with room at both ends."""
    finite = [value for value in values if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    room = (high - low) * share or 1.0
    return low - room, high + room


def epoch_axis(axis: "Axes", epochs: Iterable[float], *, label: bool = True) -> None:
    """Whole epochs as ticks, from the first to the last."""
    from matplotlib.ticker import MaxNLocator

    every = list(epochs)
    low, high = min(every), max(every)
    room = 0.02 * (high - low) or 0.5
    axis.set_xlim(low - room, high + room)
    axis.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    if label:
        axis.set_xlabel(EPOCH)


def plain_log_ticks(axis: Any, low: float, high: float) -> None:
    """0.1, 0.2 and 0.5 on a logarithmic axis rather than powers of ten; fewer of them where it is long."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    steps = (1,) if high / low > 2000 else (1, 3) if high / low > 200 else (1, 2, 5)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [step * 10.0**decade for decade in decades for step in steps]
    axis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def with_crossings(x: Any, low: Any, high: Any, level: float) -> tuple[Any, Any, Any]:
    """The three arrays with the points added at which one of the two lines crosses `level`."""
    x, low, high = (np.asarray(values, dtype=float) for values in (x, low, high))
    extra = []
    for y in (low, high):
        above = y > level
        for i in np.flatnonzero(above[1:] != above[:-1]):
            extra.append(x[i] + (level - y[i]) / (y[i + 1] - y[i]) * (x[i + 1] - x[i]))
    grid = np.unique(np.concatenate([x, np.asarray(extra, dtype=float)]))
    return grid, np.interp(grid, x, low), np.interp(grid, x, high)
