"""Whether the gates use their freedom."""

from collections.abc import Iterable, Sequence

from bamgate.reports.words.figures.common import one_seed_note
from bamgate.reports.words.numbers import number, seeds_text

TITLE = "Attenuation and saturation over training"
MEASURES = {
    "attenuated": "attenuated:\ns below 1",
    "relatively_attenuated": "below the\nsite's mean",
    "saturated": "saturated:\nflat gate",
}


def axis(measure: str) -> str:
    """Of a row of panels."""
    return f"{MEASURES[measure]}, %"


def caption(reference: str, headline: str, ns: Sequence[float], *, over_sites: bool) -> str:
    """What is drawn; `over_sites`: a run's share is its mean over the sites."""
    means = " (each run's mean over its sites)" if over_sites else " by site"
    return (
        f"Share of the gates' values over training{means}: those whose scale s is below 1; those whose scale is below "
        "the site's own mean (a layer that follows may take out a factor that all values share); and those at which "
        f"the gate is flat, its slope below 5 % of its steepest. Means over {seeds_text(ns)}; bands, for {reference} "
        f"and {headline}: 95 % t interval.{one_seed_note(ns)}"
    )


def alt(ends: Iterable[tuple[str, str, float]]) -> str:
    """For who cannot see it: arm, place and percent at the end of training."""
    said = [f"{arm} {number(mean, 0)} % at {place}" for arm, place, mean in ends]
    return f"Share of values with a scale below 1 at the end of training: {', '.join(said)}."
