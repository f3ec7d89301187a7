"""How much of the loss's gradient reaches the attention."""

from collections.abc import Iterable, Sequence

from bamgate.reports.words.numbers import seeds_text, significant

TITLE = "Gradient in the attention"
AXIS = "gradient in the attention\nover that in the trunk"


def caption(reference: str, headline: str, ns: Sequence[float], *, over_sites: bool) -> str:
    """What is drawn; `over_sites`: a run's ratio is its mean over the sites."""
    means = ", the mean over its sites" if over_sites else ", by site"
    return (
        "Norm of the loss's gradient in the attention's parameters over that in the trunk, on the probe images"
        f"{means}; logarithmic. Lines: median of {seeds_text(ns)}; bands, for {reference} and {headline}: from the "
        "smallest to the largest. A gate that lets no gradient through has no line."
    )


def alt(ends: Iterable[tuple[str, str, float]]) -> str:
    """For who cannot see it: arm, place and ratio at the end of training."""
    said = [f"{arm} {significant(ratio)} at {place}" for arm, place, ratio in ends]
    return f"Gradient norm in the attention relative to the trunk's at the end of training: {', '.join(said)}."
