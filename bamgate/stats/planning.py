"""How small a difference these seeds can detect, and how many seeds a difference as large as the ROPE needs.

There is no "observed power" at the difference found: it is only the p-value in another form.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from bamgate.errors import UsageError
from bamgate.stats.noncentral import two_sided_power
from bamgate.stats.pairs import Pairs, check_rope, check_share, no_spread
from bamgate.stats.result import Result
from bamgate.stats.status import NO_SOLUTION, OK, ROPE_TOO_SMALL

MOST_SEEDS = 100_000


@dataclass(frozen=True, kw_only=True)
class Planning(Result):
    """What a paired t test can detect, given the sd of these differences.

    Attributes:
        n: number of pairs.
        mde_dz, mde_points: smallest true difference that n pairs detect with the wanted power.
        power_at_rope: power to detect a true difference as large as the ROPE's bound.
        seeds_needed, seeds_needed_exact: number of pairs that detect it with the wanted power; at least 2.
        power, alpha: the wanted power, and the level of the test.
    """

    call: ClassVar[str] = (
        "scipy.optimize.brentq on the t test's power by the noncentral t; "
        "equals statsmodels.stats.power.TTestPower().solve_power"
    )
    n: int
    mde_dz: float | None = None
    mde_points: float | None = None
    power_at_rope: float | None = None
    seeds_needed: int | None = None
    seeds_needed_exact: float | None = None
    power: float = 0.8
    alpha: float = 0.05


def planning(pairs: Pairs, rope: float, power: float = 0.8, alpha: float = 0.05) -> Planning:
    """Planning numbers from the spread of these pairs; `rope` in points."""
    rope = check_rope(rope)
    _check_asked(power, alpha)
    asked: dict[str, Any] = {"power": power, "alpha": alpha}
    status = no_spread(pairs)
    if status:
        return Planning(n=pairs.n, **asked, status=status)
    # The sd is treated as known, although a few seeds determine it poorly: these are plans, not claims.
    sd = float(pairs.differences.std(ddof=1))
    try:
        mde = smallest_effect(pairs.n, power, alpha)
        exact = seeds_for(rope / sd, power, alpha)
        at_rope = power_of(rope / sd, pairs.n, alpha)
    except (ArithmeticError, ValueError, RuntimeError):
        return Planning(n=pairs.n, **asked, status=NO_SOLUTION)
    return Planning(
        n=pairs.n,
        mde_dz=mde,
        mde_points=mde * sd,
        power_at_rope=at_rope,
        seeds_needed=None if exact is None else math.ceil(exact - 1e-9),
        seeds_needed_exact=exact,
        **asked,
        status=OK if exact else ROPE_TOO_SMALL,
        about=() if exact else (MOST_SEEDS,),
    )


def power_curve(
    sd: float, rope: float, ns: Sequence[int], alpha: float = 0.05, power: float = 0.8
) -> list[tuple[int, float, float]]:
    """For each n: (n, smallest difference, in points, detected with `power`, power at the ROPE's bound).

    Raises:
        UsageError: sd or rope is not above 0, or there are fewer than 2 seeds.
    """
    rope = check_rope(rope)
    if not (math.isfinite(sd) and sd > 0):
        raise UsageError(f"sd must be a number above 0, got {sd!r}")
    if any(n < 2 for n in ns):
        raise UsageError(f"a power curve starts at 2 seeds, got {min(ns)}")
    _check_asked(power, alpha)
    return [(n, smallest_effect(n, power, alpha) * sd, power_of(rope / sd, n, alpha)) for n in ns]


def _check_asked(power: float, alpha: float) -> None:
    check_share("alpha", alpha)
    if check_share("power", power) <= alpha:
        raise UsageError(f"power must be above alpha ({alpha:g}), the power at no effect; got {power:g}")


def power_of(d_z: float, n: float, alpha: float) -> float:
    """Power of the two-sided paired t test at a true effect; n above 1, not necessarily whole."""
    from scipy import stats

    return min(1.0, two_sided_power(float(stats.t.isf(alpha / 2, n - 1)), n - 1, d_z * math.sqrt(n)))


def smallest_effect(n: float, power: float, alpha: float) -> float:
    """The d_z that n pairs detect with this power; n at least 2."""
    from scipy import optimize

    # Double the upper end until it brackets the root: power grows with the effect.
    high = 1.0
    while power_of(high, n, alpha) < power:
        high *= 2
    return float(optimize.brentq(lambda d_z: power_of(d_z, n, alpha) - power, 0, high, xtol=1e-10))


def seeds_for(d_z: float, power: float, alpha: float) -> float | None:
    """Number of pairs, not rounded, that detect this effect with this power: at least 2; None above MOST_SEEDS."""
    from scipy import optimize

    high = 2.0
    while power_of(d_z, high, alpha) < power:
        high *= 2
        if high > 2 * MOST_SEEDS:
            return None
    # Two pairs already suffice, so there is no root to look for.
    if high == 2:
        return 2.0
    found = float(optimize.brentq(lambda n: power_of(d_z, n, alpha) - power, 2, high, xtol=1e-8))
    return found if found <= MOST_SEEDS else None
