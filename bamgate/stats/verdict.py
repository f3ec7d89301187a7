"""One of six words for a comparison, by a rule without judgement, from the interval and the ROPE.

better: the interval lies above the ROPE; better, size may be negligible: above 0, but it reaches into the ROPE;
worse: the mirror; equivalent: the 90 % interval lies within the ROPE; else undecided, with the seeds that are missing.
A direction also needs p < 0.05 after Holm's adjustment. Undecided is not "no difference".
"""

from dataclasses import dataclass
from typing import ClassVar

from bamgate.errors import UsageError
from bamgate.stats.equivalence import Equivalence
from bamgate.stats.paired import PairedT
from bamgate.stats.planning import Planning
from bamgate.stats.result import OK, Result

ALPHA = 0.05
BETTER, WORSE = "better", "worse"
NEGLIGIBLE = ", size may be negligible"
EQUIVALENT, UNDECIDED = "equivalent", "undecided"
WORDS = (BETTER, WORSE, EQUIVALENT, BETTER + NEGLIGIBLE, WORSE + NEGLIGIBLE, UNDECIDED)


@dataclass(frozen=True, kw_only=True)
class Verdict(Result):
    """What the primary comparison says.

    Attributes:
        word: one of WORDS.
        sentence: word and numbers, for print.
        also_equivalent: a direction, and yet the 90 % interval lies within the ROPE.
        seeds_missing: where undecided, further seeds until a difference of the ROPE's size is found with the planned
            power, at the spread seen; None where decided, or where the sentence says why it cannot be told.
    """

    call: ClassVar[str] = "rule on the t interval, the 90 % interval, the ROPE and the Holm-adjusted p"
    word: str
    sentence: str
    also_equivalent: bool = False
    seeds_missing: int | None = None


def verdict(
    t: PairedT,
    equal: Equivalence,
    *,
    rope: float,
    holm_p: float | None,
    planning: Planning,
    equivalence_p: float | None = None,
    unit: str = "seed",
) -> Verdict:
    """The verdict of treatment against control.

    Args:
        t: the primary test, `equal` and `planning` of the same pairs.
        rope: points, the same as in `equal`.
        holm_p: the p of `t` adjusted in its family; None for a family of one.
        equivalence_p: the p of `equal` adjusted in its family; None for a family of one.
        unit: what the n values of `t` are: "seed" for pairs of runs, or another noun, such as "context".

    Raises UsageError where `rope` is not that of `equal`.
    """
    if rope != equal.rope:
        raise UsageError(f"the equivalence test was made with a ROPE of {equal.rope:g} points, not {rope:g}")
    if t.mean is None or t.low is None or t.high is None or t.p is None:
        return _without_test(t, unit)
    p = t.p if holm_p is None else holm_p
    label = "p" if holm_p is None else "Holm-adjusted p"
    numbers = f"{t.mean:+.2f} points, {t.confidence * 100:g} % interval {t.low:+.2f} to {t.high:+.2f}, {label} {_p(p)}"
    within = equal.low is not None and equal.high is not None and -rope < equal.low and equal.high < rope
    within = within and (equivalence_p is None or equivalence_p < ALPHA)
    word = _direction(t.low, t.high, rope) if p < ALPHA else None
    if word:
        return _directional(word, numbers, rope, within=within)
    if within:
        interval = f"90 % interval {equal.low:+.2f} to {equal.high:+.2f}"
        return Verdict(word=EQUIVALENT, sentence=f"Equivalent within ±{_points(rope)}: {numbers}; {interval}.")
    return _undecided(t, numbers, rope, planning, unit, excludes_0=t.low > 0 or t.high < 0)


def _direction(low: float, high: float, rope: float) -> str | None:
    if low > 0:
        return BETTER if low > rope else BETTER + NEGLIGIBLE
    if high < 0:
        return WORSE if high < -rope else WORSE + NEGLIGIBLE
    return None


def _directional(word: str, numbers: str, rope: float, *, within: bool) -> Verdict:
    head = f"{word[0].upper()}{word[1:]}: {numbers}"
    if within:
        tail = f"; also equivalent: the difference is real, but smaller than {_points(rope)}, the least that matters."
    elif word.endswith(NEGLIGIBLE):
        tail = f"; the interval reaches below {_points(rope)}, the least that matters."
    else:
        tail = f"; the whole interval lies beyond ±{_points(rope)}."
    return Verdict(word=word, sentence=head + tail, also_equivalent=within)


def _undecided(t: PairedT, numbers: str, rope: float, plan: Planning, unit: str, *, excludes_0: bool) -> Verdict:
    head = f"Undecided: {numbers}"
    if excludes_0:
        head += "; the interval excludes 0, but not after the adjustment for the family"
    needed, missing = plan.seeds_needed, None
    if needed is None:
        tail = f"; how many {unit}s are missing cannot be told: {plan.status}."
    elif needed > t.n:
        missing = needed - t.n
        tail = (
            f"; to find a difference of {_points(rope)} with power {plan.power:g} takes {needed} {unit}s: "
            f"{missing} more than these {t.n}."
        )
    else:
        missing = 0
        tail = (
            f"; {needed} of these {t.n} {unit}s would find a difference of {_points(rope)} with power {plan.power:g}, "
            "so that more are no sure way to a decision."
        )
    return Verdict(word=UNDECIDED, sentence=head + tail, seeds_missing=missing)


def _without_test(t: PairedT, unit: str) -> Verdict:
    if t.mean is not None and t.sd == 0:
        exact = f"every one of {t.n} {unit}s differs by exactly {t.mean:+g} points"
        why = f"without a spread there is nothing to judge by, nor to tell the {unit}s that are missing from"
    else:
        noun = "pair" if unit == "seed" else unit
        exact = {0: f"no {noun}s", 1: f"one {noun}"}.get(t.n, f"{t.n} {noun}s")
        exact += "" if t.mean is None else f", {t.mean:+.2f} points"
        why = f"{t.status}, so that the {unit}s that are missing cannot be told"
    status = t.status if t.status != OK else "no interval"
    return Verdict(word=UNDECIDED, sentence=f"Undecided: {exact}; {why}.", status=status)


def _points(amount: float) -> str:
    return f"{amount:g} point{'s' * (amount != 1)}"


def _p(p: float) -> str:
    return "< 0.0001" if p < 1e-4 else f"{p:.4f}"
