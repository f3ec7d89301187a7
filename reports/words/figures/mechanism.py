"""Whether runs that attenuate more do better."""

from collections.abc import Iterable, Sequence

from bamgate.reports.words.figures.common import at_context, not_shown, rope_text
from bamgate.reports.words.measure import Measure
from bamgate.reports.words.numbers import number


def title(measure: Measure) -> str:
    """Accuracy and attenuation, run by run"""
    return f"{measure.title} and attenuation, run by run"


def share_axis(rope: float, measure: Measure) -> str:
    """Under all panels."""
    return f"share of scales below 1 at the end of training, %\ngrey band: {rope_text(rope, measure)}"


def difference_axis(reference: str, measure: Measure) -> str:
    """Left of all panels."""
    return f"{measure.name} − {reference}'s{measure.difference_axis}"


def caption(
    reference: str, runs: int, rope: float, measure: Measure, *, side_by_side: bool, missing: Sequence[str]
) -> str:
    """What is drawn; `side_by_side`: two arms or more never have a value below 1."""
    text = (
        f"Each point is a run ({runs}): its {measure.name} minus that of {reference} with the same seed, against the "
        "share of its gates' values below 1 after the last epoch, the mean over sites. Runs differ in more than this "
        f"share: a hint, no proof. Grey: {rope_text(rope, measure)}."
    )
    if measure.says_direction:
        text += f" {measure.which_is_better}."
    if side_by_side:
        text += " Arms without any value below 1 are drawn side by side, all of them are at 0."
    return text + not_shown(missing, "no gate, no finished pair, or no room")


def alt(reference: str, means: Iterable[tuple[str, str, float, float]], measure: Measure) -> str:
    """For who cannot see it: arm, context, share in percent and difference, means of each."""
    said = [
        f"{arm} {number(share, 0)} % and {measure.difference(difference)}{at_context(context)}"
        for arm, context, share, difference in means
    ]
    return f"Share of values below 1 and {measure.name} difference from {reference}, means by arm: {'; '.join(said)}."
