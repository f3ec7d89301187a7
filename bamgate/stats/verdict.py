"""One of six verdicts for a comparison, by a fixed rule on the interval and the ROPE.

better: the interval is above the ROPE. better, maybe negligible: it is above 0, but reaches into the ROPE. worse, and
worse, maybe negligible: the same below 0. equivalent: the 90 % interval is within the ROPE. Otherwise undecided, with
the number of seeds that are missing. A direction also needs p < 0.05 after Holm's adjustment. Undecided is not "no
difference".
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from bamgate.errors import UsageError
from bamgate.stats.equivalence import Equivalence
from bamgate.stats.paired import PairedT
from bamgate.stats.planning import Planning
from bamgate.stats.result import Result
from bamgate.stats.status import NO_INTERVAL, OK

ALPHA = 0.05
BETTER, WORSE = "better", "worse"
NEGLIGIBLE = "-maybe-negligible"
EQUIVALENT, UNDECIDED = "equivalent", "undecided"
VERDICTS = (BETTER, WORSE, EQUIVALENT, BETTER + NEGLIGIBLE, WORSE + NEGLIGIBLE, UNDECIDED)

BEYOND_ROPE = "beyond-rope"  # the whole interval
REACHES_INTO_ROPE = "reaches-into-rope"
WITHIN_ROPE = "within-rope"  # the 90 % interval
HOLDS_ZERO = "holds-zero"  # the interval
LOST_IN_FAMILY = "lost-in-family"  # the interval excludes 0, but the adjusted p is not below 0.05
NO_TEST = "no-test"  # `status` says why
REASONS = (BEYOND_ROPE, REACHES_INTO_ROPE, WITHIN_ROPE, HOLDS_ZERO, LOST_IN_FAMILY, NO_TEST)


@dataclass(frozen=True, kw_only=True)
class Verdict(Result):
    """The verdict of the primary comparison, and the numbers behind it.

    Attributes:
        code: one of VERDICTS.
        reason: one of REASONS.
        unit: what each of the n values belongs to: "seed" or "context".
        mean, low, high, confidence: of the t interval, in points.
        p, adjusted: the p that the rule used, and whether it is Holm's.
        equal_low, equal_high: the 90 % interval.
        also_equivalent: the verdict has a direction, and yet the 90 % interval is within the ROPE.
        seeds_needed, power, plan_status, plan_about: from `Planning`.
        seeds_missing: if undecided, how many more seeds detect a difference as large as the ROPE with the planned
            power, given the spread so far. None if decided, or if `plan_status` says why it is unknown.
    """

    call: ClassVar[str] = "rule on the t interval, the 90 % interval, the ROPE and the Holm-adjusted p"
    code: str
    reason: str
    unit: str
    rope: float
    n: int
    mean: float | None = None
    sd: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float = 0.95
    p: float | None = None
    adjusted: bool = False
    equal_low: float | None = None
    equal_high: float | None = None
    also_equivalent: bool = False
    seeds_needed: int | None = None
    seeds_missing: int | None = None
    power: float = 0.8
    plan_status: str = OK
    plan_about: tuple[str | int, ...] = ()


def verdict(
    t: PairedT,
    equal: Equivalence,
    *,
    rope: float,
    holm_p: float | None,
    planning: Planning,
    equivalence_p: float | None = None,
    unit: str = "seed",
    higher_is_better: bool = True,
) -> Verdict:
    """The verdict of treatment against control.

    Args:
        t: the primary test; `equal` and `planning` are of the same pairs.
        rope: in points, the same as in `equal`.
        holm_p: the p of `t`, adjusted in its family; None for a family of one.
        equivalence_p: the p of `equal`, adjusted in its family; None for a family of one.
        unit: what each of the n values of `t` belongs to: "seed" for pairs of runs, or "context".
        higher_is_better: False if a difference below 0 is the better one.

    Raises:
        UsageError: `rope` is not that of `equal`.
    """
    if rope != equal.rope:
        raise UsageError(f"the equivalence test used a ROPE of {equal.rope:g} points, not {rope:g}")
    p = t.p if holm_p is None else holm_p
    numbers = {"rope": rope, "unit": unit, "p": p, "adjusted": holm_p is not None, **_numbers(t, equal, planning)}
    if t.mean is None or t.low is None or t.high is None or t.p is None or p is None:
        status = t.status if t.status != OK else NO_INTERVAL
        return Verdict(code=UNDECIDED, reason=NO_TEST, status=status, about=t.about, **numbers)
    within = equal.low is not None and equal.high is not None and -rope < equal.low and equal.high < rope
    within = within and (equivalence_p is None or equivalence_p < ALPHA)
    gain = (t.low, t.high) if higher_is_better else (-t.high, -t.low)
    # A direction outranks equivalence: a difference may be real and too small to matter, and both are said.
    if p < ALPHA and (code := _direction(*gain, rope)):
        reason = WITHIN_ROPE if within else REACHES_INTO_ROPE if code.endswith(NEGLIGIBLE) else BEYOND_ROPE
        return Verdict(code=code, reason=reason, also_equivalent=within, **numbers)
    if within:
        return Verdict(code=EQUIVALENT, reason=WITHIN_ROPE, **numbers)
    reason = LOST_IN_FAMILY if t.low > 0 or t.high < 0 else HOLDS_ZERO
    missing = None if planning.seeds_needed is None else max(0, planning.seeds_needed - t.n)
    return Verdict(code=UNDECIDED, reason=reason, seeds_missing=missing, **numbers)


def _numbers(t: PairedT, equal: Equivalence, planning: Planning) -> dict[str, Any]:
    """What the rule went by, as a verdict names it."""
    return {
        **{name: getattr(t, name) for name in ("n", "mean", "sd", "low", "high", "confidence")},
        **{"equal_low": equal.low, "equal_high": equal.high},
        **{"seeds_needed": planning.seeds_needed, "power": planning.power},
        **{"plan_status": planning.status, "plan_about": planning.about},
    }


def _direction(low: float, high: float, rope: float) -> str | None:
    """By the interval of what is gained."""
    if low > 0:
        return BETTER if low > rope else BETTER + NEGLIGIBLE
    if high < 0:
        return WORSE if high < -rope else WORSE + NEGLIGIBLE
    return None
