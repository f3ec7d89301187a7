"""How the scale s is distributed, and how it spreads while the network learns."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bamgate.reports.words.figures.common import EPOCH
from bamgate.reports.words.numbers import number, seeds_text

TITLE = "Distribution of the scale"
RIVER_TITLE = "What the gates do while the network learns"
SCALE = "scale s"
SHARE = "share of values"
MEDIAN = "median"
IDENTITY = "s = 1: above amplified, below attenuated"
WIDEST, WIDE, MIDDLE = "98 %", "90 %", "middle 50 %"  # of the values, in each band
TICKS = {0.0: "0", 0.5: "½", 1.0: "1", 1.5: "1½", 2.0: "2"}


class Spread(NamedTuple):
    """Where 90 % of the scales of an arm lie at a site, and percent of them below 1."""

    arm: str
    site: str
    low: float
    high: float
    below: float


def when(time: str, epoch: int) -> str:
    """In the legend: which histogram it is."""
    if time == "start":
        return "before training" if epoch == 0 else f"{EPOCH} {epoch}"
    return f"after {EPOCH} {epoch}" + (": s below and above 1" if time == "end" else "")


def below_one(percent: float, *, at_the_end: bool) -> str:
    """In a panel of the river."""
    return f"{number(percent, 0)} % below 1" + " at the end" * at_the_end


def caption(ns: Sequence[float]) -> str:
    """What the histograms are."""
    return (
        "How the scale s = 1 + g(z) is distributed by arm and site, in bins of 0.05; all values of all finished runs "
        f"together ({seeds_text(ns)}), each panel to its own height. The outermost bins hold all that lies below 0, "
        "and 2 and above."
    )


def alt(ends: Iterable[tuple[str, str, float]]) -> str:
    """For who cannot see them: arm, site and percent below 1 at the end."""
    said = [f"{arm} at {site}: {number(below, 0)} % of the values below 1" for arm, site, below in ends]
    return f"Histograms of the scale; at the end of training {'; '.join(said)}."


def river_caption(ns: Sequence[float]) -> str:
    """What the river is."""
    return (
        "The scale s = 1 + g(z) by which features are multiplied, over training (epoch 0: before it), by arm and site: "
        "median and the bands that hold 50, 90 and 98 % of all values, each quantile the mean over "
        f"{seeds_text(ns)}. Orange: amplified (s > 1); blue: attenuated (s < 1)."
    )


def river_alt(ends: Iterable[Spread]) -> str:
    """For who cannot see it."""
    said = [
        f"{one.arm} at {one.site} {number(one.low)} to {number(one.high)} with {number(one.below, 0)} % below 1"
        for one in ends
    ]
    return f"Where 90 % of the scales lie at the end of training: {'; '.join(said)}."
