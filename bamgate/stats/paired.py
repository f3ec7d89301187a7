"""The mean paired difference: the t interval is the main result; from 10 pairs on, a bootstrap interval joins it."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bamgate.stats.pairs import Pairs, check_share, no_spread
from bamgate.stats.result import Result, listen
from bamgate.stats.status import FAILED, FEW_FOR_BOOTSTRAP

LEAST_PAIRS_BOOTSTRAP = 10  # with fewer, a nominal 95 % interval covers only 73 to 88 %


@dataclass(frozen=True, kw_only=True)
class PairedT(Result):
    """Mean difference in points, its t interval, and the two-sided p of a mean of 0.

    Mean, sd and sem are given as far as they exist, even if there is no test.
    """

    call: ClassVar[str] = "scipy.stats.ttest_rel(a, b).confidence_interval(confidence)"
    n: int
    mean: float | None = None
    sd: float | None = None
    sem: float | None = None
    t: float | None = None
    df: int | None = None
    p: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float = 0.95


def paired_t(pairs: Pairs, confidence: float = 0.95) -> PairedT:
    """Student's t test of the paired differences."""
    from scipy import stats

    check_share("confidence", confidence)
    n, d = pairs.n, pairs.differences
    mean = float(d.mean()) if n else None
    status = no_spread(pairs)
    if status:
        sd = 0.0 if n > 1 else None
        return PairedT(n=n, mean=mean, sd=sd, sem=sd, df=n - 1 if n > 1 else None, confidence=confidence, status=status)
    # On counts, so that the subtraction is exact: t and p do not depend on the unit.
    test = stats.ttest_rel(np.array(pairs.treatment, dtype=float), np.array(pairs.control, dtype=float))
    low, high = test.confidence_interval(confidence)
    sd = float(d.std(ddof=1))
    return PairedT(
        n=n,
        mean=mean,
        sd=sd,
        sem=sd / n**0.5,
        t=float(test.statistic),
        df=n - 1,
        p=float(test.pvalue),
        low=float(low) * pairs.points,
        high=float(high) * pairs.points,
        confidence=confidence,
    )


@dataclass(frozen=True, kw_only=True)
class Bootstrap(Result):
    """The 95 % BCa interval of the mean difference in points."""

    call: ClassVar[str] = (
        'scipy.stats.bootstrap((d,), numpy.mean, method="BCa", n_resamples=resamples, rng=default_rng(seed))'
    )
    low: float | None = None
    high: float | None = None
    resamples: int


def bca(pairs: Pairs, resamples: int = 9999, seed: int = 0) -> Bootstrap:
    """The bias-corrected and accelerated bootstrap of the mean difference."""
    from scipy import stats

    few = FEW_FOR_BOOTSTRAP if pairs.n < LEAST_PAIRS_BOOTSTRAP else None
    status = few or no_spread(pairs)
    if status:
        about = (LEAST_PAIRS_BOOTSTRAP,) if few else ()
        return Bootstrap(resamples=resamples, status=status, about=about)
    found, heard = listen(
        lambda: (
            stats.bootstrap(
                (pairs.differences,), np.mean, method="BCa", n_resamples=resamples, rng=np.random.default_rng(seed)
            ).confidence_interval
        )
    )
    if heard:
        return Bootstrap(resamples=resamples, status=FAILED)
    return Bootstrap(low=float(found.low), high=float(found.high), resamples=resamples)
