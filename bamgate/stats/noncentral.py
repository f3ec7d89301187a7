"""The noncentral t distribution. scipy.stats.nct gives NaN in its far tails (1.17.1: cdf(-3, df=1, nc=10)).

T = (Z + nc) / S, with Z normal and df S^2 chi-squared, so P(T <= t) is the mean of Phi(t S - nc) over S. The
trapezoidal rule over log S is exact up to rounding for |t| up to some hundreds, and to three digits far beyond.
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np

from bamgate.stats.pairs import Floats

_STEPS = 16_000


def cdf(t: float, df: float, nc: float) -> float:
    """P(T <= t); df above 0."""
    from scipy import special

    s, weights = _spread(df)
    return float(weights @ special.ndtr(t * s - nc))


def two_sided_power(critical: float, df: float, nc: float) -> float:
    """P(|T| > critical)."""
    from scipy import special

    s, weights = _spread(df)
    return float(weights @ (special.ndtr(nc - critical * s) + special.ndtr(-critical * s - nc)))


def noncentrality(t: float, df: float, share: float) -> float:
    """The nc at which P(T <= t) is `share`."""
    from scipy import optimize

    reach = 4 * abs(t) + 10  # S is above 4 in fewer than 1e-4 of cases, |Z| above 10 in none
    return float(optimize.brentq(lambda nc: cdf(t, df, nc) - share, -reach, reach))


@lru_cache(maxsize=8)
def _spread(df: float) -> tuple[Floats, Any]:
    """A grid of values of S and their probabilities; less than 1e-16 of the distribution is outside the grid."""
    # With x = log S the density is proportional to exp(df (x - exp(2 x) / 2)). expm1 keeps it exact near its peak at 0.
    x = np.linspace(-(41 / df + math.sqrt(40 / df)), math.log1p(9 / math.sqrt(df)), _STEPS + 1)
    density = np.exp(df * (x - np.expm1(2 * x) / 2))
    return np.exp(x), density / density.sum()
