"""The metric over training."""

from collections.abc import Iterable, Sequence

from bamgate.reports.words.figures.common import at_context, one_seed_note
from bamgate.reports.words.measure import Measure
from bamgate.reports.words.numbers import listed, seeds_text

TITLE = "Learning curves"


def axis(measure: Measure) -> str:
    """Of the metric."""
    return f"test {measure.axis}"


def reference_line(reference: str) -> str:
    """In the first panel, if each has an arm of its own: which line is the reference."""
    return f"solid: {reference}"


def caption(
    ns: Sequence[float],
    measure: Measure,
    *,
    beside: str,
    drops: bool,
    cut: bool,
    missing: Sequence[str],
) -> str:
    """What is drawn.

    Args:
        beside: the reference, if each panel has one arm beside it.
        drops: the learning rate drops somewhere.
        cut: the start of the training lies outside of the picture.
        missing: contexts and arms that are not drawn.
    """
    text = (
        f"Test {measure.name} over training: mean of the finished runs ({seeds_text(ns)}), band: 95 % t interval of "
        "the mean."
    )
    if measure.says_direction:
        text += f" {measure.which_is_better}."
    if beside:
        text += f" Each panel has one arm beside the reference {beside} (solid)."
    text += one_seed_note(ns)
    if drops:
        text += " Dotted: the learning rate drops."
    if cut:
        end = "lowest" if measure.metric.higher_is_better else "highest"
        text += f" What lies {end} in the first tenth of the training is cut off."
    return text + (f" Not shown, for want of finished runs or room: {listed(missing)}." if missing else "")


def alt(last: int, ends: Iterable[tuple[str, str, float]], measure: Measure) -> str:
    """For who cannot see it: arm, context and mean after the last epoch."""
    said = [f"{arm} {measure.value(mean)}{at_context(context)}" for arm, context, mean in ends]
    return f"Test {measure.name} by epoch, mean of the runs; after epoch {last}: {', '.join(said)}."
