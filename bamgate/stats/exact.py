"""Tests that assume no distribution. On counts of images, ties are exact; the sign-flip test needs counts.

With fewer than 6 pairs none of them can reach p < 0.05, however large the difference.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bamgate.stats.pairs import Pairs, too_few
from bamgate.stats.result import Result, listen
from bamgate.stats.status import ALL_TIE, FAILED, NOT_COUNTS

MOST_EXACT = 20  # 2**20 sign flips
RESAMPLES = 99_999
_BATCH = 2_000


@dataclass(frozen=True, kw_only=True)
class SignFlip(Result):
    """Two-sided p of the mean difference if treatment and control are exchanged within pairs in all ways.

    Attributes:
        smallest_p: the smallest p that any signs of these differences could give; tied pairs do not lower it.
        exact: all sign flips were counted; otherwise `resamples` random ones, with a fixed seed.
        reachable: smallest_p < 0.05.
    """

    call: ClassVar[str] = (
        "all sign flips of the whole-number differences; equals scipy.stats.permutation_test((a, b), "
        'sum of a - b, permutation_type="samples") over all of them'
    )
    p: float | None = None
    smallest_p: float | None = None
    exact: bool = True
    resamples: int | None = None
    reachable: bool = False


def sign_flip(pairs: Pairs) -> SignFlip:
    """The permutation test of paired runs, which is exact up to 20 pairs."""
    status = too_few(pairs) or (None if pairs.is_count else NOT_COUNTS)
    if status:
        return SignFlip(status=status)
    # In whole numbers: on percentages rounding decides whether a flipped sum equals the observed one.
    counts = np.array(pairs.raw, dtype=np.int64)
    observed = abs(int(counts.sum()))
    # Flipping a tie changes nothing. All others with one sign, or all with the other, give the most extreme sum.
    smallest = min(1.0, 2.0 / 2.0 ** int(np.count_nonzero(counts)))
    if pairs.n <= MOST_EXACT:
        p, resamples = float(np.mean(np.abs(_flipped_sums(counts)) >= observed)), None
    else:
        # The observed signs count as one of the flips, so that p is never 0 (Phipson and Smyth 2010).
        p, resamples = (1 + _random_extremes(counts, observed)) / (1 + RESAMPLES), RESAMPLES
        smallest = max(smallest, 1 / (1 + RESAMPLES))
    return SignFlip(p=p, smallest_p=smallest, exact=resamples is None, resamples=resamples, reachable=smallest < 0.05)


def _flipped_sums(counts: np.ndarray) -> np.ndarray:
    """The sums under all 2**n combinations of signs."""
    sums = np.zeros(1, dtype=np.int64)
    for count in counts:
        sums = np.concatenate([sums + count, sums - count])
    return sums


def _random_extremes(counts: np.ndarray, observed: int) -> int:
    """How many of RESAMPLES random sign flips are as extreme as the observed sum."""
    rng = np.random.default_rng(0)
    found = 0
    # In batches: all signs at once, for a hundred pairs, would take 80 MB.
    for start in range(0, RESAMPLES, _BATCH):
        signs = 1 - 2 * rng.integers(0, 2, size=(min(_BATCH, RESAMPLES - start), len(counts)))
        found += int(np.count_nonzero(np.abs(signs @ counts) >= observed))
    return found


@dataclass(frozen=True, kw_only=True)
class SignedRank(Result):
    """Wilcoxon's signed-rank test without tied pairs.

    Attributes:
        statistic: the smaller of the two sums of ranks.
        method: "exact", "permutation" (exact too, for equal ranks) or "asymptotic".
        n_used: number of pairs that do not tie.
    """

    call: ClassVar[str] = 'scipy.stats.wilcoxon(d, zero_method="wilcox", method=method)'
    statistic: float | None = None
    p: float | None = None
    method: str | None = None
    n_used: int


def signed_rank(pairs: Pairs) -> SignedRank:
    """Wilcoxon's test of the paired differences."""
    status = too_few(pairs)
    if status:
        return SignedRank(n_used=sum(d != 0 for d in pairs.raw), status=status)
    return rank_differences(pairs.raw)


def rank_differences(differences: Sequence[float]) -> SignedRank:
    """Wilcoxon's test of differences, by the method that scipy's "auto" would choose, so that its name is known."""
    from scipy import stats

    d = np.array([value for value in differences if value != 0], dtype=np.float64)
    n = len(d)
    if n == 0:
        return SignedRank(n_used=0, status=ALL_TIE)
    # The exact distribution of the statistic holds only if no two ranks are equal.
    equal_ranks = len(np.unique(np.abs(d))) < n
    if equal_ranks:
        name = "permutation" if n <= 13 else "asymptotic"
    else:
        name = "exact" if n <= 50 else "asymptotic"
    method = stats.PermutationMethod(n_resamples=np.inf) if name == "permutation" else name
    test, heard = listen(lambda: stats.wilcoxon(d, zero_method="wilcox", method=method))
    if heard:
        return SignedRank(n_used=n, method=name, status=FAILED)
    return SignedRank(statistic=float(test.statistic), p=float(test.pvalue), method=name, n_used=n)


@dataclass(frozen=True, kw_only=True)
class SignTest(Result):
    """Numbers of seeds that the treatment wins, ties and loses, and the two-sided p of equal chances, without ties."""

    call: ClassVar[str] = "scipy.stats.binomtest(wins, wins + losses)"
    wins: int
    ties: int
    losses: int
    p: float | None = None


def sign_test(pairs: Pairs) -> SignTest:
    """The binomial test of wins against losses."""
    from scipy import stats

    wins, losses = sum(d > 0 for d in pairs.raw), sum(d < 0 for d in pairs.raw)
    ties = pairs.n - wins - losses
    status = too_few(pairs) or (ALL_TIE if ties == pairs.n else None)
    if status:
        return SignTest(wins=wins, ties=ties, losses=losses, status=status)
    return SignTest(wins=wins, ties=ties, losses=losses, p=float(stats.binomtest(wins, wins + losses).pvalue))
