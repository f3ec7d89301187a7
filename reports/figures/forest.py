"""All comparisons in one list: every arm, or every context, against the reference, and what they come to together."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from bamgate.reports.figures.drawing import clipped_interval, padded, rope_band, shortened, wrapped
from bamgate.reports.figures.parts import Design, Records, Stats, finite, measure_of, number
from bamgate.reports.figures.style import MUTED, SMALL, arm_styles, new_figure, styled
from bamgate.reports.words.figures import forest as words
from bamgate.reports.words.measure import Measure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME = "forest"
COLUMNS = ["row", "group", "kind", "context", "arm", "seed", "mean", "low", "high", "n", "holm_p"]
COLUMNS_AT = (0.14, 0.56, 0.76, 1.0)  # right ends of the numbers, as shares of their part of the figure


def frame(records: Records, design: Design, stats: Stats) -> pd.DataFrame:
    """Rows by kind, `row` numbering the lines from the top.

    `contrast`: mean difference, 95 % t interval, n pairs, Holm's p; `seed`: one difference (in `mean`).
    With several contexts also, over these: `these` (the mean over the contexts at hand), `new` (the mean over
    contexts like them, n contexts) and `prediction` (where the difference in one more context is expected).
    """
    one = len(design.contexts) == 1
    rows: list[dict[str, Any]] = []
    line = 0
    for contrast in _contrasts(design, stats, one=one):
        rows += _of_contrast(contrast, line, "arms" if one else "contexts")
        line += 1
    for across in _across(design, stats):
        rows += _of_across(across, line, design)
        line += 1
    return pd.DataFrame(rows, columns=COLUMNS)


def _contrasts(design: Design, stats: Stats, *, one: bool) -> list[Stats]:
    """Those that have a mean: all arms in the one context, or the headline arm in each."""
    found = {(c["context"] or "", c["arm"]): c for c in stats["contrasts"] if c["t"].get("mean") is not None}
    keys = [(context, arm) for context in design.contexts for arm in design.arms if one or arm == design.headline]
    return [found[key] for key in keys if key in found]


def _across(design: Design, stats: Stats) -> list[Stats]:
    found = {a["arm"]: a for a in stats.get("across", []) if a["across"]["cells"].get("mean") is not None}
    return [found[arm] for arm in sorted(design.arms, key=lambda arm: arm != design.headline) if arm in found]


def _of_contrast(contrast: Stats, line: int, group: str) -> list[dict[str, Any]]:
    beside: dict[str, Any] = {"row": line, "group": group, "context": contrast["context"] or "", "arm": contrast["arm"]}
    t = contrast["t"]
    mean = {
        "mean": t["mean"],
        "low": t.get("low"),
        "high": t.get("high"),
        "n": t["n"],
        "holm_p": contrast.get("holm_p"),
    }
    pairs = zip(contrast["seeds"], contrast["differences"], strict=True)
    seeds = [{**beside, "kind": "seed", "seed": seed, "mean": value} for seed, value in pairs]
    return [{**beside, "kind": "contrast", **mean}, *seeds]


def _of_across(across: Stats, line: int, design: Design) -> list[dict[str, Any]]:
    beside: dict[str, Any] = {"row": line, "group": "across", "context": "", "arm": across["arm"]}
    cells, meta = across["across"]["cells"], across["across"].get("meta") or {}
    both: dict[str, Any] = {**beside, "mean": cells["mean"], "n": cells["k"]}
    rows = [
        {**both, "kind": "these", "low": cells.get("these_low"), "high": cells.get("these_high")},
        {**both, "kind": "new", "low": cells.get("low"), "high": cells.get("high"), "holm_p": across.get("holm_p")},
    ]
    if across["arm"] == design.headline and meta.get("prediction_low") is not None:
        ends: dict[str, Any] = {
            "low": meta["prediction_low"],
            "high": meta["prediction_high"],
            "mean": meta.get("mean"),
        }
        rows.append({**both, **ends, "kind": "prediction"})
    return rows


@styled
def draw(frame: pd.DataFrame, design: Design) -> "Figure":
    lines = _lines(frame)
    figure = new_figure(0.36 * (lines[-1][0] + 1) + 1.05)
    axis, beside = figure.subplots(1, 2, sharey=True, width_ratios=[1.25, 1])
    beside.axis("off")
    axis.set_xlim(*_limits(frame, design))
    axis.set_ylim(lines[-1][0] + 0.7, -1.15)
    rope_band(axis, design.rope, along="x")
    for y, rows in lines:
        _draw_line(axis, rows, y, design)
        _numbers(beside, rows, y, measure_of(design))
    _headings(axis, beside, lines, design)
    labels = [_label(rows, design) for _, rows in lines]
    axis.set_yticks([y for y, _ in lines], labels)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    said = words.axis(design.reference, design.rope, measure_of(design)).splitlines()
    axis.set_xlabel("\n".join(wrapped(line, 90) for line in said))
    return figure


def _lines(frame: pd.DataFrame) -> list[tuple[float, pd.DataFrame]]:
    """(y, rows) from the top; a free line before each further group, for its heading."""
    lines: list[tuple[float, pd.DataFrame]] = []
    groups: list[str] = []
    for row, rows in frame.groupby("row", sort=True):
        group = rows["group"].iloc[0]
        groups += [group] * (group not in groups)
        lines.append((int(row) + len(groups) - 1.0, rows))
    return lines


def _limits(frame: pd.DataFrame, design: Design) -> tuple[float, float]:
    """All points, and intervals as far as they are no more than twice as long as all that: the rest is cut off."""
    low, high = padded([*frame["mean"].astype(float), -design.rope, design.rope], 0.15)
    reach = high - low
    ends = pd.concat([frame["low"], frame["high"]]).astype(float).dropna()
    return padded([low, high, *ends.clip(low - reach, high + reach)], 0.03)


def _draw_line(axis: "Axes", rows: pd.DataFrame, y: float, design: Design) -> None:
    arm = rows["arm"].iloc[0]
    style = arm_styles(design)[arm]
    seeds = rows.loc[rows["kind"] == "seed", "mean"].astype(float)
    axis.plot(
        seeds, [y + 0.26] * len(seeds), **{**style.point, "markersize": 4.5, "alpha": 0.4, "markeredgewidth": 0.4}
    )
    widths = {"prediction": 1.0, "new": 2.4, "these": 6.0, "contrast": 3.4}
    for kind, width in widths.items():
        for row in rows[rows["kind"] == kind].itertuples():
            line: dict[str, Any] = {"color": style.colour, "linewidth": width, "zorder": 3}
            clipped_interval(axis, number(row.low), number(row.high), y, **line)
    mean = rows.loc[rows["kind"].isin(["contrast", "these"])].iloc[0]
    size = 10 if mean["kind"] == "these" else 7.5
    axis.plot([mean["mean"]], [y], **{**style.point, "markersize": size, "zorder": 4})


def _numbers(axis: "Axes", rows: pd.DataFrame, y: float, measure: Measure) -> None:
    """Right of the picture: mean and interval, n, Holm's p."""
    row = rows[rows["kind"].isin(["contrast", "new"])].iloc[0]
    texts = words.cells(_line(row), int(row["n"]), finite(row["holm_p"]), measure)
    for x, text in zip(COLUMNS_AT, texts, strict=True):
        axis.text(x, y, text, transform=axis.get_yaxis_transform(), va="center", ha="right", fontsize=SMALL)


def _line(row: Any) -> words.Line:
    return words.Line(float(row["mean"]), finite(row["low"]), finite(row["high"]))


def _headings(axis: "Axes", beside: "Axes", lines: list[tuple[float, pd.DataFrame]], design: Design) -> None:
    """A line above each group: what it compares, and what the numbers beside it are."""
    place: dict[str, Any] = {"va": "center", "fontsize": SMALL}
    said: set[str] = set()
    for y, rows in lines:
        group = rows["group"].iloc[0]
        if group in said:
            continue
        said.add(group)
        heading = words.group_title(group, shortened(design.headline, 20), shortened(design.reference, 20))
        axis.text(0, y - 0.8, heading, transform=axis.get_yaxis_transform(), fontweight="bold", **place)
        for x, head in zip(COLUMNS_AT, words.heads(group), strict=True):
            beside.text(x, y - 0.8, head, transform=beside.get_yaxis_transform(), ha="right", color=MUTED, **place)


def _label(rows: pd.DataFrame, design: Design) -> str:
    first = rows.iloc[0]
    return wrapped(shortened(first["context"] if first["group"] == "contexts" else first["arm"], 60), 30)


def title(design: Design) -> str:
    return words.TITLE


def caption(frame: pd.DataFrame, design: Design) -> str:
    ns = list(frame.loc[frame["kind"] == "contrast", "n"])
    across = bool((frame["group"] == "across").any())
    return words.caption(design.reference, ns, design.rope, measure_of(design), across=across)


def alt(frame: pd.DataFrame, design: Design) -> str:
    rows = frame[frame["kind"].isin(["contrast", "new"])].to_dict("records")
    return words.alt(design.reference, [(_name(row), _line(row)) for row in rows], measure_of(design))


def _name(row: Any) -> str:
    if row["group"] == "contexts":
        return str(row["context"])
    return words.over_contexts(row["arm"]) if row["group"] == "across" else str(row["arm"])


def applies(frame: pd.DataFrame) -> bool:
    return bool((frame["kind"] == "contrast").any())
