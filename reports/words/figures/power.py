"""How small a difference so many seeds can see."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bamgate.reports.words.figures.common import at_context
from bamgate.reports.words.measure import Measure
from bamgate.reports.words.numbers import listed

TITLE = "What so many seeds can see"
SEEDS = "seeds"


class Seen(NamedTuple):
    """So many seeds see so small a difference; `needed` see one of the margin's size, if that is known."""

    context: str
    n: int
    smallest: float
    needed: int | None


def axis(measure: Measure) -> str:
    """Of the smallest difference."""
    return f"smallest difference seen\nwith power 0.8{measure.difference_axis}"


def margin_note(rope: float, measure: Measure) -> str:
    """In the band."""
    return f"below {measure.amount(rope)}: too small to matter"


def ours(n: int, smallest: float, measure: Measure) -> str:
    """At the point of the seeds at hand."""
    return f"our {n} seeds see {measure.roughly(smallest)} or more"


def needed(n: int) -> str:
    """At the ring."""
    return f"{n} seeds"


def caption(arm: str, reference: str, contexts: Sequence[str], *, ring: bool) -> str:
    """What is drawn; `ring`: there are seeds that find a difference of the band's size."""
    text = (
        f"The smallest true difference between {arm} and {reference} that so many seeds find in four of five studies "
        "(two-sided paired t test at 0.05), at the spread of the differences that was measured. Full point: the seeds "
        "at hand; grey: too small to matter."
    )
    if ring:
        text += " Ring: the seeds that find a difference of the band's size."
    return text + (f" Contexts: {listed(contexts)}." if contexts else "")


def alt(found: Iterable[Seen], rope: float, measure: Measure) -> str:
    """For who cannot see it."""
    said = []
    for one in found:
        more = "" if one.needed is None else f"; {measure.amount(rope)} need {one.needed}"
        said.append(f"{one.n} seeds see {measure.size(one.smallest)}{at_context(one.context)}{more}")
    return f"Smallest difference that is found with power 0.8: {', '.join(said)}."
