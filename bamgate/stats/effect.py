"""How large a difference is relative to the spread of seeds, how often a seed wins, and what pairing gains."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bamgate.stats.noncentral import noncentrality
from bamgate.stats.pairs import Pairs, no_spread, too_few
from bamgate.stats.result import Result
from bamgate.stats.status import CONSTANT_ARMS

MEANINGFUL = 0.75  # P(A > B) that the upper limit must reach: Bouthillier et al. 2021, arXiv 2103.03098


@dataclass(frozen=True, kw_only=True)
class EffectSize(Result):
    """d_z = mean difference / its sd over seeds, with its 95 % interval; g_z corrects the small-sample bias of d_z.

    g_z is None for 2 pairs, for which the correction does not exist.
    """

    call: ClassVar[str] = (
        "mean / sd; limits: the noncentral t with cdf(t, n - 1, x) = 0.975 and 0.025, as scipy.stats.nct"
    )
    d_z: float | None = None
    low: float | None = None
    high: float | None = None
    g_z: float | None = None


def effect_size(pairs: Pairs) -> EffectSize:
    """The standardised paired difference, which is not the d of two independent groups."""
    status = no_spread(pairs)
    if status:
        return EffectSize(status=status)
    d = np.array(pairs.raw, dtype=np.float64)
    df = pairs.n - 1
    d_z = float(d.mean() / d.std(ddof=1))
    # t = d_z sqrt(n) follows a noncentral t with nc = (true d_z) sqrt(n): the limits are the true d_z at which the
    # observed t is at the 97.5 % and at the 2.5 % point.
    root_n = math.sqrt(pairs.n)
    low, high = (noncentrality(d_z * root_n, df, share) / root_n for share in (0.975, 0.025))
    return EffectSize(d_z=d_z, low=low, high=high, g_z=d_z * _bias_factor(df) if df > 1 else None)


def _bias_factor(df: int) -> float:
    """The bias correction J of Hedges (1981) in its exact form, with gamma functions; df above 1."""
    return math.exp(math.lgamma(df / 2) - math.lgamma((df - 1) / 2)) / math.sqrt(df / 2)


@dataclass(frozen=True, kw_only=True)
class Superiority(Result):
    """Probability that a treatment run beats a control run.

    Attributes:
        win_share: share of seeds that the treatment wins; a tie counts as half.
        low, high: Wilson 95 % interval of wins / n, with ties as losses.
        a12: the same probability over all runs of both arms, ignoring seeds (Vargha and Delaney 2000).
        meaningful: low > 0.5 and high >= 0.75.
    """

    call: ClassVar[str] = (
        'scipy.stats.binomtest(wins, n).proportion_ci(method="wilson"); '
        "a12 by counting, equals scipy.stats.mannwhitneyu(a, b).statistic / n**2"
    )
    win_share: float | None = None
    low: float | None = None
    high: float | None = None
    a12: float | None = None
    meaningful: bool = False


def superiority(pairs: Pairs) -> Superiority:
    """Paired and unpaired win shares."""
    status = too_few(pairs)
    if status:
        return Superiority(status=status)
    raw = np.array(pairs.raw)
    wins, ties = int((raw > 0).sum()), int((raw == 0).sum())
    low, high = wilson(wins, pairs.n)
    return Superiority(
        win_share=(wins + ties / 2) / pairs.n,
        low=low,
        high=high,
        a12=stochastic_superiority(pairs.treatment, pairs.control),
        meaningful=low > 0.5 and high >= MEANINGFUL,
    )


def wilson(k: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of the share k / n; n above 0."""
    from scipy import stats

    interval = stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
    # Rounding may put a limit just outside of 0 to 1.
    return min(1.0, max(0.0, float(interval.low))), min(1.0, max(0.0, float(interval.high)))


def stochastic_superiority(treatment: tuple[float, ...], control: tuple[float, ...]) -> float:
    """A12: the share of all (treatment, control) couples that the treatment wins; a tie counts as half."""
    a, b = np.array(treatment)[:, None], np.array(control)[None, :]
    return float((a > b).mean() + (a == b).mean() / 2)


@dataclass(frozen=True, kw_only=True)
class Unpaired(Result):
    """The same runs analysed as if seeds were not shared: Welch's t test of the difference, in points.

    `correlation` is Pearson's, between the arms over seeds: near 0, pairing gains nothing. It is None for fewer than
    3 pairs, or if an arm does not vary.
    """

    call: ClassVar[str] = "scipy.stats.pearsonr(a, b), scipy.stats.ttest_ind(a, b, equal_var=False)"
    correlation: float | None = None
    t: float | None = None
    df: float | None = None
    p: float | None = None
    low: float | None = None
    high: float | None = None


def unpaired(pairs: Pairs) -> Unpaired:
    """Welch's test and the correlation between pairs."""
    from scipy import stats

    a, b = (np.array(arm, dtype=np.float64) for arm in (pairs.treatment, pairs.control))
    constant = [len(set(arm)) < 2 for arm in (pairs.treatment, pairs.control)]
    status = too_few(pairs) or (CONSTANT_ARMS if all(constant) else None)
    if status:
        return Unpaired(status=status)
    # scipy warns about a constant arm, unless it is 0: shift both arms, which leaves the difference as it is.
    base = b[0] if constant[1] else a[0]
    test = stats.ttest_ind(a - base, b - base, equal_var=False)
    interval = test.confidence_interval(0.95)
    return Unpaired(
        correlation=None if pairs.n < 3 or any(constant) else float(stats.pearsonr(a, b).statistic),
        t=float(test.statistic),
        df=float(test.df),
        p=float(test.pvalue),
        low=float(interval.low) * pairs.points,
        high=float(interval.high) * pairs.points,
    )
