"""The gates themselves."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bamgate.reports.words.numbers import listed, number

TITLE = "The gates"
LOGIT = "logit z"
AMPLIFIED, ATTENUATED = "above 1: amplified", "below 1: attenuated"
PANELS = {  # column -> axis, title
    "scale": ("scale s(z) = 1 + g(z)", "What the feature is multiplied by"),
    "slope": ("slope g'(z)", "What the logit can learn from"),
}


class Reach(NamedTuple):
    """From which to which scale a gate goes, and how steep it is at most."""

    gate: str
    low: float
    high: float
    steepest: float


def caption(other: Iterable[tuple[str, str]], lacking: Sequence[str], *, learns: bool) -> str:
    """What is drawn.

    Args:
        other: (arm, gate) whose names differ.
        lacking: arms whose gate has no stored curve.
        learns: a gate has parameters of its own.
    """
    text = (
        "Left: the scale s(z) = 1 + g(z) by which a feature is multiplied, over the logit z; right: its slope, by "
        "which the gradient that reaches the logit is multiplied."
    )
    if learns:
        text += " A gate that learns is drawn as it starts."
    named = [f"{gate} is {arm}'s gate" for arm, gate in other]
    text += f" {listed(named)}." if named else ""
    return text + (f" Not drawn, since no run has stored the curve of its gate: {listed(lacking)}." if lacking else "")


def alt(gates: Iterable[Reach]) -> str:
    """For who cannot see it."""
    said = [
        f"{one.gate} {number(one.low)} to {number(one.high)}, steepest slope {number(one.steepest)}" for one in gates
    ]
    return f"Scale of each gate for logits from −6 to 6: {'; '.join(said)}."
