"""All comparisons in one list."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bamgate.record.metric import PERCENT
from bamgate.reports.words.figures.common import one_seed_note, rope_text
from bamgate.reports.words.measure import Measure
from bamgate.reports.words.numbers import p_cell, seeds_text

TITLE = "Every comparison with the reference"
GROUPS = {
    "contexts": "{headline} − {reference}, by context",
    "arms": "each arm − {reference}",
    "across": "mean over the contexts",
}


class Line(NamedTuple):
    """A mean with its interval, which one seed has not."""

    mean: float
    low: float | None
    high: float | None


def axis(reference: str, rope: float, measure: Measure) -> str:
    """Under the picture: what right and left of 0 is, and what the band is."""
    if measure.metric.higher_is_better and measure.metric.unit == PERCENT:
        first = f"points of {measure.name} more (right) or fewer (left) than {reference}"
    else:
        worse_end = "left" if measure.metric.higher_is_better else "right"
        sides = f"better ({_better_end(measure)}) or worse ({worse_end})"
        first = f"{measure.name}{measure.difference_axis}: {sides} than {reference}"
    return f"{first}\nband: {rope_text(rope, measure)}"


def _better_end(measure: Measure) -> str:
    return "right" if measure.metric.higher_is_better else "left"


def heads(group: str) -> tuple[str, str, str, str]:
    """Above the numbers beside the picture."""
    return "mean", "95 % interval", "contexts" if group == "across" else "seeds", "p (Holm)"


def group_title(group: str, headline: str, reference: str) -> str:
    """Above the lines of a group."""
    return GROUPS[group].format(headline=headline, reference=reference)


def cells(line: Line, n: int, p: float | None, measure: Measure) -> tuple[str, str, str, str]:
    """The numbers beside a line."""
    reach = "no interval" if line.low is None else measure.reach(line._asdict())
    return measure.signed(line.mean), reach, str(n), p_cell(p)


def caption(reference: str, ns: Sequence[float], rope: float, measure: Measure, *, across: bool) -> str:
    """What is drawn; `across`: there are means over contexts."""
    text = (
        f"Differences in test {measure.name} from {reference}, paired by seed ({seeds_text(ns)}): small points are "
        f"seeds, large ones means, bars 95 % t intervals. Grey: {rope_text(rope, measure)}. p is corrected by Holm's "
        "method for all comparisons."
    )
    if measure.says_direction:
        text += f" {measure.which_is_better}: {_better_end(measure)} of 0 an arm beats {reference}."
    text += one_seed_note(ns)
    if across:
        text += (
            " Over several contexts the thick bar holds for the mean over these, the thin one for the mean over "
            "contexts like them, the hairline for one new context (prediction interval)."
        )
    return text


def over_contexts(arm: str) -> str:
    """The name of an arm's mean over contexts."""
    return f"{arm} over all contexts"


def alt(reference: str, lines: Iterable[tuple[str, Line]], measure: Measure) -> str:
    """For who cannot see it: each line by its name."""
    said = [
        f"{name} {measure.signed(line.mean)}" + ("" if line.low is None else f" ({measure.reach(line._asdict())})")
        for name, line in lines
    ]
    return f"Difference from {reference}{measure.in_points}, with 95 % interval: {'; '.join(said)}."
