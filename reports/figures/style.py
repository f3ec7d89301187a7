"""The house style of all figures, the look of each arm, and files whose bytes depend on nothing but the figure.

Colours are told apart by the colour-blind, dashes and markers in grey. matplotlib's settings are as they were
afterwards, and a user's matplotlibrc changes nothing.
"""

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

from bamgate.reports.figures.libraries import libraries
from bamgate.reports.figures.parts import Design
from bamgate.reports.figures.svg import tidy_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

P = ParamSpec("P")

WIDTH = 7.5  # inches, as on a page: the smallest text, SMALL, is then 8 pt and more
BASE, SMALL = 9.5, 8.5
INK, MUTED, FAINT, ROPE = "#262626", "#606060", "#dedede", "#e9ecef"
ABOVE = ("#fbe3cf", "#f3b681", "#e07b2c")  # of the scale, s > 1: from the outer to the inner band
BELOW = ("#d7e6f4", "#97bfe3", "#3d85c6")  # s < 1

_COLOURS = ("#d81b60", "#0077bb", "#00897b", "#e07000", "#7e57c2", "#2ea3cc", "#8a6d1b")
_DASHES: tuple[Any, ...] = ((0, (6, 1.6)), (0, (1.4, 1.3)), (0, (6, 1.5, 1.4, 1.5)), (0, (3, 1.2)), (0, (9, 2.5)))
_MARKERS = "sD^vPX<>ph*"

_SETTINGS: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],  # matplotlib's own, so that widths are the same everywhere
    "font.size": BASE,
    "axes.titlesize": BASE,
    "axes.titlelocation": "left",
    "axes.titlepad": 5,
    "axes.labelsize": BASE,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "text.color": INK,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 3.5,
    "ytick.major.size": 3.5,
    "xtick.major.width": 0.8,
    "ytick.major.width": 0.8,
    "legend.frameon": False,
    "legend.fontsize": SMALL,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "text.parse_math": False,  # a name may hold dollar signs
    "svg.fonttype": "none",
    "svg.hashsalt": "bamgate",
    "pdf.fonttype": 42,
}
# Nothing of the moment, nor of the library: the same figure is the same bytes.
_METADATA: dict[str, dict[str, None]] = {
    ".svg": dict.fromkeys(("Date", "Creator", "Format", "Type")),
    ".pdf": dict.fromkeys(("CreationDate", "Creator", "Producer")),
    ".png": {"Software": None},
}


@dataclass(frozen=True, kw_only=True)
class ArmStyle:
    """How an arm looks in every figure: arguments of matplotlib's lines."""

    colour: str
    dashes: Any
    marker: str

    @property
    def line(self) -> dict[str, Any]:
        return {"color": self.colour, "linestyle": self.dashes}

    @property
    def point(self) -> dict[str, Any]:
        return {"color": self.colour, "marker": self.marker, "linestyle": "none", "markeredgecolor": "white"}


def arm_styles(design: Design) -> dict[str, ArmStyle]:
    """The reference dark grey and solid, the others by their place in the design. Dash and marker together are
    unique for 55 arms."""
    styles = {design.reference: ArmStyle(colour="#3a3a3a", dashes="-", marker="o")}
    for i, arm in enumerate(arm for arm in design.arms if arm != design.reference):
        styles[arm] = ArmStyle(
            colour=_COLOURS[i % len(_COLOURS)], dashes=_DASHES[i % len(_DASHES)], marker=_MARKERS[i % len(_MARKERS)]
        )
    return styles


@contextmanager
def house_style() -> Iterator[None]:
    """The settings hold inside; what was set before holds again afterwards."""
    mpl, sns = libraries()
    with mpl.rc_context(), warnings.catch_warnings():
        # A name may be written in letters that DejaVu Sans has not; an SVG shows them all the same.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        mpl.rcdefaults()
        mpl.rcParams.update(dict(sns.axes_style("ticks")) | _SETTINGS)
        yield


def styled(draw: "Callable[P, Figure]") -> "Callable[P, Figure]":
    """A function that draws, in the house style."""

    @wraps(draw)
    def inside(*args: P.args, **kwargs: P.kwargs) -> "Figure":
        with house_style():
            return draw(*args, **kwargs)

    return inside


def new_figure(height: float, width: float = WIDTH) -> "Figure":
    """An empty figure, sizes in inches; pyplot does not know of it."""
    libraries()
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save(figure: "Figure", folder: Path, name: str) -> list[Path]:
    """Write NAME.svg, NAME.pdf and NAME.png; the same figure gives the same bytes."""
    paths = [folder / f"{name}{ending}" for ending in _METADATA]
    with house_style():
        # Laid out once, for all formats alike.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        # The solver's last digits depend on where objects lie in memory.
        for axis in figure.axes:
            left, bottom, width, height = (round(value, 6) for value in axis.get_position().bounds)
            axis.set_position((left, bottom, width, height))
    for path in paths:
        save_as(figure, path)
    return paths


def save_as(figure: "Figure", path: Path) -> None:
    """One file, its format by its ending: .svg, .pdf or .png. Ids in an SVG start with the file's name."""
    # In memory: a full disk then ends one write of ours instead of matplotlib in the middle of a file.
    drawn = io.BytesIO()
    with house_style():
        figure.savefig(drawn, format=path.suffix[1:], dpi=160, metadata=_METADATA[path.suffix])
    content = drawn.getvalue()
    path.write_bytes(tidy_svg(content.decode(), path.stem).encode() if path.suffix == ".svg" else content)
