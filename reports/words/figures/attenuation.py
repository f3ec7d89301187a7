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
        f"Share of the gates' values over training{means}: with a scale s below 1; with one below the site's own "
        "mean, which a following layer may tell from attenuation no better; and where the gate is flat, its slope "
        f"below 5 % of its steepest. Means over {seeds_text(ns)}; bands, for {reference} and {headline}: 95 % t "
        f"interval.{one_seed_note(ns)}"
    )


def alt(ends: Iterable[tuple[str, str, float]]) -> str:
    """For who cannot see it: arm, place and percent at the end of training."""
    said = [f"{arm} {number(mean, 0)} % at {place}" for arm, place, mean in ends]
    return f"Share of values with a scale below 1 at the end of training: {', '.join(said)}."
