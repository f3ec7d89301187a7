"""The answer at a glance: each seed from the reference to the headline arm, and the differences with their interval."""

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from bamgate.reports.figures.drawing import padded, rope_band, shortened, wrapped
from bamgate.reports.figures.parts import Design, Records, Stats, finite, measure_of, names, number, places
from bamgate.reports.figures.style import FAINT, INK, MUTED, SMALL, arm_styles, new_figure, styled
from bamgate.reports.words.figures import differences as words
from bamgate.reports.words.figures.common import rope_text
from bamgate.reports.words.measure import Measure
from bamgate.reports.words.numbers import seeds_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME = "differences"
COLUMNS = ["context", "kind", "arm", "seed", "value", "low", "high", "n", "verdict"]
MOST_CONTEXTS = 8
SIZE = 11


def frame(records: Records, design: Design, stats: Stats) -> pd.DataFrame:
    """Rows by kind: `run` (the metric), `diverged` (no value), `difference` and `mean`.

    A mean has the bounds of its 95 % t interval, the pairs n and the verdict's code, if there is one.
    """
    runs = places(records, design)
    rows: list[dict[str, Any]] = []
    for context in list(design.contexts)[:MOST_CONTEXTS]:
        here = runs[(runs["context"] == context) & runs["arm"].isin([design.reference, design.headline])]
        for run in here.itertuples():
            kind, value = ("run", run.value) if run.status == "finished" else ("diverged", None)
            rows.append({"context": context, "kind": kind, "arm": run.arm, "seed": run.seed, "value": value})
        rows += [row for contrast in stats["contrasts"] for row in _of_contrast(contrast, context, design.headline)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _of_contrast(contrast: Stats, context: str, arm: str) -> list[dict[str, Any]]:
    if (contrast["context"] or "", contrast["arm"]) != (context, arm) or contrast["t"].get("mean") is None:
        return []
    beside: dict[str, Any] = {"context": context, "arm": arm}
    pairs = zip(contrast["seeds"], contrast["differences"], strict=True)
    rows = [{**beside, "kind": "difference", "seed": seed, "value": value} for seed, value in pairs]
    t = contrast["t"]
    mean = {"kind": "mean", "value": t["mean"], "low": t.get("low"), "high": t.get("high"), "n": t["n"]}
    return [*rows, {**beside, **mean, "verdict": (contrast.get("verdict") or {}).get("code")}]


@styled
def draw(frame: pd.DataFrame, design: Design) -> "Figure":
    contexts = [name for name in names(frame, "context") if len(_rows(frame, name, "mean"))]
    if len(contexts) == 1:
        return _draw_one(frame, design, contexts[0])
    rows = -(-len(contexts) // 2)
    figure = new_figure(2.5 * rows + 0.3)
    grid = figure.subplots(rows, 4, width_ratios=[1, 1.25] * 2, squeeze=False)
    limits = _limits(frame, design)
    for i, context in enumerate(contexts):
        left, right = grid[i // 2, 2 * (i % 2) : 2 * (i % 2) + 2]
        _slopes(left, frame, design, context)
        _differences(right, frame, design, context, limits)
        _say_numbers(right, frame, context, measure_of(design))
        left.set_title(wrapped(shortened(context, 60), 36), fontweight="bold")
        left.set_ylabel("" if i % 2 else left.get_ylabel())
    for i in range(len(contexts), 2 * rows):
        for axis in grid[i // 2, 2 * (i % 2) : 2 * (i % 2) + 2]:
            axis.remove()
    figure.supxlabel(words.band(design.rope, measure_of(design)), fontsize=8.5, color=MUTED)
    return figure


def _say_numbers(axis: "Axes", frame: pd.DataFrame, context: str, measure: Measure) -> None:
    """Mean and interval, on the side of zero where the mean is not."""
    mean = _mean(frame, context)
    y, align = (0.99, "top") if mean.value <= 0 else (0.02, "bottom")
    axis.text(0.03, y, words.beside(mean, measure), transform=axis.transAxes, va=align, fontsize=SMALL)


def _draw_one(frame: pd.DataFrame, design: Design, context: str) -> "Figure":
    import matplotlib as mpl

    sizes: Any = dict.fromkeys(
        ("font.size", "axes.labelsize", "axes.titlesize", "xtick.labelsize", "ytick.labelsize"), SIZE
    )
    with mpl.rc_context(sizes):
        figure = new_figure(4.2, width=6.4)
        parts: Any = figure.subfigures(2, 1, height_ratios=[0.54, 3.68])
        top, body = parts
        left, right = body.subplots(1, 2, width_ratios=[1, 1.2])
        _slopes(left, frame, design, context, size=SIZE)
        _differences(right, frame, design, context, _limits(frame, design), size=SIZE)
        _say_directions(right, design)
        most = 15 if len(design.headline + design.reference) > 30 else 30
        names_ = shortened(design.headline, most), shortened(design.reference, most)
        first, second = words.heading(*names_, _mean(frame, context), measure_of(design))
        top.text(0.012, 0.94, first, va="top", fontsize=14, fontweight="bold")
        top.text(0.012, 0.04, second, va="bottom", fontsize=SIZE)
    return figure


def _say_directions(axis: "Axes", design: Design) -> None:
    """Right of the differences: what above, within and below the ROPE means."""
    place: dict[str, Any] = {
        "xycoords": axis.get_yaxis_transform(),
        "textcoords": "offset points",
        "fontsize": 10,
        "ha": "left",
    }
    measure = measure_of(design)
    up, down = words.directions(design.headline if len(design.headline) <= 8 else "", measure)
    for rise, align, text, colour in (
        (27, "bottom", up, INK),
        (0, "center", wrapped(rope_text(design.rope, measure), 12), MUTED),
        (-27, "top", down, INK),
    ):
        axis.annotate(text, (1.03, 0), xytext=(0, rise), va=align, color=colour, annotation_clip=False, **place)


def _mean(frame: pd.DataFrame, context: str) -> words.Mean:
    (row,) = _rows(frame, context, "mean").to_dict("records")
    verdict = row["verdict"] if isinstance(row["verdict"], str) else None
    return words.Mean(context, float(row["value"]), finite(row["low"]), finite(row["high"]), int(row["n"]), verdict)


def _rows(frame: pd.DataFrame, context: str, kind: str) -> pd.DataFrame:
    return frame[(frame["context"] == context) & (frame["kind"] == kind)]


def _limits(frame: pd.DataFrame, design: Design) -> tuple[float, float]:
    """Of all difference axes, so that contexts can be compared."""
    shown = frame[frame["kind"].isin(["difference", "mean"])]
    values = [*shown["value"], *shown["low"].astype(float), *shown["high"].astype(float)]
    low, high = padded([*map(float, values), -design.rope, design.rope])
    room = 0.2 * (high - low)  # for words above and below the ROPE
    return min(low, -design.rope - room), max(high, design.rope + room)


def _slopes(axis: "Axes", frame: pd.DataFrame, design: Design, context: str, size: float = 8.5) -> None:
    """The metric by arm, a line a seed; a cross at the foot for a run that diverged."""
    styles = arm_styles(design)
    arms = [design.reference, design.headline]
    runs = _rows(frame, context, "run").pivot(index="seed", columns="arm", values="value").reindex(columns=arms)
    for _, pair in runs.astype(float).dropna().iterrows():
        axis.plot([0, 1], pair, color="#b5b5b5", linewidth=1.3, zorder=1)
    axis.set_xlim(-0.35, 1.35)
    low, high = padded(runs.to_numpy(dtype=float).ravel(), 0.1)
    lost = frame[(frame["kind"] == "diverged") & (frame["context"] == context)]
    axis.set_ylim(low - 0.15 * (high - low) * (len(lost) > 0), high)
    for x, arm in enumerate(arms):
        values = runs[arm].astype(float).dropna()
        axis.plot([x] * len(values), values, markersize=7, zorder=2, **styles[arm].point)
        _mark_lost(axis, x, int((lost["arm"] == arm).sum()), size)
    axis.set_xticks([0, 1], [wrapped(shortened(arm, 24), 11 if size > 10 else 9) for arm in arms])
    for label, arm in zip(axis.get_xticklabels(), arms, strict=True):
        label.set(color=styles[arm].colour, fontweight="bold")
    axis.set_ylabel(words.value_axis(measure_of(design)))


def _mark_lost(axis: "Axes", x: float, lost: int, size: float) -> None:
    """At the foot: how many runs of the arm diverged."""
    if lost:
        foot: dict[str, Any] = {"transform": axis.get_xaxis_transform()}
        axis.plot([x], [0.0], "x", color=INK, markersize=7, clip_on=False, **foot)
        axis.text(x, 0.035, words.diverged(lost), ha="center", va="bottom", fontsize=max(8.0, size - 1), **foot)


def _differences(
    axis: "Axes", frame: pd.DataFrame, design: Design, context: str, limits: tuple[float, float], size: float = 8.5
) -> None:
    """A point a seed, the mean with its interval, the ROPE around zero."""
    style = arm_styles(design)[design.headline]
    rope_band(axis, design.rope, along="y")
    seeds = _rows(frame, context, "difference")["value"].astype(float)
    axis.plot(_columns(seeds), seeds, **{**style.point, "markersize": 6.5, "alpha": 0.55, "markeredgewidth": 0.6})
    (mean,) = _rows(frame, context, "mean").itertuples()
    low, high = number(mean.low), number(mean.high)
    axis.plot([1, 1], [low, high], color=style.colour, linewidth=4, solid_capstyle="butt", zorder=3)
    axis.plot([1], [mean.value], **{**style.point, "markersize": 11, "zorder": 4, "markeredgewidth": 1.2})
    axis.set_xlim(-0.55, 1.45)
    axis.set_ylim(*limits)
    tick = words.mean_tick(len(seeds), known=math.isfinite(low), short=size <= 10)
    axis.set_xticks([0, 1], [seeds_text([len(seeds)]), tick])
    axis.tick_params(axis="x", length=0)
    named = words.named_difference_axis(design.headline, design.reference, measure_of(design))
    axis.set_ylabel(named if len(named) <= 36 and size > 10 else words.difference_axis(measure_of(design)))
    axis.yaxis.grid(True, color=FAINT, linewidth=0.6)


def _columns(values: pd.Series) -> list[float]:
    """x of the points: side by side where they would lie upon each other, always the same way."""
    span = float(values.max() - values.min()) or 1.0
    taken: dict[int, int] = {}
    places = []
    for value in values:
        level = round(value / span * 14)
        k = taken.get(level, 0)
        taken[level] = k + 1
        places.append((k + 1) // 2 * (0.16 if k % 2 else -0.16))
    return [max(-0.45, min(0.45, place)) for place in places]


def title(design: Design) -> str:
    return words.TITLE


def caption(frame: pd.DataFrame, design: Design) -> str:
    means = frame[frame["kind"] == "mean"]
    return words.caption(
        design.headline,
        design.reference,
        list(means["n"]),
        design.rope,
        measure_of(design),
        lost=bool((frame["kind"] == "diverged").any()),
        missing=[context for context in design.contexts if context not in set(means["context"])],
    )


def alt(frame: pd.DataFrame, design: Design) -> str:
    contexts = names(frame[frame["kind"] == "mean"], "context")
    means = [_mean(frame, context) for context in contexts]
    return words.alt(design.headline, design.reference, means, measure_of(design))


def applies(frame: pd.DataFrame) -> bool:
    return bool((frame["kind"] == "mean").any())
