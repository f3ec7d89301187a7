"""The answer at a glance."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bamgate.reports.words.figures.common import at_context, one_seed_note, rope_text
from bamgate.reports.words.measure import Measure
from bamgate.reports.words.numbers import NBSP, seeds_text
from bamgate.reports.words.verdict import WORDS

TITLE = "The difference, seed by seed"


class Mean(NamedTuple):
    """A mean difference over n seeds; the interval is None for one seed, the verdict before there is one."""

    context: str
    value: float
    low: float | None
    high: float | None
    n: int
    verdict: str | None


def value_axis(measure: Measure) -> str:
    """Of the lines from one arm to the other."""
    return f"test {measure.axis}"


def difference_axis(measure: Measure) -> str:
    """Of the differences, in little room."""
    return f"difference{measure.difference_axis}"


def named_difference_axis(arm: str, reference: str, measure: Measure) -> str:
    """Of the differences, with the names of both arms."""
    return f"{arm} − {reference}{measure.difference_axis}"


def directions(arm: str, measure: Measure) -> tuple[str, str]:
    """What lies above the band, and what below it; the arm is not named if its name is too long."""
    up, down = ("better", "worse") if measure.metric.higher_is_better else ("worse", "better")
    name = f"{arm} " if arm else ""
    return f"↑ {name}{up}", f"↓ {name}{down}"


def diverged(lost: int) -> str:
    """At the foot of an arm."""
    return f"{lost} diverged"


def mean_tick(seeds: int, *, known: bool, short: bool) -> str:
    """Under the mean."""
    if seeds == 1:
        return "one seed:\nno interval"
    return "mean" if short or not known else "mean,\n95 % interval"


def band(rope: float, measure: Measure) -> str:
    """Under all panels: what the band is, and which side is better unless that goes without saying."""
    side = f"; {measure.better_side} 0 is better" if measure.says_direction else ""
    return f"band: {rope_text(rope, measure)}{side}"


def beside(mean: Mean, measure: Measure) -> str:
    """In a panel: the mean, and under it the interval."""
    reach = "" if mean.low is None else f"\n{_reach(mean, measure)}"
    return f"{measure.signed(mean.value)}{reach}"


def heading(arm: str, reference: str, mean: Mean, measure: Measure) -> tuple[str, str]:
    """tanh − sigmoid: −3.42 points; and how sure that is."""
    first = f"{arm} − {reference}: {measure.difference(mean.value)}"
    return first.replace(NBSP, " "), f"{_interval(mean, measure)}, {seeds_text([mean.n])}{_verdict(mean)}"


def caption(
    arm: str, reference: str, ns: Sequence[float], rope: float, measure: Measure, *, lost: bool, missing: Sequence[str]
) -> str:
    """What is drawn.

    Args:
        ns: pairs of each context.
        lost: a run diverged.
        missing: contexts without a pair, or without room.
    """
    text = (
        f"Left: test {measure.name} after the last epoch, one line per seed, from {reference} to {arm}. Right: the "
        f"differences, one point per seed, with their mean and its 95 % t interval ({seeds_text(ns)}). Zero is "
        f"{reference} itself; what lies in the grey band, {measure.margin(rope)}, is too small to matter."
    )
    if measure.says_direction:
        text += f" {measure.which_is_better}: a point {measure.better_side} 0 is a seed that {arm} wins."
    if lost:
        text += " Runs that diverged are marked at the foot; their seeds have no pair."
    text += one_seed_note(ns)
    return text + (f" Not shown, for want of pairs or room: {', '.join(missing)}." if any(missing) else "")


def alt(arm: str, reference: str, means: Iterable[Mean], measure: Measure) -> str:
    """For who cannot see it."""
    said = [
        f"{measure.difference(mean.value)}{at_context(mean.context)} ({_interval(mean, measure)}, "
        f"{seeds_text([mean.n])}){_verdict(mean)}"
        for mean in means
    ]
    return f"{arm} minus {reference}: {'; '.join(said)}."


def _interval(mean: Mean, measure: Measure) -> str:
    return "no interval" if mean.low is None else f"95 % interval {_reach(mean, measure)}"


def _reach(mean: Mean, measure: Measure) -> str:
    return measure.reach(mean._asdict())


def _verdict(mean: Mean) -> str:
    return f": {WORDS[mean.verdict]}" if mean.verdict is not None else ""
