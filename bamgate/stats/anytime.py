"""Evidence that may be looked at after every seed: a test and an interval whose error holds over all looks together.

The differences are normal with unknown spread. Under "the mean is m0" the statistic

    E_n(m0) = integral of the likelihood ratio of t_n over the effect size d_z ~ Normal(0, g),

with the right Haar prior on the spread, is a martingale that starts at 1. So it ever reaches 1 / alpha with probability
alpha at most (Ville's inequality), whenever somebody looks or stops. The values m0 that it has not refuted form the
interval. In closed form, with S the sum of squares about the mean:

    log E_n(m0) = n/2 [log(S + n d^2) - log(S + n d^2 / (1 + n g))] - 1/2 log(1 + n g),  d = mean - m0

Sources: Lai 1976 (Annals of Statistics 4, 265-280); Perez-Ortiz, Lardy, de Heide and Gruenwald 2022 (arXiv 2208.07610).
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from bamgate.stats.pairs import Floats, Pairs, check_share, no_spread
from bamgate.stats.result import Result

PRIOR_VARIANCE = 1.0  # of d_z: effects of about one SD are what a study of 5 to 20 seeds can find


@dataclass(frozen=True, kw_only=True)
class AnytimeT(Result):
    """The sequential t test of a mean difference of 0, in the order of the seeds.

    Attributes:
        n: pairs.
        evidence: E_n(0), how many times more likely a difference is to give these pairs than none; at the last pair.
        largest: the largest E after any pair.
        p: 1 / largest, at most 1; it holds whenever the study stops.
        low, high: the interval after the last pair, points; None on both sides while it is unbounded.
    """

    call: ClassVar[str] = "normal mixture over d_z with the right Haar prior on the spread; Ville's inequality"
    n: int
    mean: float | None = None
    evidence: float | None = None
    largest: float | None = None
    p: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float = 0.95
    prior_variance: float = PRIOR_VARIANCE


def anytime_t(pairs: Pairs, confidence: float = 0.95, prior_variance: float = PRIOR_VARIANCE) -> AnytimeT:
    """The sequential test of these pairs, as if somebody had looked after every one of them.

    Args:
        pairs: in the order in which the seeds were planned: the order must not depend on the results.
    """
    check_share("confidence", confidence)
    d = pairs.differences
    asked: dict[str, Any] = {"n": pairs.n, "confidence": confidence, "prior_variance": prior_variance}
    asked |= {"mean": float(d.mean()) if pairs.n else None}
    status = no_spread(pairs)
    if status:
        return AnytimeT(**asked, status=status)
    log_e = log_evidence(d, prior_variance)
    largest = max(0.0, float(log_e.max()))
    width = half_width(pairs.n, float(d.std(ddof=1)), 1 - confidence, prior_variance)
    bounded = math.isfinite(width)
    return AnytimeT(
        **asked,
        evidence=_exp(float(log_e[-1])),
        largest=_exp(largest),
        p=math.exp(-largest),
        low=float(d.mean()) - width if bounded else None,
        high=float(d.mean()) + width if bounded else None,
    )


def log_evidence(differences: Floats, prior_variance: float = PRIOR_VARIANCE) -> Floats:
    """log E_n(0) after each of the differences; 0 as long as all of them are 0."""
    d = np.asarray(differences, dtype=np.float64)
    n = np.arange(1, len(d) + 1)
    mean = np.cumsum(d) / n
    # About the running mean, as a sum of squares: the difference of two large sums would lose the digits.
    squares = np.concatenate([[0.0], np.cumsum((d[1:] - mean[:-1]) * (d[1:] - mean[1:]))]) if len(d) else mean
    spread = 1 + n * prior_variance
    shift = n * mean**2
    with np.errstate(divide="ignore", invalid="ignore"):
        found = n / 2 * (np.log(squares + shift) - np.log(squares + shift / spread)) - np.log(spread) / 2
    # One difference says nothing about a mean whose spread is unknown; the formula gives 0 for it but for rounding.
    found[:1] = 0.0
    return np.where(squares + shift > 0, found, 0.0)


def half_width(n: int, sd: float, alpha: float, prior_variance: float = PRIOR_VARIANCE) -> float:
    """Half the width of the interval after n pairs with this SD (ddof 1); infinite if nothing is refuted yet."""
    if n < 2:
        return math.inf
    spread = 1 + n * prior_variance
    log_ratio = 2 / n * (math.log(spread) / 2 - math.log(alpha))
    if log_ratio >= math.log(spread):
        return math.inf
    ratio = math.exp(log_ratio)
    return sd * math.sqrt((n - 1) / n * (ratio - 1) / (1 - ratio / spread))


def _exp(log_value: float) -> float:
    return math.exp(log_value) if log_value < 709 else math.inf
