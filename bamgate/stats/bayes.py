"""Bayesian summaries of the differences: posterior probabilities around the ROPE, and Bayes factors and their prior."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bamgate.stats.paired import paired_t
from bamgate.stats.pairs import Pairs, check_rope, no_spread
from bamgate.stats.result import Result

PRIOR_WIDTHS = (0.5, math.sqrt(2) / 2, 1.0)  # narrow, medium, wide


@dataclass(frozen=True, kw_only=True)
class Posterior(Result):
    """Posterior probabilities for independent seeds under the reference prior, 1 / sigma.

    Attributes:
        below, inside, above: that the mean difference is below -rope, within ±rope, above rope.
        positive: that the mean difference is above 0.
        next_seed_wins: that the difference of the next pair is above 0.
    """

    call: ClassVar[str] = "scipy.stats.t(n - 1, mean, sem); next seed: scale sd * sqrt(1 + 1 / n)"
    below: float | None = None
    inside: float | None = None
    above: float | None = None
    positive: float | None = None
    next_seed_wins: float | None = None


def posterior(pairs: Pairs, rope: float) -> Posterior:
    """The posterior of the mean difference; `rope` in points."""
    from scipy import stats

    rope = check_rope(rope)
    status = no_spread(pairs)
    if status:
        return Posterior(status=status)
    d = pairs.differences
    mean, sd, n = float(d.mean()), float(d.std(ddof=1)), pairs.n
    of_mean = stats.t(n - 1, mean, sd / math.sqrt(n))
    below, above = float(of_mean.cdf(-rope)), float(of_mean.sf(rope))
    return Posterior(
        below=below,
        inside=float(of_mean.cdf(rope)) - below,
        above=above,
        positive=float(of_mean.sf(0)),
        next_seed_wins=float(stats.t(n - 1, mean, sd * math.sqrt(1 + 1 / n)).sf(0)),
    )


@dataclass(frozen=True, kw_only=True)
class BayesFactors(Result):
    """Evidence for a difference against none (BF10), with a Cauchy prior on d_z of width 0.5, 0.707 and 1."""

    call: ClassVar[str] = (
        "JZS Bayes factor of t, Rouder et al. 2009 (10.3758/PBR.16.2.225), by the trapezoidal rule over log g"
    )
    narrow: float | None = None
    medium: float | None = None
    wide: float | None = None


def bayes_factor(pairs: Pairs) -> BayesFactors:
    """BF10 of the paired differences for three widths of the prior."""
    test = paired_t(pairs)
    status = no_spread(pairs)
    if status or test.t is None:
        return BayesFactors(status=status or test.status)
    narrow, medium, wide = (_jzs(test.t, pairs.n, width) for width in PRIOR_WIDTHS)
    return BayesFactors(narrow=narrow, medium=medium, wide=wide)


def _jzs(t: float, n: int, width: float) -> float:
    """Likelihood ratio of t, averaged over g ~ inverse gamma(1/2, width^2 / 2) (Rouder et al. 2009); inf on overflow.

    The integrand over log g falls off exponentially on both sides, so the trapezoidal rule is exact up to rounding.
    """
    # x = log g. All in logs, since the likelihood ratio of a large t overflows long before it is averaged.
    df = n - 1
    step = 0.01
    x = np.arange(-14, 100, step)
    spread = 1 + n * np.exp(x)
    fit = (n / 2) * (np.log1p(t**2 / df) - np.log1p(t**2 / (df * spread))) - np.log(spread) / 2
    prior = math.log(width) - math.log(2 * math.pi) / 2 - x / 2 - width**2 / 2 * np.exp(-x)
    log_factor = float(np.logaddexp.reduce(fit + prior)) + math.log(step)
    return math.exp(log_factor) if log_factor < 709 else math.inf
