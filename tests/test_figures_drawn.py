"""Figures as they are drawn: what the artists show, texts that can be read, and studies at the edge."""

import re
from dataclasses import replace
from functools import cache
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from figure_samples import EIGHT, NETWORKS, Design, Records, made, statistics
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text

from bamgate.reports.figures import FIGURES
from bamgate.reports.figures.style import SMALL, arm_styles, house_style

LONG_NAMES = ("sigmoid", *(f"arm-with-a-long-name-{i}" for i in range(19)))
EVIL = ("a&b_$x_1$ %#", "<script>alert(1)</script>", "né±→中|\\x{`\"'~^", "=cmd()")
STUDIES: dict[str, tuple[Design, dict[str, Any]]] = {
    "eight": (Design(arms=EIGHT), {}),
    "one seed": (Design(seeds=(0,)), {}),
    "one epoch": (Design(seeds=(0, 1)), {"epochs": 1, "sites": ("a",)}),
    "diverged": (Design(arms=EIGHT[:4]), {"diverged": [("tanh", "", 1), ("tanh", "", 2), ("softsign", "", 0)]}),
    "all diverged": (Design(), {"diverged": [("tanh", "", seed) for seed in range(5)]}),
    "three contexts": (
        Design(arms=EIGHT, contexts=NETWORKS),
        {"sites": ("layer1", "layer2", "layer3"), "diverged": [("tanh", NETWORKS[0], 1)]},
    ),
    "twenty arms": (Design(arms=LONG_NAMES, seeds=(0, 1, 2)), {"sites": tuple(f"layer{i}.channel" for i in range(9))}),
    "evil names": (Design(arms=EVIL, reference=EVIL[0]), {}),
    "no gates": (Design(arms=("no-attention", "none"), reference="no-attention"), {}),
    "200 epochs": (Design(seeds=(0, 1)), {"epochs": 200, "sites": ("layer1", "layer2", "layer3")}),
}
LEFT_OUT = {
    "one seed": {"power", "failures"},
    "one epoch": {"power", "failures"},
    "all diverged": {"differences", "forest", "mechanism", "power"},
    "no gates": {"river", "scales", "attenuation", "gradient", "mechanism", "failures", "gates"},
    "200 epochs": {"power", "failures"},
    "twenty arms": {"failures", "gates"},
    "evil names": {"failures", "gates"},
    "diverged": set(),
    "three contexts": set(),
}


@cache
def study(name: str) -> tuple[Design, Records, dict[str, Any]]:
    design, options = STUDIES[name]
    records = made(design, **options)
    if name == "no gates":
        records.gates = pd.DataFrame([], columns=records.gates.columns)  # object columns, as read from an empty file
        records.runs["attention"] = "none"
    return design, records, statistics(records, design)


def drawn(name: str, of: str = "eight") -> tuple[pd.DataFrame, Figure, Design]:
    design, records, found = study(of)
    frame = FIGURES[name].frame(records, design, found)
    return frame, FIGURES[name].draw(frame, design), design


def texts(figure: Figure) -> list[Text]:
    """The texts that are drawn: an axis also keeps labels that lie outside of its limits."""
    found: dict[Text, None] = {}
    draw = Text.draw

    def record(text: Text, renderer: Any) -> None:
        if text.get_visible() and text.get_text().strip():
            found[text] = None
        draw(text, renderer)

    with house_style(), patch.object(Text, "draw", record):
        figure.draw_without_rendering()
    return list(found)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in STUDIES if name != "eight"])
def test_a_study_at_the_edge_is_drawn_or_left_out(name: str) -> None:
    design, records, found = study(name)
    left_out = set()
    for spec in FIGURES.values():
        frame = spec.frame(records, design, found)
        if not spec.applies(frame):
            left_out.add(spec.name)
            continue
        figure = spec.draw(frame, design)
        check_texts(figure, f"{name}: {spec.name}")
        for text in (spec.caption(frame, design), spec.alt(frame, design)):
            assert text.endswith(".")
            assert not re.search(r"\bnan\b|None", text), text
    assert left_out == LEFT_OUT[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in FIGURES if name != "failures"])
def test_no_text_is_small_cut_off_or_on_another(name: str) -> None:
    _, figure, _ = drawn(name)
    check_texts(figure, name)


def check_texts(figure: Figure, what: str) -> None:
    page, shown = figure.bbox, texts(figure)
    boxes = [(text.get_text(), text.get_window_extent()) for text in shown]
    for i, (one, box) in enumerate(boxes):
        for other, beside in boxes[i + 1 :]:
            width = min(box.x1, beside.x1) - max(box.x0, beside.x0)
            height = min(box.y1, beside.y1) - max(box.y0, beside.y0)
            assert width < 2 or height < 2, f"{what}: {one!r} lies on {other!r}"
    for text in shown:
        assert text.get_fontsize() >= 8, (what, text.get_text())
        box = text.get_window_extent()
        inside = box.x0 > -2 and box.y0 > -2 and box.x1 < page.x1 + 2 and box.y1 < page.y1 + 2
        assert inside, f"{what}: {text.get_text()!r} is cut off"


def test_differences_show_each_seed_the_mean_and_its_interval() -> None:
    frame, figure, design = drawn("differences")
    slopes, right = figure.axes
    runs = frame[frame["kind"] == "run"].pivot(index="seed", columns="arm", values="value")
    lines = [line.get_ydata().tolist() for line in slopes.get_lines() if len(line.get_ydata()) == 2]
    assert lines == runs[["sigmoid", "tanh"]].to_numpy().tolist()
    points, interval, mean = right.get_lines()[1:]  # the first is the line of no difference
    assert points.get_ydata().tolist() == frame.loc[frame["kind"] == "difference", "value"].tolist()
    row = frame[frame["kind"] == "mean"].iloc[0]
    assert interval.get_ydata().tolist() == [row["low"], row["high"]]
    assert mean.get_ydata().tolist() == [row["value"]]
    band = right.patches[0].get_bbox()
    assert (band.y0, band.y1) == (-design.rope, design.rope)
    said = " ".join(text.get_text() for text in texts(figure)).replace("\n", " ")
    assert "±0.3 points: too small to matter" in said
    assert f"tanh − sigmoid: −{abs(row['value']):.2f} points" in said


def test_forest_bars_are_the_intervals() -> None:
    frame, figure, _ = drawn("forest")
    means = frame[frame["kind"] == "contrast"]
    bars = [line for line in figure.axes[0].get_lines() if line.get_linewidth() == 3.4]
    assert [bar.get_xdata().tolist() for bar in bars] == means[["low", "high"]].to_numpy().tolist()
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == list(EIGHT[1:])


def test_an_interval_that_leaves_the_picture_ends_in_an_arrow() -> None:
    design, records, found = study("one epoch")
    frame = FIGURES["forest"].frame(records, design, found)
    frame.loc[frame["kind"] == "contrast", ["low", "high"]] = [-500.0, 500.0]
    figure = FIGURES["forest"].draw(frame, design)
    assert {"<", ">"} <= {line.get_marker() for line in figure.axes[0].get_lines()}
    assert max(map(abs, figure.axes[0].get_xlim())) < 10


def test_curves_are_the_means_in_the_arms_own_look() -> None:
    frame, figure, design = drawn("curves")
    style = arm_styles(design)
    panels = [axis for axis in figure.axes if axis.get_lines()]
    assert [axis.get_title(loc="left") for axis in panels] == list(EIGHT[1:])
    for axis, arm in zip(panels, EIGHT[1:], strict=True):
        shown = {line.get_color(): line.get_ydata().tolist() for line in axis.get_lines() if len(line.get_ydata()) == 4}
        for name in ("sigmoid", arm):
            assert shown[style[name].colour] == frame.loc[frame["arm"] == name, "mean"].tolist()


def test_the_river_is_blue_below_one_and_orange_above() -> None:
    _, figure, _ = drawn("river")
    for axis in figure.axes:
        for band in axis.collections:
            heights = np.concatenate([path.vertices[:, 1] for path in band.get_paths()])
            red, _, blue = (int(to_hex(band.get_facecolor()[0])[i : i + 2], 16) for i in (1, 3, 5))
            assert (heights.min() >= 1) == (red > blue)
            assert (heights.max() <= 1) == (blue > red)


def test_arms_left_out_for_room_are_named() -> None:
    design, records, found = study("twenty arms")
    spec = FIGURES["river"]
    frame = spec.frame(records, design, found)
    assert frame["arm"].nunique() == 8
    caption = spec.caption(frame, design)
    assert "4 of 9 sites are shown" in caption
    assert caption.count("arm-with-a-long-name-") == 12


def test_one_seed_is_said() -> None:
    design, records, found = study("one seed")
    for name in ("differences", "forest", "curves", "attenuation"):
        frame = FIGURES[name].frame(records, design, found)
        assert "One seed has no interval." in FIGURES[name].caption(frame, design)
    frame = FIGURES["differences"].frame(records, design, found)
    assert "no interval, 1 seed" in FIGURES["differences"].alt(frame, design)


def test_the_text_for_who_cannot_see_it_has_the_numbers() -> None:
    design, records, found = study("eight")
    frame = FIGURES["differences"].frame(records, design, found)
    row = frame[frame["kind"] == "mean"].iloc[0]
    alt = FIGURES["differences"].alt(frame, design)
    for value in row[["value", "low", "high"]]:
        assert f"{abs(value):.2f}" in alt
    assert "5 seeds" in alt


def test_eight_arms_are_told_apart_without_colour() -> None:
    styles = arm_styles(Design(arms=EIGHT))
    assert list(styles) == list(EIGHT)
    assert len({style.marker for style in styles.values()}) == 8
    assert len({(str(style.dashes), style.marker) for style in arm_styles(Design(arms=LONG_NAMES)).values()}) == 20
    assert styles["sigmoid"].dashes == "-"
    assert len({to_hex(styles["sigmoid"].colour)[i : i + 2] for i in (1, 3, 5)}) == 1  # grey
    assert all(style.dashes != "-" for arm, style in styles.items() if arm != "sigmoid")


def test_an_arm_looks_the_same_whoever_is_the_headline() -> None:
    design = Design(arms=EIGHT)
    assert arm_styles(design) == arm_styles(replace(design, seeds=(7,), contexts=NETWORKS))


def test_small_text_is_eight_points_or_more() -> None:
    assert SMALL >= 8
